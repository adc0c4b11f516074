"""MCP servers at the server: named by a file, used by agents of posts that name their tools."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from longhouse.agents.api import posts
from longhouse.kit.clock import Clock, SystemClock
from longhouse.runtime.model import Models
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import ScriptedModel, Step, call, calls, say

API = "/api/v1"
PEER = Path(__file__).parents[1] / "peers" / "mcp_peer.py"
PATIENCE = 60.0  # seconds; a peer needs two to start, and longer on a busy machine


@pytest.fixture
def house_clock() -> Clock:
    """Work goes on by itself here."""
    return SystemClock()


@pytest.fixture
def house_models() -> Models:
    """One call of a tool of the peer."""
    steps: list[Step] = [calls(call("mcp__peer__add", call_id="add", a=2, b=3)), say("It is 5.")]
    return FixedModels(ScriptedModel(steps))


@pytest.fixture
def house_sets(tmp_path: Path) -> dict[str, object]:
    """The peer, by a file."""
    entry = {"command": sys.executable, "args": [str(PEER)]}
    gone = {"command": str(tmp_path / "nothing-here")}
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"peer": entry, "gone": gone}}), encoding="utf-8")
    return {"mcp_servers": path}


async def made(admin: httpx2.AsyncClient, what: str, body: dict[str, object]) -> Any:
    answer = await admin.post(f"{API}/{what}", json=body)
    assert answer.is_success, answer.text
    return answer.json()


async def test_a_post_names_the_tools_of_a_server_and_its_agent_uses_them(
    admin: httpx2.AsyncClient, at_work: None
) -> None:
    post = await made(admin, "posts", {"name": "Sums", "tools": ["mcp__peer__*"]})
    assert post["tools"] == ["mcp__peer__*"]
    agent = await made(admin, "agents", {"name": "Ada", "post_id": post["id"]})
    session = await made(admin, f"agents/{agent['id']}/sessions", {})
    place = f"agents/{agent['id']}/sessions/{session['id']}"
    await made(admin, f"{place}/messages", {"text": "How much is 2 and 3?"})
    async with asyncio.timeout(PATIENCE):
        # Polled: answers of a client in this process arrive whole, and a stream never ends.
        while "done" not in (events := await _events(admin, place)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert events["tool_end"]["content"] == "5"


async def test_tools_of_servers_are_listed_and_a_server_that_is_down_is_named(
    admin: httpx2.AsyncClient,
) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:  # the peer may need longer to start than one question has
            listed = (await admin.get(f"{API}/tools")).json()
            silent = {one["server"]: one["reason"] for one in listed["silent"]}
            if "peer" not in silent:
                break

    by_name = {tool["name"]: tool for tool in listed["items"]}
    assert by_name["fs_read"]["server"] is None
    assert by_name["mcp__peer__add"]["server"] == "peer"
    assert "a" in by_name["mcp__peer__add"]["schema"]["properties"]
    assert "gone" in silent["gone"]
    assert not any(name.endswith("__unavailable") for name in by_name)


async def test_a_server_that_does_not_answer_in_time_is_named_and_asked_on(
    admin: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posts, "MCP_SECONDS", 0.0)

    listed = (await admin.get(f"{API}/tools")).json()

    silent = {one["server"]: one["reason"] for one in listed["silent"]}
    assert silent["peer"] == "It did not answer within 0 seconds."
    assert {tool["server"] for tool in listed["items"]} == {None}


async def test_a_tool_of_a_server_that_is_not_named_is_refused(admin: httpx2.AsyncClient) -> None:
    answer = await admin.post(f"{API}/posts", json={"name": "X", "tools": ["mcp__other__*"]})
    assert answer.status_code == 422
    assert "mcp__peer__*" in answer.json()["hint"]


async def _events(admin: httpx2.AsyncClient, place: str) -> dict[str, Any]:
    """The last event of each type."""
    answer = await admin.get(f"{API}/{place}/events")
    return {event["type"]: event for event in answer.json()["items"]}
