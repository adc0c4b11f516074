"""How everything here is measured: by turns, several times, and only what is asked for.

Rivals are measured in interleaved rounds, so that a busy machine is busy for all of them, and the
median of the rounds counts. Ratios between rivals of one run mean something on any machine; the
times themselves do only on a quiet one. Nothing here prints.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """What some work took, in seconds."""

    wall: float
    cpu: float  # of all threads, and of child processes that have ended

    def per(self, count: int) -> Cost:
        """The cost of one of `count` equal pieces."""
        return Cost(self.wall / count, self.cpu / count)


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes that left this process: handed to the kernel, and dirtied on the way to a disk."""

    handed_over: int
    to_disk: int

    def __sub__(self, before: Written) -> Written:
        return Written(self.handed_over - before.handed_over, self.to_disk - before.to_disk)


async def cost_of(work: Callable[[], Awaitable[object]]) -> Cost:
    """Do it once. Nobody pays for the garbage of another."""
    gc.collect()
    cpu, wall = cpu_seconds(), time.perf_counter()
    await work()
    return Cost(time.perf_counter() - wall, cpu_seconds() - cpu)


async def interleaved(
    rivals: Mapping[str, Callable[[], Awaitable[Cost]]], *, rounds: int
) -> dict[str, Cost]:
    """The median cost of each rival over so many rounds, after one that does not count.

    A rival measures itself (`cost_of`), so that what it has to prepare is not counted.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in rivals}
    for number in range(1 + rounds):
        for name, measure in rivals.items():
            cost = await measure()
            if number > 0:
                costs[name].append(cost)
    return {name: median(found) for name, found in costs.items()}


def median(costs: list[Cost]) -> Cost:
    """The median wall time and the median CPU time; they may come from different rounds."""
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.cpu for cost in costs),
    )


def cpu_seconds() -> float:
    """CPU time of this process and of its ended children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def written() -> Written | None:
    """What this process has written so far; None where the kernel does not tell."""
    try:
        text = Path("/proc/self/io").read_text(encoding="ascii")
    except OSError:
        return None
    fields = dict(line.split(": ") for line in text.splitlines())
    return Written(int(fields["wchar"]), int(fields["write_bytes"]))


def file_bytes(folder: Path) -> int:
    """The size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def resident() -> tuple[int, int] | None:
    """Bytes of memory this process has in RAM: all of it, and its fair share of what is shared."""
    try:
        text = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return None
    lines = [line.split() for line in text.splitlines()[1:]]
    fields = {words[0]: int(words[1]) * 1024 for words in lines}
    return fields["Rss:"], fields["Pss:"]


def cores() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))
