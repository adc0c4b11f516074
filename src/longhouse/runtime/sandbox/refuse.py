"""The sandbox of a machine that cannot protect itself: it runs nothing and says what to do.

Made by `choose` when no boundary holds. Agents still start, talk and use the file tools; only what
would run a command is refused.
"""

from __future__ import annotations

from longhouse.runtime.sandbox.base import (
    Command,
    Completed,
    Listener,
    Running,
    SandboxRefused,
    SandboxReport,
)


class Refuse:
    """Refuses every command, with the reason and the way out."""

    name = "refuse"

    def __init__(self, reason: str, *, hint: str) -> None:
        self._reason = reason
        self._hint = hint

    def describe(self) -> SandboxReport:
        """Why nothing runs here."""
        return SandboxReport(name=self.name, protects=False, detail=self._reason, hint=self._hint)

    async def run(self, command: Command) -> Completed:
        """Raises `SandboxRefused`, always."""
        raise self._refusal()

    async def start(self, command: Command, listener: Listener | None = None) -> Running:
        """Raises `SandboxRefused`, always."""
        raise self._refusal()

    def _refusal(self) -> SandboxRefused:
        return SandboxRefused(
            f"Commands do not run on this machine: {self._reason}.", hint=self._hint
        )
