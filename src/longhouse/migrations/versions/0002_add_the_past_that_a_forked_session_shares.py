"""Add the past that a forked session shares."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the past that a forked session shares."""
    op.add_column("sessions", sa.Column("parent_id", sa.String(), nullable=True))
    op.add_column(
        "sessions", sa.Column("fork_seq", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.create_index(
        "sessions_by_parent",
        "sessions",
        ["parent_id"],
        unique=False,
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )


def downgrade() -> None:
    """Undo it. In place: copying the table would drop its events with it."""
    op.drop_index("sessions_by_parent", "sessions")
    op.drop_column("sessions", "fork_seq")
    op.drop_column("sessions", "parent_id")
