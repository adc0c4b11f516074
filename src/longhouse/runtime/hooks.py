"""Hooks: an embedder's say before and after each tool call and each model call.

    class NoFridayDeploys(Hook):
        async def before_tool(self, call):
            if call.name == "deploy" and is_friday():
                return Deny("Not on a Friday.")

Called by the turn loop in the order they were given. A post's deny rules are stronger than any
hook. Hooks see one call and change nothing but that call; what they made of an answer or a result
is what the journal keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar

from longhouse.protocol.events import JsonObject
from longhouse.runtime.model import ModelRequest, ModelResponse
from longhouse.runtime.tools.base import ToolResult

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolUse:
    """A tool call as hooks see it."""

    agent_id: str
    call_id: str
    name: str
    arguments: JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelUse:
    """A model call as hooks see it."""

    agent_id: str
    model: str  # its name
    request: ModelRequest


@dataclass(frozen=True, slots=True)
class Allow:
    """Run the tool, whatever mode and rules say, but for one that denies."""


@dataclass(frozen=True, slots=True)
class Deny:
    """Do not run the tool: the note goes to the model. Do not call the model: the turn fails."""

    note: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A person decides whether the tool runs; the reason is shown to them."""

    reason: str


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """Go on with this: arguments of a tool, which later hooks and rules judge, or a request."""

    to: T


@dataclass(frozen=True, slots=True)
class Supply(Generic[T]):
    """Here is the result or the answer: the tool does not run, the model is not called."""

    result: T


BeforeTool: TypeAlias = Allow | Deny | Ask | Change[JsonObject] | Supply[ToolResult] | None
"""What a hook says before a tool. None: no opinion."""

BeforeModel: TypeAlias = Deny | Change[ModelRequest] | Supply[ModelResponse] | None
"""What a hook says before a model call. None: no opinion."""


class Hook:
    """Override what you need."""

    async def before_tool(self, call: ToolUse) -> BeforeTool:
        """Asked before the rules. The first opinion other than `Change` stands."""
        return None

    async def after_tool(self, call: ToolUse, result: ToolResult) -> ToolResult:
        """May replace a result. Each hook gets what the one before it made."""
        return result

    async def before_model(self, call: ModelUse) -> BeforeModel:
        """Asked once for each call, however often it is tried. The first other than `Change`
        stands. What is changed holds for this call; the journal keeps what was said."""
        return None

    async def after_model(self, call: ModelUse, response: ModelResponse) -> ModelResponse:
        """May replace an answer, but not what it used. Each hook gets what the one before made.

        Where any hook has this, answers are not shown live: they may not be what they seem.
        """
        return response


async def ask_before_tool(
    hooks: Sequence[Hook], call: ToolUse
) -> tuple[ToolUse, Allow | Deny | Ask | Supply[ToolResult] | None]:
    """The call, perhaps with changed arguments, and the hooks' opinion."""
    for hook in hooks:
        opinion = await hook.before_tool(call)
        if isinstance(opinion, Change):
            call = replace(call, arguments=opinion.to)
        elif opinion is not None:
            return call, opinion
    return call, None


async def apply_after_tool(hooks: Sequence[Hook], call: ToolUse, result: ToolResult) -> ToolResult:
    """The result after every hook has had it."""
    for hook in hooks:
        result = await hook.after_tool(call, result)
    return result


async def ask_before_model(
    hooks: Sequence[Hook], call: ModelUse
) -> tuple[ModelUse, Deny | Supply[ModelResponse] | None]:
    """The call, perhaps with a changed request, and the hooks' opinion."""
    for hook in hooks:
        opinion = await hook.before_model(call)
        if isinstance(opinion, Change):
            call = replace(call, request=opinion.to)
        elif opinion is not None:
            return call, opinion
    return call, None


async def apply_after_model(
    hooks: Sequence[Hook], call: ModelUse, response: ModelResponse
) -> ModelResponse:
    """The answer after every hook has had it, with what the vendor counted."""
    answer = response
    for hook in hooks:
        answer = await hook.after_model(call, answer)
    return replace(answer, usage=response.usage, model=response.model)


def may_replace_answers(hooks: Sequence[Hook]) -> bool:
    """Whether any hook has a say after a model call."""
    return any(type(hook).after_model is not Hook.after_model for hook in hooks)
