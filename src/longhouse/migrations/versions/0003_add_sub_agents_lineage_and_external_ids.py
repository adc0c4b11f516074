"""Add the sessions of sub-agents, the lineage of forks, and ids that clients give."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

AGENTS = ("external_id", "default_session_id")
SESSIONS = ("external_id", "delegated_by", "delegated_call", "delegated_post", "forked_from")
INDEXES = (
    ("agents_by_external_id", "agents", ["tenant_id", "external_id"]),
    ("sessions_by_external_id", "sessions", ["agent_id", "external_id"]),
    ("sessions_by_delegation", "sessions", ["delegated_by", "delegated_call"]),
)


def upgrade() -> None:
    """Add the sessions of sub-agents, the lineage of forks, and ids that clients give."""
    for name in AGENTS:
        op.add_column("agents", sa.Column(name, sa.String(), nullable=True))
    for name in SESSIONS:
        op.add_column("sessions", sa.Column(name, sa.String(), nullable=True))
    op.add_column("sessions", sa.Column("forked_after", sa.BigInteger(), nullable=True))
    for name, table, columns in INDEXES:
        is_set = sa.text(f"{columns[-1]} IS NOT NULL")
        op.create_index(
            name, table, columns, unique=True, sqlite_where=is_set, postgresql_where=is_set
        )


def downgrade() -> None:
    """Undo it. In place: copying a table would drop what hangs on it."""
    for name, table, _ in INDEXES:
        op.drop_index(name, table)
    op.drop_column("sessions", "forked_after")
    for name in SESSIONS:
        op.drop_column("sessions", name)
    for name in AGENTS:
        op.drop_column("agents", name)
