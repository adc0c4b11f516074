"""The steps in `longhouse/migrations` make exactly the tables the rooms describe."""

from collections.abc import AsyncIterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Constraint, Index
from tests.fixtures_db import opened_database

from longhouse.kit.db import migrate
from longhouse.kit.db.database import Database
from longhouse.migrations.schema import complete_metadata


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncIterator[Database]:
    async with opened_database(empty_database_url) as database:
        yield database


def differences(connection: Connection) -> list[object]:
    """What Alembic would still change."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found: list[object] = compare_metadata(context, complete_metadata())
    return found


async def test_a_migrated_database_has_the_tables_the_rooms_describe(empty: Database) -> None:
    if not migrate.revisions():
        pytest.skip("no step has been written yet")

    await migrate.upgrade(empty)

    assert await empty.read(differences) == []


def test_every_index_and_constraint_has_a_name_that_fits() -> None:
    for table in complete_metadata().tables.values():
        parts: list[Constraint | Index] = [*table.constraints, *table.indexes]
        for part in parts:
            assert part.name, f"{table.name}: {part!r}"
            # PostgreSQL would cut a longer one, and a later step would not find it.
            assert len(str(part.name)) <= 63, part.name
