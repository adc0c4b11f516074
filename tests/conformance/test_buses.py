"""What every bus promises; each carrier runs through the same tests."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from tests.patience import PATIENCE

from longhouse.kit.bus.base import Bus, BusClosed, Message
from longhouse.kit.bus.memory import MemoryBus

FACTORIES: dict[str, Callable[[], Bus]] = {"memory": MemoryBus}


@pytest.fixture(params=FACTORIES)
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    made = FACTORIES[request.param]()
    yield made
    await made.close()


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
