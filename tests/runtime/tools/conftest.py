"""A hand that uses tools the way the turn loop does: validate, invoke, remember what was seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from longhouse.kit.clock import ManualClock
from longhouse.protocol.events import Todo
from longhouse.runtime.sandbox.base import Sandbox
from longhouse.runtime.sandbox.refuse import Refuse
from longhouse.runtime.tools.base import Tool, ToolContext, ToolResult
from longhouse.runtime.tools.outputs import Outputs
from longhouse.runtime.tools.registry import builtin_tools
from longhouse.runtime.tools.shells import Shells

TOOLS: Mapping[str, Tool] = {tool.name: tool for tool in builtin_tools()}


async def nobody(post: str, prompt: str) -> str:
    raise AssertionError("no built-in tool of these tests delegates")


@dataclass(kw_only=True)
class Hand:
    """One agent's calls: each sees what the earlier ones left behind."""

    workspace: Path
    sandbox: Sandbox = field(default_factory=lambda: Refuse("none here", hint="none needed"))
    seen: dict[str, str] = field(default_factory=dict)
    todos: tuple[Todo, ...] = ()
    background: set[str] = field(default_factory=set)
    call_id: str = "call"
    skills: tuple[Path, ...] = ()
    shells: Shells = field(init=False)
    outputs: Outputs = field(init=False)

    def __post_init__(self) -> None:
        self.shells = Shells(ManualClock())
        self.outputs = Outputs(self.workspace.parent / "outputs")

    def context(self) -> ToolContext:
        return ToolContext(
            agent_id="agent",
            call_id=self.call_id,
            workspace=self.workspace,
            sandbox=self.sandbox,
            clock=ManualClock(),
            seen=self.seen,
            todos=self.todos,
            delegate=nobody,
            shells=self.shells,
            outputs=self.outputs,
            skills=self.skills,
            background=self.background,
        )

    async def result(self, tool: str | Tool, **arguments: object) -> ToolResult:
        found = TOOLS[tool] if isinstance(tool, str) else tool
        result = await found.invoke(self.context(), found.validate(arguments))
        self.seen.update(result.files)
        if result.todos is not None:
            self.todos = result.todos
        return result

    async def use(self, tool: str | Tool, **arguments: object) -> str:
        """The text the model reads."""
        return (await self.result(tool, **arguments)).content

    async def preview(self, tool: str, **arguments: object) -> str:
        preview = TOOLS[tool].preview
        assert preview is not None
        return await preview(self.context(), TOOLS[tool].validate(arguments))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    place = tmp_path / "workspace"
    place.mkdir()
    return place


@pytest.fixture
def hand(workspace: Path) -> Hand:
    return Hand(workspace=workspace)
