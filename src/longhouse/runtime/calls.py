"""One tool call: judged before it runs, run, and turned into the events that tell of it.

Called by the agent for each call of an answer. It writes nothing itself: what it returns are event
bodies, and the agent journals them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from msgspec.structs import replace

from longhouse.kit.errors import LonghouseError
from longhouse.protocol.events import (
    Body,
    ErrorRaised,
    JsonObject,
    Outcome,
    PermissionRequired,
    Severity,
    Todo,
    TodoChanged,
    ToolCall,
    ToolEnd,
    ToolExecuted,
    ToolStart,
)
from longhouse.runtime.answers import TAKEN
from longhouse.runtime.attachments import Attachment, blobs_of
from longhouse.runtime.hooks import Allow, Hook, Supply, ToolUse, apply_after_tool, ask_before_tool
from longhouse.runtime.permissions import judge
from longhouse.runtime.posts import Post, Verdict
from longhouse.runtime.sandbox.base import SandboxRefused
from longhouse.runtime.tasks import being_cancelled
from longhouse.runtime.tools.base import (
    InvalidArguments,
    Tool,
    ToolContext,
    ToolFailed,
    ToolResult,
)

logger = logging.getLogger(__name__)

SEALED = (
    "This call was cut off: the process that ran it stopped. It may have happened, wholly or in "
    "part. Look at the present state before you do it again."
)
STOPPED = "Stopped by a person before it ended. It may have happened in part."
NEVER_STARTED = "Stopped by a person before it began. It did not run."
GIVEN_UP = "The turn broke off and was given up before this call began. It did not run."


Blobs: TypeAlias = Mapping[str, bytes]
"""Digest -> bytes."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of a call before it runs."""

    arguments: JsonObject  # what it runs with: a hook may have changed them
    bodies: tuple[Body, ...] = ()  # empty: it may run now
    blobs: Blobs = field(default_factory=dict)  # of what the bodies say is attached


@dataclass(frozen=True, slots=True)
class Executed:
    """What is known of a call after it ran."""

    bodies: tuple[Body, ...]
    blobs: Blobs = field(default_factory=dict)


async def assess(
    asked: ToolCall,
    *,
    post: Post,
    tools: Mapping[str, Tool],
    hooks: Sequence[Hook],
    context: ToolContext,
) -> Judged:
    """Whether a call may run: schema, hooks and rules, in this order."""
    arguments = asked.arguments
    tool = tools.get(asked.name) if asked.name in post.tools else None
    if tool is None:
        return Judged(arguments, (_unknown_tool(asked, post),))
    if invalid := _invalid(tool, asked):
        return Judged(arguments, (invalid,))
    try:
        use, opinion = await ask_before_tool(hooks, _use(asked, arguments, context))
    except Exception as error:  # an embedder's code; a guard that fails must not let pass
        logger.exception("a hook failed before tool %s", asked.name)
        return Judged(arguments, (_denied(asked, f"a hook failed: {_words(error)}"),))
    arguments = use.arguments
    supplied = opinion.result if isinstance(opinion, Supply) else None
    judgement = judge(
        post.permissions,
        tool,
        arguments,
        workspace=context.workspace,
        opinion=Allow() if isinstance(opinion, Supply) else opinion,
    )
    match judgement.verdict:
        case Verdict.DENY:
            return Judged(arguments, (_denied(asked, judgement.reason),))
        case Verdict.ASK:
            return Judged(arguments, (await _required(tool, use, judgement.reason, context),))
        case Verdict.ALLOW if supplied is not None:
            start = ToolStart(call_id=asked.call_id, name=asked.name)
            ended = _ended(asked, Outcome.OK, supplied)
            return Judged(arguments, (start, ended), _blobs(supplied))
        case Verdict.ALLOW:
            return Judged(arguments)


async def execute(
    tool: Tool,
    asked: ToolCall,
    arguments: JsonObject,
    *,
    hooks: Sequence[Hook],
    context: ToolContext,
) -> Executed:
    """Run a call to its end. Whatever the tool raises becomes a failed result."""
    began = context.clock.monotonic()
    problem: ErrorRaised | None = None
    todos: tuple[Todo, ...] | None = None
    blobs: Blobs = {}
    try:
        result = await _run(tool, arguments, hooks, _use(asked, arguments, context), context)
        end, todos, blobs = _ended(asked, Outcome.OK, result), result.todos, _blobs(result)
    except InvalidArguments as error:  # a hook or a person changed them for the worse
        end = _failed(asked, Outcome.INVALID, str(error))
    except ToolFailed as error:
        end = _failed(asked, Outcome.ERROR, str(error), retryable=error.retryable)
        problem = _warning(asked, str(error))
    except TimeoutError:
        text = f"{asked.name} did not end within {tool.timeout or 0:g} seconds and was stopped."
        end, problem = _failed(asked, Outcome.ERROR, text, retryable=True), _warning(asked, text)
    except SandboxRefused as error:
        text = f"{error.detail} {error.hint or ''}".rstrip()
        end = _failed(asked, Outcome.ERROR, text)
        problem = _warning(asked, error.detail, phase="sandbox", hint=error.hint or "")
    except asyncio.CancelledError:
        if being_cancelled():
            raise
        text = f"{asked.name} was cancelled by something inside it."
        end, problem = _failed(asked, Outcome.ERROR, text, retryable=True), _warning(asked, text)
    except Exception as error:  # the tool's own code: anything may come out of it
        logger.warning("tool %s failed", asked.name, exc_info=True)
        text = _words(error)
        end, problem = _failed(asked, Outcome.ERROR, text), _warning(asked, text)
    end = await _shortened(end, context)
    bodies: list[Body] = [end]
    milliseconds = round((context.clock.monotonic() - began) * 1000)
    bodies.append(
        ToolExecuted(
            call_id=asked.call_id, name=asked.name, outcome=end.outcome, duration_ms=milliseconds
        )
    )
    if todos is not None:
        bodies.append(TodoChanged(before=context.todos, after=todos))
    if problem is not None:
        bodies.append(problem)
    return Executed(tuple(bodies), blobs)


def taken(asked: ToolCall, answer: Tool) -> ToolEnd:
    """The result of a call that gives the answer which the turn is to come to."""
    return _invalid(answer, asked) or _ended(asked, Outcome.OK, ToolResult(content=TAKEN))


def denied_by_person(asked: ToolCall, note: str) -> ToolEnd:
    """The result of a call that a person turned down: their note reaches the model."""
    return _denied(asked, f"by a person{': ' + note if note else ''}")


def denied_by_rule(asked: ToolCall, reason: str) -> ToolEnd:
    """The result of a call that a person allowed and the post, meanwhile, denies."""
    return _denied(asked, reason)


def gone(asked: ToolCall) -> ToolEnd:
    """The result of a call whose tool was taken away while it waited."""
    return _failed(asked, Outcome.INVALID, f"The tool {asked.name!r} is no longer there.")


def sealed(asked: ToolCall) -> ToolEnd:
    """The result of a call that a crash cut off and that must not simply run again."""
    return _failed(asked, Outcome.SEALED, SEALED)


def stopped(asked: ToolCall, *, started: bool) -> ToolEnd:
    """The result of a call that an interrupt ended."""
    return _failed(asked, Outcome.INTERRUPTED, STOPPED if started else NEVER_STARTED)


def given_up(asked: ToolCall, *, started: bool) -> ToolEnd:
    """The result of a call of a turn that nobody could finish."""
    return sealed(asked) if started else _failed(asked, Outcome.INTERRUPTED, GIVEN_UP)


async def _run(
    tool: Tool, arguments: JsonObject, hooks: Sequence[Hook], use: ToolUse, context: ToolContext
) -> ToolResult:
    valid = tool.validate(arguments)
    async with asyncio.timeout(tool.timeout):
        result = await tool.invoke(context, valid)
    return await apply_after_tool(hooks, use, result) if hooks else result


async def _shortened(end: ToolEnd, context: ToolContext) -> ToolEnd:
    """The same with what fits of a long result, the whole of which is kept to be read on."""
    content = await context.outputs.shorten(context.agent_id, end.call_id, end.content)
    return end if content is end.content else replace(end, content=content)


async def _required(
    tool: Tool, use: ToolUse, reason: str, context: ToolContext
) -> PermissionRequired:
    preview = ""
    if tool.preview is not None:
        try:
            preview = await tool.preview(context, tool.validate(use.arguments))
        except (ToolFailed, InvalidArguments, OSError) as error:
            # The call would fail as it stands: the person should know before deciding.
            preview = f"(no preview: {error})"
    return PermissionRequired(
        call_id=use.call_id,
        name=use.name,
        arguments=use.arguments,
        reason=reason,
        preview=preview,
    )


def _invalid(tool: Tool, asked: ToolCall) -> ToolEnd | None:
    if asked.malformed:
        text = f"The arguments were not a JSON object: {asked.malformed[:500]}"
        return _failed(asked, Outcome.INVALID, text, retryable=True)
    try:
        tool.validate(asked.arguments)
    except InvalidArguments as error:
        return _failed(asked, Outcome.INVALID, str(error), retryable=True)
    return None


def _unknown_tool(asked: ToolCall, post: Post) -> ToolEnd:
    known = ", ".join(post.tools) or "none"
    text = f"There is no tool {asked.name!r}. The tools are: {known}."
    return _failed(asked, Outcome.INVALID, text)


def _use(asked: ToolCall, arguments: JsonObject, context: ToolContext) -> ToolUse:
    return ToolUse(
        agent_id=context.agent_id, call_id=asked.call_id, name=asked.name, arguments=arguments
    )


def _ended(asked: ToolCall, outcome: Outcome, result: ToolResult) -> ToolEnd:
    return ToolEnd(
        call_id=asked.call_id,
        name=asked.name,
        outcome=outcome,
        content=result.content,
        diff=result.diff,
        files=dict(result.files),
        attachments=tuple(
            one.attached if isinstance(one, Attachment) else one for one in result.attachments
        ),
    )


def _blobs(result: ToolResult) -> Blobs:
    return blobs_of(one for one in result.attachments if isinstance(one, Attachment))


def _failed(asked: ToolCall, outcome: Outcome, text: str, *, retryable: bool = False) -> ToolEnd:
    return ToolEnd(
        call_id=asked.call_id, name=asked.name, outcome=outcome, content=text, retryable=retryable
    )


def _denied(asked: ToolCall, reason: str) -> ToolEnd:
    return _failed(asked, Outcome.DENIED, f"This call was denied ({reason}). It did not run.")


def _words(error: Exception) -> str:
    return error.detail if isinstance(error, LonghouseError) else f"{type(error).__name__}: {error}"


def _warning(
    asked: ToolCall,
    message: str,
    *,
    phase: Literal["tool", "sandbox"] = "tool",
    hint: str = "",
) -> ErrorRaised:
    return ErrorRaised(
        phase=phase, severity=Severity.WARNING, message=f"{asked.name}: {message}", hint=hint
    )
