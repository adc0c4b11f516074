"""What comes next: the pure decision over a folded journal."""

from longhouse.protocol.events import (
    BODIES,
    AgentCreated,
    AgentState,
    Body,
    Done,
    DoneReason,
    Event,
    InterruptRequested,
    MessageReceived,
    Outcome,
    PermissionDecided,
    PermissionRequired,
    StateChanged,
    StepComplete,
    StepStarted,
    Text,
    Todo,
    TodoChanged,
    TokenUsage,
    ToolCall,
    ToolEnd,
    ToolStart,
    Usage,
)
from longhouse.runtime import context as context_module
from longhouse.runtime.context import Context
from longhouse.runtime.loop import (
    REMIND_AFTER_STEPS,
    AskModel,
    Finish,
    Rest,
    RunTools,
    StartStep,
    Stop,
    first_batch,
    next_action,
)
from longhouse.runtime.posts import Limits

SECOND = 1_000_000  # microseconds


def fold(*bodies: Body, start: int = 0) -> Context:
    context = Context()
    context.apply(
        Event(seq, start + seq, body)
        for seq, body in enumerate((AgentCreated(agent_id="a", post="p"), *bodies), 1)
    )
    return context


def message(name: str = "m1") -> Body:
    return MessageReceived(message_id=name, text=name)


def asked(call_id: str, name: str = "look") -> ToolCall:
    return ToolCall(step=1, call_id=call_id, name=name, arguments={})


def ended(call_id: str) -> ToolEnd:
    return ToolEnd(call_id=call_id, name="look", outcome=Outcome.OK, content=call_id)


STEP = StepStarted(turn=1, step=1, messages=("m1",))
COMPLETE = StepComplete(step=1, model="x")


def act(context: Context, limits: Limits | None = None, *, now: int = 1000) -> object:
    return next_action(context, limits or Limits(), now=now)


def test_every_event_there_is_has_its_place_in_the_fold() -> None:
    assert set(context_module._FOLDS) == set(BODIES)


def test_a_new_agent_rests() -> None:
    assert act(fold()) == Rest(AgentState.READY)


def test_an_interrupt_that_comes_while_a_turn_begins_stops_it() -> None:
    assert act(fold(message(), InterruptRequested(), STEP)) == Stop(())
    assert act(fold(message(), InterruptRequested(), message("m2"), STEP)) == AskModel()


def test_a_message_begins_a_step_that_tells_it() -> None:
    assert act(fold(message(), message("m2"))) == StartStep(("m1", "m2"), remind=False)


def test_a_step_without_an_answer_asks_the_model_also_after_a_crash() -> None:
    assert act(fold(message(), STEP)) == AskModel()


def test_an_answer_without_calls_finishes_the_turn() -> None:
    context = fold(message(), STEP, Text(step=1, text="hi"), COMPLETE)

    assert act(context) == Finish(DoneReason.COMPLETED)


def test_a_message_that_came_during_the_answer_goes_on_with_the_turn() -> None:
    context = fold(message(), STEP, message("m2"), Text(step=1, text="hi"), COMPLETE)

    assert act(context) == StartStep(("m2",), remind=False)


def test_calls_run_before_the_next_step_and_results_stand_in_their_order() -> None:
    context = fold(message(), STEP, asked("a"), asked("b"), COMPLETE)
    action = act(context)

    assert isinstance(action, RunTools)
    assert [call.call_id for call in action.calls] == ["a", "b"]

    seq = context.seq
    context.apply([Event(seq + 1, 0, ended("b")), Event(seq + 2, 0, ended("a"))])
    assert [getattr(one, "content", "") for one in context.messages[-2:]] == ["a", "b"]
    assert act(context) == StartStep((), remind=False)


def test_a_turn_waits_when_only_a_person_can_go_on() -> None:
    required = PermissionRequired(call_id="a", name="look", arguments={}, reason="mode")
    context = fold(message(), STEP, asked("a"), asked("b"), COMPLETE, required)

    action = act(context)
    assert isinstance(action, RunTools)
    assert [call.call_id for call in action.calls] == ["b"]

    context.apply([Event(context.seq + 1, 0, ended("b"))])
    assert act(context) == Rest(AgentState.WAITING)

    context.apply([Event(context.seq + 1, 0, PermissionDecided(call_id="a", decision="deny"))])
    assert isinstance(act(context), RunTools)


def test_an_interrupt_stops_an_open_turn_with_all_its_calls() -> None:
    start = ToolStart(call_id="a", name="look")
    context = fold(message(), STEP, asked("a"), asked("b"), COMPLETE, start, InterruptRequested())

    action = act(context)

    assert isinstance(action, Stop)
    assert [(call.call_id, call.started) for call in action.calls] == [("a", True), ("b", False)]


def test_an_interrupt_of_nothing_means_nothing_to_the_next_turn() -> None:
    assert act(fold(InterruptRequested(), message())) == StartStep(("m1",), remind=False)


def test_what_was_said_before_an_interrupt_waits_for_what_is_said_after_it() -> None:
    done = Done(reason=DoneReason.INTERRUPTED, turn=1)
    context = fold(message(), STEP, message("m2"), InterruptRequested(), done)

    assert act(context) == Rest(AgentState.READY)

    context.apply([Event(context.seq + 1, 0, message("m3"))])
    assert act(context) == StartStep(("m2", "m3"), remind=False)


def test_a_message_after_the_interrupt_begins_a_turn_by_itself() -> None:
    done = Done(reason=DoneReason.INTERRUPTED, turn=1)
    context = fold(message(), STEP, InterruptRequested(), message("m2"), done)

    assert act(context) == StartStep(("m2",), remind=False)


def one_step(turn: int = 1, step: int = 1) -> list[Body]:
    return [
        StepStarted(turn=turn, step=step, messages=("m1",) if step == 1 else ()),
        asked(f"c{step}"),
        StepComplete(step=step, model="x"),
        TokenUsage(step=step, model="x", usage=Usage(input=90, output=10)),
        ended(f"c{step}"),
    ]


def test_each_limit_ends_the_turn_and_says_which() -> None:
    steps = [body for step in range(1, 4) for body in one_step(step=step)]
    context = fold(message(), *steps)

    assert isinstance(act(context), StartStep)
    for limits, word in [
        (Limits(steps=3), "3 steps"),
        (Limits(tokens=300), "300 tokens"),
        (Limits(identical_calls=3), "3 times in a row"),
    ]:
        action = act(context, limits)
        assert isinstance(action, Finish)
        assert action.reason is DoneReason.LIMIT
        assert word in action.detail


def test_time_at_work_counts_and_time_waiting_for_a_person_does_not() -> None:
    context = Context()
    working = StateChanged(before=AgentState.READY, after=AgentState.WORKING)
    waiting = StateChanged(before=AgentState.WORKING, after=AgentState.WAITING)
    back = StateChanged(before=AgentState.WAITING, after=AgentState.WORKING)
    moments: list[tuple[int, Body]] = [
        (0, AgentCreated(agent_id="a", post="p")),
        (0, message()),
        (0, STEP),
        (0, working),
        (10, asked("a")),
        (10, COMPLETE),
        (20, waiting),
        (5000, back),
        (5005, ended("a")),
    ]
    context.apply(
        Event(seq, second * SECOND, body) for seq, (second, body) in enumerate(moments, 1)
    )

    assert context.turn_work == 25 * SECOND
    assert isinstance(act(context, Limits(wall_seconds=31), now=5010 * SECOND), StartStep)
    assert isinstance(act(context, Limits(wall_seconds=30), now=5010 * SECOND), Finish)


def test_open_todos_are_recalled_after_some_steps_without_a_word_of_them() -> None:
    plan = TodoChanged(after=(Todo(id="1", title="look"),))
    steps = [body for step in range(1, REMIND_AFTER_STEPS + 1) for body in one_step(step=step)]
    context = fold(message(), plan, *steps)

    assert act(context, Limits(identical_calls=99)) == StartStep((), remind=True)


def test_neighbours_that_may_run_together_do_and_any_other_runs_alone() -> None:
    calls = [asked(str(place), name) for place, name in enumerate(["r", "r", "w", "r"])]
    parallel = frozenset({"r"})

    assert [call.name for call in first_batch(calls, parallel)] == ["r", "r"]
    assert [call.name for call in first_batch(calls[2:], parallel)] == ["w"]
    assert [call.name for call in first_batch(calls[3:], parallel)] == ["r"]
