"""What a principal may reach in its tenant, and what the audit is told of it.

Used by the services of this room inside their transactions: the row, or the refusal that is the
same for what another tenant has and for what nobody has.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from longhouse.agents.errors import (
    NameTaken,
    NoSuchAgent,
    NoSuchPost,
    NoSuchSession,
    SubAgentSession,
    invalid,
)
from longhouse.agents.models import NAME_CHARACTERS, Agent, Session, StoredPost
from longhouse.agents.store import agents as agent_rows
from longhouse.agents.store import posts as post_rows
from longhouse.agents.store import sessions as session_rows
from longhouse.identity import audit
from longhouse.identity.auth import Principal
from longhouse.kit.db.database import Database, unique_violation
from longhouse.kit.errors import Json

T = TypeVar("T")


def find_post(conn: Connection, principal: Principal, post_id: str) -> StoredPost:
    """The post in its newest version. Raises `NoSuchPost`."""
    post = post_rows.find(conn, principal.tenant_id, post_id)
    if post is None:
        raise NoSuchPost(post_id)
    return post


def find_agent(conn: Connection, principal: Principal, agent_id: str) -> Agent:
    """The agent. Raises `NoSuchAgent`."""
    reached = principal.reaches(agent_id)
    agent = agent_rows.find(conn, principal.tenant_id, agent_id) if reached else None
    if agent is None:
        raise NoSuchAgent(agent_id)
    return agent


def find_session(conn: Connection, principal: Principal, agent_id: str, session_id: str) -> Session:
    """The agent's session with what waits in it. Raises `NoSuchAgent`, `NoSuchSession`."""
    find_agent(conn, principal, agent_id)
    session = session_rows.find(conn, principal.tenant_id, session_id, agent_id=agent_id)
    if session is None:
        raise NoSuchSession(session_id)
    return session


def lock_session(conn: Connection, principal: Principal, agent_id: str, session_id: str) -> Session:
    """The same, to be written: nobody else writes it until the commit.

    Raises `SubAgentSession` for one that people do not write to.
    """
    if not principal.reaches(agent_id):
        raise NoSuchAgent(agent_id)
    session = session_rows.lock(conn, principal.tenant_id, session_id, agent_id=agent_id)
    if session is None:
        find_agent(conn, principal, agent_id)
        raise NoSuchSession(session_id)
    if session.delegation is not None:
        raise SubAgentSession(session.id, session.delegation.session_id)
    return session


def checked_name(name: str) -> str:
    """A name as it is stored. Raises `InvalidInput`."""
    name = " ".join(name.split())
    if not name or len(name) > NAME_CHARACTERS or not name.isprintable():
        raise invalid("name", f"A name has 1 to {NAME_CHARACTERS} printable characters.")
    return name


async def write_named(
    database: Database, what: str, name: str, work: Callable[[Connection], T]
) -> T:
    """Write; a name that somebody has is told as such: `NameTaken`."""
    try:
        return await database.write(work)
    except Exception as error:
        if unique_violation(error):
            raise NameTaken(what, name) from error
        raise


def record(
    conn: Connection,
    principal: Principal,
    action: str,
    target: str,
    *,
    now: datetime,
    before: Json = None,
    after: Json = None,
) -> None:
    audit.record(
        conn,
        actor=principal,
        now=now,
        action=action,
        target=target,
        tenant_id=principal.tenant_id,
        before=before,
        after=after,
    )
