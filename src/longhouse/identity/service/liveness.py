"""Ends what is open when the credential it was opened with ends, or comes to stand for less.

Event streams are opened inside `watched`. One task for the process looks after all of them: with
one query, whenever the bus rings, and twice a second because a ring can be lost. So a revocation
anywhere closes what is open here within a second.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from longhouse.identity.auth import CREDENTIALS_TOPIC, Principal
from longhouse.identity.service.authentication import Authentication
from longhouse.kit.bus.base import Bus, BusClosed
from longhouse.kit.errors import Unavailable

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 0.5
"""Without a ring: half of the second within which a revocation has to have its effect."""


class Liveness:
    """What is open, by whom it was opened. One for each process."""

    def __init__(self, authentication: Authentication, *, bus: Bus) -> None:
        self._authentication = authentication
        self._bus = bus
        self._open: dict[asyncio.Event, Principal] = {}
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def watched(self, principal: Principal) -> AsyncIterator[asyncio.Event]:
        """Yields an event that is set when the principal no longer stands where it stood."""
        over = asyncio.Event()
        self._open[over] = principal
        if self._task is None:
            self._task = asyncio.create_task(self._look_after(), name="liveness")
        try:
            yield over
        finally:
            del self._open[over]
            if not self._open:
                self._task.cancel()
                self._task = None

    async def _look_after(self) -> None:
        with self._bus.subscribe(CREDENTIALS_TOPIC, capacity=1) as rings:
            while True:
                try:
                    await self._look()
                except Unavailable as error:  # whoever was let in stays until we can ask again
                    log.warning("credentials of open streams cannot be checked", reason=str(error))
                try:
                    await rings.next(LOOK_EVERY_SECONDS)
                except BusClosed:
                    return

    async def _look(self) -> None:
        asked = dict(self._open)
        standing = await self._authentication.standing(set(asked.values()))
        for over, principal in asked.items():
            if principal not in standing:
                over.set()
