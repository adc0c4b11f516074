"""Counts the uses of API keys: exactly, and without a write for each.

A use is a number in memory; what has gathered is added to the database in one transaction, a second
after the first use of a batch. Every process adds its own share, so that the sum is right whoever
counted. A clean stop loses none, a kill what gathered in a second. Reading a count in this process
adds what is known here first.
"""

import asyncio
from datetime import datetime

import structlog

from longhouse.identity.models import KeyId
from longhouse.identity.store import keys as store
from longhouse.identity.store.keys import Uses
from longhouse.kit.db.database import Database
from longhouse.kit.errors import LonghouseError

log = structlog.get_logger(__name__)

GATHER_SECONDS = 1.0
"""How long uses gather: the price of a write, spread over all uses of a second."""


class KeyUses:
    """The uses that are not in the database yet. One for each process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathered: dict[KeyId, Uses] = {}
        self._writing = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None

    def note(self, key_id: KeyId, *, at: datetime) -> None:
        """Count one use."""
        before = self._gathered.get(key_id)
        self._gathered[key_id] = (
            Uses(count=1, last=at)
            if before is None
            else Uses(count=before.count + 1, last=max(before.last, at))
        )
        if self._later is None:
            self._later = asyncio.create_task(self._settle_later(), name="key uses")

    async def settle(self) -> None:
        """Add what was counted up to now to the database; raises when it cannot be reached."""
        async with self._writing:
            gathered, self._gathered = self._gathered, {}
            if not gathered:
                return
            try:
                await self._database.write(lambda conn: store.add_uses(conn, gathered))
            except BaseException:
                self._put_back(gathered)
                raise

    async def close(self) -> None:
        """Add the last ones; nothing is counted afterwards."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        await self.settle()

    async def _settle_later(self) -> None:
        while self._gathered:
            await asyncio.sleep(GATHER_SECONDS)
            try:
                await self.settle()
            except LonghouseError as error:
                log.warning("uses of keys could not be counted yet", reason=error.detail)
        self._later = None

    def _put_back(self, gathered: dict[KeyId, Uses]) -> None:
        for key_id, uses in gathered.items():
            since = self._gathered.get(key_id)
            self._gathered[key_id] = (
                uses
                if since is None
                else Uses(count=uses.count + since.count, last=max(uses.last, since.last))
            )
