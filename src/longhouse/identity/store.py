"""Identity's statements: synchronous functions on a connection, run by `db.read` and `db.write`.

Called by the service only. They decide nothing and commit nothing. They find users, logins and
links before any tenant is known, so they take no proof of one: what they return is not yet proof.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from longhouse.identity.models import (
    Login,
    LoginId,
    Membership,
    SystemRole,
    Tenant,
    TenantRole,
    User,
    UserId,
    logins,
    memberships,
    setup_links,
    tenants,
    users,
)

USER_COLUMNS = (
    users.c.id,
    users.c.username,
    users.c.email,
    users.c.display_name,
    users.c.role,
    users.c.active,
    users.c.created_at,
)

LOGIN_COLUMNS = (
    logins.c.id,
    logins.c.user_id,
    logins.c.created_at,
    logins.c.expires_at,
    logins.c.revoked_at,
    logins.c.refresh_hash,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedInUser:
    """What one request needs to know of its token's login, read at once."""

    user: User
    login: Login
    memberships: tuple[Membership, ...]  # in the order they were given


# --- users ----------------------------------------------------------------------------------------


def has_users(conn: Connection) -> bool:
    """Whether anybody can sign in at all."""
    return bool(conn.execute(select(exists().where(users.c.id.is_not(None)))).scalar_one())


def taken_fields(conn: Connection, *, username_key: str, email_key: str) -> tuple[str, ...]:
    """Which of the two another user has."""
    found = conn.execute(
        select(users.c.username_key, users.c.email_key).where(
            or_(users.c.username_key == username_key, users.c.email_key == email_key)
        )
    ).all()
    return tuple(
        field
        for field, taken in (
            ("username", any(row.username_key == username_key for row in found)),
            ("email", any(row.email_key == email_key for row in found)),
        )
        if taken
    )


def add_user(
    conn: Connection, user: User, *, username_key: str, email_key: str, password_hash: str
) -> None:
    """Store a new user."""
    conn.execute(
        insert(users),
        {
            "id": user.id,
            "username": user.username,
            "username_key": username_key,
            "email": user.email,
            "email_key": email_key,
            "display_name": user.display_name,
            "password_hash": password_hash,
            "role": user.role,
            "active": user.active,
            "created_at": user.created_at,
        },
    )


def find_user_to_sign_in(conn: Connection, key: str) -> tuple[User, str] | None:
    """The user with this username or address, and the password's hash."""
    row = conn.execute(
        select(*USER_COLUMNS, users.c.password_hash).where(
            or_(users.c.username_key == key, users.c.email_key == key)
        )
    ).first()
    return None if row is None else (_user(row), row.password_hash)


# --- tenants and memberships ----------------------------------------------------------------------


def find_tenant_named(conn: Connection, name: str) -> Tenant | None:
    """The tenant of this name."""
    row = conn.execute(select(tenants).where(tenants.c.name == name)).first()
    if row is None:
        return None
    return Tenant(id=row.id, name=row.name, created_at=row.created_at)


def add_tenant(conn: Connection, tenant: Tenant) -> None:
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


# --- logins ---------------------------------------------------------------------------------------


def add_login(
    conn: Connection,
    login: Login,
    *,
    family_hash: str,
    address: str,
    user_agent: str,
) -> None:
    """Store a new login."""
    conn.execute(
        insert(logins),
        {
            "id": login.id,
            "user_id": login.user_id,
            "created_at": login.created_at,
            "expires_at": login.expires_at,
            "revoked_at": login.revoked_at,
            "family_hash": family_hash,
            "refresh_hash": login.refresh_hash,
            "refreshed_at": login.created_at,
            "address": address,
            "user_agent": user_agent,
        },
    )


def find_login_by_family(conn: Connection, family_hash: str) -> SignedInUser | None:
    """The login a refresh token names, with its user."""
    return _signed_in(conn, logins.c.family_hash == family_hash)


def find_login(conn: Connection, login_id: LoginId) -> SignedInUser | None:
    """The login an access token names, with its user and the user's places."""
    return _signed_in(conn, logins.c.id == login_id)


def rotate_refresh_if_current(
    conn: Connection,
    login_id: LoginId,
    *,
    current: str,
    successor: str,
    expires_at: datetime,
    now: datetime,
) -> bool:
    """Replace the refresh hash if it is still this one; of two who try, one does."""
    done = conn.execute(
        update(logins)
        .where(
            logins.c.id == login_id,
            logins.c.refresh_hash == current,
            logins.c.revoked_at.is_(None),
        )
        .values(refresh_hash=successor, refreshed_at=now, expires_at=expires_at)
    )
    return done.rowcount == 1


def revoke_login(conn: Connection, login_id: LoginId, *, now: datetime) -> bool:
    """End a login; False when it had ended already."""
    done = conn.execute(
        update(logins)
        .where(logins.c.id == login_id, logins.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return done.rowcount == 1


# --- the one-time link ----------------------------------------------------------------------------


def replace_setup_link(
    conn: Connection, *, token_hash: str, now: datetime, expires_at: datetime
) -> None:
    """Store a new link; earlier ones stop working."""
    conn.execute(delete(setup_links))
    conn.execute(
        insert(setup_links),
        {"token_hash": token_hash, "created_at": now, "expires_at": expires_at},
    )


def is_setup_link_live(conn: Connection, token_hash: str, *, now: datetime) -> bool:
    """Whether this link may still be used."""
    live = select(func.count()).where(
        setup_links.c.token_hash == token_hash,
        setup_links.c.used_at.is_(None),
        setup_links.c.expires_at > now,
    )
    return conn.execute(live).scalar_one() == 1


def use_setup_link_if_live(conn: Connection, token_hash: str, *, now: datetime) -> bool:
    """Use the link up; of two who try, one does."""
    done = conn.execute(
        update(setup_links)
        .where(
            setup_links.c.token_hash == token_hash,
            setup_links.c.used_at.is_(None),
            setup_links.c.expires_at > now,
        )
        .values(used_at=now)
    )
    return done.rowcount == 1


# --- rows -----------------------------------------------------------------------------------------


def _signed_in(conn: Connection, which: ColumnElement[bool]) -> SignedInUser | None:
    """One statement by an index: a row for each of the user's places, or one when there is none."""
    login_columns = tuple(column.label(f"login_{column.name}") for column in LOGIN_COLUMNS)
    rows = conn.execute(
        select(
            *USER_COLUMNS,
            *login_columns,
            memberships.c.role.label("tenant_role"),
            tenants.c.id.label("tenant_id"),
            tenants.c.name.label("tenant_name"),
        )
        .select_from(
            logins.join(users, logins.c.user_id == users.c.id)
            .outerjoin(memberships, memberships.c.user_id == users.c.id)
            .outerjoin(tenants, tenants.c.id == memberships.c.tenant_id)
        )
        .where(which)
        .order_by(memberships.c.created_at, tenants.c.id)
    ).all()
    if not rows:
        return None
    return SignedInUser(
        user=_user(rows[0]),
        login=_login(rows[0]),
        memberships=tuple(
            Membership(
                tenant_id=row.tenant_id,
                tenant_name=row.tenant_name,
                role=TenantRole(row.tenant_role),
            )
            for row in rows
            if row.tenant_id is not None
        ),
    )


def _user(row: Row[*tuple[Any, ...]]) -> User:
    return User(
        id=UserId(row.id),
        username=row.username,
        email=row.email,
        display_name=row.display_name,
        role=SystemRole(row.role),
        active=row.active,
        created_at=row.created_at,
    )


def _login(row: Row[*tuple[Any, ...]]) -> Login:
    return Login(
        id=LoginId(row.login_id),
        user_id=UserId(row.login_user_id),
        created_at=row.login_created_at,
        expires_at=row.login_expires_at,
        revoked_at=row.login_revoked_at,
        refresh_hash=row.login_refresh_hash,
    )
