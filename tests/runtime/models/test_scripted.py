"""The scripted model: steps in order, functions of the request, errors, cuts and delays."""

import asyncio

import pytest
from tests.patience import PATIENCE

from longhouse.kit.clock import ManualClock
from longhouse.protocol.events import Delta, Text, Thinking, ToolCall
from longhouse.runtime.model import (
    AssistantMessage,
    Message,
    ModelRefused,
    ModelRequest,
    ModelResponse,
    ModelUnavailable,
    UserMessage,
)
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import (
    Answer,
    Broken,
    ScriptedModel,
    call,
    calls,
    hang,
    malformed,
    say,
    think,
)


def request(*messages: Message, step: int = 1) -> ModelRequest:
    return ModelRequest(
        step=step, system="", messages=messages or (UserMessage("hi"),), tools=(), output_tokens=100
    )


async def answer(model: ScriptedModel, asked: ModelRequest) -> ModelResponse:
    last = [item async for item in model.stream(asked)][-1]
    assert isinstance(last, ModelResponse)
    return last


async def test_each_call_of_the_model_plays_the_next_step() -> None:
    model = ScriptedModel([say("one"), calls(think("hm"), say("two"))], name="test")

    first = await answer(model, request(step=1))
    second = await answer(model, request(step=2))

    assert first.blocks == (Text(step=1, text="one"),)
    assert second.blocks == (Thinking(step=2, text="hm"), Text(step=2, text="two"))
    assert first.model == "test"
    assert model.calls == 2


async def test_the_deltas_of_a_scripted_answer_come_before_it() -> None:
    model = ScriptedModel([calls(say("a"), call("fs_read", path="x"))])

    items = [item async for item in model.stream(request())]

    assert items[:2] == [
        Delta(step=1, kind="text", text="a"),
        Delta(step=1, kind="tool_call", text='{"path":"x"}', call_id="call_1_1", name="fs_read"),
    ]


async def test_calls_get_ids_that_are_unique_in_their_conversation() -> None:
    model = ScriptedModel(lambda request: calls(call("a"), call("b")))

    first = await answer(model, request())
    second = await answer(model, request(UserMessage("hi"), AssistantMessage(first.blocks)))

    ids = [b.call_id for b in (*first.blocks, *second.blocks) if isinstance(b, ToolCall)]
    assert len(set(ids)) == 4
    assert first.finish == "tool_calls"


async def test_malformed_arguments_keep_their_raw_text() -> None:
    response = await answer(ScriptedModel([malformed("fs_read", '{"path":')]), request())

    block = response.blocks[0]
    assert isinstance(block, ToolCall)
    assert (block.arguments, block.malformed) == ({}, '{"path":')


async def test_a_step_may_be_a_function_of_the_request() -> None:
    async def echo(asked: ModelRequest) -> Answer:
        message = asked.messages[-1]
        assert isinstance(message, UserMessage)
        return say(message.text.upper())

    response = await answer(ScriptedModel([echo]), request(UserMessage("loud")))

    assert response.blocks == (Text(step=1, text="LOUD"),)


async def test_an_exception_as_a_step_is_raised_and_the_next_call_goes_on() -> None:
    model = ScriptedModel([ModelUnavailable("busy", retry_after=2), say("back")])

    with pytest.raises(ModelUnavailable, match="busy"):
        await answer(model, request())

    assert (await answer(model, request())).blocks == (Text(step=1, text="back"),)


async def test_a_broken_answer_sends_its_deltas_and_then_fails() -> None:
    model = ScriptedModel([Broken([say("half")], ModelUnavailable("cut"))])
    stream = model.stream(request())

    assert await anext(stream) == Delta(step=1, kind="text", text="half")
    with pytest.raises(ModelUnavailable, match="cut"):
        await anext(stream)


async def test_a_script_that_is_over_refuses() -> None:
    with pytest.raises(ModelRefused, match="over after 0 steps"):
        await answer(ScriptedModel([]), request())


async def test_a_delay_is_waited_by_the_clock_that_was_handed_in() -> None:
    clock = ManualClock()
    model = ScriptedModel([say("late")], delay=5, clock=clock)
    task = asyncio.create_task(answer(model, request()))
    await clock.wait_for_sleepers()

    clock.advance(5)

    assert (await asyncio.wait_for(task, PATIENCE)).blocks == (Text(step=1, text="late"),)


async def test_a_hanging_step_ends_when_its_call_is_cancelled() -> None:
    reached = asyncio.Event()

    async def hang_when_reached(asked: ModelRequest) -> Answer:
        reached.set()
        return await hang(asked)

    task = asyncio.create_task(answer(ScriptedModel([hang_when_reached]), request()))
    await asyncio.wait_for(reached.wait(), PATIENCE)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


def test_fixed_models_give_the_named_one_else_the_default() -> None:
    default, other = ScriptedModel([]), ScriptedModel([])
    models = FixedModels(default, other=other)

    assert models.model("other") is other
    assert models.model("anything") is default
    with pytest.raises(ModelRefused, match="no model 'x'"):
        FixedModels(other=other).model("x")
