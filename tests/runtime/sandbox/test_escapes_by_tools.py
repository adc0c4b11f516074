"""No tool leads its agent out: each is tried at least forty times under every layer and user.

`test_escapes` tries commands in the sandbox itself; here everything goes through a tool's own door.
Root is tried where the tests run as root. Landlock holds no root: there it must refuse to run.
"""

import asyncio
import re
import shlex
from collections.abc import Awaitable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures_sandbox import Escapes, Try
from tests.patience import PATIENCE
from tests.runtime.sandbox.attempts import ATTEMPTS, RESOURCES, SECRET, Attempt
from tests.runtime.sandbox.test_escapes import World, build_world, last_words
from tests.runtime.sandbox.users import ROOT, USERS, as_user
from tests.runtime.tools.conftest import Hand
from tests.runtime.tools.test_confinement import FILE_TOOLS, WAYS

from longhouse.runtime.sandbox import landlock_guard
from longhouse.runtime.sandbox.base import Sandbox, SandboxRefused
from longhouse.runtime.sandbox.choose import SandboxKind, choose
from longhouse.runtime.sandbox.egress import Egress
from longhouse.runtime.sandbox.fitted import Fitted
from longhouse.runtime.sandbox.landlock import OLDEST_ABI
from longhouse.runtime.tools.base import InvalidArguments, ToolFailed

LAYERS: dict[str, tuple[SandboxKind, tuple[str, ...]]] = {
    "bubblewrap": ("bubblewrap", ()),
    "bubblewrap, with hosts": ("bubblewrap", ("shop.example",)),
    "landlock": ("landlock", ()),
}

OPENAT2 = "openat2"  # what holds the tools that open files in the server

OTHERS_SHELL = "call-of-another-agent"

ENOUGH = 40

needs_landlock = pytest.mark.skipif(
    landlock_guard.abi() < OLDEST_ABI, reason="this kernel's Landlock is too old"
)


# --- tools that run commands ----------------------------------------------------------------------


@pytest.mark.sandbox
@pytest.mark.usefixtures("anyio_backend", "protection")
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(
    "layer",
    [pytest.param(name, marks=needs_landlock if name == "landlock" else ()) for name in LAYERS],
)
def test_no_tool_that_runs_commands_leads_out(
    layer: str, user: str, escapes: Escapes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_KEY", SECRET)

    outcome = as_user(user, lambda place: asyncio.run(by_commands(place, layer)))

    for tool, tries in outcome["tools"].items():
        escapes(layer, user, tool, tries)
    assert outcome["runs"] == ((layer, user) != ("landlock", ROOT))
    assert escaped_of(outcome["tools"]) == []
    assert outcome["damage"] == []


async def by_commands(place: Path, layer: str) -> dict[str, Any]:
    """Every way by every tool that runs commands, under the sandbox that this very user gets."""
    kind, hosts = LAYERS[layer]
    sandbox = Egress().reaching(await choose(kind), hosts)
    with ExitStack() as held:
        world = build_surroundings(place, held)
        world.env["SERVER_HOME"] = "/nonexistent"
        hand = Hand(workspace=world.workspace, sandbox=Fitted(sandbox=sandbox, env=world.env))
        runs = sandbox.describe().protects
        if runs:
            assert "it runs\n" in await in_background(hand, "python3 -c 'print(\"it runs\")'")
        attempts = [each for each in ATTEMPTS if is_held(each, kind)]
        tools = {
            "bash_run": [await elsewhere(hand, way) for way in WAYS],
            "bash_run, background": [await unseen(hand, each) for each in attempts],
        }
        if runs:
            tools |= await by_foreign_shells(hand, world, sandbox)
        return {"runs": runs, "tools": tools, "damage": damage(world)}


def is_held(attempt: Attempt, kind: SandboxKind) -> bool:
    """Whether the layer promises to hold it. The tool has limits of its own, and higher ones."""
    return attempt not in RESOURCES and not (kind == "landlock" and attempt.sight)


async def elsewhere(hand: Hand, way: str) -> Try:
    """Run a command in a directory that is not the workspace's."""
    return await tried(way, hand.use("bash_run", command="pwd; ls -a; cat file", cwd=way))


async def unseen(hand: Hand, attempt: Attempt) -> Try:
    """Run an attempt in the background, and read what it printed."""
    try:
        printed = await in_background(hand, shlex.join(attempt.argv))
    except SandboxRefused as refused:
        return attempt.name, False, refused.detail
    return attempt.name, "ESCAPED" in printed, last_words(printed.encode())


async def in_background(hand: Hand, command: str) -> str:
    """All that a background command prints until it ends by itself."""
    hand.call_id = f"call-{len(hand.background)}"
    hand.background.add(hand.call_id)
    async with asyncio.timeout(PATIENCE):
        await hand.use("bash_run", command=command, background=True)
        printed, since = "", 0
        while True:
            said = await hand.use("bash_logs", shell=hand.call_id, since=since, wait=60)
            piece, _, state = said.rpartition("[")
            printed += piece
            if (more := re.search(r"go on with since=(\d+)]$", state)) is None:
                return printed
            since = int(more[1])


async def by_foreign_shells(hand: Hand, world: World, sandbox: Sandbox) -> dict[str, list[Try]]:
    """Read and end what another agent, or nobody's agent, has running."""
    other = Hand(workspace=world.other, sandbox=sandbox, call_id=OTHERS_SHELL)
    await other.use("bash_run", command="cat secret; sleep 600", background=True)
    async with asyncio.timeout(PATIENCE):
        while SECRET not in await other.use("bash_logs", shell=OTHERS_SHELL, wait=60):
            pass
    pid = world.victim.pid
    names = [OTHERS_SHELL, f"../{OTHERS_SHELL}", f"agent/{OTHERS_SHELL}", str(pid), f"-{pid}"]
    names += ["-1", "0", "1", "*", "", *WAYS]
    found = {
        tool: [await tried(name, hand.use(tool, shell=name)) for name in names]
        for tool in ("bash_logs", "bash_kill")
    }
    found["bash_kill"].append(("the other's still runs", other.shells.running != 1, ""))
    await other.shells.end_all("the test is over")
    return found


# --- tools that open files ------------------------------------------------------------------------


@pytest.mark.parametrize("user", USERS)
def test_no_tool_that_opens_files_leads_out(user: str, escapes: Escapes) -> None:
    outcome = as_user(user, lambda place: asyncio.run(by_files(place)))

    for tool, tries in outcome["tools"].items():
        escapes(OPENAT2, user, tool, tries)
    assert escaped_of(outcome["tools"]) == []
    assert outcome["damage"] == []


async def by_files(place: Path) -> dict[str, Any]:
    """Every way by every tool that opens files in the server."""
    with ExitStack() as held:
        world = build_surroundings(place, held)
        skill = world.workspace / ".skills/own/SKILL.md"
        skill.parent.mkdir(parents=True)
        skill.write_text("---\ndescription: A skill of the workspace.\n---\n")
        link_out(skill.parent, up="../../../")
        hand = Hand(workspace=world.workspace, seen=dict.fromkeys(WAYS, "0" * 32))
        assert "A skill of the workspace" in await hand.use("skills", name="own", file="SKILL.md")
        tools = {
            tool: [await tried(way, hand.use(tool, path=way, **more)) for way in WAYS]
            for tool, more in FILE_TOOLS.items()
        }
        tools["fs_read, kept output"] = [
            await tried(way, hand.use("fs_read", path=f"output:{way}")) for way in WAYS
        ]
        tools["skills"] = [
            await tried(way, hand.use("skills", name="own", file=way)) for way in WAYS
        ]
        return {"tools": tools, "damage": damage(world)}


def test_where_nothing_holds_these_ways_lead_out(tmp_path: Path) -> None:
    with ExitStack() as held:
        world = build_surroundings(tmp_path, held)

        read = [
            (world.workspace / way).read_text()
            for way in WAYS
            if way.endswith("file") and (world.workspace / way).is_file()
        ]

    assert len(read) >= 12
    assert set(read) == {SECRET}


# --- what they share ------------------------------------------------------------------------------


NEIGHBOURS = ("other-agent", "workspace-evil")


def build_surroundings(place: Path, held: ExitStack) -> World:
    """A world with all that the ways lead to, and a workspace with the links they need."""
    world = build_world(place, held)
    for name in NEIGHBOURS:
        (place / name).mkdir()
        (place / name / "file").write_text(SECRET)
    link_out(world.workspace)
    return world


def damage(world: World) -> list[str]:
    """What was done outside, seen from outside."""
    files = [world.workspace.parent / name / "file" for name in NEIGHBOURS]
    return world.damage() + [f"changed {file}" for file in files if file.read_text() != SECRET]


def link_out(directory: Path, up: str = "../") -> None:
    """The links of the ways, from a directory that lies so deep below what is outside."""
    for name in ("sub", "deep"):
        (directory / name).mkdir()
    for link, target in {
        "link-to-directory": f"{up}other-agent",
        "link-to-file": f"{up}other-agent/file",
        "absolute-link": str((directory / up).resolve() / "other-agent/file"),
        "deep/link-up": f"../{up}",
        "chain-one": "chain-two",
        "chain-two": f"{up}other-agent/file",
        "proc-link": "/proc/self",
        "proc-root": "/proc/self/root",
    }.items():
        (directory / link).symlink_to(target)


async def tried(way: str, call: Awaitable[str]) -> Try:
    """A call that must be refused: whatever else comes of it has led out."""
    try:
        said = await call
    except (ToolFailed, InvalidArguments) as refused:
        return way, SECRET in str(refused), last_words(str(refused).encode())
    return way, True, last_words(said.encode())


def escaped_of(tools: dict[str, Sequence[Try]]) -> list[tuple[str, str, str]]:
    """What led out, after a look at whether every tool was tried often enough."""
    for tool, tries in tools.items():
        assert len(tries) >= ENOUGH, tool
    return [
        (tool, way, said)
        for tool, tries in tools.items()
        for way, escaped, said in tries
        if escaped
    ]
