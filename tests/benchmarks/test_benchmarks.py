"""The benchmarks run: hardly anything, but all of it, so that they do not rot."""

import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from benchmarks.__main__ import NAMES, machine, measure
from benchmarks.report import show
from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("name", NAMES)
async def test_a_benchmark_prints_a_table_of_what_it_measured(name: str, tmp_path: Path) -> None:
    report = await measure(name, tmp_path / name, tiny=True)

    screen = StringIO()
    show(report, Console(file=screen, width=200))
    assert report.title in screen.getvalue()
    assert report.rows
    for row in report.rows:
        assert len(row) == len(report.columns)
        assert row[0] in screen.getvalue()


def test_a_benchmark_that_is_not_there_is_refused_with_the_names_of_those_that_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "speed"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert all(name in done.stderr for name in ("speed", *NAMES))


def test_a_run_says_what_it_was_measured_on() -> None:
    assert "cores" in machine()
    assert "uvloop" in machine()
