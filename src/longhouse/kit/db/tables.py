"""What all tables share: one metadata with names for constraints, and two column types.

Every room's `models.py` defines its tables on `metadata`; migrations and tests read it. No table is
defined here.
"""

import json
from datetime import UTC, datetime
from typing import TypeAlias

from sqlalchemy import JSON, Connection, DateTime, Dialect, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeDecorator, TypeEngine

JsonDocument: TypeAlias = (
    "dict[str, JsonDocument] | list[JsonDocument] | str | int | float | bool | None"
)
"""What comes back from a `Document` column."""

# With names of their own, constraints can be changed by a later migration on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware and in UTC, going in and coming out.

    `timestamptz` on PostgreSQL; on SQLite ISO 8601 text of one width, so that it sorts by time.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime] | TypeEngine[str]:
        """The column's type on this database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        """Refuse a naive moment: nobody knows when that is."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; moments come from kit.clock")
        value = value.astimezone(UTC)
        if dialect.name == "postgresql":
            return value
        return value.isoformat(timespec="microseconds")

    def process_result_value(
        self, value: datetime | str | None, dialect: Dialect
    ) -> datetime | None:
        """The moment in UTC, whatever zone the server's session is in."""
        if value is None:
            return None
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        return value.astimezone(UTC)


class Document(TypeDecorator[JsonDocument]):
    """A JSON value: JSONB on PostgreSQL, text on SQLite. None is stored as SQL NULL."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[object]:
        """The column's type on this database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(JSONB(none_as_null=True))
        return dialect.type_descriptor(JSON(none_as_null=True))

    def coerce_compared_value(self, op: OperatorType | None, value: object) -> TypeEngine[object]:
        """Compare `column["key"]` with text or numbers as JSON itself does."""
        return self.impl_instance.coerce_compared_value(op, value)


def write_json(value: object) -> str:
    """How documents are written: compact, in real characters, refusing NaN, which is no JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def is_postgres(connection: Connection) -> bool:
    """Whether a store has to speak PostgreSQL's words, e.g. FOR UPDATE SKIP LOCKED."""
    return connection.dialect.name == "postgresql"
