"""An agent's life in this process: opened, at work, parked, put away, and back.

Each agent has one `Life` here for as long as anybody holds its handle (`Agent`), it is live, or
somebody listens to it. While it is live its journal is folded in memory; the pool says for how
long. Away, it costs nothing and is still told everything: what is said goes into the journal, and
has it come back when there is a place. What people may ask of an agent is `agent`'s; what a turn
does is `turn`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from longhouse.kit.errors import LonghouseError, Unavailable
from longhouse.protocol.events import (
    AgentState,
    Draft,
    ErrorRaised,
    Event,
    ScheduleCancelled,
    ScheduleFired,
    ScheduleSet,
    Text,
)
from longhouse.runtime.answers import Fits
from longhouse.runtime.context import Context
from longhouse.runtime.journals.base import Fenced, Head, UnknownAgent, microseconds
from longhouse.runtime.ledger import Ledger
from longhouse.runtime.listeners import Listener, Listeners
from longhouse.runtime.loop import Rest, next_action
from longhouse.runtime.model import AssistantMessage
from longhouse.runtime.pool import LOOK_SECONDS, Pool, PoolClosed
from longhouse.runtime.posts import Limits
from longhouse.runtime.schedules import next_look
from longhouse.runtime.services import Services
from longhouse.runtime.tasks import ended
from longhouse.runtime.tools.shells import Shells
from longhouse.runtime.turn import Turn

logger = logging.getLogger(__name__)

TAKEN_OVER = "its agent was taken over by another process"
PUT_AWAY = "its agent was put away"

_SCHEDULING = frozenset({ScheduleSet, ScheduleCancelled, ScheduleFired})
_body_of = attrgetter("body")


@dataclass(frozen=True, slots=True)
class _Memory:
    """What a live agent has in memory."""

    ledger: Ledger
    shells: Shells
    turn: Turn
    running: asyncio.Lock = field(default_factory=asyncio.Lock)


class Life:
    """One agent in this process."""

    def __init__(self, agent_id: str, services: Services, pool: Pool, *, seq: int) -> None:
        """`seq`: the number of the journal's last event; listeners are told of later ones."""
        self.id = agent_id
        self.services = services
        self.failure: Exception | None = None  # why it does not go on by itself
        self.broken = asyncio.Event()  # it does not go on by itself
        self._pool = pool
        self._listeners = Listeners(seq)
        self._memory: _Memory | None = None
        self._epoch = 0  # as its writer, before it was put away
        self._lost: Fenced | UnknownAgent | None = None  # to another process, or deleted
        self._last_words = ""  # before it was put away
        self._fits: dict[str, Fits] = {}  # message id -> all that its answer has to fit
        self._parks = 0
        self._asked = 0  # how often it was parked when it was last asked to go on
        self._wanted = False
        self._scheduled = False
        self._driving: asyncio.Task[None] | None = None
        self._at_rest = asyncio.Event()
        self._at_rest.set()

    @property
    def seen(self) -> int:
        """The number of the last event that this process knows of."""
        return self._listeners.heard

    # --- asking and telling: never waits for a place ----------------------------------------------

    async def ledger(self) -> Ledger:
        """The journal as it is now. Raises `UnknownAgent`.

        While the agent is away it comes back for this if there is room. If there is none its
        journal is read for the moment: whoever asks does not wait for those at work.
        """
        if (memory := self._memory) is not None:
            self._pool.used(self)
            await memory.ledger.catch_up()
            return memory.ledger
        await self._come_if_there_is_room()
        return await self._read() if self._memory is None else self._memory.ledger

    async def receive(self, message: Draft) -> None:
        """Take a message in, and go on with it. Raises `DuplicateKey`, `UnknownAgent`."""
        try:
            if not await self._begin_with(message):
                await self.tell(message)
        finally:
            self.wake()

    async def tell(self, *drafts: Draft) -> None:
        """Write from outside. Raises `DuplicateKey`, `UnknownAgent`."""
        if self._memory is None:
            await self.services.journal.post(self.id, drafts)
        else:
            await self._memory.ledger.tell(*drafts)

    def expect(self, message_id: str, fits: Fits) -> Callable[[], None]:
        """Hold the answer to a message to more than its schema, in this process. Its undo."""
        self._fits[message_id] = fits

        def forget() -> None:
            self._fits.pop(message_id, None)

        return forget

    def listen(self, event_type: str, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of each new event of a type, for as long as the runtime is open."""
        undo = self._listeners.add(event_type, listener)
        self._stay_or_go()

        def forget() -> None:
            undo()
            self._stay_or_go()

        return forget

    def last_words(self) -> str:
        """The text of the model's last answer, as far as this process knows the journal."""
        memory = self._memory
        return self._last_words if memory is None else _last_words(memory.ledger.context)

    def look_ahead(self, context: Context) -> None:
        """Say when this agent has to fire next, where agents drive themselves."""
        if self.services.drive and self._lost is None:
            now = microseconds(self.services.clock)
            schedules = context.schedules.values()
            self._fires_at(next_look(schedules, now=now, unread=context.queued))

    # --- going on ---------------------------------------------------------------------------------

    async def claim(self, head: Head) -> None:
        """Somebody opens the agent: it goes on here, whoever had it. Raises `UnknownAgent`.

        `head`: where its journal stands.
        """
        memory = self._memory
        if memory is not None and 0 < memory.ledger.epoch < head.epoch:
            await self._lose(memory, _loss(self.id, head))
        self._listeners.heard = min(self._listeners.heard, head.seq)  # another one of that name
        self._lost, self._epoch = None, 0
        self.failure = None
        self.broken.clear()
        if self._memory is None:
            await self.ledger()
        memory = self._memory
        if memory is None or self._is_behind(memory, head) or _has_work(memory.ledger.context):
            self.wake()

    def wake(self) -> None:
        """There may be something to do: where agents drive themselves, it is done."""
        if not self.services.drive or self._lost is not None or self._pool.closed:
            return
        self.failure = None
        self.broken.clear()
        self._asked, self._wanted = self._parks, True
        self._at_rest.clear()
        if self._driving is None:
            self._start_driving()

    def run(self) -> Coroutine[Any, Any, AgentState]:
        """Go on until the agent rests, or is parked after this call. Waits for a place.

        Raises `Fenced` when another process took the agent over, `PoolClosed`.
        """
        return self._run(self._parks)

    async def give_up(self, problem: ErrorRaised) -> None:
        """End the turn that nobody could finish as failed."""
        async with self._pool.place(self):
            memory = self._in_memory()
            async with memory.running:
                await memory.turn.give_up(problem)

    async def park(self) -> None:
        """Stop at the next safe point between two actions; what is asked for later goes on."""
        self._parks += 1
        if self._memory is not None:
            async with self._memory.running:
                pass

    async def rest(self) -> AgentState:
        """Wait until nothing more happens by itself. Raises what stopped the agent, if any."""
        await self._at_rest.wait()
        if self.failure is not None:
            raise self.failure
        ledger = await self.ledger() if self._memory is None else self._memory.ledger
        return ledger.context.state

    async def cut(self) -> None:
        """Stop driving at once: what is under way is cut off, and taken up when it comes back."""
        self._wanted = False
        if (driving := self._driving) is not None:
            driving.cancel()
            await ended(driving)
        self.broken.set()

    def end(self) -> None:
        """The runtime is left: nobody is told anything any more."""
        self._listeners.close()

    # --- what the pool calls ----------------------------------------------------------------------

    @property
    def in_memory(self) -> bool:
        """Whether it is open here."""
        return self._memory is not None

    @property
    def tethered(self) -> bool:
        """Whether commands of it run in the background."""
        return self._memory is not None and self._memory.shells.running > 0

    async def open(self) -> None:
        """Read the journal into memory. Raises `Fenced` if another process had it since."""
        if self._memory is not None:
            return
        await self._check_still_ours()
        ledger = await self._read()
        shells = Shells(self.services.clock, on_end=lambda: self._pool.untethered(self))
        turn = Turn(self.id, self.services, ledger, shells=shells, fits=self._fits)
        self._memory = _Memory(ledger, shells, turn)
        self.look_ahead(ledger.context)

    async def close(self) -> None:
        """Keep nothing in memory; background commands end for good."""
        if (memory := self._memory) is not None:
            self._forget(memory)
            await memory.shells.end_all(PUT_AWAY)

    async def look(self) -> None:
        """See what other processes did: go on with what they said, let go of what they took."""
        if (memory := self._memory) is None:
            return
        try:
            head = await self.services.journal.head(self.id)
            if head is None or 0 < memory.ledger.epoch < head.epoch:
                await self._lose(memory, _loss(self.id, head))
            elif self.services.drive:
                await self._take_news(memory, head)
        except LonghouseError:  # a journal that cannot be read now may be readable later
            logger.warning("agent %s could not look at its journal", self.id, exc_info=True)

    # --- how it is done ---------------------------------------------------------------------------

    async def _run(self, asked: int) -> AgentState:
        if self._lost is not None:
            raise self._lost
        async with self._pool.place(self):
            memory = self._in_memory()
            async with memory.running:
                try:
                    await memory.turn.run(lambda: self._parks > asked)
                except (Fenced, UnknownAgent) as error:
                    await self._lose(memory, error)
                    raise
                return memory.ledger.context.state

    def _start_driving(self) -> None:
        self._driving = asyncio.create_task(self._drive(), name=f"agent {self.id[:40]}")
        self._driving.add_done_callback(self._drove)

    def _drove(self, _: asyncio.Task[None]) -> None:
        if self._wanted:  # said while it ended
            self._start_driving()
        else:
            self._driving = None
            self._at_rest.set()

    async def _begin_with(self, message: Draft) -> bool:
        """Where the agent rests here, the message and its turn's beginning are one write."""
        if not self.services.drive or self._memory is None or self._driving is not None:
            return False
        if self._pool.closed or not self._pool.has_room_for(self):
            return False
        async with self._pool.place(self):
            memory = self._in_memory()
            async with memory.running:
                return await memory.turn.begin(message)

    async def _drive(self) -> None:
        """Run for as long as there is something to do."""
        while self._wanted:
            self._wanted = False
            await self._try_to_run()

    async def _try_to_run(self) -> None:
        try:
            await self._run(self._asked)
        except (Fenced, UnknownAgent) as error:
            self._refuse(error)
        except PoolClosed:
            self.broken.set()
        except Exception as error:  # a task boundary: `rest` raises it to whoever waits
            logger.exception("agent %s stopped", self.id)
            self._break(error)
            if self._memory is None and isinstance(error, Unavailable):  # else the pool looks again
                asyncio.get_running_loop().call_later(LOOK_SECONDS, self.wake)

    def _is_behind(self, memory: _Memory, head: Head) -> bool:
        return memory.ledger.epoch == 0 or memory.ledger.context.seq < head.seq

    async def _take_news(self, memory: _Memory, head: Head) -> None:
        if head.seq > memory.ledger.context.seq:
            await memory.ledger.catch_up()
        elif self._parks > self._asked:
            return  # it was parked, and nobody has said anything since
        if _has_work(memory.ledger.context):
            self.wake()

    async def _check_still_ours(self) -> None:
        """Coming back is not taking over: before anything is begun that would be refused."""
        if self._epoch:
            head = await self.services.journal.head(self.id)
            if head is None or head.epoch > self._epoch:
                lost = _loss(self.id, head)
                self._refuse(lost)
                raise lost

    async def _lose(self, memory: _Memory, error: Fenced | UnknownAgent) -> None:
        """Another process has the agent, or nobody: nothing more can be done here."""
        self._refuse(error)
        if self._memory is memory:
            self._forget(memory)
        await memory.shells.end_all(TAKEN_OVER)

    def _refuse(self, error: Fenced | UnknownAgent) -> None:
        """Do nothing here any more, until somebody opens the agent."""
        self._lost = error
        self._fires_at(None)
        self._break(error)

    def _break(self, error: Exception) -> None:
        self.failure = error
        self.broken.set()

    def _forget(self, memory: _Memory) -> None:
        self._last_words = _last_words(memory.ledger.context)
        self._epoch = memory.ledger.epoch or self._epoch
        self._memory = None

    def _in_memory(self) -> _Memory:
        assert self._memory is not None, "an agent that has a place is in memory"
        return self._memory

    async def _come_if_there_is_room(self) -> None:
        if self._lost is None and self._pool.has_room_for(self):
            with suppress(Fenced, PoolClosed):
                async with self._pool.place(self):
                    pass

    async def _read(self) -> Ledger:
        """The journal, read from its beginning. Raises `UnknownAgent`."""
        ledger = Ledger(self.id, self.services.journal, told=self._told)
        await ledger.catch_up()
        if not ledger.context.agent_id:  # nothing is there, or it is the journal of something else
            raise UnknownAgent(f"There is no agent {self.id!r}.")
        self._last_words = _last_words(ledger.context)
        return ledger

    def _told(self, context: Context, events: Sequence[Event]) -> None:
        self._listeners.tell(events)
        # At its opening these are all events there are.
        if not _SCHEDULING.isdisjoint(map(type, map(_body_of, events))):
            self.look_ahead(context)

    def _fires_at(self, moment: int | None) -> None:
        self._scheduled = moment is not None
        self.services.fire_at(self.id, moment)
        self._stay_or_go()

    def _stay_or_go(self) -> None:
        """Whether it is to be remembered here although nobody holds its handle."""
        if self._listeners or self._scheduled:
            self._pool.keep(self)
        else:
            self._pool.let_go(self)


def _has_work(context: Context) -> bool:
    return not isinstance(next_action(context, Limits(), now=context.time), Rest)


def _last_words(context: Context) -> str:
    for message in reversed(context.messages):
        if isinstance(message, AssistantMessage):
            return "".join(part.text for part in message.blocks if isinstance(part, Text))
    return ""


def _loss(agent_id: str, head: Head | None) -> Fenced | UnknownAgent:
    if head is None:
        return UnknownAgent(f"Agent {agent_id!r} was deleted.")
    return Fenced(f"Agent {agent_id!r} was taken over by another process.")
