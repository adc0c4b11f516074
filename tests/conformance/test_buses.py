"""What every bus promises; each carrier runs through the same tests.

The first part holds for readers and publishers in one process, on any bus. In the second there are
two processes, each with a bus of its own on the same carrier.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from tests.fixtures_nats import connected_bus, next_message
from tests.patience import PATIENCE

from longhouse.kit.bus.base import Bus, BusClosed, Message
from longhouse.kit.bus.carried import MOST_WAITING, CarriedBus
from longhouse.kit.bus.choose import MEMORY, opened_bus

CARRIERS = ("nats", pytest.param("postgresql", marks=pytest.mark.postgres))


def address(kind: str, request: pytest.FixtureRequest) -> str:
    """The address of a bus of this kind."""
    match kind:
        case "nats":
            url: str = request.getfixturevalue("nats_server").url
        case "postgresql":
            url = request.getfixturevalue("bus_database")
        case _:
            url = MEMORY
    return url


@pytest.fixture(params=(MEMORY, *CARRIERS))
def bus_url(request: pytest.FixtureRequest) -> str:
    return address(request.param, request)


@pytest.fixture
async def bus(bus_url: str) -> AsyncIterator[Bus]:
    async with opened_bus(bus_url) as opened:
        yield opened


@pytest.fixture(params=CARRIERS)
def carrier_url(request: pytest.FixtureRequest) -> str:
    return address(request.param, request)


@pytest.fixture
async def buses(carrier_url: str) -> AsyncIterator[tuple[CarriedBus, CarriedBus]]:
    """The buses of two processes, both connected."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(connected_bus(carrier_url))
        other = await stack.enter_async_context(connected_bus(carrier_url))
        yield one, other


async def test_a_subscriber_gets_what_is_published_to_its_topics_in_order(bus: Bus) -> None:
    with bus.subscribe("a", "b") as subscription:
        bus.publish("a", b"1")
        bus.publish("other", b"-")
        bus.publish("b", b"2")
        bus.publish("a")

        got = [await subscription.next(PATIENCE) for _ in range(3)]

    assert got == [Message("a", b"1"), Message("b", b"2"), Message("a", b"")]


async def test_a_subscriber_hears_nothing_from_before_it_came(bus: Bus) -> None:
    bus.publish("a", b"early")

    with bus.subscribe("a") as subscription:
        assert await subscription.next(0.01) is None


async def test_a_time_out_of_zero_takes_what_is_there_and_waits_for_nothing(bus: Bus) -> None:
    with bus.subscribe("a") as subscription:
        assert await subscription.next(0) is None
        bus.publish("a", b"1")
        bus.publish("a", b"2")

        assert await subscription.next(0) == Message("a", b"1")
        assert await subscription.next(PATIENCE) == Message("a", b"2")
        assert await subscription.next(0) is None


async def test_publishing_without_subscribers_is_fine(bus: Bus) -> None:
    bus.publish("nobody", b"1")


async def test_a_waiting_reader_is_woken(bus: Bus) -> None:
    async with bus.subscribe("a") as subscription:
        reader = asyncio.create_task(subscription.next())
        await asyncio.sleep(0)

        bus.publish("a", b"1")

        assert await asyncio.wait_for(reader, PATIENCE) == Message("a", b"1")


async def test_every_subscriber_of_a_topic_gets_each_message(bus: Bus) -> None:
    with bus.subscribe("a") as one, bus.subscribe("a") as two:
        bus.publish("a", b"1")

        assert await one.next(PATIENCE) == await two.next(PATIENCE) == Message("a", b"1")


async def test_an_overflow_drops_the_oldest_and_says_so_once(bus: Bus) -> None:
    with bus.subscribe("a", capacity=2) as subscription:
        for number in range(5):
            bus.publish("a", b"%d" % number)

        assert subscription.lagged
        assert subscription.take_lagged()
        assert not subscription.take_lagged()
        assert [await subscription.next(0.01) for _ in range(3)] == [
            Message("a", b"3"),
            Message("a", b"4"),
            None,
        ]


async def test_a_reader_that_keeps_up_never_lags(bus: Bus) -> None:
    with bus.subscribe("a", capacity=1) as subscription:
        for _ in range(5):
            bus.publish("a")
            assert await subscription.next(PATIENCE)

        assert not subscription.lagged


async def test_a_slow_reader_does_not_hold_up_the_others(bus: Bus) -> None:
    with bus.subscribe("a", capacity=1), bus.subscribe("a", capacity=1000) as quick:
        for _ in range(1000):
            bus.publish("a")

        assert [await quick.next(PATIENCE) for _ in range(1000)] == [Message("a", b"")] * 1000


async def test_a_cancelled_wait_loses_no_message(bus: Bus) -> None:
    with bus.subscribe("a") as subscription:
        reader = asyncio.create_task(subscription.next())
        await asyncio.sleep(0)
        bus.publish("a", b"1")
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)

        assert await subscription.next(PATIENCE) == Message("a", b"1")


async def test_a_closed_subscription_hears_nothing_more(bus: Bus) -> None:
    subscription = bus.subscribe("a")
    subscription.close()
    subscription.close()

    bus.publish("a")

    assert await subscription.next(0.01) is None


async def test_closing_the_bus_ends_waiting_readers(bus: Bus) -> None:
    with bus.subscribe("a") as subscription:
        reader = asyncio.create_task(subscription.next())
        await asyncio.sleep(0)

        await bus.close()

        with pytest.raises(BusClosed):
            await asyncio.wait_for(reader, PATIENCE)
        with pytest.raises(BusClosed):
            await bus.subscribe("a").next()


async def test_what_was_published_before_the_bus_closed_is_still_read(bus: Bus) -> None:
    with bus.subscribe("a") as subscription:
        bus.publish("a", b"last")
        await bus.close()

        assert await subscription.next() == Message("a", b"last")
        with pytest.raises(BusClosed):
            await subscription.next()


async def test_two_tasks_cannot_read_one_subscription(bus: Bus) -> None:
    with bus.subscribe("a") as subscription:
        reader = asyncio.create_task(subscription.next())
        await asyncio.sleep(0)

        with pytest.raises(RuntimeError, match="one reader"):
            await subscription.next()
        bus.publish("a")
        await reader


class TestSeveralProcesses:
    async def test_a_ring_reaches_readers_of_every_process(
        self, buses: tuple[CarriedBus, CarriedBus]
    ) -> None:
        one, other = buses
        with one.subscribe("a") as here, other.subscribe("a") as there:
            one.publish("a", b"1")

            assert await here.next(PATIENCE) == Message("a", b"1")
            assert await next_message(there) == Message("a", b"1")

    async def test_nobody_hears_a_message_twice(self, buses: tuple[CarriedBus, CarriedBus]) -> None:
        one, other = buses
        with one.subscribe("a", "b") as here, other.subscribe("b") as there:
            one.publish("a", b"1")
            one.publish("b", b"2")
            await next_message(there)  # an echo of the first would have come by now
            other.publish("b", b"3")

            got = [await next_message(here) for _ in range(3)]

        assert got == [Message("a", b"1"), Message("b", b"2"), Message("b", b"3")]

    async def test_messages_of_one_process_arrive_in_their_order(
        self, buses: tuple[CarriedBus, CarriedBus]
    ) -> None:
        one, other = buses
        sent = [Message(f"{number % 3}", b"%d" % number) for number in range(2_000)]
        with other.subscribe("0", "1", "2", capacity=len(sent)) as there:
            for message in sent:
                one.publish(message.topic, message.payload)
                if message.payload.endswith(b"00"):
                    await asyncio.sleep(0)

            assert [await next_message(there) for _ in sent] == sent
            assert not there.lagged

    @pytest.mark.parametrize("size", [0, 5_900, 8_000, 1_000_000])
    async def test_a_payload_of_any_size_arrives_whole(
        self, buses: tuple[CarriedBus, CarriedBus], size: int
    ) -> None:
        one, other = buses
        payload = bytes(number % 256 for number in range(size))
        with other.subscribe("a") as there:
            one.publish("a", payload)

            assert await next_message(there) == Message("a", payload)

    async def test_a_topic_may_be_any_text(self, buses: tuple[CarriedBus, CarriedBus]) -> None:
        one, other = buses
        topic = "journal.日志 * > \n'; SELECT"
        with other.subscribe(topic) as there:
            one.publish(topic)

            assert await next_message(there) == Message(topic, b"")

    async def test_what_was_published_last_goes_out_before_the_bus_closes(
        self, buses: tuple[CarriedBus, CarriedBus]
    ) -> None:
        one, other = buses
        with other.subscribe("a") as there:
            one.publish("a", b"last")
            await one.close()

            assert await next_message(there) == Message("a", b"last")

    async def test_whoever_cannot_send_as_fast_as_it_publishes_tells_the_others(
        self, buses: tuple[CarriedBus, CarriedBus]
    ) -> None:
        one, other = buses
        with other.subscribe("a") as there:
            for _ in range(MOST_WAITING + 1):
                one.publish("b")
            one.publish("a")

            assert await next_message(there) == Message("a", b"")
            assert there.take_lagged()
