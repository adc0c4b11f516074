"""The statements on tries to sign in."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, case, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from longhouse.identity.models import sign_in_tries
from longhouse.identity.slowdown import FORGET_AFTER, Tries

_INSERT = {
    "sqlite": sqlite.insert(sign_in_tries).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(sign_in_tries).on_conflict_do_nothing(),
}


def held(conn: Connection, keys: Sequence[str], *, now: datetime) -> dict[str, Tries]:
    """What is known under these keys, held until the transaction ends: rivals wait."""
    # A row for each first, so that there is something to hold. One order, so that nobody waits in
    # a circle.
    conn.execute(
        _INSERT[conn.dialect.name],
        [{"key": key, "count": 0, "last_at": now, "free_at": now} for key in sorted(keys)],
    )
    rows = conn.execute(
        select(
            sign_in_tries.c.key,
            sign_in_tries.c.count,
            sign_in_tries.c.last_at,
            sign_in_tries.c.free_at,
        )
        .where(sign_in_tries.c.key.in_(keys))
        .order_by(sign_in_tries.c.key)
        .with_for_update()
    )
    return {key: Tries(count, last_at, free_at) for key, count, last_at, free_at in rows}


def keep(conn: Connection, key: str, tries: Tries) -> None:
    """Write down what is known now."""
    conn.execute(
        update(sign_in_tries)
        .where(sign_in_tries.c.key == key)
        .values(count=tries.count, last_at=tries.last_at, free_at=tries.free_at)
    )


def forget(conn: Connection, key: str) -> None:
    """Know nothing any more."""
    conn.execute(delete(sign_in_tries).where(sign_in_tries.c.key == key))


def take_back_one(conn: Connection, key: str) -> None:
    """Count one try less."""
    fewer = case((sign_in_tries.c.count > 0, sign_in_tries.c.count - 1), else_=0)
    conn.execute(update(sign_in_tries).where(sign_in_tries.c.key == key).values(count=fewer))


def forget_old(conn: Connection, *, now: datetime) -> None:
    """Forget who has not tried for long."""
    conn.execute(delete(sign_in_tries).where(sign_in_tries.c.last_at < now - FORGET_AFTER))
