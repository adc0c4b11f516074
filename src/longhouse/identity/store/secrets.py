"""The statements on sealed secrets and on the keys they are under. Nothing here opens one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    and_,
    delete,
    func,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from longhouse.identity.models import HOUSE, TenantId, encryption_keys, secrets
from longhouse.kit.crypto import Context, key_id_of

_INSERT = {
    dialect: made.on_conflict_do_update(
        index_elements=[secrets.c.owner, secrets.c.purpose, secrets.c.name],
        set_={
            "key_id": made.excluded.key_id,
            "sealed": made.excluded.sealed,
            "updated_at": made.excluded.updated_at,
        },
    )
    for dialect, made in (
        ("sqlite", sqlite.insert(secrets)),
        ("postgresql", postgresql.insert(secrets)),
    )
}
_INSERT_FIRST: dict[str, Insert] = {
    "sqlite": sqlite.insert(secrets).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(secrets).on_conflict_do_nothing(),
}

_INSERT_KEY: dict[str, Insert] = {
    "sqlite": sqlite.insert(encryption_keys).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(encryption_keys).on_conflict_do_nothing(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSecret:
    """A secret as it is stored."""

    context: Context
    sealed: bytes


def put(
    conn: Connection,
    context: Context,
    sealed: bytes,
    *,
    tenant_id: TenantId,
    now: datetime,
) -> None:
    """Store it in the place of the one before."""
    values = _values(context, sealed, tenant_id=tenant_id, now=now)
    conn.execute(_INSERT[conn.dialect.name], values)


def put_first(conn: Connection, context: Context, sealed: bytes, *, now: datetime) -> None:
    """Store one of the house unless there is one already."""
    values = _values(context, sealed, tenant_id=None, now=now)
    conn.execute(_INSERT_FIRST[conn.dialect.name], values)


def find(conn: Connection, context: Context) -> bytes | None:
    """It, sealed."""
    found: bytes | None = conn.scalar(select(secrets.c.sealed).where(_is(context)))
    return found


def remove(conn: Connection, context: Context) -> bool:
    """Forget it; whether there was one."""
    return conn.execute(delete(secrets).where(_is(context))).rowcount == 1


def not_under(conn: Connection, key_id: str, *, limit: int) -> list[SealedSecret]:
    """Some of the secrets that are under another key."""
    rows = conn.execute(
        select(secrets.c.owner, secrets.c.purpose, secrets.c.name, secrets.c.sealed)
        .where(secrets.c.key_id != key_id)
        .order_by(secrets.c.owner, secrets.c.purpose, secrets.c.name)
        .limit(limit)
    )
    return [
        SealedSecret(
            context=Context(owner=row.owner, purpose=row.purpose, name=row.name),
            sealed=row.sealed,
        )
        for row in rows
    ]


def replace_if_unchanged(conn: Connection, found: SealedSecret, sealed: bytes) -> bool:
    """Store it under another key, unless somebody has stored another one meanwhile."""
    done = conn.execute(
        update(secrets)
        .where(_is(found.context), secrets.c.sealed == found.sealed)
        .values(sealed=sealed, key_id=key_id_of(sealed))
    )
    return done.rowcount == 1


def counts_by_key(conn: Connection) -> dict[str, int]:
    """How many secrets are under each key."""
    rows = conn.execute(
        select(secrets.c.key_id, func.count().label("secrets")).group_by(secrets.c.key_id)
    )
    return {row.key_id: row.secrets for row in rows}


# --- keys -----------------------------------------------------------------------------------------


def has_tables(conn: Connection) -> bool:
    """Whether this database has come so far as to know keys."""
    return inspect(conn).has_table(encryption_keys.name)


def canaries(conn: Connection) -> dict[str, bytes]:
    """What is known of each key: its name, and the text that only it opens."""
    rows = conn.execute(select(encryption_keys.c.id, encryption_keys.c.canary))
    return {row.id: row.canary for row in rows}


def add_key(conn: Connection, canary: bytes, *, now: datetime) -> None:
    """Remember the key that this canary is under, unless it is known."""
    values = {"id": key_id_of(canary), "canary": canary, "created_at": now}
    conn.execute(_INSERT_KEY[conn.dialect.name], values)


def forget_keys_but(conn: Connection, kept: Sequence[str]) -> None:
    """Forget the keys that nothing is under any more."""
    in_use = select(secrets.c.key_id)
    conn.execute(
        delete(encryption_keys).where(
            encryption_keys.c.id.not_in(kept), encryption_keys.c.id.not_in(in_use)
        )
    )


def _values(
    context: Context, sealed: bytes, *, tenant_id: TenantId | None, now: datetime
) -> dict[str, object]:
    assert context.owner == (tenant_id or HOUSE)
    return {
        "owner": context.owner,
        "purpose": context.purpose,
        "name": context.name,
        "tenant_id": tenant_id,
        "key_id": key_id_of(sealed),
        "sealed": sealed,
        "updated_at": now,
    }


def _is(context: Context) -> ColumnElement[bool]:
    return and_(
        secrets.c.owner == context.owner,
        secrets.c.purpose == context.purpose,
        secrets.c.name == context.name,
    )
