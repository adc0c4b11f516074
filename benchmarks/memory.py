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
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks import house
from benchmarks.harness import resident
from benchmarks.report import Report, kilobytes

WARM_UP = 5  # agents that come first: what they share is no agent's own


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    agents: tuple[int, ...] = (1, 1_000)


TINY = Size(agents=(2,))


async def measure(place: Path, size: Size) -> Report:
    """So many agents on one SQLite journal, first traced, then as the kernel sees it."""
    rows = []
    for count in size.agents:
        traced, _, _ = await _in_a_process(count, "traced")
        _, rss, pss = await _in_a_process(count, "resident")
        seen = [kilobytes(rss / count), kilobytes(pss / count)] if count > 1 else ["-", "-"]
        rows.append((f"{count:,} idle", kilobytes(traced / count), *seen))
    return Report(
        title="Memory of an idle agent, after one turn",
        columns=("agents", "Python heap each", "RSS each", "PSS each"),
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


async def grown_by(count: int, *, trace: bool) -> tuple[int, int, int]:
    """By how much this process grows with so many agents: traced heap, RSS, PSS."""
    with tempfile.TemporaryDirectory() as folder:
        async with house.runtime(house.SQLITE, Path(folder)) as runtime:
            for number in range(WARM_UP):
                await house.one_turn(await runtime.agent(f"warm:{number}", post="worker"))
            if trace:
                tracemalloc.start()
            before = _used(trace)
            for number in range(count):
                await house.one_turn(await runtime.agent(f"agent:{number}", post="worker"))
            after = _used(trace)
    traced, rss, pss = (now - then for now, then in zip(after, before, strict=True))
    return traced, rss, pss


def _used(trace: bool) -> tuple[int, int, int]:
    gc.collect()
    traced = tracemalloc.get_traced_memory()[0] if trace else 0
    rss, pss = resident() or (0, 0)
    return traced, rss, pss


def main(arguments: list[str]) -> None:
    """Measure in this process and print the three numbers."""
    count, how = int(arguments[0]), arguments[1]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(grown_by(count, trace=how == "traced"))))


if __name__ == "__main__":
    main(sys.argv[1:])
