"""The port to the boundary that the operating system enforces around an agent's tools.

Implemented by `bubblewrap` (the default), `refuse` (nothing protects: nothing runs) and `off` (an
operator turned protection off by name); `fitted` wraps any of them. Used by the shell tools. A path
check is not a sandbox, so there is none here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from longhouse.kit.errors import LonghouseError


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxLimits:
    """What one command may use."""

    wall_seconds: float = 120.0
    cpu_seconds: int = 120  # of each process
    data_bytes: int = 4 << 30  # of each process: RLIMIT_DATA, as RLIMIT_AS breaks WebAssembly
    memory_bytes: int = 4 << 30  # of all its processes together, where there is a cgroup for it
    processes: int = 256
    file_bytes: int = 1 << 30  # the largest file it may write
    open_files: int = 1024
    output_bytes: int = 256 << 10  # kept of its output; the rest is counted and dropped


class NetworkPort(Protocol):
    """What answers a command's connections to its one way out of the sandbox."""

    def serve(self, listener: socket.socket) -> AbstractAsyncContextManager[None]:
        """Answer what comes in at `listener` while in the block; it is closed at the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What to run. `cwd` is inside the workspace; `env` is added to a small fixed environment.

    Where two binds lie inside each other, the deeper path decides.
    """

    argv: tuple[str, ...]
    workspace: Path  # absolute; readable and writable
    cwd: Path | None = None  # absolute; None: the workspace
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    limits: SandboxLimits = field(default_factory=SandboxLimits)
    read_only: tuple[Path, ...] = ()  # absolute paths outside that it may read too
    read_write: tuple[Path, ...] = ()  # … and write, such as the git directory of a worktree
    network: NetworkPort | None = None  # answers at 127.0.0.1:3128; None: no network at all


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """How a command ended."""

    exit_code: int  # 128 + signal when a signal ended it
    output: bytes  # both streams as they came; head, a line that says so, and tail when too long
    dropped_bytes: int = 0  # cut out of the middle
    timed_out: bool = False
    duration: float = 0.0  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxReport:
    """What protects this machine: for `/health` and for `longhouse doctor`."""

    name: str  # bubblewrap | refuse | off
    protects: bool  # a command is held inside its workspace by the operating system
    detail: str  # what the boundary is made of, or why there is none
    hint: str = ""  # what to do about it, when something should be done


Listener: TypeAlias = Callable[[bytes], None]
"""Gets a command's output, piece by piece as it comes. Called on the event loop; must not block."""


class Running(Protocol):
    """A command that was started and goes on by itself.

    It ends by itself, when its time is over, by `end`, and with the process that started it.
    """

    async def wait(self) -> Completed:
        """How it ended. Many may wait; cancelling one who waits does nothing to the command.

        Raises `SandboxRefused` when it showed only now that the boundary cannot be drawn.
        """
        ...

    async def end(self) -> Completed:
        """Kill it with all that it started, and wait until no process of it is left."""
        ...


class Sandbox(Protocol):
    """Runs commands inside the boundary.

    `run` and `start` never raise for what the command does; they raise `SandboxRefused` when the
    boundary cannot be drawn. No process that the command started is left when `run` returns or
    `Running.wait` does. Cancelling `run`, or `start` before it returned, kills every one of them
    before the cancellation goes on.
    """

    @property
    def name(self) -> str:
        """What it is made of, in a word."""
        ...

    async def run(self, command: Command) -> Completed:
        """Run a command to its end."""
        ...

    async def start(self, command: Command, listener: Listener | None = None) -> Running:
        """Begin a command, and let it go on."""
        ...

    def describe(self) -> SandboxReport:
        """What it protects from, for people."""
        ...


class SandboxRefused(LonghouseError):
    """No boundary, no run."""

    status = 503
    code = "sandbox-refused"
    title = "The sandbox cannot protect this machine"
    exit_code = 69  # EX_UNAVAILABLE
