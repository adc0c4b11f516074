"""How long guessers wait: per account and per address, after a few tries, ever longer.

Pure decisions; `service.guessing` keeps the tries in the database, so that all servers of a house
count together. No account is ever locked: the longest wait is a minute, so that nobody can keep
somebody else out by guessing wrong.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

ACCOUNT_TRIES = 5
"""Wrong passwords an account takes before it slows down."""

ADDRESS_TRIES = 30
"""More than for an account: an office shares one address."""

LONGEST_WAIT = timedelta(seconds=60)
FORGET_AFTER = timedelta(minutes=15)  # without a try


@dataclass(frozen=True, slots=True)
class Tries:
    """What is remembered of one account or one address."""

    count: int
    last_at: datetime
    free_at: datetime  # nobody may try before

    def another(self, now: datetime, *, free_tries: int) -> "Tries":
        """With one more, just now; old ones are forgotten."""
        count = 1 if now - self.last_at > FORGET_AFTER else self.count + 1
        return Tries(count, now, now + wait_after(count, free_tries=free_tries))


def account_key(account: str) -> str:
    """What an account's tries are found by; it does not tell what was typed as a name."""
    return _key("account", account)


def address_key(address: str) -> str:
    """What an address's tries are found by."""
    return _key("address", address)


def free_tries_of(key: str) -> int:
    """How many tries this account or address has before it slows down."""
    return ACCOUNT_TRIES if key.startswith("account") else ADDRESS_TRIES


def wait_after(count: int, *, free_tries: int) -> timedelta:
    """The wait after so many tries: none at first, then 1, 2, 4 … seconds up to the longest."""
    if count < free_tries:
        return timedelta(0)
    return min(LONGEST_WAIT, timedelta(seconds=1 << min(count - free_tries, 10)))


def _key(kind: str, text: str) -> str:
    return f"{kind} {hashlib.sha256(text.encode()).hexdigest()[:32]}"
