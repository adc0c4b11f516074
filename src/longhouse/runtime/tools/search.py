"""The built-in tools that find files and text: `fs_glob` and `fs_grep`.

They run in the server's process and reach files through `beneath` only. Patterns are matched by
RE2, in time linear in the text: no pattern a model writes can hang the server. Directories that
hold other people's code or build output are left out unless the call names them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import re2  # type: ignore[import-untyped]
from pydantic import Field

from longhouse.runtime.tools import text
from longhouse.runtime.tools.base import ToolContext, ToolFailed, tool
from longhouse.runtime.tools.beneath import Beneath

IGNORED = frozenset(
    {
        *(".git", ".hg", ".svn", "node_modules", ".venv", "venv", "__pycache__", ".tox", ".nox"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".cache", ".next", ".turbo", ".gradle"),
    }
)
"""Directories that are not searched unless a call names them."""

_MAX_ENTRIES = 100_000  # files and directories looked at in one call
_MAX_PATHS = 500  # shown by fs_glob
_MAX_MATCHES = 200  # lines shown by fs_grep
_MAX_SEARCHED_FILE = 4 << 20  # bytes; larger ones are data, not source
_MAX_SEARCHED = 256 << 20  # bytes of all files of one call
_LONGEST_LINE = 400  # characters shown of one


class _Match(Protocol):
    """What is used of a match; RE2 has no types of its own."""

    def start(self) -> int: ...


class _Regex(Protocol):
    """What is used of a compiled pattern."""

    def search(self, text: bytes, pos: int = 0) -> _Match | None: ...

    def fullmatch(self, text: bytes) -> object | None: ...


@tool(reads_only=True, subject="path")
def fs_glob(
    ctx: ToolContext,
    pattern: Annotated[
        str, Field(description="Such as **/*.py, src/*.{ts,tsx} or * (** crosses directories)")
    ],
    path: Annotated[str, Field(description="The directory to look in")] = ".",
) -> str:
    """List files whose path fits a pattern. Without ** directories are listed too."""
    with Beneath(ctx.workspace) as workspace:
        start = workspace.relative(path)
        if not workspace.is_directory(path):
            raise ToolFailed(f"{path} is a file. Give a directory, or read it with fs_read.")
        pattern = workspace.relative(pattern)
        fits = _compile(_glob_to_regex(pattern))
        crosses = "**" in pattern
        entries = workspace.walk(
            path,
            skip=_skipped(f"{start}/{pattern}"),
            limit=_MAX_ENTRIES,
            depth=None if crosses else pattern.count("/") + 1,
        )
        found = [
            f"{entry.path}/" if entry.is_folder else entry.path
            for entry in entries
            if not (crosses and entry.is_folder) and fits.fullmatch(_below(start, entry.path))
        ]
    if not found:
        return f"No file fits {pattern} in {path}."
    found.sort()
    rest = len(found) - _MAX_PATHS
    more = [f"({rest} more; use a narrower pattern.)"] if rest > 0 else []
    return "\n".join([*found[:_MAX_PATHS], *more])


@tool(reads_only=True, subject="path")
def fs_grep(
    ctx: ToolContext,
    pattern: Annotated[
        str, Field(description="Regular expression (RE2: no look-around, no back references)")
    ],
    path: Annotated[str, Field(description="A directory or one file of the workspace")] = ".",
    glob: Annotated[
        str | None, Field(description="Only files that fit, such as *.py or src/**/*.ts")
    ] = None,
    ignore_case: bool = False,
    context: Annotated[int, Field(ge=0, le=10, description="Lines shown around each match")] = 0,
) -> str:
    """Search the files of the workspace for a regular expression, line by line."""
    regex = _compile(f"(?m){pattern}", ignore_case=ignore_case)
    found = _Found()
    with Beneath(ctx.workspace) as workspace:
        for name in _candidates(workspace, path, glob):
            data = workspace.peek(name, limit=_MAX_SEARCHED_FILE)
            if data is None:
                found.left_out += 1
            elif not text.is_binary(data):
                numbers = _matching_lines(regex, data, limit=_MAX_MATCHES - found.matches)
                found.add(_block(name, data, numbers, context), matches=len(numbers))
                found.searched += len(data)
            if found.is_full:
                break
    return found.report(pattern, path)


# --- matching -------------------------------------------------------------------------------------


def _candidates(workspace: Beneath, path: str, glob: str | None) -> Iterator[str]:
    """The files to search: `path` itself, or what lies below it and fits."""
    start = workspace.relative(path)
    if not workspace.is_directory(path):
        yield start
        return
    # Without a slash a pattern is about the name, wherever the file is, as in other greps.
    by_name = glob is not None and "/" not in glob
    fits = _compile(_glob_to_regex(workspace.relative(glob))) if glob else None
    skip = _skipped(f"{start}/{glob or ''}")
    for entry in workspace.walk(path, skip=skip, limit=_MAX_ENTRIES):
        compared = _encoded(entry.name) if by_name else _below(start, entry.path)
        if entry.is_file and (fits is None or fits.fullmatch(compared)):
            yield entry.path


def _matching_lines(regex: _Regex, data: bytes, *, limit: int) -> list[int]:
    """Numbers, from 1, of the lines where a match begins."""
    numbers: list[int] = []
    number, counted, at = 1, 0, 0
    while len(numbers) < limit and at <= len(data):
        match = regex.search(data, at)
        if match is None or (match.start() == len(data) and data.endswith(b"\n")):
            break  # the second: an empty match behind the last line
        number += data.count(b"\n", counted, match.start())
        counted = match.start()
        numbers.append(number)
        end = data.find(b"\n", counted)
        if end < 0:
            break
        at = end + 1
    return numbers


def _block(name: str, data: bytes, numbers: list[int], context: int) -> list[str]:
    """The lines found in one file, as other greps show them: `:` for matches, `-` around them."""
    if not numbers:
        return []
    lines = data.removesuffix(b"\n").split(b"\n")
    matching = set(numbers)
    shown: list[str] = []
    last = 0
    for number in numbers:
        first = max(number - context, last + 1)
        if context and last and first > last + 1:
            shown.append("--")
        for each in range(first, min(number + context, len(lines)) + 1):
            mark = ":" if each in matching else "-"
            shown.append(f"{name}{mark}{each}{mark}{_short(lines[each - 1])}")
            last = each
    return shown


@dataclass(kw_only=True, slots=True)
class _Found:
    """What one search has found so far."""

    lines: list[str] = field(default_factory=list)
    size: int = 0  # characters of them
    matches: int = 0
    searched: int = 0  # bytes
    left_out: int = 0  # files too large to search

    @property
    def is_full(self) -> bool:
        return (
            self.matches >= _MAX_MATCHES
            or self.size >= text.OUTPUT_LIMIT
            or self.searched >= _MAX_SEARCHED
        )

    def add(self, lines: list[str], *, matches: int) -> None:
        self.lines += lines
        self.size += sum(len(line) + 1 for line in lines)
        self.matches += matches

    def report(self, pattern: str, path: str) -> str:
        shown = self.lines or [f"Nothing matches {pattern} in {path}."]
        if self.is_full:
            shown = [*shown, "(There may be more: narrow the pattern, path or glob.)"]
        if self.left_out:
            shown = [*shown, f"({self.left_out} files were too large or unreadable.)"]
        return "\n".join(shown)


def _short(line: bytes) -> str:
    decoded = line.removesuffix(b"\r").decode(errors="replace")
    if len(decoded) <= _LONGEST_LINE:
        return decoded
    return f"{decoded[:_LONGEST_LINE]} (… {len(decoded) - _LONGEST_LINE:,} more characters)"


# --- patterns -------------------------------------------------------------------------------------


def _compile(pattern: str, *, ignore_case: bool = False) -> _Regex:
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    try:
        # As bytes, so that offsets are those of the file and nothing is decoded.
        compiled: _Regex = re2.compile(text.encode(pattern), options)
    except re2.error as error:
        words = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ToolFailed(
            f"The pattern is not valid: {words}. It is RE2: no look-around, no back references."
        ) from None
    return compiled


def _glob_to_regex(pattern: str) -> str:
    """A glob as a regular expression: `**` crosses directories, `*` and `?` do not."""
    out: list[str] = []
    at = 0
    depth = 0  # of braces
    while at < len(pattern):
        rest = pattern[at:]
        char = rest[0]
        if rest.startswith("**/"):
            out.append("(?:.*/)?")
            at += 3
            continue
        if rest.startswith("**"):
            out.append(".*")
            at += 2
            continue
        closing = rest.find("]", 2)
        if char == "[" and closing > 0:
            inner = rest[1:closing].replace("\\", "\\\\").replace("[", "\\[")
            out.append(f"[^{inner[1:]}]" if inner[0] == "!" else f"[{inner}]")
            at += closing + 1
            continue
        if char == "{" and "}" in rest:
            depth += 1
            out.append("(?:")
        elif char == "}" and depth:
            depth -= 1
            out.append(")")
        elif char == "," and depth:
            out.append("|")
        else:
            out.append({"*": "[^/]*", "?": "[^/]"}.get(char) or re2.escape(char))
        at += 1
    return "".join(out)


def _skipped(named: str) -> frozenset[str]:
    """Which directories to leave out, unless the call names one of them itself."""
    return IGNORED - set(named.split("/"))


def _below(start: str, path: str) -> bytes:
    """A path as patterns see it: from where the search began."""
    return _encoded(path if start == "." else path.removeprefix(f"{start}/"))


def _encoded(path: str) -> bytes:
    """A path for RE2, which matches UTF-8 only: bytes of a name that are none become `?`."""
    return path.encode(errors="replace")
