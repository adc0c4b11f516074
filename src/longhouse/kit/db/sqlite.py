"""Opening an SQLite file the one way we use it, and saying in words why it cannot be used.

Called by `database` and by the runtime's SQLite journal. It knows no SQLAlchemy and no table.
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from longhouse.kit.errors import LonghouseError, Misconfigured, Unavailable

BUSY_TIMEOUT_MS = 5000
"""How long a connection waits for another process that writes."""

WAL_AUTOCHECKPOINT_PAGES = 4000
"""16 MiB: a checkpoint is worth its two fsyncs only now and then."""

CACHED_STATEMENTS = 256
"""More than the distinct statements of the busiest connection."""

OWNER_ONLY = 0o600  # the file holds password hashes and conversations


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode, durable and with foreign keys; usable from one thread at a
    time, not necessarily this one.

    Makes the file and its directory when they are missing. Raises `Misconfigured` for a file that
    cannot be used as it is, `Unavailable` for one that another process holds.
    """
    try:
        _make_file(path)
        connection = sqlite3.connect(
            path,
            timeout=BUSY_TIMEOUT_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=CACHED_STATEMENTS,
        )
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    try:
        _prepare(connection)
    except sqlite3.Error as error:
        connection.close()
        raise _unusable(path, error) from error
    return connection


def explain(error: BaseException) -> LonghouseError | None:
    """What an SQLite error means for the caller, or None when it is a matter of the statement.

    Understands errors of `sqlite3` and those SQLAlchemy has wrapped.
    """
    cause = error if isinstance(error, sqlite3.Error) else error.__cause__
    # A statement on a closed connection and the like have no code of SQLite.
    code = getattr(cause, "sqlite_errorcode", None)
    if not isinstance(cause, sqlite3.Error) or code is None:
        return None
    match code & 0xFF:  # the primary code; the rest only refines it
        case sqlite3.SQLITE_FULL:
            return Unavailable(
                "The database could not be written: the disk is full. Nothing was saved.",
                hint="Free space on the disk of the data directory, then try again.",
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unavailable(
                "Another process has been writing the database for too long. Nothing was saved.",
                hint="Stop whatever else has the file open, or try again.",
                retry_after=1,
            )
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN:
            return Unavailable(
                f"The database file cannot be written any more ({cause}). Nothing was saved.",
                hint="See that the disk is healthy and the file writable, then restart.",
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Unavailable(
                f"The database file is damaged ({cause}).",
                hint="Stop the server and restore the file from a backup.",
            )
        case _:
            return None


def for_waiter(error: BaseException) -> BaseException:
    """What a caller on an event loop gets to see of an error raised in a database thread."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return explain(error) or error
    # A future refuses StopIteration, and SystemExit in a job must not end the event loop.
    wrapped = RuntimeError(f"the job ended with {type(error).__name__}")
    wrapped.__cause__ = error
    return wrapped


def _make_file(path: Path) -> None:
    """Make the file if it is missing, and never open one that is there.

    Closing any descriptor of a file drops every POSIX lock this process has on it, and with them
    those of the connections that are open: another process would then believe it is alone, and
    delete the log of what we wrote.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY))


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint={WAL_AUTOCHECKPOINT_PAGES}")
    connection.execute("PRAGMA foreign_keys=ON")
    # A file that cannot be written is found now and not at the first message.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def _unusable(path: Path, error: OSError | sqlite3.Error) -> LonghouseError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Unavailable(
            f"The database file {path} is held by another process.",
            hint="Stop the other process, or give this one a data directory of its own.",
            retry_after=5,
        )
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return Misconfigured(
            f"The file {path} is not an SQLite database, or it is damaged.",
            hint="Restore it from a backup, or name another file in LONGHOUSE_DATABASE_URL.",
        )
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Misconfigured(
        f"The database file {path} cannot be opened for writing: {reason}.",
        hint="Make the file and its directory writable for this user, or set LONGHOUSE_DATA_DIR "
        "to a directory that is.",
    )
