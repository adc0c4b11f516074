"""How guessers are slowed down, without a server."""

import pytest

from longhouse.identity.slowdown import (
    ACCOUNT_TRIES,
    ADDRESS_TRIES,
    FORGET_AFTER,
    LONGEST_WAIT,
    SlowDown,
    wait_after,
)
from longhouse.kit.clock import ManualClock
from longhouse.kit.errors import TooManyRequests


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def slow_down(clock: ManualClock) -> SlowDown:
    return SlowDown(clock, most_keys=100)


def wait_of(slow_down: SlowDown, *, account: str, address: str) -> float:
    """Seconds this try has to wait; it counts when there are none."""
    try:
        slow_down.take(account=account, address=address)
    except TooManyRequests as refused:
        return refused.retry_after
    return 0.0


def test_the_first_tries_do_not_wait_and_later_ones_wait_ever_longer() -> None:
    waits = [wait_after(count, free_tries=5) for count in range(1, 14)]

    assert waits[:5] == [0, 0, 0, 0, 1]
    assert waits[5:10] == [2, 4, 8, 16, 32]
    assert waits[-1] == LONGEST_WAIT


def test_an_account_waits_whatever_address_the_tries_come_from(slow_down: SlowDown) -> None:
    waits = [wait_of(slow_down, account="ada", address=f"10.0.0.{n}") for n in range(10)]

    assert waits[:ACCOUNT_TRIES] == [0.0] * ACCOUNT_TRIES
    assert all(wait > 0 for wait in waits[ACCOUNT_TRIES:])


def test_an_address_waits_whatever_accounts_it_tries(slow_down: SlowDown) -> None:
    waits = [wait_of(slow_down, account=f"user{n}", address="10.0.0.1") for n in range(50)]

    assert waits[:ADDRESS_TRIES] == [0.0] * ADDRESS_TRIES
    assert all(wait > 0 for wait in waits[ADDRESS_TRIES:])


def test_a_refused_try_does_not_make_the_wait_longer(
    slow_down: SlowDown, clock: ManualClock
) -> None:
    for n in range(20):
        wait_of(slow_down, account="ada", address=f"10.0.0.{n}")

    clock.advance(1)

    assert wait_of(slow_down, account="ada", address="10.0.0.99") == 0


def test_a_right_password_forgets_the_tries_of_the_account(slow_down: SlowDown) -> None:
    for _ in range(4):
        slow_down.take(account="ada", address="10.0.0.1")
    slow_down.forgive(account="ada", address="10.0.0.1")

    assert wait_of(slow_down, account="ada", address="10.0.0.1") == 0


def test_old_tries_are_forgotten(slow_down: SlowDown, clock: ManualClock) -> None:
    for _ in range(ACCOUNT_TRIES):
        slow_down.take(account="ada", address="10.0.0.1")
    clock.advance(FORGET_AFTER + 1)

    slow_down.take(account="ada", address="10.0.0.1")

    assert wait_of(slow_down, account="ada", address="10.0.0.1") == 0


def test_a_flood_of_names_takes_bounded_memory(slow_down: SlowDown) -> None:
    for n in range(1000):
        wait_of(slow_down, account=f"user{n}", address=f"10.0.{n // 256}.{n % 256}")

    assert len(slow_down) <= 100
