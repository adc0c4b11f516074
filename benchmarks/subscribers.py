"""Many readers of one journal: events delivered in a second, and what a lazy one costs.

Beside two naive ways: each reader asks the journal again and again, and each has a queue of its own
without a bound, which the writer fills.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeAlias

from benchmarks import house
from benchmarks.harness import Cost, cost_of, interleaved
from benchmarks.report import Report, times
from longhouse.kit.bus.memory import MemoryBus
from longhouse.protocol.events import AgentCreated, Draft, Event, Text
from longhouse.runtime import Agent, SQLiteJournal
from longhouse.runtime.journals.base import ring_topic

BATCH = 10  # events of one write: about a step of a turn
POLL_SECONDS = 0.01

OURS = "rung, then read"
POLLING = f"polling every {POLL_SECONDS * 1000:.0f} ms"
QUEUES = "unbounded queue each"


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int = 1
    subscribers: int = 100
    events: int = 5_000


TINY = Size(rounds=1, subscribers=2, events=20)


@dataclass
class Place:
    """A journal, a bus that it rings on, and names for agents."""

    journal: SQLiteJournal
    size: Size
    bus: MemoryBus
    open_agent: Callable[[str], Awaitable[Agent]]
    names: count[int]

    async def begin(self) -> Agent:
        """A new agent that nobody drives."""
        name = f"agent:{next(self.names)}"
        await self.journal.create(name, [Draft(AgentCreated(agent_id=name, post="worker"))])
        return await self.open_agent(name)

    async def write(self, agent: Agent, told: Callable[[list[Event]], None] | None = None) -> None:
        """All events, batch by batch."""
        for _ in range(self.size.events // BATCH):
            drafts = [Draft(Text(step=1, text="word " * 20)) for _ in range(BATCH)]
            written = await self.journal.post(agent.id, drafts)
            if told is not None:
                told(written)


Rival: TypeAlias = Callable[[Place, list[int]], Awaitable[Cost]]
"""Measures itself; notes what it kept for a reader that never reads."""


async def measure(place: Path, size: Size) -> Report:
    """Everybody reads everything, once in each way."""
    rivals: dict[str, Rival] = {OURS: _rung, POLLING: _polling, QUEUES: _queues}
    kept: dict[str, list[int]] = {name: [] for name in rivals}
    bus = MemoryBus()
    async with house.runtime(house.SQLITE, place, bus=bus) as runtime:
        journal = SQLiteJournal(place / "agents.db", bus=bus)
        there = Place(journal, size, bus, runtime.agent, count())
        costs = await interleaved(
            {name: _measured(rival, there, kept[name]) for name, rival in rivals.items()},
            rounds=size.rounds,
        )
        await journal.close()
    delivered = size.subscribers * (size.events // BATCH * BATCH)
    ours = costs[OURS]
    return Report(
        title=f"{size.subscribers} subscribers x {size.events:,} events of one agent",
        columns=("", "events/s", "CPU s", "CPU beside ours", "kept for one that never reads"),
        rows=[
            (
                name,
                f"{delivered / cost.wall:,.0f}",
                f"{cost.cpu:.2f}",
                times(cost.cpu / ours.cpu),
                f"{kept[name][-1]:,}",
            )
            for name, cost in costs.items()
        ],
        notes=(
            "Delivered, over all subscribers; written durably meanwhile, ten at a time. Kept:"
            " messages in memory. A poller keeps none, and learns of an event later.",
        ),
    )


def _measured(rival: Rival, place: Place, kept: list[int]) -> Callable[[], Awaitable[Cost]]:
    return lambda: rival(place, kept)


async def _rung(place: Place, kept: list[int]) -> Cost:
    agent = await place.begin()

    async def read() -> None:
        async with aclosing(agent.subscribe()) as events:
            async for event in events:
                if isinstance(event, Event) and event.seq > place.size.events:
                    return

    with place.bus.subscribe(ring_topic(agent.id)) as lazy:
        cost = await _together(place, read, place.write(agent))
        found = 0
        while await lazy.next(0) is not None:
            found += 1
        kept.append(found)
    return cost


async def _polling(place: Place, kept: list[int]) -> Cost:
    agent = await place.begin()
    kept.append(0)

    async def read() -> None:
        last = 0
        while last <= place.size.events:
            if events := await place.journal.read(agent.id, after=last):
                last = events[-1].seq
            else:
                await asyncio.sleep(POLL_SECONDS)

    return await _together(place, read, place.write(agent))


async def _queues(place: Place, kept: list[int]) -> Cost:
    agent = await place.begin()
    lazy: asyncio.Queue[Event] = asyncio.Queue()
    queues = [lazy]

    async def read() -> None:
        mine: asyncio.Queue[Event] = asyncio.Queue()
        queues.append(mine)
        while (await mine.get()).seq <= place.size.events:
            pass

    def tell(events: list[Event]) -> None:
        for queue in queues:
            for event in events:
                queue.put_nowait(event)

    cost = await _together(place, read, place.write(agent, tell))
    kept.append(lazy.qsize())
    return cost


async def _together(
    place: Place, read: Callable[[], Awaitable[None]], writing: Awaitable[None]
) -> Cost:
    async def work() -> None:
        readers = [asyncio.ensure_future(read()) for _ in range(place.size.subscribers)]
        await asyncio.sleep(0)  # they subscribe before anything is written
        await writing
        await asyncio.gather(*readers)

    return await cost_of(work)
