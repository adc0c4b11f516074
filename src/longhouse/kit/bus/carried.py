"""The bus of several processes: rings at once in this one, and over a carrier in all others.

Every process hears every packet and hands on what somebody here listens to, so that subscribing is
local and takes effect at once. The carrier (`nats`, `postgres`) may be away at any time: readers
here go on being rung by what happens here, and once it is back everybody is told to look for what
may have been missed. It keeps nothing, and nothing waits for it.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Protocol

from longhouse.kit.bus.base import DEFAULT_CAPACITY, BusReport, Message
from longhouse.kit.bus.memory import MemoryBus, MemorySubscription
from longhouse.kit.bus.wire import ORIGIN_BYTES, NoPacket, Packer, Unpacker

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
"""A carrier that does not answer for so long is not there."""

PING_SECONDS = 5.0
"""How often a silent connection is asked whether it lives, and how long it may take to answer."""

FIRST_PAUSE = 0.1  # seconds before connecting again; doubled each time
LONGEST_PAUSE = 5.0

MOST_WAITING = 20_000
"""Messages kept for a carrier that is slow; more than that are dropped, and the others are told."""

FAREWELL_SECONDS = 2.0
"""How long the last rings may take when the process stops."""


class LinkLost(Exception):
    """The carrier does not answer; the text says why."""


class Link(Protocol):
    """A connection to a carrier. Every method raises `LinkLost` when it is over."""

    largest: int  # bytes of a packet

    async def send(self, packets: Sequence[bytes]) -> None:
        """Bring these to every other process, in order."""
        ...

    async def ping(self) -> None:
        """Return once the other end has answered."""
        ...

    async def close(self) -> None:
        """Let go of it; never raises."""
        ...


class Carrier(Protocol):
    """A way to other processes."""

    name: str  # as people know it

    async def connect(self, *, heard: Callable[[bytes], None], lost: Callable[[], None]) -> Link:
        """Connect and listen. `heard` is called with each packet, `lost` once when it is over.

        Raises `LinkLost` when the other end cannot be reached.
        """
        ...


class CarriedBus:
    """Rings in this process and in all others on the same carrier."""

    def __init__(self, carrier: Carrier) -> None:
        """Connects by itself, as soon as the loop runs."""
        self.name = carrier.name
        self._carrier = carrier
        self._local = MemoryBus()
        origin = secrets.token_bytes(ORIGIN_BYTES)
        self._packer = Packer(origin)
        self._unpacker = Unpacker(origin)
        self._waiting: list[Message] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._report = BusReport(name=carrier.name, connected=False, detail="Not connected yet.")
        self._settled = asyncio.Event()  # the first attempt has ended, well or not
        self._task = asyncio.create_task(self._run(), name=f"bus on {carrier.name}")

    async def settled(self) -> None:
        """Wait until the first attempt to connect has ended, well or not."""
        await self._settled.wait()

    def publish(self, topic: str, payload: bytes = b"") -> None:
        """Wake the topic's subscribers, here at once and elsewhere soon."""
        self._local.publish(topic, payload)
        if not self._report.connected:
            self._packer.dropped()
        elif len(self._waiting) >= MOST_WAITING:
            self._drop_waiting()
        else:
            self._waiting.append(Message(topic, payload))
            self._wake.set()

    def subscribe(self, *topics: str, capacity: int = DEFAULT_CAPACITY) -> MemorySubscription:
        """Listen to these topics from now on, keeping at most `capacity` unread messages."""
        return self._local.subscribe(*topics, capacity=capacity)

    def describe(self) -> BusReport:
        """How the carrier is."""
        return self._report

    async def close(self) -> None:
        """Send what waits, leave the carrier, end every subscription."""
        if not self._closing:
            self._closing = True
            self._wake.set()
            _, late = await asyncio.wait([self._task], timeout=FAREWELL_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._local.close()

    # --- the connection ---------------------------------------------------------------------------

    async def _run(self) -> None:
        """Be connected, again and again, until the bus is closed."""
        pause = FIRST_PAUSE
        while not self._closing:
            try:
                lost = asyncio.Event()
                link = await self._connect(lost)
                pause = FIRST_PAUSE
                try:
                    await self._serve(link, lost)
                finally:
                    await link.close()
            except LinkLost as error:
                self._down(str(error))
            except Exception:  # a task boundary: whatever it was, rings must come again
                logger.exception("the bus on %s broke", self._carrier.name)
                self._down("An error of ours; the log has it.")
            await self._woken(within=pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _connect(self, lost: asyncio.Event) -> Link:
        def lose() -> None:
            lost.set()
            self._wake.set()

        self._unpacker.forget()
        async with _answering(CONNECT_SECONDS):
            return await self._carrier.connect(heard=self._hear, lost=lose)

    async def _serve(self, link: Link, lost: asyncio.Event) -> None:
        """Send what is published, until the bus is closed. Raises `LinkLost`."""
        self._up()
        # Even with nothing to tell: it may have to say that something was dropped.
        await self._send(link, [])
        while not self._closing or self._waiting:
            if lost.is_set():
                raise LinkLost("The connection was lost.")
            if self._waiting:
                batch, self._waiting = self._waiting, []
                await self._send(link, batch)
            elif not await self._woken(within=PING_SECONDS):
                async with _answering(PING_SECONDS):
                    await link.ping()

    async def _send(self, link: Link, batch: Sequence[Message]) -> None:
        async with _answering(PING_SECONDS):
            await link.send(self._packer.pack(batch, largest=link.largest))
        self._report = replace(self._report, sent=self._report.sent + len(batch))

    async def _woken(self, *, within: float) -> bool:
        """Wait for something to do; False when nothing came for so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    def _hear(self, packet: bytes) -> None:
        try:
            heard = self._unpacker.take(packet)
        except NoPacket as error:
            logger.warning("something else is on the bus's place on %s: %s", self.name, error)
            return
        if heard.missed:
            self._miss()
        for message in heard.messages:
            self._local.publish(message.topic, message.payload)
        self._report = replace(self._report, heard=self._report.heard + len(heard.messages))

    # --- what we know -----------------------------------------------------------------------------

    def _up(self) -> None:
        logger.info("the bus on %s is connected", self.name)
        self._report = replace(self._report, connected=True, detail="")
        self._settled.set()
        self._miss()

    def _down(self, why: str) -> None:
        if self._report.connected or not self._settled.is_set():
            logger.warning("the bus on %s is away: %s", self.name, why)
        self._report = replace(self._report, connected=False, detail=why)
        self._settled.set()
        self._drop_waiting()

    def _miss(self) -> None:
        """Rings of others may have been lost: everybody here looks for themselves."""
        self._report = replace(self._report, missed=self._report.missed + 1)
        self._local.miss()

    def _drop_waiting(self) -> None:
        if self._waiting:
            self._waiting.clear()
            self._packer.dropped()


@contextlib.asynccontextmanager
async def _answering(within: float) -> AsyncIterator[None]:
    """Raises `LinkLost` when the block takes longer than so many seconds."""
    try:
        async with asyncio.timeout(within):
            yield
    except TimeoutError:
        raise LinkLost(f"No answer within {within:g} s.") from None
