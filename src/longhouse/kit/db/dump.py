"""A whole database as files, as it is at one moment, while others write; and back.

`server.backup` calls it. SQLite gives a copy of its file by its own backup interface; PostgreSQL a
file for each table, by COPY in one repeatable-read transaction: no client program is needed, and
any version of the server takes it back. What the tables mean is not known here.
"""

import asyncio
import contextlib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, MetaData, func, select

from longhouse.kit.db import migrate
from longhouse.kit.db.database import (
    SQLITE_SCHEME,
    Database,
    DialectName,
    open_database,
)
from longhouse.kit.db.postgres import driver_arguments
from longhouse.kit.db.sqlite import OWNER_ONLY
from longhouse.kit.errors import Conflict, InvalidInput, Misconfigured
from longhouse.kit.extras import needed

SQLITE_COPY = "longhouse.db"
STEPS_TABLE = "alembic_version"  # is written by the steps themselves

_COLUMNS = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position
"""
_SEQUENCES = """
    SELECT table_name, column_name,
        pg_get_serial_sequence(quote_ident(table_name), column_name) AS sequence
    FROM information_schema.columns
    WHERE table_schema = current_schema()
        AND pg_get_serial_sequence(quote_ident(table_name), column_name) IS NOT NULL
"""
_REFERENCES = """
    SELECT conrelid::regclass::text AS place, quote_ident(conname) AS name,
        pg_get_constraintdef(oid) AS definition
    FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace
"""


class NotEmpty(Conflict):
    """There is something in the database already."""

    code = "database-not-empty"

    def __init__(self) -> None:
        super().__init__(
            "The database is not empty, and nothing in it is overwritten.",
            hint="Give LONGHOUSE_DATABASE_URL a new one.",
        )


class Damaged(InvalidInput):
    """A copy that is no whole database."""

    code = "backup-damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """What a dump holds, besides its files."""

    dialect: DialectName
    step: str  # of the tables, see `migrate`
    # Of PostgreSQL: the columns of each table, in the order of its file.
    tables: Mapping[str, tuple[str, ...]]


async def dump(url: str, directory: Path) -> Dump:
    """Write the database at this address into a directory. It may be in use.

    Raises `Misconfigured` for one without tables, and what opening it may raise.
    """
    if url.startswith(SQLITE_SCHEME) and not _file_of(url).exists():
        raise _no_database()
    async with _opened(url) as database:
        step = await database.read(migrate.current_revision)
    if step is None:
        raise _no_database()
    if url.startswith(SQLITE_SCHEME):
        await asyncio.to_thread(_copy_file, _file_of(url), directory / SQLITE_COPY)
        return Dump(dialect="sqlite", step=step, tables={})
    return Dump(dialect="postgresql", step=step, tables=await _copy_tables(url, directory))


async def load(url: str, directory: Path, what: Dump) -> None:
    """Make the database at this address from a dump. It has to be empty.

    Raises `NotEmpty`, `Damaged`, `Misconfigured` for a dump of another kind of database or of a
    newer Longhouse.
    """
    migrate.revisions_up_to(what.step)
    dialect = "sqlite" if url.startswith(SQLITE_SCHEME) else "postgresql"
    if what.dialect != dialect:
        raise Misconfigured(
            f"The backup is of a {what.dialect} database, and this is to be {dialect}.",
            hint="Set LONGHOUSE_DATABASE_URL to a database of that kind.",
        )
    if dialect == "sqlite":
        await asyncio.to_thread(_place_file, directory / SQLITE_COPY, _file_of(url))
    else:
        await _load_tables(url, directory, what)


def _no_database() -> Misconfigured:
    return Misconfigured(
        "There is no database of Longhouse at this address.",
        hint="Start the server once, or correct LONGHOUSE_DATABASE_URL or LONGHOUSE_DATA_DIR.",
    )


# --- SQLite -------------------------------------------------------------------------------------


def _file_of(url: str) -> Path:
    return Path(url.removeprefix(SQLITE_SCHEME)).expanduser()


def _copy_file(source: Path, target: Path) -> None:
    with _connected(source) as read, _connected(target) as written:
        read.backup(written)  # in one step: writers go on meanwhile, and do not make it begin again
        _require_whole(written)


def _place_file(source: Path, target: Path) -> None:
    if target.exists():
        raise NotEmpty
    with _connected(source) as copy:
        _require_whole(copy)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.restored")
    shutil.copyfile(source, draft)
    draft.chmod(OWNER_ONLY)
    os.replace(draft, target)


def _require_whole(connection: sqlite3.Connection) -> None:
    try:
        (verdict,) = connection.execute("PRAGMA quick_check").fetchone()
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        raise Damaged(f"The copy of the database is damaged: {verdict}.")


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield connection


# --- PostgreSQL ---------------------------------------------------------------------------------


async def _copy_tables(url: str, directory: Path) -> dict[str, tuple[str, ...]]:
    tables: dict[str, tuple[str, ...]] = {}
    async with (
        _driver(url) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        for table, column in await connection.fetch(_COLUMNS):
            if table != STEPS_TABLE:
                tables[table] = (*tables.get(table, ()), column)
        for table, columns in tables.items():
            file = directory / f"{table}.copy"
            await connection.copy_from_table(table, columns=columns, output=file)
    return tables


async def _load_tables(url: str, directory: Path, what: Dump) -> None:
    async with _opened(url) as database:
        await migrate.upgrade(database, to=what.step)
        if not await database.read(_is_empty):
            raise NotEmpty
    async with _driver(url) as connection, connection.transaction():
        # Tables refer to each other in circles: references are checked when everything is there.
        references = await connection.fetch(_REFERENCES)
        for place, name, _ in references:
            await connection.execute(f"ALTER TABLE {place} DROP CONSTRAINT {name}")
        for table, columns in what.tables.items():
            file = directory / f"{table}.copy"
            await connection.copy_to_table(table, columns=columns, source=file)
        for place, name, definition in references:
            await connection.execute(f"ALTER TABLE {place} ADD CONSTRAINT {name} {definition}")
        for table, column, sequence in await connection.fetch(_SEQUENCES):
            await connection.execute(
                f'SELECT setval($1, max("{column}")) FROM "{table}"'  # noqa: S608 - our own names
                f' HAVING max("{column}") IS NOT NULL',
                sequence,
            )


def _is_empty(conn: Connection) -> bool:
    """Whether no table has a row, but for the one that tells the steps."""
    found = MetaData()
    found.reflect(conn, only=lambda name, _: name != STEPS_TABLE)
    return not any(
        conn.scalar(select(func.count()).select_from(table)) for table in found.sorted_tables
    )


@contextlib.asynccontextmanager
async def _driver(url: str):  # type: ignore[no-untyped-def]
    with needed("PostgreSQL", extra="postgres"):
        import asyncpg  # type: ignore[import-untyped]  # noqa: PLC0415 - optional
    connection = await asyncpg.connect(**driver_arguments(url))
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    database = await open_database(url, readers=1)
    try:
        yield database
    finally:
        await database.close()
