"""The pool: how many agents are live in this process, who may stay, and who comes next.

Made by `Runtime`, used by every `Life`. A live agent has its journal folded in memory and may run
commands in the background; at most `size` of them are. One that rests keeps its place until it was
not used for a while, or until another needs it; one at work is never put away, so whoever comes
when all are at work waits, in the order they came. Putting away is not deleting: the journal stays,
and the agent comes back when it is used.

`next_step` decides, and knows neither clock nor I/O; `Pool` does. What is opened and closed, and
what a turn is, are not known here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from longhouse.kit.clock import Clock
from longhouse.kit.errors import InvalidInput, Unavailable
from longhouse.runtime.tasks import ended

logger = logging.getLogger(__name__)

SIZE = 1_000
"""Live agents in a process, unless somebody says otherwise: some ten kilobytes each, and what was
said to them.
"""

IDLE_SECONDS = 30 * 60.0
"""An agent that was not used for so long is put away."""

LOOK_SECONDS = 15.0
"""How often agents at rest look for what other processes wrote, and idle ones are put away."""


class PoolClosed(Unavailable):
    """The runtime is being left; what was said to its agents is in their journals."""

    code = "runtime-closed"
    title = "The runtime is closed"


# --- who may stay, and who comes next -------------------------------------------------------------


class Phase(Enum):
    """What somebody who has a place does with it."""

    BUSY = "busy"  # is at work, or on the way to it
    IDLE = "idle"  # rests
    EMPTY = "empty"  # has nothing in memory: it was taken over, or could not be opened
    LEAVING = "leaving"  # is being put away


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A place that is taken, as the decision sees it."""

    agent_id: str
    phase: Phase
    used_at: float  # monotonic seconds
    tethered: bool = False  # commands of it run in the background: they end with its place


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is to happen now."""

    admit: tuple[str, ...]
    put_away: tuple[str, ...]


def next_step(
    entries: Sequence[Entry], waiting: Sequence[str], *, size: int, idle_seconds: float, now: float
) -> Step:
    """Who gets a place and who gives one up, of `entries` in any order and `waiting` in theirs.

    A place is given up by those that are empty or were not used for `idle_seconds`, and to one who
    waits by any that rests, the longest unused first. Whoever has commands in the background keeps
    it while they run; to one who waits they give it up, too, after `idle_seconds` without use.
    """
    taken = {entry.agent_id for entry in entries}
    free = max(size - len(taken), 0)
    admit = tuple(agent_id for agent_id in waiting if agent_id not in taken)[:free]
    leaving = sum(entry.phase is Phase.LEAVING for entry in entries)
    missing = len(waiting) - len(admit) - leaving

    def unused(entry: Entry) -> bool:
        return now - entry.used_at >= idle_seconds

    empty = [entry for entry in entries if entry.phase is Phase.EMPTY]
    idle = sorted(
        (entry for entry in entries if entry.phase is Phase.IDLE), key=lambda entry: entry.used_at
    )
    over = empty + [entry for entry in idle if unused(entry) and not entry.tethered]
    others = [entry for entry in idle if not unused(entry) and not entry.tethered]
    others += [entry for entry in idle if unused(entry) and entry.tethered]
    over += others[: max(missing - len(over), 0)]
    return Step(admit=admit, put_away=tuple(entry.agent_id for entry in over))


# --- doing it -------------------------------------------------------------------------------------


class Pooled(Protocol):
    """What the pool asks of an agent."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def in_memory(self) -> bool:
        """Whether it is open, and of use."""
        ...

    @property
    def tethered(self) -> bool:
        """Whether commands of it run in the background."""
        ...

    async def open(self) -> None:
        """Be in memory: called for everybody who enters, also when it is already."""
        ...

    async def close(self) -> None:
        """Be in memory no more; nobody uses it now. Must not fail."""
        ...

    async def look(self) -> None:
        """See what other processes did to its journal, at rest. Must not fail."""
        ...

    async def park(self) -> None:
        """Come to rest at the next safe point."""
        ...

    async def cut(self) -> None:
        """Stop at once."""
        ...


@dataclass(slots=True, eq=False)
class _Place:
    agent: Pooled
    used_at: float
    users: int = 0
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    leaving: asyncio.Task[None] | None = None

    def entry(self) -> Entry:
        return Entry(
            agent_id=self.agent.id,
            phase=self._phase(),
            used_at=self.used_at,
            tethered=self.agent.tethered,
        )

    def _phase(self) -> Phase:
        if self.leaving is not None:
            return Phase.LEAVING
        if self.users:
            return Phase.BUSY
        return Phase.IDLE if self.agent.in_memory else Phase.EMPTY


@dataclass(slots=True, eq=False)
class _Waiting:
    agent: Pooled
    turns: list[asyncio.Future[_Place]] = field(default_factory=list)  # of all that need it


class Pool:
    """The places of one process."""

    def __init__(
        self, *, size: int = SIZE, idle_seconds: float = IDLE_SECONDS, clock: Clock
    ) -> None:
        """Raises `InvalidInput` for a pool without places."""
        if size < 1:
            raise InvalidInput(
                f"A pool of {size} has no place for an agent.", hint="Give it one at the least."
            )
        self._size = size
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._places: dict[str, _Place] = {}
        self._waiting: dict[str, _Waiting] = {}  # in the order they came
        self._kept: set[Pooled] = set()
        self._watch: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def live(self) -> tuple[str, ...]:
        """The agents that have a place."""
        return tuple(self._places)

    @property
    def closed(self) -> bool:
        """Whether nobody gets a place any more."""
        return self._closed

    def has_room_for(self, agent: Pooled) -> bool:
        """Whether it is live, or could be without anybody waiting or giving way."""
        place = self._places.get(agent.id)
        if place is not None:
            return place.leaving is None
        return not (self._closed or self._waiting or len(self._places) >= self._size)

    @asynccontextmanager
    async def place(self, agent: Pooled) -> AsyncGenerator[None, None]:
        """Keep an agent live while in the block; it waits its turn when all places are at work.

        Raises `PoolClosed`, and what opening the agent raises.
        """
        place = self._enter(agent) or await self._in_turn(agent)
        try:
            async with place.opening:
                await agent.open()
            yield
        finally:
            self._leave(place)

    def used(self, agent: Pooled) -> None:
        """Count the agent as used now."""
        if (place := self._places.get(agent.id)) is not None:
            place.used_at = self._clock.monotonic()

    def untethered(self, agent: Pooled) -> None:
        """A background command of the agent has ended: it rests from now on."""
        self.used(agent)
        self._tend_for_others()

    def keep(self, agent: Pooled) -> None:
        """Hold on to an agent also while it is away: somebody listens to it."""
        self._kept.add(agent)

    def let_go(self, agent: Pooled) -> None:
        """Nobody listens to it any more."""
        self._kept.discard(agent)

    async def look(self, agent_id: str) -> None:
        """Let an agent at rest see what other processes did to it."""
        place = self._places.get(agent_id)
        if place is not None and not place.users and place.leaving is None:
            await place.agent.look()
            self._tend()

    async def put_away(self, agent: Pooled) -> None:
        """Stop what an agent does and take its place away; it comes back when it is used.

        A run that somebody else called goes on until it rests.
        """
        await agent.cut()
        place = self._places.get(agent.id)
        if place is None or (place.users and place.leaving is None):
            return
        await asyncio.shield(place.leaving or self._see_off(place))

    async def close(self, *, grace: float) -> None:
        """Let turns come to a safe point for `grace` seconds, cut off the others, close all."""
        self._closed = True
        turned_away = self._turn_everybody_away()
        places = list(self._places.values())
        try:
            await self._park([place.agent for place in places if place.users], grace)
        finally:
            agents = [*turned_away, *(place.agent for place in places)]
            await asyncio.gather(*(agent.cut() for agent in agents))
            await asyncio.gather(*(place.leaving or self._see_off(place) for place in places))
            if self._watch is not None:
                self._watch.cancel()
                await ended(self._watch)

    # --- coming and going -------------------------------------------------------------------------

    def _enter(self, agent: Pooled) -> _Place | None:
        """The agent's place, if it needs not wait for it."""
        if self._closed:
            raise PoolClosed("The runtime was left.", hint="Enter it again, and open the agent.")
        if not self.has_room_for(agent):
            return None
        place = self._places.get(agent.id) or self._seat(agent)
        place.users += 1
        return place

    async def _in_turn(self, agent: Pooled) -> _Place:
        """The agent's place, once those before it have theirs."""
        waiting = self._waiting.setdefault(agent.id, _Waiting(agent))
        turn: asyncio.Future[_Place] = asyncio.get_running_loop().create_future()
        waiting.turns.append(turn)
        self._tend()
        try:
            return await turn
        except asyncio.CancelledError:
            self._give_up(waiting, turn)
            raise

    def _give_up(self, waiting: _Waiting, turn: asyncio.Future[_Place]) -> None:
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            self._leave(turn.result())  # the place and the cancellation came together
            return
        waiting.turns.remove(turn)
        if not waiting.turns and self._waiting.get(waiting.agent.id) is waiting:
            del self._waiting[waiting.agent.id]
        self._tend()  # it may have been let in a moment before, for nobody

    def _leave(self, place: _Place) -> None:
        place.users -= 1
        place.used_at = self._clock.monotonic()
        if not place.agent.in_memory:
            self._tend()
        else:
            self._tend_for_others()

    def _seat(self, agent: Pooled) -> _Place:
        place = self._places[agent.id] = _Place(agent, self._clock.monotonic())
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_over_them(), name="pool: watch")
        return place

    def _see_off(self, place: _Place) -> asyncio.Task[None]:
        place.leaving = asyncio.create_task(self._close(place), name=f"away {place.agent.id[:40]}")
        return place.leaving

    async def _close(self, place: _Place) -> None:
        try:
            await place.agent.close()
        except Exception:  # a task boundary: it must not keep its place for ever
            logger.exception("agent %s could not be put away", place.agent.id)
        finally:
            del self._places[place.agent.id]
            self._tend_for_others()

    # --- tending ----------------------------------------------------------------------------------

    def _tend_for_others(self) -> None:
        if self._waiting:  # else nothing has to be decided now: not after every turn
            self._tend()

    def _tend(self) -> None:
        """Do what is decided."""
        if self._closed:
            return
        step = next_step(
            [place.entry() for place in self._places.values()],
            tuple(self._waiting),
            size=self._size,
            idle_seconds=self._idle_seconds,
            now=self._clock.monotonic(),
        )
        for agent_id in step.admit:
            self._admit(self._waiting.pop(agent_id))
        for agent_id in step.put_away:
            self._see_off(self._places[agent_id])

    def _admit(self, waiting: _Waiting) -> None:
        place = self._seat(waiting.agent)
        for turn in waiting.turns:
            if not turn.done():  # whoever was cancelled does not come
                place.users += 1
                turn.set_result(place)

    async def _watch_over_them(self) -> None:
        """Now and then, for as long as somebody is there."""
        try:
            while self._places:
                await asyncio.sleep(min(LOOK_SECONDS, self._idle_seconds))
                for agent_id in tuple(self._places):  # one after the other: no burst of reads
                    await self.look(agent_id)
                self._tend()
        finally:
            self._watch = None

    # --- the end ----------------------------------------------------------------------------------

    def _turn_everybody_away(self) -> list[Pooled]:
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            for turn in one.turns:
                if not turn.done():
                    turn.set_exception(PoolClosed("The runtime was left before there was a place."))
        return [one.agent for one in waiting.values()]

    async def _park(self, agents: Sequence[Pooled], grace: float) -> None:
        parking = [asyncio.create_task(agent.park()) for agent in agents]
        if not parking:
            return
        try:
            await asyncio.wait(parking, timeout=grace)
        finally:
            for task in parking:
                task.cancel()
            await asyncio.gather(*parking, return_exceptions=True)
