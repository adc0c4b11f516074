"""Hooks: an embedder's say before and after each tool call.

    class NoFridayDeploys(Hook):
        async def before_tool(self, call):
            if call.name == "deploy" and is_friday():
                return Deny("Not on a Friday.")

Called by the turn loop in the order they were given. A post's deny rules are stronger than any
hook. Hooks see one call and change nothing but that call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from longhouse.protocol.events import JsonObject
from longhouse.runtime.tools.base import ToolResult


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolUse:
    """A tool call as hooks see it."""

    agent_id: str
    call_id: str
    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class Allow:
    """Run it, whatever mode and ask rules say."""


@dataclass(frozen=True, slots=True)
class Deny:
    """Do not run it; the note goes to the model."""

    note: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A person decides; the reason is shown to them."""

    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """Go on with these arguments; later hooks and rules judge them."""

    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class Supply:
    """Here is the result: the tool does not run."""

    result: ToolResult


Before: TypeAlias = Allow | Deny | Ask | Supply | Change | None
"""What a hook says before a tool. None: no opinion."""


class Hook:
    """Override what you need."""

    async def before_tool(self, call: ToolUse) -> Before:
        """Asked before the rules. The first opinion other than `Change` stands."""
        return None

    async def after_tool(self, call: ToolUse, result: ToolResult) -> ToolResult:
        """May replace a result. Each hook gets what the one before it made."""
        return result


async def ask_before(
    hooks: Sequence[Hook], call: ToolUse
) -> tuple[ToolUse, Allow | Deny | Ask | Supply | None]:
    """The call, perhaps with changed arguments, and the hooks' opinion."""
    for hook in hooks:
        opinion = await hook.before_tool(call)
        if isinstance(opinion, Change):
            call = replace(call, arguments=opinion.arguments)
        elif opinion is not None:
            return call, opinion
    return call, None


async def apply_after(hooks: Sequence[Hook], call: ToolUse, result: ToolResult) -> ToolResult:
    """The result after every hook has had it."""
    for hook in hooks:
        result = await hook.after_tool(call, result)
    return result
