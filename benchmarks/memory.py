"""Memory of agents that rest: each has had one turn and waits for the next message.

Measured in processes of their own, for what else a process has done would be counted too:
`python -m benchmarks.memory <agents>` prints the totals of one such process as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tempfile
import tracemalloc
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvloop

from benchmarks import house
from benchmarks.harness import resident
from benchmarks.report import Report, kilobytes, times
from longhouse.protocol.events import Event
from longhouse.runtime import Agent

WARM_UP = 5  # agents that come first: what they share is no agent's own


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    agents: tuple[int, ...] = (1, 1_000)


TINY = Size(agents=(2,))


async def measure(place: Path, size: Size) -> Report:
    """So many agents on one SQLite journal, first traced, then as the kernel sees it."""
    rows, count, traced = [], 0, 0
    for count in size.agents:
        traced, _, _ = await _in_a_process(count, "traced")
        _, rss, pss = await _in_a_process(count, "resident")
        seen = [kilobytes(rss / count), kilobytes(pss / count)] if count > 1 else ["-", "-"]
        rows.append((f"{count:,} idle", kilobytes(traced / count), "-", *seen))
    held, _, _ = await _in_a_process(count, "held")
    beside = times(held / traced) if traced else "?"
    rows.append(
        (f"{count:,} histories, as dictionaries", kilobytes(held / count), beside, "-", "-")
    )
    return Report(
        title="Memory of an idle agent, after one turn",
        columns=("agents", "Python heap each", "beside ours", "RSS each", "PSS each"),
        rows=rows,
        notes=(
            "Python heap by tracemalloc. RSS and PSS are too coarse for a single agent.",
            "82 kB of heap: published for an SDK for this job, at 200 idle agents.",
        ),
    )


async def _in_a_process(count: int, how: str) -> tuple[int, int, int]:
    command = (sys.executable, "-m", "benchmarks.memory", str(count), how)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with {process.returncode}")
    traced, rss, pss = json.loads(output)
    return traced, rss, pss


async def grown_by(count: int, *, trace: bool, hold: bool = False) -> tuple[int, int, int]:
    """By how much this process grows with so many agents: traced heap, RSS, PSS.

    `hold`: what grows is not the agents, but their events, held as dictionaries.
    """
    held: list[object] = []
    with tempfile.TemporaryDirectory() as folder:
        async with house.runtime(house.SQLITE, Path(folder)) as runtime:
            for number in range(WARM_UP):
                await house.one_turn(await runtime.agent(f"warm:{number}", post="worker"))
            if trace:
                tracemalloc.start()
            before = _used(trace)
            for number in range(count):
                agent = await runtime.agent(f"agent:{number}", post="worker")
                await house.one_turn(agent)
                if hold:
                    held.append([msgspec.to_builtins(event) for event in await _events(agent)])
                    await runtime.put_away(agent.id)
                del agent
            after = _used(trace)
    traced, rss, pss = (now - then for now, then in zip(after, before, strict=True))
    return traced, rss, pss


async def _events(agent: Agent) -> list[Event]:
    last = (await agent.status()).seq
    found: list[Event] = []
    async with aclosing(agent.subscribe()) as events:
        async for event in events:
            assert isinstance(event, Event)
            found.append(event)
            if event.seq == last:
                break
    return found


def _used(trace: bool) -> tuple[int, int, int]:
    gc.collect()
    traced = tracemalloc.get_traced_memory()[0] if trace else 0
    rss, pss = resident() or (0, 0)
    return traced, rss, pss


def main(arguments: list[str]) -> None:
    """Measure in this process and print the three numbers."""
    count, how = int(arguments[0]), arguments[1]
    work = grown_by(count, trace=how != "resident", hold=how == "held")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(work)))


if __name__ == "__main__":
    main(sys.argv[1:])
