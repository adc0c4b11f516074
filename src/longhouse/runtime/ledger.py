"""An agent's hold on its journal: what is written, what others wrote, and the fold of both.

Every event passes here once, in the order of its number, whoever wrote it: the agent's turn, a
person's message, a decision taken in another process. Used by `agent` and `turn` only. It decides
nothing and runs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from longhouse.protocol.events import (
    Body,
    Draft,
    Event,
    MessageReceived,
    PermissionDecided,
    PermissionRequired,
    ScheduleFired,
    SnapshotTaken,
    attached_to,
)
from longhouse.runtime.context import Context
from longhouse.runtime.journals.base import Fenced, Journal, Moved
from longhouse.runtime.tasks import finish

NO_BLOBS: Mapping[str, bytes] = MappingProxyType({})


def decision_key(call_id: str) -> str:
    """The journal key of a decision: one for each call, whoever decides."""
    return f"decided:{call_id}"


def message_key(message_id: str) -> str:
    """The journal key of a message: sending it twice is sending it once."""
    return f"message:{message_id}"


def snapshot_key(name: str) -> str:
    """The journal key of a snapshot: a name is given once."""
    return f"snapshot:{name}"


def firing_key(firing: str) -> str:
    """The journal key of a schedule's firing: whoever sees that it is due, it fires once."""
    return f"fired:{firing}"


def draft(body: Body, blobs: Mapping[str, bytes] = NO_BLOBS) -> Draft:
    """An event to write, with its key if it may happen once, and with what is attached to it."""
    named = {one.digest for one in attached_to(body)} & blobs.keys() if blobs else ()
    return Draft(body, _key(body), {digest: blobs[digest] for digest in named})


class Ledger:
    """One agent's journal and the state it stands for."""

    def __init__(
        self, agent_id: str, journal: Journal, *, told: Callable[[Context, Sequence[Event]], None]
    ) -> None:
        """`told` is called with all that was taken in, the past first, and the state after it."""
        self.context = Context()
        self.epoch = 0  # 0: not the writer
        self.in_touch = False  # a write of ours has just shown what others wrote: no need to look
        self._agent_id = agent_id
        self._journal = journal
        self._lock = asyncio.Lock()
        self._grown = asyncio.Event()
        self._told = told

    async def take(self) -> bool:
        """Be the writer and know the present state. True when this was not the writer before.

        Whether another took over since is told by the first write: it is refused.
        """
        taken = self.epoch == 0
        if taken:
            self.epoch = (await self._journal.acquire(self._agent_id)).epoch
        if taken or not self.in_touch:
            await self.catch_up()
        return taken

    async def append(self, *bodies: Body, blobs: Mapping[str, bytes] = NO_BLOBS) -> None:
        """Write as the writer. Raises `Fenced`, and `DuplicateKey` when somebody came first.

        `blobs`: the bytes of what is attached, by digest. A cancellation waits until it is known
        what was written.
        """
        await finish(self._append([draft(body, blobs) for body in bodies]))

    async def begin(self, *drafts: Draft) -> bool:
        """Write as the writer, if nobody has written since. False, and nothing written, else.

        Raises `DuplicateKey`.
        """
        begun = False

        async def write() -> None:
            nonlocal begun
            async with self._lock:
                with suppress(Fenced, Moved):
                    await self._follow_on(
                        await self._journal.append(
                            self._agent_id, drafts, epoch=self.epoch, at=self.context.seq
                        )
                    )
                    self.in_touch = begun = True

        await finish(write())
        return begun

    async def post(self, *bodies: Body, blobs: Mapping[str, bytes] = NO_BLOBS) -> None:
        """Write from outside. Raises `DuplicateKey`."""
        await self.tell(*(draft(body, blobs) for body in bodies))

    async def tell(self, *drafts: Draft) -> None:
        """Write from outside what is made up already. Raises `DuplicateKey`."""
        async with self._lock:
            await self._follow_on(await self._journal.post(self._agent_id, drafts))

    async def catch_up(self) -> None:
        """Take in what others wrote."""
        async with self._lock:
            self._take_in(await self._journal.read(self._agent_id, after=self.context.seq))

    async def hear(self, seq: int) -> None:
        """Take in what others wrote up to `seq`; our own writes are known already."""
        async with self._lock:  # a ring of our own write comes before that write is folded in
            known = seq <= self.context.seq
        if not known:
            await self.catch_up()

    async def ask(self, required: PermissionRequired) -> PermissionDecided:
        """Put a sub-agent's approval before this agent's people; their decision."""
        if required.call_id not in self.context.delegated:
            await self.append(required)
        while True:
            delegated = self.context.delegated.get(required.call_id)
            if delegated is None:  # the turn ended meanwhile
                return PermissionDecided(call_id=required.call_id, decision="cancelled")
            if delegated.decided is not None:
                return delegated.decided
            self._grown.clear()
            await self._grown.wait()

    async def _append(self, drafts: Sequence[Draft]) -> None:
        if self.epoch == 0:
            raise Fenced(f"Agent {self._agent_id!r} is not open for writing here.")
        async with self._lock:
            events = await self._journal.append(self._agent_id, drafts, epoch=self.epoch)
            await self._follow_on(events)
            self.in_touch = True

    async def _follow_on(self, events: Sequence[Event]) -> None:
        """Take in what was just written here, after what others wrote before it."""
        if missing := events[0].seq - self.context.seq - 1:
            seq = self.context.seq
            self._take_in(await self._journal.read(self._agent_id, after=seq, limit=missing))
        self._take_in(events)

    def _take_in(self, events: Sequence[Event]) -> None:
        if events:
            self.context.apply(events)
            self._grown.set()
            self._told(self.context, events)


def _key(body: Body) -> str | None:
    match body:
        case PermissionDecided():
            return decision_key(body.call_id)
        case MessageReceived():
            return message_key(body.message_id)
        case SnapshotTaken():
            return snapshot_key(body.name)
        case ScheduleFired():
            return firing_key(body.firing)
        case _:
            return None
