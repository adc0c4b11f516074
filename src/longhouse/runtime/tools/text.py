"""Text as the file tools handle it: bytes in, bytes out, nothing lost on the way.

Pure functions. Bytes that are no UTF-8 survive as lone surrogates, line ends stay what they were,
and a missing newline at the end stays missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import TypeAlias

OUTPUT_LIMIT = 30_000
"""Characters of one result that reach the model; what is longer is cut, and says so."""

DIFF_LIMIT = 200_000
"""Characters of a diff that are kept for people."""

_BINARY_PROBE = 8192  # bytes looked at, as git does
_CONTEXT = 3  # unchanged lines around a change
_MAX_COMPARISON = 4_000_000  # lines before times lines after; above, all counts as replaced

_Opcode: TypeAlias = tuple[str, int, int, int, int]


def is_binary(data: bytes) -> bool:
    """Whether the bytes are no text: they hold a NUL near the beginning."""
    return b"\0" in data[:_BINARY_PROBE]


def decode(data: bytes) -> str:
    """Bytes as text."""
    return data.decode(errors="surrogateescape")


def encode(text: str) -> bytes:
    """The reverse of `decode`. A surrogate that no byte stands behind becomes `?`."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="replace")


def lines_of(text: str) -> list[str]:
    """The lines with their ends; only `\\n` ends a line, as in every tool that counts lines."""
    parts = text.split("\n")
    last = parts.pop()
    lines = [f"{part}\n" for part in parts]
    return [*lines, last] if last else lines


def ends_in_crlf(text: str) -> bool:
    """Whether every line ends as in DOS."""
    ends = text.count("\n")
    return ends > 0 and text.count("\r\n") == ends


def to_crlf(text: str) -> str:
    """The same lines with the ends of DOS."""
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def unified_diff(path: str, before: str | None, after: str) -> str:
    """What changed in a file, as `git diff` writes it. `before` None: the file is new."""
    if before == after:
        return ""
    old, new = lines_of(before or ""), lines_of(after)
    head = ["--- /dev/null\n" if before is None else f"--- a/{path}\n", f"+++ b/{path}\n"]
    diff = "".join([*head, *_hunks(old, new)])
    if len(diff) <= DIFF_LIMIT:
        return diff
    return diff[:DIFF_LIMIT] + f"\n\\ The diff is longer: {len(diff):,} characters\n"


def _hunks(old: list[str], new: list[str]) -> Iterator[str]:
    for group in _groups(_opcodes(old, new)):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n"
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                yield from (_line(" ", line) for line in old[i1:i2])
                continue
            yield from (_line("-", line) for line in old[i1:i2])
            yield from (_line("+", line) for line in new[j1:j2])


def _line(sign: str, line: str) -> str:
    return sign + line if line.endswith("\n") else f"{sign}{line}\n\\ No newline at end of file\n"


def _range(start: int, stop: int) -> str:
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _opcodes(old: list[str], new: list[str]) -> list[_Opcode]:
    """The changes; equal beginnings and ends are taken off first, as comparing is quadratic."""
    start = 0
    shortest = min(len(old), len(new))
    while start < shortest and old[start] == new[start]:
        start += 1
    end = 0
    while end < shortest - start and old[-1 - end] == new[-1 - end]:
        end += 1
    old_end, new_end = len(old) - end, len(new) - end
    middle = _compare(old[start:old_end], new[start:new_end])
    return [
        ("equal", 0, start, 0, start),
        *((kind, a + start, b + start, c + start, d + start) for kind, a, b, c, d in middle),
        ("equal", old_end, len(old), new_end, len(new)),
    ]


def _compare(old: list[str], new: list[str]) -> list[_Opcode]:
    if not old or not new or len(old) * len(new) > _MAX_COMPARISON:
        return [("replace", 0, len(old), 0, len(new))]
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    return [(kind, i1, i2, j1, j2) for kind, i1, i2, j1, j2 in matcher.get_opcodes()]


def _groups(codes: list[_Opcode]) -> Iterator[list[_Opcode]]:
    """Changes with their context; those that are close share a group."""
    group: list[_Opcode] = []
    for index, (kind, i1, i2, j1, j2) in enumerate(codes):
        if kind != "equal":
            group.append((kind, i1, i2, j1, j2))
            continue
        length = i2 - i1
        is_last = index == len(codes) - 1
        if group and (is_last or length > 2 * _CONTEXT):
            kept = min(_CONTEXT, length)
            yield [*group, ("equal", i1, i1 + kept, j1, j1 + kept)]
            group = []
        if is_last:
            return
        kept = length if group else min(_CONTEXT, length)
        group.append(("equal", i2 - kept, i2, j2 - kept, j2))
