"""An agent's public face: send, subscribe, decide, status, interrupt.

Got from `Runtime.agent`. Everything said to an agent goes through its journal, so it holds whether
the turn runs here, in another process, or not yet. Where the agent is kept and how it goes on is
in `life`; the work itself is in `turn`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, overload

from pydantic import BaseModel, ValidationError

from longhouse.kit.errors import Conflict, InvalidInput, NotFound
from longhouse.kit.ids import new_id
from longhouse.protocol.events import (
    CHANNELS,
    AgentState,
    Channel,
    Delta,
    Done,
    DoneReason,
    Draft,
    ErrorRaised,
    Event,
    InterruptRequested,
    JsonObject,
    MessageReceived,
    PermissionDecided,
    ScheduleCancelled,
    ScheduleSet,
    SnapshotTaken,
    StepStarted,
    Text,
    Todo,
    When,
    types_on,
)
from longhouse.runtime.answers import fits_of, schema_of
from longhouse.runtime.attachments import Attachment, blobs_of, check_sizes
from longhouse.runtime.journals.base import (
    DuplicateKey,
    microseconds,
)
from longhouse.runtime.ledger import draft
from longhouse.runtime.life import Life
from longhouse.runtime.listeners import Listener
from longhouse.runtime.moments import (
    Moment,
    SnapshotExists,
    Status,
    beginning_of_fork,
    moment_of,
    number_of,
    snapshot_of,
    status_of,
)
from longhouse.runtime.schedules import Schedule, check, due_by_time, firing
from longhouse.runtime.subscribe import subscribe
from longhouse.runtime.tasks import ended
from longhouse.runtime.tools.base import explain

LONGEST_ID = 512  # characters of an agent id


class NoSuchApproval(NotFound):
    """No call of that id waits for a decision."""

    code = "no-such-approval"
    title = "Nothing waits for this decision"


class AlreadyDecided(Conflict):
    """The call was decided or ended before; nothing was changed."""

    code = "already-decided"
    title = "This call is decided already"


class Unanswered(Conflict):
    """A message got no answer; why, and whether it still may, is in the detail."""

    code = "unanswered"
    title = "The message was not answered"


class AgentExists(Conflict):
    """There is an agent of that id; nothing was changed."""

    code = "agent-exists"
    title = "There is an agent of that id"


class NoSuchSchedule(NotFound):
    """The agent has no schedule of that name."""

    code = "no-such-schedule"
    title = "No such schedule"


@dataclass(frozen=True, slots=True)
class _Answer:
    words: str  # of the last answer of the turn
    given: JsonObject | None  # if it was to have a shape


M = TypeVar("M", bound=BaseModel)

Opener: TypeAlias = Callable[[str], Awaitable["Agent"]]
"""agent id -> the agent, open."""


class Agent:
    """A durable agent. All methods may be called at any time, also while it is put away."""

    def __init__(self, life: Life, opener: Opener | None = None) -> None:
        """`opener` opens its forks; without one it cannot be forked."""
        self._life = life
        self._journal = life.services.journal
        self._opener = opener

    @property
    def id(self) -> str:
        """Its id."""
        return self._life.id

    async def send(
        self,
        text: str,
        *,
        attachments: Sequence[Attachment] = (),
        message_id: str | None = None,
        sender: str = "",
    ) -> str:
        """Give the agent a message; it is durable when this returns. The message's id.

        During a turn it reaches the model at the next step. A `message_id` that was used before
        changes nothing. Raises `AttachmentTooLarge`.
        """
        message = MessageReceived(
            message_id=message_id or new_id("msg"),
            text=text,
            sender=sender,
            attachments=tuple(one.attached for one in attachments),
        )
        await self._receive(message, attachments)
        return message.message_id

    @overload
    async def ask(
        self,
        text: str,
        *,
        output: None = None,
        attachments: Sequence[Attachment] = (),
        message_id: str | None = None,
        sender: str = "",
    ) -> str: ...

    @overload
    async def ask(
        self,
        text: str,
        *,
        output: type[M],
        attachments: Sequence[Attachment] = (),
        message_id: str | None = None,
        sender: str = "",
    ) -> M: ...

    @overload
    async def ask(
        self,
        text: str,
        *,
        output: JsonObject,
        attachments: Sequence[Attachment] = (),
        message_id: str | None = None,
        sender: str = "",
    ) -> JsonObject: ...

    async def ask(
        self,
        text: str,
        *,
        output: type[M] | JsonObject | None = None,
        attachments: Sequence[Attachment] = (),
        message_id: str | None = None,
        sender: str = "",
    ) -> str | M | JsonObject:
        """Give the agent a message and wait for its answer: the text that ended its turn.

        With an `output`, the answer is an instance of that pydantic model, or an object that fits
        that JSON Schema; the model is told what does not fit, and tries again within the limits of
        its post. The message gets a turn of its own, after those before it, so that of many who ask
        at once each gets the answer to what they asked. With a `message_id` that was used before,
        it waits for the answer to that message. Raises `Unanswered` when the turn ends otherwise,
        and what stopped the agent, if anything did; `InvalidInput` for an output that no answer
        could fit; `AttachmentTooLarge`.
        """
        since = 0 if message_id else self._life.seen
        message = MessageReceived(
            message_id=message_id or new_id("msg"),
            text=text,
            sender=sender,
            alone=True,
            attachments=tuple(one.attached for one in attachments),
            output=None if output is None else schema_of(output),
        )
        if output is None:
            await self._receive(message, attachments)
            return (await self._answer_to(message.message_id, since)).words
        forget = self._life.expect(message.message_id, fits_of(output))
        try:
            await self._receive(message, attachments)
            return _shaped(await self._answer_to(message.message_id, since), output)
        finally:
            forget()

    async def _answer_to(self, message_id: str, since: int) -> _Answer:
        """The answer, or what keeps it from coming."""
        answer = asyncio.create_task(self._read_answer(message_id, since))
        broken = asyncio.create_task(self._life.broken.wait())
        try:
            await asyncio.wait({answer, broken}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            raise self._life.failure or Unanswered(
                "The agent was put away before it answered.",
                hint="The message is in its journal, and is answered once the agent is opened.",
            )
        finally:
            for task in (answer, broken):
                task.cancel()
                await ended(task)

    async def decide(
        self, call_id: str, decision: Literal["allow", "deny"], *, note: str = "", by: str = ""
    ) -> None:
        """Allow or deny a call that waits. Raises `NoSuchApproval`, `AlreadyDecided`."""
        ledger = await self._life.ledger()
        context = ledger.context
        if call_id not in context.call_ids:
            raise NoSuchApproval(f"This agent has no call {call_id!r}.")
        if all(required.call_id != call_id for required in context.approvals()):
            self._life.wake()  # whoever decided may not have got to it
            raise AlreadyDecided(f"Call {call_id!r} does not wait for a decision.")
        body = PermissionDecided(call_id=call_id, decision=decision, note=note, by=by)
        try:
            await ledger.post(body)
        except DuplicateKey:
            raise AlreadyDecided(f"Call {call_id!r} was decided before.") from None
        finally:
            self._life.wake()

    async def interrupt(self, *, by: str = "") -> None:
        """Stop the turn that runs or waits; without one, nothing happens."""
        ledger = await self._life.ledger()
        if ledger.context.turn_open or ledger.context.fresh:
            await ledger.post(InterruptRequested(by=by))
            self._life.wake()

    async def status(self) -> Status:
        """Where the agent stands."""
        ledger = await self._life.ledger()
        return status_of(self.id, ledger.context)

    async def todos(self) -> tuple[Todo, ...]:
        """The agent's plan."""
        return (await self.status()).todos

    async def snapshot(self, name: str) -> SnapshotTaken:
        """Give the present moment a name, for `fork` and `at`.

        Raises `NotForkable` in the middle of a tool call, `SnapshotExists`.
        """
        ledger = await self._life.ledger()
        taken = snapshot_of(self.id, ledger.context, name)
        try:
            await ledger.post(taken)
        except DuplicateKey:
            raise SnapshotExists(self.id, name) from None
        return taken

    async def fork(
        self,
        *,
        at: int | str | None = None,
        id: str | None = None,  # noqa: A002 - the agent's, as everywhere
        metadata: JsonObject | None = None,
    ) -> Agent:
        """A new agent with this one's past up to a point, and a future of its own; it is at rest.

        `at`: an event's number, a snapshot's name, or now. The past is shared and not copied. The
        workspace is the fork's own and begins empty. A turn that was open at that point is not
        continued. `metadata` comes on top of this one's. Raises `NotForkable` where a tool call is
        open, and says where none is; `NoSuchPoint`, `NoSuchSnapshot`, `AgentExists`.
        """
        if self._opener is None:
            raise InvalidInput("A sub-agent cannot be forked.", hint="Fork the agent it works for.")
        agent_id = new_id("agent") if id is None else id
        check_agent_id(agent_id)
        context = (await self._life.ledger()).context
        forked, bodies = beginning_of_fork(
            agent_id, self.id, context, at=at, metadata=metadata or {}
        )
        drafts = [Draft(body) for body in bodies]
        if not await self._journal.fork(self.id, agent_id, drafts, at=forked.at):
            raise AgentExists(f"There is an agent {agent_id!r} already.")
        return await self._opener(agent_id)

    async def at(self, point: int | str) -> Moment:
        """The agent as it was after an event, by number or by a snapshot's name: to read only.

        Raises `NoSuchPoint`, `NoSuchSnapshot`.
        """
        seq = number_of(self.id, (await self._life.ledger()).context, point)
        return moment_of(self.id, await self._journal.read(self.id, limit=seq))

    async def schedule(self, name: str, when: When, text: str = "") -> None:
        """From now on, give the agent a message at a time, in periods or after so many steps.

        `when`: `At`, `Every`, `Cron` or `EverySteps`. A schedule of the same name is replaced.
        Without a `text`, each firing is an event `schedule_fired` and nothing more. Raises
        `InvalidInput`.
        """
        check(name, when)
        ledger = await self._life.ledger()
        await ledger.post(ScheduleSet(name=name, when=when, text=text.strip()))

    async def unschedule(self, name: str) -> None:
        """Let a schedule fire no more. Raises `NoSuchSchedule`."""
        ledger = await self._life.ledger()
        names = list(ledger.context.schedules)
        if name not in names:
            raise NoSuchSchedule(
                f"There is no schedule {name!r}.", hint=f"Schedules: {', '.join(names) or 'none'}."
            )
        await ledger.post(ScheduleCancelled(name=name))

    async def schedules(self) -> tuple[Schedule, ...]:
        """What is scheduled and may still fire."""
        ledger = await self._life.ledger()
        return tuple(ledger.context.schedules.values())

    def last_words(self) -> str:
        """The text of the model's last answer, as far as this process knows the journal."""
        return self._life.last_words()

    def subscribe(
        self,
        *channels: Channel | str,
        since: int = 0,
        types: Sequence[str] | None = None,
        deltas: bool = False,
    ) -> AsyncGenerator[Event | Delta, None]:
        """Events above number `since`, then live ones, for ever; each once, without a gap.

        `channels`: none means all. `types`: only these. `deltas`: live fragments too. A reader that
        does not read costs a bounded buffer and slows nobody.
        """
        return subscribe(
            self._life.services, self.id, channels, since=since, types=types, deltas=deltas
        )

    def on(self, event_type: str, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each new `control` or `monitor` event of a type. Returns the undo.

        It is kept for as long as the runtime is open; of what happened while the agent was away it
        is told when it is back. A listener that fails is logged and does not disturb the agent.
        """
        if CHANNELS.get(event_type) not in {Channel.CONTROL, Channel.MONITOR}:
            known = ", ".join(types_on((Channel.CONTROL, Channel.MONITOR)))
            raise InvalidInput(f"There is no event {event_type!r} to listen to.", hint=known)
        return self._life.listen(event_type, listener)

    async def rest(self) -> AgentState:
        """Wait until nothing more will happen by itself. Raises what stopped the agent, if any."""
        return await self._life.rest()

    def run(self) -> Coroutine[Any, Any, AgentState]:
        """Go on until the agent rests: ready, or waiting for a person. Parked: still working.

        It waits its turn when all places of the pool are at work. Raises `Fenced` when another
        process took the agent over.
        """
        return self._life.run()

    async def fire(self) -> None:
        """Do what is due by the clock; each firing happens once, whoever else looks for it."""
        ledger = await self._life.ledger()
        context, now = ledger.context, microseconds(self._life.services.clock)
        for schedule, due in due_by_time(
            context.schedules.values(), now=now, unread=context.queued
        ):
            try:
                await ledger.post(*firing(schedule, due=due))
                self._life.wake()
            except DuplicateKey:
                await ledger.catch_up()
        self._life.look_ahead(context)

    async def park(self) -> None:
        """Stop at the next safe point between two actions. What is asked of it later goes on."""
        await self._life.park()

    async def give_up(self, problem: ErrorRaised) -> None:
        """End as failed a turn that nobody could finish, so that the agent can be used again."""
        await self._life.give_up(problem)

    async def _receive(self, message: MessageReceived, attachments: Sequence[Attachment]) -> None:
        if not message.text.strip() and not attachments:
            raise InvalidInput("The message is empty.", hint="Say what the agent should do.")
        check_sizes(attachments, most_bytes=self._life.services.most_attachment_bytes)
        with suppress(DuplicateKey):
            await self._life.receive(draft(message, blobs_of(attachments)))

    async def _read_answer(self, message_id: str, since: int) -> _Answer:
        """How the turn that took this message in ended."""
        received = told = False
        words: dict[int, str] = {}  # step -> text
        async with aclosing(self.subscribe(since=since, types=_OF_ANSWERS)) as events:
            async for event in events:
                match event.body if isinstance(event, Event) else None:
                    case MessageReceived() as body:
                        received = received or body.message_id == message_id
                    case StepStarted() as body:
                        told = told or message_id in body.messages
                    case Text() as body if told:
                        words[body.step] = words.get(body.step, "") + body.text
                    case InterruptRequested() if received and not told:
                        raise Unanswered(
                            "An interrupt came before this message's turn.",
                            hint="The agent reads the message at its next turn.",
                        )
                    case Done() as body if told:
                        return _answer(body, words)
        raise Unanswered("The runtime was closed before the agent answered.")


def check_agent_id(agent_id: str) -> None:
    """Raises `InvalidInput` unless the text can be an agent's id."""
    if not agent_id.strip() or len(agent_id) > LONGEST_ID or not agent_id.isprintable():
        raise InvalidInput(
            f"{agent_id[:40]!r} cannot be an agent's id.",
            hint=f"Use 1 to {LONGEST_ID} printable characters.",
        )


_OF_ANSWERS = ("message", "step_started", "text", "interrupt_requested", "done")


def _answer(done: Done, words: dict[int, str]) -> _Answer:
    if done.reason is not DoneReason.COMPLETED:
        raise Unanswered(f"The turn ended without an answer: {done.detail or done.reason}.")
    return _Answer(words[max(words)] if words else "", done.answer)


def _shaped(answer: _Answer, output: type[M] | JsonObject) -> M | JsonObject:
    """The answer as it was asked for. Raises `Unanswered` if it has no such shape.

    The turn sees to that. But the message may be an old one, or the turn have gone on in a process
    that knew no more than the schema.
    """
    if answer.given is None:
        raise Unanswered("The turn ended without an answer that has the shape asked for.")
    if isinstance(output, dict):
        return answer.given
    try:
        return output.model_validate(answer.given)
    except ValidationError as error:
        raise Unanswered(explain(error, "The answer is not what was asked for")) from None
