"""The name under which a process holds runs, and the device it works on.

The server takes a name at start, with the proof that nobody else uses it. It is kept in the data
directory, so that a restarted server is known to be the successor of the one that died and gets its
runs back at once instead of when their leases end. The directory itself is the device: what lies in
it, agents' workspaces first of all, is there for the processes that share it and for no other.
Nothing here touches the database.
"""

import fcntl
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

from longhouse.kit.errors import Misconfigured

MOST_PROCESSES = 64
"""Processes that can work on one data directory at once."""


class Node:
    """A holder's name, ours for as long as this object is entered.

    Every process on a data directory has a number; the lowest free one is taken and locked. The
    operating system frees it however the process ends, so whoever gets the lock knows that the
    holder of that name before is dead.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "nodes"
        self._descriptor = -1
        self.name = ""  # of this process
        self.device = ""  # of the directory, for good

    def __enter__(self) -> Self:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self.device = _device_of(self._directory.parent)
            for number in range(MOST_PROCESSES):
                if self._take(self._directory / f"{number}"):
                    return self
        except OSError as error:
            raise Misconfigured(
                f"The directory {self._directory} cannot be used: {error.strerror}.",
                hint="Make it writable for this user, or set LONGHOUSE_DATA_DIR.",
            ) from error
        raise Misconfigured(
            f"{MOST_PROCESSES} processes work in {self._directory.parent} already.",
            hint="Stop some of them, or give this one a data directory of its own.",
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def _take(self, path: Path) -> bool:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self.name = os.pread(descriptor, 64, 0).decode("ascii", "replace").strip()
        if not self.name:
            self.name = f"node_{secrets.token_hex(8)}"
            os.pwrite(descriptor, self.name.encode(), 0)
        return True


def _device_of(directory: Path) -> str:
    """The name of this directory, made by whoever comes first."""
    path = directory / "device"
    draft = directory / f"device.{secrets.token_hex(8)}"
    if not path.exists():
        draft.write_text(f"device_{secrets.token_hex(8)}\n", "ascii")
        try:
            os.link(draft, path)  # whole or not at all, and only once
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text("ascii").strip()
