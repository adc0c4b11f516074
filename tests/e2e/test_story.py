"""The whole story on a real server: a one-time link, an agent, approvals, a branch that passes."""

import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.e2e.people import PASSWORD, Caller, Curl, Event, Http, Transport
from tests.e2e.servers import Server, serving
from tests.e2e.shell import Shell
from tests.peers.fakellm import FakeVendor

from longhouse.agents.samples import make_sample_repository

KEY = "sk-test-of-the-story"
BRANCH = "fix/percent-off"
WISH = "Make the failing test pass"
PROMPT = "Ada > "
QUESTION = "y allow"

STEPS: list[Any] = [
    {"think": "First the code, then the tests.", "read": "calculator.py"},
    {"say": "Let me run the tests.", "bash": "python3 -m unittest 2>&1 | tail -n 3"},
    {
        "edit": [
            "calculator.py",
            "return price * (1 + percent / 100)",
            "return price * (1 - percent / 100)",
        ]
    },
    {"bash": "python3 -m unittest"},
    {"say": "The test passes now."},
]
SCRIPTED_WISH = f"{WISH}. FAKE:{json.dumps(STEPS)}"

pytestmark = pytest.mark.usefixtures("protection")


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """`curl` where there is one."""
    if shutil.which("curl"):
        yield Curl()
        return
    async with aiohttp.ClientSession() as session:
        yield Http(session)


@pytest.fixture
async def vendor() -> AsyncIterator[FakeVendor]:
    async with FakeVendor(key=KEY, models=["fake-1"]) as made:
        yield made


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A person's own repository, with a test that fails."""
    return make_sample_repository(tmp_path / "code" / "calculator")


@pytest.fixture(params=["demo", "openai", "anthropic"])
async def server(
    request: pytest.FixtureRequest, vendor: FakeVendor, repository: Path, tmp_path: Path
) -> AsyncIterator[Server]:
    """A server for each kind of model."""
    settings = {
        "demo": {},
        "openai": {
            "LONGHOUSE_MODEL": "openai:fake-1",
            "OPENAI_BASE_URL": vendor.openai_url,
            "OPENAI_API_KEY": KEY,
        },
        "anthropic": {
            "LONGHOUSE_MODEL": "anthropic:fake-1",
            "ANTHROPIC_BASE_URL": vendor.url,
            "ANTHROPIC_API_KEY": KEY,
        },
    }
    roots = {"LONGHOUSE_REPOSITORY_ROOTS": str(repository.parent)}
    async with serving(tmp_path / "house", roots | settings[request.param]) as running:
        yield running


@pytest.fixture
def wish(request: pytest.FixtureRequest, server: Server) -> str:
    """What a person asks for: the scripted vendor needs its script with it."""
    del server
    kind = request.node.callspec.params["server"]
    return WISH if kind == "demo" else SCRIPTED_WISH


def check_out(repository: Path, branch: str, target: Path) -> Path:
    """A fresh clone of one branch."""
    subprocess.run(
        ["git", "clone", "--quiet", "--branch", branch, repository, target],
        check=True,
        capture_output=True,
    )
    return target


def passes(directory: Path) -> bool:
    """Whether the tests of the calculator in this directory pass."""
    command = [sys.executable, "-m", "unittest"]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode == 0


def of_type(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


async def test_the_story_by_curl(
    server: Server, transport: Transport, wish: str, repository: Path, tmp_path: Path
) -> None:
    ada = Caller(transport, server.address)
    assert await ada.get("/setup") == {"needed": True}

    _, token = await server.one_time_link()
    await ada.first_run(token)
    agent_id = await ada.new_agent(source=str(repository))
    session = await ada.new_session(agent_id)
    sent = await ada.say(session, wish)
    seen = await ada.work(session)

    assert (sent.status, sent.json["status"]) == (202, "queued")
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert of_type(seen, "done")[0]["reason"] == "completed"
    asked = {event["call_id"] for event in of_type(seen, "permission_required")}
    ran = {event["call_id"] for event in of_type(seen, "tool_start")}
    assert asked, "the post asks before it changes anything"
    assert asked <= ran
    assert await ada.get("/setup") == {"needed": False}

    diff = await ada.get(f"/agents/{agent_id}/workspace/diff")
    assert [(file["path"], file["status"]) for file in diff["files"]] == [
        ("calculator.py", "modified")
    ]
    assert "+    return price * (1 - percent / 100)" in diff["patch"]
    committed = await ada.post(
        f"/agents/{agent_id}/workspace/commit",
        {"branch": BRANCH, "message": "Take the percentage off"},
    )
    assert (committed["branch"], committed["files"]) == (BRANCH, 1)
    assert passes(check_out(repository, BRANCH, tmp_path / "after"))
    assert not passes(check_out(repository, "main", tmp_path / "before"))


@pytest.fixture
async def shell(server: Server, transport: Transport, tmp_path: Path) -> Shell:
    """A shell whose person has signed in, at a server where everything else is still to do."""
    _, token = await server.one_time_link()
    await Caller(transport, server.address).first_run(token)
    (tmp_path / "home").mkdir()
    ready = Shell(tmp_path / "home", server.address)
    await ready.succeed("login", "--username", "ada", "--password-stdin", typed=f"{PASSWORD}\n")
    return ready


async def test_the_story_by_chat(shell: Shell, wish: str, repository: Path, tmp_path: Path) -> None:
    await shell.succeed("agents", "create", "Ada", "--repository", str(repository))
    chat = await shell.run("chat", "Ada", wish, "--approve", "allow")
    patch = await shell.succeed("agents", "diff", "Ada")
    await shell.succeed("agents", "commit", "Ada", "--branch", BRANCH, "--message", "Take it off")

    assert chat.code == 0, chat
    assert chat.out.strip(), "the agent's answer, for programs"
    assert "+    return price * (1 - percent / 100)" in chat.err, "what it does, for people"
    assert "+    return price * (1 - percent / 100)" in patch
    assert passes(check_out(repository, BRANCH, tmp_path / "after"))
    assert not passes(check_out(repository, "main", tmp_path / "before"))


@pytest.mark.parametrize("server", ["demo"], indirect=True)
async def test_the_story_in_a_terminal_with_one_key_for_each_approval(shell: Shell) -> None:
    await shell.succeed("agents", "create", "Ada", "--repository", "sample")
    asked = []
    async with shell.in_terminal("chat", "Ada") as terminal:
        await terminal.until(PROMPT)
        terminal.press(f"{WISH}\n")
        while (shown := await terminal.until(QUESTION, PROMPT))[1] == QUESTION:
            asked.append(shown[0])
            terminal.press("y")
        terminal.press("/diff\n")
        diff, _ = await terminal.until(PROMPT)
        terminal.press("/quit\n")
        assert await terminal.ended() == 0

    assert any("-    return price * (1 + percent / 100)" in question for question in asked)
    assert "+    return price * (1 - percent / 100)" in diff
