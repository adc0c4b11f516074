"""What holds for the journal of every agent, whatever happened to it.

Each check takes the events of one journal from its first number on, or what they fold to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from longhouse.protocol.events import (
    AgentState,
    Done,
    Event,
    MessageReceived,
    Outcome,
    PermissionDecided,
    PermissionRequired,
    StepComplete,
    StepStarted,
    ToolCall,
    ToolEnd,
    ToolStart,
)
from longhouse.runtime.context import Context
from longhouse.runtime.model import AssistantMessage, ToolMessage

T = TypeVar("T")

NEVER_RAN = {Outcome.INVALID, Outcome.DENIED}


def bodies(events: Sequence[Event], kind: type[T]) -> list[T]:
    """The bodies of one kind."""
    return [event.body for event in events if isinstance(event.body, kind)]


def fold(events: Sequence[Event]) -> Context:
    """The state that the whole journal stands for; a gap in it is an error."""
    context = Context()
    context.apply(events)
    return context


def check_rest(context: Context) -> None:
    """An agent that nothing happens to has nothing left to do."""
    match context.state:
        case AgentState.READY:
            assert not context.turn_open
            assert not context.fresh, "a message that wants a turn is not forgotten"
        case AgentState.WAITING:
            assert context.turn_open
            assert context.calls
            assert all(call.waiting for call in context.open_calls())
        case AgentState.WORKING:
            raise AssertionError("it rests and works")


def check_calls(
    events: Sequence[Event],
    context: Context,
    effects: Mapping[str, int],
    *,
    repeatable: Collection[str],
    uncounted: Collection[str] = (),
) -> None:
    """Calls have one result, effects happen once, and what was denied never ran.

    `effects`: call id -> how often its tool ran, but for those that are `uncounted`; `repeatable`:
    tools that may run again.
    """
    asked = Counter(body.call_id for body in bodies(events, ToolCall))
    ends = {body.call_id: body for body in bodies(events, ToolEnd)}
    results = Counter(body.call_id for body in bodies(events, ToolEnd))
    starts = Counter(body.call_id for body in bodies(events, ToolStart))
    open_calls = {call.call_id for call in context.open_calls()}
    assert set(asked.values()) <= {1}, "a call id names one call"
    assert set(results.values()) <= {1}, "a call has one result"
    assert set(results) | open_calls == set(asked)
    assert set(results).isdisjoint(open_calls)
    for call_id, end in ends.items():
        ran = effects.get(call_id, 0)
        if end.name not in repeatable:
            assert ran <= 1, "a tool with an effect runs once"
            assert starts[call_id] <= 1
            if end.outcome in NEVER_RAN:
                assert ran == 0
        if end.outcome is Outcome.OK and end.name not in uncounted:
            assert ran >= 1
    decided = Counter(body.call_id for body in bodies(events, PermissionDecided))
    required = Counter(body.call_id for body in bodies(events, PermissionRequired))
    assert set(decided.values()) <= {1}, "a call is decided once"
    assert decided.keys() <= required.keys()


def check_turns(events: Sequence[Event], context: Context) -> None:
    """Turns and steps are numbered without gap, and each turn has one end."""
    begun = [body.turn for body in bodies(events, StepStarted)]
    ended = [body.turn for body in bodies(events, Done)]
    turns = list(dict.fromkeys(begun))
    assert turns == list(range(1, len(turns) + 1))
    assert ended == (turns[:-1] if context.turn_open else turns), "one done for each turn"
    steps = [body.step for body in bodies(events, StepStarted)]
    assert steps == list(range(1, len(steps) + 1))
    answered = [body.step for body in bodies(events, StepComplete)]
    assert answered == sorted(set(answered)), "a step is answered once"


def check_messages(events: Sequence[Event], context: Context, accepted: Collection[str]) -> None:
    """Every accepted message is there once, and told once, in the order in which they came."""
    messages = bodies(events, MessageReceived)
    received = [body.message_id for body in messages]
    told = [message_id for body in bodies(events, StepStarted) for message_id in body.messages]
    told += context.queued
    assert set(accepted) <= set(received)
    assert len(set(received)) == len(received), "sending twice is sending once"
    assert sorted(told) == sorted(received), "every message once"
    for alone in (False, True):  # what gets a turn of its own is overtaken
        same = [body.message_id for body in messages if body.alone is alone]
        assert [message_id for message_id in told if message_id in set(same)] == same


def check_conversation(context: Context) -> None:
    """Every call is followed by its results at once, in the order of the calls."""
    messages: Iterator[object] = iter(context.messages)
    waited_for = [call.call_id for call in context.calls.values()]
    for message in messages:
        if isinstance(message, AssistantMessage):
            asked = [block.call_id for block in message.blocks if isinstance(block, ToolCall)]
            if asked and asked == waited_for:
                assert next(messages, None) is None
                continue
            for call_id in asked:
                result = next(messages)
                assert isinstance(result, ToolMessage)
                assert result.call_id == call_id


def check_points(events: Sequence[Event], context: Context) -> None:
    """What a fork is told of each moment is how it was then."""
    past = Context()
    for event in events:
        past.apply([event])
        point, turn = context.point(event.seq), past.turn if past.turn_open else 0
        safe = not past.calls and not past._blocks
        assert (point.safe, point.turn, point.state) == (safe, turn, past.state)
