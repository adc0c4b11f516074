"""What `/health` and `/info` tell."""

import httpx2

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


async def test_info_tells_what_runs_here(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/info")

    assert answer.json() == {"name": "longhouse", "version": __version__, "environment": "local"}
