"""One-tool turns: how many in a second, and what CPU each costs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks import house
from benchmarks.harness import Cost, cost_of, interleaved
from benchmarks.report import Report, milliseconds, times
from longhouse.runtime import Agent, Runtime

PUBLISHED_CPU = 0.0135  # seconds a turn: a published figure of an SDK for this job
AIM_CPU = PUBLISHED_CPU / 10


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int = 5
    alone: int = 200  # turns of one agent
    agents: int = 50
    together: int = 10  # turns of each


TINY = Size(rounds=1, alone=2, agents=2, together=1)


async def measure(place: Path, size: Size) -> Report:
    """One agent alone, then many at once, each on every kind of journal."""
    async with AsyncExitStack() as stack:
        runtimes = {
            kind: await stack.enter_async_context(house.runtime(kind, place / kind))
            for kind in house.JOURNALS
        }
        names = count()
        alone = {kind: partial(_alone, one, names, size) for kind, one in runtimes.items()}
        together = {kind: partial(_together, one, names, size) for kind, one in runtimes.items()}
        rows = [
            *await _rows(f"1 agent x {size.alone} turns", alone, size.alone, size.rounds),
            *await _rows(
                f"{size.agents} agents x {size.together} turns",
                together,
                size.agents * size.together,
                size.rounds,
            ),
        ]
    return Report(
        title="One-tool turns, a model without latency",
        columns=("", "turns/s", "CPU ms/turn", "CPU beside SQLite", "13.5 ms beside it"),
        rows=rows,
        aim=f"CPU of one turn on the SQLite journal <= {AIM_CPU * 1000:.2f} ms",
        notes=(
            "SQLite: every step durable (WAL, synchronous=FULL). Memory: nothing is. Rewriting: one"
            " JSON document for each turn.",
            "13.5 ms: published CPU of a turn in an SDK for this job, on another machine.",
        ),
    )


async def _alone(runtime: Runtime, names: count[int], size: Size) -> Cost:
    agent = await _new_agent(runtime, names)
    return await cost_of(lambda: house.turns(agent, size.alone))


async def _together(runtime: Runtime, names: count[int], size: Size) -> Cost:
    agents = [await _new_agent(runtime, names) for _ in range(size.agents)]
    work = (house.turns(agent, size.together) for agent in agents)
    return await cost_of(lambda: asyncio.gather(*work))


async def _new_agent(runtime: Runtime, names: count[int]) -> Agent:
    agent = await runtime.agent(f"agent:{next(names)}", post="worker")
    await agent.rest()
    return agent


async def _rows(
    label: str, rivals: Mapping[str, Callable[[], Awaitable[Cost]]], turns: int, rounds: int
) -> list[tuple[str, ...]]:
    costs = {
        kind: cost.per(turns) for kind, cost in (await interleaved(rivals, rounds=rounds)).items()
    }
    ours = costs[house.SQLITE]
    return [
        (
            f"{label}, {kind}",
            f"{1 / cost.wall:,.0f}",
            milliseconds(cost.cpu),
            times(cost.cpu / ours.cpu),
            times(PUBLISHED_CPU / cost.cpu),
        )
        for kind, cost in costs.items()
    ]
