"""What the runners share: waiting for file descriptors, collecting output, setting limits.

Used by `bubblewrap` and `off`. All of it is called on the event loop's thread and never blocks it:
processes are watched by pidfd, output is read as it comes, and nothing runs between fork and exec
of a child (that is not safe in a program with threads), so limits are set from outside while the
child waits to be released.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import resource
import select
import signal
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from longhouse.runtime.sandbox.base import Completed, SandboxLimits
from longhouse.runtime.sandbox.capture import Capture
from longhouse.runtime.tasks import ended

T = TypeVar("T")

PIECE = 256 << 10  # bytes read at once, and a flooded pipe's size
# Once the output is too long, most of it is only counted. A pause of so many seconds between reads
# then holds a flood (`yes`) back at the pipe, instead of giving it the event loop.
FLOOD_PAUSE = 0.005


@contextlib.contextmanager
def pipe() -> Iterator[tuple[Fd, Fd]]:
    """A pipe's two ends, closed at the end unless they are before."""
    reader, writer = (Fd(number) for number in os.pipe2(os.O_CLOEXEC))
    try:
        yield reader, writer
    finally:
        reader.close()
        writer.close()


class Fd:
    """A file descriptor that is closed exactly once."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> Fd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """The number. Raises `ValueError` once closed."""
        if self._number < 0:
            raise ValueError("the file descriptor is closed")
        return self._number

    def close(self) -> None:
        """Close it; again does nothing."""
        if self._number >= 0:
            os.close(self._number)
            self._number = -1


def memory_file(name: str, content: bytes) -> Fd:
    """A file without a place in any directory, to be read from its beginning."""
    file = Fd(os.memfd_create(name, os.MFD_CLOEXEC))
    view = memoryview(content)
    while view:
        view = view[os.write(file.fileno(), view) :]
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    return file


async def readable(fd: Fd) -> None:
    """Return when there is something to read; of a pidfd: when the process is gone."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def on_ready() -> None:
        # uvloop may pass on an event of a descriptor that had the same number before: ask again.
        if not ready.done() and _is_ready(fd):
            ready.set_result(None)

    loop.add_reader(fd.fileno(), on_ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd.fileno())


def _is_ready(fd: Fd) -> bool:
    poll = select.poll()
    poll.register(fd.fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def read_line(fd: Fd) -> bytes:
    """One short line that is written in one piece; empty at the end of the file."""
    line = bytearray()
    # A byte at a time would cost a system call each; whoever writes here writes whole lines.
    while not line.endswith(b"\n"):
        await readable(fd)
        piece = os.read(fd.fileno(), 4096)
        if not piece:
            break
        line += piece
    return bytes(line)


def read_to_end(fd: Fd) -> bytes:
    """What is left in a pipe whose writers are gone."""
    pieces = iter(lambda: os.read(fd.fileno(), 4096), b"")
    return b"".join(pieces)


async def until_gone(process: Fd, seconds: float, stop: asyncio.Event) -> bool:
    """Wait for a process to end, by itself or killed: when its time is over, or when told to stop.

    True: its time was over.
    """
    gone = asyncio.ensure_future(readable(process))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({gone, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            return False
        timed_out = not stop.is_set()
        kill(process)
        await gone
        return timed_out
    finally:
        gone.cancel()
        stopped.cancel()


async def reap(child: subprocess.Popen[bytes]) -> None:
    """Wait for a child of ours without blocking, and collect its exit code."""
    if child.poll() is None:
        with Fd(os.pidfd_open(child.pid)) as process:
            await readable(process)
        child.wait()


def abandon(child: subprocess.Popen[bytes]) -> None:
    """End and collect a child that nobody waited for: the loop was closed under us."""
    if child.poll() is None:
        child.kill()
        child.wait()


async def settled(task: asyncio.Task[T]) -> None:
    """Wait for a task to end, however often the waiting is cancelled; its result is dropped."""
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


@dataclass(frozen=True, slots=True)
class Leash:
    """What a command's life is told, and tells."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)  # it has to end
    begun: asyncio.Event = field(default_factory=asyncio.Event)  # the boundary stands, it runs


class Live:
    """A command's life in a task of its own: the `Running` of every sandbox that has processes.

    `life` goes from spawning to the last process' end. Told to stop, it still waits for that end.
    """

    def __init__(self, life: Callable[[Leash], Coroutine[Any, Any, Completed]]) -> None:
        self._leash = Leash()
        self._task = asyncio.create_task(life(self._leash))

    @classmethod
    async def started(cls, life: Callable[[Leash], Coroutine[Any, Any, Completed]]) -> Live:
        """One that has begun. Raises what kept it from that, such as `SandboxRefused`."""
        live = cls(life)
        begun = asyncio.ensure_future(live._leash.begun.wait())
        try:
            await asyncio.wait({begun, live._task}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await live._finish()
            raise
        finally:
            begun.cancel()
        if live._task.done():
            live._task.result()
        return live

    async def wait(self) -> Completed:
        """How it ended."""
        return await asyncio.shield(self._task)

    async def end(self) -> Completed:
        """Kill it, and wait for its end also when this is cancelled."""
        self._leash.stop.set()
        await ended(self._task)
        return await self._task

    async def to_end(self) -> Completed:
        """Wait for its end; cancelled, kill it first."""
        try:
            return await self.wait()
        except asyncio.CancelledError:
            await self._finish()
            raise

    async def _finish(self) -> None:
        self._leash.stop.set()
        await settled(self._task)


class Drain:
    """Reads a pipe to its end into a `Capture`, as a callback of the event loop."""

    def __init__(self, fd: Fd, capture: Capture) -> None:
        self._fd = fd
        self._capture = capture
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._pause: asyncio.TimerHandle | None = None
        self._flooded = False
        os.set_blocking(fd.fileno(), False)
        self._loop.add_reader(fd.fileno(), self._on_readable)

    async def finish(self, seconds: float) -> None:
        """Wait for the end of the pipe; give up after so long (somebody else holds it open)."""
        await asyncio.wait({self._finished}, timeout=seconds)
        self.close()

    def close(self) -> None:
        """Stop reading."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if not self._finished.done():
            self._loop.remove_reader(self._fd.fileno())
            self._finished.set_result(None)

    def _on_readable(self) -> None:
        try:
            data = os.read(self._fd.fileno(), PIECE)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        self._capture.feed(data)
        if self._capture.overflowing:
            if not self._flooded:
                self._flooded = True
                with contextlib.suppress(OSError):  # an ordinary user may have used up its share
                    fcntl.fcntl(self._fd.fileno(), fcntl.F_SETPIPE_SZ, PIECE)
            self._loop.remove_reader(self._fd.fileno())
            self._pause = self._loop.call_later(FLOOD_PAUSE, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._fd.fileno(), self._on_readable)


def limit(pid: int, limits: SandboxLimits) -> None:
    """Set the resource limits of a process that waits; its children inherit them.

    It has to be in a user namespace of its own: elsewhere the kernel would count all processes of
    the same user. Raises `ProcessLookupError` if it is gone.
    """
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_DATA: limits.data_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_NPROC: limits.processes,
    }
    for kind, value in wanted.items():
        _, hard = resource.prlimit(pid, kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.prlimit(pid, kind, (value, value))


def kill(pidfd: Fd) -> None:
    """End a process at once; nothing happens if it is gone."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd.fileno(), signal.SIGKILL)
