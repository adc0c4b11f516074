"""A whole house in one file, made while its servers run, and a house made of such a file.

    manifest.json       what it is
    database/…          the database at one moment, see `kit.db.dump`
    data/…              the data directory: keys, workspaces, results that were cut

`longhouse backup` and `longhouse restore` call it. The database comes first: a workspace may be
some moments younger than the journals, as it is after a crash. What is restored is complete or not
there, and nothing that exists is overwritten. Keys that are set in the environment are not in it.
"""

import asyncio
import io
import os
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Literal

import msgspec

from longhouse import __version__
from longhouse.kit.clock import Clock
from longhouse.kit.db.dump import Damaged, Dump, dump, load
from longhouse.kit.errors import Conflict, Misconfigured
from longhouse.kit.settings import Settings

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "database"
DATA = "data"
COMPLETE = "complete"  # the last entry: without it the file was cut off
OWNER_ONLY = 0o600  # it holds conversations, and keys

NOT_KEPT = ("nodes", "longhouse.db")
"""What in a data directory is of a process or of the database: everything that begins so."""

WORKSPACES = ("agents", "outputs")
"""What can be left out: what agents have before them, and what was cut from tools' results."""


class FileThere(Conflict):
    """The file to write exists."""

    code = "file-exists"

    def __init__(self, path: Path) -> None:
        super().__init__(f"The file {path} exists.", hint="Name another one.")


class DirectoryNotEmpty(Conflict):
    """The data directory to restore has something in it."""

    code = "directory-not-empty"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"The data directory {path} is not empty, and nothing in it is overwritten.",
            hint="Move it away, or name another one with LONGHOUSE_DATA_DIR.",
        )


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    format: int
    version: str  # of the Longhouse that made it
    made_at: datetime
    database: Dump
    workspaces: bool


Told = Callable[[str], None]
"""Hears what is being done, for people who wait."""


async def back_up(
    settings: Settings, target: Path, *, clock: Clock, workspaces: bool, told: Told
) -> Manifest:
    """Write the house of these settings into a file; it is whole or not there.

    Raises `FileThere`, `Misconfigured`, and what opening the database may raise.
    """
    _require_new(target)
    draft = target.with_name(f".{target.name}.unfinished")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as work:
            told("database")
            dumped = await dump(settings.database_url, Path(work))
            manifest = Manifest(
                format=FORMAT,
                version=__version__,
                made_at=clock.now(),
                database=dumped,
                workspaces=workspaces,
            )
            told("files")
            await asyncio.to_thread(_write, target, draft, manifest, Path(work), settings, told)
        os.replace(draft, target)
    except OSError as error:
        raise Misconfigured(
            f"The backup {target} cannot be written: {error.strerror or error}.",
            hint="Look for room and permissions there.",
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return manifest


async def restore(settings: Settings, source: Path, *, told: Told) -> Manifest:
    """Make the house of these settings of a backup: a new data directory, an empty database.

    Raises `Damaged`, `DirectoryNotEmpty`, `NotEmpty`, `Misconfigured`.
    """
    directory = settings.data_dir
    _require_empty(directory)
    # Inside, so that what is whole is only moved up; the directory itself may be a volume.
    with tempfile.TemporaryDirectory(dir=directory, prefix=".restore-") as work:
        told("files")
        manifest = await asyncio.to_thread(_unpack, source, Path(work))
        told("database")
        await load(settings.database_url, Path(work) / DATABASE, manifest.database)
        _move_up(Path(work) / DATA, directory)
    return manifest


def _require_new(target: Path) -> None:
    if target.exists():
        raise FileThere(target)


def _require_empty(directory: Path) -> None:
    """Make the directory unless there is one with nothing in it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise DirectoryNotEmpty(directory)
    except OSError as error:
        raise Misconfigured(
            f"The data directory {directory} cannot be used: {error.strerror}.",
            hint="Make it writable for this user, or name another one with LONGHOUSE_DATA_DIR.",
        ) from error


def _move_up(files: Path, directory: Path) -> None:
    for path in sorted(files.iterdir()):
        os.replace(path, directory / path.name)


# --- writing ------------------------------------------------------------------------------------


def _write(
    target: Path, draft: Path, manifest: Manifest, dumped: Path, settings: Settings, told: Told
) -> None:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as raw:
        with tarfile.open(fileobj=raw, mode=_mode(target)) as tar:
            _add_bytes(tar, MANIFEST, msgspec.json.encode(manifest))
            for path in sorted(dumped.iterdir()):
                _add(tar, path, f"{DATABASE}/{path.name}", told=told)
            for path, name in _kept(settings.data_dir, workspaces=manifest.workspaces):
                _add(tar, path, f"{DATA}/{name}", told=told)
            _add_bytes(tar, COMPLETE, b"")
        raw.flush()
        os.fsync(descriptor)


def _mode(target: Path) -> Literal["w", "w:gz"]:
    return "w:gz" if target.suffix in {".gz", ".tgz"} else "w"


def _kept(directory: Path, *, workspaces: bool) -> Iterator[tuple[Path, PurePosixPath]]:
    """Everything of a data directory that a backup holds, each with its name in there."""
    for parent, folders, files in os.walk(directory):
        inside = PurePosixPath(Path(parent).relative_to(directory).as_posix())
        if Path(parent) == directory:
            left_out = NOT_KEPT if workspaces else (*NOT_KEPT, *WORKSPACES)
            folders[:] = [name for name in folders if not name.startswith(left_out)]
            files = [name for name in files if not name.startswith(left_out)]
        folders.sort()
        for name in (*folders, *sorted(files)):
            yield Path(parent, name), inside / name


def _add(tar: tarfile.TarFile, path: Path, name: str, *, told: Told) -> None:
    """Add a file, a folder or a link as it is now; what vanished meanwhile is left out.

    So is what cannot be read, and that is told: an agent may make such a file, and must not be able
    to keep everybody from having a backup.
    """
    try:
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            with open(path, "rb") as file:
                info = _info(tar, path, name)
                info.type, info.linkname = tarfile.REGTYPE, ""  # also for a second name of a file
                info.size = os.fstat(file.fileno()).st_size
                tar.addfile(info, _Exactly(file, info.size))
        elif stat.S_ISDIR(mode) or stat.S_ISLNK(mode):  # a socket means nothing elsewhere
            tar.addfile(_info(tar, path, name))
    except FileNotFoundError:
        return
    except PermissionError:
        told(f"left out, because it cannot be read: {path}")


def _info(tar: tarfile.TarFile, path: Path, name: str) -> tarfile.TarInfo:
    info = tar.gettarinfo(path, arcname=name)
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), OWNER_ONLY
    tar.addfile(info, io.BytesIO(data))


class _Exactly(io.RawIOBase):
    """So many bytes of a file that may shrink or grow while it is read."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """The next bytes; zeros in the place of what is not there any more."""
        wanted = self._left if size < 0 else min(size, self._left)
        self._left -= wanted
        return self._file.read(wanted).ljust(wanted, b"\0")


# --- reading ------------------------------------------------------------------------------------


def _unpack(source: Path, work: Path) -> Manifest:
    """Take the file apart. Raises `Damaged`, `Misconfigured`."""
    try:
        with tarfile.open(source) as tar:
            manifest = _manifest(tar)
            tar.extractall(work, filter="tar")
    except FileNotFoundError as error:
        raise Misconfigured(f"There is no file {source}.", hint="Name a backup.") from error
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise Damaged(f"The backup {source} cannot be read: {error}.") from error
    if not (work / COMPLETE).exists():
        raise Damaged(f"The backup {source} is cut off.")
    (work / DATA).mkdir(exist_ok=True)
    return manifest


def _manifest(tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    content = tar.extractfile(first) if first is not None and first.name == MANIFEST else None
    if content is None:
        raise tarfile.ReadError("it is no backup of Longhouse")
    try:
        manifest = msgspec.json.decode(content.read(), type=Manifest)
    except msgspec.DecodeError as error:
        raise tarfile.ReadError("it is no backup of Longhouse") from error
    if manifest.format > FORMAT:
        raise Misconfigured(
            f"The backup was made by Longhouse {manifest.version}, in a form not known here.",
            hint="Install that version.",
        )
    return manifest
