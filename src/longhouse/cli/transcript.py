"""What a person sees of a session: its events and deltas folded into items, one after the other.

Pure: `chat` feeds it what a stream brings and shows what it returns; `render` knows how an item
looks. It also knows when the turn that a message wants is over, which is what `chat` waits for.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

import msgspec

from longhouse.cli import diffs
from longhouse.protocol.events import (
    AgentCreated,
    AgentForked,
    AgentResumed,
    AgentState,
    AnswerRefused,
    Body,
    ContextCompressed,
    Delta,
    Done,
    DoneReason,
    ErrorRaised,
    Event,
    ExchangesSpent,
    FileChanged,
    InterruptRequested,
    JsonObject,
    MemberAsked,
    MemberSilent,
    MessageReceived,
    Outcome,
    PermissionDecided,
    PermissionRequired,
    PostFollowed,
    RoomChanged,
    RoomCreated,
    RoomMessage,
    ScheduleCancelled,
    ScheduleFired,
    ScheduleSet,
    Severity,
    SkillDiscovered,
    SnapshotTaken,
    StateChanged,
    StepComplete,
    StepStarted,
    Text,
    Thinking,
    Todo,
    TodoChanged,
    TodoReminder,
    TokenUsage,
    ToolCall,
    ToolEnd,
    ToolExecuted,
    ToolStart,
    Usage,
    decode_body,
)

MICROSECONDS = 1_000_000

PLANNING = "todo_write"
"""The tool whose effect is shown as a plan."""


@dataclass(frozen=True, slots=True)
class UserSaid:
    """A message to the agent that was not typed here."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """A whole block of thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A whole block of the answer."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDone:
    """A tool call came to its end."""

    name: str
    arguments: JsonObject
    outcome: Outcome
    content: str
    seconds: float | None = None  # None: it did not run
    diff: str = ""
    previewed: bool = False  # a person saw the diff when they were asked

    @property
    def counts(self) -> tuple[int, int]:
        """Lines added and removed."""
        return diffs.counts(self.diff)


@dataclass(frozen=True, slots=True)
class Asks:
    """A person has to decide about a call."""

    required: PermissionRequired


@dataclass(frozen=True, slots=True)
class Decided:
    """Somebody decided."""

    call_id: str
    decision: str
    note: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The agent rewrote its plan."""

    todos: tuple[Todo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something went wrong and the turn goes on."""

    message: str
    hint: str = ""
    retry_in: float | None = None  # seconds


@dataclass(frozen=True, slots=True)
class Resumed:
    """Another process took the turn up after a crash or a restart."""

    sealed: int  # calls that may have happened
    repeated: int  # calls that run again


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnded:
    """A turn is over."""

    reason: DoneReason
    detail: str = ""
    seconds: float = 0.0
    steps: int = 0
    usage: Usage = field(default_factory=Usage)


Item: TypeAlias = (
    UserSaid | Thought | Said | ToolDone | Asks | Decided | Planned | Trouble | Resumed | TurnEnded
)
"""Everything a transcript shows."""


@dataclass(slots=True)
class OpenCall:
    """A tool call without a result."""

    asked: ToolCall
    start: ToolStart | None = None
    started_at: int = 0  # microseconds
    required: PermissionRequired | None = None

    @property
    def arguments(self) -> JsonObject:
        """What it runs with."""
        if self.start is not None and self.start.arguments is not None:
            return self.start.arguments
        return self.asked.arguments if self.required is None else self.required.arguments


@dataclass(slots=True)
class Transcript:
    """A session from one of its messages on. `message_id`: the message whose end is waited for."""

    message_id: str = ""
    own: bool = True  # the message was typed here: it is not repeated
    state: AgentState = AgentState.WORKING
    connected: bool = True  # False: what is shown may be old
    over: bool = False  # the turn that the message wanted has ended
    turn_open: bool = False
    todos: tuple[Todo, ...] = ()
    calls: dict[str, OpenCall] = field(default_factory=dict)
    waiting: dict[str, PermissionRequired] = field(default_factory=dict)
    streamed: Delta | None = None  # what grows now: its kind, and all text of it so far
    ended: TurnEnded | None = None  # how the last turn ended
    answer: list[str] = field(default_factory=list)  # the text of the last step
    _usage: Usage = field(default_factory=Usage)
    _steps: int = 0
    _began: int = 0  # microseconds
    _arrived: bool = False  # the message is in the journal
    _taken: bool = False  # the message reached the model
    _dropped: bool = False  # an interrupt came first: the message waits for the next one

    @property
    def running(self) -> list[OpenCall]:
        """Calls that run now."""
        return [call for call in self.calls.values() if call.start is not None]

    def expect(self, asked: ToolCall, required: PermissionRequired) -> None:
        """A call that waited for a decision before the first event that is taken."""
        self.calls[asked.call_id] = OpenCall(asked, required=required)
        self.waiting[asked.call_id] = required

    def hear(self, delta: Delta) -> None:
        """A fragment of what grows."""
        grown = self.streamed
        same = grown is not None and (grown.step, grown.kind, grown.call_id) == (
            delta.step,
            delta.kind,
            delta.call_id,
        )
        if grown is not None and same:
            delta = msgspec.structs.replace(
                grown, text=grown.text + delta.text, name=grown.name or delta.name
            )
        self.streamed = delta

    def forget_streamed(self) -> None:
        """The connection broke: what grew may have holes. The whole block comes as an event."""
        self.streamed = None

    def take(self, event: Event) -> list[Item]:
        """What this event shows."""
        return self._take(event.body, event.time)

    def _take(self, body: Body, now: int) -> list[Item]:
        match body:
            case MessageReceived():
                return self._receive(body)
            case Thinking():
                self.streamed = None
                return [Thought(body.text)] if body.text.strip() else []
            case Text():
                self.streamed = None
                self.answer.append(body.text)
                return [Said(body.text)] if body.text.strip() else []
            case ToolCall():
                self.streamed = None
                self.calls[body.call_id] = OpenCall(body)
                return []
            case ToolStart():
                self._start(body, now)
                return []
            case ToolEnd():
                return self._end(body, now)
            case Done():
                return self._finish(body, now)
            case PermissionRequired():
                return self._require(body)
            case PermissionDecided():
                return self._decide(body)
            case InterruptRequested():
                return self._interrupt()
            case AgentResumed():
                self.streamed = None
                return [Resumed(len(body.sealed), len(body.repeated))]
            case StateChanged():
                self.state = body.after
                return []
            case StepStarted():
                self._step(body, now)
                return []
            case TokenUsage():
                self._usage += body.usage
                return []
            case ErrorRaised():
                self.streamed = None
                return _trouble(body)
            case TodoChanged():
                self.todos = body.after
                return [Planned(body.after)]
            case (
                AgentCreated()
                | AgentForked()
                | AnswerRefused()
                | ContextCompressed()
                | SnapshotTaken()
                | StepComplete()
                | ToolExecuted()
                | TodoReminder()
                | FileChanged()
                | PostFollowed()
                | SkillDiscovered()
                | ScheduleSet()
                | ScheduleCancelled()
                | ScheduleFired()
                | RoomCreated()
                | RoomChanged()
                | RoomMessage()
                | MemberAsked()
                | MemberSilent()
                | ExchangesSpent()
            ):
                return []

    def _receive(self, body: MessageReceived) -> list[Item]:
        mine = body.message_id == self.message_id
        self._arrived = self._arrived or mine
        return [] if mine and self.own else [UserSaid(_words(body))]

    def _step(self, body: StepStarted, now: int) -> None:
        self.streamed = None
        if not (self.turn_open and self._began):
            self.turn_open, self._began = True, now
            self._steps, self._usage = 0, Usage()
        self._steps += 1
        self.answer.clear()
        self._taken = self._taken or self.message_id in body.messages

    def _start(self, body: ToolStart, now: int) -> None:
        if (call := self.calls.get(body.call_id)) is not None:
            call.start, call.started_at = body, now

    def _end(self, body: ToolEnd, now: int) -> list[Item]:
        call = self.calls.pop(body.call_id, None)
        self.waiting.pop(body.call_id, None)
        if call is None:  # asked for before this transcript begins
            call = OpenCall(ToolCall(step=0, call_id=body.call_id, name=body.name, arguments={}))
        if body.name == PLANNING and body.outcome is Outcome.OK:
            return []  # the plan itself follows
        ran = None if call.start is None else (now - call.started_at) / MICROSECONDS
        return [
            ToolDone(
                name=body.name,
                arguments=call.arguments,
                outcome=body.outcome,
                content=body.content,
                seconds=ran,
                diff=body.diff,
                previewed=call.required is not None and bool(call.required.preview),
            )
        ]

    def _require(self, body: PermissionRequired) -> list[Item]:
        if (call := self.calls.get(body.call_id)) is not None:
            call.required = body
        self.waiting[body.call_id] = body
        return [Asks(body)]

    def _decide(self, body: PermissionDecided) -> list[Item]:
        self.waiting.pop(body.call_id, None)
        return [Decided(body.call_id, body.decision, body.note)]

    def _interrupt(self) -> list[Item]:
        if not self._arrived or self._taken:
            return []
        self._dropped = True
        # No turn was open, and none will be: nothing else would ever tell of its end.
        return [] if self.turn_open else self._over(TurnEnded(reason=DoneReason.INTERRUPTED))

    def _finish(self, body: Done, now: int) -> list[Item]:
        began, self._began = self._began, 0
        self.turn_open = False
        self.streamed = None
        self.calls.clear()
        self.waiting.clear()
        ended = TurnEnded(
            reason=body.reason,
            detail=body.detail,
            seconds=(now - began) / MICROSECONDS if began else 0.0,
            steps=self._steps,
            usage=self._usage,
        )
        return self._over(ended) if self._taken or self._dropped else [ended]

    def _over(self, ended: TurnEnded) -> list[Item]:
        self.over, self.ended = True, ended
        return [ended]


def _words(body: MessageReceived) -> str:
    attached = [f"[{one.name or one.media_type}]" for one in body.attachments]
    return " ".join([*attached, body.text]).strip()


def _trouble(body: ErrorRaised) -> list[Item]:
    """What a person should know now: the rest is told by a tool's result or by the turn's end."""
    told_elsewhere = body.retry_in is None and (
        body.phase in {"tool", "sandbox"} or body.severity is Severity.ERROR
    )
    if told_elsewhere:
        return []
    return [Trouble(message=body.message, hint=body.hint, retry_in=body.retry_in)]


class _Head(msgspec.Struct):
    seq: int
    time: datetime


_heads = msgspec.json.Decoder(_Head)


def decode_event(data: bytes) -> Event | None:
    """An event as it came from the server; None for a type this version does not know.

    Raises `msgspec.DecodeError` for what is no event at all.
    """
    head = _heads.decode(data)
    try:
        body = decode_body(data)
    except msgspec.ValidationError:
        return None
    return Event(seq=head.seq, time=round(head.time.timestamp() * MICROSECONDS), body=body)
