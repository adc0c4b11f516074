"""How guessers are slowed down, by one server or by several on one database."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from longhouse.identity.models import sign_in_tries
from longhouse.identity.service.guessing import SlowDown
from longhouse.identity.slowdown import (
    ACCOUNT_TRIES,
    ADDRESS_TRIES,
    FORGET_AFTER,
    LONGEST_WAIT,
    wait_after,
)
from longhouse.kit.clock import ManualClock
from longhouse.kit.db.database import Database
from longhouse.kit.errors import TooManyRequests


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def slow_down(database: Database, clock: ManualClock) -> SlowDown:
    return SlowDown(database=database, clock=clock)


async def wait_of(slow_down: SlowDown, *, account: str, address: str) -> float:
    """Seconds this try has to wait; it counts when there are none."""
    try:
        await slow_down.take(account=account, address=address)
    except TooManyRequests as refused:
        return refused.retry_after
    return 0.0


def test_the_first_tries_do_not_wait_and_later_ones_wait_ever_longer() -> None:
    waits = [wait_after(count, free_tries=5).total_seconds() for count in range(1, 14)]

    assert waits[:5] == [0, 0, 0, 0, 1]
    assert waits[5:10] == [2, 4, 8, 16, 32]
    assert waits[-1] == LONGEST_WAIT.total_seconds()
    assert wait_after(10**9, free_tries=5) == LONGEST_WAIT


async def test_an_account_waits_whatever_address_the_tries_come_from(slow_down: SlowDown) -> None:
    waits = [await wait_of(slow_down, account="ada", address=f"10.0.0.{n}") for n in range(10)]

    assert waits[:ACCOUNT_TRIES] == [0.0] * ACCOUNT_TRIES
    assert all(wait > 0 for wait in waits[ACCOUNT_TRIES:])


async def test_an_address_waits_whatever_accounts_it_tries(slow_down: SlowDown) -> None:
    tries = ADDRESS_TRIES + 5
    waits = [await wait_of(slow_down, account=f"{n}", address="10.0.0.1") for n in range(tries)]

    assert waits[:ADDRESS_TRIES] == [0.0] * ADDRESS_TRIES
    assert all(wait > 0 for wait in waits[ADDRESS_TRIES:])


async def test_tries_at_several_servers_count_together(
    slow_down: SlowDown, database: Database, clock: ManualClock
) -> None:
    other = SlowDown(database=database, clock=clock)

    waits = [
        await wait_of((slow_down, other)[n % 2], account="ada", address=f"10.0.0.{n}")
        for n in range(ACCOUNT_TRIES + 2)
    ]

    assert waits[:ACCOUNT_TRIES] == [0.0] * ACCOUNT_TRIES
    assert all(wait > 0 for wait in waits[ACCOUNT_TRIES:])


async def test_tries_at_once_count_as_many(
    slow_down: SlowDown, database: Database, clock: ManualClock
) -> None:
    other = SlowDown(database=database, clock=clock)

    waits = await asyncio.gather(
        *(wait_of((slow_down, other)[n % 2], account="ada", address="10.0.0.1") for n in range(20))
    )

    assert sum(wait == 0 for wait in waits) == ACCOUNT_TRIES


async def test_a_refused_try_does_not_make_the_wait_longer(
    slow_down: SlowDown, clock: ManualClock
) -> None:
    for n in range(20):
        await wait_of(slow_down, account="ada", address=f"10.0.0.{n}")

    clock.advance(1)

    assert await wait_of(slow_down, account="ada", address="10.0.0.99") == 0


async def test_a_right_password_forgets_the_tries_of_the_account(slow_down: SlowDown) -> None:
    for _ in range(ACCOUNT_TRIES - 1):
        await slow_down.take(account="ada", address="10.0.0.1")
    await slow_down.forgive(account="ada", address="10.0.0.1")

    for _ in range(ACCOUNT_TRIES):
        assert await wait_of(slow_down, account="ada", address="10.0.0.1") == 0


async def test_old_tries_are_forgotten(
    slow_down: SlowDown, database: Database, clock: ManualClock
) -> None:
    for _ in range(ACCOUNT_TRIES):
        await slow_down.take(account="ada", address="10.0.0.1")
    clock.advance((FORGET_AFTER + timedelta(seconds=1)).total_seconds())

    await slow_down.take(account="bob", address="10.0.0.2")

    count = select(func.count()).select_from(sign_in_tries)
    assert await database.read(lambda conn: conn.scalar(count)) == 2
    assert await wait_of(slow_down, account="ada", address="10.0.0.1") == 0


async def test_what_was_typed_as_a_name_is_not_kept(
    slow_down: SlowDown, database: Database
) -> None:
    await slow_down.take(account="hunter2", address="10.0.0.1")

    keys = await database.read(lambda conn: conn.scalars(select(sign_in_tries.c.key)).all())

    assert not any("hunter2" in key or "10.0" in key for key in keys)
