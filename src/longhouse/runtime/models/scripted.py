"""A model that says what it was told to say: for tests, benchmarks and embedders' own tests.

    model = ScriptedModel([think("hm"), calls(call("fs_read", path="a.py")), say("Done.")])
    runtime = Runtime(models=FixedModels(model), ...)

Each call of the model takes the next step. No network, no latency unless asked for, and hardly any
CPU: what a benchmark measures with it is the loop. It does not look at the conversation (the demo
model does); a step that wants to is a function of the request.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from longhouse.kit.clock import Clock, SystemClock
from longhouse.protocol.events import Delta, JsonObject, Text, Thinking, ToolCall, Usage
from longhouse.runtime.model import Block, ModelRefused, ModelRequest, ModelResponse

Blocks: TypeAlias = Sequence[Block]


@dataclass(frozen=True, slots=True)
class Broken:
    """An answer that begins with these blocks and breaks before it is complete."""

    blocks: Blocks
    error: Exception


Answer: TypeAlias = Block | Blocks | ModelResponse | Broken | Exception
"""What one call gives: one or more blocks, a whole response, or an error to raise."""

Step: TypeAlias = Answer | Callable[[ModelRequest], Answer | Awaitable[Answer]]
"""An answer, or a function (async or not) that makes one of the request."""

COUNTED = Usage(input=100, output=10)
"""What a scripted answer claims to have used."""


def say(text: str) -> Text:
    """A block of text."""
    return Text(step=0, text=text)


def think(text: str, *, details: JsonObject | None = None) -> Thinking:
    """A block of thinking, with the vendor's own fields if the test cares about them."""
    return Thinking(step=0, text=text, details=details)


def call(name: str, /, *, call_id: str = "", **arguments: Any) -> ToolCall:
    """A tool call. Without `call_id` the model gives it one that is unique in its conversation."""
    return ToolCall(step=0, call_id=call_id, name=name, arguments=arguments)


def malformed(name: str, raw: str, /, *, call_id: str = "") -> ToolCall:
    """A tool call whose arguments are not a JSON object."""
    return ToolCall(step=0, call_id=call_id, name=name, arguments={}, malformed=raw)


def calls(*blocks: Block) -> tuple[Block, ...]:
    """Several blocks in one answer: parallel calls, text before a call, …"""
    return blocks


async def hang(request: ModelRequest) -> Answer:
    """A step that never answers; only closing or cancelling the call ends it."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable: the future above is never done")


class ScriptedModel:
    """Plays its steps in order, one for each call."""

    def __init__(
        self,
        steps: Sequence[Step] | Callable[[ModelRequest], Answer | Awaitable[Answer]],
        *,
        name: str = "scripted",
        delay: float | None = None,
        clock: Clock | None = None,
        record: bool = False,
        usage: Usage = COUNTED,
        media_types: Set[str] = frozenset(),
    ) -> None:
        """`steps`: a list for one conversation, or one function for every call of many.

        `delay`: seconds before each answer, by `clock`. `record` keeps a copy of every request in
        `requests`, which costs time that grows with the conversation. `media_types`: what it
        claims to see.
        """
        self.name = name
        self.media_types = media_types
        self.requests: list[ModelRequest] = []
        self.calls = 0  # how often the model was called
        self._steps = steps
        self._delay = delay
        self._clock = clock or SystemClock()
        self._record = record
        self._usage = usage

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | ModelResponse, None]:
        """The next step's answer. Raises `ModelRefused` when the script is over."""
        step = self._next()
        if self._record:
            self.requests.append(_copy(request))
        if self._delay is not None:
            await self._clock.sleep(self._delay)
        answer = await _evaluate(step, request)
        if isinstance(answer, Exception):
            raise answer
        broken = answer.error if isinstance(answer, Broken) else None
        response = self._response(answer, request)
        for block in response.blocks:
            yield _delta(block)
        if broken is not None:
            raise broken
        yield response

    def _next(self) -> Step:
        index, self.calls = self.calls, self.calls + 1
        if callable(self._steps):
            return self._steps
        if index >= len(self._steps):
            raise ModelRefused(f"The script of model {self.name!r} is over after {index} steps.")
        return self._steps[index]

    def _response(
        self, answer: Block | Blocks | ModelResponse | Broken, request: ModelRequest
    ) -> ModelResponse:
        if isinstance(answer, ModelResponse):
            return answer
        if isinstance(answer, Broken):
            answer = answer.blocks
        if isinstance(answer, Text | Thinking | ToolCall):
            answer = (answer,)
        blocks = tuple(_placed(block, request, index) for index, block in enumerate(answer))
        called = any(isinstance(block, ToolCall) for block in blocks)
        return ModelResponse(
            blocks=blocks,
            usage=self._usage,
            model=self.name,
            finish="tool_calls" if called else "stop",
        )


async def _evaluate(step: Step, request: ModelRequest) -> Answer:
    if not callable(step):
        return step
    answer = step(request)
    return await answer if inspect.isawaitable(answer) else answer


def _placed(block: Block, request: ModelRequest, index: int) -> Block:
    """The block in this step; a call without an id gets one.

    The length of the conversation makes the id unique in it and the same after a restart.
    """
    if isinstance(block, ToolCall) and not block.call_id:
        call_id = f"call_{len(request.messages)}_{index}"
        return msgspec.structs.replace(block, step=request.step, call_id=call_id)
    return msgspec.structs.replace(block, step=request.step)


def _delta(block: Block) -> Delta:
    match block:
        case Text():
            return Delta(step=block.step, kind="text", text=block.text)
        case Thinking():
            return Delta(step=block.step, kind="thinking", text=block.text)
        case ToolCall():
            text = block.malformed or msgspec.json.encode(block.arguments).decode()
            return Delta(
                step=block.step,
                kind="tool_call",
                text=text,
                call_id=block.call_id,
                name=block.name,
            )


def _copy(request: ModelRequest) -> ModelRequest:
    return ModelRequest(
        step=request.step,
        system=request.system,
        messages=tuple(request.messages),
        tools=tuple(request.tools),
        output_tokens=request.output_tokens,
        files=dict(request.files),
    )
