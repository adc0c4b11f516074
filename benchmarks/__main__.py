"""`python -m benchmarks [names…]`: measure and print tables; `make bench` calls it.

Everything that is compared is measured in the same run, so the ratios hold on any machine. Aims are
printed beside what was measured and never enforced: how fast a busy machine is says nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import uvloop
from rich.console import Console

from benchmarks import (
    backlog,
    compaction,
    forks,
    memory,
    resume,
    subscribers,
    turns,
    writes,
)
from benchmarks.harness import cores
from benchmarks.report import Report, show

NARROWEST = 110  # columns: a table that is cut cannot be compared
NAMES = (
    "turns",
    "writes",
    "resume",
    "memory",
    "subscribers",
    "forks",
    "compaction",
    "backlog",
)


def main(arguments: Sequence[str]) -> None:
    """Run the benchmarks named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    parser.add_argument("--tiny", action="store_true", help="hardly anything: does it run at all?")
    parser.add_argument("--place", type=Path, help="the disk to measure on (a directory)")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; have {', '.join(NAMES)}")
    console = Console(width=max(Console().width, NARROWEST))
    console.print(machine(), highlight=False)
    with (
        tempfile.TemporaryDirectory(prefix="longhouse-bench-", dir=chosen.place) as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        for name in chosen.names or NAMES:
            began = time.monotonic()
            report = runner.run(measure(name, Path(folder) / name, tiny=chosen.tiny))
            show(report, console)
            console.print(f"  {name}: {time.monotonic() - began:.1f} s\n", style="dim")


async def measure(name: str, place: Path, *, tiny: bool = False) -> Report:
    """Run one benchmark in a directory of its own."""
    match name:
        case "turns":
            return await turns.measure(place, turns.TINY if tiny else turns.Size())
        case "writes":
            return await writes.measure(place, writes.TINY if tiny else writes.Size())
        case "resume":
            return await resume.measure(place, resume.TINY if tiny else resume.Size())
        case "memory":
            return await memory.measure(place, memory.TINY if tiny else memory.Size())
        case "subscribers":
            return await subscribers.measure(
                place, subscribers.TINY if tiny else subscribers.Size()
            )
        case "forks":
            return await forks.measure(place, forks.TINY if tiny else forks.Size())
        case "compaction":
            return await compaction.measure(place, compaction.TINY if tiny else compaction.Size())
        case "backlog":
            return await backlog.measure(place, backlog.TINY if tiny else backlog.Size())
    raise ValueError(f"there is no benchmark {name!r}")


def machine() -> str:
    """What this run is measured on."""
    return (
        f"{cores()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"uvloop {version('uvloop')} (as the server)"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
