"""Waits for the moments at which agents have something scheduled, and has them fire.

One for each runtime, and one timer for all its agents: it sleeps until the earliest moment that it
was told. It keeps agents' ids and not agents, so that those put away come back for it. What is due
is the agent's to say (`schedules`); who opens it is the runtime's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from longhouse.kit.clock import Clock
from longhouse.runtime.journals.base import UnknownAgent, microseconds

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 60.0  # seconds: timers stand still while a machine does, and clocks are set
RETRY = 60_000_000  # microseconds until an agent that could not fire is tried again


class Scheduler:
    """Calls `fire` with an agent's id at the moment that was said for it."""

    def __init__(self, clock: Clock, fire: Callable[[str], Awaitable[None]]) -> None:
        self._clock = clock
        self._fire = fire
        self._moments: dict[str, int] = {}  # agent id -> microseconds since 1970
        self._firing: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._timer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to wait."""
        self._timer = asyncio.create_task(self._run(), name="longhouse scheduler")

    async def close(self) -> None:
        """Stop. What was just firing is cut off; it is due again when its agent is opened."""
        tasks = [*self._firing.values(), *([self._timer] if self._timer else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def fire_at(self, agent_id: str, moment: int | None) -> None:
        """An agent has something to do at a moment, and not before; None: nothing by the clock."""
        if moment is None:
            self._moments.pop(agent_id, None)
        else:
            self._moments[agent_id] = moment
        self._changed.set()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            self._begin_what_is_due()
            await self._sleep()

    def _begin_what_is_due(self) -> None:
        now = microseconds(self._clock)
        for agent_id, moment in list(self._moments.items()):
            if moment <= now and agent_id not in self._firing:
                del self._moments[agent_id]
                self._firing[agent_id] = asyncio.create_task(self._have_fire(agent_id))

    async def _sleep(self) -> None:
        """Until the next moment, or until another one is said."""
        changed = asyncio.create_task(self._changed.wait())
        waiting: set[asyncio.Task[object]] = {changed}
        if (seconds := self._until_next()) is not None:
            waiting.add(asyncio.create_task(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    def _until_next(self) -> float | None:
        moments = [at for agent_id, at in self._moments.items() if agent_id not in self._firing]
        if not moments:
            return None
        return min((min(moments) - microseconds(self._clock)) / 1_000_000, LONGEST_SLEEP)

    async def _have_fire(self, agent_id: str) -> None:
        try:
            await self._fire(agent_id)
        except UnknownAgent:
            self.fire_at(agent_id, None)
        except Exception:  # a task boundary: one agent must not stop the others
            logger.exception("the schedules of agent %s could not fire", agent_id)
            self.fire_at(agent_id, microseconds(self._clock) + RETRY)
        finally:
            del self._firing[agent_id]
            self._changed.set()
