"""Where words go: data to standard output, talk to standard error, colour where it is wanted.

Every command prints through here. It makes no decisions about content; text that comes from agents
and servers passes `clean` first, so that it cannot steer the terminal.
"""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from longhouse.cli.errors import one_line
from longhouse.kit.errors import LonghouseError

PLAIN_WIDTH = 80  # columns where nobody says how wide the terminal is

# Control characters (but newline and tab), and those that reorder or hide what one reads.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


def clean(text: str) -> str:
    """The text without anything that moves the cursor, changes colours or reorders letters.

    Such characters are shown as what they are, so that a person who approves sees them.
    """
    return _STEERING.sub(_shown, text.replace("\r\n", "\n"))


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)  # the picture of a control character
    return f"<U+{code:04X}>"


def is_dumb() -> bool:
    """Whether the terminal can do no more than print line after line."""
    return os.environ.get("TERM", "").lower() in {"", "dumb", "unknown"}


def data_console() -> Console:
    """Standard output: what somebody asked for."""
    return _console(stderr=False)


def talk_console() -> Console:
    """Standard error: what is said along the way."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PLAIN_WIDTH
    return Console(
        stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False, width=width
    )


def say(text: str) -> None:
    """A remark to the person at the terminal."""
    talk_console().print(Text(clean(text)), soft_wrap=True)


def report(error: LonghouseError) -> None:
    """What went wrong and what to do, on one line of standard error."""
    report_text(one_line(error))


def report_text(text: str) -> None:
    """An error in words, on one line of standard error."""
    console = talk_console()
    # A terminal breaks it between words, everything else gets one line.
    line = Text.assemble(("error: ", "bold red"), clean(text))
    console.print(line, soft_wrap=not console.is_terminal)


def put(text: str) -> None:
    """One line of data, as it is."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def put_json(value: object) -> None:
    """Data for programs: JSON, indented, in UTF-8."""
    put(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def put_lines(console: Console, renderable: RenderableType) -> None:
    """Print without the spaces that fill lines up: for files and pipes."""
    with console.capture() as captured:
        console.print(renderable)
    for line in captured.get().splitlines():
        console.print(Text(line.rstrip()), soft_wrap=True)


def show(renderable: RenderableType) -> None:
    """Data for a person."""
    data_console().print(renderable)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a list."""

    title: str
    style: str = ""
    right: bool = False
    shrink: bool = True  # whether it may be cut where the terminal is narrow


GAP = 2  # columns between two columns
LEAST = 6  # columns that a cut text still needs to say anything


def put_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """A list: aligned for a person, one line with tabs for each row for a program."""
    told = [[" ".join(clean(cell).split()) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        put("\t".join(column.title.lower() for column in columns))
        for row in told:
            put("\t".join(row))
        return
    console = data_console()
    titles = [column.title for column in columns]
    wanted = [max(cell_len(row[at]) for row in [titles, *told]) for at in range(len(columns))]
    room = console.width - GAP * (len(columns) - 1)
    widths = fitted(wanted, [column.shrink for column in columns], room)
    _put_row(console, columns, titles, widths, style="bold underline")
    for row in told:
        _put_row(console, columns, row, widths)


def fitted(wanted: Sequence[int], shrinks: Sequence[bool], room: int) -> list[int]:
    """Widths that fit into the room: the widest column that may shrink gives way first."""
    widths = list(wanted)
    while sum(widths) > room:
        candidates = [at for at, width in enumerate(widths) if shrinks[at] and width > LEAST]
        if not candidates:
            break  # the terminal cuts what is left
        widest = max(candidates, key=lambda at: widths[at])
        widths[widest] -= 1
    return widths


def _put_row(
    console: Console,
    columns: Sequence[Column],
    cells: Sequence[str],
    widths: Sequence[int],
    *,
    style: str = "",
) -> None:
    line = Text(no_wrap=True, overflow="crop")
    for at, (column, cell, width) in enumerate(zip(columns, cells, widths, strict=True)):
        text = Text(cell, style=style or column.style)
        text.truncate(width, overflow="ellipsis")
        space = " " * (width - text.cell_len)
        last = at == len(columns) - 1
        if column.right:
            line.append(space)
        line.append_text(text)
        if not (column.right or last):
            line.append(space)
        if not last:
            line.append(" " * GAP)
    console.print(line)


def put_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Names and values, one each line; what is empty is left out."""
    told = [(name, clean(value)) for name, value in facts if value]
    width = max((len(name) for name, _ in told), default=0)
    console = data_console()
    for name, value in told:
        put_hanging(console, Text(f"{name:<{width}}  ", style="bold"), Text(value))


def put_hanging(console: Console, label: Text, body: Text) -> None:
    """A text beside its label; where it goes on, it stands below itself.

    A terminal breaks it between words; anywhere else only its own lines are broken.
    """
    indent = label.cell_len
    width = console.width - indent
    lines = list(body.split("\n", allow_blank=True))
    if console.is_terminal and width > indent:
        lines = [part for line in lines for part in line.wrap(console, width) or [line]]
    for at, line in enumerate(lines):
        line.rstrip()
        start = Text(" " * indent) if at else label
        console.print(Text.assemble(start, line), soft_wrap=True)


def ago(moment: datetime, *, now: datetime) -> str:
    """How long ago, in the largest unit that fits: `now`, `5 min`, `3 h`, `12 d`, else a date."""
    passed = now - moment
    if passed < timedelta(minutes=1):
        return "now"
    if passed < timedelta(hours=1):
        return f"{passed // timedelta(minutes=1)} min"
    if passed < timedelta(days=1):
        return f"{passed // timedelta(hours=1)} h"
    if passed < timedelta(days=60):
        return f"{passed // timedelta(days=1)} d"
    return moment.date().isoformat()


def number(value: float) -> str:
    """A whole number without a point, any other with what it has; thousands apart."""
    return f"{int(value):,}" if value == int(value) else f"{value:,}"


def seconds(value: float) -> str:
    """A duration for people: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count(value: int) -> str:
    """A number for people: `950`, `12.3k`, `4.5M`."""
    if value < 1000:
        return str(value)
    if value < 1_000_000:
        return f"{value / 1000:.1f}k"
    return f"{value / 1_000_000:.1f}M"


def plural(number: int, noun: str) -> str:
    """`1 file`, `3 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
