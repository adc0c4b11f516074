"""The statements on sessions and on the approvals that wait in them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    insert,
    select,
    text,
    update,
)

from longhouse.agents.models import (
    AgentId,
    Approval,
    Delegation,
    Lineage,
    Session,
    SessionId,
    agents,
    approvals,
    sessions,
)
from longhouse.identity.auth import tenant_of_own_row
from longhouse.identity.models import TenantId
from longhouse.kit.db.pages import Page, page
from longhouse.protocol.events import AgentState, Todo, Usage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_todos = msgspec.json.Decoder(tuple[Todo, ...])
_arguments = msgspec.json.Decoder(dict[str, Any])

# That the call is set is said for the index, which has only such rows.
_USAGE_BELOW = text("""
    WITH RECURSIVE below (root, id) AS (
        SELECT delegated_by, id FROM sessions
            WHERE delegated_by IN :ids AND delegated_call IS NOT NULL
        UNION ALL
        SELECT b.root, s.id FROM below AS b
            JOIN sessions AS s ON s.delegated_by = b.id AND s.delegated_call IS NOT NULL
    )
    SELECT b.root AS root, SUM(s.input_tokens) AS input, SUM(s.output_tokens) AS output,
        SUM(s.cached_tokens) AS cached, SUM(s.reasoning_tokens) AS reasoning
    FROM below AS b JOIN sessions AS s ON s.id = b.id GROUP BY b.root
""").bindparams(bindparam("ids", expanding=True))


def add(
    conn: Connection,
    tenant_id: TenantId,
    session_id: SessionId,
    *,
    agent_id: AgentId,
    title: str,
    external_id: str | None = None,
    now: datetime,
) -> None:
    """Store a new session; its journal is begun by `journal.create`."""
    conn.execute(
        insert(sessions),
        {
            "id": session_id,
            "tenant_id": tenant_id,
            "agent_id": agent_id,
            "title": title,
            "external_id": external_id,
            "state": AgentState.READY,
            "created_at": now,
            "updated_at": now,
        },
    )


def rename(conn: Connection, session_id: SessionId, title: str) -> None:
    """Give a session another title."""
    conn.execute(update(sessions).where(sessions.c.id == session_id).values(title=title))


def make_current(conn: Connection, agent_id: AgentId, session_id: SessionId) -> None:
    """The session that lists and consoles open first."""
    conn.execute(
        update(agents).where(agents.c.id == agent_id).values(current_session_id=session_id)
    )


def lock(
    conn: Connection, tenant_id: TenantId, session_id: str, *, agent_id: str
) -> Session | None:
    """A session of this agent that nobody else writes until the commit."""
    query = _sessions(tenant_id).where(sessions.c.id == session_id, sessions.c.agent_id == agent_id)
    row = conn.execute(query.with_for_update(key_share=True)).one_or_none()
    return None if row is None else _session(row, ())


def find(
    conn: Connection, tenant_id: TenantId, session_id: str, *, agent_id: str
) -> Session | None:
    """A session of this agent with the approvals it waits for."""
    query = _sessions(tenant_id).where(sessions.c.id == session_id, sessions.c.agent_id == agent_id)
    waiting = pending_approvals(conn, tenant_id, approvals.c.session_id == session_id)
    return next(iter(_whole(conn, query, waiting)), None)


def list_page(
    conn: Connection, tenant_id: TenantId, *, agent_id: AgentId, after: str | None, limit: int
) -> Page[Session]:
    """The sessions that people have with an agent, the newest first."""
    query = _sessions(tenant_id).where(
        sessions.c.agent_id == agent_id, sessions.c.delegated_by.is_(None)
    )
    query = query.order_by(sessions.c.id.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(sessions.c.id < after)
    waiting = pending_approvals(conn, tenant_id, approvals.c.agent_id == agent_id)
    return page(_whole(conn, query, waiting), limit)


def sub_agents(conn: Connection, tenant_id: TenantId, session_id: SessionId) -> list[Session]:
    """The sessions of the sub-agents that a session sent out itself, in that order."""
    query = _sessions(tenant_id).where(
        sessions.c.delegated_by == session_id, sessions.c.delegated_call.is_not(None)
    )
    return _whole(conn, query.order_by(sessions.c.created_at, sessions.c.id), ())


# --- approvals ------------------------------------------------------------------------------------


def pending_approvals(
    conn: Connection, tenant_id: TenantId, *conditions: ColumnElement[bool]
) -> list[Approval]:
    """What waits for a person, the oldest first."""
    query = (
        select(approvals, agents.c.name.label("agent_name"))
        .join(agents, agents.c.id == approvals.c.agent_id)
        .where(approvals.c.tenant_id == tenant_id, approvals.c.decision.is_(None), *conditions)
        .order_by(approvals.c.requested_at, approvals.c.call_id)
    )
    return [_approval(row) for row in conn.execute(query)]


def decision_on(conn: Connection, session_id: SessionId, call_id: str) -> tuple[bool, str | None]:
    """Whether the call ever waited for a person, and what was decided."""
    query = select(approvals.c.decision).where(
        approvals.c.session_id == session_id, approvals.c.call_id == call_id
    )
    row = conn.execute(query).one_or_none()
    return (False, None) if row is None else (True, row.decision)


# --- rows into values -----------------------------------------------------------------------------


def _sessions(tenant_id: TenantId) -> Select[*tuple[object, ...]]:
    return select(sessions).where(sessions.c.tenant_id == tenant_id)


def _whole(
    conn: Connection, query: Select[*tuple[object, ...]], waiting: Sequence[Approval]
) -> list[Session]:
    """Sessions with what waits in them, and what all below them used."""
    found = conn.execute(query).all()
    below = _usage_below(conn, [row.id for row in found])
    return [
        replace(
            _session(row, tuple(one for one in waiting if one.session_id == row.id)),
            sub_agents_usage=below.get(row.id, Usage()),
        )
        for row in found
    ]


def _usage_below(conn: Connection, session_ids: Sequence[str]) -> dict[str, Usage]:
    """What the sub-agents of each session used, and theirs."""
    rows = conn.execute(_USAGE_BELOW, {"ids": list(session_ids)}) if session_ids else ()
    return {
        row.root: Usage(
            input=int(row.input),
            output=int(row.output),
            cached=int(row.cached),
            reasoning=int(row.reasoning),
        )
        for row in rows
    }


def _session(row: Row[*tuple[object, ...]], waiting: Sequence[Approval]) -> Session:
    return Session(
        id=SessionId(row.id),
        tenant_id=tenant_of_own_row(row.tenant_id),
        agent_id=AgentId(row.agent_id),
        title=row.title,
        last_seq=row.last_seq,
        state=AgentState(row.state),
        turn=row.turn,
        step=row.step,
        todos=_todos.decode(row.todos),
        usage=Usage(
            input=row.input_tokens,
            output=row.output_tokens,
            cached=row.cached_tokens,
            reasoning=row.reasoning_tokens,
        ),
        created_at=row.created_at,
        updated_at=row.updated_at,
        delegation=_delegation(row),
        lineage=_lineage(row),
        approvals=tuple(waiting),
    )


def _delegation(row: Row[*tuple[object, ...]]) -> Delegation | None:
    if row.delegated_by is None:
        return None
    return Delegation(
        session_id=SessionId(row.delegated_by),
        call_id=row.delegated_call,
        post_name=row.delegated_post,
    )


def _lineage(row: Row[*tuple[object, ...]]) -> Lineage | None:
    if row.forked_from is None:
        return None
    return Lineage(session_id=SessionId(row.forked_from), after=row.forked_after)


def _approval(row: Row[*tuple[object, ...]]) -> Approval:
    return Approval(
        session_id=SessionId(row.session_id),
        call_id=row.call_id,
        agent_id=AgentId(row.agent_id),
        agent_name=row.agent_name,
        name=row.name,
        arguments=_arguments.decode(row.arguments),
        reason=row.reason,
        preview=row.preview,
        requested_at=_EPOCH + timedelta(microseconds=row.requested_at),
    )
