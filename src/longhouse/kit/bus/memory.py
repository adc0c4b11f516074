"""The bus of one process: topics are sets of subscriptions, publishing is appending to a deque.

The server uses it when it runs alone, the runtime when it is embedded, and `carried` for the part
of a bus that is in this process. It carries nothing across processes itself.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

from longhouse.kit.bus.base import DEFAULT_CAPACITY, BusClosed, BusReport, Message


class MemorySubscription:
    """A bounded queue of messages with one reader."""

    def __init__(self, bus: "MemoryBus", topics: tuple[str, ...], *, capacity: int) -> None:
        self._bus = bus
        self._topics = topics
        self._waiting: deque[Message] = deque(maxlen=capacity)
        self._capacity = capacity
        self._lagged = False
        self._missed = False  # and the reader has not been woken for it
        self._wake: asyncio.Future[None] | None = None
        self._bus_closed = False

    async def next(self, timeout: float | None = None) -> Message | None:
        """The next message; None after `timeout` seconds without one, or when some were lost."""
        if not (self._waiting or self._missed) and (timeout is None or timeout > 0):
            await self._wait(timeout)
        if self._waiting:
            return self._waiting.popleft()
        if self._bus_closed:
            raise BusClosed
        self._missed = False
        return None

    def take_lagged(self) -> bool:
        """Whether messages were lost since the last call."""
        lagged, self._lagged = self._lagged, False
        self._missed = False
        return lagged

    @property
    def lagged(self) -> bool:
        """Whether messages were lost and `take_lagged` has not been asked since."""
        return self._lagged

    def close(self) -> None:
        """Stop receiving."""
        self._bus.forget(self, self._topics)

    def deliver(self, message: Message) -> None:
        """Keep the message for the reader, at the cost of the oldest when full (the bus calls)."""
        if len(self._waiting) == self._capacity:
            self._lagged = True
        self._waiting.append(message)
        self._wake_reader()

    def miss(self) -> None:
        """Messages may have been lost elsewhere: wake the reader to look (the bus calls)."""
        self._lagged = self._missed = True
        self._wake_reader()

    def end(self) -> None:
        """Tell the reader that nothing will come any more (the bus calls)."""
        self._bus_closed = True
        self._wake_reader()

    async def _wait(self, timeout: float | None) -> None:
        if self._bus_closed:
            return
        if self._wake is not None:
            raise RuntimeError("a subscription has one reader; subscribe once for each task")
        loop = asyncio.get_running_loop()
        wake = self._wake = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, self._wake_reader)
        try:
            await wake
        finally:
            self._wake = None
            if timer is not None:
                timer.cancel()

    def _wake_reader(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class MemoryBus:
    """Rings within one process and one event loop."""

    def __init__(self) -> None:
        # Dictionaries as ordered sets: readers are woken in the order they came.
        self._topics: dict[str, dict[MemorySubscription, None]] = {}
        self._closed = False

    def publish(self, topic: str, payload: bytes = b"") -> None:
        """Wake the topic's subscribers; nobody listening is fine."""
        subscriptions = self._topics.get(topic)
        if subscriptions is None:
            return
        message = Message(topic, payload)
        for subscription in subscriptions:
            subscription.deliver(message)

    def subscribe(self, *topics: str, capacity: int = DEFAULT_CAPACITY) -> MemorySubscription:
        """Listen to these topics from now on, keeping at most `capacity` unread messages."""
        if capacity < 1:
            raise ValueError("a subscription keeps at least one message")
        subscription = MemorySubscription(self, topics, capacity=capacity)
        if self._closed:
            subscription.end()
            return subscription
        for topic in topics:
            self._topics.setdefault(topic, {})[subscription] = None
        return subscription

    def forget(self, subscription: MemorySubscription, topics: tuple[str, ...]) -> None:
        """Drop a subscription, and topics nobody listens to (a subscription calls)."""
        for topic in topics:
            subscriptions = self._topics.get(topic)
            if subscriptions is None:
                continue
            subscriptions.pop(subscription, None)
            if not subscriptions:
                del self._topics[topic]

    def miss(self) -> None:
        """Wake every reader: messages from elsewhere may have been lost (`carried` calls)."""
        readers = {reader: None for readers in self._topics.values() for reader in readers}
        for subscription in readers:
            subscription.miss()

    def describe(self) -> BusReport:
        """Always connected: there is nobody else."""
        return BusReport(name="in process", connected=True)

    async def close(self) -> None:
        """End every subscription: what they hold can still be read, then `BusClosed`."""
        self._closed = True
        topics, self._topics = self._topics, {}
        for subscriptions in topics.values():
            for subscription in subscriptions:
                subscription.end()
