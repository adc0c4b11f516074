"""No command gets out of the sandbox: every attempt of the table is made and fails."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures_sandbox import Escapes
from tests.runtime.sandbox.attempts import ATTEMPTS, SECRET, VICTIM_MARK, Attempt
from tests.runtime.sandbox.users import ME, ORDINARY, as_ordinary_user

from longhouse.runtime.sandbox import landlock_guard
from longhouse.runtime.sandbox.base import Command, Sandbox, SandboxLimits
from longhouse.runtime.sandbox.choose import SandboxKind, choose
from longhouse.runtime.sandbox.egress import Egress
from longhouse.runtime.sandbox.landlock import OLDEST_ABI
from longhouse.runtime.sandbox.off import Unprotected

LIMITS = SandboxLimits(
    wall_seconds=20.0,
    cpu_seconds=10,
    data_bytes=256 << 20,
    processes=64,
    file_bytes=32 << 20,
    open_files=256,
)


@dataclass(kw_only=True)
class World:
    """The machine around the sandbox: what there is to reach, and whether it was reached."""

    workspace: Path
    other: Path
    absent: Path
    victim: subprocess.Popen[bytes]
    env: dict[str, str]

    def command(self, attempt: Attempt) -> Command:
        return Command(argv=attempt.argv, workspace=self.workspace, env=self.env, limits=LIMITS)

    def damage(self) -> list[str]:
        """What an attempt did outside, seen from outside."""
        found = []
        if self.absent.exists():
            found.append("wrote through a dangling link")
        if sorted(path.name for path in self.other.iterdir()) != ["secret"]:
            found.append("wrote to another agent")
        if (self.other / "secret").read_text() != SECRET:
            found.append("changed a foreign file")
        if self.victim.poll() is not None:
            found.append("killed a process of the machine")
        return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("PROVIDER_KEY", SECRET)
    with ExitStack() as held:
        yield build_world(tmp_path, held)


def build_world(place: Path, held: ExitStack) -> World:
    workspace, other, absent = place / "workspace", place / "other", place / "absent"
    workspace.mkdir()
    other.mkdir()
    (other / "secret").write_text(SECRET)
    (workspace / "link-out").symlink_to("../other")
    (workspace / "link-file").symlink_to("../other/secret")
    (workspace / "dangling").symlink_to(absent)
    tcp = held.enter_context(listener(socket.AF_INET, ("127.0.0.1", 0)))
    held.enter_context(listener(socket.AF_UNIX, str(place / "socket")))
    abstract = f"longhouse-test-{os.getpid()}-{place.name}"
    held.enter_context(listener(socket.AF_UNIX, "\0" + abstract))
    victim = subprocess.Popen(["sh", "-c", "sleep 600; :", VICTIM_MARK], start_new_session=True)
    held.callback(victim.wait)
    held.callback(os.killpg, victim.pid, 9)
    env = {
        "SECRET_FILE": str(other / "secret"),
        "OTHER": str(other),
        "ABSENT": str(absent),
        "PORT": str(tcp.getsockname()[1]),
        "SOCKET": str(place / "socket"),
        "ABSTRACT": abstract,
        "VICTIM": str(victim.pid),
        "VICTIM_MARK": VICTIM_MARK,
        "SERVER_CWD": os.getcwd(),
        "SERVER_HOME": str(Path.home()),
    }
    return World(workspace=workspace, other=other, absent=absent, victim=victim, env=env)


def listener(family: int, address: tuple[str, int] | str) -> socket.socket:
    made = socket.socket(family)
    made.bind(address)
    made.listen()
    return made


def last_words(output: bytes) -> str:
    """The last line a command printed: what the kernel told it."""
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1][:90] if lines else ""


def test_the_table_is_long_enough() -> None:
    assert len(ATTEMPTS) >= 38
    assert len({attempt.name for attempt in ATTEMPTS}) == len(ATTEMPTS)


@pytest.mark.sandbox
@pytest.mark.parametrize("hosts", [(), ("shop.example",)], ids=["no-hosts", "hosts"])
@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
async def test_no_command_can(
    attempt: Attempt, hosts: tuple[str, ...], protection: Sandbox, world: World, escapes: Escapes
) -> None:
    sandbox = Egress().reaching(protection, hosts)

    done = await sandbox.run(world.command(attempt))

    escaped = b"ESCAPED" in done.output or bool(world.damage())
    layer = f"{protection.name}, with hosts" if hosts else protection.name
    escapes(layer, ME, "a command", [(attempt.name, escaped, last_words(done.output))])
    assert b"ESCAPED" not in done.output, done.output.decode(errors="replace")
    assert world.damage() == []
    assert not done.timed_out
    assert b"python3: not found" not in done.output


@pytest.mark.skipif(os.geteuid() != 0, reason="some of these need root to succeed")
@pytest.mark.parametrize("attempt", [each for each in ATTEMPTS if each.harmless], ids=str)
async def test_without_a_sandbox_anybody_can(attempt: Attempt, world: World) -> None:
    done = await Unprotected().run(world.command(attempt))

    assert b"ESCAPED" in done.output, done.output.decode(errors="replace")


@pytest.mark.sandbox
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.usefixtures("anyio_backend")  # an asynchronous fixture needs it in a plain test
def test_no_command_can_under_a_server_of_an_ordinary_user(
    protection: Sandbox, escapes: Escapes
) -> None:
    outcomes = as_ordinary_user(lambda place: asyncio.run(try_all(place)))

    escapes("bubblewrap", ORDINARY, "a command", outcomes["tries"])
    assert outcomes["sandbox"] == "bubblewrap"
    assert outcomes["ran"] == len(ATTEMPTS)
    assert outcomes["escaped"] == []
    assert outcomes["damage"] == []


@pytest.mark.sandbox
@pytest.mark.skipif(landlock_guard.abi() < OLDEST_ABI, reason="this kernel's Landlock is too old")
def test_no_command_can_under_landlock(escapes: Escapes) -> None:
    kept = [each for each in ATTEMPTS if not each.sight]
    outcomes = as_ordinary_user(lambda place: asyncio.run(try_all(place, "landlock", kept)))

    escapes("landlock", ORDINARY, "a command", outcomes["tries"])
    assert len(kept) >= 40
    assert outcomes["sandbox"] == "landlock"
    assert outcomes["ran"] == len(kept)
    assert outcomes["escaped"] == []
    assert outcomes["damage"] == []


async def try_all(
    place: Path, kind: SandboxKind = "auto", attempts: Sequence[Attempt] = ATTEMPTS
) -> dict[str, Any]:
    """Every attempt in one world, under a sandbox that this very user gets."""
    sandbox = await choose(kind)
    with ExitStack() as held:
        world = build_world(place, held)
        world.env["SERVER_HOME"] = "/nonexistent"
        done = [(each.name, await sandbox.run(world.command(each))) for each in attempts]
        return {
            "tries": [
                (name, b"ESCAPED" in each.output, last_words(each.output)) for name, each in done
            ],
            "sandbox": sandbox.name,
            "ran": sum(b"python3: not found" not in each.output for _, each in done),
            "escaped": [name for name, each in done if b"ESCAPED" in each.output],
            "damage": world.damage(),
        }
