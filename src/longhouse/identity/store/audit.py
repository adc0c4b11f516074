"""The statements on the audit: entries are added and read, never changed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from longhouse.identity.chain import BEGINNING, Head, Link
from longhouse.identity.models import (
    Actor,
    ActorKind,
    AuditEntry,
    Outcome,
    audit_chains,
    audit_entries,
)

_INSERT_CHAIN = {
    dialect: insert_(audit_chains).on_conflict_do_nothing()
    for dialect, insert_ in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which entries. None: whatever it is."""

    actor: str | None = None  # an id
    action: str | None = None  # the whole, or what it begins with: `login.`
    target: str | None = None
    outcome: Outcome | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None  # before it


def lock_head(conn: Connection, chain: str) -> Head:
    """The chain's newest place; nobody else adds to it until the commit."""
    query = select(audit_chains).where(audit_chains.c.name == chain).with_for_update()
    row = conn.execute(query).one_or_none()
    if row is None:
        conn.execute(
            _INSERT_CHAIN[conn.dialect.name],
            {"name": chain, "last_seq": 0, "last_hash": BEGINNING},
        )
        row = conn.execute(query).one()
    return _head(row)


def append(conn: Connection, links: Sequence[Link]) -> None:
    """Add entries that follow on the locked head of their chain."""
    conn.execute(insert(audit_entries), [_values(link) for link in links])
    last = links[-1]
    conn.execute(
        update(audit_chains)
        .where(audit_chains.c.name == last.chain)
        .values(last_seq=last.seq, last_hash=last.hash)
    )


def newest(
    conn: Connection, chain: str, filters: Filters, *, before: str | None, limit: int
) -> list[AuditEntry]:
    """Entries of a chain, the newest first, older than the one with the id `before`."""
    query = select(audit_entries).where(audit_entries.c.chain == chain, *_conditions(filters))
    if before is not None:
        query = query.where(audit_entries.c.id < before)
    query = query.order_by(audit_entries.c.id.desc()).limit(limit)
    return [_entry(row) for row in conn.execute(query)]


def following(
    conn: Connection,
    chain: str,
    filters: Filters,
    *,
    after: int,
    up_to: int | None = None,
    limit: int,
) -> list[Link]:
    """Entries of a chain above a number, in their order."""
    query = (
        select(audit_entries)
        .where(
            audit_entries.c.chain == chain,
            audit_entries.c.seq > after,
            *_conditions(filters),
        )
        .order_by(audit_entries.c.seq)
        .limit(limit)
    )
    if up_to is not None:
        query = query.where(audit_entries.c.seq <= up_to)
    return [_link(row) for row in conn.execute(query)]


def heads(conn: Connection) -> list[Head]:
    """The newest place of every chain, whatever tenant's."""
    return [_head(row) for row in conn.execute(select(audit_chains).order_by(audit_chains.c.name))]


def _conditions(filters: Filters) -> Iterator[ColumnElement[bool]]:
    columns = audit_entries.c
    if filters.actor is not None:
        yield columns.actor_id == filters.actor
    if filters.action is not None:
        yield columns.action.startswith(filters.action, autoescape=True)
    if filters.target is not None:
        yield columns.target == filters.target
    if filters.outcome is not None:
        yield columns.outcome == filters.outcome
    if filters.request_id is not None:
        yield columns.request_id == filters.request_id
    if filters.since is not None:
        yield columns.at >= filters.since
    if filters.until is not None:
        yield columns.at < filters.until


def _values(link: Link) -> dict[str, object]:
    entry = link.entry
    return {
        "id": entry.id,
        "at": entry.at,
        "tenant_id": entry.tenant_id,
        "actor_kind": entry.actor.kind,
        "actor_id": entry.actor.id,
        "action": entry.action,
        "target": entry.target,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "before_digest": entry.before_digest,
        "after_digest": entry.after_digest,
        "address": entry.actor.address,
        "request_id": entry.actor.request_id,
        "chain": link.chain,
        "seq": link.seq,
        "hash": link.hash,
    }


def _link(row: Row[*tuple[Any, ...]]) -> Link:
    return Link(chain=row.chain, seq=row.seq, hash=row.hash, entry=_entry(row))


def _entry(row: Row[*tuple[Any, ...]]) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=row.at,
        tenant_id=row.tenant_id,
        actor=Actor(
            kind=ActorKind(row.actor_kind),
            id=row.actor_id,
            address=row.address,
            request_id=row.request_id,
        ),
        action=row.action,
        target=row.target,
        outcome=Outcome(row.outcome),
        reason=row.reason,
        before_digest=row.before_digest,
        after_digest=row.after_digest,
    )


def _head(row: Row[*tuple[Any, ...]]) -> Head:
    return Head(chain=row.name, seq=row.last_seq, hash=row.last_hash)
