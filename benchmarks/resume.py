"""Taking up a long session again: from the files to the answer of `status`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import house
from benchmarks.harness import Cost, cost_of, interleaved
from benchmarks.report import Report, milliseconds, times

AIM = 0.005  # seconds


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int = 15
    messages: int = 1_000


TINY = Size(rounds=1, messages=8)


async def measure(place: Path, size: Size) -> Report:
    """A new runtime each time, on the files that an earlier one has left."""
    for kind in house.DURABLE:
        async with house.runtime(kind, place / kind) as runtime:
            agent = await runtime.agent("agent", post="worker")
            await house.turns(agent, size.messages // house.MESSAGES_PER_TURN)
    costs = await interleaved(
        {kind: partial(_resume, kind, place / kind) for kind in house.DURABLE}, rounds=size.rounds
    )
    ours = costs[house.SQLITE]
    return Report(
        title=f"Resume of a session of {size.messages:,} messages",
        columns=("", "open + status, ms", "CPU ms", "beside SQLite"),
        rows=[
            (kind, milliseconds(cost.wall), milliseconds(cost.cpu), times(cost.wall / ours.wall))
            for kind, cost in costs.items()
        ],
        aim=f"open + status on the SQLite journal <= {AIM * 1000:.0f} ms",
        notes=("On a runtime that has just started and has no other agent.",),
    )


async def _resume(kind: str, folder: Path) -> Cost:
    async def resume() -> None:
        agent = await runtime.agent("agent")
        await agent.status()

    async with house.runtime(kind, folder) as runtime:
        return await cost_of(resume)
