"""The built-in tools that run commands: `bash_run`, `bash_logs`, `bash_kill`.

They go through the agent's sandbox and nowhere else. A command that fails is a result like any
other, with its exit code: the model reads it and goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from longhouse.runtime.sandbox.base import Command, Completed, SandboxLimits
from longhouse.runtime.tools import text
from longhouse.runtime.tools.base import ToolContext, ToolFailed, tool
from longhouse.runtime.tools.beneath import Beneath
from longhouse.runtime.tools.shells import NoSuchShell, TooManyShells

_USUAL = 120.0  # seconds
_LONGEST = 600.0  # seconds that a call may take
_LONGEST_BACKGROUND = 3600.0  # seconds that a background command may take
_OUTPUT_BYTES = 1 << 20  # of one command; what is too long to be shown can be read on
_LONGEST_WAIT = 60.0  # seconds that reading on may wait
_SHELL = "bash" if Path("/bin/bash").exists() else "sh"

ShellArgument = Annotated[str, Field(description="The id that bash_run gave")]


@tool(
    reads_only=False,
    subject="command",
    # The sandbox ends the command when its time is over, and its output is kept then.
    timeout=None,
)
async def bash_run(
    ctx: ToolContext,
    command: Annotated[str, Field(description="A bash command; pipes and several lines are fine")],
    timeout: Annotated[
        float | None,
        Field(
            gt=0,
            le=_LONGEST_BACKGROUND,
            description="Seconds until it is stopped: 120 (at most 600); in the background 3600",
        ),
    ] = None,
    cwd: Annotated[str, Field(description="The directory to run it in")] = ".",
    background: Annotated[
        bool, Field(description="Let it go on, such as a server; the result is its shell's id")
    ] = False,
) -> str:
    """Run a command in a sandbox, by itself without network; get its output and exit code.

    Everything it starts ends with it. Only the workspace is writable and lasts; /tmp is its own.
    """
    seconds = timeout or (_LONGEST_BACKGROUND if background else _USUAL)
    if seconds > _LONGEST and not background:
        raise ToolFailed(
            f"A command may take {_LONGEST:g} s at most. Run it with background=true, or do it in "
            "smaller parts."
        )
    wanted = Command(
        argv=(_SHELL, "-c", command),
        workspace=ctx.workspace,
        cwd=await asyncio.to_thread(_directory, ctx.workspace, cwd),
        limits=SandboxLimits(
            wall_seconds=seconds,
            cpu_seconds=math.ceil(seconds) * (os.cpu_count() or 1),
            output_bytes=_OUTPUT_BYTES,
        ),
    )
    if background:
        return await _start(ctx, wanted)
    done = await ctx.sandbox.run(wanted)
    if done.timed_out:
        raise ToolFailed(
            f"{_output(done)}[stopped after {seconds:g} s, with all it had started; ask for a "
            f"longer timeout (up to {_LONGEST:g}), or run it with background=true]"
        )
    return f"{_output(done)}[exit code {done.exit_code}]"


@tool(reads_only=True)
async def bash_logs(
    ctx: ToolContext,
    shell: ShellArgument,
    since: Annotated[int, Field(ge=0, description="The first byte to show, from 0")] = 0,
    wait: Annotated[
        float, Field(ge=0, le=_LONGEST_WAIT, description="Seconds to wait for something new")
    ] = 0.0,
) -> str:
    """Read what a background command printed, and whether it still runs."""
    with _in_words(ctx, shell):
        piece = await ctx.shells.read(shell, since=since, limit=text.OUTPUT_LIMIT, wait=wait)
    if since > piece.total:
        raise ToolFailed(f"It has printed {piece.total} bytes so far; go on with that.")
    lost = piece.first - since
    before = f"[{lost:,} bytes before this are no longer kept]\n" if lost else ""
    printed = piece.text if piece.text.endswith("\n") or not piece.text else f"{piece.text}\n"
    state = piece.state or "running"
    where = f"bytes {piece.first}-{piece.next} of {piece.total}"
    more = "" if piece.state and piece.next == piece.total else f"; go on with since={piece.next}"
    return f"{before}{printed}[{state}, {piece.seconds:.0f} s; {where}{more}]"


# It ends what the agent itself has started, and nothing else: no permission is asked for that.
@tool(reads_only=True, parallel=False)
async def bash_kill(ctx: ToolContext, shell: ShellArgument) -> str:
    """End a background command, with everything it started."""
    with _in_words(ctx, shell):
        state = await ctx.shells.end(shell, "ended by bash_kill")
    return f"Shell {shell}: {state}."


async def _start(ctx: ToolContext, command: Command) -> str:
    try:
        await ctx.shells.start(ctx.call_id, command, sandbox=ctx.sandbox)
    except TooManyShells as error:
        raise ToolFailed(f"{error.detail} {error.hint}", retryable=True) from None
    return (
        f"It runs in the background as shell {ctx.call_id}. bash_logs shows what it prints, "
        "bash_kill ends it."
    )


@contextlib.contextmanager
def _in_words(ctx: ToolContext, shell: str) -> Iterator[None]:
    """A shell that is not here, as the model should hear it."""
    try:
        yield
    except NoSuchShell as error:
        if shell in ctx.background:
            raise ToolFailed(
                f"Shell {shell} is gone: a background command ends when its agent is put away or "
                "its process stops, and its output is not kept. Start it again if you need it."
            ) from None
        raise ToolFailed(f"{error.detail} bash_run with background=true starts one.") from None


def _directory(workspace: Path, cwd: str) -> Path:
    with Beneath(workspace) as inside:
        if not inside.is_directory(cwd):
            raise ToolFailed(f"{cwd} is a file. Give a directory of the workspace.")
        return workspace / inside.relative(cwd)


def _output(done: Completed) -> str:
    """What the command printed, ending in a newline; how to see the rest when it was cut."""
    printed = done.output.decode(errors="replace")
    if printed and not printed.endswith("\n"):
        printed += "\n"
    if not done.dropped_bytes:
        return printed
    return (
        f"{printed}[{done.dropped_bytes:,} bytes were cut from the middle; use grep, head or tail, "
        "or write the output to a file and read that with fs_read]\n"
    )
