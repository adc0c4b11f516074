"""Runs every program of `examples/` as a person would: in a folder of its own, over its real port.

Nobody's keys are set, so that the demo model or a program's own script answers.
"""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.patience import PATIENCE

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CHAT_SERVER_LINES = 60

ADDRESS = re.compile(r"running on (http://\S+)")


async def run(name: str, folder: Path, *arguments: str) -> str:
    """What a program prints until it ends by itself."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(EXAMPLES / name), *arguments),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            out, complaints = await program.communicate()
    finally:
        await _end(program)
    assert program.returncode == 0, complaints.decode()
    return out.decode()


@asynccontextmanager
async def served(name: str, folder: Path) -> AsyncIterator["Client"]:
    """A client of a program that serves until it is interrupted from the keyboard."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(EXAMPLES / name)),
        cwd=folder,
        env={**os.environ, "PORT": "0"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            address, log = await _address(program)
            reading = asyncio.create_task(_rest(program))
            async with aiohttp.ClientSession(address) as session:
                yield Client(session)
            program.send_signal(signal.SIGINT)
            log += await reading
            await program.wait()
    finally:
        await _end(program)
    assert "Traceback" not in log, log


async def _address(program: asyncio.subprocess.Process) -> tuple[str, str]:
    assert program.stderr is not None
    log = ""
    while line := (await program.stderr.readline()).decode():
        log += line
        if found := ADDRESS.search(line):
            return found[1], log
    raise AssertionError(f"it did not begin to serve:\n{log}")


async def _rest(program: asyncio.subprocess.Process) -> str:
    assert program.stderr is not None
    return (await program.stderr.read()).decode()


async def _end(program: asyncio.subprocess.Process) -> None:
    if program.returncode is None:
        program.kill()
        await program.wait()


class Client:
    """A browser, as far as the examples need one."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def page(self) -> str:
        async with self._session.get("/") as answer:
            assert answer.content_type == "text/html"
            return await answer.text()

    async def post(self, path: str, **body: str) -> tuple[int, Any]:
        async with self._session.post(path, json=body) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def events(
        self, path: str, *, until: str, since: int = 0
    ) -> list[tuple[int, dict[str, Any]]]:
        """The events of a stream up to the first of a type, each with its id; 0 for a delta."""
        found = []
        headers = {"Last-Event-ID": str(since)} if since else {}
        async with self._session.get(path, headers=headers) as answer:
            assert answer.content_type == "text/event-stream"
            async for event_id, event in _parsed(answer.content):
                found.append((event_id, event))
                if event.get("type") == until:
                    return found
        raise AssertionError(f"the stream ended before {until}")


async def _parsed(lines: aiohttp.StreamReader) -> AsyncIterator[tuple[int, dict[str, Any]]]:
    event_id, data = 0, ""
    async for line in lines:
        name, _, value = line.decode().rstrip("\r\n").partition(": ")
        match name:
            case "id":
                event_id = int(value)
            case "data":
                data += value
            case "" if data:
                yield event_id, json.loads(data)
                event_id, data = 0, ""


class TestSingleAgent:
    async def test_it_answers_live_and_remembers_the_talk(self, tmp_path: Path) -> None:
        folder = tmp_path / "lamps"
        folder.mkdir()
        (folder / "README.md").write_text("# Lamps\n")

        first = await run("single_agent.py", tmp_path, str(folder), "What is in here?")
        second = await run("single_agent.py", tmp_path, str(folder), "What is in here?")

        assert "[fs_read {'path': 'README.md'}]" in first
        assert "Lamps" in first
        assert first.endswith("(completed, turn 1)\n")
        assert second.endswith("(completed, turn 2)\n")
        assert sorted(path.name for path in folder.iterdir()) == ["README.md"]


class TestForkAndCompare:
    async def test_two_forks_of_one_past_say_different_things(self, tmp_path: Path) -> None:
        out = await run("fork_and_compare.py", tmp_path)

        assert out.splitlines() == [
            "learns: A lamp for twenty years that can be repaired.",
            "serious: Twenty years of light. And then you mend it.",
            "    from lamp at 'briefed', turn 2",
            "funny: Outlives your sofa. Possibly your sofa's children.",
            "    from lamp at 'briefed', turn 2",
            "lamp itself is still at turn 1",
        ]


class TestRoom:
    async def test_two_agents_talk_a_question_over_and_again(self, tmp_path: Path) -> None:
        first = await run("room.py", tmp_path, "How fast?")
        second = await run("room.py", tmp_path, "And now?")

        assert first.splitlines() == [
            "you: @architect How fast?",
            "architect: We cache every page for a day. @critic, what is wrong with that?",
            "critic: @architect, nobody sees today's prices before tomorrow.",
            "architect: Then we cache all but the prices.",
        ]
        assert second.splitlines()[0] == "you: @architect And now?"
        assert len(second.splitlines()) == 4


class TestChatServer:
    def test_it_is_short(self) -> None:
        lines = (EXAMPLES / "chat_server.py").read_text(encoding="utf-8").splitlines()

        assert len(lines) <= CHAT_SERVER_LINES

    async def test_every_user_talks_with_an_agent_of_their_own(self, tmp_path: Path) -> None:
        async with served("chat_server.py", tmp_path) as client:
            assert "EventSource" in await client.page()
            for user in ("ada", "bo"):
                status, _ = await client.post(f"/users/{user}/messages", text="hello")
                assert status == 202
            for user in ("ada", "bo"):
                events = await client.events(f"/users/{user}/stream", until="done")
                said = [event for _, event in events if event.get("type") == "message"]
                assert [event["sender"] for event in said] == [user]
                assert "Hello!" in next(e["text"] for _, e in events if e.get("type") == "text")

    async def test_a_stream_goes_on_where_it_broke_off_also_after_a_restart(
        self, tmp_path: Path
    ) -> None:
        async with served("chat_server.py", tmp_path) as client:
            await client.post("/users/ada/messages", text="hello")
            before = await client.events("/users/ada/stream", until="done")

        last = before[-1][0]
        async with served("chat_server.py", tmp_path) as client:
            again = await client.events("/users/ada/stream", until="done")
            await client.post("/users/ada/messages", text="thanks")
            after = await client.events("/users/ada/stream", until="done", since=last)

        assert again == [event for event in before if event[0]]
        assert [event["text"] for _, event in after if event.get("type") == "message"] == ["thanks"]
        assert all(event_id == 0 or event_id > last for event_id, _ in after)


def notes(folder: Path) -> list[Path]:
    """The notes that agents have written."""
    return list(folder.glob(".longhouse/workspaces/*/NOTES.md"))


class TestApprovals:
    async def test_a_call_waits_over_a_restart_and_runs_once_it_is_allowed(
        self, tmp_path: Path
    ) -> None:
        async with served("approvals_over_sse.py", tmp_path) as client:
            assert "EventSource" in await client.page()
            await client.post("/messages", text="Write notes.")
            *_, (_, asked) = await client.events("/events", until="permission_required")

        async with served("approvals_over_sse.py", tmp_path) as client:
            path = f"/approvals/{asked['call_id']}"
            assert await client.post(path, decision="allow", by="Ada") == (204, None)
            events = [event for _, event in await client.events("/events", until="done")]
            status, problem = await client.post(path, decision="deny")

        assert asked["name"] == "fs_write"
        assert "+# Notes" in asked["preview"]
        assert [e["outcome"] for e in events if e["type"] == "tool_end"][-1] == "ok"
        assert [e["by"] for e in events if e["type"] == "permission_decided"] == ["Ada"]
        assert len(notes(tmp_path)) == 1
        assert (status, problem["code"]) == (409, "already-decided")

    async def test_a_denied_call_does_not_run_and_the_agent_reads_why(self, tmp_path: Path) -> None:
        async with served("approvals_over_sse.py", tmp_path) as client:
            await client.post("/messages", text="Write notes.")
            *_, (_, asked) = await client.events("/events", until="permission_required")
            await client.post(f"/approvals/{asked['call_id']}", decision="deny", note="Not today.")
            events = [event for _, event in await client.events("/events", until="done")]

        assert [e["outcome"] for e in events if e["type"] == "tool_end"][-1] == "denied"
        assert "Not today." in events[-2]["text"]
        assert notes(tmp_path) == []

    async def test_what_cannot_be_decided_is_a_problem_that_says_what_to_do(
        self, tmp_path: Path
    ) -> None:
        async with served("approvals_over_sse.py", tmp_path) as client:
            status, problem = await client.post("/messages", text=" ")
            unknown, _ = await client.post("/approvals/nothing", decision="allow")

        assert (status, unknown) == (422, 404)
        assert problem["hint"]


@pytest.mark.parametrize("program", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_every_program_is_run_here_and_named_in_the_documentation(program: str) -> None:
    root = EXAMPLES.parent

    assert f'"{program}"' in Path(__file__).read_text(encoding="utf-8")
    assert f"examples/{program}" in (root / "docs" / "runtime.md").read_text(encoding="utf-8")
