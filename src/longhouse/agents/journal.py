"""Journals in the server's database: the statements, and the runtime's port on top of them.

A journal is a session. One `UPDATE` of the session's row gives the numbers, holds off everybody
else until the commit, refuses a writer whose epoch is old, and keeps what lists show; the events
follow in one `INSERT`. `service` uses the statements inside its own transactions (a message and the
run that answers it are one), the runtime uses `DatabaseJournal`. Who may see a session is not asked
here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import msgspec
from sqlalchemy import (
    BigInteger,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    String,
    Text,
    TextClause,
    bindparam,
    column,
    insert,
    select,
    text,
    update,
)
from sqlalchemy import delete as delete_rows
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY

from longhouse.agents import attachments
from longhouse.agents.attachments import CHAIN
from longhouse.agents.models import (
    AgentId,
    SessionId,
    agents,
    approvals,
    events,
    sessions,
    tenant_topic,
)
from longhouse.agents.projection import Changes, changes
from longhouse.agents.states import AgentStatus, status_of
from longhouse.identity.auth import tenant_of_own_row
from longhouse.identity.models import TenantId
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database
from longhouse.kit.db.tables import UtcDateTime, is_postgres
from longhouse.protocol.events import (
    AgentCreated,
    AgentState,
    Draft,
    Event,
    Usage,
    decode_body,
    encode_body,
    wire,
)
from longhouse.runtime.journals.base import (
    DuplicateKey,
    Fenced,
    Head,
    Moved,
    UnknownAgent,
    check_point,
    ring,
    ring_deleted,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """An event as it is stored: served to clients without being decoded."""

    seq: int
    time: int  # microseconds since 1970
    type: str
    data: str

    @property
    def wire(self) -> bytes:
        """The event as clients read it."""
        return wire(self.seq, self.time, self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a write made, for those who are told after the commit."""

    session_id: SessionId
    agent_id: AgentId
    tenant_id: TenantId
    events: list[Event]
    lists_changed: bool  # something that lists or the inbox show

    @property
    def last_seq(self) -> int:
        """The number of the journal's last event now."""
        return self.events[-1].seq

    def ring(self, bus: Bus | None) -> None:
        """Wake the readers of the journal and of the tenant's lists. Call it after the commit."""
        ring(bus, self.session_id, self.last_seq)
        if bus is not None and self.lists_changed:
            bus.publish(tenant_topic(self.tenant_id))


def _advance(condition: str) -> TextClause:
    """Give numbers to events and keep the projections: the statement every write begins with."""
    return text(f"""
        UPDATE sessions SET
            last_seq = last_seq + :count,
            state = COALESCE(:state, state),
            turn = COALESCE(:turn, turn),
            step = COALESCE(:step, step),
            todos = COALESCE(:todos, todos),
            title = CASE WHEN title = '' THEN :title ELSE title END,
            input_tokens = input_tokens + :input,
            output_tokens = output_tokens + :output,
            cached_tokens = cached_tokens + :cached,
            reasoning_tokens = reasoning_tokens + :reasoning,
            updated_at = :now
        WHERE id = :id AND {condition}
        RETURNING last_seq, agent_id, tenant_id, parent_id, delegated_by
    """).bindparams(  # noqa: S608 - the conditions are the three below
        bindparam("state", type_=String),
        bindparam("turn", type_=Integer),
        bindparam("step", type_=Integer),
        bindparam("todos", type_=Text),
        bindparam("now", type_=UtcDateTime),
    )


_ADVANCE_NEW = _advance("last_seq = 0")
_ADVANCE_AS_WRITER = _advance(
    "last_seq > 0 AND epoch = :epoch AND last_seq = COALESCE(:at, last_seq)"
).bindparams(bindparam("at", type_=BigInteger))
_ADVANCE_FROM_OUTSIDE = _advance("last_seq > 0")

_ACQUIRE = text("""
    UPDATE sessions SET epoch = epoch + 1 WHERE id = :id AND last_seq > 0
    RETURNING last_seq, epoch
""")

_OF_CHAIN = (
    text(f"""
        {CHAIN} SELECT e.seq, e.time, e.type, e.data, e.key
            FROM chain AS c JOIN events AS e ON e.session_id = c.id
            WHERE e.seq > c.low AND e.seq <= c.high
    """)  # noqa: S608 - put together from the text above
    .columns(
        column("seq", BigInteger),
        column("time", BigInteger),
        column("type", String),
        column("data", Text),
        column("key", String),
    )
    .subquery("shared")
)

_INSERT_SQLITE = text("""
    INSERT INTO events (session_id, seq, time, type, data, key)
    VALUES (:session_id, :seq, :time, :type, :data, :key)
""")

_INSERT_POSTGRES = text("""
    INSERT INTO events (session_id, seq, time, type, data, key)
    SELECT :session_id, * FROM unnest(:seqs, :times, :types, :datas, :keys)
""").bindparams(
    bindparam("seqs", type_=ARRAY(BigInteger)),
    bindparam("times", type_=ARRAY(BigInteger)),
    bindparam("types", type_=ARRAY(Text)),
    bindparam("datas", type_=ARRAY(Text)),
    bindparam("keys", type_=ARRAY(Text)),
)

_INSERT_SESSION = {
    # A sub-agent that is taken up again after a crash is the same sub-agent.
    "sqlite": sqlite.insert(sessions).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(sessions).on_conflict_do_nothing(),
}

_INSERT_APPROVAL = {
    # A call that is asked for again after a crash is the same call.
    "sqlite": sqlite.insert(approvals).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(approvals).on_conflict_do_nothing(),
}


# --- statements, for the caller's transaction -----------------------------------------------------


def create(
    conn: Connection, session_id: str, drafts: Sequence[Draft], *, now: datetime
) -> Written | None:
    """Begin the journal of a session that has none; None if it has one. Raises `UnknownAgent`.

    A sub-agent's session is made with it: it is of the tenant and the agent that it works for.
    """
    created = drafts[0].body
    if isinstance(created, AgentCreated) and "parent" in created.metadata:
        _add_sub_agent(conn, session_id, created, now=now)
    written = _write(conn, _ADVANCE_NEW, session_id, drafts, now=now)
    if written is None and head(conn, session_id) is None:
        raise _unknown(session_id)
    return written


def append(
    conn: Connection,
    session_id: str,
    drafts: Sequence[Draft],
    *,
    epoch: int,
    at: int | None = None,
    now: datetime,
) -> Written:
    """Write as the writer; with `at`, only right after the event of that number.

    Raises `Fenced`, `Moved`, `DuplicateKey`, `UnknownAgent`.
    """
    rights = {"epoch": epoch, "at": at}
    written = _write(conn, _ADVANCE_AS_WRITER, session_id, drafts, now=now, rights=rights)
    if written is not None:
        return written
    stands = head(conn, session_id)
    if stands is None:
        raise _unknown(session_id)
    if stands.epoch == epoch:
        raise Moved(f"The session {session_id!r} does not end with event {at}.")
    raise Fenced(f"The session {session_id!r} has a newer writer than epoch {epoch}.")


def post(conn: Connection, session_id: str, drafts: Sequence[Draft], *, now: datetime) -> Written:
    """Write from outside: a message, a decision. Raises `UnknownAgent`, `DuplicateKey`."""
    written = _write(conn, _ADVANCE_FROM_OUTSIDE, session_id, drafts, now=now)
    if written is None:
        raise _unknown(session_id)
    return written


def fork(
    conn: Connection,
    parent_id: str,
    session_id: str,
    drafts: Sequence[Draft],
    *,
    at: int,
    now: datetime,
) -> Written | None:
    """Begin a session of the same agent with a shared past; None if the session exists.

    Raises `UnknownAgent` for the parent, `NoSuchPoint`, `DuplicateKey`.
    """
    query = select(sessions).where(sessions.c.id == parent_id, sessions.c.last_seq > 0)
    parent = conn.execute(query).one_or_none()
    if parent is None:
        raise _unknown(parent_id)
    check_point(parent_id, at, parent.last_seq)
    if conn.scalar(select(sessions.c.id).where(sessions.c.id == session_id)) is not None:
        return None
    values = {
        "id": session_id,
        "tenant_id": parent.tenant_id,
        "agent_id": parent.agent_id,
        "title": parent.title,
        "last_seq": at,
        "parent_id": _owner(conn, parent_id, at),
        "fork_seq": at,
        "forked_from": parent_id,
        "forked_after": at,
        "state": AgentState.READY,
        "created_at": now,
        "updated_at": now,
        **_projections(conn, parent_id, at),
    }
    conn.execute(insert(sessions).values(values))
    return _write(conn, _ADVANCE_FROM_OUTSIDE, session_id, drafts, now=now)


def delete(conn: Connection, session_id: str) -> bool:
    """Delete a session; its forks keep the past they share with it. False if there is none."""
    row = select(sessions.c.parent_id, sessions.c.fork_seq, sessions.c.agent_id)
    found = conn.execute(row.where(sessions.c.id == session_id).with_for_update()).one_or_none()
    if found is None:
        return False
    _hand_over(conn, session_id, parent_id=found.parent_id, fork_seq=found.fork_seq)
    conn.execute(delete_rows(sessions).where(sessions.c.id == session_id))
    conn.execute(
        update(agents)
        .where(agents.c.id == found.agent_id, agents.c.current_session_id == session_id)
        .values(current_session_id=None)
    )
    conn.execute(
        update(agents)
        .where(agents.c.id == found.agent_id, agents.c.default_session_id == session_id)
        .values(default_session_id=None)
    )
    status = _status(conn, found.agent_id)
    conn.execute(update(agents).where(agents.c.id == found.agent_id).values(status=status))
    return True


def acquire(conn: Connection, session_id: str) -> Head:
    """Become the one writer. Raises `UnknownAgent`."""
    row = conn.execute(_ACQUIRE, {"id": session_id}).one_or_none()
    if row is None:
        raise _unknown(session_id)
    return Head(agent_id=session_id, seq=row.last_seq, epoch=row.epoch)


def head(conn: Connection, session_id: str) -> Head | None:
    """Where the journal stands; None if there is none."""
    row = conn.execute(
        select(sessions.c.last_seq, sessions.c.epoch).where(
            sessions.c.id == session_id, sessions.c.last_seq > 0
        )
    ).one_or_none()
    return None if row is None else Head(agent_id=session_id, seq=row.last_seq, epoch=row.epoch)


def read(
    conn: Connection,
    session_id: str,
    *,
    after: int = 0,
    limit: int | None = None,
    types: Sequence[str] | None = None,
) -> list[EventRow]:
    """Events with a number above `after`, in order."""
    source, query = _of(conn, session_id, types)
    query = query.where(source.c.seq > after).order_by(source.c.seq)
    if types is None and limit is not None:  # so that a page is not sorted out of all that follows
        query = query.where(source.c.seq <= after + limit)
    return _rows(conn, query.limit(limit))


def read_before(
    conn: Connection,
    session_id: str,
    *,
    before: int,
    limit: int,
    types: Sequence[str] | None = None,
) -> list[EventRow]:
    """The last `limit` events with a number below `before`, in order."""
    source, query = _of(conn, session_id, types)
    query = query.where(source.c.seq < before).order_by(source.c.seq.desc())
    return _rows(conn, query.limit(limit))[::-1]


def seq_of(conn: Connection, session_id: str, key: str) -> int | None:
    """The number of the event with this key, if the journal has one."""
    own = select(events.c.seq).where(events.c.session_id == session_id, events.c.key == key)
    if (seq := conn.scalar(own)) is not None or not _is_fork(conn, session_id):
        return seq
    shared = select(_OF_CHAIN.c.seq).where(_OF_CHAIN.c.key == key)
    return conn.scalar(shared, {"id": session_id})


# --- one step each --------------------------------------------------------------------------------


def _add_sub_agent(
    conn: Connection, session_id: str, created: AgentCreated, *, now: datetime
) -> None:
    parent_id = created.metadata["parent"]
    parent = conn.execute(
        select(sessions.c.tenant_id, sessions.c.agent_id).where(sessions.c.id == parent_id)
    ).one_or_none()
    if parent is None:
        raise _unknown(parent_id)
    values = {
        "id": session_id,
        "tenant_id": parent.tenant_id,
        "agent_id": parent.agent_id,
        "title": "",
        "delegated_by": parent_id,
        "delegated_call": created.metadata["call"],
        "delegated_post": created.post,
        "state": AgentState.READY,
        "created_at": now,
        "updated_at": now,
    }
    conn.execute(_INSERT_SESSION[conn.dialect.name], values)


def _write(
    conn: Connection,
    advance: TextClause,
    session_id: str,
    drafts: Sequence[Draft],
    *,
    now: datetime,
    rights: Mapping[str, int | None] = MappingProxyType({}),
) -> Written | None:
    changed = changes([draft.body for draft in drafts])
    parameters = _advance_parameters(session_id, changed, count=len(drafts), now=now)
    row = conn.execute(advance, {**parameters, **rights}).one_or_none()
    if row is None:
        return None
    # The session's row is ours until the commit: nobody can add a key behind our back.
    _refuse_known_keys(conn, session_id, drafts, is_fork=row.parent_id is not None)
    time = int(now.timestamp() * 1_000_000)
    first = row.last_seq - len(drafts) + 1
    written = Written(
        session_id=SessionId(session_id),
        agent_id=AgentId(row.agent_id),
        tenant_id=tenant_of_own_row(row.tenant_id),
        events=[Event(first + place, time, draft.body) for place, draft in enumerate(drafts)],
        lists_changed=changed.of_lists,
    )
    _insert(conn, session_id, written.events, [draft.key for draft in drafts])
    attachments.keep(conn, session_id, drafts, first=first)
    if row.delegated_by is not None:
        _add_tokens(conn, written, changed)  # people deal with the session that it works for
        return written
    _keep_inbox(conn, written, changed, time=time)
    if changed.of_agent:
        _keep_agent(conn, written, changed, now=now)
    return written


def _advance_parameters(
    session_id: str, changed: Changes, *, count: int, now: datetime
) -> dict[str, object]:
    todos = None if changed.todos is None else msgspec.json.encode(changed.todos).decode()
    return {
        "id": session_id,
        "count": count,
        "now": now,
        "state": changed.state,
        "turn": changed.turn,
        "step": changed.step,
        "todos": todos,
        "title": changed.title,
        "input": changed.usage.input,
        "output": changed.usage.output,
        "cached": changed.usage.cached,
        "reasoning": changed.usage.reasoning,
    }


def _refuse_known_keys(
    conn: Connection, session_id: str, drafts: Sequence[Draft], *, is_fork: bool
) -> None:
    keys = [draft.key for draft in drafts if draft.key is not None]
    if not keys:
        return
    query = (
        select(_OF_CHAIN.c.key).where(_OF_CHAIN.c.key.in_(keys))
        if is_fork
        else select(events.c.key).where(events.c.session_id == session_id, events.c.key.in_(keys))
    )
    known = conn.scalars(query, {"id": session_id} if is_fork else None).all()
    if known or len(set(keys)) < len(keys):
        raise DuplicateKey(
            f"The session {session_id!r} has an event with the key {(known or keys)[0]!r}."
        )


def _insert(
    conn: Connection, session_id: str, written: Sequence[Event], keys: Sequence[str | None]
) -> None:
    if is_postgres(conn):
        columns = {
            "session_id": session_id,
            "seqs": [event.seq for event in written],
            "times": [event.time for event in written],
            "types": [event.type for event in written],
            "datas": [encode_body(event.body).decode() for event in written],
            "keys": list(keys),
        }
        conn.execute(_INSERT_POSTGRES, columns)
        return
    rows = [
        {
            "session_id": session_id,
            "seq": event.seq,
            "time": event.time,
            "type": event.type,
            "data": encode_body(event.body).decode(),
            "key": key,
        }
        for event, key in zip(written, keys, strict=True)
    ]
    conn.execute(_INSERT_SQLITE, rows)


def _keep_inbox(conn: Connection, written: Written, changed: Changes, *, time: int) -> None:
    if changed.required:
        rows = [
            {
                "session_id": written.session_id,
                "call_id": body.call_id,
                "tenant_id": written.tenant_id,
                "agent_id": written.agent_id,
                "name": body.name,
                "arguments": msgspec.json.encode(body.arguments).decode(),
                "reason": _storable(body.reason),
                "preview": _storable(body.preview),
                "requested_at": time,
            }
            for body in changed.required
        ]
        conn.execute(_INSERT_APPROVAL[conn.dialect.name], rows)
    for decided in changed.decided:
        conn.execute(
            update(approvals)
            .where(
                approvals.c.session_id == written.session_id,
                approvals.c.call_id == decided.call_id,
                approvals.c.decision.is_(None),
            )
            .values(decision=decided.decision, decided_by=decided.by or None, decided_at=time)
        )


def _storable(text: str) -> str:
    """A tool's own words may hold a NUL, which PostgreSQL stores nowhere but escaped in JSON."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _add_tokens(conn: Connection, written: Written, changed: Changes) -> None:
    if changed.usage == Usage():
        return
    values = {
        "input_tokens": agents.c.input_tokens + changed.usage.input,
        "output_tokens": agents.c.output_tokens + changed.usage.output,
    }
    conn.execute(update(agents).where(agents.c.id == written.agent_id).values(values))


def _keep_agent(conn: Connection, written: Written, changed: Changes, *, now: datetime) -> None:
    values: dict[str, object] = {
        "input_tokens": agents.c.input_tokens + changed.usage.input,
        "output_tokens": agents.c.output_tokens + changed.usage.output,
        "current_session_id": written.session_id,
        "updated_at": now,
    }
    if changed.state is not None:
        # Locked before the sessions are read, so that of two moves the later one sees both. The
        # weaker of PostgreSQL's locks, for a new session's foreign key holds the row, too.
        row = select(agents.c.id).where(agents.c.id == written.agent_id)
        conn.execute(row.with_for_update(key_share=True))
        values["status"] = _status(conn, written.agent_id)
    conn.execute(update(agents).where(agents.c.id == written.agent_id).values(**values))


def _status(conn: Connection, agent_id: str) -> AgentStatus:
    """An agent's status, by its sessions with people: a sub-agent works while its parent does."""
    states = select(sessions.c.state).where(
        sessions.c.agent_id == agent_id, sessions.c.delegated_by.is_(None)
    )
    return status_of(AgentState(state) for state in conn.scalars(states))


def _of(
    conn: Connection, session_id: str, types: Sequence[str] | None
) -> tuple[FromClause, Select[int, int, str, str]]:
    """Where a session's events are, and the beginning of a query on them."""
    source: FromClause
    if _is_fork(conn, session_id):
        source = _OF_CHAIN
        query = select(source.c.seq, source.c.time, source.c.type, source.c.data)
        query = query.params(id=session_id)
    else:
        source = events
        query = select(source.c.seq, source.c.time, source.c.type, source.c.data)
        query = query.where(events.c.session_id == session_id)
    return source, query if types is None else query.where(source.c.type.in_(types))


def _is_fork(conn: Connection, session_id: str) -> bool:
    """Whether it shares events. What is none never becomes one; what is one may cease to be."""
    return (
        conn.scalar(
            select(sessions.c.id).where(
                sessions.c.id == session_id, sessions.c.parent_id.is_not(None)
            )
        )
        is not None
    )


def _owner(conn: Connection, session_id: str, seq: int) -> str:
    """The session that the event of this number belongs to: this one, or an ancestor.

    It is held until the commit: whoever deletes it then knows of the fork and hands its events on.
    """
    row = select(sessions.c.id, sessions.c.parent_id, sessions.c.fork_seq)
    while True:
        found = conn.execute(row.where(sessions.c.id == session_id)).one_or_none()
        while found is not None and seq <= found.fork_seq:
            found = conn.execute(row.where(sessions.c.id == found.parent_id)).one_or_none()
        if found is not None:
            held = row.where(sessions.c.id == found.id).with_for_update(key_share=True)
            found = conn.execute(held).one_or_none()
        if found is not None and seq > found.fork_seq:
            return str(found.id)
        if head(conn, session_id) is None:  # else an ancestor was deleted meanwhile: look again
            raise _unknown(session_id)


def _projections(conn: Connection, session_id: str, at: int) -> dict[str, object]:
    """What the row of a session says that ends after event `at`."""
    values: dict[str, object] = {}
    for row in read_before(conn, session_id, before=at + 1, limit=1, types=["step_started"]):
        changed = changes([decode_body(row.data)])
        values |= {"turn": changed.turn, "step": changed.step}
    for row in read_before(conn, session_id, before=at + 1, limit=1, types=["todo_changed"]):
        changed = changes([decode_body(row.data)])
        values["todos"] = msgspec.json.encode(changed.todos).decode()
    return values


def _hand_over(conn: Connection, session_id: str, *, parent_id: str | None, fork_seq: int) -> None:
    """Give what forks share to the one that shares most; the others become forks of that one."""
    forks = select(sessions.c.id, sessions.c.fork_seq).where(sessions.c.parent_id == session_id)
    forks = forks.order_by(sessions.c.fork_seq.desc(), sessions.c.id).with_for_update()
    heir = conn.execute(forks).first()
    if heir is None:
        return
    shared = (events.c.session_id == session_id, events.c.seq <= heir.fork_seq)
    conn.execute(update(events).where(*shared).values(session_id=heir.id))
    attachments.hand_over(conn, session_id, heir.id, upto=heir.fork_seq)
    of_this = sessions.c.parent_id == session_id
    conn.execute(
        update(sessions).where(of_this, sessions.c.id != heir.id).values(parent_id=heir.id)
    )
    succeeded = {"parent_id": parent_id, "fork_seq": fork_seq}
    conn.execute(update(sessions).where(sessions.c.id == heir.id).values(succeeded))


def _rows(conn: Connection, query: Select[int, int, str, str]) -> list[EventRow]:
    return [_row(row) for row in conn.execute(query)]


def _row(row: Row[int, int, str, str]) -> EventRow:
    seq, time, kind, data = row
    return EventRow(seq=seq, time=time, type=kind, data=data)


def _unknown(session_id: str) -> UnknownAgent:
    return UnknownAgent(f"There is no session {session_id!r}.")


# --- the runtime's port ---------------------------------------------------------------------------


class DatabaseJournal:
    """The runtime's journals in the server's database: an agent's id there is a session's id here.

    Sessions are made by `service`, which knows their tenant; this one only writes on.
    """

    def __init__(self, database: Database, *, clock: Clock, bus: Bus | None = None) -> None:
        self.bus = bus
        self._database = database
        self._clock = clock

    async def create(self, agent_id: str, drafts: Sequence[Draft]) -> bool:
        """Begin the journal of a session that has none; False if it has one."""
        written = await self._database.write(
            lambda conn: create(conn, agent_id, drafts, now=self._clock.now())
        )
        if written is None:
            return False
        written.ring(self.bus)
        return True

    async def fork(
        self, parent_id: str, agent_id: str, drafts: Sequence[Draft], *, at: int
    ) -> bool:
        """Begin a session of the same agent with a shared past; False if the session exists."""
        written = await self._database.write(
            lambda conn: fork(conn, parent_id, agent_id, drafts, at=at, now=self._clock.now())
        )
        if written is None:
            return False
        written.ring(self.bus)
        if self.bus is not None:
            self.bus.publish(tenant_topic(written.tenant_id))  # lists have one more
        return True

    async def delete(self, agent_id: str) -> bool:
        """Delete a session; False if there is none."""
        deleted = await self._database.write(lambda conn: delete(conn, agent_id))
        if deleted:
            ring_deleted(self.bus, agent_id)
        return deleted

    async def head(self, agent_id: str) -> Head | None:
        """Where the journal stands."""
        return await self._database.read(lambda conn: head(conn, agent_id))

    async def acquire(self, agent_id: str) -> Head:
        """Become the one writer."""
        return await self._database.write(lambda conn: acquire(conn, agent_id))

    async def append(
        self, agent_id: str, drafts: Sequence[Draft], *, epoch: int, at: int | None = None
    ) -> list[Event]:
        """Write as the writer."""
        written = await self._database.write(
            lambda conn: append(conn, agent_id, drafts, epoch=epoch, at=at, now=self._clock.now())
        )
        written.ring(self.bus)
        return written.events

    async def post(self, agent_id: str, drafts: Sequence[Draft]) -> list[Event]:
        """Write from outside."""
        written = await self._database.write(
            lambda conn: post(conn, agent_id, drafts, now=self._clock.now())
        )
        written.ring(self.bus)
        return written.events

    async def read(
        self,
        agent_id: str,
        *,
        after: int = 0,
        limit: int | None = None,
        types: Sequence[str] | None = None,
    ) -> list[Event]:
        """Events above `after`."""
        rows = await self._database.read(
            lambda conn: read(conn, agent_id, after=after, limit=limit, types=types)
        )
        return [Event(row.seq, row.time, decode_body(row.data)) for row in rows]

    async def blob(self, agent_id: str, digest: str) -> bytes | None:
        """The bytes of what is attached to an event."""
        stored = await self._database.read(lambda conn: attachments.find(conn, agent_id, digest))
        return None if stored is None else stored.data

    async def close(self) -> None:
        """The database is closed by whoever opened it."""
