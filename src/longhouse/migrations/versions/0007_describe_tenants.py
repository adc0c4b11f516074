"""Describe tenants: type, status, owner, configuration; their names differ in more than case."""

import unicodedata

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"

MOMENT = sa.Text().with_variant(sa.DateTime(timezone=True), "postgresql")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
OWNER = "fk_tenants_owner_id_users"

TENANTS = sa.table(
    "tenants", *(sa.column(name) for name in ("id", "name", "name_key", "created_at", "updated_at"))
)


def upgrade() -> None:
    """Describe tenants. SQLite gets a new table, for it cannot drop a constraint in place."""
    if _is_sqlite():
        op.create_table("tenants_new", *_columns(), *_constraints())
        op.execute(
            "INSERT INTO tenants_new (id, name, name_key, created_at, updated_at) "
            "SELECT id, name, id, created_at, created_at FROM tenants"
        )
        op.drop_table("tenants")
        op.rename_table("tenants_new", "tenants")
    else:
        op.drop_constraint("uq_tenants_name", "tenants")
        for column in _columns()[2:]:
            if column.name != "created_at":
                op.add_column("tenants", _loose(column))
        op.execute("UPDATE tenants SET name_key = id, updated_at = created_at")
        op.alter_column("tenants", "name_key", nullable=False)
        op.alter_column("tenants", "updated_at", nullable=False)
        op.create_foreign_key(OWNER, "tenants", "users", ["owner_id"], ["id"], ondelete="SET NULL")
        for name, condition in CHECKS:
            op.create_check_constraint(op.f(name), "tenants", condition)
    _fill_keys()
    for index, indexed, unique, which in INDEXES:
        op.create_index(
            index,
            "tenants",
            [indexed],
            unique=unique,
            sqlite_where=sa.text(which),
            postgresql_where=sa.text(which),
        )


def downgrade() -> None:
    """Undo it. Of tenants with one name, the later ones get their id behind it."""
    for index, *_ in INDEXES:
        op.drop_index(index, "tenants")
    op.execute(
        "UPDATE tenants SET name = name || ' ' || id WHERE EXISTS "
        "(SELECT 1 FROM tenants other WHERE other.name = tenants.name AND other.id < tenants.id)"
    )
    if _is_sqlite():
        op.create_table(
            "tenants_old",
            *(column for column in _columns() if column.name in {"id", "name", "created_at"}),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
            sa.UniqueConstraint("name", name=op.f("uq_tenants_name")),
        )
        op.execute("INSERT INTO tenants_old SELECT id, name, created_at FROM tenants")
        op.drop_table("tenants")
        op.rename_table("tenants_old", "tenants")
        return
    op.drop_constraint(OWNER, "tenants")
    for check, _ in CHECKS:
        op.drop_constraint(op.f(check), "tenants")
    for column in _columns():
        if column.name not in {"id", "name", "created_at"}:
            op.drop_column("tenants", column.name)
    op.create_unique_constraint(op.f("uq_tenants_name"), "tenants", ["name"])


CHECKS = (
    ("ck_tenants_type_known", "type IN ('personal', 'enterprise')"),
    ("ck_tenants_status_known", "status IN ('active', 'suspended', 'deleted')"),
    ("ck_tenants_deleted_whole", "(status = 'deleted') = (deleted_at IS NOT NULL)"),
)
INDEXES = (
    ("tenants_by_name", "name_key", True, "status <> 'deleted'"),
    ("tenants_not_active", "id", False, "status <> 'active'"),
)


def _columns() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False, server_default="enterprise"),
        sa.Column("description", sa.String(), nullable=False, server_default=""),
        sa.Column("contact_email", sa.String(), nullable=True),
        sa.Column("config", JSON, nullable=False, server_default="{}"),
        sa.Column("status", sa.String(), nullable=False, server_default="active"),
        sa.Column("owner_id", sa.String(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("deleted_at", MOMENT, nullable=True),
    ]


def _constraints() -> list[sa.Constraint]:
    return [
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f(OWNER), ondelete="SET NULL"),
        *(sa.CheckConstraint(condition, name=op.f(name)) for name, condition in CHECKS),
    ]


def _loose(column: sa.Column[object]) -> sa.Column[object]:
    """The column as it can be added to a table with rows."""
    if column.name in {"name_key", "updated_at"}:
        column.nullable = True
    return column


def _fill_keys() -> None:
    """What names are compared by; where two tenants would share one, the later keeps its id."""
    connection = op.get_bind()
    taken: set[str] = set()
    query = sa.select(TENANTS.c.id, TENANTS.c.name).order_by(TENANTS.c.id)
    for tenant_id, name in connection.execute(query).all():
        key = unicodedata.normalize("NFKC", name).strip().casefold()
        if key in taken:
            continue
        taken.add(key)
        mine = TENANTS.c.id == tenant_id
        connection.execute(sa.update(TENANTS).where(mine).values(name_key=key))


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
