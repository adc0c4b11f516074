"""The addresses of existing clients: agents by any id, users of theirs, turns that end in done."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.fixtures_server import add_user, calling

from longhouse.identity.scopes import TenantRole
from longhouse.kit.clock import Clock, SystemClock
from longhouse.runtime.model import Models
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import ScriptedModel, Step, call, calls, say
from longhouse.server.house import House

API = "/api/v1"
PATIENCE = 60.0  # seconds of real time until a test gives up waiting


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
    """What the model says; a module's tests give what they need."""
    return [say("Hello."), say("Hello again."), say("And again.")]


@pytest.fixture
def house_models(steps: list[Step]) -> Models:
    return FixedModels(ScriptedModel(steps))


async def agent_id(admin: httpx2.AsyncClient) -> str:
    posts = (await admin.get(f"{API}/posts")).json()["items"]
    post = next(one["id"] for one in posts if one["name"] == "Engineer")
    answer = await admin.post(f"{API}/agents", json={"name": "Ada", "post_id": post})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@asynccontextmanager
async def stream(
    served: str, admin: httpx2.AsyncClient, path: str, **headers: str
) -> AsyncIterator[AsyncIterator[tuple[str, str, dict[str, Any]]]]:
    """Event, id and data of each frame of a stream over a real connection."""

    async def frames(response: httpx2.Response) -> AsyncIterator[tuple[str, str, dict[str, Any]]]:
        event = number = ""
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                event, number = value, ""
            elif name == "id":
                number = value
            elif name == "data":
                yield event, number, json.loads(value)

    headers["authorization"] = admin.headers["authorization"]
    async with (
        httpx2.AsyncClient(base_url=served, timeout=PATIENCE) as client,
        client.stream(
            "GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()}
        ) as response,
    ):
        assert response.status_code == 200
        async with asyncio.timeout(PATIENCE):
            yield frames(response)


async def until_done(
    frames: AsyncIterator[tuple[str, str, dict[str, Any]]],
) -> list[tuple[str, str, dict[str, Any]]]:
    """The frames of one turn, without live fragments."""
    found = []
    async for frame in frames:
        if frame[0] != "delta":
            found.append(frame)
        if frame[0] == "done":
            return found
    raise AssertionError("the stream ended before the turn")


async def first(
    frames: AsyncIterator[tuple[str, str, dict[str, Any]]], wanted: str
) -> dict[str, Any]:
    """The data of the next frame of this event."""
    async for event, _, data in frames:
        if event == wanted:
            return data
    raise AssertionError(f"the stream ended before {wanted}")


def field_of(answer: httpx2.Response) -> list[str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return [error["field"] for error in answer.json()["errors"]]


class TestAgents:
    async def test_a_message_is_queued_and_its_turn_streams_until_done(
        self, admin: httpx2.AsyncClient, at_work: None, served: str
    ) -> None:
        address = f"/api/agents/{await agent_id(admin)}"

        sent = await admin.post(f"{address}/messages", json={"text": "hi"})
        async with stream(served, admin, f"{address}/stream") as frames:
            first = await until_done(frames)
            assert (await admin.post(f"{address}/messages", json={"text": "hi"})).is_success
            second = await until_done(frames)
        async with stream(served, admin, f"{address}/stream", last_event_id=first[-1][1]) as frames:
            resumed = await until_done(frames)

        assert (sent.status_code, sent.json()) == (202, {"status": "queued"})
        assert [event for event, _, _ in first] == ["message", "text", "done"]
        assert [data.get("text") for _, _, data in second] == ["hi", "Hello again.", None]
        assert resumed == second

    async def test_a_status_tells_where_the_agent_stands(self, admin: httpx2.AsyncClient) -> None:
        agent = await agent_id(admin)

        status = (await admin.get(f"/api/agents/{agent}/status")).json()

        assert status.pop("sessionId").startswith("session_")
        assert status == {
            "agentId": agent,
            "state": "ready",
            "turn": 0,
            "step": 0,
            "lastSeq": 1,
            "todos": [],
            "approvals": [],
        }

    async def test_the_default_session_is_the_first_and_stays_the_same(
        self, admin: httpx2.AsyncClient
    ) -> None:
        agent = await agent_id(admin)
        sessions = f"{API}/agents/{agent}/sessions"
        first = (await admin.post(sessions)).json()["id"]

        async def meant() -> str:
            return str((await admin.get(f"/api/agents/{agent}/status")).json()["sessionId"])

        assert await meant() == first
        await admin.post(sessions)
        assert await meant() == first
        assert len((await admin.get(sessions)).json()["items"]) == 2

    async def test_of_many_first_messages_at_once_all_are_in_one_session(
        self, admin: httpx2.AsyncClient
    ) -> None:
        agent = await agent_id(admin)

        sent = await asyncio.gather(
            *(admin.post(f"/api/agents/{agent}/messages", json={"text": "hi"}) for _ in range(8))
        )

        assert {answer.status_code for answer in sent} == {202}
        (session,) = (await admin.get(f"{API}/agents/{agent}/sessions")).json()["items"]
        assert session["last_seq"] == 9

    @pytest.mark.parametrize("steps", [[calls(call("bash_run", call_id="c", command="ls")),
                                        say("Then not.")]])  # fmt: skip
    async def test_a_call_that_waits_is_decided_once(
        self, admin: httpx2.AsyncClient, at_work: None, served: str, steps: list[Step]
    ) -> None:
        address = f"/api/agents/{await agent_id(admin)}"
        await admin.post(f"{address}/messages", json={"text": "look"})

        async with stream(served, admin, f"{address}/stream") as frames:
            waiting = await first(frames, "permission_required")
            decision = {"callId": waiting["call_id"], "decision": "deny", "note": "no"}
            decided = await admin.post(f"{address}/approve", json=decision)
            await until_done(frames)
        again = await admin.post(f"{address}/approve", json=decision)

        assert (decided.status_code, decided.content) == (204, b"")
        assert again.status_code == 409

    @pytest.mark.parametrize(
        ("path", "body", "field"),
        [
            ("messages", {}, "text"),
            ("messages", {"text": " "}, "text"),
            ("messages", {"text": 5}, "text"),
            ("messages", {"text": "a\0"}, "text"),
            ("approve", {"callId": "c"}, "decision"),
            ("approve", {"callId": "c", "decision": "maybe"}, "decision"),
            ("approve", {"decision": "allow"}, "callId"),
        ],
    )
    async def test_a_wrong_value_is_told_by_the_clients_own_name(
        self, admin: httpx2.AsyncClient, path: str, body: dict[str, object], field: str
    ) -> None:
        answer = await admin.post(f"/api/agents/{await agent_id(admin)}/{path}", json=body)

        assert field_of(answer) == [field]

    async def test_fields_of_the_clients_that_mean_nothing_here_are_ignored(
        self, admin: httpx2.AsyncClient
    ) -> None:
        address = f"/api/agents/{await agent_id(admin)}/messages"

        answer = await admin.post(address, json={"text": "hi", "kind": "user"})

        assert answer.status_code == 202


class TestChat:
    async def test_a_user_has_an_agent_from_the_first_message_on(
        self, admin: httpx2.AsyncClient, at_work: None, served: str
    ) -> None:
        sent = await admin.post("/api/chat/42", json={"message": "hi"})
        async with stream(served, admin, "/api/chat/42/stream") as frames:
            turn = await until_done(frames)
        again = await admin.post("/api/chat/42", json={"message": "hi"})
        status = (await admin.get("/api/chat/42/status")).json()
        by_id = (await admin.get("/api/agents/user:42/status")).json()

        assert (sent.status_code, sent.json()) == (202, {"status": "queued"})
        assert [data.get("text") for _, _, data in turn] == ["hi", "Hello.", None]
        assert again.status_code == 202
        assert status["todos"] == []
        assert by_id["sessionId"] == status["sessionId"]
        (agent,) = (await admin.get(f"{API}/agents")).json()["items"]
        assert (agent["name"], agent["post"]["name"]) == ("Chat with 42", "Engineer")

    async def test_sessions_have_the_names_that_clients_give(
        self, admin: httpx2.AsyncClient, at_work: None, served: str
    ) -> None:
        await admin.post("/api/chat/42", json={"message": "one", "sessionId": "a"})
        await admin.post("/api/chat/42", json={"message": "two", "sessionId": "b"})
        async with stream(served, admin, "/api/chat/42/stream?sessionId=b") as frames:
            turn = await until_done(frames)
        a, b, unknown = [
            await admin.get("/api/chat/42/status", params={"sessionId": name})
            for name in ("a", "b", "c")
        ]
        own = await admin.get("/api/chat/42/status", params={"sessionId": b.json()["sessionId"]})

        assert turn[0][2]["text"] == "two"
        assert a.json()["sessionId"] != b.json()["sessionId"]
        assert own.json() == b.json()
        assert unknown.status_code == 404

    async def test_a_stream_may_be_opened_before_the_first_message(
        self, admin: httpx2.AsyncClient, at_work: None, served: str
    ) -> None:
        async with stream(served, admin, "/api/chat/42/stream") as frames:
            assert (await admin.post("/api/chat/42", json={"message": "hi"})).is_success
            turn = await until_done(frames)

        assert [event for event, _, _ in turn] == ["message", "text", "done"]

    async def test_of_many_first_messages_at_once_all_reach_one_agent(
        self, admin: httpx2.AsyncClient
    ) -> None:
        sent = await asyncio.gather(
            *(admin.post("/api/chat/42", json={"message": "hi"}) for _ in range(8))
        )

        assert {answer.status_code for answer in sent} == {202}
        (agent,) = (await admin.get(f"{API}/agents")).json()["items"]
        (session,) = (await admin.get(f"{API}/agents/{agent['id']}/sessions")).json()["items"]
        assert session["last_seq"] == 9

    async def test_users_whose_names_begin_alike_are_apart(self, admin: httpx2.AsyncClient) -> None:
        users = ["x" * 150, "x" * 151, "阿达", "a b", "../../etc", "."]

        for user in users:
            path = httpx2.URL(f"/api/chat/{user.replace('/', '%2F')}")
            answer = await admin.post(path, json={"message": "hi"})
            assert answer.status_code in {202, 404}, answer.text

        agents = (await admin.get(f"{API}/agents")).json()["items"]
        assert len({agent["name"] for agent in agents}) == len(agents) >= 4

    @pytest.mark.parametrize("steps", [[calls(call("bash_run", call_id="c", command="ls")),
                                        say("Then not.")]])  # fmt: skip
    async def test_a_user_decides(
        self, admin: httpx2.AsyncClient, at_work: None, served: str, steps: list[Step]
    ) -> None:
        body: dict[str, object] = {"message": "look", "sessionId": "a"}
        await admin.post("/api/chat/42", json=body)

        async with stream(served, admin, "/api/chat/42/stream?sessionId=a") as frames:
            await first(frames, "permission_required")
            status = (await admin.get("/api/chat/42/status?sessionId=a")).json()
            (waiting,) = status["approvals"]
            decision = {"callId": waiting["callId"], "decision": "deny", "sessionId": "a"}
            decided = await admin.post("/api/chat/42/approve", json=decision)
            await until_done(frames)

        assert waiting["name"] == "bash_run"
        assert decided.status_code == 204

    async def test_nothing_is_made_for_a_message_that_is_none(
        self, admin: httpx2.AsyncClient
    ) -> None:
        for body in ({}, {"message": " "}, {"message": "hi", "sessionId": "x" * 201}):
            assert (await admin.post("/api/chat/42", json=body)).status_code == 422
        assert (await admin.get("/api/chat/42/status")).status_code == 404

        assert (await admin.get(f"{API}/agents")).json()["items"] == []

    async def test_without_the_post_it_is_told_what_to_do(self, admin: httpx2.AsyncClient) -> None:
        posts = (await admin.get(f"{API}/posts")).json()["items"]
        post = next(one["id"] for one in posts if one["name"] == "Engineer")
        await admin.delete(f"{API}/posts/{post}")

        answer = await admin.post("/api/chat/42", json={"message": "hi"})

        assert answer.status_code == 409
        assert "LONGHOUSE_CHAT_POST" in answer.json()["hint"]


class TestMetrics:
    async def test_the_tenant_is_told_in_numbers(
        self, admin: httpx2.AsyncClient, house: House
    ) -> None:
        await admin.post("/api/chat/42", json={"message": "hi"})
        stranger = await add_user(house, "grace", tenant="elsewhere")

        numbers = (await admin.get("/api/metrics")).json()
        whole = (await admin.get(f"{API}/overview")).json()
        async with calling(house, stranger.access_token) as client:
            theirs = (await client.get(f"{API}/overview")).json()

        runtime = {"store": "sqlite", "posts": 2, "tools": len(house.posts.tools)}
        assert numbers == {"activeAgents": 0, "users": 1, "runtime": runtime}
        agents = {"idle": 1, "busy": 0, "waiting": 0}
        assert whole == {"agents": agents, "users": 1, "runtime": runtime}
        assert theirs["agents"] == {"idle": 0, "busy": 0, "waiting": 0}

    @pytest.mark.parametrize("steps", [[call("bash_run", command="ls")]])
    async def test_an_agent_that_waits_for_a_person_is_active(
        self, admin: httpx2.AsyncClient, at_work: None, served: str, steps: list[Step]
    ) -> None:
        await admin.post("/api/chat/42", json={"message": "look"})
        async with stream(served, admin, "/api/chat/42/stream?channel=monitor") as frames:
            async for event, _, data in frames:
                if event == "state_changed" and data["after"] == "waiting":
                    break

        assert (await admin.get("/api/metrics")).json()["activeAgents"] == 1


class TestTenants:
    async def test_nobody_reaches_an_agent_of_another_tenant_whatever_they_type(
        self, admin: httpx2.AsyncClient, house: House
    ) -> None:
        agent = await agent_id(admin)
        await admin.post("/api/chat/42", json={"message": "secret", "sessionId": "a"})
        theirs = (await admin.get("/api/chat/42/status?sessionId=a")).json()
        stranger = await add_user(house, "grace", tenant="elsewhere")

        async with calling(house, stranger.access_token) as client:
            decision = {"callId": "c", "decision": "allow"}
            for name in (agent, theirs["agentId"], "user:42"):
                for method, path, body in [
                    ("POST", "messages", {"text": "hi"}),
                    ("GET", "stream", None),
                    ("GET", "status", None),
                    ("POST", "approve", decision),
                ]:
                    answer = await client.request(method, f"/api/agents/{name}/{path}", json=body)
                    assert answer.status_code == 404, (name, path)
            assert (await client.get("/api/chat/42/status")).status_code == 404
            assert (await client.post("/api/chat/42/approve", json=decision)).status_code == 404
            # The same user id there is another user.
            session = theirs["sessionId"]
            mine = {"message": "mine", "sessionId": session}
            assert (await client.post("/api/chat/42", json=mine)).status_code == 202
            own = (await client.get(f"/api/chat/42/status?sessionId={session}")).json()

        assert own["sessionId"] != session
        assert own["agentId"] != theirs["agentId"]
        assert (await admin.get("/api/chat/42/status?sessionId=a")).json() == theirs

    async def test_a_role_that_only_looks_makes_no_agent(
        self, admin: httpx2.AsyncClient, house: House
    ) -> None:
        viewer = await add_user(house, "vera", tenant="default", role=TenantRole.VIEWER)

        async with calling(house, viewer.access_token) as client:
            answer = await client.post("/api/chat/42", json={"message": "hi"})

        assert answer.status_code == 403
        assert (await admin.get(f"{API}/agents")).json()["items"] == []

    async def test_without_a_token_there_is_nothing(self, client: httpx2.AsyncClient) -> None:
        for path in ("agents/x/status", "agents/x/stream", "chat/42/status", "chat/42/stream"):
            assert (await client.get(f"/api/{path}")).status_code == 401
