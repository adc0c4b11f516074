"""The statements on ids that clients give, and on the session that is meant where none is named.

Clients with ids of their own say `user:1` and mean an agent, whether or not there is one yet.
"""

from sqlalchemy import Connection, select, update

from longhouse.agents.models import AgentId, SessionId, agents, sessions
from longhouse.identity.models import TenantId


def find_agent(conn: Connection, tenant_id: TenantId, name: str) -> AgentId | None:
    """The id of the tenant's agent with this id, its own or a client's."""
    of_tenant = select(agents.c.id).where(agents.c.tenant_id == tenant_id)
    own = conn.scalar(of_tenant.where(agents.c.id == name))
    found = own or conn.scalar(of_tenant.where(agents.c.external_id == name))
    return None if found is None else AgentId(found)


def find_session(
    conn: Connection, tenant_id: TenantId, agent_id: AgentId, name: str
) -> SessionId | None:
    """The agent's session with this id, its own or a client's."""
    of_agent = select(sessions.c.id).where(
        sessions.c.tenant_id == tenant_id, sessions.c.agent_id == agent_id
    )
    own = conn.scalar(of_agent.where(sessions.c.id == name))
    found = own or conn.scalar(of_agent.where(sessions.c.external_id == name))
    return None if found is None else SessionId(found)


def lock_agent(conn: Connection, agent_id: AgentId) -> None:
    """Keep others who do the same waiting until the commit."""
    conn.scalar(select(agents.c.id).where(agents.c.id == agent_id).with_for_update(key_share=True))


def first_session(conn: Connection, agent_id: AgentId) -> SessionId | None:
    """The oldest session that people began with the agent."""
    of_people = select(sessions.c.id).where(
        sessions.c.agent_id == agent_id, sessions.c.delegated_by.is_(None)
    )
    found = conn.scalar(of_people.order_by(sessions.c.id).limit(1))
    return None if found is None else SessionId(found)


def set_default_session(conn: Connection, agent_id: AgentId, session_id: SessionId) -> None:
    """From now on the session that is meant where none is named."""
    conn.execute(
        update(agents).where(agents.c.id == agent_id).values(default_session_id=session_id)
    )
