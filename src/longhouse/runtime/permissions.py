"""Whether a tool call may run: a pure decision over a post's mode and rules.

Called by the turn loop for every call. Deny beats allow beats ask beats mode, so the order of rules
does not matter and a later edit cannot quietly shadow a denial. It is a courtesy to people, not a
security boundary: that is the sandbox.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from longhouse.protocol.events import JsonObject
from longhouse.runtime.posts import Mode, Permissions, Rule, Verdict
from longhouse.runtime.tools.base import Tool

PRECEDENCE = (Verdict.DENY, Verdict.ALLOW, Verdict.ASK)

_STRICTNESS = {Verdict.ALLOW: 0, Verdict.ASK: 1, Verdict.DENY: 2}

# What a mode says of tools that only read, that do more, and of which nobody said.
_MODES: dict[Mode, dict[bool | None, Verdict]] = {
    Mode.AUTO: {True: Verdict.ALLOW, False: Verdict.ALLOW, None: Verdict.ALLOW},
    Mode.ASK: {True: Verdict.ALLOW, False: Verdict.ASK, None: Verdict.ASK},
    Mode.READ_ONLY: {True: Verdict.ALLOW, False: Verdict.DENY, None: Verdict.ASK},
}

_PATTERN = re.compile(r"(?P<tool>[^()\s]+)(?:\((?P<subject>.*)\))?\Z", re.DOTALL)

# What joins or nests commands. `bash_run(git *)` must not allow `git status; rm -rf .`.
_SHELL_CONTROL = re.compile(r"[;&|<>`\n\r]|\$\(|\$\{")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and where it comes from, in words for a person."""

    verdict: Verdict
    reason: str


def judge(
    permissions: Permissions, tool: Tool, arguments: JsonObject, *, workspace: Path
) -> Judgement:
    """What the post says of this call; within other permissions, the stricter of both."""
    own = _judge_alone(permissions, tool, _subject(tool, arguments, workspace))
    if permissions.within is None:
        return own
    outer = judge(permissions.within, tool, arguments, workspace=workspace)
    return max(own, outer, key=lambda judgement: _STRICTNESS[judgement.verdict])


def _judge_alone(permissions: Permissions, tool: Tool, subject: str) -> Judgement:
    for verdict in PRECEDENCE:
        for rule in permissions.rules:
            if rule.verdict is verdict and _matches(rule, tool, subject):
                return Judgement(verdict, f"rule: {verdict} {rule.pattern}")
    return _by_mode(permissions.mode, tool)


def check_pattern(pattern: str) -> None:
    """Raises `ValueError`, with the right form, when a rule's pattern cannot match anything."""
    if _PATTERN.match(pattern) is None:
        raise ValueError(
            f"{pattern!r} is not a pattern: write a tool name, or a tool name with a glob over its "
            "main argument in brackets, such as bash_run(git *) or fs_write(docs/**)"
        )


def _by_mode(mode: Mode, tool: Tool) -> Judgement:
    return Judgement(_MODES[mode][tool.reads_only], f"mode: {mode}")


def _subject(tool: Tool, arguments: JsonObject, workspace: Path) -> str:
    """The main argument as patterns see it; a path by where it leads, from the workspace."""
    value = str(arguments.get(tool.subject, "")) if tool.subject else ""
    if tool.subject != "path":
        return value
    path = posixpath.normpath(value)
    inside = posixpath.normpath(workspace) + "/"
    return path.removeprefix(inside)


def _matches(rule: Rule, tool: Tool, subject: str) -> bool:
    name, pattern = _split(rule.pattern)
    if not fnmatchcase(tool.name, name):
        return False
    if pattern is None:
        return True
    nested = tool.subject == "command" and _SHELL_CONTROL.search(subject)
    if nested and rule.verdict is Verdict.ALLOW:
        return False
    return fnmatchcase(subject, pattern)


@lru_cache(maxsize=4096)
def _split(pattern: str) -> tuple[str, str | None]:
    found = _PATTERN.match(pattern)
    return (found["tool"], found["subject"]) if found else (pattern, None)
