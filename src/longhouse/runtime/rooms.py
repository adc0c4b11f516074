"""Rooms: several agents and people share one durable thread, and `@name` directs a message.

Got from `Runtime.room`. A room is a journal of its own, and the agents in it keep theirs: a member
that is asked gets what was said since it read last as one message, and its answer is said in the
room. Who is asked is decided by `thread`. The intent to ask is journaled before, the answer after,
both under ids that a restart finds again, so that nothing is asked or said twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias, cast

from longhouse.kit.bus.base import BusClosed
from longhouse.kit.errors import Conflict, InvalidInput, LonghouseError, NotFound
from longhouse.kit.ids import new_id
from longhouse.protocol.events import (
    Body,
    Channel,
    Draft,
    Event,
    ExchangesSpent,
    MemberAsked,
    MemberSilent,
    RoomChanged,
    RoomCreated,
    RoomMessage,
)
from longhouse.runtime.agent import Opener, check_agent_id
from longhouse.runtime.journals.base import DuplicateKey, Fenced, UnknownAgent, ring_topic
from longhouse.runtime.mentions import alike, can_be_mentioned
from longhouse.runtime.services import Services
from longhouse.runtime.subscribe import subscribe
from longhouse.runtime.tasks import ended
from longhouse.runtime.thread import Thread, next_asks, reading

logger = logging.getLogger(__name__)

EXCHANGES = 10
"""How often members may ask each other after a person spoke, unless the room says otherwise."""

LONGEST_NAME = 64  # characters
LOOK_SECONDS = 15.0  # how often a room looks for what other processes wrote

Members: TypeAlias = Mapping[str, str]
"""Name in the room -> id of the agent."""


class UnknownRoom(NotFound):
    """There is no room of that id, and no members to make one of."""

    code = "unknown-room"
    title = "No such room"


class NotARoom(Conflict):
    """There is an agent of that id."""

    code = "not-a-room"
    title = "This is an agent, not a room"


@dataclass(frozen=True, kw_only=True, slots=True)
class RoomStatus:
    """A room at a glance."""

    room_id: str
    members: dict[str, str]  # name -> agent id
    exchanges: int  # how often members may ask each other after a person spoke
    spent: int  # of these
    speaking: tuple[str, ...]  # members who read or answer now
    resting: bool  # nobody speaks, and nobody is going to before a person does
    seq: int  # of the last event


class Room:
    """A thread of people and agents. All methods may be called at any time."""

    def __init__(self, room_id: str, services: Services, opener: Opener) -> None:
        """`opener` opens the agents of members."""
        self.id = room_id
        self._services = services
        self._journal = services.journal
        self._opener = opener
        self._thread = Thread()
        self._epoch = 0  # 0: not the writer
        self._reading = asyncio.Lock()
        self._asking: dict[str, asyncio.Task[None]] = {}  # message id -> who is at it here
        self._driver: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._moved = asyncio.Event()
        self._latest = 0  # number of the last event written here

    async def say(self, text: str, *, sender: str, message_id: str | None = None) -> str:
        """Say something as a person; it is durable when this returns. The message's id.

        The members that the text mentions by `@name` answer it; when it mentions nobody, all do. A
        mention of a person who has spoken here asks no agent, and a name that nobody has is plain
        text. A `message_id` that was used before changes nothing. Raises `InvalidInput` for an
        empty text, and a `sender` that is no name or a member's.
        """
        if not text.strip():
            raise InvalidInput("The message is empty.", hint="Say something.")
        await self._catch_up()
        _check_sender(sender, self._thread.members)
        message_id = message_id or new_id("msg")
        message = RoomMessage(
            message_id=message_id,
            sender=sender,
            text=text,
            to=self._thread.addressed(text, sender=sender),
        )
        with suppress(DuplicateKey):
            await self._post(message, key=f"said:{message_id}")
        return message_id

    async def thread(self) -> tuple[RoomMessage, ...]:
        """All that was said, in the order in which everybody reads it."""
        await self._catch_up()
        return tuple(message for _, message in self._thread.messages)

    async def status(self) -> RoomStatus:
        """Where the room stands."""
        await self._catch_up()
        thread = self._thread
        return RoomStatus(
            room_id=self.id,
            members=dict(thread.members),
            exchanges=thread.exchanges,
            spent=thread.spent,
            speaking=tuple(asked.member for asked in thread.asked.values()),
            resting=thread.quiet,
            seq=thread.seq,
        )

    async def rest(self) -> None:
        """Wait until nobody speaks or is about to. Raises what stopped the room, if anything did.

        Where agents do not drive themselves, nobody ever is.
        """
        while self._failure is None and not self._at_rest():
            self._moved.clear()
            await self._moved.wait()
        if self._failure is not None:
            raise self._failure

    def subscribe(
        self, *channels: Channel | str, since: int = 0, types: Sequence[str] | None = None
    ) -> AsyncGenerator[Event, None]:
        """The room's events above number `since`, then live ones, for ever; as of an agent."""
        events = subscribe(self._services, self.id, channels, since=since, types=types)
        return cast("AsyncGenerator[Event, None]", events)  # without deltas there is nothing else

    # --- what a runtime calls -----------------------------------------------------------------

    async def open(self, members: Members | None, exchanges: int | None) -> None:
        """Make the room if there is none, read its journal, and go on where it was left.

        Raises `UnknownRoom` when there is none and no members, `NotARoom`, and as `change` does.
        """
        if await self._journal.head(self.id) is None:
            await self._create(members, exchanges)
        await self._catch_up()
        await self.change(members, exchanges)
        if self._services.drive:
            self._driver = asyncio.create_task(self._drive(), name=f"room {self.id[:40]}")

    async def change(self, members: Members | None, exchanges: int | None) -> None:
        """Let the room have these members and this limit, where given.

        Raises `UnknownAgent`, and `InvalidInput` for names that cannot be mentioned.
        """
        thread = self._thread
        wanted = RoomChanged(
            members=thread.members if members is None else dict(members),
            exchanges=thread.exchanges if exchanges is None else exchanges,
        )
        if wanted != RoomChanged(members=thread.members, exchanges=thread.exchanges):
            await self._check(wanted.members, wanted.exchanges)
            await self._post(wanted)

    async def close(self) -> None:
        """Put the room away. Members who are asked go on at the next opening."""
        tasks = [*self._asking.values(), *([self._driver] if self._driver else [])]
        for task in tasks:
            task.cancel()
        for task in tasks:
            await ended(task)
        self._driver = None
        self._moved.set()

    async def _create(self, members: Members | None, exchanges: int | None) -> None:
        if members is None:
            raise UnknownRoom(f"There is no room {self.id!r}.", hint="Give it members to make it.")
        check_agent_id(self.id)
        limit = EXCHANGES if exchanges is None else exchanges
        await self._check(members, limit)
        created = RoomCreated(room_id=self.id, members=dict(members), exchanges=limit)
        await self._journal.create(self.id, [Draft(created)])

    async def _check(self, members: Members, exchanges: int) -> None:
        _check_names(members)
        if exchanges < 0:
            raise InvalidInput(f"A room cannot have {exchanges} exchanges.", hint="Say 0 or more.")
        for name, agent_id in members.items():
            if await self._journal.head(agent_id) is None:
                raise UnknownAgent(
                    f"There is no agent {agent_id!r} to be the member {name!r}.",
                    hint="Open it first, with a post.",
                )

    # --- the journal --------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        async with self._reading:
            events = await self._journal.read(self.id, after=self._thread.seq)
            if events and self._thread.seq == 0 and not isinstance(events[0].body, RoomCreated):
                raise NotARoom(f"{self.id!r} is an agent.", hint="Give the room another id.")
            self._thread.apply(events)

    async def _post(self, body: Body, *, key: str | None = None) -> None:
        """Write from outside. Raises `DuplicateKey`."""
        events = await self._journal.post(self.id, [Draft(body, key)])
        self._latest = max(self._latest, events[-1].seq)

    # --- going on -----------------------------------------------------------------------------

    def _at_rest(self) -> bool:
        stopped = self._driver is None or self._driver.done()
        return stopped or (self._thread.seq >= self._latest and self._thread.quiet)

    async def _drive(self) -> None:
        """Ask whoever is to be asked, whenever the thread has grown."""
        with self._services.bus.subscribe(ring_topic(self.id)) as rings, suppress(BusClosed):
            while True:
                try:
                    await self._go_on()
                    self._failure = None
                except Fenced as error:
                    self._failure = error
                    return
                except Exception as error:  # a task boundary: `rest` raises it to whoever waits
                    logger.exception("room %s cannot go on for now", self.id)
                    self._failure = error
                finally:
                    self._moved.set()
                await rings.next(LOOK_SECONDS)

    async def _go_on(self) -> None:
        if self._epoch == 0:
            self._epoch = (await self._journal.acquire(self.id)).epoch
        await self._catch_up()
        if bodies := self._next_bodies():
            await self._journal.append(self.id, [Draft(body) for body in bodies], epoch=self._epoch)
            await self._catch_up()
        for asked in self._thread.asked.values():
            if asked.message_id not in self._asking:
                self._asking[asked.message_id] = asyncio.create_task(self._ask(asked))

    def _next_bodies(self) -> list[Body]:
        thread, asks = self._thread, next_asks(self._thread)
        bodies: list[Body] = [
            MemberAsked(
                message_id=new_id("msg"),
                member=name,
                after=thread.heard.get(name, 0),
                upto=thread.seq,
                by_member=by_member,
            )
            for name, by_member in asks.members
        ]
        if asks.unheard:
            bodies.append(
                ExchangesSpent(exchanges=thread.exchanges, members=asks.unheard, upto=thread.seq)
            )
        return bodies

    async def _ask(self, asked: MemberAsked) -> None:
        """Let a member read and answer, and say in the room what it answers."""
        try:
            body = await self._answer(asked)
            draft = Draft(body, f"answer:{asked.message_id}")
            with suppress(DuplicateKey):
                await self._journal.append(self.id, [draft], epoch=self._epoch)
        except Fenced as error:  # whoever took the room over asks again, and hears the same answer
            self._failure = error
            self._moved.set()
        except Exception:  # a task boundary: it is asked again at the next look
            logger.exception("the answer of %s is not in room %s yet", asked.member, self.id)
        finally:
            del self._asking[asked.message_id]

    async def _answer(self, asked: MemberAsked) -> RoomMessage | MemberSilent:
        try:
            words = (await self._words(asked)).strip()
            reason = ""
        except LonghouseError as error:  # its turn failed, was interrupted, or it is gone
            words, reason = "", error.detail
        if not words:
            return MemberSilent(message_id=asked.message_id, member=asked.member, reason=reason)
        return RoomMessage(
            message_id=new_id("msg"),
            sender=asked.member,
            text=words,
            to=self._thread.addressed(words, sender=asked.member),
            answers=asked.message_id,
        )

    async def _words(self, asked: MemberAsked) -> str:
        agent_id = self._thread.members.get(asked.member)
        if agent_id is None:
            raise UnknownAgent(f"{asked.member} is no member any more.")
        agent = await self._opener(agent_id)
        return await agent.ask(
            reading(self._thread, asked, room=self.id),
            message_id=asked.message_id,
            sender=f"room {self.id}",
        )


def _check_sender(sender: str, members: Members) -> None:
    if not sender.strip() or len(sender) > LONGEST_NAME or not sender.isprintable():
        raise InvalidInput(
            f"{sender[:40]!r} cannot be a sender.",
            hint=f"Use 1 to {LONGEST_NAME} printable characters.",
        )
    if alike(sender) in {alike(name) for name in members}:
        raise InvalidInput(
            f"{sender!r} is a member of this room, and speaks for itself.",
            hint="People need names that no member has.",
        )


def _check_names(members: Members) -> None:
    if not members:
        raise InvalidInput("A room needs a member.", hint="Name an agent: members={'ada': …}.")
    for name in members:
        if len(name) > LONGEST_NAME or not can_be_mentioned(name):
            raise InvalidInput(
                f"{name[:40]!r} cannot be a member's name, since nobody could mention it.",
                hint=f"Use up to {LONGEST_NAME} letters and digits, and - or _ between them.",
            )
    if len({alike(name) for name in members}) < len(members):
        raise InvalidInput(
            f"Two members have the same name: {', '.join(members)}.",
            hint="Upper and lower case make no difference in a mention.",
        )
