"""The built-in tools for single files: `fs_read`, `fs_write`, `fs_edit`, `fs_multi_edit`.

They run in the server's process and reach files through `beneath` only. A change is made only to
what the agent has seen: each read and write remembers the file's digest in the journal, and a file
whose digest is another by now has to be read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field

from longhouse.protocol.events import JsonObject
from longhouse.runtime.attachments import PREFIX as ATTACHED
from longhouse.runtime.attachments import Attachment, described, media_type_of
from longhouse.runtime.tools import text
from longhouse.runtime.tools.base import ToolContext, ToolFailed, ToolResult, tool
from longhouse.runtime.tools.beneath import Beneath, Content, digest
from longhouse.runtime.tools.outputs import PREFIX

_LONGEST_LINE = 2_000  # characters shown of one
_NEAREST = 3  # places named when a text to replace is not there
_MAX_FUZZY_LINES = 5_000  # looked through for something similar
_MOST_EDITS = 100  # of one call

PathArgument = Annotated[str, Field(description="Path in the workspace, such as src/app.py")]


class Edit(BaseModel):
    """One replacement, as the model writes it."""

    model_config = ConfigDict(extra="forbid")

    old: Annotated[
        str, Field(description="The exact text to replace, with its indentation; it occurs once")
    ]
    new: Annotated[str, Field(description="What takes its place")]
    replace_all: Annotated[bool, Field(description="Replace every occurrence")] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change:
    """A file before and after, not written yet."""

    path: str
    before: Content | None
    after: str

    @property
    def diff(self) -> str:
        before = None if self.before is None else text.decode(self.before.data)
        return text.unified_diff(self.path, before, self.after)


@tool(reads_only=True, subject="path")
def fs_read(
    ctx: ToolContext,
    path: PathArgument,
    offset: Annotated[int, Field(ge=1, description="First line to show, from 1")] = 1,
    limit: Annotated[int, Field(ge=1, description="How many lines to show")] = 2000,
) -> ToolResult:
    """Read a text file of the workspace, or an earlier result that was cut, with line numbers.

    Look at a picture (PNG, JPEG, GIF, WebP) or a PDF, if you can be shown it.
    """
    if path.startswith(ATTACHED):
        return _attached(ctx, path.removeprefix(ATTACHED))
    if path.startswith(PREFIX):
        whole = _lines_that_fit(_output(ctx, path.removeprefix(PREFIX)))
        return ToolResult(content=_numbered(whole, offset=offset, limit=limit))
    with Beneath(ctx.workspace) as workspace:
        content = workspace.read(path)
        name = workspace.relative(path)
    if media_type_of(content.data) is not None:
        return _looked_at(ctx, name, content)
    if text.is_binary(content.data):
        raise ToolFailed(
            f"{path} is binary ({len(content.data):,} bytes). Use bash_run with file or xxd."
        )
    shown = _numbered(text.decode(content.data), offset=offset, limit=limit)
    return ToolResult(content=shown, files={name: content.digest})


async def _preview_write(ctx: ToolContext, arguments: JsonObject) -> str:
    change = await asyncio.to_thread(
        _written, ctx, str(arguments["path"]), str(arguments["content"])
    )
    return change.diff


@tool(reads_only=False, subject="path", preview=_preview_write)
def fs_write(
    ctx: ToolContext,
    path: PathArgument,
    content: Annotated[str, Field(description="The whole new content")],
) -> ToolResult:
    """Write a whole file; missing directories are made.

    A file that exists must have been read before, and is replaced. Use fs_edit for small changes.
    """
    change = _written(ctx, path, content)
    verb = "Created" if change.before is None else "Wrote"
    count = len(text.lines_of(change.after))
    return _apply(ctx, change, f"{verb} {change.path} ({count} lines).")


async def _preview_edit(ctx: ToolContext, arguments: JsonObject) -> str:
    edit = Edit.model_validate({name: arguments[name] for name in Edit.model_fields})
    change, _ = await asyncio.to_thread(_edited, ctx, str(arguments["path"]), [edit])
    return change.diff


@tool(reads_only=False, subject="path", preview=_preview_edit)
def fs_edit(
    ctx: ToolContext,
    path: PathArgument,
    old: Annotated[
        str, Field(description="The exact text to replace, with its indentation; it occurs once")
    ],
    new: Annotated[str, Field(description="What takes its place")],
    replace_all: Annotated[bool, Field(description="Replace every occurrence")] = False,
) -> ToolResult:
    """Replace a text in a file that was read before. Line numbers of fs_read are not part of it."""
    change, count = _edited(ctx, path, [Edit(old=old, new=new, replace_all=replace_all)])
    return _apply(ctx, change, f"Edited {change.path} in {_places(count)}.")


async def _preview_multi_edit(ctx: ToolContext, arguments: JsonObject) -> str:
    edits = cast("list[Edit]", arguments["edits"])  # as `validate` made them
    change, _ = await asyncio.to_thread(_edited, ctx, str(arguments["path"]), edits)
    return change.diff


@tool(reads_only=False, subject="path", preview=_preview_multi_edit)
def fs_multi_edit(
    ctx: ToolContext,
    path: PathArgument,
    edits: Annotated[
        list[Edit],
        Field(
            min_length=1,
            max_length=_MOST_EDITS,
            description="In their order: each is made on what the ones before it left",
        ),
    ],
) -> ToolResult:
    """Replace several texts in one file that was read before: all of them, or none."""
    change, count = _edited(ctx, path, edits)
    words = f"Made {len(edits)} edits of {change.path} in {_places(count)}."
    return _apply(ctx, change, words)


# --- reading --------------------------------------------------------------------------------------


def _numbered(content: str, *, offset: int, limit: int) -> str:
    """Lines with their numbers, as many as fit, and how to see the rest."""
    lines = text.lines_of(content)
    if not lines:
        return "(The file is empty.)"
    if offset > len(lines):
        raise ToolFailed(f"The file has {len(lines)} lines; offset {offset} is behind its end.")
    shown: list[str] = []
    size = 0
    for number, line in enumerate(lines[offset - 1 : offset - 1 + limit], start=offset):
        entry = f"{number:>6}\t{_short(line.rstrip(chr(10)).rstrip(chr(13)))}"
        size += len(entry) + 1
        if shown and size > text.OUTPUT_LIMIT:
            break
        shown.append(entry)
    last = offset + len(shown) - 1
    if last < len(lines):
        shown.append(f"(Lines {offset}-{last} of {len(lines)}; go on with offset={last + 1}.)")
    if text.ends_in_crlf(content):
        shown.append("(Lines end with CRLF; fs_edit and fs_write keep that.)")
    return "\n".join(shown)


def _output(ctx: ToolContext, call_id: str) -> str:
    found = ctx.outputs.read(ctx.agent_id, call_id)
    if found is None:
        raise ToolFailed(
            f"Nothing is kept of a call {call_id!r} of yours: only results that were cut are, and "
            f"the oldest go first. For a file of that name, write ./{PREFIX}{call_id}."
        )
    return found


def _lines_that_fit(content: str) -> str:
    """The same with long lines broken, as no other tool could show the rest of one."""
    lines = content.split("\n")
    if all(len(line) <= _LONGEST_LINE for line in lines):
        return content
    return "\n".join(
        line[at : at + _LONGEST_LINE]
        for line in lines
        for at in range(0, max(len(line), 1), _LONGEST_LINE)
    )


def _short(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    return f"{line[:_LONGEST_LINE]} (… {len(line) - _LONGEST_LINE:,} more characters)"


def _looked_at(ctx: ToolContext, name: str, content: Content) -> ToolResult:
    """A picture or a PDF as an attachment of the result."""
    attachment = Attachment(content.data, name)
    if len(content.data) > ctx.most_attachment_bytes:
        raise ToolFailed(
            f"{name} is {described(attachment.attached)}, and at most "
            f"{ctx.most_attachment_bytes:,} bytes can be shown. Make a smaller one of it first."
        )
    return ToolResult(
        content=described(attachment.attached),
        files={name: content.digest},
        attachments=(attachment,),
    )


def _attached(ctx: ToolContext, short: str) -> ToolResult:
    found = [one for digest, one in ctx.attachments.items() if digest.startswith(short) and short]
    if len(found) != 1:
        raise ToolFailed(
            f"Nothing that {short!r} names was attached here. For a file of that name, write "
            f"./{ATTACHED}{short}."
        )
    return ToolResult(content=described(found[0]), attachments=found)


# --- changing -------------------------------------------------------------------------------------


def _written(ctx: ToolContext, path: str, content: str) -> _Change:
    """The change that `fs_write` makes. Raises `ToolFailed` where it must not be made."""
    with Beneath(ctx.workspace) as workspace:
        name = workspace.relative(path)
        before = workspace.read_if_exists(path)
    if before is not None:
        _refuse_unseen(ctx, name, before)
        if text.ends_in_crlf(text.decode(before.data)):
            content = text.to_crlf(content)
    return _Change(path=name, before=before, after=content)


def _edited(ctx: ToolContext, path: str, edits: Sequence[Edit]) -> tuple[_Change, int]:
    """The change that all edits together make, and in how many places. Nothing is written."""
    with Beneath(ctx.workspace) as workspace:
        name = workspace.relative(path)
        before = workspace.read(path)
    _refuse_unseen(ctx, name, before)
    after = text.decode(before.data)
    is_crlf = text.ends_in_crlf(after)
    places = 0
    for number, edit in enumerate(edits, start=1):
        try:
            after, count = _replaced(path, after, edit, is_crlf=is_crlf)
        except ToolFailed as failed:
            if len(edits) == 1:
                raise
            raise ToolFailed(
                f"Edit {number} of {len(edits)} cannot be made, so none was: {failed}",
                retryable=failed.retryable,
            ) from None
        places += count
    return _Change(path=name, before=before, after=after), places


def _replaced(path: str, content: str, edit: Edit, *, is_crlf: bool) -> tuple[str, int]:
    """The text after one edit, and in how many places it differs."""
    old, new = edit.old, edit.new
    if not old:
        raise ToolFailed("`old` is empty. Give the text to replace, or use fs_write.")
    if old == new:
        raise ToolFailed("`old` and `new` are the same: nothing would change.")
    if is_crlf:
        old, new = text.to_crlf(old), text.to_crlf(new)
    count = content.count(old)
    if count == 0:
        raise ToolFailed(f"`old` is not in {path}. {_nearest(content, old)}", retryable=True)
    if count > 1 and not edit.replace_all:
        raise ToolFailed(
            f"`old` occurs {count} times in {path} (lines {_lines_with(content, old)}). Give more "
            "of the text around the one you mean, or set replace_all.",
            retryable=True,
        )
    return content.replace(old, new), count


def _places(count: int) -> str:
    return "1 place" if count == 1 else f"{count} places"


def _refuse_unseen(ctx: ToolContext, name: str, present: Content) -> None:
    seen = ctx.seen.get(name)
    if seen == present.digest:
        return
    if seen is None:
        raise ToolFailed(
            f"{name} exists and you have not read it. Read it with fs_read first.", retryable=True
        )
    raise ToolFailed(
        f"{name} has changed since you read it. Read it again with fs_read, then repeat the change "
        "on what is there now.",
        retryable=True,
    )


def _apply(ctx: ToolContext, change: _Change, words: str) -> ToolResult:
    data = text.encode(change.after)
    with Beneath(ctx.workspace) as workspace:
        workspace.write(change.path, data, mode=change.before.mode if change.before else None)
    return ToolResult(content=words, diff=change.diff, files={change.path: digest(data)})


# --- helping with a text that is not there --------------------------------------------------------


def _lines_with(content: str, old: str) -> str:
    numbers: list[str] = []
    at = content.find(old)
    while at >= 0 and len(numbers) < 10:
        numbers.append(str(content.count("\n", 0, at) + 1))
        at = content.find(old, at + len(old))
    return ", ".join(numbers)


def _nearest(content: str, old: str) -> str:
    """Where something like `old` stands, for the model to compare."""
    lines = content.split("\n")
    wanted = [line.strip() for line in old.strip("\r\n").split("\n")]
    stripped = [line.strip() for line in lines]
    for start in range(len(lines) - len(wanted) + 1):
        if stripped[start : start + len(wanted)] == wanted:
            place = _place(start + 1, start + len(wanted))
            return f"{place} differ from it only in white space: copy them exactly."
    similar = _similar(lines, next((line for line in wanted if line), ""))
    if not similar:
        return "Nothing like it is there: read the file again."
    found = "\n".join(f"{number:>6}\t{_short(lines[number - 1])}" for number in similar)
    return f"Most like its first line are:\n{found}"


def _similar(lines: list[str], wanted: str) -> list[int]:
    """Numbers of the lines most like `wanted`, in the order of the file."""
    matcher = SequenceMatcher(None, b=wanted)
    scores: list[tuple[float, int]] = []
    for number, line in enumerate(lines[:_MAX_FUZZY_LINES], start=1):
        matcher.set_seq1(line.strip()[:_LONGEST_LINE])
        # The quick bound spares the real comparison for nearly every line.
        if matcher.real_quick_ratio() > 0.6 and matcher.quick_ratio() > 0.6:
            scores.append((matcher.ratio(), number))
    best = sorted(scores, reverse=True)[:_NEAREST]
    return sorted(number for score, number in best if score > 0.6)


def _place(first: int, last: int) -> str:
    return f"Line {first}" if first == last else f"Lines {first}-{last}"
