"""The journal to compare with: the whole history as one JSON document, written anew each turn.

Many agent SDKs keep their sessions like this. It is deliberately naive and kept kind: one document
and one fsync for each turn (not for each step), so what is in the middle of a turn is lost in a
crash, and what it writes grows with the conversation. For benchmarks only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from longhouse.protocol.events import Done, Draft, Event
from longhouse.runtime.journals.base import Head
from longhouse.runtime.journals.memory import MemoryJournal


class RewritingJournal(MemoryJournal):
    """Histories in a folder, one file for each agent."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    async def create(self, agent_id: str, drafts: Sequence[Draft]) -> bool:
        """Start a history; False if it exists."""
        await self._load(agent_id)
        if not await super().create(agent_id, drafts):
            return False
        await self._save(agent_id)
        return True

    async def head(self, agent_id: str) -> Head | None:
        """Where the history stands."""
        await self._load(agent_id)
        return await super().head(agent_id)

    async def acquire(self, agent_id: str) -> Head:
        """Become the one writer, as far as this process knows."""
        await self._load(agent_id)
        return await super().acquire(agent_id)

    async def append(
        self, agent_id: str, drafts: Sequence[Draft], *, epoch: int, at: int | None = None
    ) -> list[Event]:
        """Write; it is on the disk only once the turn ends."""
        events = await super().append(agent_id, drafts, epoch=epoch, at=at)
        if any(isinstance(draft.body, Done) for draft in drafts):
            await self._save(agent_id)
        return events

    async def read(
        self,
        agent_id: str,
        *,
        after: int = 0,
        limit: int | None = None,
        types: Sequence[str] | None = None,
    ) -> list[Event]:
        """Events above `after`."""
        await self._load(agent_id)
        return await super().read(agent_id, after=after, limit=limit, types=types)

    async def _load(self, agent_id: str) -> None:
        path = self._path(agent_id)
        if agent_id in self._records or not path.exists():
            return
        history = json.loads(path.read_bytes())
        events = msgspec.convert(history, list[Event])
        await super().create(agent_id, [Draft(event.body) for event in events])

    async def _save(self, agent_id: str) -> None:
        history = [msgspec.to_builtins(event) for event in self._records[agent_id].events]
        path = self._path(agent_id)
        draft = path.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(json.dumps(history).encode())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def _path(self, agent_id: str) -> Path:
        return self._folder / f"{quote(agent_id, safe='')}.json"
