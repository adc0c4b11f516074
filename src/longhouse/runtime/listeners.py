"""Who is called back with an agent's new events in this process.

They are kept while the agent is away: once it is back they are told of what happened meanwhile.
Filled by `Agent.on`, told by `ledger`. A listener that fails disturbs nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from longhouse.protocol.events import Event

logger = logging.getLogger(__name__)

Listener: TypeAlias = Callable[[Event], Awaitable[None] | None]


class Listeners:
    """The listeners of one agent."""

    def __init__(self, heard: int) -> None:
        """`heard`: the number of the last event that is not news to them."""
        self.heard = heard
        self._by_type: dict[str, list[Listener]] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(self._by_type.values())

    def add(self, event_type: str, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of each new event of a type. Returns the undo."""
        listeners = self._by_type.setdefault(event_type, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def tell(self, events: Sequence[Event]) -> None:
        """Tell each of its events, once, in the order in which they are taken in here."""
        if events[-1].seq <= self.heard:
            return
        if self._by_type:
            for event in events:
                if event.seq > self.heard:
                    self._tell(event)
        self.heard = events[-1].seq

    def close(self) -> None:
        """Stop telling."""
        for task in self._telling:
            task.cancel()

    def _tell(self, event: Event) -> None:
        for listener in self._by_type.get(event.type, ()):
            task = asyncio.create_task(_call(listener, event))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)


async def _call(listener: Listener, event: Event) -> None:
    try:
        told = listener(event)
        if told is not None:
            await told
    except Exception:  # somebody else's code; it is told of the agent and not the other way round
        logger.exception("a listener of %s failed", event.type)
