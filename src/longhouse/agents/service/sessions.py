"""Sessions: begun, read, and told what makes a turn necessary.

`api.sessions` calls it for HTTP. A message, a decision or an interrupt is written to the journal
and queued as a run in the same transaction, and rung after it. It runs no turn itself: `worker`
does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection

from longhouse.agents import attachments as attached
from longhouse.agents import journal
from longhouse.agents.attachments import Stored
from longhouse.agents.errors import NoSuchAttachment, invalid
from longhouse.agents.journal import EventRow, Written
from longhouse.agents.models import (
    TURN,
    Agent,
    Approval,
    Session,
    SessionId,
    lane_of,
    tenant_topic,
)
from longhouse.agents.service.access import find_agent, find_session, lock_session, record
from longhouse.agents.store import sessions as store
from longhouse.fleet import store as queue
from longhouse.fleet.models import RUNS_TOPIC
from longhouse.identity.auth import Principal
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database
from longhouse.kit.db.pages import Page
from longhouse.kit.ids import new_id
from longhouse.protocol.events import (
    AgentCreated,
    AgentState,
    Draft,
    InterruptRequested,
    JsonObject,
    MessageReceived,
    PermissionDecided,
)
from longhouse.runtime.agent import AlreadyDecided, NoSuchApproval
from longhouse.runtime.answers import schema_of
from longhouse.runtime.attachments import MOST_BYTES, Attachment, blobs_of, check_sizes
from longhouse.runtime.ledger import decision_key, message_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A message that will be answered."""

    message_id: str
    seq: int


class Sessions:
    """The agents' sessions. One for each process."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        clock: Clock,
        most_attachment_bytes: int = MOST_BYTES,
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._most_attachment_bytes = most_attachment_bytes

    async def list_page(
        self, principal: Principal, agent_id: str, *, after: str | None, limit: int
    ) -> Page[Session]:
        """The sessions that people have with the agent, the newest first."""
        principal.require("sessions:read")

        def work(conn: Connection) -> Page[Session]:
            agent = find_agent(conn, principal, agent_id)
            return store.list_page(
                conn, principal.tenant_id, agent_id=agent.id, after=after, limit=limit
            )

        return await self._database.read(work)

    async def get(self, principal: Principal, agent_id: str, session_id: str) -> Session:
        """One session."""
        principal.require("sessions:read")
        return await self._database.read(
            lambda conn: find_session(conn, principal, agent_id, session_id)
        )

    async def sub_agents(
        self, principal: Principal, agent_id: str, session_id: str
    ) -> list[Session]:
        """The sessions of the sub-agents that a session sent out itself, in that order."""
        principal.require("sessions:read")

        def work(conn: Connection) -> list[Session]:
            session = find_session(conn, principal, agent_id, session_id)
            return store.sub_agents(conn, principal.tenant_id, session.id)

        return await self._database.read(work)

    async def create(self, principal: Principal, agent_id: str, *, title: str = "") -> Session:
        """A new session of an agent; its journal begins with it."""
        principal.require("sessions:write")
        now = self._clock.now()

        def work(conn: Connection) -> Session:
            agent = find_agent(conn, principal, agent_id)
            session_id = begin(conn, principal, agent, title=title, now=now)
            return find_session(conn, principal, agent_id, session_id)

        session = await self._database.write(work)
        self._bus.publish(tenant_topic(principal.tenant_id))
        return session

    async def send(
        self,
        principal: Principal,
        agent_id: str,
        session_id: str,
        *,
        text: str,
        attachments: Sequence[Attachment] = (),
        output: JsonObject | None = None,
        message_id: str | None = None,
    ) -> Queued:
        """Give the agent a message: durable, and sure to be answered, when this returns.

        A `message_id` that the session has already changes nothing and gets the same answer.
        `output`: the JSON Schema that the answer has to fit. Raises `AttachmentTooLarge`.
        """
        principal.require("sessions:write")
        if not text.strip() and not attachments:
            raise invalid("text", "The message is empty.", hint="Say what the agent should do.")
        check_sizes(attachments, most_bytes=self._most_attachment_bytes)
        if output is not None:
            output = schema_of(output)
        message_id = message_id or new_id("message")

        def work(conn: Connection) -> tuple[Queued, Written | None]:
            session = lock_session(conn, principal, agent_id, session_id)
            known = journal.seq_of(conn, session.id, message_key(message_id))
            if known is not None:
                return Queued(message_id=message_id, seq=known), None
            body = MessageReceived(
                message_id=message_id,
                text=text,
                sender=principal.name,
                alone=output is not None,
                attachments=tuple(one.attached for one in attachments),
                output=output,
            )
            draft = Draft(body, message_key(message_id), blobs_of(attachments))
            written = self._post_and_queue(conn, principal, session, draft, "message.sent")
            return Queued(message_id=message_id, seq=written.last_seq), written

        queued, written = await self._database.write(work)
        self._ring(written)
        return queued

    async def decide(
        self,
        principal: Principal,
        agent_id: str,
        session_id: str,
        call_id: str,
        *,
        decision: Literal["allow", "deny"],
        note: str = "",
    ) -> None:
        """Allow or deny a tool call that waits. Raises `NoSuchApproval`, `AlreadyDecided`."""
        principal.require("approvals:decide")

        def work(conn: Connection) -> Written:
            session = lock_session(conn, principal, agent_id, session_id)
            asked, decided = store.decision_on(conn, session.id, call_id)
            if not asked:
                raise NoSuchApproval(f"No call {call_id[:80]!r} of this session waits.")
            if decided is not None:
                raise AlreadyDecided(f"The call {call_id!r} was decided before: {decided}.")
            body = PermissionDecided(
                call_id=call_id, decision=decision, note=note, by=principal.name
            )
            draft = Draft(body, decision_key(call_id))
            return self._post_and_queue(conn, principal, session, draft, f"call.{decision}")

        self._ring(await self._database.write(work))

    async def interrupt(self, principal: Principal, agent_id: str, session_id: str) -> None:
        """Stop the turn that runs, waits or is queued; without one, nothing happens."""
        principal.require("sessions:write")

        def work(conn: Connection) -> Written | None:
            session = lock_session(conn, principal, agent_id, session_id)
            if session.state is AgentState.READY and not queue.is_open(
                conn, kind=TURN, subject=session.id
            ):
                return None
            draft = Draft(InterruptRequested(by=principal.name))
            return self._post_and_queue(conn, principal, session, draft, "turn.interrupted")

        self._ring(await self._database.write(work))

    async def approvals(self, principal: Principal) -> list[Approval]:
        """What waits for a person in the tenant, the oldest first."""
        principal.require("sessions:read")
        waiting = await self._database.read(
            lambda conn: store.pending_approvals(conn, principal.tenant_id)
        )
        return [approval for approval in waiting if principal.reaches(approval.agent_id)]

    async def attachment(
        self, principal: Principal, agent_id: str, session_id: str, digest: str
    ) -> Stored:
        """What is attached to an event of the session. Raises `NoSuchAttachment`."""
        principal.require("sessions:read")

        def work(conn: Connection) -> Stored | None:
            session = find_session(conn, principal, agent_id, session_id)
            return attached.find(conn, session.id, digest)

        stored = await self._database.read(work)
        if stored is None:
            raise NoSuchAttachment(digest)
        return stored

    async def events(
        self,
        session_id: SessionId,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int,
        types: Sequence[str] | None = None,
    ) -> list[EventRow]:
        """Events of a session that the caller was allowed to see (`session`), in order.

        `before`: the last ones below that number instead of the first above `after`.
        """
        if before is not None:
            return await self._database.read(
                lambda conn: journal.read_before(
                    conn, session_id, before=before, limit=limit, types=types
                )
            )
        return await self._database.read(
            lambda conn: journal.read(conn, session_id, after=after, limit=limit, types=types)
        )

    # --- one step each ----------------------------------------------------------------------------

    def _post_and_queue(
        self, conn: Connection, principal: Principal, session: Session, draft: Draft, action: str
    ) -> Written:
        """What a person said, the run that takes it up, and the audit: all or nothing."""
        now = self._clock.now()
        written = journal.post(conn, session.id, [draft], now=now)
        queue.enqueue(
            conn,
            tenant_id=principal.tenant_id,
            kind=TURN,
            subject=session.id,
            lane=lane_of(session.agent_id),
            requester=principal.id,
            now=now,
        )
        record(conn, principal, action, session.id, now=now)
        return written

    def _ring(self, written: Written | None) -> None:
        if written is not None:
            written.ring(self._bus)
            self._bus.publish(RUNS_TOPIC)


def begin(
    conn: Connection,
    principal: Principal,
    agent: Agent,
    *,
    title: str = "",
    external_id: str | None = None,
    now: datetime,
) -> SessionId:
    """Begin a session of the agent, and its journal with it."""
    session_id = SessionId(new_id("session"))
    store.add(
        conn,
        principal.tenant_id,
        session_id,
        agent_id=agent.id,
        title=title,
        external_id=external_id,
        now=now,
    )
    journal.create(conn, session_id, [_created(agent, session_id)], now=now)
    store.make_current(conn, agent.id, session_id)
    record(conn, principal, "session.created", session_id, now=now)
    return session_id


def _created(agent: Agent, session_id: SessionId) -> Draft:
    # The workspace is found by the agent's id, without the database.
    metadata = {"agent_id": agent.id}
    return Draft(AgentCreated(agent_id=session_id, post=agent.post_name, metadata=metadata))
