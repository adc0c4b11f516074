"""The statements on users."""

from typing import Any

from sqlalchemy import Connection, Row, exists, insert, or_, select

from longhouse.identity.models import SystemRole, User, UserId, users

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


def find(conn: Connection, user_id: str) -> User | None:
    """The user of this id."""
    row = conn.execute(select(*COLUMNS).where(users.c.id == user_id)).one_or_none()
    return None if row is None else of_row(row)


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
