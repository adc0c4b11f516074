"""The statements on users."""

from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, insert, or_, select, update

from longhouse.identity.models import SystemRole, User, UserId, users
from longhouse.identity.names import key_of
from longhouse.kit.db.pages import Page, page

COLUMNS = (
    users.c.id,
    users.c.username,
    users.c.email,
    users.c.display_name,
    users.c.role,
    users.c.active,
    users.c.created_at,
)


def any_exists(conn: Connection) -> bool:
    """Whether anybody can sign in at all."""
    return bool(conn.execute(select(exists().where(users.c.id.is_not(None)))).scalar_one())


def find(conn: Connection, user_id: str, *, lock: bool = False) -> User | None:
    """The user of this id; `lock`: nobody else changes them until the commit."""
    query = select(*COLUMNS).where(users.c.id == user_id)
    row = conn.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else of_row(row)


def password_of(conn: Connection, user_id: UserId) -> str | None:
    """The hash of a user's password."""
    hashed = select(users.c.password_hash).where(users.c.id == user_id)
    return conn.execute(hashed).scalar_one_or_none()


def still_has(conn: Connection, user_id: UserId, password_hash: str) -> bool:
    """Whether this is the user's password, and stays it until the commit."""
    query = select(users.c.password_hash).where(users.c.id == user_id)
    return conn.execute(query.with_for_update(read=True)).scalar_one_or_none() == password_hash


def change(
    conn: Connection,
    user: User,
    *,
    username_key: str,
    email_key: str,
    password_hash: str | None = None,
) -> None:
    """Store what is different now; without a hash the password stays."""
    values: dict[str, object] = {
        "username": user.username,
        "username_key": username_key,
        "email": user.email,
        "email_key": email_key,
        "display_name": user.display_name,
        "role": user.role,
        "active": user.active,
    }
    if password_hash is not None:
        values["password_hash"] = password_hash
    conn.execute(update(users).where(users.c.id == user.id).values(values))


def remove(conn: Connection, user_id: UserId) -> None:
    """Delete a user with their logins and places."""
    conn.execute(delete(users).where(users.c.id == user_id))


def lock_admins(conn: Connection) -> set[UserId]:
    """The active admins; nobody else changes who they are until the commit."""
    query = (
        select(users.c.id)
        .where(users.c.role == SystemRole.ADMIN, users.c.active)
        .order_by(users.c.id)
        .with_for_update()
    )
    return {UserId(user_id) for user_id in conn.execute(query).scalars()}


def newest(
    conn: Connection,
    *,
    search: str | None,
    role: SystemRole | None,
    active: bool | None,
    after: str | None,
    limit: int,
) -> Page[User]:
    """Users, the newest first; `search`: a part of username, address or displayed name."""
    query = select(*COLUMNS).order_by(users.c.id.desc()).limit(limit + 1)
    if search:
        part = key_of(search)
        query = query.where(
            or_(
                users.c.username_key.contains(part, autoescape=True),
                users.c.email_key.contains(part, autoescape=True),
                func.lower(users.c.display_name).contains(part, autoescape=True),
            )
        )
    if role is not None:
        query = query.where(users.c.role == role)
    if active is not None:
        query = query.where(users.c.active == active)
    if after is not None:
        query = query.where(users.c.id < after)
    return page([of_row(row) for row in conn.execute(query)], limit)


def taken_fields(
    conn: Connection, *, username_key: str, email_key: str, but: UserId | None = None
) -> tuple[str, ...]:
    """Which of the two another user has; `but`: another than this one."""
    query = select(users.c.username_key, users.c.email_key).where(
        or_(users.c.username_key == username_key, users.c.email_key == email_key)
    )
    if but is not None:
        query = query.where(users.c.id != but)
    found = conn.execute(query).all()
    return tuple(
        field
        for field, taken in (
            ("username", any(row.username_key == username_key for row in found)),
            ("email", any(row.email_key == email_key for row in found)),
        )
        if taken
    )


def add(
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


def find_to_sign_in(conn: Connection, key: str) -> tuple[User, str] | None:
    """The user with this username or address, and the password's hash."""
    row = conn.execute(
        select(*COLUMNS, users.c.password_hash).where(
            or_(users.c.username_key == key, users.c.email_key == key)
        )
    ).first()
    return None if row is None else (of_row(row), row.password_hash)


def of_row(row: Row[*tuple[Any, ...]]) -> User:
    """The user in a row that has `COLUMNS`."""
    return User(
        id=UserId(row.id),
        username=row.username,
        email=row.email,
        display_name=row.display_name,
        role=SystemRole(row.role),
        active=row.active,
        created_at=row.created_at,
    )
