"""What a batch of events changes in a session's row, in the inbox and in lists: a pure function.

Called by `journal` for everything it writes, in the same transaction. The whole meaning of a
journal is the runtime's fold; this is the small part of it that lists, the inbox and counters show.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from longhouse.agents.models import TITLE_CHARACTERS
from longhouse.protocol.events import (
    AgentCreated,
    AgentForked,
    AgentResumed,
    AgentState,
    AnswerRefused,
    Body,
    ContextCompressed,
    Done,
    ErrorRaised,
    ExchangesSpent,
    FileChanged,
    InterruptRequested,
    MemberAsked,
    MemberSilent,
    MessageReceived,
    PermissionDecided,
    PermissionRequired,
    PostFollowed,
    RoomChanged,
    RoomCreated,
    RoomMessage,
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
    TokenUsage,
    ToolCall,
    ToolEnd,
    ToolExecuted,
    ToolStart,
    Usage,
)


@dataclass(slots=True)
class Changes:
    """What is new; None where nothing is."""

    state: AgentState | None = None
    turn: int | None = None
    step: int | None = None
    todos: tuple[Todo, ...] | None = None
    title: str = ""  # for a session that has none yet
    usage: Usage = field(default_factory=Usage)
    required: list[PermissionRequired] = field(default_factory=list)
    decided: list[PermissionDecided] = field(default_factory=list)

    @property
    def of_agent(self) -> bool:
        """Whether the agent's own row changes."""
        return self.state is not None or self.usage != Usage()

    @property
    def of_lists(self) -> bool:
        """Whether what a tenant's lists and inbox show changes."""
        return self.of_agent or bool(self.title or self.required or self.decided)


def changes(bodies: Sequence[Body]) -> Changes:
    """What these events change, taken together."""
    found = Changes()
    for body in bodies:
        _take_in(found, body)
    return found


def title_from(text: str) -> str:
    """A title made of a message: its first line, cut at a length that lists can show."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = "".join(character for character in line if character.isprintable())
    return line if len(line) <= TITLE_CHARACTERS else line[: TITLE_CHARACTERS - 1] + "…"


def _take_in(found: Changes, body: Body) -> None:
    match body:
        case StateChanged():
            found.state = body.after
        case StepStarted():
            found.turn, found.step = body.turn, body.step
        case TokenUsage():
            found.usage += body.usage
        case TodoChanged():
            found.todos = body.after
        case MessageReceived():
            found.title = found.title or title_from(body.text)
        case PermissionRequired():
            found.required.append(body)
        case PermissionDecided():
            found.decided.append(body)
        case (
            AgentCreated()
            | AgentForked()
            | AnswerRefused()
            | ContextCompressed()
            | AgentResumed()
            | Done()
            | ErrorRaised()
            | ExchangesSpent()
            | FileChanged()
            | InterruptRequested()
            | MemberAsked()
            | MemberSilent()
            | PostFollowed()
            | RoomChanged()
            | RoomCreated()
            | RoomMessage()
            | ScheduleCancelled()
            | ScheduleFired()
            | ScheduleSet()
            | SnapshotTaken()
            | SkillDiscovered()
            | StepComplete()
            | Text()
            | Thinking()
            | TodoReminder()
            | ToolCall()
            | ToolEnd()
            | ToolExecuted()
            | ToolStart()
        ):
            pass
