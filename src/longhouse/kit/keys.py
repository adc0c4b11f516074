"""Where a process has its long-lived secrets from: its settings, or a file that it made itself.

Two at once are valid while one takes the place of the other. The house asks `keys_from` for what
signs access tokens and what encrypts stored secrets; `longhouse keys rotate` writes the files. A
file is looked at whenever its keys are asked for, so that every process follows a rotation without
a restart. What the keys are used for is not known here.
"""

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from longhouse.kit import logs
from longhouse.kit.errors import Misconfigured

SHORTEST_KEY = 32
"""Characters: as many bytes as the hash of HS256 and a key of AES-256 have."""


class Keys(Protocol):
    """One or more secrets for one purpose."""

    def newest_first(self) -> tuple[str, ...]:
        """All that are valid; the first one is used for what is new. Raises `Misconfigured`."""
        ...

    def exist(self) -> bool:
        """Whether there are any yet; asking for them makes one."""
        ...


class FixedKeys:
    """The keys of the settings: a change needs a restart."""

    def __init__(self, *keys: str) -> None:
        self._keys = keys
        for key in keys:
            logs.hide(key)

    def newest_first(self) -> tuple[str, ...]:
        """The present one, then the other."""
        return self._keys

    def exist(self) -> bool:
        """Always."""
        return True


class KeyFile:
    """A file with a key in each line, the newest first, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[str, ...] = ()
        self._stamp: tuple[int, int, int] | None = None  # of the file when it was read

    def newest_first(self) -> tuple[str, ...]:
        """The keys that stand there now; at the first time one is made."""
        try:
            stamp = self._stamp_now()
            if stamp is None:
                self._write_first()
                stamp = self._stamp_now()
            if stamp != self._stamp:
                self._read = _checked(self.path, self.path.read_text("ascii").split())
                self._stamp = stamp
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(error) from error
        return self._read

    def exist(self) -> bool:
        """Whether there is a file."""
        return self.path.exists()

    def rotate(self, still_used: Callable[[str], bool] = lambda key: False) -> None:
        """Put a new key before the others; the one before stays valid, and those still used."""
        first, *older = self.newest_first()
        kept = [first, *(key for key in older if still_used(key))]
        try:
            os.replace(self._draft([new_key(), *kept]), self.path)
        except OSError as error:
            raise self._unusable(error) from error

    def _write_first(self) -> None:
        """Make the file whole or leave the one that is there: a link is atomic, a write is not."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._draft([new_key()])
        try:
            os.link(draft, self.path)
        except FileExistsError:
            return  # another process was first: its key counts
        finally:
            draft.unlink(missing_ok=True)

    def _draft(self, keys: Sequence[str]) -> Path:
        draft = self.path.with_name(f"{self.path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{key}\n" for key in keys)
            file.flush()
            os.fsync(descriptor)
        return draft

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _unusable(self, error: OSError | UnicodeDecodeError) -> Misconfigured:
        why = error.strerror if isinstance(error, OSError) else "it holds no keys"
        return Misconfigured(
            f"The key file {self.path} cannot be read or written: {why}.",
            hint="Make the directory readable and writable for this user, set LONGHOUSE_DATA_DIR "
            "to one that is, or restore the file from a backup.",
        )


def keys_from(given: SecretStr | None, other: SecretStr | None, *, file: Path) -> Keys:
    """The keys of the settings when there are any, else those of the file.

    `other` is valid beside `given`, and not used for what is new.
    """
    if given is None:
        return KeyFile(file)
    both = (given, other) if other is not None else (given,)
    return FixedKeys(*(key.get_secret_value() for key in both))


def new_key() -> str:
    """256 random bits, as text."""
    return secrets.token_urlsafe(SHORTEST_KEY)


def _checked(path: Path, keys: Sequence[str]) -> tuple[str, ...]:
    if not keys or any(len(key) < SHORTEST_KEY for key in keys):
        raise Misconfigured(
            f"The key in {path} is too short: a key has {SHORTEST_KEY} characters or more.",
            hint="Restore the file from a backup. Deleting it makes a new key: everybody signs in "
            "again, and stored secrets have to be set anew.",
        )
    for key in keys:
        logs.hide(key)
    return tuple(keys)
