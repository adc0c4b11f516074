"""The room over HTTP, as its clients meet it: shapes, refusals, pages and streams."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import pytest
from tests.fixtures_server import add_user, calling
from tests.patience import PATIENCE

from longhouse.kit.clock import Clock, SystemClock
from longhouse.server.house import House, working

API = "/api/v1"
Json: TypeAlias = dict[str, Any]


@pytest.fixture
def database_template(sqlite_template: Path) -> Path:
    """SQLite alone: what depends on the kind of database is tested below HTTP."""
    return sqlite_template


@pytest.fixture
def house_clock() -> Clock:
    """Turns go on by themselves."""
    return SystemClock()


@pytest.fixture
def house_sets() -> dict[str, object]:
    return {"sse_heartbeat_seconds": 0.05}


async def post_id(admin: httpx2.AsyncClient, name: str = "Engineer") -> str:
    posts = (await admin.get(f"{API}/posts")).json()["items"]
    return str(next(post["id"] for post in posts if post["name"] == name))


async def new_agent(
    admin: httpx2.AsyncClient, name: str = "Ada", *, sample: bool = False, mode: str = "auto"
) -> Json:
    """An agent that asks nobody."""
    answer = await admin.post(
        f"{API}/agents",
        json={
            "name": name,
            "post_id": await post_id(admin),
            "overrides": {"model": "demo", "permissions": {"mode": mode}},
            "repository": {"source": "sample"} if sample else None,
        },
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def new_session(admin: httpx2.AsyncClient, agent: Json) -> tuple[Json, str]:
    """A session, and its address."""
    answer = await admin.post(f"{API}/agents/{agent['id']}/sessions")
    assert answer.status_code == 201, answer.text
    session = answer.json()
    return session, f"{API}/agents/{agent['id']}/sessions/{session['id']}"


async def say(admin: httpx2.AsyncClient, address: str, text: str) -> Json:
    answer = await admin.post(f"{address}/messages", json={"text": text})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def fields(answer: httpx2.Response) -> list[str]:
    """The fields a refusal names."""
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return [error["field"] for error in answer.json()["errors"]]


class Stream:
    """Frames of an event stream, as a client reads them."""

    def __init__(self, response: httpx2.Response) -> None:
        self._lines = response.aiter_lines()
        self.beats = 0

    async def next(self) -> tuple[str, str, Json]:
        """Event, id and data of the next frame."""
        event = number = data = ""
        async with asyncio.timeout(PATIENCE):
            while True:
                line = await anext(self._lines)
                name, _, value = line.partition(": ")
                match name:
                    case "event":
                        event = value
                    case "id":
                        number = value
                    case "data":
                        data += value
                    case "":
                        if line.startswith(":"):
                            self.beats += 1
                        elif data:
                            return event, number, json.loads(data)

    async def beating(self, beats: int) -> None:
        """Read until so many heartbeats came."""
        async with asyncio.timeout(PATIENCE):
            while self.beats < beats:
                self.beats += (await anext(self._lines)).startswith(":")

    async def until(self, event: str) -> list[tuple[str, str, Json]]:
        """All frames up to the next of this event."""
        frames: list[tuple[str, str, Json]] = []
        while not frames or frames[-1][0] != event:
            frames.append(await self.next())
        return frames


@asynccontextmanager
async def streaming(
    served: str, admin: httpx2.AsyncClient, address: str, **headers: str
) -> AsyncIterator[Stream]:
    """An event stream over a real connection."""
    headers["authorization"] = admin.headers["authorization"]
    async with (
        httpx2.AsyncClient(base_url=served, timeout=PATIENCE) as client,
        client.stream(
            "GET", address, headers={name.replace("_", "-"): text for name, text in headers.items()}
        ) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


class TestPosts:
    async def test_a_post_has_the_documented_shape(self, admin: httpx2.AsyncClient) -> None:
        made = await admin.post(f"{API}/posts", json={"name": "Tester", "prompt": "Test."})

        assert made.status_code == 201
        post = made.json()
        assert post["version"] == 1
        assert post["model"] == "auto"
        assert post["permissions"] == {"mode": "ask", "rules": []}
        assert set(post["limits"]) == {
            "steps", "tokens", "wall_seconds", "identical_calls", "parallel_tools", "output_tokens",
            "context_tokens",
        }  # fmt: skip
        assert post["created_at"].endswith("Z")
        assert (await admin.get(f"{API}/posts/{post['id']}")).json() == post

    async def test_a_part_of_a_post_can_be_changed(self, admin: httpx2.AsyncClient) -> None:
        address = f"{API}/posts/{await post_id(admin)}"
        before = (await admin.get(address)).json()

        rules = [{"verdict": "allow", "pattern": "bash_run(git *)"}]
        patch = {"permissions": {"mode": "ask", "rules": rules}, "limits": {"steps": 7}}
        after = (await admin.patch(address, json=patch)).json()

        assert after["version"] == 2
        assert after["permissions"]["rules"] == rules
        assert after["limits"] == before["limits"] | {"steps": 7}
        assert before["hosts"] == after["hosts"] == []
        assert after["prompt"] == before["prompt"]

    async def test_hosts_are_kept_in_their_one_spelling(self, admin: httpx2.AsyncClient) -> None:
        address = f"{API}/posts/{await post_id(admin)}"

        hosts = ["Example.ORG.", "*.bücher.example", "[2001:DB8::1]:8443"]
        changed = (await admin.patch(address, json={"hosts": hosts})).json()

        assert changed["hosts"] == [
            "example.org", "*.xn--bcher-kva.example", "[2001:db8::1]:8443",
        ]  # fmt: skip
        assert (await admin.get(address)).json() == changed
        cleared = (await admin.patch(address, json={"hosts": []})).json()
        assert cleared["hosts"] == []

    @pytest.mark.parametrize(
        ("patch", "field"),
        [
            ({"name": ""}, "name"),
            ({"tools": ["nothing_like_it"]}, "tools"),
            ({"permissions": {"mode": "sometimes"}}, "permissions.mode"),
            (
                {"permissions": {"rules": [{"verdict": "deny", "pattern": "("}]}},
                "permissions.rules.0.pattern",
            ),
            ({"limits": {"steps": 0}}, "limits.steps"),
            ({"limits": {"wall_seconds": "Infinity"}}, "limits.wall_seconds"),
            ({"hosts": ["https://example.org"]}, "hosts.0"),
            ({"hosts": ["example.org", "*"]}, "hosts.1"),
            ({"unknown": 1}, "unknown"),
            ({"prompt": "a\0b"}, "prompt"),
            ({"tools": ["a\0"]}, "tools"),
        ],
    )
    async def test_a_wrong_value_is_told_by_its_field(
        self, admin: httpx2.AsyncClient, patch: Json, field: str
    ) -> None:
        answer = await admin.patch(f"{API}/posts/{await post_id(admin)}", json=patch)

        assert fields(answer) == [field]

    async def test_a_post_that_nobody_follows_is_deleted(self, admin: httpx2.AsyncClient) -> None:
        address = f"{API}/posts/{await post_id(admin, 'Reader')}"

        assert (await admin.delete(address)).status_code == 204
        assert (await admin.get(address)).status_code == 404

    async def test_tools_and_models_are_listed_with_what_can_be_used(
        self, admin: httpx2.AsyncClient
    ) -> None:
        tools = (await admin.get(f"{API}/tools")).json()["items"]
        models = (await admin.get(f"{API}/models")).json()

        by_name = {tool["name"]: tool for tool in tools}
        assert by_name["fs_read"]["reads_only"] is True
        assert "command" in by_name["bash_run"]["schema"]["properties"]
        assert "post" in by_name["task_run"]["schema"]["properties"]
        assert models["default"] == "demo"
        available = {model["name"]: model for model in models["items"]}
        assert available["auto"]["available"]
        assert any(not model["available"] and model["reason"] for model in models["items"])


class TestAgents:
    async def test_an_agent_has_the_documented_shape(self, admin: httpx2.AsyncClient) -> None:
        agent = await new_agent(admin, sample=True)

        assert agent["post"]["name"] == "Engineer"
        assert agent["repository"] == {
            "source": "sample",
            "ref": None,
            "branch": "longhouse/ada",
        }
        assert agent["status"] == "idle"
        assert agent["current_session_id"] is None
        assert agent["tokens"] == {"input": 0, "output": 0}
        assert agent["overrides"]["permissions"] == {"mode": "auto", "rules": []}
        assert (await admin.get(f"{API}/agents/{agent['id']}")).json() == agent

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"name": " "}, "name"),
            ({"post_id": "post_of_nobody"}, "post_id"),
            ({"repository": {"source": "/nowhere"}}, "repository.source"),
            ({"repository": {"source": "file:///etc"}}, "repository.source"),
            ({"repository": {"source": "sample", "ref": "nowhere"}}, "repository.ref"),
            ({"repository": {}}, "repository.source"),
            ({"overrides": {"permissions": {"mode": "x"}}}, "overrides.permissions.mode"),
        ],
    )
    async def test_a_wrong_value_is_told_by_its_field(
        self, admin: httpx2.AsyncClient, body: Json, field: str
    ) -> None:
        valid = {"name": "Ada", "post_id": await post_id(admin)}

        answer = await admin.post(f"{API}/agents", json=valid | body)

        assert fields(answer) == [field]
        assert (await admin.get(f"{API}/agents")).json()["items"] == []

    async def test_a_taken_name_is_a_conflict(self, admin: httpx2.AsyncClient) -> None:
        agent = await new_agent(admin)

        answer = await admin.post(
            f"{API}/agents", json={"name": "Ada", "post_id": agent["post"]["id"]}
        )

        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:longhouse:problem:name-taken"

    async def test_agents_come_in_pages(self, admin: httpx2.AsyncClient) -> None:
        for name in ("a", "b", "c"):
            await new_agent(admin, name)

        first = (await admin.get(f"{API}/agents", params={"limit": 2})).json()
        rest = (await admin.get(f"{API}/agents", params={"after": first["next"]})).json()

        assert [agent["name"] for agent in first["items"] + rest["items"]] == ["c", "b", "a"]
        assert rest["next"] is None

    async def test_a_diff_is_shown_downloaded_and_committed(
        self, admin: httpx2.AsyncClient, house: House, tmp_path: Path
    ) -> None:
        agent = await new_agent(admin, sample=True)
        address = f"{API}/agents/{agent['id']}/workspace"
        place = house.settings.data_dir / "agents" / agent["id"] / "workspace"
        (place / "new.txt").write_text("one\ntwo\n")

        shown = (await admin.get(f"{address}/diff")).json()
        patch = await admin.get(f"{address}/diff", params={"format": "patch"})
        made = await admin.post(
            f"{address}/commit", json={"branch": "longhouse/ada", "message": "Work"}
        )
        again = await admin.post(
            f"{address}/commit", json={"branch": "longhouse/ada", "message": "Work"}
        )

        assert shown["files"] == [
            {"path": "new.txt", "status": "added", "additions": 2, "deletions": 0}
        ]
        assert shown["branch"] == "longhouse/ada"
        assert patch.headers["content-type"].startswith("text/x-diff")
        assert patch.headers["content-disposition"] == 'attachment; filename="ada.patch"'
        assert patch.text == shown["patch"]
        assert made.status_code == 201
        assert made.json()["files"] == 1
        assert again.status_code == 409

    async def test_a_deleted_agent_is_gone(self, admin: httpx2.AsyncClient) -> None:
        agent = await new_agent(admin)

        assert (await admin.delete(f"{API}/agents/{agent['id']}")).status_code == 204

        assert (await admin.get(f"{API}/agents/{agent['id']}")).status_code == 404


class TestSessions:
    async def test_a_message_is_queued_once_whatever_happens_on_the_way(
        self, admin: httpx2.AsyncClient
    ) -> None:
        _, address = await new_session(admin, await new_agent(admin))

        body = {"text": "hello", "message_id": "mine-1"}
        answers = [await admin.post(f"{address}/messages", json=body) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [202, 202]
        assert [answer.json() for answer in answers] == [
            {"status": "queued", "message_id": "mine-1", "seq": 2}
        ] * 2
        assert (await admin.get(address)).json()["last_seq"] == 2

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"text": ""}, "text"),
            ({"text": "x", "message_id": "with space"}, "message_id"),
            ({"text": None}, "text"),
            ({}, "text"),
        ],
    )
    async def test_a_wrong_message_is_told_by_its_field(
        self, admin: httpx2.AsyncClient, body: Json, field: str
    ) -> None:
        _, address = await new_session(admin, await new_agent(admin))

        assert fields(await admin.post(f"{address}/messages", json=body)) == [field]

    async def test_a_session_has_the_documented_shape(self, admin: httpx2.AsyncClient) -> None:
        agent = await new_agent(admin)
        session, address = await new_session(admin, agent)

        assert session["state"] == "ready"
        assert session["agent_id"] == agent["id"]
        assert session["todos"] == session["approvals"] == []
        assert session["usage"] == {"input": 0, "output": 0, "cached": 0, "reasoning": 0}
        assert (await admin.get(address)).json() == session
        listed = (await admin.get(f"{API}/agents/{agent['id']}/sessions")).json()
        assert listed == {"items": [session], "next": None}

    async def test_events_come_in_pages_forwards_and_backwards(
        self, admin: httpx2.AsyncClient
    ) -> None:
        _, address = await new_session(admin, await new_agent(admin))
        for number in range(6):
            await say(admin, address, f"m{number}")

        async def page(**params: int) -> tuple[list[int], int | None]:
            answer = (await admin.get(f"{address}/events", params=params)).json()
            return [event["seq"] for event in answer["items"]], answer["next"]

        assert await page() == ([1, 2, 3, 4, 5, 6, 7], None)
        assert await page(limit=3) == ([1, 2, 3], 3)
        assert await page(limit=3, after=3) == ([4, 5, 6], 6)
        assert await page(limit=3, after=4) == ([5, 6, 7], None)
        assert await page(limit=3, before=100) == ([5, 6, 7], 5)
        assert await page(limit=3, before=5) == ([2, 3, 4], 2)
        assert await page(limit=3, before=2) == ([1], None)

    async def test_events_are_filtered_by_channel(self, admin: httpx2.AsyncClient) -> None:
        _, address = await new_session(admin, await new_agent(admin))
        await say(admin, address, "hello")

        answer = await admin.get(f"{address}/events", params={"channel": ["progress", "control"]})

        (event,) = answer.json()["items"]
        assert event == {
            "seq": 2,
            "time": event["time"],
            "channel": "progress",
            "type": "message",
            "message_id": event["message_id"],
            "text": "hello",
            "sender": "Ada Lovelace",
        }
        assert fields(await admin.get(f"{address}/events?channel=gossip")) == ["channel.0"]

    async def test_an_interrupt_is_accepted_at_any_time(self, admin: httpx2.AsyncClient) -> None:
        _, address = await new_session(admin, await new_agent(admin))

        assert (await admin.post(f"{address}/interrupt")).status_code == 202

    async def test_a_call_is_decided_once(self, admin: httpx2.AsyncClient, house: House) -> None:
        agent = await new_agent(admin, mode="ask")
        session, address = await new_session(admin, agent)
        await say(admin, address, "run `echo hi`")
        async with working(house):
            async with asyncio.timeout(PATIENCE):
                while not (inbox := (await admin.get(f"{API}/approvals")).json()["items"]):
                    pass
            (waiting,) = inbox
            decide = f"{address}/approvals/{waiting['call_id']}"
            first = await admin.post(decide, json={"decision": "deny", "note": "not now"})
            second = await admin.post(decide, json={"decision": "allow"})
            unknown = await admin.post(f"{address}/approvals/no", json={"decision": "allow"})

        assert waiting["session_id"] == session["id"]
        assert waiting["agent_name"] == "Ada"
        assert first.status_code == 204
        assert second.status_code == 409
        assert unknown.status_code == 404


class TestForks:
    async def test_a_session_is_named_looked_back_on_and_forked(
        self, admin: httpx2.AsyncClient
    ) -> None:
        session, address = await new_session(admin, await new_agent(admin))
        await say(admin, address, "hello")

        named = await admin.post(f"{address}/snapshots", json={"name": "before"})
        await say(admin, address, "and on")
        by_name = await admin.post(f"{address}/fork", json={"at": "before", "title": "Other"})
        by_number = await admin.post(f"{address}/fork", json={"at": 1})
        now = await admin.post(f"{address}/fork")
        moment = (await admin.get(f"{address}/at/2")).json()

        assert (named.status_code, named.json()) == (201, {"name": "before", "at": 2})
        assert (await admin.get(f"{address}/snapshots")).json() == {"items": [named.json()]}
        assert [answer.status_code for answer in (by_name, by_number, now)] == [201] * 3
        forks = [answer.json() for answer in (by_name, by_number, now)]
        assert [fork["forked_from"] for fork in forks] == [
            {"session_id": session["id"], "after": after} for after in (2, 1, 4)
        ]
        assert [fork["title"] for fork in forks] == ["Other", "hello", "hello"]
        assert (moment["seq"], moment["state"], moment["forkable"]) == (2, "ready", True)
        assert moment["messages"] == moment["todos"] == []

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            ("fork", {"at": 99}, 422),
            ("fork", {"at": 0}, 422),
            ("fork", {"at": "nowhere"}, 404),
            ("fork", {"unknown": 1}, 422),
            ("snapshots", {"name": ""}, 422),
            ("snapshots", {"name": "x" * 129}, 422),
            ("snapshots", {}, 422),
        ],
    )
    async def test_a_wrong_point_or_name_is_refused(
        self, admin: httpx2.AsyncClient, path: str, body: Json, status: int
    ) -> None:
        _, address = await new_session(admin, await new_agent(admin))

        answer = await admin.post(f"{address}/{path}", json=body)

        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert (await admin.get(f"{address}/at/99")).status_code == 422


class TestStreams:
    async def test_a_stream_replays_and_then_follows_without_gap_or_repeat(
        self, admin: httpx2.AsyncClient, house: House, served: str
    ) -> None:
        agent = await new_agent(admin, sample=True)
        _, address = await new_session(admin, agent)
        await say(admin, address, "Make the failing test pass")

        async with working(house), streaming(served, admin, f"{address}/stream") as stream:
            frames = await stream.until("done")

        numbers = [int(number) for _, number, _ in frames if number]
        assert numbers == list(range(1, len(numbers) + 1))
        assert {"message", "tool_call", "tool_end", "text", "delta"} <= {
            event for event, _, _ in frames
        }
        deltas = [data for event, number, data in frames if event == "delta" and not number]
        assert all({"step", "kind", "text"} <= delta.keys() for delta in deltas)
        events = (await admin.get(f"{address}/events")).json()["items"]
        assert [data for _, number, data in frames if number] == events[: len(numbers)]

    async def test_a_client_that_comes_back_goes_on_where_it_was(
        self, admin: httpx2.AsyncClient, served: str
    ) -> None:
        _, address = await new_session(admin, await new_agent(admin))
        await say(admin, address, "one")
        await say(admin, address, "two")

        async with streaming(
            served, admin, f"{address}/stream?after=1", last_event_id="2"
        ) as stream:
            event, number, data = await stream.next()

        assert (event, number, data["text"]) == ("message", "3", "two")

    async def test_a_stream_of_one_channel_has_nothing_else(
        self, admin: httpx2.AsyncClient, house: House, served: str
    ) -> None:
        _, address = await new_session(admin, await new_agent(admin))
        await say(admin, address, "hello")

        path = f"{address}/stream?channel=monitor"
        async with working(house), streaming(served, admin, path) as stream:
            frames = await stream.until("step_complete")

        assert {data["channel"] for _, _, data in frames} == {"monitor"}

    async def test_a_silent_stream_shows_that_it_lives(
        self, admin: httpx2.AsyncClient, served: str
    ) -> None:
        _, address = await new_session(admin, await new_agent(admin))

        async with streaming(served, admin, f"{address}/stream") as stream:
            await stream.next()
            await stream.beating(2)

    async def test_a_stream_ends_when_its_login_is_revoked(
        self, admin: httpx2.AsyncClient, served: str
    ) -> None:
        _, address = await new_session(admin, await new_agent(admin))

        async with streaming(served, admin, f"{address}/stream") as stream:
            await stream.next()
            assert (await admin.post(f"{API}/auth/logout")).status_code == 204
            with pytest.raises(StopAsyncIteration):
                await stream.next()

    async def test_a_position_that_is_none_is_refused(self, admin: httpx2.AsyncClient) -> None:
        _, address = await new_session(admin, await new_agent(admin))

        answer = await admin.get(f"{address}/stream", headers={"Last-Event-ID": "yesterday"})

        assert answer.status_code == 400


class TestTenants:
    async def test_everything_of_another_tenant_is_not_found_like_what_is_not_there(
        self, admin: httpx2.AsyncClient, house: House
    ) -> None:
        agent = await new_agent(admin)
        session, _ = await new_session(admin, agent)
        stranger = await add_user(house, "grace", tenant="elsewhere")
        post = agent["post"]["id"]

        async with calling(house, stranger.access_token) as client:
            for theirs, nobodys in [
                (agent["id"], "agent_0"),
                (post, "post_0"),
            ]:
                for method, path, body in _everything(agent["id"], session["id"], post):
                    if theirs not in path:
                        continue
                    real = await client.request(method, f"{API}{path}", json=body)
                    none = await client.request(
                        method, f"{API}{path.replace(theirs, nobodys)}", json=body
                    )
                    assert real.status_code == none.status_code == 404, (method, path)
                    assert real.json()["type"] == none.json()["type"]
            assert (await client.get(f"{API}/agents")).json()["items"] == []
            assert (await client.get(f"{API}/approvals")).json()["items"] == []

        assert (await admin.get(f"{API}/agents/{agent['id']}")).json()["name"] == "Ada"

    async def test_without_a_token_there_is_nothing(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        agent = await new_agent(admin)
        session, _ = await new_session(admin, agent)

        for method, path, body in _everything(agent["id"], session["id"], agent["post"]["id"]):
            answer = await client.request(method, f"{API}{path}", json=body)
            assert answer.status_code == 401, (method, path)


def _everything(agent: str, session: str, post: str) -> list[tuple[str, str, Json | None]]:
    """Every address that names something of a tenant."""
    here = f"/agents/{agent}/sessions/{session}"
    return [
        ("GET", f"/posts/{post}", None),
        ("PATCH", f"/posts/{post}", {"prompt": "x"}),
        ("DELETE", f"/posts/{post}", None),
        ("GET", f"/agents/{agent}", None),
        ("PATCH", f"/agents/{agent}", {"name": "Mine"}),
        ("DELETE", f"/agents/{agent}", None),
        ("GET", f"/agents/{agent}/workspace/diff", None),
        ("POST", f"/agents/{agent}/workspace/commit", {"branch": "b", "message": "m"}),
        ("GET", f"/agents/{agent}/sessions", None),
        ("POST", f"/agents/{agent}/sessions", {}),
        ("GET", here, None),
        ("GET", f"{here}/sub-agents", None),
        ("POST", f"{here}/fork", {}),
        ("GET", f"{here}/at/1", None),
        ("GET", f"{here}/snapshots", None),
        ("POST", f"{here}/snapshots", {"name": "a"}),
        ("POST", f"{here}/messages", {"text": "hello"}),
        ("GET", f"{here}/events", None),
        ("GET", f"{here}/attachments/{'0' * 64}", None),
        ("GET", f"{here}/stream", None),
        ("POST", f"{here}/approvals/call_1", {"decision": "allow"}),
        ("POST", f"{here}/interrupt", None),
    ]
