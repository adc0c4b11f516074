"""What `/metrics` tells, and to whom."""

import asyncio

import aiohttp
import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from tests.fixtures_server import ADMIN, calling
from tests.patience import PATIENCE, until

from longhouse.kit.clock import Clock, SystemClock
from longhouse.runtime.model import Models
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import COUNTED, ScriptedModel, say
from longhouse.server.app import build_app
from longhouse.server.house import House

TOKEN = "a token for measurements"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def read(client: httpx2.AsyncClient) -> Samples:
    """Every sample by its name and labels."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sample with this name and these labels; 0 when there is none."""
    return samples.get((f"longhouse_{name}", frozenset(labels.items())), 0.0)


class TestRequests:
    async def test_requests_are_counted_by_route_and_never_by_id(
        self, admin: httpx2.AsyncClient
    ) -> None:
        for number in range(3):
            await admin.get(f"/api/v1/agents/agent_{number}")

        samples = await read(admin)

        route = "/api/v1/agents/{agent_id}"
        labels = {"method": "GET", "route": route, "status": "404"}
        assert value(samples, "http_request_seconds_count", **labels) == 3
        assert not any("agent_0" in str(key) for key in samples)

    async def test_what_has_no_route_is_counted_together(self, client: httpx2.AsyncClient) -> None:
        for path in ("/api/v1/nothing", "/api/v1/nowhere"):
            await client.get(path)

        samples = await read(client)

        labels = {"method": "GET", "route": "other", "status": "404"}
        assert value(samples, "http_request_seconds_count", **labels) == 2


class TestParts:
    async def test_the_parts_the_queue_and_the_places_are_there(
        self, admin: httpx2.AsyncClient
    ) -> None:
        post = (await admin.get("/api/v1/posts")).json()["items"][0]["id"]
        agent = (await admin.post("/api/v1/agents", json={"name": "A", "post_id": post})).json()
        path = f"/api/v1/agents/{agent['id']}/sessions"
        session = (await admin.post(path, json={})).json()
        await admin.post(f"{path}/{session['id']}/messages", json={"text": "hello"})

        samples = await read(admin)

        assert value(samples, "runs_queued", kind="turn") == 1
        assert value(samples, "part_up", part="database") == 1
        assert value(samples, "part_up", part="bus") == 1
        assert value(samples, "worker_slots") == 4
        assert value(samples, "worker_busy") == 0
        assert value(samples, "database_seconds_count", work="write", outcome="done") > 0

    async def test_a_database_that_is_gone_is_told_and_nothing_fails(
        self, house: House, client: httpx2.AsyncClient
    ) -> None:
        await house.database.close()

        samples = await read(client)

        assert value(samples, "part_up", part="database") == 0
        assert value(samples, "database_seconds_count", work="read", outcome="failed") > 0


class TestWork:
    @pytest.fixture
    def house_clock(self) -> Clock:
        return SystemClock()

    @pytest.fixture
    def house_models(self) -> Models:
        return FixedModels(ScriptedModel([say("Hello.")]))

    @pytest.mark.usefixtures("at_work")
    async def test_turns_model_calls_and_tokens_are_counted(
        self, admin: httpx2.AsyncClient, house: House
    ) -> None:
        post = (await admin.get("/api/v1/posts")).json()["items"][0]["id"]
        agent = (await admin.post("/api/v1/agents", json={"name": "A", "post_id": post})).json()
        path = f"/api/v1/agents/{agent['id']}/sessions"
        session = (await admin.post(path, json={})).json()
        await admin.post(f"{path}/{session['id']}/messages", json={"text": "hello"})

        def done() -> float | None:
            return house.metrics.registry.get_sample_value(
                "longhouse_run_seconds_count", {"kind": "turn", "outcome": "done"}
            )

        await until(lambda: done() == 1)
        samples = await read(admin)

        assert value(samples, "model_call_seconds_count", model="scripted", outcome="done") == 1
        assert value(samples, "tokens_total", model="scripted", kind="input") == COUNTED.input
        assert value(samples, "tokens_total", model="scripted", kind="output") == COUNTED.output


class TestStreams:
    async def test_open_streams_are_counted_while_they_are_open(
        self, admin: httpx2.AsyncClient, house: House, served: str
    ) -> None:
        post = (await admin.get("/api/v1/posts")).json()["items"][0]["id"]
        agent = (await admin.post("/api/v1/agents", json={"name": "A", "post_id": post})).json()
        path = f"/api/v1/agents/{agent['id']}/sessions"
        session = (await admin.post(path, json={})).json()
        headers = {"authorization": admin.headers["authorization"]}

        def streams() -> float | None:
            return house.metrics.registry.get_sample_value("longhouse_event_streams")

        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{served}{path}/{session['id']}/stream") as stream,
        ):
            async with asyncio.timeout(PATIENCE):
                await stream.content.readline()
            assert streams() == 1
        await until(lambda: streams() == 0)


class TestAccess:
    async def test_without_a_token_only_this_machine_may_read(self, house: House) -> None:
        transport = httpx2.ASGITransport(build_app(house), client=("192.0.2.1", 50000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://house.test") as far:
            assert (await far.get("/metrics")).status_code == 403
        async with calling(house) as near:
            assert (await near.get("/metrics")).status_code == 200
            forwarded = await near.get("/metrics", headers={"x-forwarded-for": "192.0.2.1"})
            assert forwarded.status_code == 403
            assert forwarded.json()["code"] == "metrics-closed"

    async def test_a_persons_token_does_not_open_it(
        self, house: House, admin: httpx2.AsyncClient
    ) -> None:
        answer = await admin.get("/metrics", headers={"x-forwarded-for": "192.0.2.1"})

        assert answer.status_code == 403
        assert ADMIN["username"] not in answer.text

    class TestToken:
        @pytest.fixture
        def house_sets(self) -> dict[str, object]:
            return {"metrics_token": SecretStr(TOKEN)}

        async def test_it_is_asked_for_everywhere(self, client: httpx2.AsyncClient) -> None:
            wrong = {"authorization": "Bearer another token that is long"}
            right = {"authorization": f"Bearer {TOKEN}"}

            assert (await client.get("/metrics")).status_code == 403
            assert (await client.get("/metrics", headers=wrong)).status_code == 403
            assert (await client.get("/metrics", headers=right)).status_code == 200
