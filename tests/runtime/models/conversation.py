"""A turn loop of twenty lines: the model's calls on real tools, for tests of models alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from longhouse.kit.clock import SystemClock
from longhouse.protocol.events import Outcome, Text, Todo, ToolCall
from longhouse.runtime.model import (
    AssistantMessage,
    Message,
    Model,
    ModelRequest,
    ModelResponse,
    ToolMessage,
    UserMessage,
)
from longhouse.runtime.sandbox.base import Sandbox, SandboxRefused
from longhouse.runtime.sandbox.off import Unprotected
from longhouse.runtime.tools.base import InvalidArguments, Tool, ToolContext, ToolFailed
from longhouse.runtime.tools.outputs import Outputs
from longhouse.runtime.tools.registry import builtin_tools
from longhouse.runtime.tools.shells import Shells

Judge = Callable[[ToolCall], str | None]
"""Why a call is denied; None lets it run."""


def allow(call: ToolCall) -> str | None:
    """Everything runs."""
    return None


async def _nobody(post: str, prompt: str) -> str:
    raise AssertionError("the models under test have nobody to delegate to")


class Conversation:
    """One agent's talk with a model."""

    def __init__(
        self,
        model: Model,
        workspace: Path,
        *,
        tools: Sequence[Tool] | None = None,
        judge: Judge = allow,
        sandbox: Sandbox | None = None,
    ) -> None:
        self.messages: list[Message] = []
        self.calls: list[ToolCall] = []
        self.todos: tuple[Todo, ...] = ()
        self._model = model
        self._workspace = workspace
        self._tools = {tool.name: tool for tool in tools or builtin_tools()}
        self._judge = judge
        self._sandbox = sandbox or Unprotected()
        self._seen: dict[str, str] = {}
        self._step = 0

    async def say(self, text: str, *, most_steps: int = 60) -> str:
        """One turn: the answer to a message."""
        self.messages.append(UserMessage(text))
        for _ in range(most_steps):
            response = await self._call()
            self.messages.append(AssistantMessage(response.blocks))
            calls = [block for block in response.blocks if isinstance(block, ToolCall)]
            if not calls:
                return "".join(b.text for b in response.blocks if isinstance(b, Text))
            self.messages += [await self._run(call) for call in calls]
        raise AssertionError(f"no end after {most_steps} steps")

    def calls_of(self, tool: str) -> list[ToolCall]:
        """The calls of one tool so far."""
        return [call for call in self.calls if call.name == tool]

    async def _call(self) -> ModelResponse:
        self._step += 1
        request = ModelRequest(
            step=self._step,
            system="",
            messages=self.messages,
            tools=tuple(self._tools.values()),
            output_tokens=1000,
        )
        last = [item async for item in self._model.stream(request)][-1]
        assert isinstance(last, ModelResponse)
        return last

    async def _run(self, call: ToolCall) -> ToolMessage:
        self.calls.append(call)
        outcome, content = await self._outcome(call)
        return ToolMessage(call.call_id, call.name, content, outcome)

    async def _outcome(self, call: ToolCall) -> tuple[Outcome, str]:
        if (reason := self._judge(call)) is not None:
            return Outcome.DENIED, f"This call was denied ({reason}). It did not run."
        context = ToolContext(
            agent_id="test",
            call_id=call.call_id,
            workspace=self._workspace,
            sandbox=self._sandbox,
            clock=SystemClock(),
            seen=self._seen,
            todos=self.todos,
            delegate=_nobody,
            shells=Shells(SystemClock()),
            outputs=Outputs(self._workspace.parent / "outputs"),
        )
        tool = self._tools[call.name]
        try:
            result = await tool.invoke(context, tool.validate(call.arguments))
        except InvalidArguments as error:
            return Outcome.INVALID, str(error)
        except (ToolFailed, SandboxRefused) as error:
            return Outcome.ERROR, str(error)
        self._seen.update(result.files)
        self.todos = self.todos if result.todos is None else result.todos
        return Outcome.OK, result.content
