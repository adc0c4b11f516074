"""The port to where journals live. One conformance suite holds every implementation to this text.

Implemented by `memory`, `sqlite` and the server's database. Used by agents (one writer, fenced by
an epoch) and by anybody who reads or posts from outside.

    JournalError
    ├── UnknownAgent          no such journal
    ├── NoSuchPoint           a journal has not come so far
    ├── DuplicateKey          a draft with this key is there already
    ├── Moved                 it does not stand where the writer thought; nothing was written
    └── Fenced                somebody took the journal over; nothing was written
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.errors import LonghouseError
from longhouse.protocol.events import Draft, Event

DELETED_TOPIC = "journals.deleted"
"""The bus topic that rings with an agent's id after its journal was deleted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Where a journal stands."""

    agent_id: str
    seq: int  # number of the last event
    epoch: int  # of its present writer


class Journal(Protocol):
    """Append-only, gap-free lists of events, one for each agent.

    Every write is durable when it returns and is all or nothing. Numbers are given where events are
    written, so that writers and posters of one journal come in one order. After a write the
    journal rings `ring_topic(agent_id)` on its bus; a runtime sets the bus to its own.
    """

    bus: Bus | None

    async def create(self, agent_id: str, drafts: Sequence[Draft]) -> bool:
        """Start a journal with these events. False, and nothing written, if it exists."""
        ...

    async def fork(
        self, parent_id: str, agent_id: str, drafts: Sequence[Draft], *, at: int
    ) -> bool:
        """Start a journal that shares the parent's first `at` events and goes on with these.

        Nothing is copied: the cost is the same for a long past. Keys of the shared past are taken
        in the fork, those of the parent's future are not. False, and nothing written, if the
        journal exists. Raises `UnknownAgent` for the parent, `NoSuchPoint`.
        """
        ...

    async def delete(self, agent_id: str) -> bool:
        """Forget a journal; forks keep what they share with it. False if there is none.

        Whoever writes it can write nothing more, also when another is made under its id. After it
        `DELETED_TOPIC` rings.
        """
        ...

    async def head(self, agent_id: str) -> Head | None:
        """Where the journal stands; None if there is none."""
        ...

    async def acquire(self, agent_id: str) -> Head:
        """Become the one writer: the epoch goes up by one, whoever wrote before is fenced.

        Raises `UnknownAgent`.
        """
        ...

    async def append(
        self, agent_id: str, drafts: Sequence[Draft], *, epoch: int, at: int | None = None
    ) -> list[Event]:
        """Write as the writer; with `at`, only right after the event of that number.

        Raises `Fenced` when `epoch` is not the newest, `Moved`, `DuplicateKey`, `UnknownAgent`.
        """
        ...

    async def post(self, agent_id: str, drafts: Sequence[Draft]) -> list[Event]:
        """Write from outside (a message, a decision). Raises `UnknownAgent`, `DuplicateKey`."""
        ...

    async def read(
        self,
        agent_id: str,
        *,
        after: int = 0,
        limit: int | None = None,
        types: Sequence[str] | None = None,
    ) -> list[Event]:
        """Events with a number above `after`, in order; of some types only, if given."""
        ...

    async def blob(self, agent_id: str, digest: str) -> bytes | None:
        """The bytes of what is attached to an event of this journal, its shared past included.

        They came with that event's draft and are as durable as it; the same bytes are kept once. A
        fork keeps what its past has. None where nothing has that digest.
        """
        ...

    async def close(self) -> None:
        """Finish what is under way and let go of files and threads."""
        ...


def check_point(parent_id: str, at: int, seq: int) -> None:
    """Raises `NoSuchPoint` unless a journal of `seq` events can be forked after its event `at`."""
    if not 1 <= at <= seq:
        raise NoSuchPoint(
            f"The journal of {parent_id!r} has no event {at}.", hint=f"Its last is {seq}."
        )


def microseconds(clock: Clock) -> int:
    """The time as events carry it."""
    return int(clock.now().timestamp() * 1_000_000)


def ring(bus: Bus | None, agent_id: str, seq: int) -> None:
    """Tell readers that the journal has grown to `seq`."""
    if bus is not None:
        bus.publish(ring_topic(agent_id), b"%d" % seq)


def ring_deleted(bus: Bus | None, agent_id: str) -> None:
    """Tell whoever has the agent open that there is none any more."""
    if bus is not None:
        bus.publish(DELETED_TOPIC, agent_id.encode())


def ring_topic(agent_id: str) -> str:
    """The bus topic that rings after each write."""
    return f"journal.{agent_id}"


def delta_topic(agent_id: str) -> str:
    """The bus topic of live deltas."""
    return f"delta.{agent_id}"


class JournalError(LonghouseError):
    """A journal refused."""

    code = "journal"
    title = "The journal refused"


class UnknownAgent(JournalError):
    """There is no journal of that name."""

    status = 404
    code = "unknown-agent"
    title = "No such agent"


class NoSuchPoint(JournalError):
    """The journal has no event of that number."""

    status = 422
    code = "no-such-point"
    title = "No such point in the journal"


class DuplicateKey(JournalError):
    """The journal has an event with this key; nothing was written."""

    status = 409
    code = "duplicate-key"
    title = "This is in the journal already"


class Moved(JournalError):
    """Others have written since, so that this has no place any more; nothing was written."""

    status = 409
    code = "journal-moved"
    title = "The journal has grown meanwhile"


class Fenced(JournalError):
    """Another writer took over; nothing was written, and nothing more can be."""

    status = 409
    code = "fenced"
    title = "Another process writes this journal now"
