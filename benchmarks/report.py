"""What a benchmark found, and how it is shown: one table with its aim and its notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Report:
    """One table."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    aim: str = ""  # what the first row should reach; shown, never enforced
    notes: Sequence[str] = ()


def show(report: Report, console: Console) -> None:
    """Print a report."""
    table = Table(title=report.title, title_justify="left", title_style="bold", box=box.SIMPLE)
    for number, column in enumerate(report.columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    for row in report.rows:
        table.add_row(*row)
    console.print(table)
    if report.aim:
        console.print(f"  aim: {report.aim}", highlight=False)
    for note in report.notes:
        console.print(f"  {note}", highlight=False, style="dim", soft_wrap=True)
    console.print()


def milliseconds(seconds: float) -> str:
    """`1.234`."""
    return f"{seconds * 1000:.3f}"


def kilobytes(count: float) -> str:
    """`12.3 kB`."""
    return f"{count / 1000:,.1f} kB"


def times(ratio: float) -> str:
    """`7.4 x`: how many times as much."""
    return f"{ratio:,.2f} x" if ratio < 10 else f"{ratio:,.0f} x"
