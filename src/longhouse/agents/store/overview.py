"""The statements that count what a tenant has."""

from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from longhouse.agents.models import agents, posts
from longhouse.agents.states import AgentStatus
from longhouse.identity.models import TenantId, memberships


def agents_by_status(conn: Connection, tenant_id: TenantId) -> Mapping[AgentStatus, int]:
    """How many agents are in each status; none where it is missing."""
    query = (
        select(agents.c.status, func.count())
        .where(agents.c.tenant_id == tenant_id)
        .group_by(agents.c.status)
    )
    return {AgentStatus(status): count for status, count in conn.execute(query)}


def count_posts(conn: Connection, tenant_id: TenantId) -> int:
    """How many posts the tenant has."""
    query = select(func.count()).select_from(posts).where(posts.c.tenant_id == tenant_id)
    return conn.execute(query).scalar_one()


def count_users(conn: Connection, tenant_id: TenantId) -> int:
    """How many users are members of the tenant."""
    query = (
        select(func.count()).select_from(memberships).where(memberships.c.tenant_id == tenant_id)
    )
    return conn.execute(query).scalar_one()
