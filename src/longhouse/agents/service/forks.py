"""Sessions looked back on, named at a moment, and forked there.

`api.forks` calls it for HTTP. A fork is a session of the same agent with a shared past and a future
of its own; it works in the agent's one workspace, as all the agent's sessions do.
"""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Connection

from longhouse.agents import journal
from longhouse.agents.errors import SubAgentSession
from longhouse.agents.journal import EventRow, Written
from longhouse.agents.models import Session, SessionId, tenant_topic
from longhouse.agents.service.access import find_session, lock_session, record
from longhouse.agents.store import sessions as store
from longhouse.identity.auth import Principal
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database
from longhouse.kit.errors import Json
from longhouse.kit.ids import new_id
from longhouse.protocol.events import Draft, SnapshotTaken, decode_body, decode_rows
from longhouse.runtime.context import Context
from longhouse.runtime.journals.base import DuplicateKey, check_point
from longhouse.runtime.ledger import snapshot_key
from longhouse.runtime.moments import (
    Moment,
    SnapshotExists,
    beginning_of_fork,
    moment_of,
    snapshot_of,
)


class Forks:
    """Moments of sessions, and what begins there. One for each process."""

    def __init__(self, *, database: Database, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock

    async def fork(
        self,
        principal: Principal,
        agent_id: str,
        session_id: str,
        *,
        at: int | str | None,
        title: str = "",
    ) -> Session:
        """A session with this one's past up to a point; it is at rest.

        `at`: an event's number, a snapshot's name, or now. Without a title it has its parent's.
        Raises `NotForkable` where a tool call is open, `NoSuchPoint`, `NoSuchSnapshot`.
        """
        principal.require("sessions:write")
        parent, context = await self._fold(principal, agent_id, session_id)
        fork_id, now = SessionId(new_id("session")), self._clock.now()
        forked, bodies = beginning_of_fork(fork_id, parent.id, context, at=at, metadata={})

        def work(conn: Connection) -> tuple[Session, Written | None]:
            lock_session(conn, principal, agent_id, session_id)
            drafts = [Draft(body) for body in bodies]
            written = journal.fork(conn, parent.id, fork_id, drafts, at=forked.at, now=now)
            if title:
                store.rename(conn, fork_id, title)
            store.make_current(conn, parent.agent_id, fork_id)
            origin: Json = {"from": parent.id, "after": forked.at}
            record(conn, principal, "session.forked", fork_id, now=now, after=origin)
            return find_session(conn, principal, agent_id, fork_id), written

        session, written = await self._database.write(work)
        self._ring(written)
        self._bus.publish(tenant_topic(principal.tenant_id))  # lists have one more
        return session

    async def take_snapshot(
        self, principal: Principal, agent_id: str, session_id: str, name: str
    ) -> SnapshotTaken:
        """Give the present moment a name. Raises `NotForkable`, `SnapshotExists`."""
        principal.require("sessions:write")
        session, context = await self._fold(principal, agent_id, session_id)
        taken, now = snapshot_of(session.id, context, name), self._clock.now()

        def work(conn: Connection) -> Written:
            lock_session(conn, principal, agent_id, session_id)
            draft = Draft(taken, snapshot_key(name))
            written = journal.post(conn, session.id, [draft], now=now)
            record(conn, principal, "session.snapshot", session.id, now=now, after={"name": name})
            return written

        try:
            self._ring(await self._database.write(work))
        except DuplicateKey:
            raise SnapshotExists(session.id, name) from None
        return taken

    async def snapshots(
        self, principal: Principal, agent_id: str, session_id: str
    ) -> list[SnapshotTaken]:
        """The moments of the session that have names, the oldest first."""
        principal.require("sessions:read")

        def work(conn: Connection) -> Sequence[EventRow]:
            session = find_session(conn, principal, agent_id, session_id)
            return journal.read(conn, session.id, types=["snapshot"])

        bodies = [decode_body(row.data) for row in await self._database.read(work)]
        return [body for body in bodies if isinstance(body, SnapshotTaken)]

    async def at(self, principal: Principal, agent_id: str, session_id: str, seq: int) -> Moment:
        """The session as it was after an event. Raises `NoSuchPoint`."""
        principal.require("sessions:read")

        def work(conn: Connection) -> Sequence[EventRow]:
            session = find_session(conn, principal, agent_id, session_id)
            check_point(session.id, seq, session.last_seq)
            return journal.read(conn, session.id, limit=seq)

        rows = await self._database.read(work)
        return await asyncio.to_thread(
            lambda: moment_of(
                session_id, decode_rows((row.seq, row.time, row.data) for row in rows)
            )
        )

    # --- one step each ----------------------------------------------------------------------------

    async def _fold(
        self, principal: Principal, agent_id: str, session_id: str
    ) -> tuple[Session, Context]:
        """A session that may be written, and what its journal means now."""

        def work(conn: Connection) -> tuple[Session, Sequence[EventRow]]:
            session = find_session(conn, principal, agent_id, session_id)
            if session.delegation is not None:
                raise SubAgentSession(session.id, session.delegation.session_id)
            return session, journal.read(conn, session.id)

        session, rows = await self._database.read(work)
        # Long journals take a while, and the process has other things to do.
        return session, await asyncio.to_thread(_folded, rows)

    def _ring(self, written: Written | None) -> None:
        if written is not None:
            written.ring(self._bus)


def _folded(rows: Sequence[EventRow]) -> Context:
    context = Context()
    context.apply(decode_rows((row.seq, row.time, row.data) for row in rows))
    return context
