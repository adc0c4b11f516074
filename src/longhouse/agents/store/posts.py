"""The statements on posts and their versions."""

from dataclasses import replace
from datetime import datetime

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from longhouse.agents.models import (
    Overrides,
    PostId,
    StoredPost,
    agents,
    post_versions,
    posts,
    sessions,
)
from longhouse.identity.models import TenantId
from longhouse.kit.db.pages import Page, page
from longhouse.kit.db.tables import JsonDocument
from longhouse.runtime.posts import Permissions, Post

MOST_NAMES = 50

# msgspec learns a dataclass when it first meets it, and two threads in which it does so at the same
# moment end the process with a segmentation fault. It learns them here, before there are threads.
LEARNT = (msgspec.json.Decoder(Post), msgspec.json.Decoder(Overrides))


def add(
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


def change(conn: Connection, post_id: PostId, post: Post, *, version: int, now: datetime) -> bool:
    """Store the version after `version`. False when somebody else has done so first."""
    moved = conn.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.version == version)
        .values(name=post.name, version=version + 1, updated_at=now)
    ).rowcount
    if moved:
        _add_version(conn, post_id, version + 1, post, now=now)
    return bool(moved)


def remove(conn: Connection, post_id: PostId) -> None:
    """Delete a post with all its versions."""
    conn.execute(delete(posts).where(posts.c.id == post_id))


def find(conn: Connection, tenant_id: TenantId, post_id: str) -> StoredPost | None:
    """A post in its newest version."""
    query = _posts(tenant_id).where(posts.c.id == post_id)
    row = conn.execute(query).one_or_none()
    return None if row is None else _post(row)


def find_named(conn: Connection, tenant_id: TenantId, name: str) -> StoredPost | None:
    """The tenant's post of this name, in its newest version."""
    row = conn.execute(_posts(tenant_id).where(posts.c.name == name)).one_or_none()
    return None if row is None else _post(row)


def list_page(
    conn: Connection, tenant_id: TenantId, *, after: str | None, limit: int
) -> Page[StoredPost]:
    """Posts in the order they were made."""
    query = _posts(tenant_id).order_by(posts.c.id).limit(limit + 1)
    if after is not None:
        query = query.where(posts.c.id > after)
    return page([_post(row) for row in conn.execute(query)], limit)


def count_agents(conn: Connection, post_id: PostId) -> int:
    """How many agents follow a post."""
    query = select(func.count()).select_from(agents).where(agents.c.post_id == post_id)
    return conn.execute(query).scalar_one()


def of_session(conn: Connection, session_id: str) -> tuple[Post, Overrides] | None:
    """The newest version of a session's post, and what its agent does differently.

    A sub-agent's post is the one of its name in the tenant, and it does nothing differently. For
    the runtime, which has the session's id from the queue: it crosses no tenant.
    """
    named = posts.alias()
    sub_agents = (
        select(named.c.id)
        .where(named.c.tenant_id == sessions.c.tenant_id, named.c.name == sessions.c.delegated_post)
        .scalar_subquery()
    )
    post_id = case((sessions.c.delegated_by.is_(None), agents.c.post_id), else_=sub_agents)
    query = (
        select(
            posts.c.version, post_versions.c.definition, agents.c.overrides, sessions.c.delegated_by
        )
        .select_from(sessions)
        .join(agents, agents.c.id == sessions.c.agent_id)
        .join(posts, posts.c.id == post_id)
        .join(post_versions, newest_version())
        .where(sessions.c.id == session_id)
    )
    row = conn.execute(query).one_or_none()
    if row is None:
        return None
    overrides = overrides_of(row.overrides) if row.delegated_by is None else Overrides()
    return replace(definition_of(row.definition), version=row.version), overrides


def names_for(conn: Connection, session_id: str) -> list[str]:
    """The names of the posts in a session's tenant, the oldest first; none without the session."""
    query = (
        select(posts.c.name)
        .join(sessions, sessions.c.tenant_id == posts.c.tenant_id)
        .where(sessions.c.id == session_id)
        .order_by(posts.c.id)
        .limit(MOST_NAMES)
    )
    return list(conn.scalars(query))


# --- rows into values, and back -------------------------------------------------------------------


def newest_version() -> ColumnElement[bool]:
    return (post_versions.c.post_id == posts.c.id) & (post_versions.c.version == posts.c.version)


def _posts(tenant_id: TenantId) -> Select[*tuple[object, ...]]:
    return (
        select(posts, post_versions.c.definition)
        .join(post_versions, newest_version())
        .where(posts.c.tenant_id == tenant_id)
    )


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


def definition_of(document: JsonDocument) -> Post:
    return msgspec.convert(document, Post)


def overrides_of(document: JsonDocument) -> Overrides:
    return msgspec.convert(document, Overrides)


def document_of(overrides: Overrides) -> dict[str, JsonDocument]:
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
        definition=definition_of(row.definition),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
