"""The demo model: everything works without a key, and a newcomer sees real tool calls.

Scripted and without a network: `demo_skills` chooses the next action from the conversation alone.
It says in every answer what it is. It is chosen by name, or when nothing else is configured; it
never takes the place of a model that does not work.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Set

import msgspec

from longhouse.kit.clock import Clock, SystemClock
from longhouse.protocol.events import Delta, Text, Thinking, ToolCall, Usage
from longhouse.runtime.model import Block, ModelRequest, ModelResponse
from longhouse.runtime.models.demo_skills import ME, NAME, Action, decide
from longhouse.runtime.models.demo_view import View

DEMO = "demo"

CHUNK = 12
"""Characters of one delta: about two words."""


class DemoModel:
    """Plays a careful beginner. One object serves all agents."""

    def __init__(self, *, pace: float = 0.0, clock: Clock | None = None) -> None:
        """`pace`: seconds between two deltas, by `clock`; 0 sends all at once."""
        self._pace = pace
        self._clock = clock or SystemClock()

    @property
    def name(self) -> str:
        """The model's name."""
        return DEMO

    @property
    def media_types(self) -> Set[str]:
        """It sees nothing."""
        return frozenset()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | ModelResponse, None]:
        """The next action of the turn. Never fails."""
        tools = frozenset(tool.name for tool in request.tools)
        blocks = _blocks(decide(View.of(request.messages, tools)), request)
        for block in blocks:
            for delta in _deltas(block):
                if self._pace:
                    await self._clock.sleep(self._pace)
                yield delta
        calls = any(isinstance(block, ToolCall) for block in blocks)
        # It has read nothing that anybody would pay for.
        yield ModelResponse(
            blocks=blocks, usage=Usage(), model=DEMO, finish="tool_calls" if calls else "stop"
        )


def _blocks(action: Action, request: ModelRequest) -> tuple[Block, ...]:
    step, at = request.step, len(request.messages)
    blocks: list[Block] = []
    if action.thinking:
        blocks.append(Thinking(step=step, text=action.thinking))
    if action.text:
        text = f"{NAME} {action.text}" if action.calls else f"{action.text}\n\n_{ME}_"
        blocks.append(Text(step=step, text=text))
    for index, call in enumerate(action.calls):
        # The place in the conversation makes the id unique, and the same after a restart.
        call_id = f"demo_{at}_{index}"
        blocks.append(
            ToolCall(step=step, call_id=call_id, name=call.name, arguments=call.arguments)
        )
    return tuple(blocks)


def _deltas(block: Block) -> Iterator[Delta]:
    match block:
        case Text():
            for chunk in _chunks(block.text):
                yield Delta(step=block.step, kind="text", text=chunk)
        case Thinking():
            for chunk in _chunks(block.text):
                yield Delta(step=block.step, kind="thinking", text=chunk)
        case ToolCall():
            arguments = msgspec.json.encode(block.arguments).decode()
            yield Delta(
                step=block.step,
                kind="tool_call",
                text=arguments,
                call_id=block.call_id,
                name=block.name,
            )


def _chunks(text: str) -> Iterator[str]:
    for at in range(0, len(text), CHUNK):
        yield text[at : at + CHUNK]
