"""Slows down who guesses: per account and per address, after a few tries, ever longer.

The service asks before it checks a password and tells when one was right. Kept in the memory of
this process and bounded; a restart forgets. It never locks an account: the longest wait is a
minute, so that nobody can keep somebody else out by guessing wrong.
"""

from collections import OrderedDict
from dataclasses import dataclass

from longhouse.kit.clock import Clock
from longhouse.kit.errors import TooManyRequests

ACCOUNT_TRIES = 5
"""Wrong passwords an account takes before it slows down."""

ADDRESS_TRIES = 30
"""More than for an account: an office shares one address."""

LONGEST_WAIT = 60.0  # seconds
FORGET_AFTER = 900.0  # seconds without a try
MOST_KEYS = 10_000  # the least recently tried is forgotten first: 2 MiB at most


@dataclass(slots=True)
class _Tries:
    count: int
    last: float  # monotonic seconds
    free_at: float  # monotonic seconds


class SlowDown:
    """The tries of late, by key. Used from the thread of the event loop only."""

    def __init__(self, clock: Clock, *, most_keys: int = MOST_KEYS) -> None:
        self._clock = clock
        self._most_keys = most_keys
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def __len__(self) -> int:
        """Accounts and addresses that are remembered."""
        return len(self._tries)

    def take(self, *, account: str, address: str) -> None:
        """Count one try before its outcome is known, so that many at once count as many.

        Raises `TooManyRequests` while the account or the address has to wait; such a try does not
        count.
        """
        now = self._clock.monotonic()
        keys = ((f"account {account}", ACCOUNT_TRIES), (f"address {address}", ADDRESS_TRIES))
        for key, _ in keys:
            self._refuse_while_waiting(key, now)
        for key, free_tries in keys:
            self._count(key, free_tries, now)

    def forgive(self, *, account: str, address: str) -> None:
        """The try was right: forget the account's tries, and this one of the address."""
        self._tries.pop(f"account {account}", None)
        tries = self._tries.get(f"address {address}")
        if tries is not None:
            tries.count = max(0, tries.count - 1)

    def _refuse_while_waiting(self, key: str, now: float) -> None:
        tries = self._tries.get(key)
        if tries is not None and now < tries.free_at:
            raise TooManyRequests(
                "Too many attempts to sign in.",
                hint="Wait a little, then try again.",
                retry_after=round(tries.free_at - now, 1),
            )

    def _count(self, key: str, free_tries: int, now: float) -> None:
        tries = self._tries.pop(key, None)
        if tries is None or now - tries.last > FORGET_AFTER:
            tries = _Tries(count=0, last=now, free_at=now)
        tries.count += 1
        tries.last = now
        tries.free_at = now + wait_after(tries.count, free_tries=free_tries)
        self._tries[key] = tries  # at the end: tried last
        while len(self._tries) > self._most_keys:
            self._tries.popitem(last=False)


def wait_after(count: int, *, free_tries: int) -> float:
    """Seconds until the next try after so many: none at first, then 1, 2, 4 … up to the longest."""
    if count < free_tries:
        return 0.0
    return min(LONGEST_WAIT, 2.0 ** min(count - free_tries, 10))
