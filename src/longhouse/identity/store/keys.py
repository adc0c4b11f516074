"""The statements on API keys and their secrets.

Each changes only the columns it is about: a change of permissions, a revocation and the counting of
uses can cross without undoing one another.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from longhouse.identity.models import (
    ApiKey,
    KeyId,
    KeyStatus,
    SecretHash,
    TenantId,
    TenantStatus,
    api_key_secrets,
    api_keys,
    tenants,
)
from longhouse.identity.names import key_of
from longhouse.kit.db.pages import Page, page
from longhouse.kit.db.tables import UtcDateTime


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A key as the hash of one of its secrets finds it."""

    key: ApiKey
    hash: SecretHash
    valid_until: datetime | None  # of this secret
    tenant_status: TenantStatus

    def opens(self, now: datetime) -> bool:
        """Whether it may be used, if its time is not over and its tenant not suspended."""
        return (
            self.key.status is KeyStatus.ACTIVE
            and self.tenant_status is not TenantStatus.DELETED
            and (self.valid_until is None or now < self.valid_until)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """What is to be added to what is known of a key's use."""

    count: int
    last: datetime


_ADD_USES = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("used_key"))
    .values(
        use_count=api_keys.c.use_count + bindparam("uses"),
        last_used_at=case(
            (
                or_(
                    api_keys.c.last_used_at.is_(None),
                    api_keys.c.last_used_at < bindparam("last", type_=UtcDateTime),
                ),
                bindparam("last", type_=UtcDateTime),
            ),
            else_=api_keys.c.last_used_at,
        ),
    )
)


def add(conn: Connection, key: ApiKey) -> None:
    """Store a new key, without a secret; a name that is taken violates a constraint."""
    conn.execute(
        insert(api_keys),
        {
            "id": key.id,
            "tenant_id": key.tenant_id,
            "agent_id": key.agent_id,
            "name": key.name,
            "name_key": key_of(key.name),
            "description": key.description,
            "permissions": list(key.permissions),
            "status": key.status,
            "expires_at": key.expires_at,
            "created_by": key.created_by,
            "created_at": key.created_at,
            "updated_at": key.updated_at,
        },
    )


def add_secret(
    conn: Connection,
    key_id: KeyId,
    *,
    hash: SecretHash,  # noqa: A002 - what it is
    hint: str,
    now: datetime,
) -> None:
    """Store another secret of a key."""
    conn.execute(
        insert(api_key_secrets),
        {"hash": hash, "key_id": key_id, "hint": hint, "created_at": now},
    )


def end_secrets(conn: Connection, key_id: KeyId, *, until: datetime, now: datetime) -> None:
    """Let the newest secret of a key go on until then; older ones stop."""
    mine = api_key_secrets.c.key_id == key_id
    conn.execute(delete(api_key_secrets).where(mine, api_key_secrets.c.valid_until.is_not(None)))
    conn.execute(update(api_key_secrets).where(mine).values(valid_until=until))
    if until <= now:
        conn.execute(delete(api_key_secrets).where(mine))


def change(conn: Connection, key: ApiKey) -> None:
    """Store what a person may change of a key, and none of what is counted."""
    conn.execute(
        update(api_keys)
        .where(api_keys.c.id == key.id)
        .values(
            name=key.name,
            name_key=key_of(key.name),
            description=key.description,
            permissions=list(key.permissions),
            status=key.status,
            expires_at=key.expires_at,
            updated_at=key.updated_at,
        )
    )


def remove(conn: Connection, key_id: KeyId) -> None:
    """Delete a key with its secrets."""
    conn.execute(delete(api_keys).where(api_keys.c.id == key_id))


def remove_of_agent(conn: Connection, tenant_id: TenantId, agent_id: str) -> list[KeyId]:
    """Delete the keys that are bound to an agent; which ones."""
    gone = (
        delete(api_keys)
        .where(api_keys.c.tenant_id == tenant_id, api_keys.c.agent_id == agent_id)
        .returning(api_keys.c.id)
    )
    return [KeyId(key_id) for key_id in conn.execute(gone).scalars()]


def add_uses(conn: Connection, uses: Mapping[KeyId, Uses]) -> None:
    """Count uses of several keys. In the order of their ids: writers never wait in a circle."""
    conn.execute(
        _ADD_USES,
        [
            {"used_key": key_id, "uses": used.count, "last": used.last}
            for key_id, used in sorted(uses.items())
        ],
    )


def presented(conn: Connection, hashes: Collection[SecretHash]) -> dict[SecretHash, Presented]:
    """The keys that these hashes belong to, whatever tenant's."""
    query = (
        select(
            api_keys,
            api_key_secrets.c.hash,
            api_key_secrets.c.hint,
            api_key_secrets.c.valid_until,
            tenants.c.status.label("tenant_status"),
        )
        .join_from(api_key_secrets, api_keys, api_keys.c.id == api_key_secrets.c.key_id)
        .join(tenants, tenants.c.id == api_keys.c.tenant_id)
        .where(api_key_secrets.c.hash.in_(hashes))
    )
    return {
        SecretHash(row.hash): Presented(
            key=_key(row),
            hash=SecretHash(row.hash),
            valid_until=row.valid_until,
            tenant_status=TenantStatus(row.tenant_status),
        )
        for row in conn.execute(query)
    }


def find(
    conn: Connection, tenant_id: TenantId, key_id: str, *, lock: bool = False
) -> ApiKey | None:
    """A key of the tenant; `lock`: nobody else changes it until the commit."""
    query = _keys().where(api_keys.c.tenant_id == tenant_id, api_keys.c.id == key_id)
    row = conn.execute(query.with_for_update(of=api_keys) if lock else query).one_or_none()
    return None if row is None else _key(row)


def newest(
    conn: Connection,
    tenant_id: TenantId,
    *,
    agent_id: str | None,
    status: KeyStatus | None,
    after: str | None,
    limit: int,
) -> Page[ApiKey]:
    """The tenant's keys, the newest first."""
    query = _keys().where(*_conditions(tenant_id, agent_id, status))
    if after is not None:
        query = query.where(api_keys.c.id < after)
    query = query.order_by(api_keys.c.id.desc()).limit(limit + 1)
    return page([_key(row) for row in conn.execute(query)], limit)


def numbered(
    conn: Connection,
    tenant_id: TenantId,
    *,
    agent_id: str | None,
    status: KeyStatus | None,
    offset: int,
    limit: int,
) -> tuple[list[ApiKey], int]:
    """A stretch of the same list by position, and how many there are."""
    which = list(_conditions(tenant_id, agent_id, status))
    total = conn.execute(select(func.count()).select_from(api_keys).where(*which)).scalar_one()
    query = _keys().where(*which).order_by(api_keys.c.id.desc()).offset(offset).limit(limit)
    return [_key(row) for row in conn.execute(query)], total


def forget_secrets(conn: Connection, *, ended_before: datetime) -> int:
    """Delete secrets whose time is over; how many."""
    return conn.execute(
        delete(api_key_secrets).where(api_key_secrets.c.valid_until < ended_before)
    ).rowcount


def _keys() -> Select[*tuple[object, ...]]:
    """Keys with the end of their newest secret."""
    newest_hint = (
        select(api_key_secrets.c.hint)
        .where(api_key_secrets.c.key_id == api_keys.c.id)
        .order_by(api_key_secrets.c.valid_until.is_not(None), api_key_secrets.c.created_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    return select(api_keys, newest_hint.label("hint"))


def _conditions(
    tenant_id: TenantId, agent_id: str | None, status: KeyStatus | None
) -> Iterator[ColumnElement[bool]]:
    yield api_keys.c.tenant_id == tenant_id
    if agent_id is not None:
        yield api_keys.c.agent_id == agent_id
    if status is not None:
        yield api_keys.c.status == status


def _key(row: Row[*tuple[Any, ...]]) -> ApiKey:
    return ApiKey(
        id=KeyId(row.id),
        tenant_id=row.tenant_id,
        agent_id=row.agent_id,
        name=row.name,
        description=row.description,
        permissions=tuple(row.permissions),
        status=KeyStatus(row.status),
        expires_at=row.expires_at,
        hint=row.hint or "",
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_used_at=row.last_used_at,
        use_count=row.use_count,
    )
