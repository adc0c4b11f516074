"""What `/health` and `/info` tell."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import URL, make_url
from tests.fixtures_db import copied_database
from tests.fixtures_nats import Nats
from tests.fixtures_server import calling, quick_passwords
from tests.patience import PATIENCE, until

from longhouse import __version__
from longhouse.kit.clock import ManualClock
from longhouse.kit.settings import Settings
from longhouse.runtime.model import Models
from longhouse.runtime.sandbox.off import Unprotected
from longhouse.server import health
from longhouse.server.house import House, open_house, working


async def test_health_names_every_part(
    client: httpx2.AsyncClient, house_clock: ManualClock
) -> None:
    house_clock.advance(90)

    answer = await client.get("/health")

    checks = answer.json()["checks"]
    assert answer.status_code == 200
    assert checks["application"]["version"] == __version__
    assert checks["application"]["uptime_seconds"] == 90
    assert checks["application"]["environment"] == "local"
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


class Line:
    """A way to a PostgreSQL server that can be cut, and mended at the same address."""

    def __init__(self, server: URL) -> None:
        self._server = server
        self._writers: set[asyncio.StreamWriter] = set()
        self._listening: asyncio.Server | None = None
        self.port = 0

    async def mend(self) -> None:
        """Let connections through."""
        self._listening = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End every connection and take no new one."""
        assert self._listening is not None
        self._listening.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._listening.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        directory = self._server.query.get("host")
        if directory is None:
            host, port = self._server.host or "127.0.0.1", self._server.port or 5432
            there = await asyncio.open_connection(host, port)
        else:
            there = await asyncio.open_unix_connection(f"{directory}/.s.PGSQL.5432")
        self._writers |= {writer, there[1]}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pass_on(reader, there[1]))
                both.create_task(_pass_on(there[0], writer))
        finally:
            self._writers -= {writer, there[1]}


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@pytest.mark.postgres
class TestOutage:
    @pytest.fixture
    async def line(self, postgresql_server: URL) -> AsyncIterator[Line]:
        line = Line(postgresql_server)
        await line.mend()
        yield line
        await line.cut()

    async def test_every_part_that_stops_shows_and_comes_back_by_itself(
        self,
        line: Line,
        postgresql_template: URL,
        house_models: Models,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(health, "SILENCE", 4.0)  # twice what is between two looks
        async with AsyncExitStack() as stack:
            url = make_url(await stack.enter_async_context(copied_database(postgresql_template)))
            by_line = url.set(host="127.0.0.1", port=line.port, query={})
            settings = Settings(
                data_dir=tmp_path,
                database_url=by_line.render_as_string(hide_password=False),
                port=0,
            )
            house = await stack.enter_async_context(
                open_house(
                    settings,
                    passwords=quick_passwords(),
                    sandbox=Unprotected(),
                    turn_models=house_models,
                )
            )
            await stack.enter_async_context(working(house))
            client = await stack.enter_async_context(calling(house))
            every = {"database", "bus", "device"}

            async def look() -> set[str]:
                """The parts that are well."""
                checks = (await client.get("/health")).json()["checks"]
                return {name for name in every if checks[name]["status"] == "ok"}

            await seen(look, every)
            await line.cut()
            await seen(look, set())
            assert (await client.get("/health")).status_code == 503

            await line.mend()
            await seen(look, every)
            assert (await client.get("/health")).status_code == 200


async def seen(look: Callable[[], Awaitable[set[str]]], wanted: set[str]) -> None:
    """Wait until somebody who asks again and again is told this."""
    async with asyncio.timeout(PATIENCE):
        while await look() != wanted:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.05)


async def test_info_tells_what_runs_here(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/info")

    assert answer.json() == {"name": "longhouse", "version": __version__, "environment": "local"}
