"""A carrier that goes away and comes back: what readers and publishers see of it."""

import logging
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from nats.aio.client import Client
from tests.fixtures_nats import Nats, connected_bus, next_message
from tests.patience import PATIENCE, until

from longhouse.kit.bus.base import Message
from longhouse.kit.bus.carried import CarriedBus
from longhouse.kit.bus.choose import default_bus_url, opened_bus
from longhouse.kit.errors import Misconfigured

BACKENDS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class TestNats:
    async def test_while_it_is_away_rings_go_on_within_the_process(self, own_nats: Nats) -> None:
        async with connected_bus(own_nats.url) as bus:
            own_nats.stop()
            await until(lambda: not bus.describe().connected)

            with bus.subscribe("a") as subscription:
                bus.publish("a", b"1")

                assert await subscription.next(PATIENCE) == Message("a", b"1")
            assert bus.describe().detail

    async def test_when_it_is_back_everybody_looks_and_rings_cross_again(
        self, own_nats: Nats
    ) -> None:
        async with connected_bus(own_nats.url) as one, connected_bus(own_nats.url) as other:
            with other.subscribe("a") as there:
                own_nats.stop()
                await until(lambda: not (one.describe().connected or other.describe().connected))
                one.publish("a", b"nobody hears it")
                own_nats.start()

                assert await there.next(PATIENCE) is None, "woken to look"
                assert there.take_lagged()
                await until(lambda: one.describe().connected and other.describe().connected)
                one.publish("a", b"2")
                assert await next_message(there) == Message("a", b"2")

    async def test_a_server_that_comes_later_is_found(self, own_nats: Nats) -> None:
        own_nats.stop()
        async with opened_bus(own_nats.url) as bus:
            assert not bus.describe().connected
            own_nats.start()

            await until(lambda: bus.describe().connected)

    async def test_of_several_servers_one_that_lives_is_taken(
        self, own_nats: Nats, nats_server: Nats
    ) -> None:
        own_nats.stop()

        async with connected_bus(f"{own_nats.url},{nats_server.url}"):
            pass

    async def test_what_others_publish_in_its_place_does_no_harm(
        self, nats_server: Nats, caplog: pytest.LogCaptureFixture
    ) -> None:
        stranger = Client()
        await stranger.connect(nats_server.url)
        async with connected_bus(nats_server.url) as one, connected_bus(nats_server.url) as other:
            with caplog.at_level(logging.WARNING), other.subscribe("a") as there:
                await stranger.publish("longhouse.bus", b"hello?")
                await stranger.flush()
                one.publish("a")

                assert await next_message(there) == Message("a", b"")
            assert "something else" in caplog.text
        await stranger.close()


@pytest.mark.postgres
class TestPostgres:
    async def test_a_connection_that_was_cut_comes_back_by_itself(self, bus_database: str) -> None:
        async with connected_bus(bus_database) as one, connected_bus(bus_database) as other:
            with other.subscribe("a") as there:
                operator = await asyncpg.connect(bus_database)
                await operator.fetch(BACKENDS)
                await operator.close()

                assert await there.next(PATIENCE) is None, "woken to look"
                assert there.take_lagged()
                await until(lambda: one.describe().connected and other.describe().connected)
                one.publish("a", b"2")
                assert await next_message(there) == Message("a", b"2")

    async def test_a_server_that_is_away_is_told_in_words(self, tmp_path: Path) -> None:
        async with opened_bus(f"postgresql://nobody@/none?host={tmp_path}") as bus:
            assert isinstance(bus, CarriedBus)
            report = bus.describe()

        assert not report.connected
        assert report.detail


class TestChoice:
    def test_postgresql_brings_its_own_and_sqlite_needs_none(self) -> None:
        assert default_bus_url("sqlite:////data/longhouse.db") == "memory"
        assert default_bus_url("postgresql://db/longhouse") == "postgresql://db/longhouse"

    async def test_an_address_of_an_unknown_form_is_refused(self) -> None:
        with pytest.raises(Misconfigured, match="LONGHOUSE_BUS_URL"):
            async with opened_bus("redis://localhost"):
                pass
