"""The statements on memberships: the places that users have in tenants."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, or_, select, update

from longhouse.identity.models import (
    Member,
    Membership,
    TenantId,
    TenantStatus,
    UserId,
    memberships,
    tenants,
    users,
)
from longhouse.identity.scopes import TenantRole
from longhouse.kit.db.pages import Page


def add(
    conn: Connection, *, user_id: UserId, tenant_id: str, role: TenantRole, now: datetime
) -> None:
    """Give a user a place in a tenant."""
    conn.execute(
        insert(memberships),
        {"user_id": user_id, "tenant_id": tenant_id, "role": role, "created_at": now},
    )


def change(conn: Connection, *, user_id: UserId, tenant_id: TenantId, role: TenantRole) -> None:
    """Give a member another role."""
    conn.execute(
        update(memberships)
        .where(memberships.c.user_id == user_id, memberships.c.tenant_id == tenant_id)
        .values(role=role)
    )


def remove(conn: Connection, *, user_id: UserId, tenant_id: TenantId) -> None:
    """Take a user's place in a tenant."""
    conn.execute(
        delete(memberships).where(
            memberships.c.user_id == user_id, memberships.c.tenant_id == tenant_id
        )
    )


def of_user(conn: Connection, user_id: UserId) -> tuple[Membership, ...]:
    """The user's places in tenants that are not deleted, the oldest first."""
    rows = conn.execute(
        select(tenants.c.id, tenants.c.name, tenants.c.status, memberships.c.role)
        .join_from(memberships, tenants, memberships.c.tenant_id == tenants.c.id)
        .where(memberships.c.user_id == user_id, tenants.c.status != TenantStatus.DELETED)
        .order_by(memberships.c.created_at, tenants.c.id)
    )
    return tuple(
        Membership(
            tenant_id=row.id,
            tenant_name=row.name,
            tenant_status=TenantStatus(row.status),
            role=TenantRole(row.role),
        )
        for row in rows
    )


def find(conn: Connection, tenant_id: TenantId, user_id: str) -> Member | None:
    """A member of the tenant."""
    row = conn.execute(_members(tenant_id).where(users.c.id == user_id)).one_or_none()
    return None if row is None else _member(row)


def in_order(
    conn: Connection, tenant_id: TenantId, *, after: str | None, limit: int
) -> Page[Member]:
    """The tenant's members, those who were users first coming first."""
    query = _members(tenant_id).order_by(users.c.id).limit(limit + 1)
    if after is not None:
        query = query.where(users.c.id > after)
    found = [_member(row) for row in conn.execute(query)]
    if len(found) <= limit:
        return found, None
    return found[:limit], found[limit - 1].user_id


def lock_owners(conn: Connection, tenant_id: TenantId) -> set[UserId]:
    """The tenant's owners; nobody else changes who they are until the commit."""
    query = (
        select(memberships.c.user_id)
        .where(memberships.c.tenant_id == tenant_id, memberships.c.role == TenantRole.OWNER)
        .order_by(memberships.c.user_id)
        .with_for_update()
    )
    return {UserId(user_id) for user_id in conn.execute(query).scalars()}


def user_called(conn: Connection, key: str) -> UserId | None:
    """The user with this id, or with this username or address as `names.key_of` has it."""
    found = conn.execute(
        select(users.c.id).where(
            or_(users.c.id == key, users.c.username_key == key, users.c.email_key == key)
        )
    ).scalar()
    return None if found is None else UserId(found)


def _members(tenant_id: TenantId) -> Select[*tuple[object, ...]]:
    return (
        select(
            users.c.id,
            users.c.username,
            users.c.display_name,
            users.c.email,
            users.c.active,
            memberships.c.role,
            memberships.c.created_at,
        )
        .join_from(memberships, users, memberships.c.user_id == users.c.id)
        .where(memberships.c.tenant_id == tenant_id)
    )


def _member(row: Row[*tuple[Any, ...]]) -> Member:
    return Member(
        user_id=UserId(row.id),
        username=row.username,
        display_name=row.display_name,
        email=row.email,
        active=row.active,
        role=TenantRole(row.role),
        since=row.created_at,
    )
