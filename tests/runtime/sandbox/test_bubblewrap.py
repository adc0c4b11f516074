"""What only the bubblewrap sandbox promises."""

import asyncio
import contextlib
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import uvloop
from tests.patience import LONGER, PATIENCE, until

from longhouse.runtime.sandbox.base import Command, Completed, Sandbox, SandboxLimits
from longhouse.runtime.sandbox.bubblewrap import Bubblewrap

pytestmark = pytest.mark.sandbox

SERVER = """
import asyncio, sys
from pathlib import Path
from longhouse.runtime.sandbox.base import Command
from longhouse.runtime.sandbox.choose import choose

async def main():
    sandbox = await choose("auto")
    argv = ("sh", "-c", f"echo > begun; (setsid sleep {sys.argv[2]} &); sleep {sys.argv[2]}")
    await sandbox.run(Command(argv=argv, workspace=Path(sys.argv[1])))

asyncio.run(main())
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    place = tmp_path / "workspace"
    place.mkdir()
    return place


async def sh(sandbox: Sandbox, workspace: Path, script: str, **fields: object) -> Completed:
    return await sandbox.run(
        Command(argv=("sh", "-c", script), workspace=workspace, **fields)  # type: ignore[arg-type]
    )


def git(*arguments: str | Path, cwd: Path) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments],
        cwd=cwd,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def command_lines() -> list[list[str]]:
    """Of every process of this machine."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            # A process may end while we look.
            with contextlib.suppress(OSError):
                found.append(Path("/proc", entry, "cmdline").read_text().split("\0"))
    return found


def sleeping(mark: str) -> bool:
    return any(mark in line for line in command_lines())


def start_server(workspace: Path, mark: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SERVER, workspace, mark])


async def test_nothing_survives_a_server_that_is_killed(
    protection: Sandbox, workspace: Path
) -> None:
    mark = f"600.{uuid.uuid4().int % 10**12:012}"
    server = start_server(workspace, mark)
    try:
        await until(lambda: (workspace / "begun").exists() and sleeping(mark))
    finally:
        server.kill()
        server.wait()

    await until(lambda: not sleeping(mark))


async def test_a_bind_to_read_is_not_one_to_write(
    protection: Sandbox, workspace: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "words").write_text("hello\n")

    done = await sh(
        protection, workspace, "cat ../shared/words; echo x > ../shared/y", read_only=(shared,)
    )

    assert done.output.startswith(b"hello\n")
    assert b"Read-only" in done.output
    assert not (shared / "y").exists()


async def test_git_commits_in_a_worktree_whose_git_directory_is_bound(
    protection: Sandbox, tmp_path: Path
) -> None:
    repository, worktree = tmp_path / "repository", tmp_path / "worktree"
    repository.mkdir()
    git("init", "-q", "-b", "main", cwd=repository)
    git("commit", "-q", "--allow-empty", "-m", "first", cwd=repository)
    git("worktree", "add", "-q", "-b", "agent", worktree, cwd=repository)

    done = await sh(
        protection,
        worktree,
        "echo hello > file && git add file && git commit -qm 'by the agent' && git log --oneline",
        read_write=(repository / ".git",),
        env={
            "GIT_AUTHOR_NAME": "agent",
            "GIT_AUTHOR_EMAIL": "agent@example.org",
            "GIT_COMMITTER_NAME": "agent",
            "GIT_COMMITTER_EMAIL": "agent@example.org",
        },
    )

    assert done.exit_code == 0, done.output
    assert git("log", "-1", "--format=%s", "agent", cwd=repository) == "by the agent\n"


async def test_a_server_and_its_client_meet_inside_by_name(
    protection: Sandbox, workspace: Path
) -> None:
    script = """
import socket
server = socket.create_server(("localhost", 0))
client = socket.create_connection(("localhost", server.getsockname()[1]), 5)
server.accept()[0].sendall(b"hello")
print(client.recv(5).decode())
"""
    done = await protection.run(Command(argv=("python3", "-c", script), workspace=workspace))

    assert done.output == b"hello\n"


async def test_tmp_is_private_and_new_for_each_command(
    protection: Sandbox, workspace: Path
) -> None:
    name = f"left-{uuid.uuid4().hex}"
    await sh(protection, workspace, f"echo x > /tmp/{name} && echo x > ~/{name}")

    done = await sh(protection, workspace, f"ls -A /tmp/{name} ~")

    assert b"No such file" in done.output
    assert name not in os.listdir("/tmp")


async def test_files_in_the_workspace_belong_to_the_servers_user(
    protection: Sandbox, workspace: Path
) -> None:
    (workspace / "ours").write_text("x")

    done = await sh(protection, workspace, "stat -c %u ours; id -u; touch theirs")

    assert done.output == b"1000\n1000\n"
    assert (workspace / "theirs").stat().st_uid == os.getuid()


async def test_processes_of_one_command_do_not_count_for_another(
    protection: Sandbox, workspace: Path
) -> None:
    limits = SandboxLimits(processes=12, wall_seconds=PATIENCE)
    script = "for i in 1 2 3 4 5 6; do sleep 0.2 & done; wait; echo all"

    done = await asyncio.gather(*(sh(protection, workspace, script, limits=limits) for _ in "1234"))

    assert [each.output for each in done] == [b"all\n"] * 4


async def test_the_report_says_what_the_boundary_is_made_of(protection: Sandbox) -> None:
    report = protection.describe()

    assert report.name == protection.name == "bubblewrap"
    assert "seccomp" in report.detail


async def test_arguments_of_the_layout_do_not_show_in_the_list_of_processes(
    protection: Sandbox, workspace: Path
) -> None:
    task = asyncio.ensure_future(
        sh(protection, workspace, "echo > begun; sleep 600", env={"TOKEN": "t0ken-of-the-session"})
    )
    await until((workspace / "begun").exists)
    lines = command_lines()
    task.cancel()

    assert any("--args" in line for line in lines)
    assert not any("t0ken" in word for line in lines for word in line)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_without_cgroups_an_ordinary_users_limit_is_the_kernels(workspace: Path) -> None:
    report = Bubblewrap("/usr/bin/bwrap", cgroups=None).describe()

    assert bool(report.hint) == (os.geteuid() == 0)


def test_the_servers_event_loop_runs_commands_just_as_well(
    protection: Sandbox, workspace: Path
) -> None:
    async def work() -> list[object]:
        cancelled = asyncio.ensure_future(sh(protection, workspace, "echo > begun; sleep 600"))
        await until((workspace / "begun").exists)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        rounds = [await sh(protection, workspace, "cat", stdin=b"x") for _ in range(10)]
        return [
            cancelled.cancelled(),
            {each.output for each in rounds},
            (await cut_off()).timed_out,
        ]

    async def cut_off() -> Completed:
        for seconds in LONGER:
            limits = SandboxLimits(wall_seconds=seconds)
            done = await sh(protection, workspace, "yes", limits=limits)
            if done.output:
                return done
        raise AssertionError("it never said anything")

    # uvloop hands out descriptors' events more freely than asyncio's own loop does.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(work()) == [True, {b"x"}, True]
