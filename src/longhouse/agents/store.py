"""The statements on posts, agents, sessions and approvals; a journal's own are in `journal`.

Called by `service` and `worker`. Every function that reads for somebody takes a proved `TenantId`
and finds nothing of another tenant. They decide nothing and commit nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeVar

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from longhouse.agents.models import (
    Agent,
    AgentId,
    Approval,
    Overrides,
    PostId,
    Repository,
    Session,
    SessionId,
    StoredPost,
    agents,
    approvals,
    post_versions,
    posts,
    sessions,
)
from longhouse.agents.states import AgentStatus
from longhouse.identity.auth import tenant_of_own_row
from longhouse.identity.models import TenantId, UserId, users
from longhouse.kit.db.tables import JsonDocument
from longhouse.protocol.events import AgentState, Todo, Usage
from longhouse.runtime.posts import Permissions, Post

T = TypeVar("T")
Page: TypeAlias = tuple[list[T], str | None]
"""Items, and the cursor of the next page if there is one."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_todos = msgspec.json.Decoder(tuple[Todo, ...])
_arguments = msgspec.json.Decoder(dict[str, Any])

# msgspec learns a dataclass when it first meets it, and two threads in which it does so at the same
# moment end the process with a segmentation fault. It learns them here, before there are threads.
LEARNT = (msgspec.json.Decoder(Post), msgspec.json.Decoder(Overrides))


# --- posts ----------------------------------------------------------------------------------------


def add_post(
    conn: Connection, tenant_id: TenantId, post_id: PostId, post: Post, *, now: datetime
) -> None:
    """Store a new post as version 1."""
    conn.execute(
        insert(posts),
        {
            "id": post_id,
            "tenant_id": tenant_id,
            "name": post.name,
            "version": 1,
            "created_at": now,
            "updated_at": now,
        },
    )
    _add_version(conn, post_id, 1, post, now=now)


def change_post(
    conn: Connection, post_id: PostId, post: Post, *, version: int, now: datetime
) -> bool:
    """Store the version after `version`. False when somebody else has done so first."""
    moved = conn.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.version == version)
        .values(name=post.name, version=version + 1, updated_at=now)
    ).rowcount
    if moved:
        _add_version(conn, post_id, version + 1, post, now=now)
    return bool(moved)


def delete_post(conn: Connection, post_id: PostId) -> None:
    """Delete a post with all its versions."""
    conn.execute(delete(posts).where(posts.c.id == post_id))


def find_post(conn: Connection, tenant_id: TenantId, post_id: str) -> StoredPost | None:
    """A post in its newest version."""
    query = _posts(tenant_id).where(posts.c.id == post_id)
    row = conn.execute(query).one_or_none()
    return None if row is None else _post(row)


def list_posts(
    conn: Connection, tenant_id: TenantId, *, after: str | None, limit: int
) -> Page[StoredPost]:
    """Posts in the order they were made."""
    query = _posts(tenant_id).order_by(posts.c.id).limit(limit + 1)
    if after is not None:
        query = query.where(posts.c.id > after)
    return _page([_post(row) for row in conn.execute(query)], limit)


def count_agents_of_post(conn: Connection, post_id: PostId) -> int:
    """How many agents follow a post."""
    query = select(func.count()).select_from(agents).where(agents.c.post_id == post_id)
    return conn.execute(query).scalar_one()


# --- agents ---------------------------------------------------------------------------------------


def add_agent(
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
    now: datetime,
) -> None:
    """Store a new agent, idle."""
    conn.execute(
        insert(agents),
        {
            "id": agent_id,
            "tenant_id": tenant_id,
            "name": name,
            "post_id": post_id,
            "overrides": _overrides_document(overrides),
            "repository_source": None if repository is None else repository.source,
            "repository_ref": None if repository is None else repository.ref,
            "branch": branch,
            "base": base,
            "status": AgentStatus.IDLE,
            "created_at": now,
            "updated_at": now,
        },
    )


def change_agent(
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
            overrides=_overrides_document(overrides),
            updated_at=now,
        )
    )


def delete_agent(conn: Connection, agent_id: AgentId) -> list[str]:
    """Delete an agent with its sessions and their journals. The ids of the sessions."""
    of_agent = select(sessions.c.id).where(sessions.c.agent_id == agent_id)
    session_ids = list(conn.execute(of_agent).scalars())
    conn.execute(delete(agents).where(agents.c.id == agent_id))
    return session_ids


def find_agent(conn: Connection, tenant_id: TenantId, agent_id: str) -> Agent | None:
    """An agent with what it has from its post."""
    row = conn.execute(_agents(tenant_id).where(agents.c.id == agent_id)).one_or_none()
    return None if row is None else _agent(row)


def agent_name_taken(conn: Connection, tenant_id: TenantId, name: str) -> bool:
    """Whether an agent of the tenant has this name."""
    taken = exists().where(agents.c.tenant_id == tenant_id, agents.c.name == name)
    return bool(conn.execute(select(taken)).scalar_one())


def list_agents(
    conn: Connection,
    tenant_id: TenantId,
    *,
    status: AgentStatus | None,
    search: str | None,
    after: str | None,
    limit: int,
) -> Page[Agent]:
    """Agents, the newest first; `search`: a part of their name, in any case."""
    query = _agents(tenant_id).order_by(agents.c.id.desc()).limit(limit + 1)
    if status is not None:
        query = query.where(agents.c.status == status)
    if search:
        query = query.where(func.lower(agents.c.name).contains(search.lower(), autoescape=True))
    if after is not None:
        query = query.where(agents.c.id < after)
    return _page([_agent(row) for row in conn.execute(query)], limit)


# --- sessions -------------------------------------------------------------------------------------


def add_session(
    conn: Connection,
    tenant_id: TenantId,
    session_id: SessionId,
    *,
    agent_id: AgentId,
    title: str,
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
            "state": AgentState.READY,
            "created_at": now,
            "updated_at": now,
        },
    )


def make_current(conn: Connection, agent_id: AgentId, session_id: SessionId) -> None:
    """The session that lists and consoles open first."""
    conn.execute(
        update(agents).where(agents.c.id == agent_id).values(current_session_id=session_id)
    )


def lock_session(
    conn: Connection, tenant_id: TenantId, session_id: str, *, agent_id: str
) -> Session | None:
    """A session of this agent that nobody else writes until the commit."""
    query = _sessions(tenant_id).where(sessions.c.id == session_id, sessions.c.agent_id == agent_id)
    row = conn.execute(query.with_for_update(key_share=True)).one_or_none()
    return None if row is None else _session(row, ())


def find_session(
    conn: Connection, tenant_id: TenantId, session_id: str, *, agent_id: str
) -> Session | None:
    """A session of this agent with the approvals it waits for."""
    query = _sessions(tenant_id).where(sessions.c.id == session_id, sessions.c.agent_id == agent_id)
    row = conn.execute(query).one_or_none()
    if row is None:
        return None
    waiting = pending_approvals(conn, tenant_id, approvals.c.session_id == session_id)
    return _session(row, tuple(waiting))


def list_sessions(
    conn: Connection, tenant_id: TenantId, *, agent_id: AgentId, after: str | None, limit: int
) -> Page[Session]:
    """Sessions of an agent, the newest first."""
    query = _sessions(tenant_id).where(sessions.c.agent_id == agent_id)
    query = query.order_by(sessions.c.id.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(sessions.c.id < after)
    waiting = pending_approvals(conn, tenant_id, approvals.c.agent_id == agent_id)
    found = [
        _session(row, tuple(one for one in waiting if one.session_id == row.id))
        for row in conn.execute(query)
    ]
    return _page(found, limit)


def post_of_session(conn: Connection, session_id: str) -> tuple[Post, Overrides] | None:
    """The newest version of the post of a session's agent, and the agent's overrides.

    For the runtime, which has the session's id from the queue: it crosses no tenant.
    """
    query = (
        select(post_versions.c.definition, agents.c.overrides)
        .select_from(sessions)
        .join(agents, agents.c.id == sessions.c.agent_id)
        .join(posts, posts.c.id == agents.c.post_id)
        .join(post_versions, _newest_version())
        .where(sessions.c.id == session_id)
    )
    row = conn.execute(query).one_or_none()
    return None if row is None else (_definition(row.definition), _overrides(row.overrides))


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


def name_of_user(conn: Connection, user_id: UserId) -> str:
    """How a person is shown to others."""
    return conn.scalar(select(users.c.display_name).where(users.c.id == user_id)) or ""


# --- rows into values -----------------------------------------------------------------------------


def _page(found: list[T], limit: int) -> Page[T]:
    """One row more than asked for says that there is a next page."""
    if len(found) <= limit:
        return found, None
    return found[:limit], str(found[limit - 1].id)  # type: ignore[attr-defined]


def _newest_version() -> ColumnElement[bool]:
    return (post_versions.c.post_id == posts.c.id) & (post_versions.c.version == posts.c.version)


def _posts(tenant_id: TenantId) -> Select[*tuple[object, ...]]:
    return (
        select(posts, post_versions.c.definition)
        .join(post_versions, _newest_version())
        .where(posts.c.tenant_id == tenant_id)
    )


def _agents(tenant_id: TenantId) -> Select[*tuple[object, ...]]:
    return (
        select(
            agents,
            posts.c.name.label("post_name"),
            posts.c.version.label("post_version"),
            post_versions.c.definition,
        )
        .join(posts, posts.c.id == agents.c.post_id)
        .join(post_versions, _newest_version())
        .where(agents.c.tenant_id == tenant_id)
    )


def _sessions(tenant_id: TenantId) -> Select[*tuple[object, ...]]:
    return select(sessions).where(sessions.c.tenant_id == tenant_id)


def _add_version(
    conn: Connection, post_id: PostId, version: int, post: Post, *, now: datetime
) -> None:
    conn.execute(
        insert(post_versions),
        {
            "post_id": post_id,
            "version": version,
            "definition": msgspec.to_builtins(post),
            "created_at": now,
        },
    )


def _definition(document: JsonDocument) -> Post:
    return msgspec.convert(document, Post)


def _overrides(document: JsonDocument) -> Overrides:
    return msgspec.convert(document, Overrides)


def _overrides_document(overrides: Overrides) -> dict[str, JsonDocument]:
    document: dict[str, JsonDocument] = {}
    if overrides.model is not None:
        document["model"] = overrides.model
    if overrides.permissions is not None:
        document["permissions"] = permissions_document(overrides.permissions)
    return document


def permissions_document(permissions: Permissions) -> JsonDocument:
    """Permissions as JSON has them."""
    document: JsonDocument = msgspec.to_builtins(permissions)
    return document


def _post(row: Row[*tuple[object, ...]]) -> StoredPost:
    return StoredPost(
        id=PostId(row.id),
        version=row.version,
        definition=_definition(row.definition),
        created_at=row.created_at,
        updated_at=row.updated_at,
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
        post_model=_definition(row.definition).model,
        overrides=_overrides(row.overrides),
        repository=None if source is None else Repository(source=source, ref=row.repository_ref),
        branch=row.branch,
        base=row.base,
        status=AgentStatus(row.status),
        current_session_id=row.current_session_id and SessionId(row.current_session_id),
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


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
        approvals=tuple(waiting),
    )


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
