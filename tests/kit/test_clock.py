"""The clock tests move by hand."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.patience import PATIENCE

from longhouse.kit.clock import ManualClock, SystemClock


def test_the_system_clock_tells_an_aware_moment_in_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


async def test_the_system_clock_sleeps_no_time_for_zero_and_less() -> None:
    await SystemClock().sleep(-1)


def test_a_manual_clock_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock(datetime(2030, 1, 1, tzinfo=UTC))
    before = clock.now()

    assert clock.now() == before

    clock.advance(90)
    assert clock.now() == before + timedelta(seconds=90)
    assert clock.monotonic() == 90


def test_a_manual_clock_refuses_a_moment_without_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        ManualClock(datetime(2030, 1, 1))  # noqa: DTZ001 - that is the mistake under test


def test_a_manual_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="back"):
        ManualClock().advance(-1)


async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    clock = ManualClock()
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sleeper("late", 3))
        tasks.create_task(sleeper("early", 1))
        tasks.create_task(sleeper("middle", 2))
        await clock.wait_for_sleepers(3)
        clock.advance(5)

    assert woken == ["early", "middle", "late"]


async def test_a_sleeper_goes_on_only_when_its_time_is_reached() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(10))
    await clock.wait_for_sleepers()

    clock.advance(9.5)
    await asyncio.sleep(0)
    assert not task.done()

    clock.advance(0.5)
    await asyncio.wait_for(task, PATIENCE)


async def test_a_cancelled_sleeper_is_no_sleeper() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(10))
    await clock.wait_for_sleepers()

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert clock.sleepers == 0
    clock.advance(10)
