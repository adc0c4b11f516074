"""Replay, then follow."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.patience import PATIENCE, until

from longhouse.kit.bus.base import Subscription
from longhouse.kit.bus.memory import MemoryBus
from longhouse.kit.follow import Beat, Followed, Item, Live, follow


class Truth:
    """A list that counts how often it is read."""

    def __init__(self, length: int = 0, *, page_size: int = 3) -> None:
        self.items = list(range(1, length + 1))
        self.page_size = page_size
        self.reads = 0

    async def read(self, after: int) -> Sequence[int]:
        self.reads += 1
        await asyncio.sleep(0)
        return self.items[after : after + self.page_size]

    def append(self) -> None:
        self.items.append(len(self.items) + 1)


def position(value: int) -> int:
    return value


async def take(
    count: int,
    truth: Truth,
    subscription: Subscription,
    *,
    after: int = 0,
    heartbeat: float = 2 * PATIENCE,
    page_size: int | None = None,
    waiting: asyncio.Event | None = None,
) -> list[Followed[int]]:
    """The first things that following yields.

    `waiting`: set once the first came; with a page size that makes it the last of its page, it then
    waits for rings.
    """
    taken: list[Followed[int]] = []
    stream = follow(
        truth.read,
        subscription,
        after=after,
        position=position,
        heartbeat=heartbeat,
        page_size=page_size,
        live_topics={"live"},
    )
    async with asyncio.timeout(PATIENCE), aclosing(stream) as following:
        async for thing in following:
            taken.append(thing)
            if waiting is not None:
                waiting.set()
            if len(taken) == count:
                break
    return taken


@asynccontextmanager
async def taking(
    count: int, truth: Truth, subscription: Subscription, *, heartbeat: float = 2 * PATIENCE
) -> AsyncIterator[asyncio.Task[list[Followed[int]]]]:
    """The same in a task of its own, which has taken the first item and waits for rings."""
    waiting = asyncio.Event()
    following = asyncio.create_task(
        take(
            count,
            truth,
            subscription,
            heartbeat=heartbeat,
            page_size=truth.page_size,
            waiting=waiting,
        )
    )
    await waiting.wait()
    yield following


async def test_all_pages_are_replayed_from_the_bookmark() -> None:
    bus, truth = MemoryBus(), Truth(8)

    with bus.subscribe("ring") as subscription:
        assert await take(6, truth, subscription, after=2) == [Item(n) for n in range(3, 9)]


async def test_a_ring_brings_what_is_new() -> None:
    bus, truth = MemoryBus(), Truth(1)

    with bus.subscribe("ring") as subscription:
        async with taking(2, truth, subscription) as following:
            truth.append()
            bus.publish("ring")

            assert await following == [Item(1), Item(2)]


async def test_what_comes_between_subscribing_and_reading_is_told_once() -> None:
    bus, truth = MemoryBus(), Truth(1)

    with bus.subscribe("ring") as subscription:
        truth.append()
        bus.publish("ring")

        assert await take(3, truth, subscription, heartbeat=0.01) == [Item(1), Item(2), Beat()]


async def test_a_lost_ring_is_made_good_by_the_heartbeat() -> None:
    bus, truth = MemoryBus(), Truth(1)

    with bus.subscribe("ring") as subscription:
        async with taking(3, truth, subscription, heartbeat=0.01) as following:
            truth.append()  # and nobody rings

            assert [thing for thing in await following if thing != Beat()] == [Item(1), Item(2)]


async def test_live_fragments_come_after_the_items_whose_ring_came_before_them() -> None:
    bus, truth = MemoryBus(), Truth(1)

    with bus.subscribe("ring", "live") as subscription:
        async with taking(5, truth, subscription) as following:
            bus.publish("live", b"a")
            truth.append()
            bus.publish("ring")
            bus.publish("live", b"b")
            bus.publish("live", b"c")

            assert await following == [Item(1), Live(b"a"), Item(2), Live(b"b"), Live(b"c")]


async def test_rings_that_wait_together_are_answered_by_one_read() -> None:
    bus, truth = MemoryBus(), Truth()

    with bus.subscribe("ring") as subscription:
        for _ in range(100):
            bus.publish("ring")
        truth.append()
        await take(1, truth, subscription, page_size=truth.page_size)

    assert truth.reads == 1


async def test_a_short_page_is_the_last_when_its_size_is_known() -> None:
    bus, truth = MemoryBus(), Truth(4)

    with bus.subscribe("ring") as subscription:
        await take(5, truth, subscription, heartbeat=0.01, page_size=truth.page_size)

    assert truth.reads <= 3  # two pages, and at most one look before the heartbeat


async def test_an_overflow_of_live_fragments_loses_no_item() -> None:
    bus, truth = MemoryBus(), Truth(1)

    with bus.subscribe("ring", "live", capacity=2) as subscription:
        async with taking(4, truth, subscription) as following:
            truth.append()
            bus.publish("ring")  # pushed out by what follows
            for number in range(5):
                bus.publish("live", b"%d" % number)

            assert await following == [Item(1), Item(2), Live(b"3"), Live(b"4")]


async def test_rings_without_anything_new_do_not_hold_up_the_heartbeat() -> None:
    bus, truth = MemoryBus(), Truth()

    async def ring_in_vain() -> None:
        while True:
            bus.publish("ring")
            await asyncio.sleep(0)

    with bus.subscribe("ring") as subscription:
        ringing = asyncio.create_task(ring_in_vain())

        assert await take(2, truth, subscription, heartbeat=0.01) == [Beat(), Beat()]
        ringing.cancel()


async def test_the_end_of_the_bus_is_the_end_of_following() -> None:
    bus, truth = MemoryBus(), Truth(2)

    with bus.subscribe("ring") as subscription:
        async with taking(100, truth, subscription) as following:
            await bus.close()

            assert await following == [Item(1), Item(2)]


@settings(max_examples=150, deadline=None)
@given(
    actions=st.lists(
        st.sampled_from(["append", "append and ring", "ring", "live", "run", "run", "burst"]),
        max_size=60,
    ),
    already=st.integers(0, 7),
    bookmark=st.integers(0, 7),
    capacity=st.integers(1, 8),
    knows_page_size=st.booleans(),
)
def test_whatever_happens_in_between_every_item_comes_once_and_in_order(
    actions: list[str], already: int, bookmark: int, capacity: int, knows_page_size: bool
) -> None:
    taken: list[Followed[int]] = []
    rung_before: dict[bytes, int] = {}  # live fragment → items that had been rung for

    async def act() -> int:
        bus, truth = MemoryBus(), Truth(already)
        rung = already
        after = min(bookmark, already)

        async def consume(subscription: Subscription) -> None:
            stream = follow(
                truth.read,
                subscription,
                after=after,
                position=position,
                heartbeat=0.001,
                page_size=truth.page_size if knows_page_size else None,
                live_topics={"live"},
            )
            async for thing in stream:
                taken.append(thing)  # noqa: PERF401 - others watch it grow

        with bus.subscribe("ring", "live", capacity=capacity) as subscription:
            consumer = asyncio.create_task(consume(subscription))
            for action in actions:
                if action.startswith("append"):
                    truth.append()
                if action.endswith("ring"):
                    rung = len(truth.items)
                    bus.publish("ring")
                if action in {"live", "burst"}:
                    for _ in range(10 if action == "burst" else 1):
                        payload = b"%d" % len(rung_before)
                        rung_before[payload] = rung
                        bus.publish("live", payload)
                if action == "run":
                    await asyncio.sleep(0)
            await until(lambda: last_item(taken, default=after) == len(truth.items))
            await bus.close()
            await consumer
        return len(truth.items)

    length = asyncio.run(act())

    after = min(bookmark, already)
    assert [t.value for t in taken if isinstance(t, Item)] == list(range(after + 1, length + 1))
    lives = [int(thing.payload) for thing in taken if isinstance(thing, Live)]
    assert lives == sorted(set(lives))
    seen = after
    for thing in taken:
        if isinstance(thing, Item):
            seen = thing.value
        elif isinstance(thing, Live):
            assert seen >= rung_before[thing.payload]


def last_item(taken: list[Followed[int]], *, default: int) -> int:
    return max((thing.value for thing in taken if isinstance(thing, Item)), default=default)
