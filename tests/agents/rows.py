"""Rows that tests of agents and journals stand on."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection
from tests.rows import tenant_row

from longhouse.agents.journal import DatabaseJournal
from longhouse.agents.models import AgentId, PostId, SessionId, agents, posts, sessions
from longhouse.agents.states import AgentStatus
from longhouse.identity.auth import tenant_of_own_row
from longhouse.identity.models import SystemRole, TenantId, tenants, users
from longhouse.kit.clock import MANUAL_START, Clock, SystemClock
from longhouse.kit.db.database import Database
from longhouse.protocol.events import AgentState, Draft

NOON = MANUAL_START
TENANT = tenant_of_own_row("tenant_a")
POST = PostId("post_a")
AGENT = AgentId("agent_a")


def add_tenant(conn: Connection, tenant_id: TenantId = TENANT) -> None:
    conn.execute(tenants.insert(), tenant_row(tenant_id, NOON))


def add_user(conn: Connection, user_id: str = "user_a", *, name: str = "Ada") -> None:
    conn.execute(
        users.insert(),
        {
            "id": user_id,
            "username": name,
            "username_key": name.lower(),
            "email": f"{name}@example.org",
            "email_key": f"{name}@example.org".lower(),
            "display_name": f"{name} Lovelace",
            "password_hash": "",
            "role": SystemRole.USER,
            "active": True,
            "created_at": NOON,
        },
    )


def add_agent(conn: Connection, agent_id: AgentId = AGENT, *, tenant_id: TenantId = TENANT) -> None:
    """An agent of a post of its own."""
    post_id = PostId(f"post_of_{agent_id}")
    stamps = {"created_at": NOON, "updated_at": NOON}
    conn.execute(
        posts.insert(),
        {"id": post_id, "tenant_id": tenant_id, "name": post_id, "version": 1, **stamps},
    )
    conn.execute(
        agents.insert(),
        {
            "id": agent_id,
            "tenant_id": tenant_id,
            "name": agent_id,
            "post_id": post_id,
            "overrides": {},
            "branch": "longhouse/x",
            "base": "0" * 40,
            "status": AgentStatus.IDLE,
            **stamps,
        },
    )


def add_session(
    conn: Connection,
    session_id: str,
    *,
    agent_id: AgentId = AGENT,
    tenant_id: TenantId = TENANT,
    at: datetime = NOON,
) -> SessionId:
    """A session whose journal has not begun."""
    conn.execute(
        sessions.insert(),
        {
            "id": session_id,
            "tenant_id": tenant_id,
            "agent_id": agent_id,
            "title": "",
            "state": AgentState.READY,
            "created_at": at,
            "updated_at": at,
        },
    )
    return SessionId(session_id)


class JournalOfSessions(DatabaseJournal):
    """Makes the session, too, when a journal is begun: the service does that in the server."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        super().__init__(database, clock=clock)
        self._rows = database

    async def create(self, agent_id: str, drafts: Sequence[Draft]) -> bool:
        if await self.head(agent_id) is None:
            await self._rows.write(lambda conn: add_session(conn, agent_id))
        return await super().create(agent_id, drafts)


async def journal_of_sessions(database: Database, clock: Clock | None = None) -> DatabaseJournal:
    """The server's journal on a database with one tenant and one agent."""

    def begin(conn: Connection) -> None:
        add_tenant(conn)
        add_agent(conn)

    await database.write(begin)
    return JournalOfSessions(database, clock=clock or SystemClock())
