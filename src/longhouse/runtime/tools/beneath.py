"""Files of a workspace, reached so that no path leads out of it.

Used by the file tools, which run in the server's own process and not in the sandbox. The kernel
decides what is inside (`openat2` with RESOLVE_BENEATH): a check of the path's text would lose every
race against a command that swaps a directory for a link. Only regular files are read and written.

All of it blocks: call it from a thread. What goes wrong is raised as `ToolFailed`, in words for the
model.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import posixpath
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from longhouse.runtime.tools.base import ToolFailed

MAX_FILE = 16 << 20
"""Bytes of the largest file that is read whole."""

_OPENAT2 = 437  # the same number on every machine
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_EAGAIN_TRIES = 16  # the kernel gives up when something is renamed while it resolves `..`

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # a FIFO must not hold us

Stamp: TypeAlias = tuple[int, int, int, int]
"""Inode, size and times of a file."""

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A file as it was read."""

    data: bytes
    digest: str
    mode: int  # permission bits


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One file or directory met on a walk."""

    path: str  # from the root of the workspace, with `/`
    is_file: bool  # a regular file
    is_folder: bool  # a directory; a link is neither

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


def digest(data: bytes) -> str:
    """What is remembered of a file that was read: 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class Beneath:
    """An open workspace. Paths are relative to it, or absolute and inside it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._fd = os.open(root, _DIRECTORY)

    def __enter__(self) -> Beneath:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def relative(self, path: str) -> str:
        """`path` in its one normal form, from the root; `.` is the root. Raises `ToolFailed`."""
        if "\0" in path or not path:
            raise ToolFailed(f"{path!r} is not a path. Give one inside the workspace.")
        if posixpath.isabs(path):
            path = self._strip_root(path)
        path = posixpath.normpath(path)
        if path == ".." or path.startswith("../"):
            raise _outside(path)
        return path

    def read(self, path: str) -> Content:
        """A whole file. Raises `ToolFailed` if it is missing, no regular file or over MAX_FILE."""
        with self._file(path) as fd:
            status = os.fstat(fd)
            if status.st_size > MAX_FILE:
                raise ToolFailed(
                    f"{path} is too large for the file tools ({status.st_size:,} bytes, the limit "
                    f"is {MAX_FILE:,}). Use bash_run with grep, sed -n, head or tail."
                )
            data = _read_all(fd)
        return Content(data=data, digest=digest(data), mode=stat.S_IMODE(status.st_mode))

    def read_if_exists(self, path: str) -> Content | None:
        """The same, or None where nothing is and something could be written."""
        try:
            self._status(path)
        except FileNotFoundError:
            if self._is_link(path):
                raise ToolFailed(
                    f"{path} is a link that leads nowhere. Remove it, or write to its target."
                ) from None
            return None
        except NotADirectoryError:
            raise ToolFailed(f"{path} cannot exist: a part of it is a file.") from None
        return self.read(path)

    def write(self, path: str, data: bytes, *, mode: int | None = None) -> None:
        """Put `data` in the place of a file in one step, so that nobody reads a half of it.

        Parent directories are made. A link that stays inside is kept, its target is replaced.
        """
        target = self._follow(self.relative(path))
        folder, name = posixpath.split(target)
        with self._folder(folder or ".", make=True) as parent:
            _replace(parent, name, data, mode=mode)

    def is_directory(self, path: str) -> bool:
        """Whether `path` is a directory. Raises `ToolFailed` if there is nothing."""
        with _in_words(path):
            return stat.S_ISDIR(self._status(path).st_mode)

    def peek(self, path: str, *, limit: int) -> bytes | None:
        """A file for searching; None if it is no regular file, too large or not ours to read."""
        try:
            with self._file(path) as fd:
                return _read_all(fd) if os.fstat(fd).st_size <= limit else None
        except ToolFailed:
            return None

    def stamp(self, path: str) -> Stamp | None:
        """What is another once a file was changed; None where there is no file."""
        try:
            status = self._status(path)
        except (OSError, ToolFailed):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def walk(
        self, path: str, *, skip: frozenset[str], limit: int, depth: int | None = None
    ) -> Iterator[Entry]:
        """Everything below a directory, in the order of names, at most `limit` entries.

        Directories whose name is in `skip` are left out, no link is followed, and `depth` (1: the
        directory itself) ends the way down.
        """
        start = self.relative(path)
        pending = [(start, 1)]
        left = limit
        while pending and left > 0:
            folder, level = pending.pop()
            entries = [entry for entry in self._list(folder) if entry.name not in skip]
            yield from entries[:left]
            left -= len(entries)
            if level != depth:
                pending += [(each.path, level + 1) for each in reversed(entries) if each.is_folder]

    # --- how it is done ---------------------------------------------------------------------------

    def _strip_root(self, path: str) -> str:
        path = posixpath.normpath(path)
        for root in (str(self._root), str(self._root.resolve())):
            if path == root:
                return "."
            if path.startswith(root + "/"):
                return path[len(root) + 1 :]
        raise _outside(path)

    def _list(self, folder: str) -> list[Entry]:
        """The entries of a directory, by name."""
        prefix = "" if folder == "." else f"{folder}/"
        try:
            fd = self._open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return []  # gone meanwhile, or not ours to read
        try:
            with os.scandir(fd) as found:
                entries = [_entry(prefix, each) for each in found]
        finally:
            os.close(fd)
        return sorted(entries, key=lambda entry: entry.name)

    @contextlib.contextmanager
    def _file(self, path: str) -> Iterator[int]:
        with _in_words(path):
            fd = self._open(self.relative(path), _READ)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise _no_file(path, os.fstat(fd).st_mode)
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _folder(self, path: str, *, make: bool) -> Iterator[int]:
        with _in_words(path):
            try:
                fd = self._open(path, _DIRECTORY)
            except FileNotFoundError:
                if not make:
                    raise
                self._make(path)
                fd = self._open(path, _DIRECTORY)
        try:
            yield fd
        finally:
            os.close(fd)

    def _make(self, path: str) -> None:
        folder, name = posixpath.split(path)
        with (
            self._folder(folder or ".", make=True) as parent,
            contextlib.suppress(FileExistsError),
        ):
            os.mkdir(name, dir_fd=parent)

    def _status(self, path: str) -> os.stat_result:
        """Of what `path` leads to. Raises `ToolFailed` for outside, `OSError` for the rest."""
        relative = self.relative(path)
        try:
            fd = self._open(relative, os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise _outside(path) from None
            raise
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def _is_link(self, path: str) -> bool:
        try:
            fd = self._open(self.relative(path), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return stat.S_ISLNK(os.fstat(fd).st_mode)
        finally:
            os.close(fd)

    def _follow(self, path: str) -> str:
        """Where a link leads, if it stays inside; any other path as it is."""
        if not self._is_link(path):
            return path
        with _in_words(path):
            fd = self._open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            found = os.readlink(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
        # Opened again from the root by whoever writes, so a swap in between gains nothing.
        return self._strip_root(found)

    def _open(self, path: str, flags: int) -> int:
        how = _OpenHow(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
        for _ in range(_EAGAIN_TRIES):
            fd: int = _libc.syscall(
                _OPENAT2,
                self._fd,
                os.fsencode(path),
                ctypes.byref(how),
                ctypes.c_size_t(ctypes.sizeof(how)),
            )
            if fd >= 0:
                return fd
            number = ctypes.get_errno()
            if number != errno.EAGAIN:
                raise OSError(number, os.strerror(number), path)
        raise OSError(errno.EAGAIN, "the directory changes all the time", path)


@contextlib.contextmanager
def _in_words(path: str) -> Iterator[None]:
    """What the kernel says, as the model should hear it."""
    try:
        yield
    except FileNotFoundError:
        raise ToolFailed(f"{path} does not exist. fs_glob shows what there is.") from None
    except NotADirectoryError:
        raise ToolFailed(f"{path}: a part of the path is a file, not a directory.") from None
    except IsADirectoryError:
        raise ToolFailed(f"{path} is a directory. Give a file, or list it with fs_glob.") from None
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise _outside(path) from None
        if error.errno == errno.ELOOP:
            raise ToolFailed(f"{path} goes through a link that leads in circles.") from None
        if error.errno == errno.ENXIO:
            raise _no_file(path, stat.S_IFSOCK) from None
        raise ToolFailed(f"{path}: {error.strerror}.") from error


def _outside(path: str) -> ToolFailed:
    return ToolFailed(f"outside the workspace: {path}. Use a path inside it, relative to its root.")


def _no_file(path: str, mode: int) -> ToolFailed:
    if stat.S_ISDIR(mode):
        return ToolFailed(f"{path} is a directory. Give a file, or list it with fs_glob.")
    return ToolFailed(f"{path} is not a regular file but a device, a pipe or a socket.")


def _read_all(fd: int) -> bytes:
    pieces = []
    size = 0
    while piece := os.read(fd, 1 << 20):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_FILE:
            raise ToolFailed("The file grows while it is read. Use bash_run with tail.")
    return b"".join(pieces)


def _entry(prefix: str, found: os.DirEntry[str]) -> Entry:
    return Entry(
        path=prefix + found.name,
        is_file=found.is_file(follow_symlinks=False),
        is_folder=found.is_dir(follow_symlinks=False),
    )


def _replace(parent: int, name: str, data: bytes, *, mode: int | None) -> None:
    temporary = f".{name[:200]}.{secrets.token_hex(4)}.tmp"
    with _in_words(name):
        fd, named = _create(parent, temporary)
        try:
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                if mode is not None:
                    os.fchmod(fd, mode)
                if not named:
                    if _link(fd, parent, name):
                        return
                    named = _link(fd, parent, temporary)
            finally:
                os.close(fd)
            os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError:
            if named:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=parent)
            raise


def _create(parent: int, temporary: str) -> tuple[int, bool]:
    """A new file to fill, and whether it has a name yet.

    Without one nothing is left in the workspace when the process dies. Not every file system can.
    """
    flags = os.O_WRONLY | os.O_CLOEXEC
    with contextlib.suppress(OSError, AttributeError):  # this flag is Linux's own
        return os.open(".", flags | os.O_TMPFILE, 0o666, dir_fd=parent), False
    flags |= os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return os.open(temporary, flags, 0o666, dir_fd=parent), True


def _link(fd: int, parent: int, name: str) -> bool:
    """Give a file its first name. False when something else has it."""
    try:
        os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=parent, follow_symlinks=True)
    except FileExistsError:
        return False
    return True
