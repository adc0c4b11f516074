"""The executor, on a real queue, with handlers that tests hold the strings of."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.patience import PATIENCE
from tests.rows import tenant_row

from longhouse.fleet import store
from longhouse.fleet.models import MAX_ATTEMPTS, RUNS_TOPIC, Run, runs
from longhouse.fleet.service import PURGE_EVERY, Lease, RunExecutor
from longhouse.fleet.states import Outcome
from longhouse.identity.auth import tenant_of_own_row
from longhouse.identity.models import tenants
from longhouse.kit.bus.memory import MemoryBus
from longhouse.kit.clock import ManualClock
from longhouse.kit.db.database import Database

TENANT = tenant_of_own_row("tenant_a")
LEASE = timedelta(seconds=60)
RETENTION = timedelta(days=30)


class Recorder:
    """A handler that says what it does and does what it is told."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[Run] = asyncio.Queue()
        self.given_up: list[str] = []
        self.cut_off: list[str] = []
        self.work: Callable[[Run, Lease], Awaitable[Outcome | None]] = self.succeed

    async def __call__(self, run: Run, lease: Lease) -> Outcome | None:
        self.begun.put_nowait(run)
        try:
            return await self.work(run, lease)
        except asyncio.CancelledError:
            self.cut_off.append(run.subject)
            raise

    async def give_up(self, run: Run) -> str:
        self.given_up.append(run.subject)
        return "It broke off too often."

    async def next(self) -> Run:
        return await asyncio.wait_for(self.begun.get(), PATIENCE)

    @staticmethod
    async def succeed(run: Run, lease: Lease) -> Outcome:
        return Outcome.DONE

    @staticmethod
    async def break_off(run: Run, lease: Lease) -> Outcome:
        raise RuntimeError("as the test wants it")

    @staticmethod
    async def never_end(run: Run, lease: Lease) -> Outcome:
        await asyncio.Event().wait()
        return Outcome.DONE

    @staticmethod
    async def park(run: Run, lease: Lease) -> None:
        await lease.parking.wait()


class House:
    """A queue, a bus, a clock and any number of executors."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.bus = MemoryBus()
        self.clock = ManualClock()
        self.handler = Recorder()
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, holder: str = "a", *, slots: int = 2) -> RunExecutor:
        executor = RunExecutor(
            database=self.database,
            bus=self.bus,
            clock=self.clock,
            handlers={"turn": self.handler},
            holder=holder,
            slots=slots,
            lease=LEASE,
            retention=RETENTION,
        )
        self.tasks.append(asyncio.create_task(executor.run()))
        return executor

    async def kill(self) -> None:
        """What `kill -9` leaves behind: nobody writes anything any more."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    async def enqueue(self, subject: str = "s1", *, lane: str | None = None) -> None:
        await self.database.write(
            lambda conn: store.enqueue(
                conn,
                tenant_id=TENANT,
                kind="turn",
                subject=subject,
                lane=lane or subject,
                now=self.clock.now(),
            )
        )
        self.ring()

    async def subjects(self) -> set[str]:
        """What the queue remembers runs of."""
        found = await self.database.read(lambda conn: conn.scalars(select(runs.c.subject)).all())
        return set(found)

    def ring(self) -> None:
        self.bus.publish(RUNS_TOPIC)

    async def ended(self, subject: str = "s1") -> tuple[str, str | None]:
        """Outcome and detail of the subject's run, once it has ended."""
        query = select(runs.c.outcome, runs.c.detail).where(
            runs.c.subject == subject, runs.c.state == "ended"
        )
        async with asyncio.timeout(PATIENCE):
            while True:
                row = await self.database.read(lambda conn: conn.execute(query).one_or_none())
                if row is not None:
                    return row.outcome, row.detail

    async def state(self, subject: str = "s1") -> tuple[str, int]:
        query = select(runs.c.state, runs.c.attempts).where(runs.c.subject == subject)
        row = await self.database.read(lambda conn: conn.execute(query).one())
        return row.state, row.attempts


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    house = House(database)
    row = tenant_row(TENANT, house.clock.now())
    await database.write(lambda conn: conn.execute(tenants.insert(), row))
    yield house
    await house.kill()


async def test_a_run_is_executed_as_soon_as_the_bus_rings(house: House) -> None:
    house.start()

    await house.enqueue()

    assert (await house.handler.next()).subject == "s1"
    assert await house.ended() == ("done", None)


async def test_work_that_was_there_before_the_start_is_found_without_a_ring(house: House) -> None:
    await house.enqueue()

    house.start()

    assert await house.ended() == ("done", None)


async def test_a_free_slot_takes_the_next_run(house: House) -> None:
    for number in range(5):
        await house.enqueue(f"s{number}")

    house.start(slots=1)

    assert [(await house.handler.next()).subject for _ in range(5)] == [f"s{n}" for n in range(5)]


async def test_a_handler_that_breaks_off_is_tried_again_later(house: House) -> None:
    house.handler.work = Recorder.break_off
    house.start()
    await house.enqueue()
    assert (await house.handler.next()).attempts == 1

    house.handler.work = Recorder.succeed
    house.clock.advance(1)
    house.ring()

    assert (await house.handler.next()).attempts == 2
    assert await house.ended() == ("done", None)


async def test_a_run_that_always_breaks_off_is_given_up(house: House) -> None:
    house.handler.work = Recorder.break_off
    house.start()
    await house.enqueue()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert (await house.handler.next()).attempts == attempt
        house.clock.advance(600)
        house.ring()

    assert await house.ended() == ("failed", "It broke off too often.")
    assert house.handler.given_up == ["s1"]


async def test_a_run_that_always_kills_its_process_is_given_up(house: House) -> None:
    house.handler.work = Recorder.never_end
    await house.enqueue()
    for _ in range(MAX_ATTEMPTS):
        house.start()
        await house.handler.next()
        await house.kill()

    house.start()

    assert await house.ended() == ("failed", "It broke off too often.")


async def test_a_run_that_gets_further_each_time_is_not_given_up(house: House) -> None:
    further = asyncio.Queue[int]()

    async def get_further(run: Run, lease: Lease) -> Outcome:
        await lease.progressed()
        further.put_nowait(run.attempts)
        return await Recorder.never_end(run, lease)

    house.handler.work = get_further
    await house.enqueue()
    for _ in range(MAX_ATTEMPTS + 2):
        house.start()
        assert await asyncio.wait_for(further.get(), PATIENCE) <= 2
        await house.kill()

    house.handler.work = Recorder.succeed
    house.start()

    assert await house.ended() == ("done", None)


async def test_the_successor_of_a_killed_process_takes_its_runs_up_at_once(house: House) -> None:
    house.handler.work = Recorder.never_end
    house.start()
    await house.enqueue()
    killed = await house.handler.next()
    await house.kill()

    house.handler.work = Recorder.succeed
    house.start()

    again = await house.handler.next()
    assert (again.id, again.epoch) == (killed.id, 2)
    assert await house.ended() == ("done", None)


async def test_another_process_takes_over_when_the_lease_has_ended(house: House) -> None:
    house.handler.work = Recorder.never_end
    house.start("a")
    await house.enqueue()
    await house.handler.next()
    await house.kill()

    house.handler.work = Recorder.succeed
    house.start("b")
    house.clock.advance(LEASE.total_seconds() + 1)
    house.ring()

    assert (await house.handler.next()).epoch == 2


async def test_a_long_run_keeps_its_lease(house: House) -> None:
    house.handler.work = Recorder.never_end
    first = house.start("a")
    await house.enqueue()
    await house.handler.next()

    for _ in range(10):
        house.clock.advance(LEASE.total_seconds() / 2)
        house.ring()
        await renewed(house)

    assert first.busy == 1
    assert await house.state() == ("leased", 1)


async def test_a_handler_is_cut_off_when_its_lease_is_lost(house: House) -> None:
    house.handler.work = Recorder.never_end
    executor = house.start("a", slots=1)
    await house.enqueue()
    run = await house.handler.next()
    await house.database.write(
        lambda conn: store.finish(
            conn, run.id, epoch=run.epoch, outcome=Outcome.DONE, now=house.clock.now()
        )
    )

    house.clock.advance(LEASE.total_seconds() / 2)
    house.ring()

    async with asyncio.timeout(PATIENCE):
        while executor.busy:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0)
    assert house.handler.cut_off == ["s1"]
    assert await house.ended() == ("done", None)


async def test_a_stop_lets_handlers_park_and_counts_no_attempt(house: House) -> None:
    house.handler.work = Recorder.park
    executor = house.start()
    await house.enqueue()
    await house.handler.next()

    await executor.stop(grace=PATIENCE)

    await asyncio.wait_for(house.tasks.pop(), PATIENCE)
    assert await house.state() == ("queued", 0)
    assert house.handler.cut_off == []


async def test_a_handler_that_does_not_park_in_time_is_cut_off_and_put_back(house: House) -> None:
    house.handler.work = Recorder.never_end
    executor = house.start()
    await house.enqueue()
    await house.handler.next()

    await executor.stop(grace=0.01)

    await asyncio.wait_for(house.tasks.pop(), PATIENCE)
    assert house.handler.cut_off == ["s1"]
    assert await house.state() == ("queued", 0)


async def test_nothing_is_taken_while_stopping(house: House) -> None:
    executor = house.start()
    await executor.stop(grace=PATIENCE)

    await house.enqueue()

    await asyncio.wait_for(house.tasks.pop(), PATIENCE)
    assert await house.state() == ("queued", 0)


async def test_runs_that_ended_long_ago_are_forgotten(house: House) -> None:
    house.start()
    await house.enqueue("old")
    await house.ended("old")
    house.clock.advance(RETENTION.total_seconds() - 1)
    await house.enqueue("new")
    await house.ended("new")
    assert await house.subjects() == {"old", "new"}

    house.clock.advance(PURGE_EVERY.total_seconds())

    async with asyncio.timeout(PATIENCE):
        while await house.subjects() != {"new"}:
            house.ring()


async def renewed(house: House) -> None:
    """Wait until the present lease ends later than the clock's next step."""
    query = select(runs.c.leased_until)
    async with asyncio.timeout(PATIENCE):
        while True:
            until = await house.database.read(lambda conn: conn.execute(query).scalar_one())
            if until is not None and until > house.clock.now() + LEASE * 0.9:
                return
