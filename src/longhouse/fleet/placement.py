"""Which run comes first, and when a broken one is tried again: pure functions.

`store` keeps the rank with the run, so that the order is an index and never recomputed. There is no
I/O and no clock in here.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Priority(StrEnum):
    """How urgent a run is."""

    URGENT = "urgent"  # before everything that has waited for less than a day
    HIGH = "high"
    MEDIUM = "medium"  # a person's message
    LOW = "low"  # what nobody waits for


BOOSTS = {
    Priority.URGENT: timedelta(hours=24),
    Priority.HIGH: timedelta(hours=4),
    Priority.MEDIUM: timedelta(hours=1),
    Priority.LOW: timedelta(0),
}
"""Waiting so long is worth as much as the priority: nothing waits for ever."""

FIRST_RETRY = timedelta(seconds=1)
LONGEST_RETRY = timedelta(minutes=5)
"""A handler that broke off is tried again after 1, 2, 4 … seconds, at most this."""


def rank(enqueued_at: datetime, priority: Priority) -> int:
    """The place in the order, in microseconds since 1970: the lowest rank runs first.

    Linear ageing without recomputation: a run's lead over another never changes, so a low run
    starts before any urgent one that was enqueued a day later.
    """
    return (enqueued_at - BOOSTS[priority] - _EPOCH) // _MICROSECOND


def retry_delay(attempts: int) -> timedelta:
    """How long a run waits after so many attempts (1 and up) that broke off."""
    # Nine doublings are over the longest already; more would only overflow.
    doublings = min(max(attempts, 1) - 1, 9)
    return min(FIRST_RETRY * (1 << doublings), LONGEST_RETRY)
