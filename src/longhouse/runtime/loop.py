"""The turn loop's mind: what comes next, decided from the state alone.

    model -> tool calls -> results -> model -> … -> done

`turn` asks `next_action`, does what it says, writes what happened, and asks again. Since the answer
depends on nothing but the fold of the journal, going on after a crash is the same as going on.
No I/O and no clock here: the time comes in as a number.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Protocol, TypeAlias, TypeVar

from longhouse.protocol.events import AgentState, DoneReason
from longhouse.runtime.answers import MOST_ATTEMPTS
from longhouse.runtime.context import Call, Context, estimated_tokens
from longhouse.runtime.model import Message, ToolMessage
from longhouse.runtime.posts import Limits
from longhouse.runtime.schedules import Schedule, due_by_steps

KEPT_SHARE = 4  # of the tokens a context may have, one in so many stays when it is compressed
REMIND_AFTER_STEPS = 8  # model calls that left open todos untouched


class Named(Protocol):
    """Anything that names a tool."""

    @property
    def name(self) -> str: ...


C = TypeVar("C", bound=Named)


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody interrupted: close these calls and end the turn."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class RunTools:
    """These calls may run, or have just been denied by a person."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class StartStep:
    """The next model call begins, with these messages new in its context."""

    messages: tuple[str, ...]
    remind: bool  # of the todos
    due: tuple[Schedule, ...] = ()  # after so many steps


@dataclass(frozen=True, slots=True)
class AskModel:
    """The step has begun and has no answer yet."""


@dataclass(frozen=True, slots=True)
class Compress:
    """The context is too long: a summary takes the place of all but the newest messages."""

    kept: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The turn is over."""

    reason: DoneReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until a message or a decision comes."""

    state: AgentState


Action: TypeAlias = Stop | RunTools | StartStep | AskModel | Compress | Finish | Rest


def next_action(context: Context, limits: Limits, *, now: int) -> Action:
    """What to do next. `now`: microseconds since 1970, for the limit on a turn's time."""
    if not context.turn_open:
        return _begin(context)
    if context.interrupting:
        return Stop(tuple(context.open_calls()))
    if context.step_open:
        return _ask(context, limits)
    if context.calls:
        return _go_on_with_calls(context)
    if context.answered and not context.next_messages():
        return Finish(DoneReason.COMPLETED)
    return after_results(context, limits, now=now)


def after_results(context: Context, limits: Limits, *, now: int) -> StartStep | Finish:
    """What follows the last result of an answer: no result but a new plan can change it."""
    if context.refusals >= MOST_ATTEMPTS:
        return Finish(DoneReason.FAILED, _refused(context))
    if reached := _limit_reached(context, limits, now=now):
        return Finish(DoneReason.LIMIT, reached)
    return _start_step(context)


def _ask(context: Context, limits: Limits) -> AskModel | Compress:
    if context.tokens <= limits.context_tokens:
        return AskModel()
    # The vendor may count otherwise than we estimate, and counts the prompt and the tools as well.
    estimated = sum(map(estimated_tokens, context.messages))
    kept = newest_that_stay(
        context.messages,
        limits.context_tokens * min(estimated, context.tokens) // context.tokens // KEPT_SHARE,
    )
    oldest = len(context.messages) - kept
    # A summary alone is not summarised again.
    return Compress(kept) if oldest > int(context.summarised) else AskModel()


def newest_that_stay(messages: Sequence[Message], tokens: int) -> int:
    """How many of the newest messages stay as they are: about so many tokens' worth.

    An answer and the results of its calls stay or go together, and the newest such group stays,
    however long it is: the model has not seen it yet.
    """
    kept = size = 0
    for count, message in enumerate(reversed(messages), 1):
        size += estimated_tokens(message)
        if kept and size > tokens:
            break
        if not isinstance(message, ToolMessage):
            kept = count
    return kept


def first_step(context: Context, message_id: str) -> StartStep | None:
    """The step that a message begins whose agent rests, when nothing else is to be told with it."""
    if context.turn_open or context.queued or context.state is not AgentState.READY:
        return None
    return replace(_start_step(context), messages=(message_id,))


def _begin(context: Context) -> Action:
    return _start_step(context) if context.fresh else Rest(AgentState.READY)


def _go_on_with_calls(context: Context) -> Action:
    ready = tuple(call for call in context.open_calls() if not call.waiting)
    return RunTools(ready) if ready else Rest(AgentState.WAITING)


def _start_step(context: Context) -> StartStep:
    return StartStep(
        context.next_messages(),
        remind=_wants_reminder(context),
        due=due_by_steps(context.schedules.values(), step=context.step),
    )


def _wants_reminder(context: Context) -> bool:
    return context.steps_without_todos >= REMIND_AFTER_STEPS and context.open_todos() > 0


def _refused(context: Context) -> str:
    return (
        f"The model gave {context.refusals} answers that do not fit what was asked for."
        f" {context.refusal}"
    )


def _limit_reached(context: Context, limits: Limits, *, now: int) -> str:
    worked = (context.turn_work + max(now - context.time, 0)) / 1_000_000
    if context.turn_steps >= limits.steps:
        return f"The turn used its {limits.steps} steps."
    if context.turn_tokens >= limits.tokens:
        return f"The turn used {context.turn_tokens} of its {limits.tokens} tokens."
    if worked >= limits.wall_seconds:
        return f"The turn worked for {worked:.0f} of its {limits.wall_seconds:.0f} seconds."
    if context.repeats >= limits.identical_calls:
        return f"The same tool call came {context.repeats} times in a row."
    return ""


def first_batch(calls: Sequence[C], parallel: Set[str]) -> tuple[C, ...]:
    """The calls that run next: neighbours whose tools allow it together, any other alone.

    `parallel`: names of the tools that allow it.
    """
    together = tuple(takewhile(lambda call: call.name in parallel, calls))
    return together or tuple(calls[:1])
