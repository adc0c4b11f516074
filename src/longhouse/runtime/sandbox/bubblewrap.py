"""The default sandbox: bubblewrap with namespaces, a seccomp filter, resource limits and cgroups.

Made by `choose` after a self-test. Each command gets a machine of its own that ends with it: PID 1
of the sandbox is watched by pidfd, and once the kernel reports its end no process of the command is
left, whatever it forked, double-forked or detached.

    bwrap (monitor) ── PID 1 of the sandbox ── the command ── whatever it starts
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from longhouse.runtime.sandbox import cgroup, egress_inlet, layout, seccomp
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
    abandon,
    limit,
    memory_file,
    pipe,
    read_line,
    read_to_end,
    reap,
    until_gone,
)

_SIGNALLED = 137  # 128 + SIGKILL
_NOT_FOUND = 127  # what a shell ends with when there is no such program
_DRAIN_SECONDS = 2.0  # with all writers dead the end of the pipe is there at once
_REMOVE_TRIES = 100  # of 5 ms each: how long a cgroup may outlive its last process


class _Status(msgspec.Struct, rename="kebab"):
    """One document of `--json-status-fd`."""

    child_pid: int | None = None  # PID 1 of the sandbox, as we see it
    exit_code: int | None = None  # of the command; absent when it was never started


_status = msgspec.json.Decoder(_Status)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Spawned:
    """A bubblewrap that has started and holds its command back."""

    monitor: subprocess.Popen[bytes]
    status: Fd  # what it reports
    release: Fd  # a byte written here lets the command run
    output: Fd  # what it and the command print
    link: Fd | None  # brings the socket that the command's network is answered at


class Bubblewrap:
    """Runs each command in a bubblewrap sandbox of its own."""

    name = "bubblewrap"

    def __init__(self, executable: str, *, cgroups: cgroup.Cgroups | None = None) -> None:
        self._executable = executable
        self._cgroups = cgroups
        self._machine = layout.Machine.here()
        self._filter = seccomp.program(platform.machine())

    def describe(self) -> SandboxReport:
        """What the boundary is made of."""
        bounded = self._cgroups.bounds if self._cgroups else ()
        parts = ["namespaces, seccomp and resource limits"]
        if bounded:
            parts.append(f"cgroup limits for {' and '.join(bounded)}")
        unbound = "processes" not in bounded and os.geteuid() == 0
        return SandboxReport(
            name=self.name,
            protects=True,
            detail=f"{', '.join(parts)}; no network but to the hosts of a post",
            hint=(
                "The number of processes of a command is not limited: the server runs as root, "
                "whom that limit does not bind, and may not make cgroups. Run it as another user."
                if unbound
                else ""
            ),
        )

    async def run(self, command: Command) -> Completed:
        """Run `command` to its end. Raises `SandboxRefused` when bubblewrap cannot set it up."""
        return await Live(partial(self._live, command, None)).to_end()

    async def start(self, command: Command, listener: Listener | None = None) -> Live:
        """Start `command` and let it go on; `listener` gets its output as it comes."""
        return await Live.started(partial(self._live, command, listener))

    async def _live(self, command: Command, listener: Listener | None, leash: Leash) -> Completed:
        """From spawning to the last process' end."""
        began = time.monotonic()
        capture = Capture(command.limits.output_bytes, listener)
        with ExitStack() as held:
            spawned = self._spawn(command, held)
            drain = Drain(spawned.output, capture)
            held.callback(drain.close)
            first = await read_line(spawned.status)
            timed_out = False
            if first:
                timed_out = await self._see_through(_child(first), spawned, command, leash)
            await reap(spawned.monitor)
            await drain.finish(_DRAIN_SECONDS)
            exit_code = _exit_code(first + read_to_end(spawned.status))
        was_killed = timed_out or leash.stop.is_set() or spawned.monitor.returncode == _SIGNALLED
        if exit_code is None:
            exit_code = _SIGNALLED if was_killed else _never_started(capture.result())
        return Completed(
            exit_code=exit_code,
            output=capture.result(),
            dropped_bytes=capture.dropped,
            timed_out=timed_out,
            duration=time.monotonic() - began,
        )

    def _spawn(self, command: Command, held: ExitStack) -> _Spawned:
        """Start bubblewrap; the command waits inside until `release` is written to."""
        status, status_end = held.enter_context(pipe())
        release_end, release = held.enter_context(pipe())
        output, output_end = held.enter_context(pipe())
        seccomp_file = held.enter_context(memory_file("seccomp", self._filter))
        hosts = held.enter_context(memory_file("hosts", layout.HOSTS))
        stdin = held.enter_context(memory_file("stdin", command.stdin)) if command.stdin else None
        argv, link, link_end = command.argv, None, None
        if command.network is not None:
            link, link_end = held.enter_context(egress_inlet.pair())
            argv = egress_inlet.through(link_end, argv)
            command = replace(command, env={**command.env, **egress_inlet.ENVIRONMENT})
        options = layout.arguments(
            self._machine,
            command,
            hosts_fd=hosts.fileno(),
            seccomp_fd=seccomp_file.fileno(),
            status_fd=status_end.fileno(),
            block_fd=release_end.fileno(),
        )
        # In a file, not on the command line, which everybody on the machine can read.
        arguments = held.enter_context(memory_file("arguments", options))
        passed = [arguments, seccomp_file, hosts, status_end, release_end]
        passed += [] if link_end is None else [link_end]
        try:
            monitor = subprocess.Popen(
                [self._executable, "--args", str(arguments.fileno()), "--", *argv],
                # bubblewrap is PID 1 inside, and its environment shows there.
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL if stdin is None else stdin.fileno(),
                stdout=output_end.fileno(),
                stderr=output_end.fileno(),
                pass_fds=[fd.fileno() for fd in passed],
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxRefused(
                f"{self._executable} cannot be started: {error.strerror}",
                hint="Install bubblewrap again, then restart the server.",
            ) from error
        held.callback(abandon, monitor)
        for fd in (output_end, *passed):
            fd.close()
        return _Spawned(monitor=monitor, status=status, release=release, output=output, link=link)

    async def _see_through(
        self, pid: int, spawned: _Spawned, command: Command, leash: Leash
    ) -> bool:
        """Limit PID 1 of the sandbox, let it run, see its end. True: its time ran out."""
        try:
            init = Fd(os.pidfd_open(pid))
        except ProcessLookupError:
            return False
        limits = command.limits
        with init:
            async with (
                self._grouped(pid, limits),
                egress_inlet.served(spawned.link, command.network),
            ):
                with contextlib.suppress(ProcessLookupError):
                    limit(pid, limits)
                with contextlib.suppress(BrokenPipeError):
                    os.write(spawned.release.fileno(), b"\n")
                leash.begun.set()
                return await until_gone(init, limits.wall_seconds, leash.stop)

    @contextlib.asynccontextmanager
    async def _grouped(self, pid: int, limits: SandboxLimits) -> AsyncIterator[None]:
        """Hold a process in a cgroup of its own, if this machine gives us any."""
        if self._cgroups is None:
            yield
            return
        try:
            group = self._cgroups.create(limits)
        except OSError as error:
            raise SandboxRefused(
                f"no cgroup can be made for the command: {error}",
                hint="Restart the server: it looks again at what it may use.",
            ) from error
        try:
            with contextlib.suppress(ProcessLookupError):
                group.add(pid)
            yield
        finally:
            for _ in range(_REMOVE_TRIES):
                if group.remove():
                    break
                await asyncio.sleep(0.005)


def _child(first: bytes) -> int:
    """PID 1 of the sandbox, as we see it: bubblewrap's first word."""
    pid = _status.decode(first.splitlines()[0]).child_pid
    assert pid is not None
    return pid


def _exit_code(status: bytes) -> int | None:
    """What the command ended with; None when it never started or did not end by itself."""
    documents = [_status.decode(line) for line in status.splitlines()]
    return next((each.exit_code for each in documents if each.exit_code is not None), None)


def _never_started(output: bytes) -> int:
    """The shell's exit code when only the program is missing; anything else is our failure."""
    if output.startswith(b"bwrap: execvp "):
        return _NOT_FOUND
    said = output.decode(errors="replace").strip() or "it gave no reason"
    raise SandboxRefused(
        f"bubblewrap could not set up the sandbox: {said}",
        hint="`longhouse doctor` shows what this machine lacks.",
    )
