"""What Alembic executes around a migration; the connection is handed over by the caller."""

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from longhouse.kit.db.tables import Document, UtcDateTime
from longhouse.migrations.schema import complete_metadata

RENDERED = {
    UtcDateTime: 'sa.Text().with_variant(sa.DateTime(timezone=True), "postgresql")',
    Document: 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")',
}
"""Our types in SQLAlchemy's own words: a step that was written keeps its meaning for ever."""


def render_item(kind: str, item: object, _: AutogenContext) -> str | Literal[False]:
    """How a new step names the type of a column; False is Alembic's own way."""
    return RENDERED.get(type(item), False) if kind == "type" else False


def migrate() -> None:
    """Run what Alembic has been asked for, inside the caller's transaction."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=complete_metadata(),
        compare_type=True,
        # SQLite changes a table by copying it; on PostgreSQL the same words are an ALTER.
        render_as_batch=True,
        render_item=render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


migrate()
