"""Slows down who guesses passwords, in all servers of the house together.

Asked before a password is checked and told when one was right. Tries are rows: neither a restart
nor another server forgets them.
"""

from sqlalchemy import Connection

from longhouse.identity.slowdown import account_key, address_key, free_tries_of
from longhouse.identity.store import tries as store
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database
from longhouse.kit.errors import TooManyRequests


class SlowDown:
    """The tries of late, by account and by address."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def take(self, *, account: str, address: str) -> None:
        """Count one try before its outcome is known, so that many at once count as many.

        Raises `TooManyRequests` while the account or the address has to wait; such a try does not
        count.
        """
        now = self._clock.now()
        keys = (account_key(account), address_key(address))

        def count(conn: Connection) -> None:
            store.forget_old(conn, now=now)
            known = store.held(conn, keys, now=now)
            wait = max(tries.free_at - now for tries in known.values()).total_seconds()
            if wait > 0:
                raise TooManyRequests(
                    "Too many attempts to sign in.",
                    hint="Wait a little, then try again.",
                    retry_after=round(wait, 1),
                )
            for key, tries in known.items():
                store.keep(conn, key, tries.another(now, free_tries=free_tries_of(key)))

        await self._database.write(count)

    async def forgive(self, *, account: str, address: str) -> None:
        """The try was right: forget the account's tries, and this one of the address."""

        def forget(conn: Connection) -> None:
            store.forget(conn, account_key(account))
            store.take_back_one(conn, address_key(address))

        await self._database.write(forget)
