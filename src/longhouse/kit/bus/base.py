"""What every bus promises: a ring that wakes readers, never a place where truth is kept.

Publishers ring a topic after their transaction is committed; readers subscribe, read their truth
(the journal, a table), wait for a ring or a time-out, and read again. Live fragments of text
travel as payloads and are lost when nobody listens. Implemented by `memory` (one process) and
`carried` (several, by way of a carrier).
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from longhouse.kit.errors import Unavailable

DEFAULT_CAPACITY = 256
"""Messages a subscription keeps for a reader that is busy before the oldest are dropped."""


class BusClosed(Unavailable):
    """The bus is shutting down; a reader ends, its client comes back and replays."""

    code = "bus-closed"

    def __init__(self) -> None:
        super().__init__("The server is shutting down.", hint="Connect again.", retry_after=1)


@dataclass(frozen=True, slots=True)
class Message:
    """One ring of a topic, perhaps with something live in it."""

    topic: str
    payload: bytes  # empty for a bare ring


@dataclass(frozen=True, slots=True, kw_only=True)
class BusReport:
    """How a bus is, for health and metrics; counts are of this process."""

    name: str  # what carries it
    connected: bool
    detail: str = ""  # why it is not connected
    sent: int = 0  # messages brought to other processes
    heard: int = 0  # messages from other processes
    missed: int = 0  # times that readers were told to look for themselves


class Subscription(Protocol):
    """One reader's place; active from the moment `subscribe` returns until it is closed.

    Messages of all its topics arrive in the order in which one process published them. One task
    reads it.
    """

    async def next(self, timeout: float | None = None) -> Message | None:
        """The next message; None after `timeout` seconds without one, at once for a zero.

        None comes early when messages may have been lost on their way: whoever waits, looks.
        Cancelling it loses no message. Raises `BusClosed` once the bus is closed.
        """
        ...

    @property
    def lagged(self) -> bool:
        """Whether messages were lost and `take_lagged` has not been asked since."""
        ...

    def take_lagged(self) -> bool:
        """Whether messages were lost since the last call: then re-read the truth."""
        ...

    def close(self) -> None:
        """Stop receiving; closing twice is fine."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Bus(Protocol):
    """Topics that ring. Used from the thread of the event loop only."""

    def publish(self, topic: str, payload: bytes = b"") -> None:
        """Wake the topic's subscribers; returns at once and never fails for a slow reader."""
        ...

    def subscribe(self, *topics: str, capacity: int = DEFAULT_CAPACITY) -> Subscription:
        """Listen to these topics from now on, keeping at most `capacity` unread messages."""
        ...

    def describe(self) -> BusReport:
        """How it is now. Rings between processes come only while it is connected."""
        ...

    async def close(self) -> None:
        """End every subscription: their readers get `BusClosed`."""
        ...
