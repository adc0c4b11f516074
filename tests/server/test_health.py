"""What `/health` and `/info` tell."""

import httpx2
import pytest
from tests.fixtures_nats import Nats
from tests.patience import until

from longhouse import __version__
from longhouse.kit.clock import ManualClock
from longhouse.server.house import House


async def test_health_names_every_part(
    client: httpx2.AsyncClient, house_clock: ManualClock
) -> None:
    house_clock.advance(90)

    answer = await client.get("/health")

    checks = answer.json()["checks"]
    assert answer.status_code == 200
    assert checks["application"]["version"] == __version__
    assert checks["application"]["uptime_seconds"] == 90
    assert checks["database"]["status"] == "ok"
    assert checks["bus"]["status"] == "ok"


async def test_a_house_without_a_sandbox_says_that_nothing_protects(
    client: httpx2.AsyncClient,
) -> None:
    health = (await client.get("/health")).json()

    assert health["status"] == "degraded"
    assert health["checks"]["sandbox"]["status"] == "degraded"
    assert health["checks"]["sandbox"]["layer"] == "off"
    assert health["checks"]["sandbox"]["detail"]


async def test_a_database_that_does_not_answer_shows(
    house: House, client: httpx2.AsyncClient
) -> None:
    await house.database.close()

    answer = await client.get("/health")

    assert answer.status_code == 503
    assert answer.json()["status"] == "degraded"
    assert answer.json()["checks"]["database"]["status"] == "degraded"


class TestBus:
    @pytest.fixture
    def house_sets(self, own_nats: Nats) -> dict[str, object]:
        return {"bus_url": own_nats.url}

    async def test_a_bus_that_is_away_shows_until_it_is_back(
        self, house: House, client: httpx2.AsyncClient, own_nats: Nats
    ) -> None:
        async def check() -> dict[str, str]:
            answer = await client.get("/health")
            assert answer.status_code == 200, "everything can be stored"
            bus: dict[str, str] = answer.json()["checks"]["bus"]
            return bus

        assert await check() == {"status": "ok", "detail": "NATS"}

        own_nats.stop()
        await until(lambda: not house.bus.describe().connected)
        assert await check() == {"status": "degraded", "detail": "NATS does not answer."}

        own_nats.start()
        await until(lambda: house.bus.describe().connected)
        assert await check() == {"status": "ok", "detail": "NATS"}


async def test_info_tells_what_runs_here(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/info")

    assert answer.json() == {"name": "longhouse", "version": __version__, "environment": "local"}
