"""One server per SQLite database: a lock on a file beside it.

Held by `house` as long as the house is open; the kernel lets go of it when the process ends,
however it ends. The command line's short visits (`create-admin`) do not take it: SQLite lets one
process write after the other.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from longhouse.kit.db.database import SQLITE_SCHEME
from longhouse.kit.errors import Misconfigured


class HouseTaken(Misconfigured):
    """Another server works on this database."""

    code = "house-taken"

    def __init__(self, path: Path, process: str) -> None:
        owner = f" (process {process})" if process else ""
        super().__init__(
            f"Another Longhouse server{owner} works on the database {path} already.",
            hint="Stop it first, give this one a directory of its own with LONGHOUSE_DATA_DIR, or "
            "use PostgreSQL, which several servers may share.",
        )


@contextlib.contextmanager
def only_server_of(database_url: str) -> Iterator[None]:
    """Be the only server of this database while in the block; PostgreSQL takes any number.

    Raises `HouseTaken`, or `Misconfigured` when the directory cannot be written.
    """
    if not database_url.startswith(SQLITE_SCHEME):
        yield
        return
    database = Path(database_url.removeprefix(SQLITE_SCHEME)).expanduser()
    descriptor = _open(database)
    try:
        _take(descriptor, database)
        yield
    finally:
        os.close(descriptor)


def _open(database: Path) -> int:
    path = database.with_name(f"{database.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Misconfigured(
            f"The directory {path.parent} of the database cannot be written: {error.strerror}.",
            hint="Make it writable for this user, or set LONGHOUSE_DATA_DIR to one that is.",
        ) from error


def _take(descriptor: int, database: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        raise HouseTaken(database, owner) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
