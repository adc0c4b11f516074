"""Processes with one duty: those that answer requests, and those that execute runs."""

import httpx2
import pytest
from sqlalchemy import select
from tests.fixtures_server import calling
from tests.patience import until

from longhouse.fleet.models import lanes
from longhouse.kit.clock import ManualClock
from longhouse.kit.settings import Duty
from longhouse.server.health import SILENCE
from longhouse.server.house import House, working


async def device(house: House) -> dict[str, str]:
    """What health says of the device that executes runs."""
    async with calling(house) as client:
        checks: dict[str, dict[str, str]] = (await client.get("/health")).json()["checks"]
        return checks["device"]


class TestWorker:
    @pytest.fixture
    def house_sets(self) -> dict[str, object]:
        return {"only": Duty.WORKER}

    @pytest.mark.parametrize("path", ["/", "/api/v1/setup", "/api/v1/agents", "/chat"])
    async def test_it_answers_nothing_but_how_it_is(
        self, client: httpx2.AsyncClient, path: str
    ) -> None:
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/info")).status_code == 200

        answer = await client.get(path)

        assert answer.status_code == 404
        assert answer.json()["code"] == "not-found"

    async def test_it_executes_runs(self, house: House) -> None:
        async with working(house) as task:
            assert task is not None


class TestApi:
    @pytest.fixture
    def house_sets(self) -> dict[str, object]:
        return {"only": Duty.API}

    async def test_it_answers_requests_and_leaves_runs_to_others(
        self, house: House, client: httpx2.AsyncClient
    ) -> None:
        async with working(house) as task:
            assert task is None
            assert (await client.get("/api/v1/setup")).status_code == 200

    async def test_its_health_does_not_depend_on_runs(self, house: House) -> None:
        assert (await device(house))["status"] == "ok"


class TestBoth:
    async def test_health_shows_whether_the_queue_is_looked_at(
        self, house: House, house_clock: ManualClock
    ) -> None:
        assert (await device(house))["status"] == "degraded", "not at work yet"

        async with working(house):
            await until(lambda: house.executor.silent_for is not None)
            assert (await device(house))["status"] == "ok"

        house_clock.advance(SILENCE + 1)  # nobody looks any more
        assert (await device(house))["status"] == "degraded"


async def test_turns_are_executed_where_the_workspace_lies(
    house: House, admin: httpx2.AsyncClient
) -> None:
    post = (await admin.get("/api/v1/posts")).json()["items"][0]["id"]
    await admin.post("/api/v1/agents", json={"name": "Ada", "post_id": post})

    devices = await house.database.read(lambda conn: conn.scalars(select(lanes.c.device)).all())

    assert devices == [(house.settings.data_dir / "device").read_text().strip()]
