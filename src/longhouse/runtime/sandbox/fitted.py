"""A sandbox fitted to one workspace: every command gets the same further binds and environment.

Made by whoever prepares a workspace, for instance with the git directory that a worktree needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from longhouse.runtime.sandbox.base import (
    Command,
    Completed,
    Listener,
    Running,
    Sandbox,
    SandboxReport,
)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Adds to each command; what the command asks for itself wins."""

    sandbox: Sandbox
    env: Mapping[str, str] = field(default_factory=dict)
    read_only: tuple[Path, ...] = ()
    read_write: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """The boundary's name."""
        return self.sandbox.name

    def describe(self) -> SandboxReport:
        """The boundary's own report."""
        return self.sandbox.describe()

    async def run(self, command: Command) -> Completed:
        """Run the command with what was added."""
        return await self.sandbox.run(self._fit(command))

    async def start(self, command: Command, listener: Listener | None = None) -> Running:
        """Start the command with what was added."""
        return await self.sandbox.start(self._fit(command), listener)

    def _fit(self, command: Command) -> Command:
        return replace(
            command,
            env={**self.env, **command.env},
            read_only=(*self.read_only, *command.read_only),
            read_write=(*self.read_write, *command.read_write),
        )
