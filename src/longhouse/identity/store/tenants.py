"""The statements on tenants.

A tenant's own row is found by an id from anywhere: whether the caller may see it, the service asks.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    delete,
    func,
    insert,
    select,
    update,
)

from longhouse.identity.models import (
    Tenant,
    TenantStatus,
    TenantType,
    UserId,
    memberships,
    tenants,
)
from longhouse.identity.names import key_of
from longhouse.kit.db.pages import Page, page


@dataclass(frozen=True, slots=True, kw_only=True)
class Visible:
    """Which tenants a caller sees at all. Neither: every one."""

    of_user: UserId | None = None
    only: str | None = None


def add(conn: Connection, tenant: Tenant) -> None:
    """Store a new tenant; a name that is taken violates an index."""
    conn.execute(insert(tenants), {"id": tenant.id, "created_at": tenant.created_at} | _set(tenant))


def change(conn: Connection, tenant: Tenant) -> None:
    """Store what is different now."""
    conn.execute(update(tenants).where(tenants.c.id == tenant.id).values(_set(tenant)))


def find(conn: Connection, tenant_id: str, *, lock: bool = False) -> Tenant | None:
    """The tenant of this id; `lock`: nobody else changes it until the commit."""
    query = select(tenants).where(tenants.c.id == tenant_id)
    row = conn.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _tenant(row)


def find_named(conn: Connection, name: str) -> Tenant | None:
    """The tenant of this name that is not deleted."""
    row = conn.execute(select(tenants).where(_named(name))).one_or_none()
    return None if row is None else _tenant(row)


def statuses(conn: Connection, tenant_ids: Collection[str]) -> dict[str, TenantStatus]:
    """The status of each of these tenants that there is."""
    rows = conn.execute(select(tenants.c.id, tenants.c.status).where(tenants.c.id.in_(tenant_ids)))
    return {row.id: TenantStatus(row.status) for row in rows}


def newest(
    conn: Connection,
    visible: Visible,
    *,
    status: TenantStatus | None,
    search: str | None,
    after: str | None,
    limit: int,
) -> Page[Tenant]:
    """Tenants, the newest first; `search`: a part of the name, in any case."""
    query = _visible(visible).where(*_conditions(status, search)).order_by(tenants.c.id.desc())
    if after is not None:
        query = query.where(tenants.c.id < after)
    return page([_tenant(row) for row in conn.execute(query.limit(limit + 1))], limit)


def numbered(
    conn: Connection,
    visible: Visible,
    *,
    status: TenantStatus | None,
    offset: int,
    limit: int,
) -> tuple[list[Tenant], int]:
    """A stretch of the same list by position, and how many there are."""
    query = _visible(visible).where(*_conditions(status, None))
    total = conn.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    rows = conn.execute(query.order_by(tenants.c.id.desc()).offset(offset).limit(limit))
    return [_tenant(row) for row in rows], total


def deleted_before(conn: Connection, moment: datetime, *, limit: int) -> list[str]:
    """Ids of tenants that were deleted before this moment."""
    gone = tenants.c.status == TenantStatus.DELETED
    query = select(tenants.c.id).where(gone, tenants.c.deleted_at < moment)
    return list(conn.execute(query.order_by(tenants.c.deleted_at).limit(limit)).scalars())


def purge_if_deleted(conn: Connection, tenant_id: str, *, before: datetime) -> bool:
    """Delete a tenant with everything it owns, unless it was restored meanwhile."""
    gone = tenants.c.status == TenantStatus.DELETED
    done = conn.execute(
        delete(tenants).where(tenants.c.id == tenant_id, gone, tenants.c.deleted_at < before)
    )
    return done.rowcount == 1


def _named(name: str) -> ColumnElement[bool]:
    return (tenants.c.name_key == key_of(name)) & (tenants.c.status != TenantStatus.DELETED)


def _visible(visible: Visible) -> Select[*tuple[object, ...]]:
    query = select(tenants)
    if visible.of_user is not None:
        query = query.join(memberships, memberships.c.tenant_id == tenants.c.id).where(
            memberships.c.user_id == visible.of_user, tenants.c.status != TenantStatus.DELETED
        )
    if visible.only is not None:
        query = query.where(tenants.c.id == visible.only)
    return query


def _conditions(status: TenantStatus | None, search: str | None) -> Iterator[ColumnElement[bool]]:
    if status is not None:
        yield tenants.c.status == status
    if search:
        yield tenants.c.name_key.contains(key_of(search), autoescape=True)


def _set(tenant: Tenant) -> dict[str, object]:
    return {
        "name": tenant.name,
        "name_key": key_of(tenant.name),
        "type": tenant.type,
        "description": tenant.description,
        "contact_email": tenant.contact_email,
        "config": tenant.config,
        "status": tenant.status,
        "owner_id": tenant.owner_id,
        "updated_at": tenant.updated_at,
        "deleted_at": tenant.deleted_at,
    }


def _tenant(row: Row[*tuple[Any, ...]]) -> Tenant:
    return Tenant(
        id=row.id,
        name=row.name,
        type=TenantType(row.type),
        description=row.description,
        contact_email=row.contact_email,
        config=row.config,
        status=TenantStatus(row.status),
        owner_id=row.owner_id and UserId(row.owner_id),
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
    )
