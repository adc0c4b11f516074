"""Whether a tool call may run: one pure decision over a post's mode and rules.

Called by the turn loop for every call. The strongest word counts:

    1. a rule that denies          of the post, or of whoever delegated
    2. what the embedder's hooks say
    3. a rule that allows
    4. a rule that asks
    5. the mode

Within one of these, rules are read in the order of the list, and the first that matches is the
reason that people are told. So a later edit can neither shadow a denial nor loosen it, wherever it
stands. All this is a courtesy to people, not a security boundary: that is the sandbox.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from longhouse.protocol.events import JsonObject
from longhouse.runtime.hooks import Allow, Ask, Deny
from longhouse.runtime.posts import Mode, Permissions, Rule, Verdict
from longhouse.runtime.tools.base import Tool

PRECEDENCE = (Verdict.DENY, Verdict.ALLOW, Verdict.ASK)

SHORT_NAMES = {"bash": "bash_run"}
"""What people write in a rule for a tool with a longer name."""

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
_COMMAND_ENDS = re.compile(r"[;&|`()\n\r{}]+")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and where it comes from, in words for a person."""

    verdict: Verdict
    reason: str


def judge(
    permissions: Permissions,
    tool: Tool,
    arguments: JsonObject,
    *,
    workspace: Path,
    opinion: Allow | Deny | Ask | None = None,
) -> Judgement:
    """What becomes of this call. `opinion`: what the hooks said of it, if they had one."""
    subject = _subject(tool, arguments, workspace)
    if (denied := _denied(permissions, tool, subject)) is not None:
        return denied
    match opinion:
        case Deny(note):
            return Judgement(Verdict.DENY, note)
        case Ask(reason):
            return Judgement(Verdict.ASK, reason)
        case Allow():
            return Judgement(Verdict.ALLOW, "a hook allows it")
        case None:
            return _ruled(permissions, tool, subject)


def check_pattern(pattern: str) -> None:
    """Raises `ValueError`, with the right form, when a rule's pattern cannot match anything."""
    if _PATTERN.match(pattern) is None:
        raise ValueError(
            f"{pattern!r} is not a pattern: write a tool name, or a tool name with a glob over its "
            "main argument in brackets, such as bash_run(git *) or fs_write(docs/**)"
        )


def _denied(permissions: Permissions, tool: Tool, subject: str) -> Judgement | None:
    """The first rule that denies, of these permissions or of those they are within."""
    if (own := _by_rules(permissions, tool, subject, (Verdict.DENY,))) is not None:
        return own
    return None if permissions.within is None else _denied(permissions.within, tool, subject)


def _ruled(permissions: Permissions, tool: Tool, subject: str) -> Judgement:
    """What rules and mode say; within other permissions, the stricter of both."""
    own = _by_rules(permissions, tool, subject, PRECEDENCE) or _by_mode(permissions.mode, tool)
    if permissions.within is None:
        return own
    outer = _ruled(permissions.within, tool, subject)
    return max(own, outer, key=lambda judgement: _STRICTNESS[judgement.verdict])


def _by_rules(
    permissions: Permissions, tool: Tool, subject: str, verdicts: Sequence[Verdict]
) -> Judgement | None:
    for verdict in verdicts:
        for rule in permissions.rules:
            if rule.verdict is verdict and _matches(rule, tool, subject):
                return Judgement(verdict, f"rule: {verdict} {rule.pattern}")
    return None


def _by_mode(mode: Mode, tool: Tool) -> Judgement:
    return Judgement(_MODES[mode][tool.reads_only], f"mode: {mode}")


def _subject(tool: Tool, arguments: JsonObject, workspace: Path) -> str:
    """The main argument as patterns see it; a path by where it leads, from the workspace."""
    value = str(arguments.get(tool.subject, "")) if tool.subject else ""
    if tool.subject != "path":
        return value
    root = posixpath.normpath(workspace)
    path = posixpath.normpath(posixpath.join(root, value))
    return "." if path == root else path.removeprefix(f"{root}/")


def _matches(rule: Rule, tool: Tool, subject: str) -> bool:
    name, pattern = _split(rule.pattern)
    if not fnmatchcase(tool.name, SHORT_NAMES.get(name, name)) and name != tool.name:
        return False
    if pattern is None:
        return True
    if tool.subject == "command":
        return _matches_command(rule.verdict, subject, pattern)
    return fnmatchcase(subject, pattern)


def _matches_command(verdict: Verdict, command: str, pattern: str) -> bool:
    """A rule that allows is about one plain command; the others about each that is in the line."""
    if verdict is Verdict.ALLOW:
        return _SHELL_CONTROL.search(command) is None and fnmatchcase(command, pattern)
    single = (part.strip() for part in _COMMAND_ENDS.split(command))
    return fnmatchcase(command, pattern) or any(fnmatchcase(part, pattern) for part in single)


@lru_cache(maxsize=4096)
def _split(pattern: str) -> tuple[str, str | None]:
    found = _PATTERN.match(pattern)
    return (found["tool"], found["subject"]) if found else (pattern, None)
