"""No sandbox: commands run as the server's own user, because an operator said so by name.

Made by `choose` only for the setting `off`. Limits of time, output and resources hold, the
environment is as empty as in a sandbox, and processes outlive neither their command nor the
server; but files, network and other processes are within reach of every command.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
import uuid
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from longhouse.runtime.sandbox import layout
from longhouse.runtime.sandbox.base import (
    Command,
    Completed,
    Listener,
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
    memory_file,
    pipe,
    reap,
    until_gone,
)

_MARK = "LONGHOUSE_COMMAND"  # in the environment of a command and of all that it starts
_SWEEPS = 20  # rounds after which a command that forks faster than we look is let go
_DRAIN_SECONDS = 1.0

# Sets its own limits, then becomes the command: set from outside they could come too late. The
# number of processes is left alone, as the kernel would count all that the same user runs.
_LIMITED = """
ulimit -c 0
ulimit -t "$1" 2>/dev/null
ulimit -d "$2" 2>/dev/null
ulimit -f "$3" 2>/dev/null
ulimit -n "$4" 2>/dev/null
shift 4
exec "$@"
"""

# Waits for the end of a pipe that only the server holds open, then does what the server no longer
# can: ends the command's group, and what left it.
_GUARD = """
read -r _
kill -9 -- "-$1"
for each in /proc/[0-9]*; do
    tr '\\0' '\\n' < "$each/environ" | grep -qx "$2" && kill -9 "${each#/proc/}"
done
"""


class Unprotected:
    """Runs commands plainly, each in a session of its own."""

    name = "off"

    def describe(self) -> SandboxReport:
        """That there is no boundary."""
        return SandboxReport(
            name=self.name,
            protects=False,
            detail="commands run unprotected, as the user of the server",
            hint="Set the sandbox back to `auto` unless something else holds the server in.",
        )

    async def run(self, command: Command) -> Completed:
        """Run `command` to its end, and end what it left behind."""
        return await Live(partial(self._live, command, None)).to_end()

    async def start(self, command: Command, listener: Listener | None = None) -> Live:
        """Start `command` and let it go on; `listener` gets its output as it comes."""
        return await Live.started(partial(self._live, command, listener))

    async def _live(self, command: Command, listener: Listener | None, leash: Leash) -> Completed:
        began = time.monotonic()
        capture = Capture(command.limits.output_bytes, listener)
        mark = f"{_MARK}={uuid.uuid4().hex}"
        with ExitStack() as held:
            output, output_end = held.enter_context(pipe())
            drain = Drain(output, capture)
            held.callback(drain.close)
            child = _spawn(command, mark, output_end, held)
            output_end.close()
            _guard(child, mark, held)
            leash.begun.set()
            with Fd(os.pidfd_open(child.pid)) as process:
                timed_out = await until_gone(process, command.limits.wall_seconds, leash.stop)
            _end_group(child.pid)
            await reap(child)
            await _sweep(mark)
            await drain.finish(_DRAIN_SECONDS)
        code = child.returncode
        return Completed(
            exit_code=code if code >= 0 else 128 - code,
            output=capture.result(),
            dropped_bytes=capture.dropped,
            timed_out=timed_out,
            duration=time.monotonic() - began,
        )


def _spawn(command: Command, mark: str, output: Fd, held: ExitStack) -> subprocess.Popen[bytes]:
    stdin = held.enter_context(memory_file("stdin", command.stdin)) if command.stdin else None
    name, value = mark.split("=")
    env = layout.environment(os.environ.get("PATH", os.defpath), command.env)
    limits = command.limits
    numbers = (  # in the units of `ulimit`: seconds, KiB, blocks of 512 bytes, files
        limits.cpu_seconds,
        limits.data_bytes // 1024,
        limits.file_bytes // 512,
        limits.open_files,
    )
    try:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _LIMITED, "sh", *map(str, numbers), *command.argv],
            env=env | {"HOME": str(Path.home()), name: value},
            cwd=command.cwd or command.workspace,
            stdin=subprocess.DEVNULL if stdin is None else stdin.fileno(),
            stdout=output.fileno(),
            stderr=output.fileno(),
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxRefused(
            f"no command can start in {command.cwd or command.workspace}: {error.strerror}",
            hint="Is the workspace still there?",
        ) from error
    held.callback(abandon, child)
    return child


def _guard(child: subprocess.Popen[bytes], mark: str, held: ExitStack) -> None:
    """See that nothing of a command outlives the server, however that ends."""
    end, _ = held.enter_context(pipe())
    guard = subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "sh", str(child.pid), mark],
        env={"PATH": os.environ.get("PATH", os.defpath)},
        cwd="/",
        stdin=end.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    held.callback(abandon, guard)
    end.close()


def _end_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


async def _sweep(mark: str) -> None:
    """End what left the session: it still carries the mark that its command was started with."""
    for _ in range(_SWEEPS):
        left = _marked(mark.encode())
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.005)


def _marked(mark: bytes) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if mark in Path("/proc", name, "environ").read_bytes().split(b"\0"):
                    found.append(int(name))
    return found
