"""The bus of several processes on a carrier that tests hold in their hands."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from tests.fixtures_nats import next_message
from tests.patience import PATIENCE, until

from longhouse.kit.bus.base import Message
from longhouse.kit.bus.carried import CarriedBus, LinkLost


@dataclass(eq=False)
class Wire:
    """Carries packets between the links that are up."""

    links: list["WireLink"] = field(default_factory=list)
    away: bool = False  # nobody can connect

    def plug(self) -> "Plug":
        """A carrier for one more process."""
        return Plug(self)


@dataclass(eq=False)
class Plug:
    """The carrier of one process."""

    wire: Wire
    name: str = "a wire"
    link: "WireLink | None" = None

    async def connect(
        self, *, heard: Callable[[bytes], None], lost: Callable[[], None]
    ) -> "WireLink":
        if self.wire.away:
            raise LinkLost("It is unplugged.")
        self.link = WireLink(self.wire, heard, lost)
        self.wire.links.append(self.link)
        return self.link

    def pull(self) -> None:
        """Cut this process off, and it notices."""
        assert self.link is not None
        self.wire.links.remove(self.link)
        self.link.lost()


@dataclass(eq=False)
class WireLink:
    """The connection of one process."""

    wire: Wire
    heard: Callable[[bytes], None]
    lost: Callable[[], None]
    largest: int = 100

    async def send(self, packets: Sequence[bytes]) -> None:
        if self not in self.wire.links:
            raise LinkLost("It is unplugged.")
        for packet in packets:
            for link in self.wire.links:
                link.heard(packet)

    async def ping(self) -> None:
        return

    async def close(self) -> None:
        if self in self.wire.links:
            self.wire.links.remove(self)


@dataclass
class Process:
    """A bus and its plug."""

    plug: Plug
    bus: CarriedBus


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def processes(wire: Wire) -> AsyncIterator[tuple[Process, Process]]:
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            plug = wire.plug()
            bus = CarriedBus(plug)
            stack.push_async_callback(bus.close)
            await bus.settled()
            made.append(Process(plug, bus))
        yield made[0], made[1]


async def test_what_could_not_be_sent_is_told_to_those_who_would_have_heard_it(
    wire: Wire, processes: tuple[Process, Process]
) -> None:
    one, other = processes
    with other.bus.subscribe("a") as there:
        wire.away = True
        one.plug.pull()
        await until(lambda: not one.bus.describe().connected)
        one.bus.publish("a", b"nobody hears it")
        assert not there.lagged

        wire.away = False

        assert await there.next(PATIENCE) is None, "woken to look"
        assert there.take_lagged()


async def test_whoever_was_cut_off_looks_for_what_it_missed(
    wire: Wire, processes: tuple[Process, Process]
) -> None:
    one, other = processes
    with one.bus.subscribe("a") as here:
        wire.away = True
        one.plug.pull()
        await until(lambda: not one.bus.describe().connected)
        other.bus.publish("a", b"missed")
        wire.away = False

        assert await here.next(PATIENCE) is None, "woken to look"
        assert here.take_lagged()


async def test_a_reader_that_is_busy_meanwhile_is_told_at_its_next_look(
    wire: Wire, processes: tuple[Process, Process]
) -> None:
    one, _ = processes
    with one.bus.subscribe("a") as here:
        one.plug.pull()
        await until(lambda: here.lagged)

        assert await here.next() is None
        assert await here.next(0.01) is None, "told once"


async def test_whoever_has_looked_already_is_not_woken_for_it_again(
    processes: tuple[Process, Process],
) -> None:
    one, _ = processes
    with one.bus.subscribe("a") as here:
        one.plug.pull()
        await until(lambda: here.lagged)
        assert here.take_lagged()

        reader = asyncio.create_task(here.next())
        await asyncio.sleep(0)
        one.bus.publish("a", b"1")

        assert await asyncio.wait_for(reader, PATIENCE) == Message("a", b"1")


async def test_what_waits_when_the_connection_breaks_is_dropped_and_told(
    processes: tuple[Process, Process],
) -> None:
    one, other = processes
    with other.bus.subscribe("a") as there:
        one.bus.publish("a", b"1")
        one.plug.pull()  # before anything was sent

        assert await there.next(PATIENCE) is None, "woken to look"


async def test_a_report_counts_what_crossed(processes: tuple[Process, Process]) -> None:
    one, other = processes
    with other.bus.subscribe("a") as there:
        one.bus.publish("a")
        one.bus.publish("b", bytes(1_000))
        await next_message(there)
        await until(lambda: other.bus.describe().heard == 2)

    assert one.bus.describe().sent == 2
    assert one.bus.describe().heard == 0
    assert one.bus.describe().name == "a wire"


async def test_it_closes_while_the_carrier_is_away(wire: Wire) -> None:
    wire.away = True
    bus = CarriedBus(wire.plug())
    await bus.settled()

    await asyncio.wait_for(bus.close(), PATIENCE)

    assert bus.describe().detail == "It is unplugged."
