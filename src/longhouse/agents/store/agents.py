"""The statements on agents."""

from datetime import datetime

from sqlalchemy import Connection, Row, Select, delete, exists, func, insert, select, update

from longhouse.agents.models import (
    Agent,
    AgentId,
    Overrides,
    PostId,
    Repository,
    SessionId,
    agents,
    post_versions,
    posts,
    sessions,
)
from longhouse.agents.states import AgentStatus
from longhouse.agents.store.posts import definition_of, document_of, newest_version, overrides_of
from longhouse.identity.auth import tenant_of_own_row
from longhouse.identity.models import TenantId
from longhouse.kit.db.pages import Page, page


def add(
    conn: Connection,
    tenant_id: TenantId,
    agent_id: AgentId,
    *,
    name: str,
    post_id: PostId,
    overrides: Overrides,
    repository: Repository | None,
    branch: str,
    base: str,
    external_id: str | None,
    now: datetime,
) -> None:
    """Store a new agent, idle."""
    conn.execute(
        insert(agents),
        {
            "id": agent_id,
            "tenant_id": tenant_id,
            "name": name,
            "external_id": external_id,
            "post_id": post_id,
            "overrides": document_of(overrides),
            "repository_source": None if repository is None else repository.source,
            "repository_ref": None if repository is None else repository.ref,
            "branch": branch,
            "base": base,
            "status": AgentStatus.IDLE,
            "created_at": now,
            "updated_at": now,
        },
    )


def change(
    conn: Connection,
    agent_id: AgentId,
    *,
    name: str,
    post_id: PostId,
    overrides: Overrides,
    now: datetime,
) -> None:
    """Store what a person may change of an agent."""
    conn.execute(
        update(agents)
        .where(agents.c.id == agent_id)
        .values(
            name=name,
            post_id=post_id,
            overrides=document_of(overrides),
            updated_at=now,
        )
    )


def remove(conn: Connection, agent_id: AgentId) -> list[str]:
    """Delete an agent with its sessions and their journals. The ids of the sessions."""
    of_agent = select(sessions.c.id).where(sessions.c.agent_id == agent_id)
    session_ids = list(conn.execute(of_agent).scalars())
    conn.execute(delete(agents).where(agents.c.id == agent_id))
    return session_ids


def find(conn: Connection, tenant_id: TenantId, agent_id: str) -> Agent | None:
    """An agent with what it has from its post."""
    row = conn.execute(_agents(tenant_id).where(agents.c.id == agent_id)).one_or_none()
    return None if row is None else _agent(row)


def exists_in(conn: Connection, tenant_id: TenantId, agent_id: str) -> bool:
    """Whether the tenant has this agent."""
    mine = exists().where(agents.c.tenant_id == tenant_id, agents.c.id == agent_id)
    return bool(conn.execute(select(mine)).scalar_one())


def name_taken(conn: Connection, tenant_id: TenantId, name: str) -> bool:
    """Whether an agent of the tenant has this name."""
    taken = exists().where(agents.c.tenant_id == tenant_id, agents.c.name == name)
    return bool(conn.execute(select(taken)).scalar_one())


def list_page(
    conn: Connection,
    tenant_id: TenantId,
    *,
    only: str | None = None,
    status: AgentStatus | None,
    search: str | None,
    after: str | None,
    limit: int,
) -> Page[Agent]:
    """Agents, the newest first; `only`: this one; `search`: a part of their name, in any case."""
    query = _agents(tenant_id).order_by(agents.c.id.desc()).limit(limit + 1)
    if only is not None:
        query = query.where(agents.c.id == only)
    if status is not None:
        query = query.where(agents.c.status == status)
    if search:
        query = query.where(func.lower(agents.c.name).contains(search.lower(), autoescape=True))
    if after is not None:
        query = query.where(agents.c.id < after)
    return page([_agent(row) for row in conn.execute(query)], limit)


def _agents(tenant_id: TenantId) -> Select[*tuple[object, ...]]:
    return (
        select(
            agents,
            posts.c.name.label("post_name"),
            posts.c.version.label("post_version"),
            post_versions.c.definition,
        )
        .join(posts, posts.c.id == agents.c.post_id)
        .join(post_versions, newest_version())
        .where(agents.c.tenant_id == tenant_id)
    )


def _agent(row: Row[*tuple[object, ...]]) -> Agent:
    source = row.repository_source
    return Agent(
        id=AgentId(row.id),
        tenant_id=tenant_of_own_row(row.tenant_id),
        name=row.name,
        post_id=PostId(row.post_id),
        post_name=row.post_name,
        post_version=row.post_version,
        post_model=definition_of(row.definition).model,
        overrides=overrides_of(row.overrides),
        repository=None if source is None else Repository(source=source, ref=row.repository_ref),
        branch=row.branch,
        base=row.base,
        status=AgentStatus(row.status),
        current_session_id=row.current_session_id and SessionId(row.current_session_id),
        default_session_id=row.default_session_id and SessionId(row.default_session_id),
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
