"""The statements on logins, which find the user and the user's places with them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, or_, select, update

from longhouse.identity.models import (
    Login,
    LoginId,
    Membership,
    SeenLogin,
    TenantStatus,
    User,
    UserId,
    logins,
    memberships,
    tenants,
)
from longhouse.identity.models import users as user_table
from longhouse.identity.scopes import TenantRole
from longhouse.identity.store import users

COLUMNS = (
    logins.c.id,
    logins.c.user_id,
    logins.c.created_at,
    logins.c.expires_at,
    logins.c.revoked_at,
    logins.c.refresh_hash,
    logins.c.refreshed_at,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedInUser:
    """What one request needs to know of its token's login, read at once."""

    user: User
    login: Login
    memberships: tuple[Membership, ...]  # in the order they were given

    def counts(self, now: datetime) -> bool:
        """Whether the login's tokens still stand for the user."""
        return self.user.active and self.login.is_live(now)


def add(
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
            "refreshed_at": login.refreshed_at,
            "address": address,
            "user_agent": user_agent,
        },
    )


def find_by_family(conn: Connection, family_hash: str) -> SignedInUser | None:
    """The login a refresh token names, with its user."""
    found = _signed_in(conn, logins.c.family_hash == family_hash)
    return next(iter(found.values()), None)


def find(conn: Connection, login_id: LoginId) -> SignedInUser | None:
    """The login an access token names, with its user and the user's places."""
    return find_all(conn, [login_id]).get(login_id)


def find_all(conn: Connection, login_ids: Collection[LoginId]) -> dict[LoginId, SignedInUser]:
    """Those of these logins that there are."""
    return _signed_in(conn, logins.c.id.in_(login_ids))


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


def revoke(conn: Connection, login_id: LoginId, *, now: datetime) -> bool:
    """End a login; False when it had ended already."""
    done = conn.execute(
        update(logins)
        .where(logins.c.id == login_id, logins.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return done.rowcount == 1


def revoke_all(conn: Connection, user_id: UserId, *, now: datetime) -> int:
    """End every login of a user; how many there were."""
    mine = (logins.c.user_id == user_id) & logins.c.revoked_at.is_(None)
    return conn.execute(update(logins).where(mine).values(revoked_at=now)).rowcount


def live_of(conn: Connection, user_id: UserId, *, now: datetime) -> list[SeenLogin]:
    """The logins of a user that are not over, the newest first."""
    live = (
        (logins.c.user_id == user_id) & logins.c.revoked_at.is_(None) & (logins.c.expires_at > now)
    )
    rows = conn.execute(select(logins).where(live).order_by(logins.c.id.desc()))
    return [
        SeenLogin(
            id=LoginId(row.id),
            created_at=row.created_at,
            refreshed_at=row.refreshed_at,
            expires_at=row.expires_at,
            address=row.address,
            user_agent=row.user_agent,
        )
        for row in rows
    ]


def forget_ended(conn: Connection, *, before: datetime) -> int:
    """Delete logins that were over before this moment; how many."""
    return conn.execute(
        delete(logins).where(or_(logins.c.expires_at < before, logins.c.revoked_at < before))
    ).rowcount


def _signed_in(conn: Connection, which: ColumnElement[bool]) -> dict[LoginId, SignedInUser]:
    """One statement by an index: a row for each place of a user, or one when there is none."""
    login_columns = tuple(column.label(f"login_{column.name}") for column in COLUMNS)
    rows = conn.execute(
        select(
            *users.COLUMNS,
            *login_columns,
            memberships.c.role.label("tenant_role"),
            tenants.c.id.label("tenant_id"),
            tenants.c.name.label("tenant_name"),
            tenants.c.status.label("tenant_status"),
        )
        .select_from(
            logins.join(user_table, logins.c.user_id == user_table.c.id)
            .outerjoin(memberships, memberships.c.user_id == user_table.c.id)
            .outerjoin(
                tenants,
                (tenants.c.id == memberships.c.tenant_id)
                & (tenants.c.status != TenantStatus.DELETED),
            )
        )
        .where(which)
        .order_by(memberships.c.created_at, tenants.c.id)
    ).all()
    by_login: dict[LoginId, list[Row[*tuple[Any, ...]]]] = {}
    for row in rows:
        by_login.setdefault(LoginId(row.login_id), []).append(row)
    return {
        login_id: SignedInUser(
            user=users.of_row(places[0]),
            login=_login(places[0]),
            memberships=tuple(_membership(row) for row in places if row.tenant_id is not None),
        )
        for login_id, places in by_login.items()
    }


def _membership(row: Row[*tuple[Any, ...]]) -> Membership:
    return Membership(
        tenant_id=row.tenant_id,
        tenant_name=row.tenant_name,
        tenant_status=TenantStatus(row.tenant_status),
        role=TenantRole(row.tenant_role),
    )


def _login(row: Row[*tuple[Any, ...]]) -> Login:
    return Login(
        id=LoginId(row.login_id),
        user_id=UserId(row.login_user_id),
        created_at=row.login_created_at,
        expires_at=row.login_expires_at,
        revoked_at=row.login_revoked_at,
        refresh_hash=row.login_refresh_hash,
        refreshed_at=row.login_refreshed_at,
    )
