"""Clears away what has had its time: deleted tenants, ended logins, secrets of rotated keys.

The server runs one in each process that works; several at once do no harm. Nothing depends on when
it comes by: what has ended does not count, whether its row is there or not.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog
from sqlalchemy import Connection

from longhouse.identity.service.tenants import Tenants
from longhouse.identity.store import keys, logins
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database
from longhouse.kit.errors import LonghouseError

log = structlog.get_logger(__name__)

EVERY_SECONDS = 3600.0

LOGINS_KEPT = timedelta(days=30)
"""How long a login that has ended can still be found: a refresh token of it is then unknown."""


class Sweeper:
    """Sweeps once an hour."""

    def __init__(self, *, database: Database, clock: Clock, tenants: Tenants) -> None:
        self._database = database
        self._clock = clock
        self._tenants = tenants

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Sweep now and again while in the block."""
        task = asyncio.create_task(self._run(), name="sweeper")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def sweep(self) -> None:
        """Clear away what has had its time by now."""
        purged = await self._tenants.purge()
        forgotten = await self._database.write(self._forget)
        if purged or forgotten:
            log.info("cleared away", tenants=purged, rows=forgotten)

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except (LonghouseError, OSError) as error:  # there is a next time
                log.warning("clearing away failed", reason=str(error))
            await asyncio.sleep(EVERY_SECONDS)

    def _forget(self, conn: Connection) -> int:
        now = self._clock.now()
        ended = logins.forget_ended(conn, before=now - LOGINS_KEPT)
        return ended + keys.forget_secrets(conn, ended_before=now)
