"""Applying migrations, tried on steps of a test's own."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from longhouse.kit.db import migrate
from longhouse.kit.db.database import Database, open_database
from longhouse.kit.errors import Misconfigured

ENVIRONMENT = """
from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
"""

STEP = '''
from alembic import op

revision = "{number}"
down_revision = {before!r}


def upgrade() -> None:
    """Do it."""
    {body}
'''


@pytest.fixture(autouse=True)
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of steps in the place of the real one."""
    scripts = tmp_path / "migrations"
    (scripts / "versions").mkdir(parents=True)
    (scripts / "env.py").write_text(ENVIRONMENT)
    monkeypatch.setattr(migrate, "SCRIPTS", scripts)
    return scripts / "versions"


@pytest.fixture
async def db(empty_database_url: str) -> AsyncIterator[Database]:
    opened = await open_database(empty_database_url)
    yield opened
    await opened.close()


def write_step(steps: Path, number: int, body: str) -> None:
    before = f"{number - 1:04d}" if number > 1 else None
    source = STEP.format(number=f"{number:04d}", before=before, body=body)
    (steps / f"{number:04d}_step.py").write_text(source)


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def test_missing_steps_are_applied_in_order(db: Database, steps: Path) -> None:
    write_step(steps, 1, 'op.execute("CREATE TABLE a (x INTEGER)")')
    await migrate.upgrade(db)
    write_step(steps, 2, 'op.execute("ALTER TABLE a ADD COLUMN y INTEGER")')
    write_step(steps, 3, 'op.execute("CREATE TABLE b (x INTEGER)")')
    await migrate.upgrade(db)
    await migrate.upgrade(db)

    assert await db.read(tables) == {"a", "b", "alembic_version"}
    assert await db.read(migrate.current_revision) == "0003"
    await db.read(lambda connection: connection.execute(text("SELECT y FROM a")).all())


async def test_a_step_that_fails_leaves_the_database_as_it_was(db: Database, steps: Path) -> None:
    write_step(steps, 1, 'op.execute("CREATE TABLE a (x INTEGER)")')
    await migrate.upgrade(db)
    write_step(steps, 2, 'op.execute("CREATE TABLE b (x INTEGER)")')
    write_step(steps, 3, 'raise ValueError("broken step")')

    with pytest.raises(ValueError, match="broken step"):
        await migrate.upgrade(db)

    assert await db.read(tables) == {"a", "alembic_version"}
    assert await db.read(migrate.current_revision) == "0001"


async def test_two_servers_that_start_at_once_apply_a_step_once(
    db: Database, empty_database_url: str, steps: Path
) -> None:
    write_step(steps, 1, 'op.execute("CREATE TABLE a (x INTEGER)")')
    other = await open_database(empty_database_url)

    await asyncio.gather(migrate.upgrade(other), migrate.upgrade(db))

    assert await other.read(tables) == {"a", "alembic_version"}
    await other.close()


async def test_a_database_of_a_newer_version_is_refused(db: Database, steps: Path) -> None:
    write_step(steps, 1, 'op.execute("CREATE TABLE a (x INTEGER)")')
    write_step(steps, 2, 'op.execute("CREATE TABLE b (x INTEGER)")')
    await migrate.upgrade(db)
    (steps / "0002_step.py").unlink()

    with pytest.raises(Misconfigured, match="newer version"):
        await migrate.upgrade(db)


async def test_without_any_step_nothing_happens(db: Database) -> None:
    await migrate.upgrade(db)

    assert await db.read(tables) == set()


def test_alembic_is_not_imported_when_nothing_is_due() -> None:
    program = "import sys, longhouse.kit.db.migrate; sys.exit('alembic' in sys.modules)"

    subprocess.run([sys.executable, "-c", program], check=True)
