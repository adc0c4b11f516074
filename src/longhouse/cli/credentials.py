"""The logins of this person, one for each server, in a file that only they can read.

Kept in the XDG configuration directory. `client` reads and refreshes them, `login` writes them. A
lock file keeps two programs from using up the same refresh token: whoever has the lock reads the
file again before it asks the server for new tokens.
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from longhouse.cli.errors import BrokenCredentials

FILE = "credentials.json"
LOCK = "credentials.lock"
PRIVATE = 0o600
PRIVATE_DIRECTORY = 0o700

DEFAULT_SERVER = "http://127.0.0.1:8420"
"""Where `longhouse serve` listens unless told otherwise."""

API_PATH = "/api/v1"


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A person's login at one server."""

    username: str
    access_token: str
    refresh_token: str
    expires_at: float  # of the access token, seconds since 1970


class _Stored(msgspec.Struct, kw_only=True):
    """The whole file."""

    current: str = ""  # the server signed in at last
    logins: dict[str, Login] = {}


class Credentials:
    """The file of logins. Every method reads it anew: other programs change it too."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def path(self) -> Path:
        """The file, which may not exist yet."""
        return self._directory / FILE

    def current_server(self) -> str:
        """The server of the last sign-in; empty when there is none."""
        return self._read().current

    def find(self, server: str) -> Login | None:
        """The login at this server."""
        return self._read().logins.get(server)

    def put(self, server: str, login: Login, *, current: bool) -> None:
        """Keep a login; `current`: its server is the one meant from now on. Under `locked` only."""
        stored = self._read()
        stored.logins[server] = login
        if current:
            stored.current = server
        self._write(stored)

    def remove(self, server: str) -> bool:
        """Forget a login; whether there was one. Under `locked` only."""
        stored = self._read()
        if stored.logins.pop(server, None) is None:
            return False
        if stored.current == server:
            stored.current = next(iter(stored.logins), "")
        self._write(stored)
        return True

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other programs from changing the file while in the block; waits for them."""
        with _told("written", self._directory):
            self._directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._directory / LOCK, flags, PRIVATE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> _Stored:
        with _told("read", self.path):
            try:
                data = self.path.read_bytes()
            except FileNotFoundError:
                return _Stored()
        try:
            return msgspec.json.decode(data, type=_Stored)
        except msgspec.DecodeError as error:
            raise BrokenCredentials(
                f"The file of your logins, {self.path}, is not understood.",
                hint="Delete it and sign in again with `longhouse login`.",
            ) from error

    def _write(self, stored: _Stored) -> None:
        draft = self.path.with_name(f"{FILE}.{secrets.token_hex(4)}")
        with _told("written", self.path):
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(msgspec.json.format(msgspec.json.encode(stored), indent=2))
                    file.flush()
                    os.fsync(descriptor)
                draft.replace(self.path)
            finally:
                draft.unlink(missing_ok=True)


def config_directory(environ: Mapping[str, str]) -> Path:
    """Where a person's configuration belongs by the XDG base directory specification."""
    base = environ.get("XDG_CONFIG_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".config"
    return root / "longhouse"


def server_address(given: str | None, credentials: Credentials) -> str:
    """The server meant: the one named, else that of the last sign-in, else this machine's."""
    return normal_address(given or "") or credentials.current_server() or DEFAULT_SERVER


def normal_address(text: str) -> str:
    """`host:port` and pasted addresses of the API, as one form: scheme, host, nothing after."""
    address = text.strip().rstrip("/").removesuffix(API_PATH).rstrip("/")
    if address and "://" not in address:
        address = f"http://{address}"
    return address


@contextlib.contextmanager
def _told(done: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BrokenCredentials(
            f"{path} cannot be {done}: {error.strerror}.",
            hint="Correct its permissions, or set XDG_CONFIG_HOME to a directory of yours.",
        ) from error
