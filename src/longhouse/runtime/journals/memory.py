"""Journals in memory: for tests, for embedders who need no durability, and as the simplest truth.

It keeps the whole contract of `base` but outliving the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock, SystemClock
from longhouse.protocol.events import Draft, Event
from longhouse.runtime.journals.base import (
    DuplicateKey,
    Fenced,
    Head,
    Moved,
    UnknownAgent,
    check_point,
    microseconds,
    ring,
    ring_deleted,
)


@dataclass(slots=True)
class _Record:
    epoch: int = 0
    parent: _Record | None = None  # a fork holds on to it, also when it was deleted
    fork_seq: int = 0  # events up to here are the parent's
    events: list[Event] = field(default_factory=list)  # above `fork_seq`
    keys: dict[str, int] = field(default_factory=dict)  # key -> number
    blobs: dict[str, tuple[int, bytes]] = field(default_factory=dict)  # digest -> number, bytes

    @property
    def seq(self) -> int:
        return self.fork_seq + len(self.events)

    def chain(self) -> Iterator[tuple[_Record, int]]:
        """This journal and its ancestors, each with the last of its numbers that it shows."""
        record: _Record | None = self
        upto = self.seq
        while record is not None:
            yield record, upto
            upto = record.fork_seq
            record = record.parent

    def read(self, after: int) -> list[Event]:
        """All events above `after`."""
        parts: list[list[Event]] = []
        for record, upto in self.chain():
            low = record.fork_seq
            parts.append(record.events[max(after - low, 0) : upto - low])
            if after >= low:
                break
        return [event for part in reversed(parts) for event in part]

    def has(self, key: str) -> bool:
        """Whether an event with this key is there, shared ones too."""
        return any(record.keys.get(key, upto + 1) <= upto for record, upto in self.chain())

    def blob(self, digest: str) -> bytes | None:
        """What is attached to an event of this journal or of its shared past."""
        for record, upto in self.chain():
            seq, data = record.blobs.get(digest, (upto + 1, b""))
            if seq <= upto:
                return data
        return None


class MemoryJournal:
    """Journals that end with the process."""

    def __init__(self, *, bus: Bus | None = None, clock: Clock | None = None) -> None:
        self.bus = bus
        self._clock = clock or SystemClock()
        self._records: dict[str, _Record] = {}
        self._deleted: dict[str, int] = {}  # id -> epoch of its last writer

    async def create(self, agent_id: str, drafts: Sequence[Draft]) -> bool:
        """Start a journal; False if it exists."""
        if agent_id in self._records:
            return False
        self._records[agent_id] = _Record(self._deleted.get(agent_id, 0))
        self._write(agent_id, drafts)
        return True

    async def fork(
        self, parent_id: str, agent_id: str, drafts: Sequence[Draft], *, at: int
    ) -> bool:
        """Start a journal that shares the parent's past; False if it exists."""
        parent = self._record(parent_id)
        check_point(parent_id, at, parent.seq)
        if agent_id in self._records:
            return False
        while parent.parent is not None and at <= parent.fork_seq:
            parent = parent.parent  # whose own the event is
        epoch = self._deleted.get(agent_id, 0)
        self._records[agent_id] = _Record(epoch, parent=parent, fork_seq=at)
        try:
            self._write(agent_id, drafts)
        except DuplicateKey:
            del self._records[agent_id]
            raise
        return True

    async def delete(self, agent_id: str) -> bool:
        """Forget a journal; False if there is none."""
        record = self._records.pop(agent_id, None)
        if record is None:
            return False
        self._deleted[agent_id] = record.epoch
        ring_deleted(self.bus, agent_id)
        return True

    async def head(self, agent_id: str) -> Head | None:
        """Where the journal stands."""
        record = self._records.get(agent_id)
        return None if record is None else self._head(agent_id, record)

    async def acquire(self, agent_id: str) -> Head:
        """Become the one writer."""
        record = self._record(agent_id)
        record.epoch += 1
        return self._head(agent_id, record)

    async def append(
        self, agent_id: str, drafts: Sequence[Draft], *, epoch: int, at: int | None = None
    ) -> list[Event]:
        """Write as the writer."""
        record = self._record(agent_id)
        if record.epoch != epoch:
            raise Fenced(f"Agent {agent_id!r} has a newer writer than epoch {epoch}.")
        if at is not None and record.seq != at:
            raise Moved(f"The journal of {agent_id!r} does not end with event {at}.")
        return self._write(agent_id, drafts)

    async def post(self, agent_id: str, drafts: Sequence[Draft]) -> list[Event]:
        """Write from outside."""
        self._record(agent_id)
        return self._write(agent_id, drafts)

    async def read(
        self,
        agent_id: str,
        *,
        after: int = 0,
        limit: int | None = None,
        types: Sequence[str] | None = None,
    ) -> list[Event]:
        """Events above `after`."""
        record = self._records.get(agent_id)
        if record is None:
            return []
        found = record.read(after)
        if types is not None:
            found = [event for event in found if event.type in types]
        return found[:limit]

    async def blob(self, agent_id: str, digest: str) -> bytes | None:
        """The bytes of what is attached to an event."""
        record = self._records.get(agent_id)
        return None if record is None else record.blob(digest)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _record(self, agent_id: str) -> _Record:
        record = self._records.get(agent_id)
        if record is None:
            raise UnknownAgent(f"There is no agent {agent_id!r}.")
        return record

    def _head(self, agent_id: str, record: _Record) -> Head:
        return Head(agent_id=agent_id, seq=record.seq, epoch=record.epoch)

    def _write(self, agent_id: str, drafts: Sequence[Draft]) -> list[Event]:
        record = self._records[agent_id]
        keys = [draft.key for draft in drafts if draft.key is not None]
        if len(set(keys)) < len(keys) or any(record.has(key) for key in keys):
            raise DuplicateKey(f"Agent {agent_id!r} has an event with one of the keys {keys}.")
        time, seq = microseconds(self._clock), record.seq
        written = [Event(seq + place, time, draft.body) for place, draft in enumerate(drafts, 1)]
        record.events += written
        for event, draft in zip(written, drafts, strict=True):
            if draft.key is not None:
                record.keys[draft.key] = event.seq
            for digest, data in draft.blobs.items():
                if record.blob(digest) is None:
                    record.blobs[digest] = event.seq, data
        ring(self.bus, agent_id, record.seq)
        return written
