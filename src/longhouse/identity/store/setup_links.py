"""The statements on the one-time link of the first run."""

from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from longhouse.identity.models import setup_links


def replace(conn: Connection, *, token_hash: str, now: datetime, expires_at: datetime) -> None:
    """Store a new link; earlier ones stop working."""
    conn.execute(delete(setup_links))
    conn.execute(
        insert(setup_links),
        {"token_hash": token_hash, "created_at": now, "expires_at": expires_at},
    )


def is_live(conn: Connection, token_hash: str, *, now: datetime) -> bool:
    """Whether this link may still be used."""
    live = select(func.count()).where(
        setup_links.c.token_hash == token_hash,
        setup_links.c.used_at.is_(None),
        setup_links.c.expires_at > now,
    )
    return conn.execute(live).scalar_one() == 1


def use_if_live(conn: Connection, token_hash: str, *, now: datetime) -> bool:
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
