"""The queue's statements, on both databases."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from sqlalchemy import Connection, select
from tests.rows import tenant_row

from longhouse.fleet import store
from longhouse.fleet.models import MAX_ATTEMPTS, Run, RunId, lanes, runs
from longhouse.fleet.placement import Priority
from longhouse.fleet.states import Outcome, RunState
from longhouse.identity.auth import tenant_of_own_row
from longhouse.identity.models import TenantId, tenants
from longhouse.kit.clock import MANUAL_START
from longhouse.kit.db.database import Database

T = TypeVar("T")
TENANT = tenant_of_own_row("tenant_a")
NOON = MANUAL_START
LEASE = timedelta(seconds=60)


class Queue:
    """The store with everything that a test does not care about filled in."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.now = NOON

    async def enqueue(
        self,
        subject: str = "s1",
        *,
        lane: str = "lane",
        priority: Priority = Priority.MEDIUM,
        max_running: int = 1,
        kind: str = "turn",
        not_before: datetime | None = None,
    ) -> RunId:
        return await self._do(
            lambda conn: store.enqueue(
                conn,
                tenant_id=TENANT,
                kind=kind,
                subject=subject,
                lane=lane,
                now=self.now,
                priority=priority,
                max_running=max_running,
                not_before=not_before,
            )
        )

    async def add_lane(self, lane: str, *, device: str | None) -> None:
        await self._do(lambda conn: store.add_lane(conn, lane, tenant_id=TENANT, device=device))

    async def claim(
        self,
        slots: int = 1,
        *,
        holder: str = "a",
        device: str | None = None,
        kinds: tuple[str, ...] = ("turn",),
    ) -> list[Run]:
        return await self._do(
            lambda conn: store.claim(
                conn,
                holder=holder,
                device=device,
                kinds=kinds,
                slots=slots,
                now=self.now,
                lease=LEASE,
            )
        )

    async def finish(self, run: Run, outcome: Outcome = Outcome.DONE) -> bool:
        return await self._do(
            lambda conn: store.finish(conn, run.id, epoch=run.epoch, outcome=outcome, now=self.now)
        )

    async def release(self, run: Run) -> bool:
        return await self._do(
            lambda conn: store.release(conn, run.id, epoch=run.epoch, now=self.now)
        )

    async def retry(self, run: Run, *, after: timedelta) -> bool:
        return await self._do(
            lambda conn: store.retry(
                conn, run.id, epoch=run.epoch, now=self.now, not_before=self.now + after
            )
        )

    async def renew(self, *held: Run) -> set[RunId]:
        pairs = [(run.id, run.epoch) for run in held]
        return await self._do(lambda conn: store.renew(conn, held=pairs, now=self.now, lease=LEASE))

    async def reap(self) -> list[RunId]:
        return await self._do(lambda conn: store.reap(conn, now=self.now))

    async def release_holder(self, holder: str) -> list[RunId]:
        return await self._do(lambda conn: store.release_holder(conn, holder, now=self.now))

    async def wake_due(self) -> int:
        return await self._do(lambda conn: store.wake_due(conn, now=self.now))

    async def purge(self, *, ended_before: datetime, most: int = 100) -> int:
        return await self._do(lambda conn: store.purge(conn, ended_before=ended_before, most=most))

    async def left(self) -> set[RunId]:
        found = await self._do(lambda conn: conn.scalars(select(runs.c.id)).all())
        return {RunId(run_id) for run_id in found}

    async def state(self, run_id: RunId) -> tuple[RunState, Outcome | None]:
        row = await self._do(
            lambda conn: conn.execute(
                select(runs.c.state, runs.c.outcome).where(runs.c.id == run_id)
            ).one()
        )
        return RunState(row.state), Outcome(row.outcome) if row.outcome else None

    async def is_open(self, subject: str) -> bool:
        return await self._do(lambda conn: store.is_open(conn, kind="turn", subject=subject))

    async def drop_lane(self, lane: str) -> None:
        await self._do(lambda conn: store.drop_lane(conn, lane))

    async def running(self, lane: str = "lane") -> int:
        return await self._do(
            lambda conn: conn.execute(
                select(lanes.c.running).where(lanes.c.id == lane)
            ).scalar_one()
        )

    async def _do(self, work: Callable[[Connection], T]) -> T:
        return await self._database.write(work)


@pytest.fixture
async def queue(database: Database) -> Queue:
    def add(tenant_id: TenantId) -> Callable[[Connection], object]:
        return lambda conn: conn.execute(tenants.insert(), tenant_row(tenant_id, NOON))

    await database.write(add(TENANT))
    return Queue(database)


class TestEnqueue:
    async def test_a_second_wake_up_joins_the_run_that_is_queued(self, queue: Queue) -> None:
        first = await queue.enqueue("s1")

        assert await queue.enqueue("s1") == first
        assert len(await queue.claim(5)) == 1

    async def test_a_wake_up_during_a_run_is_a_run_of_its_own_after_it(self, queue: Queue) -> None:
        first = await queue.enqueue("s1")
        (running,) = await queue.claim()

        second = await queue.enqueue("s1")

        assert second != first
        assert await queue.claim() == []  # the lane is serial
        await queue.finish(running)
        assert [run.id for run in await queue.claim()] == [second]

    async def test_the_more_urgent_of_two_wake_ups_counts(self, queue: Queue) -> None:
        joined = await queue.enqueue("s1", lane="one", priority=Priority.LOW)
        await queue.enqueue("s2", lane="two", priority=Priority.MEDIUM)

        await queue.enqueue("s1", lane="one", priority=Priority.URGENT)

        assert [run.id for run in await queue.claim()] == [joined]

    async def test_a_less_urgent_wake_up_delays_nothing(self, queue: Queue) -> None:
        joined = await queue.enqueue("s1", lane="one", priority=Priority.HIGH)
        await queue.enqueue("s2", lane="two", priority=Priority.MEDIUM)

        await queue.enqueue("s1", lane="one", priority=Priority.LOW)

        assert [run.id for run in await queue.claim()] == [joined]


class TestClaim:
    async def test_runs_are_claimed_in_the_order_of_their_ranks(self, queue: Queue) -> None:
        low = await queue.enqueue("low", lane="1", priority=Priority.LOW)
        medium = await queue.enqueue("medium", lane="2")
        urgent = await queue.enqueue("urgent", lane="3", priority=Priority.URGENT)

        assert [run.id for run in await queue.claim(3)] == [urgent, medium, low]

    async def test_an_older_run_comes_before_a_newer_one_of_its_lane(self, queue: Queue) -> None:
        older = await queue.enqueue("s1")
        queue.now += timedelta(seconds=1)
        await queue.enqueue("s2")

        assert [run.id for run in await queue.claim(2)] == [older]

    async def test_each_claim_has_a_higher_epoch(self, queue: Queue) -> None:
        await queue.enqueue()
        (first,) = await queue.claim()
        await queue.release(first)

        (second,) = await queue.claim()

        assert (first.epoch, second.epoch) == (1, 2)

    async def test_a_lane_with_room_for_two_runs_two_at_once(self, queue: Queue) -> None:
        for subject in "abc":
            await queue.enqueue(subject, max_running=2)

        assert len(await queue.claim(3)) == 2
        assert await queue.running() == 2

    async def test_only_known_kinds_are_claimed(self, queue: Queue) -> None:
        await queue.enqueue(kind="review")

        assert await queue.claim(kinds=("turn",)) == []
        assert len(await queue.claim(kinds=("turn", "review"))) == 1

    async def test_no_more_are_claimed_than_there_are_slots(self, queue: Queue) -> None:
        for number in range(4):
            await queue.enqueue(str(number), lane=str(number))

        assert len(await queue.claim(3)) == 3

    async def test_a_claim_says_how_often_the_run_was_tried(self, queue: Queue) -> None:
        await queue.enqueue()

        (run,) = await queue.claim()

        assert (run.attempts, run.max_attempts) == (1, MAX_ATTEMPTS)
        assert run.tenant_id == TENANT


class TestLeases:
    async def test_a_renewed_lease_is_not_reaped(self, queue: Queue) -> None:
        await queue.enqueue()
        (run,) = await queue.claim()

        queue.now += LEASE / 2
        assert await queue.renew(run) == {run.id}
        queue.now += LEASE * 0.9

        assert await queue.reap() == []

    async def test_a_run_whose_lease_ended_goes_back_to_its_old_place(self, queue: Queue) -> None:
        first = await queue.enqueue("s1")
        await queue.claim()
        queue.now += LEASE * 2
        await queue.enqueue("s2")

        assert await queue.reap() == [first]
        assert [run.id for run in await queue.claim(holder="b")] == [first]

    async def test_who_lost_the_lease_can_neither_renew_nor_finish(self, queue: Queue) -> None:
        await queue.enqueue()
        (old,) = await queue.claim()
        queue.now += LEASE * 2
        await queue.reap()
        (new,) = await queue.claim(holder="b")

        assert await queue.renew(old) == set()
        assert not await queue.finish(old)
        assert not await queue.release(old)
        assert await queue.finish(new)

    async def test_a_run_ends_once(self, queue: Queue) -> None:
        await queue.enqueue()
        (run,) = await queue.claim()

        assert await queue.finish(run)
        assert not await queue.finish(run, Outcome.FAILED)
        assert await queue.state(run.id) == (RunState.ENDED, Outcome.DONE)
        assert await queue.running() == 0

    async def test_finishing_an_unknown_run_changes_nothing(self, queue: Queue) -> None:
        await queue.enqueue()
        (run,) = await queue.claim()
        await queue.drop_lane("lane")

        assert not await queue.finish(run)
        assert await queue.renew(run) == set()

    async def test_the_runs_of_a_dead_process_go_back_at_once(self, queue: Queue) -> None:
        mine = await queue.enqueue("s1", lane="1")
        await queue.enqueue("s2", lane="2")
        await queue.claim(holder="dead")
        await queue.claim(holder="alive")

        assert await queue.release_holder("dead") == [mine]
        assert [run.id for run in await queue.claim(5)] == [mine]


class TestBrokenAttempts:
    async def test_a_crash_counts_as_an_attempt_and_parking_does_not(self, queue: Queue) -> None:
        await queue.enqueue()
        (run,) = await queue.claim()
        await queue.release_holder("a")
        (run,) = await queue.claim()
        assert run.attempts == 2

        await queue.release(run)

        (run,) = await queue.claim()
        assert run.attempts == 2

    async def test_a_run_is_exhausted_after_its_last_attempt(self, queue: Queue) -> None:
        await queue.enqueue()
        for _ in range(MAX_ATTEMPTS):
            (run,) = await queue.claim()
            assert not run.exhausted
            await queue.release_holder("a")

        (run,) = await queue.claim()

        assert run.exhausted

    async def test_a_run_put_back_beside_a_queued_one_joins_it(self, queue: Queue) -> None:
        first = await queue.enqueue("s1")
        await queue.claim()
        queue.now += timedelta(seconds=1)
        second = await queue.enqueue("s1")
        other = await queue.enqueue("s2", priority=Priority.HIGH)

        await queue.release_holder("a")

        assert await queue.state(first) == (RunState.ENDED, Outcome.JOINED)
        (urgent,) = await queue.claim()
        assert urgent.id == other
        await queue.finish(urgent)
        (run,) = await queue.claim()
        assert (run.id, run.attempts) == (second, 2)

    async def test_the_run_that_is_joined_takes_the_better_place(self, queue: Queue) -> None:
        await queue.enqueue("s1")
        await queue.claim()
        queue.now += timedelta(seconds=1)
        await queue.enqueue("s2")
        queue.now += timedelta(seconds=1)
        heir = await queue.enqueue("s1")

        await queue.release_holder("a")

        assert [run.id for run in await queue.claim()] == [heir]

    async def test_a_retry_waits_for_its_moment_and_blocks_nobody(self, queue: Queue) -> None:
        broken = await queue.enqueue("s1")
        (run,) = await queue.claim()
        next_in_lane = await queue.enqueue("s2")

        assert await queue.retry(run, after=timedelta(seconds=10))
        (other,) = await queue.claim()
        assert other.id == next_in_lane
        await queue.finish(other)
        assert await queue.wake_due() == 0
        assert await queue.claim() == []
        queue.now += timedelta(seconds=10)
        assert await queue.wake_due() == 1
        assert [run.id for run in await queue.claim()] == [broken]

    async def test_news_make_a_waiting_run_ready(self, queue: Queue) -> None:
        waiting = await queue.enqueue("s1", not_before=NOON + timedelta(hours=1))
        assert await queue.claim() == []

        assert await queue.enqueue("s1") == waiting

        assert [run.id for run in await queue.claim()] == [waiting]


async def test_many_holders_at_once_execute_every_run_once(queue: Queue) -> None:
    executed: list[RunId] = []

    async def ask(number: int) -> RunId:
        return await queue.enqueue(f"s{number}", lane=f"lane-{number % 5}")

    async def work(holder: str) -> None:
        while len(executed) < 40:
            for run in await queue.claim(2, holder=holder):
                executed.append(run.id)
                assert await queue.finish(run)

    asking = asyncio.gather(*(ask(number) for number in range(40)))
    await asyncio.gather(asking, *(work(holder) for holder in "abcd"))

    assert sorted(executed) == sorted(asking.result())
    for number in range(5):
        assert await queue.running(f"lane-{number}") == 0


async def test_a_subject_is_open_until_its_last_run_has_ended(queue: Queue) -> None:
    assert not await queue.is_open("s1")
    await queue.enqueue("s1")
    assert await queue.is_open("s1")
    (run,) = await queue.claim()
    assert await queue.is_open("s1")
    await queue.finish(run)
    assert not await queue.is_open("s1")


async def test_a_dropped_lane_takes_its_runs_along(queue: Queue) -> None:
    await queue.enqueue("s1")
    await queue.enqueue("s2")
    await queue.claim()

    await queue.drop_lane("lane")

    assert await queue.claim(5) == []
    assert await queue.reap() == []


class TestDevices:
    async def test_what_needs_a_device_is_left_to_it(self, queue: Queue) -> None:
        await queue.add_lane("here", device="device_a")
        await queue.add_lane("there", device="device_b")
        here = await queue.enqueue("s1", lane="here")
        there = await queue.enqueue("s2", lane="there")

        assert [run.id for run in await queue.claim(5, device="device_a")] == [here]
        assert [run.id for run in await queue.claim(5, device="device_b")] == [there]

    async def test_what_needs_none_is_executed_by_any(self, queue: Queue) -> None:
        run = await queue.enqueue("s1", lane="anywhere")

        assert [each.id for each in await queue.claim(5, device="device_a")] == [run]

    async def test_whoever_works_on_no_device_leaves_devices_alone(self, queue: Queue) -> None:
        await queue.add_lane("here", device="device_a")
        await queue.enqueue("s1", lane="here")

        assert await queue.claim(5) == []


class TestPurging:
    async def test_runs_that_ended_long_ago_are_forgotten_in_small_batches(
        self, queue: Queue
    ) -> None:
        ended = [await self._ended(queue, f"s{number}") for number in range(5)]

        later = queue.now - timedelta(seconds=1)  # the last one ended then
        assert await queue.purge(ended_before=later, most=2) == 2
        assert await queue.left() == set(ended[2:])
        assert await queue.purge(ended_before=later, most=2) == 2
        assert await queue.purge(ended_before=later, most=2) == 0
        assert await queue.left() == {ended[4]}

    async def test_what_waits_or_runs_is_never_forgotten(self, queue: Queue) -> None:
        waiting, leased = await queue.enqueue("s1"), await queue.enqueue("s2", lane="other")
        (run,) = [run for run in await queue.claim(2) if run.id == leased]
        queue.now += timedelta(days=1000)

        assert await queue.purge(ended_before=queue.now) == 0
        assert await queue.left() == {waiting, leased}
        assert await queue.finish(run)
        assert await queue.running("other") == 0

    async def test_two_that_purge_at_once_share_the_work(self, queue: Queue) -> None:
        for number in range(6):
            await self._ended(queue, f"s{number}")

        forgotten = await asyncio.gather(
            *(queue.purge(ended_before=queue.now, most=3) for _ in range(2))
        )

        assert sum(forgotten) + len(await queue.left()) == 6

    async def _ended(self, queue: Queue, subject: str) -> RunId:
        await queue.enqueue(subject)
        (run,) = await queue.claim()
        await queue.finish(run)
        queue.now += timedelta(seconds=1)
        return run.id
