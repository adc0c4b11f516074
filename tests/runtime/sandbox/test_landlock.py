"""What only the Landlock sandbox promises. Under root, its commands are run as an ordinary user."""

import asyncio
import os
import signal
import subprocess
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.patience import wait_until
from tests.runtime.sandbox.users import as_ordinary_user

from longhouse.runtime.sandbox import landlock_guard
from longhouse.runtime.sandbox.base import Command, SandboxLimits, SandboxRefused
from longhouse.runtime.sandbox.egress import Egress
from longhouse.runtime.sandbox.landlock import OLDEST_ABI, Landlocked

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(landlock_guard.abi() < OLDEST_ABI, reason="this kernel's is too old"),
]

Work = Callable[[Landlocked, Path], Awaitable[dict[str, Any]]]


def outcome(work: Work) -> dict[str, Any]:
    """What `work` finds in a sandbox of an ordinary user, with a workspace."""

    async def in_place(place: Path) -> dict[str, Any]:
        workspace = place / "workspace"
        workspace.mkdir()
        return await work(Landlocked(), workspace)

    return as_ordinary_user(lambda place: asyncio.run(in_place(place)))


def sh(workspace: Path, script: str, **fields: Any) -> Command:
    return Command(argv=("sh", "-c", f"{{ {script}\n}} 2>&1"), workspace=workspace, **fields)


def test_git_and_python_work_in_it() -> None:
    async def work(sandbox: Landlocked, workspace: Path) -> dict[str, Any]:
        who = "-c user.name=x -c user.email=x@example.org"
        script = (
            "git init -q . && echo a > a && git add a\n"
            f"git {who} commit -q -m first && git log --format=%s\n"
            "sed -i s/a/b/ a && cat a\n"
            'python3 -c \'import subprocess; print(subprocess.check_output(["echo", "c"]))\'\n'
            "echo d > $TMPDIR/d && cat $TMPDIR/d && cd ~ && pwd"
        )
        done = await sandbox.run(sh(workspace, script))
        return {"code": done.exit_code, "said": done.output.decode().splitlines()}

    found = outcome(work)

    assert found["said"][:4] == ["first", "b", "b'c\\n'", "d"]
    assert found["code"] == 0


def test_its_temporary_directory_ends_with_the_command() -> None:
    async def work(sandbox: Landlocked, workspace: Path) -> dict[str, Any]:
        done = await sandbox.run(sh(workspace, "touch $TMPDIR/x; echo $TMPDIR"))
        return {"place": done.output.decode().strip()}

    place = Path(outcome(work)["place"])

    assert place.name.startswith("longhouse-command-")
    assert not place.exists()


def test_what_a_killed_server_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, kept = (tmp_path / f"longhouse-command-{pid}-x" for pid in (2**22 + 1, os.getpid()))
    left.mkdir()
    kept.mkdir()

    Landlocked()

    assert not left.exists()
    assert kept.exists()


def test_a_post_with_hosts_has_no_network_either_and_is_told() -> None:
    async def work(sandbox: Landlocked, workspace: Path) -> dict[str, Any]:
        reaching = Egress(networks=["127.0.0.0/8"]).reaching(sandbox, ("127.0.0.1",))
        done = await reaching.run(sh(workspace, "env | grep -i proxy; curl -s http://127.0.0.1"))
        return {"code": done.exit_code, "said": done.output.decode()}

    found = outcome(work)

    assert found["code"] != 0
    assert found["said"] == (
        "[network: there is none in this sandbox, whatever hosts the post names]\n"
    )


def test_what_lies_read_only_inside_the_writable_is_refused() -> None:
    async def work(sandbox: Landlocked, workspace: Path) -> dict[str, Any]:
        (workspace / "fixed").mkdir()
        try:
            await sandbox.run(sh(workspace, "true", read_only=(workspace / "fixed",)))
        except SandboxRefused as refused:
            return {"refused": str(refused)}
        return {}

    assert "read-only" in outcome(work)["refused"]


def test_what_forks_for_ever_is_ended() -> None:
    name = f"bomb-{uuid.uuid4().hex}.py"

    async def work(sandbox: Landlocked, workspace: Path) -> dict[str, Any]:
        bomb = (
            "import os, time\n"
            "while True:\n"
            "    try:\n"
            "        if os.fork(): time.sleep(0.001)\n"
            "        else: os.setsid()\n"
            "    except OSError: time.sleep(0.01)"
        )
        (workspace / name).write_text(bomb)
        limits = SandboxLimits(wall_seconds=0.7, processes=24)
        done = await sandbox.run(sh(workspace, f"exec python3 {name}", limits=limits))
        return {"timed_out": done.timed_out}

    assert outcome(work)["timed_out"]
    assert not runs(name)


def runs(mark: str) -> bool:
    """Whether there is a process whose command line has the mark."""
    found = subprocess.run(["pgrep", "-f", mark], check=False, stdout=subprocess.DEVNULL)
    return found.returncode == 0


def test_everything_ends_when_the_server_is_killed() -> None:
    mark = f"600.{uuid.uuid4().int % 10**12:012}"

    def work(place: Path) -> dict[str, Any]:
        begun = place / "begun"
        server = os.fork()
        if server == 0:  # pragma: no cover - another process
            script = f"(setsid sleep {mark} &); echo > {begun}; sleep {mark}"
            try:
                asyncio.run(Landlocked().run(sh(place, script)))
            finally:
                os._exit(0)
        wait_until(begun.exists)
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
        wait_until(lambda: not runs(mark))
        return {"begun": True, "over": True}

    assert as_ordinary_user(work) == {"begun": True, "over": True}
