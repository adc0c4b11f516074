"""Longhouse as an MCP server over HTTP, as a program uses it with the package's own client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult
from tests.docs.pages import code, codes, page, rows, section
from tests.fixtures_server import add_user, calling

from longhouse.identity.scopes import TenantRole
from longhouse.kit.clock import Clock, SystemClock
from longhouse.runtime.model import Models
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import ScriptedModel, Step, call, hang, say
from longhouse.server.app import build_app
from longhouse.server.house import House

API = "/api/v1"
PATIENCE = 60.0  # seconds for a whole turn, on a machine that has other things to do


@pytest.fixture
def database_template(sqlite_template: Path) -> Path:
    """SQLite alone: what depends on the kind of database is tested below HTTP."""
    return sqlite_template


@pytest.fixture
def house_clock() -> Clock:
    """Work goes on by itself here."""
    return SystemClock()


@pytest.fixture
def steps() -> list[Step]:
    """What the model says."""
    return [say("Hello."), say("Hello again.")]


@pytest.fixture
def house_models(steps: list[Step]) -> Models:
    return FixedModels(ScriptedModel(steps))


@asynccontextmanager
async def speaking(address: str, token: str) -> AsyncIterator[Client]:
    """An MCP client of a served house, with this bearer token."""
    headers = {"authorization": f"Bearer {token}"}
    async with (
        asyncio.timeout(PATIENCE),
        httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http,
        Client(streamable_http_client(f"{address}/mcp", http_client=http)) as client,
    ):
        yield client


def token_of(admin: httpx2.AsyncClient) -> str:
    return admin.headers["authorization"].removeprefix("Bearer ")


async def use(client: Client, tool: str, /, **arguments: Any) -> Any:
    """What a tool gives; a tool that fails fails the test."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, words(result)
    found = result.structured_content
    return found["result"] if isinstance(found, dict) and set(found) == {"result"} else found


def words(result: CallToolResult) -> str:
    """The text of a result."""
    return "".join(block.text for block in result.content if block.type == "text")


async def new_agent(admin: httpx2.AsyncClient, name: str = "Grace") -> str:
    posts = (await admin.get(f"{API}/posts")).json()["items"]
    post = next(one["id"] for one in posts if one["name"] == "Engineer")
    answer = await admin.post(f"{API}/agents", json={"name": name, "post_id": post})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_it_has_the_tools_of_the_command_with_their_arguments(
    admin: httpx2.AsyncClient, served: str
) -> None:
    documented = rows(section(page("docs/mcp.md"), "Longhouse as an MCP server"))
    async with speaking(served, token_of(admin)) as client:
        tools = (await client.list_tools()).tools
    assert {code(row[0]): codes(row[1]) for row in documented} == {
        tool.name: list(tool.input_schema.get("properties", {})) for tool in tools
    }


async def test_a_program_gives_an_agent_work_and_reads_the_answer(
    admin: httpx2.AsyncClient, at_work: None, served: str
) -> None:
    agent = await new_agent(admin)
    async with speaking(served, token_of(admin)) as client:
        (listed,) = await use(client, "list_agents")
        answer = await use(client, "send_message", agent="grace", message="hello")
        again = await use(client, "send_message", agent=agent, message="hello")
        status = await use(client, "get_status", agent="Grace")
    assert (listed["name"], listed["id"], listed["status"]) == ("Grace", agent, "idle")
    assert (answer["state"], answer["text"]) == ("done", "Hello.")
    assert (again["session"], again["text"]) == (answer["session"], "Hello again.")
    assert status["state"] == "ready"


@pytest.mark.parametrize("steps", [[call("bash_run", command="ls"), say("Then not.")]])
async def test_what_waits_is_listed_and_decided(
    admin: httpx2.AsyncClient, at_work: None, served: str, steps: list[Step]
) -> None:
    await new_agent(admin)
    async with speaking(served, token_of(admin)) as client:
        answer = await use(client, "send_message", agent="Grace", message="look")
        (waiting,) = await use(client, "list_approvals")
        decision = {"agent": "Grace", "call_id": waiting["call_id"], "decision": "deny"}
        await use(client, "decide", **decision)
        again = await client.call_tool("decide", {**decision, "session": waiting["session"]})
    assert answer["state"] == "waiting"
    assert answer["waiting"] == [waiting]
    assert again.is_error
    assert "was decided before" in words(again)


@pytest.mark.parametrize("steps", [[hang]])
async def test_a_program_need_not_wait(
    admin: httpx2.AsyncClient, at_work: None, served: str, steps: list[Step]
) -> None:
    await new_agent(admin)
    async with speaking(served, token_of(admin)) as client:
        sent = await use(client, "send_message", agent="Grace", message="hello", wait=False)
        late = await use(
            client, "send_message", agent="Grace", message="hello", timeout_seconds=0.1
        )
    assert (sent["state"], late["state"]) == ("queued", "queued")
    assert sent["session"] == late["session"]


async def test_what_goes_wrong_is_said_with_what_to_do(
    admin: httpx2.AsyncClient, served: str
) -> None:
    await new_agent(admin, "Mary")
    async with speaking(served, token_of(admin)) as client:
        missing = await client.call_tool("get_status", {"agent": "Marry"})
        empty = await client.call_tool("send_message", {"agent": "Mary", "message": " "})
        gone = await client.call_tool("get_status", {"agent": "Mary", "session": "session_0"})
    assert "There is no agent 'Marry'. Did you mean Mary? See list_agents." in words(missing)
    assert "The message is empty." in words(empty)
    assert "no session 'session_0'" in words(gone)


async def test_each_request_may_be_answered_by_another_process(
    admin: httpx2.AsyncClient, house: House
) -> None:
    await new_agent(admin)
    headers = {"accept": "application/json, text/event-stream", **admin.headers}

    async def ask(method: str, **params: Any) -> httpx2.Response:
        # A new application each time: nothing of the one before is left.
        transport = httpx2.ASGITransport(build_app(house))
        async with httpx2.AsyncClient(transport=transport, base_url="http://other.test") as http:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            return await http.post("/mcp", json=body, headers=headers)

    answer = await ask("tools/call", name="list_agents", arguments={})

    assert answer.status_code == 200, answer.text
    assert "mcp-session-id" not in answer.headers
    assert "Grace" in answer.text


class TestWho:
    async def test_without_a_valid_token_there_is_nothing(self, client: httpx2.AsyncClient) -> None:
        wrong = {"authorization": "Bearer nonsense"}
        for headers in ({}, wrong):
            answer = await client.post("/mcp", json={}, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"

    async def test_other_methods_are_refused(self, admin: httpx2.AsyncClient) -> None:
        answer = await admin.get("/mcp")

        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")

    async def test_nobody_sees_or_reaches_another_tenants_agents(
        self, admin: httpx2.AsyncClient, house: House, served: str
    ) -> None:
        agent = await new_agent(admin)
        stranger = await add_user(house, "mallory", tenant="elsewhere")
        async with speaking(served, stranger.access_token) as client:
            listed = await use(client, "list_agents")
            reached = await client.call_tool("send_message", {"agent": agent, "message": "hi"})
        assert listed == []
        assert "There is no agent" in words(reached)

    async def test_what_a_role_does_not_reach_is_refused_and_in_the_audit(
        self, admin: httpx2.AsyncClient, house: House, served: str
    ) -> None:
        await new_agent(admin)
        viewer = await add_user(house, "vera", tenant="default", role=TenantRole.VIEWER)
        async with speaking(served, viewer.access_token) as client:
            listed = await use(client, "list_agents")
            refused = await client.call_tool("send_message", {"agent": "Grace", "message": "hi"})
        assert len(listed) == 1
        assert "does not include sessions:write" in words(refused)
        audited = (await admin.get(f"{API}/audit", params={"outcome": "refused"})).json()["items"]
        assert [entry["target"] for entry in audited] == ["sessions:write"]

    async def test_two_callers_at_once_are_told_apart(
        self, admin: httpx2.AsyncClient, house: House, served: str
    ) -> None:
        await new_agent(admin, "Mine")
        stranger = await add_user(house, "mallory", tenant="elsewhere")
        async with calling(house, stranger.access_token) as other:
            await new_agent(other, "Theirs")

        async def names(token: str) -> set[str]:
            async with speaking(served, token) as client:
                found = [await use(client, "list_agents") for _ in range(5)]
            return {agent["name"] for listed in found for agent in listed}

        mine, theirs = await asyncio.gather(names(token_of(admin)), names(stranger.access_token))

        assert (mine, theirs) == ({"Mine"}, {"Theirs"})
