"""The main job over HTTP: a person gives an agent work in a repository and decides about it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx2
import pytest
from tests.fixtures_server import add_user, calling

from longhouse.kit.clock import Clock, SystemClock
from longhouse.server.house import House

API = "/api/v1"
PATIENCE = 60.0  # seconds for a whole turn, on a machine that has other things to do

Event = dict[str, Any]


@pytest.fixture
def house_clock() -> Clock:
    """Work goes on by itself here."""
    return SystemClock()


async def answer_of(answer: httpx2.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


async def new_agent(admin: httpx2.AsyncClient, name: str = "Ada") -> str:
    """An agent of the post Engineer in the sample repository; its id."""
    posts = await answer_of(await admin.get(f"{API}/posts"))
    engineer = next(post["id"] for post in posts["items"] if post["name"] == "Engineer")
    agent = await answer_of(
        await admin.post(
            f"{API}/agents",
            json={"name": name, "post_id": engineer, "repository": {"source": "sample"}},
        )
    )
    agent_id: str = agent["id"]
    return agent_id


async def new_session(admin: httpx2.AsyncClient, agent_id: str) -> str:
    """The address of a new session of the agent."""
    session = await answer_of(await admin.post(f"{API}/agents/{agent_id}/sessions", json={}))
    return f"{API}/agents/{agent_id}/sessions/{session['id']}"


async def events(
    http: aiohttp.ClientSession, address: str, headers: dict[str, str]
) -> AsyncIterator[Event]:
    """The events of a stream with their number, without live fragments and comments."""
    async with http.get(address, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        fields: dict[str, str] = {}
        async for line in answer.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            else:
                if "id" in fields:
                    event = json.loads(fields["data"])
                    assert event["seq"] == int(fields["id"])
                    assert event["type"] == fields["event"]
                    yield event
                fields = {}


async def work(
    admin: httpx2.AsyncClient, served: str, session: str, headers: dict[str, str]
) -> list[Event]:
    """Follow the session and allow whatever is asked, until the turn is done."""
    seen: list[Event] = []
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as http:
        async for event in events(http, f"{served}{session}/stream", headers):
            seen.append(event)
            if event["type"] == "permission_required":
                decided = await admin.post(
                    f"{session}/approvals/{event['call_id']}", json={"decision": "allow"}
                )
                assert decided.status_code == 204, decided.text
            if event["type"] == "done":
                return seen
    raise AssertionError("the stream ended before the turn")


def bearer(client: httpx2.AsyncClient) -> dict[str, str]:
    return {"authorization": client.headers["authorization"]}


@pytest.mark.usefixtures("at_work")
async def test_an_agent_makes_the_failing_test_pass_after_a_person_allowed_its_steps(
    admin: httpx2.AsyncClient, served: str
) -> None:
    agent_id = await new_agent(admin)
    session = await new_session(admin, agent_id)

    sent = await admin.post(f"{session}/messages", json={"text": "Make the failing test pass"})
    seen = await work(admin, served, session, bearer(admin))

    assert sent.status_code == 202
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert "permission_required" in {event["type"] for event in seen}
    assert seen[-1]["reason"] == "completed"
    diff = await answer_of(await admin.get(f"{API}/agents/{agent_id}/workspace/diff"))
    assert diff["files"]
    page = await answer_of(await admin.get(f"{session}/events"))
    assert page["items"][: len(seen)] == seen, "the stream and the list are the same journal"


@pytest.mark.usefixtures("at_work")
async def test_a_stream_that_reconnects_goes_on_after_the_last_event_it_got(
    admin: httpx2.AsyncClient, served: str
) -> None:
    session = await new_session(admin, await new_agent(admin))
    await admin.post(f"{session}/messages", json={"text": "hello"})
    seen = await work(admin, served, session, bearer(admin))

    rest: list[Event] = []
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as http:
        headers = bearer(admin) | {"last-event-id": "2"}
        async for event in events(http, f"{served}{session}/stream", headers):
            rest.append(event)
            if len(rest) == len(seen) - 2:
                break

    assert rest == seen[2:]


async def test_signing_out_ends_the_streams_of_the_login(
    admin: httpx2.AsyncClient, served: str
) -> None:
    session = await new_session(admin, await new_agent(admin))

    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as http:
        stream = events(http, f"{served}{session}/stream", bearer(admin))
        first = await anext(stream)
        await admin.post(f"{API}/auth/logout")
        rest = [event async for event in stream]

    assert first["seq"] == 1
    assert rest == []


async def test_stopping_the_server_ends_open_streams(
    house: House, admin: httpx2.AsyncClient, served: str
) -> None:
    session = await new_session(admin, await new_agent(admin))

    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as http:
        stream = events(http, f"{served}{session}/stream", bearer(admin))
        await anext(stream)
        house.stopping.set()
        rest = [event async for event in stream]

    assert rest == []


async def test_what_belongs_to_another_tenant_is_as_missing_as_what_never_was(
    house: House, admin: httpx2.AsyncClient
) -> None:
    agent_id = await new_agent(admin)
    session = await new_session(admin, agent_id)
    posts = await answer_of(await admin.get(f"{API}/posts"))
    addresses = [
        ("GET", f"{API}/posts/{posts['items'][0]['id']}", None),
        ("PATCH", f"{API}/posts/{posts['items'][0]['id']}", {"name": "Mine"}),
        ("DELETE", f"{API}/posts/{posts['items'][0]['id']}", None),
        ("GET", f"{API}/agents/{agent_id}", None),
        ("PATCH", f"{API}/agents/{agent_id}", {"name": "Mine"}),
        ("DELETE", f"{API}/agents/{agent_id}", None),
        ("GET", f"{API}/agents/{agent_id}/workspace/diff", None),
        (
            "POST",
            f"{API}/agents/{agent_id}/workspace/commit",
            {"branch": "mine", "message": "mine"},
        ),
        ("GET", f"{API}/agents/{agent_id}/sessions", None),
        ("POST", f"{API}/agents/{agent_id}/sessions", {}),
        ("GET", session, None),
        ("POST", f"{session}/messages", {"text": "hello"}),
        ("GET", f"{session}/events", None),
        ("GET", f"{session}/stream", None),
        ("POST", f"{session}/approvals/call", {"decision": "allow"}),
        ("POST", f"{session}/interrupt", None),
    ]
    stranger = await add_user(house, "eve", tenant="elsewhere")

    async with calling(house, stranger.access_token) as eve:
        for method, address, body in addresses:
            foreign = await eve.request(method, address, json=body)
            missing = await eve.request(method, address.replace("_01", "_02"), json=body)

            assert foreign.status_code == 404, (method, address)
            assert shape_of(foreign) == shape_of(missing), (method, address)
        theirs = await answer_of(await eve.get(f"{API}/agents"))
        waiting = await answer_of(await eve.get(f"{API}/approvals"))

    assert theirs["items"] == []
    assert waiting["items"] == []
    assert (await admin.get(f"{API}/agents/{agent_id}")).status_code == 200


def shape_of(answer: httpx2.Response) -> tuple[Any, ...]:
    """A problem without what differs from request to request: ids."""
    problem = answer.json()
    return answer.status_code, sorted(problem), problem["type"], problem["title"]


async def test_a_nul_character_in_a_text_is_never_the_servers_fault(
    admin: httpx2.AsyncClient,
) -> None:
    agent_id = await new_agent(admin)
    answers = [
        await admin.post(f"{API}/posts", json={"name": "Mine", "prompt": "a\0b"}),
        await admin.post(f"{API}/posts", json={"name": "Ours", "model": "a\0b"}),
        await admin.post(f"{API}/agents", json={"name": "Eve", "post_id": "a\0b"}),
        await admin.get(f"{API}/agents", params={"search": "a\0b"}),
        await admin.post(f"{API}/agents/{agent_id}/sessions", json={"title": "a\0b"}),
    ]

    assert [answer.status_code for answer in answers if answer.is_server_error] == []
