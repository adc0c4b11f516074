"""What every model promises; each kind runs through the same tests.

`scripted` and the vendors are told what to say; `demo` says what it wants and takes the tests that
need no script.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from tests.peers.fakellm import FakeVendor

from longhouse.protocol.events import Delta, Outcome, Text, Thinking, ToolCall
from longhouse.runtime.model import (
    AssistantMessage,
    Block,
    Message,
    Model,
    ModelError,
    ModelRefused,
    ModelRequest,
    ModelResponse,
    ModelUnavailable,
    ToolMessage,
    UserMessage,
)
from longhouse.runtime.models.demo import DemoModel
from longhouse.runtime.models.endpoint import Endpoint, WireProtocol
from longhouse.runtime.models.scripted import (
    Answer,
    Broken,
    ScriptedModel,
    call,
    hang,
    malformed,
    say,
    think,
)
from longhouse.runtime.models.scripted import Step as ScriptedStep
from longhouse.runtime.models.vendors import VendorModel
from longhouse.runtime.tools.base import tool

KEY = "sk-secret-0123456789"

STEP = 7

Script: TypeAlias = list[Any]
"""Steps in the language of the scripted vendor; a list in it is one answer of several parts."""


@tool(reads_only=True)
async def fs_read(path: str) -> str:
    """Read a file."""
    return path


@dataclass(frozen=True)
class Subject:
    """A model, and the message that makes it play the script."""

    model: Model
    prompt: UserMessage


# --- the kinds ------------------------------------------------------------------------------------


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[Subject]:
    steps = [_scripted_step(step if isinstance(step, list) else [step]) for step in script]
    yield Subject(ScriptedModel(steps), UserMessage("play"))


def _scripted_step(parts: list[dict[str, Any]]) -> ScriptedStep:
    blocks: list[Block] = []
    for part in parts:
        match part:
            case {"error": status}:
                error = ModelUnavailable if status in (429, 500) else ModelRefused
                return error(f"scripted {status}")
            case {"hang": _}:
                return hang
            case {"say": text, "cut": _}:
                return Broken([say(text[:2])], ModelUnavailable("cut"))
            case {"say": text, "hang_after": _}:
                return _first_then_nothing(text)
            case {"say": text}:
                blocks.append(say(text))
            case {"think": text}:
                blocks.append(think(text, details={"scripted": {"signature": "x"}}))
            case {"raw": [name, raw]}:
                blocks.append(malformed(name, raw))
            case {"tool": [name, arguments]}:
                blocks.append(call(name, **arguments))
            case {"usage": _}:
                pass
    return blocks


def _first_then_nothing(text: str) -> ScriptedStep:
    # Closing is tested at the first delta, so what would follow does not matter.
    async def step(request: ModelRequest) -> Answer:
        return say(text)

    return step


def vendor(protocol: WireProtocol) -> "Kind":
    @asynccontextmanager
    async def kind(script: Script) -> AsyncIterator[Subject]:
        async with FakeVendor() as peer:
            url = peer.openai_url if protocol is WireProtocol.OPENAI else peer.url
            endpoint = Endpoint(protocol=protocol, base_url=url, api_key=KEY, model="fake-1")
            model = VendorModel(endpoint)
            try:
                yield Subject(model, UserMessage("FAKE:" + json.dumps(script)))
            finally:
                await model.aclose()

    return kind


@asynccontextmanager
async def demo(script: Script) -> AsyncIterator[Subject]:
    yield Subject(DemoModel(), UserMessage("What is this?"))


Kind: TypeAlias = Callable[[Script], AbstractAsyncContextManager[Subject]]

TOLD: dict[str, Kind] = {
    "scripted": scripted,
    "openai": vendor(WireProtocol.OPENAI),
    "anthropic": vendor(WireProtocol.ANTHROPIC),
}

ALL: dict[str, Kind] = {**TOLD, "demo": demo}


@pytest.fixture(params=TOLD)
def told(request: pytest.FixtureRequest) -> Kind:
    return TOLD[request.param]


@pytest.fixture(params=ALL)
def any_kind(request: pytest.FixtureRequest) -> Kind:
    return ALL[request.param]


# --- asking ---------------------------------------------------------------------------------------


def request(*messages: Message) -> ModelRequest:
    return ModelRequest(
        step=STEP, system="Be brief.", messages=messages, tools=(fs_read,), output_tokens=1000
    )


async def items_of(model: Model, *messages: Message) -> list[Delta | ModelResponse]:
    return [item async for item in model.stream(request(*messages))]


async def answer_of(subject: Subject, *more: Message) -> ModelResponse:
    last = (await items_of(subject.model, subject.prompt, *more))[-1]
    assert isinstance(last, ModelResponse)
    return last


def words(items: list[Delta | ModelResponse], kind: str) -> str:
    return "".join(item.text for item in items if isinstance(item, Delta) and item.kind == kind)


# --- every model ----------------------------------------------------------------------------------


async def test_a_stream_is_deltas_and_then_one_answer(any_kind: Kind) -> None:
    async with any_kind([[{"think": "Hm."}, {"say": "Hello there."}]]) as subject:
        *deltas, response = await items_of(subject.model, subject.prompt)

    assert deltas
    assert all(isinstance(delta, Delta) for delta in deltas)
    assert isinstance(response, ModelResponse)
    assert response.model
    assert response.blocks


async def test_every_block_and_delta_carries_the_step(any_kind: Kind) -> None:
    script = [[{"say": "a"}, {"tool": ["fs_read", {"path": "x"}]}]]
    async with any_kind(script) as subject:
        *deltas, response = await items_of(subject.model, subject.prompt)

    assert isinstance(response, ModelResponse)
    assert {block.step for block in response.blocks} == {STEP}
    assert {delta.step for delta in deltas if isinstance(delta, Delta)} == {STEP}


async def test_the_deltas_add_up_to_the_blocks(any_kind: Kind) -> None:
    script = [[{"think": "Let me see."}, {"say": "I look."}, {"tool": ["fs_read", {"path": "x"}]}]]
    async with any_kind(script) as subject:
        items = await items_of(subject.model, subject.prompt)

    response = items[-1]
    assert isinstance(response, ModelResponse)
    texts = [block.text for block in response.blocks if isinstance(block, Text)]
    thoughts = [block.text for block in response.blocks if isinstance(block, Thinking)]
    calls = [block for block in response.blocks if isinstance(block, ToolCall)]
    assert words(items, "text") == "".join(texts)
    assert words(items, "thinking") == "".join(thoughts)
    grown = {item.call_id for item in items if isinstance(item, Delta) and item.call_id}
    assert grown == {called.call_id for called in calls}
    for called in calls:
        raw = "".join(i.text for i in items if isinstance(i, Delta) and i.call_id == called.call_id)
        assert json.loads(raw) == called.arguments


async def test_a_stream_may_be_closed_at_its_first_delta(any_kind: Kind) -> None:
    async with any_kind([{"say": "a long answer", "hang_after": 4}]) as subject:
        stream = subject.model.stream(request(subject.prompt))
        async with aclosing(stream) as items:
            first = await asyncio.wait_for(anext(items), 20)

    assert isinstance(first, Delta)


async def test_one_model_serves_several_conversations_at_once(any_kind: Kind) -> None:
    async with any_kind([{"say": "same"}] * 5) as subject:
        answers = await asyncio.gather(*(answer_of(subject) for _ in range(5)))

    assert len({answer.blocks for answer in answers}) == 1


# --- models that are told what to say -------------------------------------------------------------


async def test_a_text_comes_as_it_was_said(told: Kind) -> None:
    async with told([{"say": "Hello, wörld \u4f60\u597d!\n"}]) as subject:
        response = await answer_of(subject)

    assert response.blocks == (Text(step=STEP, text="Hello, wörld \u4f60\u597d!\n"),)
    assert response.finish == "stop"


async def test_thinking_is_a_block_of_its_own_before_the_text(told: Kind) -> None:
    async with told([[{"think": "Let me see."}, {"say": "Yes."}]]) as subject:
        thought, said = (await answer_of(subject)).blocks

    assert isinstance(thought, Thinking)
    assert thought.text == "Let me see."
    assert thought.details
    assert isinstance(said, Text)


async def test_a_tool_call_has_its_name_arguments_and_an_id(told: Kind) -> None:
    async with told([{"tool": ["fs_read", {"path": "a/b.py", "lines": [1, 2]}]}]) as subject:
        response = await answer_of(subject)

    (called,) = response.blocks
    assert isinstance(called, ToolCall)
    assert called.name == "fs_read"
    assert called.arguments == {"path": "a/b.py", "lines": [1, 2]}
    assert called.call_id
    assert not called.malformed
    assert response.finish == "tool_calls"


async def test_a_call_without_arguments_has_an_empty_object(told: Kind) -> None:
    async with told([{"tool": ["fs_read", {}]}]) as subject:
        (called,) = (await answer_of(subject)).blocks

    assert isinstance(called, ToolCall)
    assert (called.arguments, called.malformed) == ({}, "")


async def test_parallel_calls_keep_their_order_and_have_ids_of_their_own(told: Kind) -> None:
    script = [[{"tool": ["fs_read", {"path": name}]} for name in "abcd"]]
    async with told(script) as subject:
        calls = [b for b in (await answer_of(subject)).blocks if isinstance(b, ToolCall)]

    assert [called.arguments["path"] for called in calls] == list("abcd")
    assert len({called.call_id for called in calls}) == 4


@pytest.mark.parametrize("raw", ['{"path": ', "not json", "[1, 2]", '"text"'])
async def test_arguments_that_are_no_object_are_kept_as_they_came(told: Kind, raw: str) -> None:
    async with told([{"raw": ["fs_read", raw]}]) as subject:
        (called,) = (await answer_of(subject)).blocks

    assert isinstance(called, ToolCall)
    assert (called.arguments, called.malformed) == ({}, raw)


async def test_a_whole_exchange_goes_on_where_it_was(told: Kind) -> None:
    script = [
        [{"think": "First."}, {"tool": ["fs_read", {"path": "x"}]}],
        {"say": "Read it."},
    ]
    async with told(script) as subject:
        first = await answer_of(subject)
        called = first.blocks[-1]
        assert isinstance(called, ToolCall)
        result = ToolMessage(called.call_id, "fs_read", "nothing there", Outcome.ERROR)

        second = await answer_of(subject, AssistantMessage(first.blocks), result)

    assert second.blocks == (Text(step=STEP, text="Read it."),)


async def test_tokens_are_counted(told: Kind) -> None:
    async with told([[{"say": "Hello."}, {"usage": {"cached": 3}}]]) as subject:
        usage = (await answer_of(subject)).usage

    assert usage.input > usage.cached >= 0
    assert usage.output > 0


@pytest.mark.parametrize(
    ("status", "error"), [(429, ModelUnavailable), (500, ModelUnavailable), (401, ModelRefused)]
)
async def test_a_failure_says_by_its_type_whether_a_retry_can_help(
    told: Kind, status: int, error: type[ModelError]
) -> None:
    async with told([{"error": status}]) as subject:
        with pytest.raises(error):
            await answer_of(subject)


async def test_an_answer_that_breaks_off_is_a_failure_not_an_answer(told: Kind) -> None:
    async with told([{"say": "a long answer", "cut": 4}]) as subject:
        with pytest.raises(ModelUnavailable):
            await answer_of(subject)


async def test_a_call_that_hangs_can_be_cancelled(told: Kind) -> None:
    async with told([{"hang": True}]) as subject:
        task = asyncio.create_task(answer_of(subject))
        await asyncio.sleep(0)

        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 20)


async def test_a_failed_call_shows_no_key(told: Kind, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with told([{"error": 401}]) as subject:
        with pytest.raises(ModelError) as caught:
            await answer_of(subject)

        assert KEY not in f"{caught.value!s} {caught.value!r} {subject.model!r} {caplog.text}"
