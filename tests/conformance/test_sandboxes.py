"""What every sandbox promises, with a boundary or without; each kind runs the same tests."""

import asyncio
import os
import signal
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.patience import LONGER, PATIENCE, until

from longhouse.runtime.sandbox import landlock
from longhouse.runtime.sandbox.base import (
    Command,
    Completed,
    Sandbox,
    SandboxLimits,
    SandboxRefused,
)
from longhouse.runtime.sandbox.fitted import Fitted
from longhouse.runtime.sandbox.landlock import Landlocked
from longhouse.runtime.sandbox.off import Unprotected
from longhouse.runtime.sandbox.process import FLOOD_PAUSE, PIECE
from longhouse.runtime.sandbox.refuse import Refuse

Run = Callable[..., Awaitable[Completed]]

# Not every sandbox has a /proc to look them up in.
OPEN_FILES = """
import os
for number in range(1024):
    try:
        os.fstat(number)
        print(number)
    except OSError:
        pass
"""

NO_LIMITS: dict[str, Any] = {}  # but the usual ones


# Landlock alone does not hold root, nor is it in every kernel: where it is not offered, there is
# nothing to hold to the suite. Under root, `test_escapes` and `test_landlock` try it as others.
LANDLOCK = [] if landlock.why_not() else [pytest.param("landlock", marks=pytest.mark.sandbox)]


@pytest.fixture(
    params=[pytest.param("bubblewrap", marks=pytest.mark.sandbox), *LANDLOCK, "off"],
)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param == "off":
        return Unprotected()
    if request.param == "landlock":
        return Landlocked()
    found: Sandbox = request.getfixturevalue("protection")
    return found


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    place = tmp_path / "workspace"
    place.mkdir()
    return place


@pytest.fixture
def sh(sandbox: Sandbox, workspace: Path) -> Run:
    """Run a shell script in the workspace."""

    async def run(
        script: str, *arguments: str, limits: dict[str, Any] = NO_LIMITS, **fields: Any
    ) -> Completed:
        return await sandbox.run(
            Command(
                argv=("sh", "-c", script, "sh", *arguments),
                workspace=workspace,
                limits=SandboxLimits(**{"wall_seconds": PATIENCE, **limits}),
                **fields,
            )
        )

    return run


def running(mark: str) -> list[int]:
    """Processes of this machine, in a sandbox or not, whose command line holds the mark."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                line = Path("/proc", entry, "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in line:
                found.append(int(entry))
    return found


async def started(mark: str) -> None:
    """Wait until a process with the mark runs."""
    await until(lambda: bool(running(mark)))


async def cut_off(sh: Run, script: str, **limits: Any) -> Completed:
    """The end of a command whose time was over, after it had said something."""
    for seconds in LONGER:
        done = await sh(script, limits={"wall_seconds": seconds, **limits})
        assert done.timed_out
        if done.output:
            return done
    raise AssertionError("it never said anything")


def unique_seconds() -> str:
    """An argument for `sleep` that no other process has."""
    return f"600.{uuid.uuid4().int % 10**12:012}"


# --- running --------------------------------------------------------------------------------------


async def test_both_streams_come_in_the_order_they_were_written(sh: Run) -> None:
    done = await sh("echo one; echo two >&2; echo three")

    assert done.output == b"one\ntwo\nthree\n"
    assert done.exit_code == 0
    assert done.dropped_bytes == 0
    assert not done.timed_out
    assert done.duration > 0


async def test_the_exit_code_is_the_commands(sh: Run) -> None:
    assert (await sh("exit 42")).exit_code == 42


async def test_a_signal_is_told_as_128_and_its_number(sh: Run) -> None:
    assert (await sh("kill -TERM $$")).exit_code == 128 + signal.SIGTERM


async def test_a_program_that_is_not_there_ends_with_127(sandbox: Sandbox, workspace: Path) -> None:
    done = await sandbox.run(Command(argv=("no-such-program",), workspace=workspace))

    assert done.exit_code == 127
    assert b"no-such-program" in done.output


async def test_a_workspace_that_is_gone_is_refused(sandbox: Sandbox, workspace: Path) -> None:
    with pytest.raises(SandboxRefused, match="gone"):
        await sandbox.run(Command(argv=("true",), workspace=workspace / "gone"))


async def test_standard_input_is_given_and_ends(sh: Run) -> None:
    assert (await sh("wc -l", stdin=b"hello\n" * 50_000)).output.strip() == b"50000"
    assert (await sh("cat")).output == b""


async def test_arguments_arrive_as_they_are(sh: Run) -> None:
    done = await sh('printf "%s|" "$@"', "a b", "$HOME", "", "*", "ü")

    assert done.output.decode() == "a b|$HOME||*|ü|"


async def test_the_workspace_is_the_directory_and_is_writable(sh: Run, workspace: Path) -> None:
    done = await sh("pwd; echo written > file")

    assert done.output.decode().strip() == str(workspace)
    assert (workspace / "file").read_text() == "written\n"


async def test_a_command_can_start_in_a_directory_below(sh: Run, workspace: Path) -> None:
    (workspace / "below").mkdir()

    done = await sh("pwd", cwd=workspace / "below")

    assert done.output.decode().strip() == str(workspace / "below")


async def test_the_environment_is_the_commands_own(
    sh: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_KEY", "sk-secret")

    done = await sh("env", env={"CITY": "Aachen"})

    assert b"CITY=Aachen\n" in done.output
    assert b"TERM=dumb\n" in done.output
    assert b"sk-secret" not in done.output


async def test_python_is_there(sh: Run) -> None:
    assert (await sh("python3 -c 'print(6 * 7)'")).output == b"42\n"


async def test_what_a_workspace_needs_is_added_to_each_command(
    sandbox: Sandbox, workspace: Path, tmp_path: Path
) -> None:
    for name in ("shared", "cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "shared/words").write_text("from outside\n")
    fitted = Fitted(
        sandbox=sandbox,
        env={"CITY": "Aachen", "RIVER": "Wurm"},
        read_only=(tmp_path / "shared",),
        read_write=(tmp_path / "cache",),
    )

    done = await fitted.run(
        Command(
            argv=("sh", "-c", "cat ../shared/words; echo kept > ../cache/x; echo $CITY $RIVER"),
            workspace=workspace,
            env={"CITY": "Köln"},
        )
    )

    assert done.output.decode() == "from outside\nKöln Wurm\n"
    assert (tmp_path / "cache/x").read_text() == "kept\n"
    assert fitted.name == sandbox.name


async def test_commands_run_side_by_side(sh: Run) -> None:
    done = await asyncio.gather(*(sh(f"echo {number}") for number in range(8)))

    assert [each.output for each in done] == [b"%d\n" % number for number in range(8)]


# --- limits ---------------------------------------------------------------------------------------


async def test_long_output_keeps_its_head_and_tail(sh: Run) -> None:
    done = await sh("seq 1 200000", limits={"output_bytes": 1000})

    assert done.output.startswith(b"1\n2\n3\n")
    assert done.output.endswith(b"199999\n200000\n")
    assert b"bytes cut" in done.output
    assert len(done.output) < 1100
    assert done.dropped_bytes == sum(len(str(n)) + 1 for n in range(1, 200001)) - 1000


async def test_a_flood_of_output_costs_the_server_little(sh: Run) -> None:
    done = await cut_off(sh, "yes", output_bytes=1000)

    assert len(done.output) < 1100
    # However fast it writes, one piece is read and then nothing for a while (or a little less: the
    # event loop counts whole milliseconds).
    pauses = done.duration / (FLOOD_PAUSE - 0.002)
    assert done.dropped_bytes < PIECE * (pauses + 2)


async def test_time_out_keeps_what_was_printed(sh: Run) -> None:
    done = await cut_off(sh, "echo begun; sleep 600")

    assert done.output == b"begun\n"
    assert done.exit_code == 128 + signal.SIGKILL


async def test_a_file_cannot_grow_over_its_limit(sh: Run, workspace: Path) -> None:
    done = await sh("head -c 3000000 /dev/zero > file", limits={"file_bytes": 1 << 20})

    assert done.exit_code != 0
    assert (workspace / "file").stat().st_size == 1 << 20


async def test_memory_is_limited(sh: Run) -> None:
    done = await sh(
        "python3 -c 'x = bytearray(512 << 20); print(len(x))'", limits={"data_bytes": 128 << 20}
    )

    assert done.exit_code != 0
    assert b"MemoryError" in done.output


async def test_processor_time_is_limited(sh: Run) -> None:
    done = await sh("while :; do :; done", limits={"cpu_seconds": 1})

    assert done.exit_code in {128 + signal.SIGXCPU, 128 + signal.SIGKILL}
    assert not done.timed_out


async def test_open_files_are_limited(sh: Run) -> None:
    script = "python3 -c 'f = [open(\"/dev/null\") for _ in range(200)]'"

    done = await sh(script, limits={"open_files": 64})

    assert b"Too many open files" in done.output


# --- ends -----------------------------------------------------------------------------------------


async def test_a_background_process_ends_with_its_command(sh: Run) -> None:
    mark = unique_seconds()

    await sh(f"sleep {mark} >/dev/null 2>&1 & echo left")

    assert running(mark) == []


async def test_a_process_that_left_its_session_ends_with_its_command(sh: Run) -> None:
    mark = unique_seconds()

    await sh(f"(setsid sleep {mark} </dev/null >/dev/null 2>&1 &); echo left")

    assert running(mark) == []


async def test_nothing_is_left_after_a_time_out(sh: Run) -> None:
    mark = unique_seconds()

    done = await sh(
        f"trap '' TERM INT HUP; (setsid sleep {mark} &); sleep {mark}",
        limits={"wall_seconds": 0.3},
    )

    assert done.timed_out
    assert running(mark) == []


async def test_cancelling_ends_every_process_before_it_goes_on(sh: Run) -> None:
    mark = unique_seconds()
    task = asyncio.ensure_future(sh(f"(setsid sleep {mark} &); sleep {mark} & wait"))
    await started(mark)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert running(mark) == []


async def test_cancelling_before_the_command_runs_leaves_nothing(sh: Run) -> None:
    mark = unique_seconds()
    for turns in range(6):
        task = asyncio.ensure_future(sh(f"sleep {mark}"))
        for _ in range(turns):
            await asyncio.sleep(0)

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert running(mark) == []


async def test_cancelling_twice_is_cancelling(sh: Run) -> None:
    mark = unique_seconds()
    task = asyncio.ensure_future(sh(f"sleep {mark}"))
    await started(mark)

    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert running(mark) == []


async def test_no_file_descriptor_is_left_behind(sh: Run) -> None:
    await sh("true")
    before = open_files()

    for _ in range(3):
        await sh("echo x", stdin=b"x")
    await sh("sleep 600", limits={"wall_seconds": 0.05})

    assert open_files() <= before


def open_files() -> set[str]:
    """What this process has open; each pipe and socket has a name of its own."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one that lists them
            found.add(os.readlink(f"/proc/self/fd/{number}"))
    return found


async def test_a_command_inherits_no_file_of_the_server(sh: Run, tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)

        done = await sh('python3 -c "$1"', OPEN_FILES)

    assert done.output.split() == [b"0", b"1", b"2"]


# --- started, and left to go on -------------------------------------------------------------------


def forked(script: str, workspace: Path, **limits: Any) -> Command:
    return Command(
        argv=("sh", "-c", script),
        workspace=workspace,
        limits=SandboxLimits(**{"wall_seconds": PATIENCE, **limits}),
    )


async def test_a_started_command_goes_on_and_tells_its_output_as_it_comes(
    sandbox: Sandbox, workspace: Path
) -> None:
    told = bytearray()
    script = "echo one; while [ ! -e go ]; do sleep 0.01; done; echo two; exit 3"

    command = await sandbox.start(forked(script, workspace, output_bytes=4), told.extend)
    await until(lambda: told == b"one\n")
    (workspace / "go").touch()
    done = await command.wait()

    assert told == b"one\ntwo\n", "also what is not kept"
    assert (done.exit_code, done.dropped_bytes, done.timed_out) == (3, 4, False)
    assert await command.end() == done


async def test_ending_a_started_command_leaves_no_process(
    sandbox: Sandbox, workspace: Path
) -> None:
    mark = unique_seconds()
    command = await sandbox.start(
        forked(f"trap '' TERM; (setsid sleep {mark} &); sleep {mark}", workspace)
    )
    await started(mark)

    done = await command.end()

    assert done.exit_code == 128 + signal.SIGKILL
    assert not done.timed_out
    assert running(mark) == []


async def test_a_started_command_ends_when_its_time_is_over(
    sandbox: Sandbox, workspace: Path
) -> None:
    mark = unique_seconds()
    command = await sandbox.start(forked(f"sleep {mark}", workspace, wall_seconds=0.3))

    assert (await command.wait()).timed_out
    assert running(mark) == []


async def test_who_stops_waiting_does_not_stop_the_command(
    sandbox: Sandbox, workspace: Path
) -> None:
    mark = unique_seconds()
    command = await sandbox.start(forked(f"sleep {mark}", workspace))
    await started(mark)
    waiting = asyncio.ensure_future(command.wait())
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.wait({waiting})

    assert running(mark) != []
    await command.end()


async def test_cancelling_a_start_leaves_nothing(sandbox: Sandbox, workspace: Path) -> None:
    mark = unique_seconds()
    for turns in range(6):
        task = asyncio.ensure_future(sandbox.start(forked(f"sleep {mark}", workspace)))
        for _ in range(turns):
            await asyncio.sleep(0)

        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():  # it had started before
            await task.result().end()

    assert running(mark) == []


async def test_a_start_in_a_workspace_that_is_gone_is_refused(
    sandbox: Sandbox, workspace: Path
) -> None:
    with pytest.raises(SandboxRefused, match="gone"):
        await (await sandbox.start(forked("true", workspace / "gone"))).wait()


async def test_a_started_command_gets_what_the_workspace_needs(
    sandbox: Sandbox, workspace: Path
) -> None:
    fitted = Fitted(sandbox=sandbox, env={"RIVER": "Wurm"})

    command = await fitted.start(forked("echo $RIVER", workspace))

    assert (await command.wait()).output == b"Wurm\n"


async def test_a_machine_that_cannot_protect_itself_starts_nothing(workspace: Path) -> None:
    with pytest.raises(SandboxRefused, match="no boundary"):
        await Refuse("no boundary", hint="none").start(forked("true", workspace))
