"""The order of the queue, as numbers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longhouse.fleet.placement import BOOSTS, LONGEST_RETRY, Priority, rank, retry_delay

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
# Bounds of a strategy are naive; the zone is added to what it draws.
moments = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def test_a_rank_is_the_time_of_enqueueing_in_microseconds_less_the_boost() -> None:
    assert rank(NOON, Priority.LOW) == int(NOON.timestamp()) * 1_000_000
    assert rank(NOON, Priority.LOW) - rank(NOON, Priority.HIGH) == 4 * 3600 * 1_000_000


def test_of_the_same_moment_the_more_urgent_runs_first() -> None:
    ranks = [rank(NOON, priority) for priority in Priority]

    assert ranks == sorted(ranks)


@given(moments, st.sampled_from(Priority), st.sampled_from(Priority))
def test_nothing_waits_for_ever(moment: datetime, early: Priority, late: Priority) -> None:
    long_after = moment + BOOSTS[Priority.URGENT] + timedelta(microseconds=1)

    assert rank(moment, early) < rank(long_after, late)


@given(moments, moments, st.sampled_from(Priority))
def test_within_a_priority_the_earlier_runs_first(
    one: datetime, other: datetime, priority: Priority
) -> None:
    assert (one < other) == (rank(one, priority) < rank(other, priority))


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 1), (1, 1), (2, 2), (5, 16)])
def test_each_retry_waits_twice_as_long(attempts: int, seconds: int) -> None:
    assert retry_delay(attempts) == timedelta(seconds=seconds)


def test_no_retry_waits_longer_than_five_minutes() -> None:
    assert retry_delay(10_000) == LONGEST_RETRY
