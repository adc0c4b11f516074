"""The sandbox of a machine without namespaces: Landlock, a strict seccomp filter, a guard.

Made by `choose` where bubblewrap does not work. Each command runs below a guard
(`landlock_guard`), which confines it and ends all that it started. It sees that other files and
processes are there, but opens, changes, signals and reaches none. There are no sockets at all.

Only for a server of an ordinary user: root owns the system's files, and Landlock does not keep an
owner from changing their modes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from longhouse.runtime.sandbox import landlock_guard, layout, seccomp
from longhouse.runtime.sandbox.base import (
    Command,
    Completed,
    Listener,
    SandboxLimits,
    SandboxRefused,
    SandboxReport,
)
from longhouse.runtime.sandbox.capture import Capture
from longhouse.runtime.sandbox.process import (
    Drain,
    Fd,
    Leash,
    Live,
    memory_file,
    pipe,
    readable,
    reap,
)

OLDEST_ABI = 6  # the first that keeps signals and abstract sockets inside: Linux 6.12

_DRAIN_SECONDS = 2.0
_TEMPORARY = "longhouse-command-"  # and the server's process id: what each command's begins with
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_FACTS = ("/proc/cpuinfo", "/proc/meminfo")  # what build tools and runtimes read
_NO_NETWORK = b"[network: there is none in this sandbox, whatever hosts the post names]\n"


def why_not() -> str:
    """Why this machine and user cannot have it; empty: they can."""
    if os.geteuid() == 0:
        return "Landlock alone does not hold root"
    if landlock_guard.abi() < OLDEST_ABI:
        return "the kernel has no Landlock of Linux 6.12 or newer"
    if _python(layout.Machine.here()) is None:
        return "there is no python3 for the guard"
    return ""


class Landlocked:
    """Runs each command below a guard of its own."""

    name = "landlock"

    def __init__(self) -> None:
        _sweep()
        self._machine = layout.Machine.here()
        self._python = _python(self._machine) or "python3"
        self._filter = base64.b64encode(seccomp.program(platform.machine(), alone=True)).decode()

    def describe(self) -> SandboxReport:
        """What the boundary is made of."""
        return SandboxReport(
            name=self.name,
            protects=True,
            detail="Landlock, seccomp and resource limits; no network, also for posts with hosts",
            hint="Bubblewrap is the stronger boundary: install it and allow user namespaces.",
        )

    async def run(self, command: Command) -> Completed:
        """Run `command` to its end. Raises `SandboxRefused` when it cannot be confined."""
        return await Live(partial(self._live, command, None)).to_end()

    async def start(self, command: Command, listener: Listener | None = None) -> Live:
        """Start `command` and let it go on; `listener` gets its output as it comes."""
        return await Live.started(partial(self._live, command, listener))

    async def _live(self, command: Command, listener: Listener | None, leash: Leash) -> Completed:
        began = time.monotonic()
        capture = Capture(command.limits.output_bytes, listener)
        with ExitStack() as held:
            temporary = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{os.getpid()}-"))
            held.callback(shutil.rmtree, temporary, ignore_errors=True)
            output, output_end = held.enter_context(pipe())
            control_end, control = held.enter_context(pipe())
            status, status_end = held.enter_context(pipe())
            drain = Drain(output, capture)
            held.callback(drain.close)
            given = [control_end, status_end, output_end]
            guard = self._spawn(command, temporary, given, held)
            held.callback(_abandon, guard, control)
            for fd in given:
                fd.close()
            if problem := await _to_end(status):
                raise SandboxRefused(
                    f"Landlock could not confine the command: {problem}",
                    hint="Is the workspace still there?",
                )
            leash.begun.set()
            timed_out = await _until_over(guard, control, command.limits.wall_seconds, leash)
            await reap(guard)
            await drain.finish(_DRAIN_SECONDS)
        if command.network is not None:
            capture.feed(_NO_NETWORK)
        return Completed(
            exit_code=guard.returncode,
            output=capture.result(),
            dropped_bytes=capture.dropped,
            timed_out=timed_out,
            duration=time.monotonic() - began,
        )

    def _spawn(
        self, command: Command, temporary: Path, given: list[Fd], held: ExitStack
    ) -> subprocess.Popen[bytes]:
        control_end, status, output = given
        document = held.enter_context(
            memory_file("command", msgspec.json.encode(self._document(command, temporary)))
        )
        stdin = held.enter_context(memory_file("stdin", command.stdin)) if command.stdin else None
        numbers = [fd.fileno() for fd in (document, control_end, status)]
        try:
            guard = subprocess.Popen(
                [self._python, "-I", "-S", landlock_guard.__file__, *map(str, numbers)],
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL if stdin is None else stdin.fileno(),
                stdout=output.fileno(),
                stderr=output.fileno(),
                pass_fds=numbers,
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxRefused(
                f"{self._python} cannot be started: {error.strerror}",
                hint="Install python3 again, then restart the server.",
            ) from error
        return guard

    def _document(self, command: Command, temporary: Path) -> dict[str, object]:
        home = temporary / "home"
        home.mkdir()
        places = {"HOME": str(home), "TMPDIR": str(temporary)}
        # A file that is there and cannot be opened is an error to git, other than one that is not.
        quiet = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1"}
        return {
            "argv": command.argv,
            "cwd": str(command.cwd or command.workspace),
            "env": layout.environment(self._machine.path, {**places, **quiet, **command.env}),
            "rules": list(self._rules(command, temporary)),
            "limits": _limits(command.limits),
            "processes": command.limits.processes,
            "filter": self._filter,
        }

    def _rules(self, command: Command, temporary: Path) -> Iterator[tuple[str, str]]:
        system = [path for _, path in self._machine.links]
        readable_paths = ["/usr", *system, *self._machine.directories, *self._machine.readable]
        if self._machine.python is not None:
            readable_paths.append(str(self._machine.python))
        readable_paths += [path for path in _FACTS if os.path.exists(path)]
        writable = (command.workspace, *command.read_write)
        for path in (*command.read_only, *writable):
            layout.refuse_too_wide(path)
        if any(path.is_relative_to(outer) for path in command.read_only for outer in writable):
            raise SandboxRefused(
                "Landlock cannot make a part of a writable directory read-only",
                hint="Install bubblewrap, which can, then restart.",
            )
        yield from ((path, "read") for path in readable_paths)
        yield from ((str(path), "read") for path in command.read_only)
        yield from ((path, "device") for path in _DEVICES)
        yield from ((str(path), "write") for path in (*writable, temporary))


def _sweep() -> None:
    """Remove the temporary directories of commands whose server was killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*-*"):
        match = re.fullmatch(rf"{_TEMPORARY}(\d+)-\w+", path.name)
        if match and not Path("/proc", match[1]).exists():
            shutil.rmtree(path, ignore_errors=True)


def _abandon(guard: subprocess.Popen[bytes], control: Fd) -> None:
    """End a command that nobody waited for: the loop was closed under us."""
    control.close()
    guard.wait()


def _python(machine: layout.Machine) -> str | None:
    return shutil.which("python3", path=machine.path)


def _limits(limits: SandboxLimits) -> dict[str, int]:
    return {
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": limits.cpu_seconds,
        "RLIMIT_DATA": limits.data_bytes,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_NOFILE": limits.open_files,
    }


async def _to_end(status: Fd) -> str:
    """What the guard's child said before it became the command: nothing, or what went wrong."""
    said = b""
    while True:
        await readable(status)
        piece = os.read(status.fileno(), 4096)
        if not piece:
            return said.decode(errors="replace")
        said += piece


async def _until_over(
    guard: subprocess.Popen[bytes], control: Fd, seconds: float, leash: Leash
) -> bool:
    """Wait for the guard's end; order it to end everything when the time is over, or when told.

    True: the time was over.
    """
    with Fd(os.pidfd_open(guard.pid)) as process:
        gone = asyncio.ensure_future(readable(process))
        stopped = asyncio.ensure_future(leash.stop.wait())
        try:
            await asyncio.wait(
                {gone, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if gone.done():
                return False
            timed_out = not leash.stop.is_set()
            control.close()
            await gone
            return timed_out
        finally:
            for waiting in (gone, stopped):
                waiting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await waiting
