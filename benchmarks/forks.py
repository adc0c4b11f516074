"""What a fork costs with a long past, beside copying that past."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks import house
from benchmarks.harness import Cost, cost_of, interleaved
from benchmarks.report import Report, milliseconds, times
from longhouse.protocol.events import AgentCreated, Draft, ErrorRaised, Severity
from longhouse.runtime import Agent, SQLiteJournal

SHARING = "fork (the past is shared)"
COPYING = "copying the past"


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int = 7
    events: int = 10_000


TINY = Size(rounds=1, events=20)


async def measure(place: Path, size: Size) -> Report:
    """Fork an agent after its last event, and write the same past under another name."""
    async with house.runtime(house.SQLITE, place) as runtime:
        journal = SQLiteJournal(place / "agents.db")
        begin = Draft(AgentCreated(agent_id="agent", post="worker"))
        remark = ErrorRaised(phase="tool", severity=Severity.WARNING, message="word " * 20)
        await journal.create("agent", [begin, *(Draft(remark) for _ in range(size.events - 1))])
        agent = await runtime.agent("agent")
        await agent.status()
        names = count()
        costs = await interleaved(
            {
                SHARING: partial(_fork, agent, names),
                COPYING: partial(_copy, journal, names),
            },
            rounds=size.rounds,
        )
        await journal.close()
    ours = costs[SHARING]
    return Report(
        title=f"A fork at {size.events:,} events",
        columns=("", "ms", "CPU ms", "beside a fork"),
        rows=[
            (name, milliseconds(cost.wall), milliseconds(cost.cpu), times(cost.wall / ours.wall))
            for name, cost in costs.items()
        ],
        notes=("Durable: an SQLite file, synchronous=FULL. The fork is open and has its own id.",),
    )


async def _fork(agent: Agent, names: count[int]) -> Cost:
    return await cost_of(lambda: agent.fork(id=f"fork:{next(names)}"))


async def _copy(journal: SQLiteJournal, names: count[int]) -> Cost:
    async def copy() -> None:
        events = await journal.read("agent")
        await journal.create(f"copy:{next(names)}", [Draft(event.body) for event in events])

    return await cost_of(copy)
