"""The events of a journal: every word a session can say, on three channels.

Written by the runtime, stored by journals, read by servers, consoles and command lines. This module
knows how an event looks on the wire and in a row; it does not know who writes, stores or reads it.

    Event = seq + time + body          body = one of the structs below, tagged by `type`
    Delta = a live fragment of text or thinking; never stored, has no number

A body's channel is a property of its class, so an event can never be on the wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import msgspec

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object whose shape belongs to someone else: a tool's arguments, a vendor's details."""


class Channel(StrEnum):
    """Who an event is for."""

    PROGRESS = "progress"  # the person who watches: what the agent thinks, says and does
    CONTROL = "control"  # the person who decides: approvals and interrupts
    MONITOR = "monitor"  # the one who runs the house: states, usage, errors


class Severity(StrEnum):
    """How bad an error event is."""

    WARNING = "warning"  # the turn goes on
    ERROR = "error"  # the turn failed; the agent stays usable
    FATAL = "fatal"  # the session cannot go on without help


class Outcome(StrEnum):
    """How a tool call ended. Everything but OK is shown to the model as a failed result."""

    OK = "ok"
    ERROR = "error"  # the tool ran and raised
    INVALID = "invalid"  # unknown tool, or arguments that its schema refuses; it did not run
    DENIED = "denied"  # a rule, a hook or a person said no; it did not run
    INTERRUPTED = "interrupted"  # stopped by a person; it may have done a part
    SEALED = "sealed"  # the process died while it ran; it may have happened


class DoneReason(StrEnum):
    """Why a turn ended."""

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    LIMIT = "limit"  # steps, tokens, time or repetition ran out


class AgentState(StrEnum):
    """What a session is doing now."""

    READY = "ready"  # at rest; the next message starts a turn
    WORKING = "working"  # a turn runs
    WAITING = "waiting"  # a turn rests until a person decides


class TodoStatus(StrEnum):
    """Where one todo stands."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class Todo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of an agent's own plan."""

    id: str
    title: str
    status: TodoStatus = TodoStatus.PENDING


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Tokens of one model call, as the vendor counted them."""

    input: int = 0
    output: int = 0
    cached: int = 0  # part of `input` that was read from the vendor's cache
    reasoning: int = 0  # part of `output` that was thinking

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cached=self.cached + other.cached,
            reasoning=self.reasoning + other.reasoning,
        )


class At(msgspec.Struct, frozen=True, tag_field="kind", tag="at"):
    """Once, at a moment."""

    moment: datetime  # aware


class Every(msgspec.Struct, frozen=True, tag_field="kind", tag="every"):
    """Again and again, counted from when it was set."""

    period: timedelta


class EverySteps(msgspec.Struct, frozen=True, tag_field="kind", tag="every_steps"):
    """After so many steps of the agent, before the next one."""

    steps: int


class Cron(msgspec.Struct, frozen=True, tag_field="kind", tag="cron"):
    """At the times of a cron expression of five fields, as Debian's cron reads it."""

    expression: str
    zone: str = "UTC"  # of the IANA database, such as Europe/Berlin


When: TypeAlias = At | Every | EverySteps | Cron
"""When a schedule fires."""


class Attached(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A picture or document that goes with a message or a result: all but its bytes.

    Those lie beside the journal, under their digest.
    """

    digest: str  # SHA-256 of the bytes, in hexadecimal
    media_type: str  # by their content
    size: int  # bytes
    name: str = ""  # as whoever attached it called it


# gc=False here and below: what is made of JSON has no cycles, and a session has thousands of these.
class _Body(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False
):
    channel: ClassVar[Channel]


# --- progress -------------------------------------------------------------------------------------


class MessageReceived(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="message"):
    """A message was accepted. It reaches the model at the next step that lists its id."""

    channel = Channel.PROGRESS
    message_id: str
    text: str
    sender: str = ""  # who sent it, for people to read
    alone: bool = False  # it gets a turn of its own, since somebody waits for its answer
    attachments: tuple[Attached, ...] = ()
    output: JsonObject | None = None  # the JSON Schema of an object that the answer has to fit


class Thinking(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="thinking"):
    """A complete block of the model's thinking."""

    channel = Channel.PROGRESS
    step: int
    text: str
    details: JsonObject | None = None  # the vendor's own fields (signature), sent back unchanged


class Text(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="text"):
    """A complete block of the model's answer."""

    channel = Channel.PROGRESS
    step: int
    text: str
    details: JsonObject | None = None


class ToolCall(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="tool_call"):
    """The model asked for a tool. Nothing has run yet."""

    channel = Channel.PROGRESS
    step: int
    call_id: str
    name: str
    arguments: JsonObject
    malformed: str = ""  # the raw text, when the arguments were not a JSON object
    details: JsonObject | None = None


class ToolStart(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="tool_start"):
    """Intent: the tool is about to run. Written before it does, so that a crash leaves a trace."""

    channel = Channel.PROGRESS
    call_id: str
    name: str
    arguments: JsonObject | None = None  # when a hook or a person changed them
    attempt: int = 1  # 2 and up: a repeatable tool that a crash had cut off


class ToolEnd(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="tool_end"):
    """The result of a tool call, as the model reads it."""

    channel = Channel.PROGRESS
    call_id: str
    name: str
    outcome: Outcome
    content: str
    retryable: bool = False
    diff: str = ""  # unified diff of what the call changed, for people
    files: dict[str, str] = {}  # workspace path -> digest after this call read or wrote it
    attachments: tuple[Attached, ...] = ()  # what the model is shown besides


class Done(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="done"):
    """A turn ended. Exactly one for each turn."""

    channel = Channel.PROGRESS
    reason: DoneReason
    turn: int
    detail: str = ""  # what went wrong and what to do, when reason is not `completed`
    answer: JsonObject | None = None  # what fits the output that the turn's message asked for


class RoomMessage(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="room_message"):
    """Somebody said something in a room, and all members will read it."""

    channel = Channel.PROGRESS
    message_id: str
    sender: str  # a person, or the name of a member
    text: str
    to: tuple[str, ...] = ()  # whom it mentions; nobody: a person means all members
    answers: str = ""  # of a member: the `member_asked` that it answers


class MemberAsked(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="member_asked"):
    """Intent: a member of a room is about to read what was said, and to answer."""

    channel = Channel.PROGRESS
    message_id: str  # of the message that it gets
    member: str
    after: int  # it reads what was said above this number …
    upto: int  # … up to this one
    by_member: bool = False  # another member asks, and no person does: this is an exchange


class MemberSilent(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="member_silent"):
    """A member that was asked has nothing to say, or could not."""

    channel = Channel.PROGRESS
    message_id: str  # of its `member_asked`
    member: str
    reason: str = ""  # why it could not


# --- control --------------------------------------------------------------------------------------


class PermissionRequired(
    _Body, frozen=True, kw_only=True, omit_defaults=True, tag="permission_required"
):
    """A person must decide before this call runs."""

    channel = Channel.CONTROL
    call_id: str
    name: str
    arguments: JsonObject
    reason: str  # the mode or rule that asks
    preview: str = ""  # unified diff of what the call would change, where it can be known
    delegated_by: str = ""  # the call of this agent whose sub-agent asks; it runs meanwhile


class PermissionDecided(
    _Body, frozen=True, kw_only=True, omit_defaults=True, tag="permission_decided"
):
    """The decision on one call. `cancelled` is the runtime's own: the turn was interrupted."""

    channel = Channel.CONTROL
    call_id: str
    decision: Literal["allow", "deny", "cancelled"]
    note: str = ""
    by: str = ""


class InterruptRequested(
    _Body, frozen=True, kw_only=True, omit_defaults=True, tag="interrupt_requested"
):
    """Somebody asked the running turn to stop. Without meaning when no turn is open."""

    channel = Channel.CONTROL
    by: str = ""


class ExchangesSpent(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="exchanges_spent"):
    """The members of a room have talked among themselves for long enough: a person has to speak."""

    channel = Channel.CONTROL
    exchanges: int  # since a person spoke
    members: tuple[str, ...]  # those mentioned who are not asked any more
    upto: int  # the number up to which this was decided


# --- monitor --------------------------------------------------------------------------------------


class AgentCreated(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="agent_created"):
    """The first event of an agent's journal."""

    channel = Channel.MONITOR
    agent_id: str
    post: str
    metadata: JsonObject = {}


class AgentForked(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="agent_forked"):
    """The first event of a fork's own: everything before it is shared with its parent.

    Whatever turn was open there is none of the fork's; it begins at rest.
    """

    channel = Channel.MONITOR
    agent_id: str
    parent: str
    at: int  # the last number they share
    snapshot: str = ""  # by which it was named
    metadata: JsonObject = {}


class SnapshotTaken(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="snapshot"):
    """A safe point got a name, to be forked or looked at later."""

    channel = Channel.MONITOR
    name: str
    at: int  # the number it names


class AgentResumed(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="agent_resumed"):
    """A process took the journal up again in the middle of a turn."""

    channel = Channel.MONITOR
    epoch: int
    sealed: tuple[str, ...] = ()  # calls that may have happened
    repeated: tuple[str, ...] = ()  # repeatable calls that run again


class PostFollowed(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="post_followed"):
    """From here on the agent follows its post as it is now. Told at the first step and at the
    first one after a change."""

    channel = Channel.MONITOR
    post: str
    digest: str  # of all that the post says to this agent, its version aside
    version: int = 0  # its number, where somebody counts the versions of posts


class StateChanged(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="state_changed"):
    """The session's state moved."""

    channel = Channel.MONITOR
    before: AgentState
    after: AgentState


class StepStarted(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="step_started"):
    """A model call begins, with these messages new in its context (in this order)."""

    channel = Channel.MONITOR
    turn: int
    step: int
    messages: tuple[str, ...] = ()


class ContextCompressed(
    _Body, frozen=True, kw_only=True, omit_defaults=True, tag="context_compressed"
):
    """The oldest messages of the model's context make place for a summary of them.

    Twice for each time: at the start, and at the end with the summary. The journal keeps everything
    that was said. A start without an end was cut off and changed nothing.
    """

    channel = Channel.MONITOR
    phase: Literal["start", "end"]
    step: int  # the one that goes on with the shorter context
    tokens: int  # about the size of the context now
    summarised: int  # messages that the summary stands for
    kept: int  # the newest messages, which stay as they are
    summary: str = ""  # at the end


class AnswerRefused(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="answer_refused"):
    """An answer does not fit the output that the turn's message asked for; the model is told why.

    Only of answers in words: what is wrong with a call of `final_answer` is the call's result.
    """

    channel = Channel.MONITOR
    step: int
    problems: str


class StepComplete(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="step_complete"):
    """A model call ended; its blocks are the events just before this one."""

    channel = Channel.MONITOR
    step: int
    model: str
    finish: str = "stop"  # stop | tool_calls | length | content_filter | …
    duration_ms: int = 0


class TokenUsage(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="token_usage"):
    """What one model call used."""

    channel = Channel.MONITOR
    step: int
    model: str
    usage: Usage


class ToolExecuted(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="tool_executed"):
    """A tool ran to an end."""

    channel = Channel.MONITOR
    call_id: str
    name: str
    outcome: Outcome
    duration_ms: int


class ErrorRaised(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="error"):
    """Something went wrong in a phase of the turn."""

    channel = Channel.MONITOR
    phase: Literal["model", "tool", "loop", "sandbox", "workspace"]
    severity: Severity
    message: str
    hint: str = ""
    attempt: int = 0  # of a retried model call
    retry_in: float | None = None  # seconds until the next attempt; None: there is none


class TodoChanged(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="todo_changed"):
    """The agent rewrote its plan."""

    channel = Channel.MONITOR
    before: tuple[Todo, ...] = ()
    after: tuple[Todo, ...] = ()


class TodoReminder(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="todo_reminder"):
    """The plan was not touched for some steps; the model is reminded of it."""

    channel = Channel.MONITOR
    step: int
    open: int  # how many todos are not completed


class FileChanged(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="file_changed"):
    """A file that the agent has read or written is another by now, and not by its file tools."""

    channel = Channel.MONITOR
    path: str  # in the workspace
    before: str  # digest, as told last
    after: str = ""  # digest; empty: the file is gone


class SkillDiscovered(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="skill_discovered"):
    """A skill is there that was not, or its description is another."""

    channel = Channel.MONITOR
    name: str
    description: str
    source: Literal["house", "workspace"]  # named by who runs the house, or found in the workspace


class ScheduleSet(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="schedule_set"):
    """From now on something is done again and again, or once. It replaces one of the same name."""

    channel = Channel.MONITOR
    name: str
    when: When
    text: str = ""  # the message that each firing gives the agent; without one it is only told


class ScheduleCancelled(
    _Body, frozen=True, kw_only=True, omit_defaults=True, tag="schedule_cancelled"
):
    """A schedule fires no more."""

    channel = Channel.MONITOR
    name: str


class ScheduleFired(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="schedule_fired"):
    """A schedule was due. Its message, if it has one, is the event after this."""

    channel = Channel.MONITOR
    name: str
    firing: str  # the id of this firing, and of its message
    due: int = 0  # microseconds since 1970: the moment that it was due at, not that it fired at
    step: int = 0  # or, when steps count, how many were done


class RoomCreated(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="room_created"):
    """The first event of a room's journal."""

    channel = Channel.MONITOR
    room_id: str
    members: dict[str, str]  # name -> agent id
    exchanges: int  # how often members may ask each other after a person spoke


class RoomChanged(_Body, frozen=True, kw_only=True, omit_defaults=True, tag="room_changed"):
    """A room has other members or another limit than before."""

    channel = Channel.MONITOR
    members: dict[str, str]
    exchanges: int


OfRoom: TypeAlias = (
    RoomCreated | RoomChanged | RoomMessage | MemberAsked | MemberSilent | ExchangesSpent
)
"""What only the journal of a room holds."""

Body: TypeAlias = (
    MessageReceived
    | Thinking
    | Text
    | ToolCall
    | ToolStart
    | ToolEnd
    | Done
    | PermissionRequired
    | PermissionDecided
    | InterruptRequested
    | AgentCreated
    | AgentForked
    | SnapshotTaken
    | AgentResumed
    | PostFollowed
    | StateChanged
    | StepStarted
    | ContextCompressed
    | AnswerRefused
    | StepComplete
    | TokenUsage
    | ToolExecuted
    | ErrorRaised
    | TodoChanged
    | TodoReminder
    | FileChanged
    | SkillDiscovered
    | ScheduleSet
    | ScheduleCancelled
    | ScheduleFired
    | OfRoom
)
"""Everything a journal can hold. A `match` over it ends without a wildcard."""

BODIES: tuple[type[_Body], ...] = get_args(Body)
"""The same, to walk: documentation and clients are generated from it."""

CHANNELS: dict[str, Channel] = {str(body.__struct_config__.tag): body.channel for body in BODIES}
"""Event type -> channel."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One entry of a journal: gap-free number, time, body."""

    seq: int  # 1, 2, 3 … within its journal
    time: int  # microseconds since 1970-01-01 UTC
    body: Body

    @property
    def type(self) -> str:
        """The event's type, as it stands on the wire."""
        return str(self.body.__struct_config__.tag)

    @property
    def channel(self) -> Channel:
        """The channel the event is on."""
        return self.body.channel


class Draft(msgspec.Struct, frozen=True):
    """An event before it is written: the journal gives it number and time.

    `key` makes it unique within its journal: a second draft with the same key is refused
    (`DuplicateKey`). Decisions and client-named messages use it. `blobs` are kept with it.
    """

    body: Body
    key: str | None = None
    blobs: dict[str, bytes] = {}  # digest -> bytes, of what the body says is attached


class Delta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A live fragment. The complete block follows as an event; a reader may miss any delta."""

    step: int
    kind: Literal["text", "thinking", "tool_call"]
    text: str
    call_id: str = ""  # for `tool_call`: which call's arguments grow
    name: str = ""


_encoder = msgspec.json.Encoder()
_body_decoder: msgspec.json.Decoder[Body] = msgspec.json.Decoder(Body)
_delta_decoder = msgspec.json.Decoder(Delta)


def encode_body(body: Body) -> bytes:
    """The body as JSON, `type` first: what a journal's row holds."""
    return _encoder.encode(body)


def decode_body(data: bytes | str) -> Body:
    """The body of a row. Raises `msgspec.ValidationError` on anything else."""
    return _body_decoder.decode(data)


def decode_rows(rows: Iterable[tuple[int, int, bytes | str]]) -> list[Event]:
    """The events of rows of seq, time and body: what a journal reads, thousands at once."""
    decode = _body_decoder.decode
    return [Event(seq, time, decode(data)) for seq, time, data in rows]


def attached_to(body: Body) -> tuple[Attached, ...]:
    """What goes with a body, beside it."""
    return body.attachments if isinstance(body, MessageReceived | ToolEnd) else ()


def encode_delta(delta: Delta) -> bytes:
    """A delta as it travels on the bus and in a stream."""
    return _encoder.encode(delta)


def decode_delta(data: bytes) -> Delta:
    """The reverse of `encode_delta`."""
    return _delta_decoder.decode(data)


def wire(seq: int, time: int, data: bytes | str) -> bytes:
    """An event as clients read it, made from a row without decoding its body.

    `{"seq":7,"time":"2026-01-02T03:04:05.000006Z","channel":"progress","type":"text",…}`
    """
    body = data.encode() if isinstance(data, str) else data
    kind = body[9 : body.index(b'"', 9)].decode()  # rows start with {"type":"
    stamp = datetime.fromtimestamp(time / 1_000_000, UTC).isoformat(timespec="microseconds")
    head = f'{{"seq":{seq},"time":"{stamp[:-6]}Z","channel":"{CHANNELS[kind]}",'
    return head.encode() + body[1:]


def encode_event(event: Event) -> bytes:
    """An event as clients read it."""
    return wire(event.seq, event.time, encode_body(event.body))


def types_on(channels: Sequence[Channel]) -> tuple[str, ...]:
    """The event types of some channels: what a query filters by."""
    return tuple(kind for kind, channel in CHANNELS.items() if channel in channels)
