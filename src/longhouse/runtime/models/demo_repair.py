"""The demo model's one trade: finding the small slip that makes a test fail. Pure functions.

It knows the mistakes people make in one token (a flipped operator, an off-by-one, swapped operands)
and proposes them one at a time, the likeliest first: near the functions that the failing test
calls, and common slips before rare ones. Whether a proposal is right only the tests can say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

MAX_TRIES = 12
"""Proposals before giving up: each one may cost a person an approval."""

_PYTHON_NOISE = re.compile(
    r'"""(?:.|\n)*?"""'
    r"|'''(?:.|\n)*?'''"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'(?:\\.|[^'\\\n])*'"
    r"|#[^\n]*"
)
_C_NOISE = re.compile(
    r"/\*(?:.|\n)*?\*/"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'(?:\\.|[^'\\\n])*'"
    r"|`(?:\\.|[^`\\])*`"
    r"|//[^\n]*"
)
_FUNCTION = re.compile(
    r"^(?P<indent>\s*)(?:export\s+)?(?:async\s+)?(?:def|function|func|fn)\s+(?P<name>\w+)"
)
_CALLED = re.compile(r"\b(\w+)\(")

_FLIPS = {
    "+": ["-"], "-": ["+"], "+=": ["-="], "-=": ["+="],
    "*": ["/"], "/": ["*", "//"], "//": ["/"], "%": ["//"],
    "<": ["<=", ">"], "<=": ["<"], ">": [">=", "<"], ">=": [">"],
    "==": ["!="], "!=": ["=="],
    "and": ["or"], "or": ["and"], "True": ["False"], "False": ["True"],
    "min": ["max"], "max": ["min"],
}  # fmt: skip


@dataclass(frozen=True)
class _Slip:
    """One kind of mistake: where it may be, and what was meant instead."""

    pattern: re.Pattern[str]  # over code without strings and comments
    meant: Callable[[Sequence[str]], list[str]]  # the matched groups -> what could replace them


def _flip(groups: Sequence[str]) -> list[str]:
    return _FLIPS[groups[0]]


def _first_alone(groups: Sequence[str]) -> list[str]:
    return [groups[1]]


def _neighbours(groups: Sequence[str]) -> list[str]:
    return [str(int(groups[0]) - 1), str(int(groups[0]) + 1)]


def _swapped(groups: Sequence[str]) -> list[str]:
    left, between, right = groups[1:]
    return [right + between + left]


_SLIPS = (  # the likeliest first
    _Slip(re.compile(r"\((len\([^()]*\)) [-+] 1\)"), _first_alone),
    _Slip(re.compile(r"(len\([^()]*\)) [-+] 1\b"), _first_alone),
    _Slip(re.compile(r"(?<=[\w)\]] )(?:[+-]=?)(?= [\w(\[])"), _flip),
    _Slip(re.compile(r"([\w)\]]) [-+] 1\b"), _first_alone),
    _Slip(re.compile(r"(?<= )(?:[<>]=?|[=!]=)(?= )"), _flip),
    _Slip(re.compile(r"\b(?:and|or|True|False)\b|\b(?:min|max)(?=\()"), _flip),
    _Slip(re.compile(r"(?<=[\w)\]] )(?:\*|//?|%)(?= [\w(\[])"), _flip),
    _Slip(re.compile(r"(?<![\w.])\d+(?![\w.])"), _neighbours),
    _Slip(re.compile(r"\b(\w+)( (?:[-/%<>]|//) )(\w+)\b"), _swapped),
    _Slip(re.compile(r"(?<=\()(\w+)(, )(\w+)(?=\))"), _swapped),
)


@dataclass(frozen=True)
class Proposal:
    """A file as it could be."""

    path: str
    text: str  # the whole file
    before: str  # the line, without its indentation
    after: str


@dataclass(frozen=True)
class Edit:
    """A replacement whose `old` occurs once in the file."""

    path: str
    old: str
    new: str


def proposals(sources: Mapping[str, str], failure: str) -> list[Proposal]:
    """Small changes to the sources, the likeliest first. `failure`: what the test run printed."""
    called = set(_CALLED.findall(failure))
    found = [
        (rank, place, proposal)
        for path, text in sources.items()
        for rank, place, proposal in _in_file(path, text, called)
    ]
    found.sort(key=lambda item: item[:2])
    # Two slips may mean the same change.
    different = {(proposal.path, proposal.text): proposal for _, _, proposal in reversed(found)}
    return list(different.values())[::-1][:MAX_TRIES]


def edit(path: str, before: str, after: str) -> Edit:
    """The smallest run of whole lines that turns one text into the other, and is there once."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    start = _common(old, new)
    end = min(_common(old[::-1], new[::-1]), len(old) - start, len(new) - start)
    first, last, shift = start, len(old) - end, len(new) - len(old)
    while first > 0 or last < len(old):
        made = _block_edit(path, old[first:last], new[first : last + shift])
        # Occurrences may overlap, so counting them is not enough.
        if before.count(made.old) == 1 and before.replace(made.old, made.new) == after:
            return made
        first, last = max(first - 1, 0), min(last + 1, len(old))
    return Edit(path, before, after)


def _block_edit(path: str, old: Sequence[str], new: Sequence[str]) -> Edit:
    """Without the last line's end on both sides: nobody sees whether a file's last line has one."""
    if old and new and old[-1].endswith("\n") and new[-1].endswith("\n"):
        return Edit(path, "".join(old)[:-1], "".join(new)[:-1])
    return Edit(path, "".join(old), "".join(new))


def _in_file(
    path: str, text: str, called: set[str]
) -> Iterator[tuple[tuple[int, int], tuple[str, int], Proposal]]:
    lines = text.splitlines(keepends=True)
    bare = _without_noise(path, text).splitlines(keepends=True)
    functions = _functions(bare)
    for number, (line, code) in enumerate(zip(lines, bare, strict=True)):
        if _FUNCTION.match(code) or (functions and not functions[number]):
            continue
        suspected = functions[number] in called
        for kind, slip in enumerate(_SLIPS):
            for changed in _changes(line, code, slip):
                whole = "".join([*lines[:number], changed, *lines[number + 1 :]])
                proposal = Proposal(path, whole, line.strip(), changed.strip())
                yield (0 if suspected else 1, kind), (path, number), proposal


def _changes(line: str, code: str, slip: _Slip) -> Iterator[str]:
    for match in slip.pattern.finditer(code):
        # Matched without strings, but written back with them.
        groups = [line[slice(*match.span(index))] for index in range(len(match.groups()) + 1)]
        for meant in slip.meant(groups):
            yield line[: match.start()] + meant + line[match.end() :]


def _functions(bare: Sequence[str]) -> dict[int, str]:
    """For each line number the function it is in; lines outside have an empty name."""
    names: dict[int, str] = {}
    name, depth = "", 0
    found = False
    for number, line in enumerate(bare):
        indent = len(line) - len(line.lstrip())
        if match := _FUNCTION.match(line):
            name, depth, found = match["name"], indent, True
        elif line.strip() and indent <= depth:
            name = ""
        names[number] = name
    return names if found else {}


def _without_noise(path: str, text: str) -> str:
    """The code with strings and comments blanked out, every character in its place."""
    noise = _PYTHON_NOISE if path.endswith(".py") else _C_NOISE
    return noise.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines at the beginning are the same."""
    same = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        same += 1
    return same
