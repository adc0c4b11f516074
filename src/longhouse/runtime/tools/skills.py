"""The built-in tool `skills`: instructions for some kind of work, read when they are needed.

A skill is a folder with a SKILL.md, whose front matter has a name and a description. They are
found in `.skills` of the workspace and in the folders that the house names; of two with the same
name the house's counts, so that a repository cannot put its own in its place. The turn loop calls
`find` as well, to tell of new ones.
"""

from __future__ import annotations

import asyncio
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from longhouse.runtime.tools import text
from longhouse.runtime.tools.base import ToolContext, ToolFailed, printable, tool
from longhouse.runtime.tools.beneath import Beneath

IN_WORKSPACE = ".skills"
"""The folder of a workspace's own skills."""

_FILE = "SKILL.md"
_MOST = 200  # skills of one folder
_MOST_FILES = 200  # listed of one skill
_LARGEST = 1 << 20  # bytes of a SKILL.md
_LONGEST_DESCRIPTION = 1024  # characters
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_ENTRY = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):[ \t]*(.*)\Z")
_BLOCKS = {"", "|", ">", "|-", ">-", "|+", ">+"}  # the value is in the indented lines that follow


@dataclass(frozen=True, kw_only=True, slots=True)
class Skill:
    """A skill that was found."""

    name: str
    description: str
    source: Literal["house", "workspace"]
    root: Path  # the folder it was found below, absolute
    folder: str  # its own, from there


@dataclass(frozen=True, slots=True)
class Found:
    """The skills of a workspace and its house, and which folders are none for what reason."""

    skills: tuple[Skill, ...]
    problems: tuple[str, ...]


class _NoSkill(Exception):
    """A folder is no skill; the text says why."""


def find(workspace: Path, house: Sequence[Path]) -> Found:
    """All skills, by name. Blocks."""
    skills: dict[str, Skill] = {}
    problems: list[str] = []
    places: list[tuple[Path, str, Literal["house", "workspace"]]] = [
        *((folder, ".", "house") for folder in house),
        (workspace, IN_WORKSPACE, "workspace"),
    ]
    for root, below, source in places:
        for found in _below(root, below, source):
            if isinstance(found, Skill):
                skills.setdefault(found.name, found)
            else:
                problems.append(found)
    return Found(tuple(skills[name] for name in sorted(skills)), tuple(problems))


@tool(reads_only=True, subject="name")
async def skills(
    ctx: ToolContext,
    name: Annotated[str, Field(description="The skill to load; left out: list them all")] = "",
    file: Annotated[str, Field(description="Another file of the skill, by its path in it")] = "",
) -> str:
    """List the skills there are, or load one: instructions for a kind of work.

    Look here before work that others may have described how to do.
    """
    found = await asyncio.to_thread(find, ctx.workspace, ctx.skills)
    if not name:
        return _listed(found)
    skill = next((each for each in found.skills if each.name == name), None)
    if skill is None:
        known = ", ".join(each.name for each in found.skills) or "none"
        raise ToolFailed(f"There is no skill {name!r}. There are: {known}.")
    return await asyncio.to_thread(_load, skill, file)


# --- finding --------------------------------------------------------------------------------------


def _below(root: Path, below: str, source: Literal["house", "workspace"]) -> Iterator[Skill | str]:
    """The skills in the folders right below a place, and what is wrong with the others."""
    try:
        opened = Beneath(root)
    except OSError:
        return
    with opened as inside:
        for entry in inside.walk(below, skip=frozenset({".git"}), limit=_MOST, depth=1):
            path = f"{entry.path}/{_FILE}"
            if not entry.is_folder or (data := inside.peek(path, limit=_LARGEST)) is None:
                continue
            try:
                yield _skill(text.decode(data), root, entry.path, source)
            except _NoSkill as problem:
                yield f"{path}: {problem}"


def _skill(content: str, root: Path, folder: str, source: Literal["house", "workspace"]) -> Skill:
    """Raises `_NoSkill`."""
    head, _ = _split(content)
    name = head.get("name", posixpath.basename(folder))
    description = " ".join(printable(head.get("description", "")).split())
    if _NAME.match(name) is None:
        raise _NoSkill(f"{printable(name)[:80]!r} cannot be a skill's name")
    if not description:
        raise _NoSkill("its front matter has no description")
    return Skill(
        name=name,
        description=description[:_LONGEST_DESCRIPTION],
        source=source,
        root=root,
        folder=folder,
    )


def _split(content: str) -> tuple[dict[str, str], str]:
    """Front matter and body. Of YAML only texts are understood: plain, quoted, and in blocks."""
    lines = content.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}, content
    end = next((at for at, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        return {}, content
    head: dict[str, str] = {}
    key = ""
    for line in lines[1:end]:
        if (entry := _ENTRY.match(line)) is not None:
            key, value = entry[1], entry[2].strip()
            head[key] = "" if value in _BLOCKS else _unquoted(value)
        elif key and line[:1].isspace():
            head[key] = f"{head[key]} {line.strip()}".strip()
    return head, "\n".join(lines[end + 1 :]).strip("\n")


def _unquoted(value: str) -> str:
    is_quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value


# --- telling --------------------------------------------------------------------------------------


def _listed(found: Found) -> str:
    lines = [f"- {skill.name}: {skill.description}" for skill in found.skills]
    lines = lines or ["There are no skills here."]
    lines += [f"(Left out: {problem}.)" for problem in found.problems]
    return "\n".join(lines)


def _load(skill: Skill, file: str) -> str:
    """The instructions of a skill and what lies beside them, or another of its files."""
    wanted = posixpath.normpath(f"{skill.folder}/{file or _FILE}")
    if not wanted.startswith(f"{skill.folder}/"):
        raise ToolFailed(f"{file} is not a file of the skill {skill.name}.")
    with Beneath(skill.root) as inside:
        data = inside.read(wanted).data
        beside = [
            entry.path.removeprefix(f"{skill.folder}/")
            for entry in inside.walk(skill.folder, skip=frozenset({".git"}), limit=_MOST_FILES)
            if entry.is_file and entry.name != _FILE
        ]
    if text.is_binary(data):
        raise ToolFailed(f"{file} is binary ({len(data):,} bytes).")
    if file:
        return printable(text.decode(data))
    _, body = _split(text.decode(data))
    where = f"its folder is {skill.folder}" if skill.source == "workspace" else "of the house"
    parts = [f"# Skill {skill.name} ({where})", body]
    if beside:
        parts.append(f"Its other files, to be read with `file`: {', '.join(beside)}")
    return printable("\n\n".join(parts))
