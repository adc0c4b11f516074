"""What all agents of a runtime share: handed to each of them, made once by `Runtime`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.protocol.events import JsonObject, PermissionDecided, PermissionRequired
from longhouse.runtime.hooks import Hook
from longhouse.runtime.journals.base import Journal
from longhouse.runtime.model import Models
from longhouse.runtime.posts import Post
from longhouse.runtime.sandbox.base import Sandbox
from longhouse.runtime.sandbox.egress import Egress
from longhouse.runtime.tools.base import Tool
from longhouse.runtime.tools.outputs import Outputs

PostSource: TypeAlias = Callable[[str, str], Awaitable[Post]]
"""(agent id, post name) -> the post as it is now."""

WorkspaceSource: TypeAlias = Callable[[str, JsonObject], Awaitable[Path]]
"""(agent id, metadata) -> the absolute path of its workspace, which exists."""

AskPeople: TypeAlias = Callable[[PermissionRequired], Awaitable[PermissionDecided]]
"""Puts an approval before people and waits for their decision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """A piece of work that an agent gives to a sub-agent."""

    parent_id: str
    parent_metadata: JsonObject
    call_id: str  # the parent's call that waits for it
    within: Post  # the parent's: the sub-agent may do no more
    post: str
    prompt: str
    ask: AskPeople
    """The parent's people; of a parent that is a sub-agent itself, those of the first above it."""
    interrupted: Callable[[], bool]
    """Whether the parent's turn is being stopped for good, and not only put away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """The ports and registries of a runtime."""

    journal: Journal
    models: Models
    tools: Mapping[str, Tool]
    parallel: Set[str]  # the names of the tools that may run beside others
    sandbox: Sandbox
    outputs: Outputs
    most_attachment_bytes: int  # of each
    skills: Sequence[Path]  # folders with skills, besides those of workspaces
    egress: Egress  # the way from the sandbox to a post's hosts
    bus: Bus
    clock: Clock
    post: PostSource
    workspace: WorkspaceSource
    hooks: Sequence[Hook]
    delegate: Callable[[Errand], Awaitable[str]]  # raises ToolFailed
    fire_at: Callable[[str, int | None], None]  # (agent id, when it has something scheduled)
    drive: bool  # agents go on by themselves; a server calls `Agent.run` instead
    ask_above: AskPeople | None = None  # of a sub-agent, which has no people of its own
