"""Replay, then follow: every item after a position exactly once and in order, then live.

The truth is behind `read`; the subscription only rings. The caller subscribes first and replays
second, so nothing can fall between the two. A ring may be lost or come too often: neither does
harm, for every ring and every time-out leads to reading from where we are. Event streams (`sse`)
and the runtime's `subscribe` are made of this. It opens and closes nothing itself.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from longhouse.kit.bus.base import BusClosed, Message, Subscription

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """Something from the truth."""

    value: T


@dataclass(frozen=True, slots=True)
class Live:
    """A fragment that was published on a live topic and is kept nowhere."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing for as long as a heartbeat: time to show that the connection lives."""


Followed: TypeAlias = Item[T] | Live | Beat


async def follow(
    read: Callable[[int], Awaitable[Sequence[T]]],
    subscription: Subscription,
    *,
    after: int,
    position: Callable[[T], int],
    heartbeat: float,
    live_topics: Collection[str] = (),
    page_size: int | None = None,
) -> AsyncGenerator[Followed[T], None]:
    """Yield what comes after position `after`, until the bus closes or the caller stops.

    `read(cursor)` returns the next page of items above `cursor` in order, empty at the end; items
    must become visible in the order of their positions. `page_size`: a shorter page is known to be
    the last, which saves a query. A message on one of the `live_topics` comes out as `Live`, after
    every item whose ring came before it; any other is a ring. `heartbeat`: seconds.
    """
    loop = asyncio.get_running_loop()
    cursor = after
    read_is_due = True  # even before the first ring: everything up to now
    live: Message | None = None  # came after the rings that the next read answers
    beat_at = loop.time() + heartbeat
    try:
        while True:
            if read_is_due:
                live = live or await _skip_rings(subscription, live_topics)
                subscription.take_lagged()  # whatever the lost rings were for is read now
                while page := await read(cursor):
                    for value in page:
                        cursor = position(value)
                        yield Item(value)
                    beat_at = loop.time() + heartbeat
                    if page_size is not None and len(page) < page_size:
                        break
                read_is_due = False
                if live is not None:
                    yield Live(live.payload)
                    live = None
                    beat_at = loop.time() + heartbeat
            if loop.time() >= beat_at:
                yield Beat()
                beat_at = loop.time() + heartbeat
            message = await subscription.next(max(beat_at - loop.time(), 0))
            if message is None:  # the clock may still stand a little before `beat_at`
                read_is_due = True
                beat_at = loop.time()
            elif message.topic not in live_topics:
                read_is_due = True
            elif subscription.lagged:
                read_is_due = True
                live = message
            else:
                yield Live(message.payload)
                beat_at = loop.time() + heartbeat
    except BusClosed:
        return


async def _skip_rings(subscription: Subscription, live_topics: Collection[str]) -> Message | None:
    """Take the rings that already wait, for one read answers them all; stop at a live message."""
    while (message := await subscription.next(0)) is not None:
        if message.topic in live_topics:
            return message
    return None
