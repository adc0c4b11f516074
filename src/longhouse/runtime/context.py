"""What a journal means: a fold of its events into the state of one session.

Owned by an agent, fed with every event in order and with nothing else; the same events always give
the same state, so a process that takes a journal up knows exactly what its predecessor knew. It
does no I/O, reads no clock and decides nothing (`loop` does).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, get_args

import msgspec

from longhouse.protocol.events import (
    AgentCreated,
    AgentForked,
    AgentResumed,
    AgentState,
    AnswerRefused,
    Attached,
    Body,
    ContextCompressed,
    Done,
    ErrorRaised,
    Event,
    FileChanged,
    InterruptRequested,
    JsonObject,
    MessageReceived,
    OfRoom,
    Outcome,
    PermissionDecided,
    PermissionRequired,
    PostFollowed,
    ScheduleCancelled,
    ScheduleFired,
    ScheduleSet,
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
    TodoStatus,
    TokenUsage,
    ToolCall,
    ToolEnd,
    ToolExecuted,
    ToolStart,
    Usage,
)
from longhouse.runtime.answers import FINAL_ANSWER
from longhouse.runtime.attachments import shown_again, tokens_of
from longhouse.runtime.model import AssistantMessage, Block, Message, ToolMessage, UserMessage
from longhouse.runtime.schedules import Schedule, has_fired, was_set

SUMMARY_HEAD = "The conversation so far was too long and was summarised; what follows is newer."
BYTES_PER_TOKEN = 3  # or a little more, in every language


@dataclass(slots=True)
class Call:
    """One tool call of the last answer, and how far it is."""

    asked: ToolCall
    required: PermissionRequired | None = None
    required_at: int = 0  # microseconds
    decided: PermissionDecided | None = None
    start: ToolStart | None = None
    end: ToolEnd | None = None

    @property
    def call_id(self) -> str:
        return self.asked.call_id

    @property
    def name(self) -> str:
        return self.asked.name

    @property
    def arguments(self) -> JsonObject:
        """What it runs with: a hook or a person may have changed what the model wrote."""
        if self.start is not None and self.start.arguments is not None:
            return self.start.arguments
        return self.asked.arguments if self.required is None else self.required.arguments

    @property
    def waiting(self) -> bool:
        """A person has to decide."""
        return self.required is not None and self.decided is None and self.end is None

    @property
    def started(self) -> bool:
        """Begun and not ended: running now, or cut off by a crash."""
        return self.start is not None and self.end is None


@dataclass(slots=True)
class Delegated:
    """A call of a sub-agent that a person has to decide."""

    required: PermissionRequired
    required_at: int  # microseconds
    decided: PermissionDecided | None = None


class Point(NamedTuple):
    """What a fork has to know of a moment; it holds from `seq` until the next one."""

    seq: int
    safe: bool  # no tool call is open, no answer half told
    turn: int  # the one that is open, or 0
    state: AgentState


Moved: TypeAlias = tuple[int, bool, int, AgentState]


@dataclass(slots=True)
class Context:
    """The state of a session after `seq` events."""

    seq: int = 0
    time: int = 0  # of the last event, microseconds
    agent_id: str = ""
    post: str = ""
    followed: PostFollowed | None = None  # its post, as told last
    metadata: JsonObject = field(default_factory=dict)
    state: AgentState = AgentState.READY
    turn: int = 0
    step: int = 0
    turn_open: bool = False
    step_open: bool = False  # a model call has begun and has no answer yet
    interrupting: bool = False
    wanted: MessageReceived | None = None  # the open turn's, whose answer has to have a shape
    answer: JsonObject | None = None  # what has it
    refusals: int = 0  # answers that did not
    refusal: str = ""  # what was wrong with the last of them
    fresh: bool = False  # a message came since the last step or interrupt: it wants a turn
    queued: dict[str, MessageReceived] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    calls: dict[str, Call] = field(default_factory=dict)  # of the last answer, until all ended
    delegated: dict[str, Delegated] = field(default_factory=dict)  # of the open turn
    call_ids: set[str] = field(default_factory=set)  # of all calls so far
    background: set[str] = field(default_factory=set)  # of those that began a background command
    answered: bool = False  # the last answer asked for no tool
    todos: tuple[Todo, ...] = ()
    attachments: dict[str, Attached] = field(default_factory=dict)  # digest -> what came so far
    seen: dict[str, str] = field(default_factory=dict)  # workspace path -> digest
    changed: dict[str, str] = field(default_factory=dict)  # of these, as told to have changed
    skills: dict[str, str] = field(default_factory=dict)  # name -> description, as told last
    usage: Usage = field(default_factory=Usage)
    done: Done | None = None  # how the last turn ended
    lineage: tuple[AgentForked, ...] = ()  # the forks it comes from, the oldest first
    snapshots: dict[str, int] = field(default_factory=dict)  # name -> number
    schedules: dict[str, Schedule] = field(default_factory=dict)  # those that may still fire
    points: list[Moved] = field(default_factory=list)  # a `Point` each; plain, for they are many
    # what the limits of a turn are held against
    turn_steps: int = 0
    turn_tokens: int = 0
    turn_work: int = 0  # microseconds at work
    repeats: int = 0  # how often the last tool call came in a row
    steps_without_todos: int = 0
    summarised: bool = False  # the first of `messages` is a summary of those before it
    _counted: int = 0  # tokens that the vendor counted …
    _counted_messages: int = 0  # … of so many of the first messages
    _last_call: tuple[str, bytes] | None = None
    _blocks: list[Block] = field(default_factory=list)

    def open_calls(self) -> Iterator[Call]:
        """Calls of the last answer without a result, in its order."""
        return (call for call in self.calls.values() if call.end is None)

    def approvals(self) -> list[PermissionRequired]:
        """What waits for a person: calls of this agent and of its sub-agents."""
        own = [call.required for call in self.calls.values() if call.required and call.waiting]
        others = [one.required for one in self.delegated.values() if one.decided is None]
        return own + others

    def next_messages(self) -> tuple[str, ...]:
        """The queued messages that the next step takes: one that wants a turn alone joins none."""
        if not self.turn_open:
            first = next(iter(self.queued.values()), None)
            if first is not None and first.alone:
                return (first.message_id,)
        return tuple(key for key, message in self.queued.items() if not message.alone)

    @property
    def tokens(self) -> int:
        """About the size of `messages`: as the vendor counted, and what came since as estimated."""
        return self._counted + sum(map(estimated_tokens, self.messages[self._counted_messages :]))

    def open_todos(self) -> int:
        """How many todos are not completed."""
        return sum(todo.status is not TodoStatus.COMPLETED for todo in self.todos)

    def point(self, at: int) -> Point:
        """What a fork after event `at` has to know."""
        return Point(*self.points[bisect_right(self.points, at, key=_seq_of) - 1])

    def safe_before(self, at: int) -> int:
        """The last number before `at` that a fork may begin after; 0 if there is none."""
        place = bisect_right(self.points, at, key=_seq_of) - 1
        while place >= 0 and not Point(*self.points[place]).safe:
            place -= 1
        following = self.points[place + 1 : place + 2]
        return _seq_of(following[0]) - 1 if following else 0

    def apply(self, events: Iterable[Event]) -> None:
        """Take in events. They must follow on the last one without a gap."""
        folds, moves = _FOLDS, _MOVES
        for event in events:
            seq, time, body = event.seq, event.time, event.body
            if seq != self.seq + 1:
                raise ValueError(f"event {seq} does not follow on {self.seq}")
            kind = type(body)
            # The time between a crash and the resume is nobody's work.
            if self.state is AgentState.WORKING and time > self.time and kind is not AgentResumed:
                self.turn_work += time - self.time
            self.seq, self.time = seq, time
            folds[kind](self, body)
            if kind in moves or not self.points:
                self._mark(seq)

    def _mark(self, seq: int) -> None:
        safe, turn = not (self.calls or self._blocks), self.turn if self.turn_open else 0
        if self.points:
            _, was_safe, was_turn, was_state = self.points[-1]
            if was_safe is safe and was_turn == turn and was_state is self.state:
                return
        self.points.append((seq, safe, turn, self.state))

    def _receive(self, body: MessageReceived) -> None:
        self.queued[body.message_id] = body
        self.fresh = True

    def _say(self, body: Thinking | Text) -> None:
        self._blocks.append(body)

    def _call(self, body: ToolCall) -> None:
        self._blocks.append(body)
        self._count_repeats(body)

    def _use(self, body: TokenUsage) -> None:
        counted = body.usage.input + body.usage.output
        self.usage += body.usage
        self.turn_tokens += counted
        if counted:
            self._counted, self._counted_messages = counted, len(self.messages)

    def _decide(self, body: PermissionDecided) -> None:
        if (call := self.calls.get(body.call_id)) is not None:
            call.decided = body
        elif (delegated := self.delegated.get(body.call_id)) is not None:
            delegated.decided = body

    def _move(self, body: StateChanged) -> None:
        self.state = body.after

    def _plan(self, body: TodoChanged) -> None:
        self.todos = body.after
        self.steps_without_todos = 0

    def _remind(self, body: TodoReminder) -> None:
        self._tell(UserMessage(self._reminder()))
        self.steps_without_todos = 0

    def _create(self, body: AgentCreated) -> None:
        self.agent_id, self.post, self.metadata = body.agent_id, body.post, body.metadata

    def _follow(self, body: PostFollowed) -> None:
        self.followed = body

    def _take_snapshot(self, body: SnapshotTaken) -> None:
        self.snapshots[body.name] = body.at

    def _change(self, body: FileChanged) -> None:
        self.changed[body.path] = body.after

    def _discover(self, body: SkillDiscovered) -> None:
        self.skills[body.name] = body.description

    def _schedule(self, body: ScheduleSet) -> None:
        self.schedules[body.name] = was_set(body, seq=self.seq, time=self.time, step=self.step)

    def _unschedule(self, body: ScheduleCancelled) -> None:
        self.schedules.pop(body.name, None)

    def _fire(self, body: ScheduleFired) -> None:
        if (schedule := self.schedules.get(body.name)) is None:
            return  # cancelled by another process meanwhile
        again = has_fired(schedule, body, step=self.step)
        if again is None:
            del self.schedules[body.name]
        else:
            self.schedules[body.name] = again

    def _note(self, body: AgentResumed | ToolExecuted | ErrorRaised | OfRoom) -> None:
        """Nothing: these are told for people, or in another kind of journal."""

    def _start_step(self, body: StepStarted) -> None:
        if not self.turn_open:
            self.turn_open, self.turn = True, body.turn
            # An interrupt may have come after it was decided to begin: then nothing is asked.
            self.interrupting = not self.fresh
            self.turn_steps = self.turn_tokens = self.turn_work = self.repeats = 0
            self._last_call = None
            self.wanted, self.refusals = None, 0
        self.step, self.step_open = body.step, True
        self.turn_steps += 1
        self.steps_without_todos += 1
        self.answered, self.answer = False, None
        self._blocks.clear()
        for message_id in body.messages:
            message = self.queued.pop(message_id)
            if message.output is not None:
                self.wanted = message
            self._attach(message.attachments)
            self._tell(UserMessage(message.text, message.attachments))
        self.fresh = self.fresh and bool(self.queued)  # those that want turns of their own

    def _complete_step(self, body: StepComplete) -> None:
        self.step_open = False
        blocks = tuple(self._blocks)
        self._blocks.clear()
        self._tell(AssistantMessage(blocks))
        self.calls = {block.call_id: Call(block) for block in blocks if isinstance(block, ToolCall)}
        self.answered = not self.calls

    def _require(self, body: PermissionRequired) -> None:
        if body.delegated_by:
            self.delegated[body.call_id] = Delegated(body, self.time)
            self.call_ids.add(body.call_id)
        else:
            call = self.calls[body.call_id]
            call.required, call.required_at = body, self.time

    def _count_repeats(self, body: ToolCall) -> None:
        self.call_ids.add(body.call_id)
        key = (body.name, msgspec.json.encode(body.arguments, order="deterministic"))
        self.repeats = self.repeats + 1 if key == self._last_call else 1
        self._last_call = key

    def _start_call(self, body: ToolStart) -> None:
        call = self.calls[body.call_id]
        call.start = body
        if call.name == "bash_run" and call.arguments.get("background"):
            self.background.add(call.call_id)

    def _end_call(self, body: ToolEnd) -> None:
        self.calls[body.call_id].end = body
        self._attach(body.attachments)
        if body.name == FINAL_ANSWER and self.wanted is not None:
            self._take_answer(self.calls[body.call_id], body)
        self.seen.update(body.files)
        for path in body.files:
            self.changed.pop(path, None)
        if all(call.end is not None for call in self.calls.values()):
            # Results reach the model in the order of the calls, whichever ended first.
            for call in self.calls.values():
                if (end := call.end) is not None:
                    self._tell(_result(end))
            self.calls = {}
            self.answered = self.answer is not None

    def _take_answer(self, call: Call, end: ToolEnd) -> None:
        if end.outcome is Outcome.OK:
            self.answer = call.asked.arguments
        else:
            self.refusals, self.refusal = self.refusals + 1, end.content

    def _refuse_answer(self, body: AnswerRefused) -> None:
        self.refusals, self.refusal = self.refusals + 1, body.problems
        self.answered = False
        self._tell(UserMessage(f"<reminder>{body.problems}</reminder>"))

    def _attached_before(self, place: int) -> list[Attached]:
        """What came so far and is attached to no message from that place on."""
        after = (m for m in self.messages[place:] if not isinstance(m, AssistantMessage))
        still = {attached.digest for message in after for attached in message.attachments}
        return [one for digest, one in self.attachments.items() if digest not in still]

    def _attach(self, attachments: Iterable[Attached]) -> None:
        for attached in attachments:
            self.attachments[attached.digest] = attached

    def _interrupt(self, body: InterruptRequested) -> None:
        # What was said before the stop is told at the next turn, but does not begin one.
        self.fresh = False
        self.interrupting = self.turn_open

    def _end_turn(self, body: Done) -> None:
        self.done = body
        self.delegated = {}
        self.turn_open = self.step_open = self.interrupting = self.answered = False

    def _tell(self, message: Message) -> None:
        """Add what the model reads at its next call."""
        self.messages.append(message)

    def _compress(self, body: ContextCompressed) -> None:
        if body.phase == "end":
            kept = len(self.messages) - body.kept
            gone = shown_again(self._attached_before(kept))
            summary = f"<summary>{SUMMARY_HEAD}\n\n{body.summary}{gone}</summary>"
            self.messages = [UserMessage(summary), *self.messages[kept:]]
            self._counted, self._counted_messages = body.tokens, len(self.messages)
            self.summarised = True

    def _begin_fork(self, body: AgentForked) -> None:
        self.agent_id, self.metadata = body.agent_id, body.metadata
        self.lineage = (*self.lineage, body)
        self.fresh = False  # what was queued is told at its next turn, but does not begin one
        self.seen = {}  # its files may be others
        self.schedules = {}  # they go on in its parent alone

    def _reminder(self) -> str:
        lines = "\n".join(f"- [{todo.status}] {todo.title}" for todo in self.todos)
        return f"<reminder>Your todo list has open items. Keep it up to date.\n{lines}</reminder>"


def estimated_tokens(message: Message) -> int:
    """About how many tokens a message is, rather too many than too few."""
    match message:
        case UserMessage(text=text) | ToolMessage(content=text):
            words = len(text.encode()) // BYTES_PER_TOKEN + 1
            return words + sum(map(tokens_of, message.attachments))
        case AssistantMessage(blocks=blocks):
            return sum(map(_estimated_tokens_of, blocks)) + 1


def _estimated_tokens_of(block: Block) -> int:
    match block:
        case Text() | Thinking():
            return len(block.text.encode()) // BYTES_PER_TOKEN
        case ToolCall():
            return len(msgspec.json.encode(block.arguments)) // BYTES_PER_TOKEN + len(block.name)


def _result(end: ToolEnd) -> ToolMessage:
    return ToolMessage(end.call_id, end.name, end.content, end.outcome, end.attachments)


def _seq_of(point: Moved) -> int:
    return point[0]


# What can open or close a call or a turn, say a half of an answer, or move the state: by the others
# no point begins. A test holds this to the folds.
_MOVES: frozenset[type[Body]] = frozenset(
    {
        AgentForked,
        Done,
        StateChanged,
        StepComplete,
        StepStarted,
        Text,
        Thinking,
        ToolCall,
        ToolEnd,
    }
)

# A table: on the way of every event, and three times as fast as a `match`. Whole, by a test.
_FOLDS: dict[type[Body], Callable[[Context, Any], None]] = {
    MessageReceived: Context._receive,
    Thinking: Context._say,
    Text: Context._say,
    ToolCall: Context._call,
    ToolStart: Context._start_call,
    ToolEnd: Context._end_call,
    Done: Context._end_turn,
    PermissionRequired: Context._require,
    PermissionDecided: Context._decide,
    InterruptRequested: Context._interrupt,
    AgentCreated: Context._create,
    AgentForked: Context._begin_fork,
    AgentResumed: Context._note,
    PostFollowed: Context._follow,
    StateChanged: Context._move,
    StepStarted: Context._start_step,
    AnswerRefused: Context._refuse_answer,
    StepComplete: Context._complete_step,
    TokenUsage: Context._use,
    ToolExecuted: Context._note,
    ErrorRaised: Context._note,
    TodoChanged: Context._plan,
    TodoReminder: Context._remind,
    SnapshotTaken: Context._take_snapshot,
    FileChanged: Context._change,
    ContextCompressed: Context._compress,
    SkillDiscovered: Context._discover,
    ScheduleSet: Context._schedule,
    ScheduleCancelled: Context._unschedule,
    ScheduleFired: Context._fire,
    **dict.fromkeys(get_args(OfRoom), Context._note),
}
