"""Unified diffs as lines with a meaning: counted, coloured, cut. Pure.

A line's meaning depends on the hunk it is in: `--- x` inside one is a removed line and no header.
"""

import re
from dataclasses import dataclass
from enum import Enum

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


class Kind(Enum):
    """What a line of a diff says."""

    HEADER = "header"  # which file
    HUNK = "hunk"  # where in it
    ADDED = "added"
    REMOVED = "removed"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class Line:
    """One line, with the sign it begins with."""

    kind: Kind
    text: str


def lines(diff: str) -> list[Line]:
    """Every line of a diff with its meaning."""
    found = []
    old = new = 0  # lines that the present hunk still has of each side
    for text in diff.split("\n")[: -1 if diff.endswith("\n") else None]:
        kind = Kind.HEADER
        if old > 0 or new > 0:
            kind = _in_hunk(text)
            old -= kind in {Kind.REMOVED, Kind.CONTEXT} and not text.startswith("\\")
            new -= kind in {Kind.ADDED, Kind.CONTEXT} and not text.startswith("\\")
        elif hunk := _HUNK.match(text):
            kind = Kind.HUNK
            old, new = int(hunk[1] or 1), int(hunk[2] or 1)
        elif text.startswith("\\"):
            kind = Kind.CONTEXT
        found.append(Line(kind, text))
    return found


def counts(diff: str) -> tuple[int, int]:
    """How many lines it adds and removes."""
    kinds = [line.kind for line in lines(diff)]
    return kinds.count(Kind.ADDED), kinds.count(Kind.REMOVED)


def without_headers(diff: str) -> list[Line]:
    """The hunks alone, for where the file is named already."""
    return [line for line in lines(diff) if line.kind is not Kind.HEADER]


def _in_hunk(text: str) -> Kind:
    match text[:1]:
        case "+":
            return Kind.ADDED
        case "-":
            return Kind.REMOVED
        case _:
            return Kind.CONTEXT
