"""Chain the audit: every entry gets a number and a hash, and none can be changed."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

MOMENT = sa.Text().with_variant(sa.DateTime(timezone=True), "postgresql")
AT_ONCE = 1000

KEPT = (
    ("id", sa.String(), False),
    ("at", MOMENT, False),
    ("tenant_id", sa.String(), True),
    ("actor_kind", sa.String(), False),
    ("actor_id", sa.String(), True),
    ("action", sa.String(), False),
    ("target", sa.String(), False),
    ("outcome", sa.String(), False),
    ("reason", sa.String(), True),
    ("before_digest", sa.String(), True),
    ("after_digest", sa.String(), True),
    ("address", sa.String(), False),
    ("request_id", sa.String(), False),
)
ADDED = (
    ("chain", sa.String(), False),
    ("seq", sa.BigInteger(), False),
    ("hash", sa.String(), False),
)
KINDS_BEFORE = "'user', 'anonymous', 'system'"
KINDS_AFTER = "'user', 'key', 'network', 'anonymous', 'system'"

OLD = sa.table("audit_entries_old", *(sa.column(name, kind) for name, kind, _ in KEPT))
NEW = sa.table("audit_entries", *(sa.column(name, kind) for name, kind, _ in (*KEPT, *ADDED)))
CHAINS = sa.table("audit_chains", sa.column("name"), sa.column("last_seq"), sa.column("last_hash"))

SQLITE_GUARDS = tuple(
    f"CREATE TRIGGER audit_entries_no_{verb} BEFORE {verb.upper()} ON audit_entries "
    "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
    for verb in ("update", "delete")
)
POSTGRES_GUARDS = (
    "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$",
    "CREATE TRIGGER audit_entries_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
)


def upgrade() -> None:
    """Chain the audit. In a new table, for SQLite cannot change a constraint in place."""
    op.create_table(
        "audit_chains",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_chains")),
    )
    _put_aside()
    _create(
        (*KEPT, *ADDED),
        KINDS_AFTER,
        sa.UniqueConstraint("chain", "seq", name=op.f("uq_audit_entries_chain_seq")),
    )
    op.create_index("audit_entries_by_chain", "audit_entries", ["chain", "id"])
    _link_all()
    op.drop_table("audit_entries_old")
    for guard in SQLITE_GUARDS if _is_sqlite() else POSTGRES_GUARDS:
        op.execute(guard)


def downgrade() -> None:
    """Undo it; what programs with keys did is told as done by users."""
    _put_aside()
    _create(KEPT, KINDS_BEFORE)
    op.create_index("audit_entries_by_tenant", "audit_entries", ["tenant_id", "id"])
    names = ", ".join(name for name, _, _ in KEPT)
    values = names.replace(
        "actor_kind", "CASE WHEN actor_kind IN ('key', 'network') THEN 'user' ELSE actor_kind END"
    )
    op.execute(f"INSERT INTO audit_entries ({names}) SELECT {values} FROM audit_entries_old")  # noqa: S608
    op.drop_table("audit_entries_old")
    op.drop_table("audit_chains")
    if not _is_sqlite():
        op.execute("DROP FUNCTION audit_is_append_only()")


def _put_aside() -> None:
    """Copy the entries out and drop their table: names of constraints are free again."""
    op.execute("CREATE TABLE audit_entries_old AS SELECT * FROM audit_entries")
    op.drop_table("audit_entries")  # with its triggers


def _create(
    columns: tuple[tuple[str, Any, bool], ...], kinds: str, *more: sa.UniqueConstraint
) -> None:
    op.create_table(
        "audit_entries",
        *(sa.Column(name, kind, nullable=nullable) for name, kind, nullable in columns),
        sa.CheckConstraint(
            f"actor_kind IN ({kinds})", name=op.f("ck_audit_entries_actor_kind_known")
        ),
        sa.CheckConstraint(
            "outcome IN ('done', 'refused')", name=op.f("ck_audit_entries_outcome_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
        *more,
    )


def _link_all() -> None:
    connection = op.get_bind()
    heads: dict[str, tuple[int, str]] = {}
    after = ""
    while rows := connection.execute(
        sa.select(OLD).where(OLD.c.id > after).order_by(OLD.c.id).limit(AT_ONCE)
    ).all():
        linked = [_linked(dict(row._mapping), heads) for row in rows]
        connection.execute(sa.insert(NEW), linked)
        after = rows[-1].id
    if heads:
        connection.execute(
            sa.insert(CHAINS),
            [
                {"name": name, "last_seq": seq, "last_hash": hash_}
                for name, (seq, hash_) in heads.items()
            ],
        )


def _linked(entry: dict[str, Any], heads: dict[str, tuple[int, str]]) -> dict[str, Any]:
    chain = entry["tenant_id"] or "server"
    seq, previous = heads.get(chain, (0, ""))
    place = {"chain": chain, "seq": seq + 1}
    heads[chain] = seq + 1, _hash(entry | place, previous)
    return entry | place | {"hash": heads[chain][1]}


def _hash(said: Mapping[str, Any], previous: str) -> str:
    """As `identity.chain` had it when this step was written."""
    at = said["at"]
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    text = json.dumps(
        {**said, "at": moment.astimezone(UTC).isoformat(timespec="microseconds")},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
