"""The statements on tenants and the places that users have in them."""

from datetime import datetime

from sqlalchemy import Connection, insert, select

from longhouse.identity.models import Membership, Tenant, TenantRole, UserId, memberships, tenants


def find_named(conn: Connection, name: str) -> Tenant | None:
    """The tenant of this name."""
    row = conn.execute(select(tenants).where(tenants.c.name == name)).first()
    if row is None:
        return None
    return Tenant(id=row.id, name=row.name, created_at=row.created_at)


def add(conn: Connection, tenant: Tenant) -> None:
    """Store a new tenant."""
    conn.execute(
        insert(tenants),
        {"id": tenant.id, "name": tenant.name, "created_at": tenant.created_at},
    )


def add_membership(
    conn: Connection, *, user_id: UserId, tenant_id: str, role: TenantRole, now: datetime
) -> None:
    """Give a user a place in a tenant."""
    conn.execute(
        insert(memberships),
        {"user_id": user_id, "tenant_id": tenant_id, "role": role, "created_at": now},
    )


def memberships_of(conn: Connection, user_id: UserId) -> tuple[Membership, ...]:
    """The user's places, the oldest first."""
    rows = conn.execute(
        select(tenants.c.id, tenants.c.name, memberships.c.role)
        .join_from(memberships, tenants, memberships.c.tenant_id == tenants.c.id)
        .where(memberships.c.user_id == user_id)
        .order_by(memberships.c.created_at, tenants.c.id)
    )
    return tuple(
        Membership(tenant_id=row.id, tenant_name=row.name, role=TenantRole(row.role))
        for row in rows
    )
