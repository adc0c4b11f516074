"""The database of a server: `read` and `write` run synchronous store functions.

A store function is `def claim(conn: Connection, …)` in SQLAlchemy Core, called inside one
transaction that it neither begins nor ends; so a transaction cannot span an `await`. On SQLite,
reads go to a few threads and writes to the one writer that commits in groups; on PostgreSQL both
run on pooled asyncpg connections. Only `server.app` and tests open a database.
"""

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, func, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from longhouse.kit.db import closing, sqlite
from longhouse.kit.db.group_commit import DatabaseClosed, GroupCommit
from longhouse.kit.db.readers import Readers
from longhouse.kit.db.tables import write_json
from longhouse.kit.errors import LonghouseError, Misconfigured, Unavailable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")

DialectName = Literal["sqlite", "postgresql"]

SQLITE_SCHEME = "sqlite:///"
POSTGRES_SCHEMES = ("postgresql://", "postgres://")

POOL_SIZE = 10
"""Connections to PostgreSQL kept open; a server's default limit is 100 for all its clients."""

POOL_WAIT_SECONDS = 10
"""How long a store function waits for a free connection before the caller is told to come back."""

CONNECT_TIMEOUT_SECONDS = 10

WRITE_ATTEMPTS = 6
"""A transaction PostgreSQL refuses (serialization, deadlock) is run again so often."""

RETRY_BASE_SECONDS = 0.005
"""First wait before running it again; doubled each time, with jitter, so that rivals part."""

SCHEMA_LOCK = 0x10_96_40_05_E0
"""The advisory lock of whoever changes tables; any number nobody else uses on that database."""

SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"
UNIQUE_VIOLATION = "23505"
SQLITE_UNIQUE_VIOLATIONS = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT_UNIQUE,
        sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
        sqlite3.SQLITE_CONSTRAINT_ROWID,
    }
)


class Runner(Protocol):
    """How one kind of database runs store functions; chosen by `open_database`."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Call it where nothing can be changed."""
        ...

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Call it in one transaction; return once that is durable."""
        ...

    async def alter(self, work: Callable[[Connection], T]) -> T:
        """Call it in one transaction of its own that may change tables."""
        ...

    async def close(self) -> None:
        """Finish what runs and let go of the connections."""
        ...


class Database:
    """An open database. Made by `open_database`."""

    def __init__(self, dialect: DialectName, runner: Runner) -> None:
        self.dialect = dialect
        self._runner = runner

    @property
    def runner(self) -> Runner:
        """What runs the functions: to be wrapped by whoever measures it."""
        return self._runner

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Call `work(connection)` to look something up; it must not write and must fetch its rows.

        On SQLite it sees one snapshot, on PostgreSQL each statement sees what is committed by then.
        """
        return await self._runner.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Call `work(connection)` in one transaction and return its result once that is durable.

        What it raises is raised here and undoes everything it did. It may be called again when
        PostgreSQL refuses the transaction, so it touches nothing but the database. On SQLite a
        cancelled caller does not undo it.
        """
        return await self._runner.write(lambda conn: closing.run_whole(conn, work))

    async def alter(self, work: Callable[[Connection], T]) -> T:
        """Call `work(connection)` in one transaction that may change tables (for `migrate`).

        One process at a time does so. Foreign keys hold again at its end, not in between: SQLite
        replaces a table by dropping it, which must not delete the rows that refer to it.
        """
        return await self._runner.alter(work)

    async def close(self) -> None:
        """Finish what runs and let go of the connections."""
        await self._runner.close()


async def open_database(url: str, *, readers: int = 4) -> Database:
    """Open `sqlite:///<file>` or `postgresql://user:password@host/database`.

    `readers` is the number of threads that read an SQLite file. Raises `Misconfigured` when the
    address or the file cannot be used, `Unavailable` when the server does not answer.
    """
    if url.startswith(SQLITE_SCHEME):
        path = url.removeprefix(SQLITE_SCHEME)
        return Database("sqlite", await asyncio.to_thread(_open_sqlite, path, readers=readers))
    if url.startswith(POSTGRES_SCHEMES):
        return Database("postgresql", await _open_postgres(url))
    raise Misconfigured(
        "The database address has an unknown form.",
        hint="Set LONGHOUSE_DATABASE_URL to sqlite:///<file> or "
        "postgresql://user:password@host/database.",
    )


def unique_violation(error: BaseException) -> bool:
    """Whether a statement failed because such a row exists already."""
    if not isinstance(error, IntegrityError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return error.orig.sqlite_errorcode in SQLITE_UNIQUE_VIOLATIONS
    return _sqlstate(error) == UNIQUE_VIOLATION


# --- SQLite -------------------------------------------------------------------------------------


class SqliteRunner:
    """Reader threads and the group-commit writer on one file."""

    def __init__(
        self,
        engine: Engine,
        *,
        writer: tuple[sqlite3.Connection, Connection],
        readers: list[tuple[sqlite3.Connection, Connection]],
    ) -> None:
        self._engine = engine
        self._connections = [writer, *readers]
        self._writer = GroupCommit(*writer)
        self._readers = Readers(readers)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run it on a free reader thread, in a snapshot."""
        return await self._readers.run(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run it in the writer's next transaction."""
        return await self._writer.run(work)

    async def alter(self, work: Callable[[Connection], T]) -> T:
        """Run it on a connection of its own; the transaction keeps other writers waiting."""
        return await asyncio.to_thread(self._alter, work)

    async def close(self) -> None:
        """Finish what is queued, then close the file."""
        await self._readers.close()
        await self._writer.close()
        for raw, connection in self._connections:
            connection.close()
            raw.close()

    def _alter(self, work: Callable[[Connection], T]) -> T:
        raw, connection = _checked_out(self._engine)
        with contextlib.closing(raw), connection:
            raw.execute("PRAGMA foreign_keys=OFF")  # possible only outside a transaction
            raw.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                broken = raw.execute("PRAGMA foreign_key_check").fetchone()
                if broken is not None:
                    raise IntegrityError(
                        "PRAGMA foreign_key_check", None, ValueError(f"dangling row: {broken}")
                    )
                raw.execute("COMMIT")
            finally:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")
            return result


def _open_sqlite(name: str, *, readers: int) -> SqliteRunner:
    path = Path(name).expanduser()
    # One engine for all connections, so that a statement is compiled once. They are opened here and
    # stay open as long as the database.
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite.connect(path),
        poolclass=NullPool,
        # SQLAlchemy sends no BEGIN and COMMIT of its own: the threads do.
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        json_serializer=write_json,
    )
    with contextlib.ExitStack() as undo:
        opened = []
        for _ in range(1 + readers):
            raw, connection = _checked_out(engine)
            undo.callback(raw.close)
            opened.append((raw, connection))
        writer, *others = opened
        for raw, _ in others:
            raw.execute("PRAGMA query_only=ON")
        undo.pop_all()
    return SqliteRunner(engine, writer=writer, readers=others)


def _checked_out(engine: Engine) -> tuple[sqlite3.Connection, Connection]:
    connection = engine.connect()
    return cast(sqlite3.Connection, connection.connection.dbapi_connection), connection


# --- PostgreSQL ---------------------------------------------------------------------------------


class PostgresRunner:
    """Pooled asyncpg connections; store functions run in a greenlet on the event loop."""

    def __init__(self, engine: "AsyncEngine") -> None:
        self._engine = engine
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._closed = False

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run it in autocommit; once more when the connection turns out to be stale."""
        with _lost_connection_in_words():
            try:
                return await self._read_once(work)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            return await self._read_once(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run it in one transaction, again when the server refused it for a rival's sake."""
        attempt = 1
        while True:
            try:
                with _lost_connection_in_words():
                    return await self._write_once(work)
            except DBAPIError as error:
                if attempt == WRITE_ATTEMPTS or not _worth_another_try(error):
                    raise
            await asyncio.sleep(RETRY_BASE_SECONDS * 2**attempt * random.random())
            attempt += 1

    async def alter(self, work: Callable[[Connection], T]) -> T:
        """Run it in a transaction under the lock that all processes on this database take."""

        def alone(connection: Connection) -> T:
            connection.execute(select(func.pg_advisory_xact_lock(SCHEMA_LOCK)))
            return work(connection)

        with _lost_connection_in_words():
            return await self._write_once(alone)

    async def close(self) -> None:
        """Close the pool."""
        self._closed = True
        await self._engine.dispose()

    async def _read_once(self, work: Callable[[Connection], T]) -> T:
        self._check_open()
        async with self._autocommit.connect() as connection:
            return await connection.run_sync(work)

    async def _write_once(self, work: Callable[[Connection], T]) -> T:
        self._check_open()
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    def _check_open(self) -> None:
        if self._closed:
            raise DatabaseClosed


@contextlib.contextmanager
def _lost_connection_in_words() -> Iterator[None]:
    """Turn what has to do with the server, and not with the statement, into `Unavailable`."""
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable(
            f"All {POOL_SIZE} connections to the database are busy.",
            hint="Try again; if it goes on, look for a query that hangs.",
            retry_after=1,
        ) from error
    except OSError as error:
        raise Unavailable(
            f"The database does not answer: {_first_line(error)}.", retry_after=1
        ) from error
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise Unavailable(
            "The connection to the database was lost; the change may not have been saved.",
            hint="Look whether it was, then try again.",
            retry_after=1,
        ) from error


async def _open_postgres(url: str) -> PostgresRunner:
    # Lazily: SQLite needs neither the asyncio half of SQLAlchemy nor an optional driver.
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    try:
        address = make_url(url).set(drivername="postgresql+asyncpg")
        engine = create_async_engine(
            address,
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS,
            json_serializer=write_json,
            connect_args={"timeout": CONNECT_TIMEOUT_SECONDS},
        )
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise Misconfigured(
            "The database address cannot be understood.",
            hint="It looks like postgresql://user:password@host:5432/database; a special "
            "character in the password has to be percent-encoded.",
        ) from error
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"PostgreSQL needs the package {error.name}, which is not installed.",
            hint='Install it with: pip install "longhouse[postgres]"',
        ) from error
    where = address.render_as_string(hide_password=True).replace("+asyncpg", "")
    try:
        async with engine.connect():
            return PostgresRunner(engine)
    except (OSError, TimeoutError, DBAPIError) as error:
        await engine.dispose()
        raise _unreachable(where, error) from error


def _unreachable(where: str, error: Exception) -> LonghouseError:
    """Why the server could not be used at start-up: a matter of the address, or of the server."""
    state = _sqlstate(error) if isinstance(error, DBAPIError) else ""
    reason = _first_line(error)
    if state[:2] in {"28", "3D", "42"}:  # credentials, no such database, privileges
        return Misconfigured(
            f"PostgreSQL at {where} refuses us: {reason}.",
            hint="Correct user, password and database in LONGHOUSE_DATABASE_URL, or create them.",
        )
    return Unavailable(
        f"PostgreSQL at {where} does not answer: {reason}.",
        hint="Start the server, or correct host and port in LONGHOUSE_DATABASE_URL.",
        retry_after=5,
    )


def _worth_another_try(error: DBAPIError) -> bool:
    return _sqlstate(error) in {SERIALIZATION_FAILURE, DEADLOCK_DETECTED}


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _first_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    # SQLAlchemy puts the driver's class before its words: "<class '…'>: words".
    words = str(cause).partition(">: ")[2] or str(cause) or type(cause).__name__
    return words.splitlines()[0].rstrip(".")
