"""What it costs to make a long context short, beside a turn that need not, and beside rewriting."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from shutil import copytree

from benchmarks import house
from benchmarks.harness import Cost, cost_of, interleaved
from benchmarks.report import Report, milliseconds, times
from longhouse.runtime import Limits

NEVER = Limits(context_tokens=10_000_000)
NOW = Limits(context_tokens=1_000)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int = 3
    messages: int = 1_000


TINY = Size(rounds=1, messages=200)


async def measure(place: Path, size: Size) -> Report:
    """One turn of the same long session each time: with a summary before it, and without."""
    for kind in house.DURABLE:
        async with house.runtime(kind, place / kind, limits=NEVER) as runtime:
            agent = await runtime.agent("agent", post="worker")
            await house.turns(agent, size.messages // house.MESSAGES_PER_TURN)
    copies = count()
    costs = await interleaved(
        {
            f"{what}, {kind}": partial(_turn, place / kind, copies, kind, limits)
            for kind in house.DURABLE
            for what, limits in (("a turn", NEVER), ("a turn with a summary", NOW))
        },
        rounds=size.rounds,
    )
    plain = next(iter(costs.values()))
    return Report(
        title=f"Compaction at {size.messages:,} messages",
        columns=("", "ms", "CPU ms", "beside a turn on SQLite"),
        rows=[
            (name, milliseconds(cost.wall), milliseconds(cost.cpu), times(cost.wall / plain.wall))
            for name, cost in costs.items()
        ],
        notes=(
            "The model answers at once. A summary is two events more; nothing that was said is"
            " written again, and the rewriting journal writes all of it at each turn.",
        ),
    )


async def _turn(session: Path, copies: count[int], kind: str, limits: Limits) -> Cost:
    folder = session.with_name(f"{session.name}-{next(copies)}")
    copytree(session, folder)
    async with house.runtime(kind, folder, limits=limits) as runtime:
        agent = await runtime.agent("agent")
        await agent.status()
        return await cost_of(lambda: house.one_turn(agent))
