"""Forks, snapshots and past moments of sessions as clients send and see them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from longhouse.agents.models import TITLE_CHARACTERS
from longhouse.agents.views.sessions import TodoView, UsageView
from longhouse.kit.api import Body
from longhouse.protocol.events import AgentState, SnapshotTaken, Text, Thinking, ToolCall
from longhouse.runtime.model import AssistantMessage, Message, ToolMessage, UserMessage
from longhouse.runtime.moments import LONGEST_NAME, Moment

LARGEST_SEQ = 2**63 - 1  # what a database's integer holds

SnapshotName = Annotated[str, Field(max_length=LONGEST_NAME, examples=["before the refactoring"])]


class ForkBody(Body):
    """Where a session is forked."""

    at: Annotated[int, Field(ge=1, le=LARGEST_SEQ)] | SnapshotName | None = Field(
        None, description="An event's number or a snapshot's name; without it, now."
    )
    title: str = Field(
        "", max_length=TITLE_CHARACTERS, description="Without one, it has the session's."
    )


class SnapshotBody(Body):
    """A name for the present moment."""

    name: SnapshotName


class SnapshotView(BaseModel):
    """A moment with a name."""

    name: str
    at: int = Field(description="Number of the event after which it was.")


class SnapshotList(BaseModel):
    """The moments with names, the oldest first."""

    items: list[SnapshotView]


class CallView(BaseModel):
    """A tool call that the model asked for."""

    call_id: str
    name: str
    arguments: dict[str, Any]


class MessageView(BaseModel):
    """One message of the model's context."""

    role: Literal["user", "assistant", "tool"]
    text: str = Field(description="What was said; of a tool, its result.")
    thinking: str = Field("", description="Of the assistant.")
    calls: list[CallView] = Field(default_factory=list, description="Of the assistant.")
    call_id: str | None = Field(None, description="Of a tool: the call this is the result of.")
    name: str | None = Field(None, description="Of the tool.")
    outcome: str | None = Field(None, description="Of the tool call.")


class MomentView(BaseModel):
    """A session as it was after an event. Looking at it changes nothing."""

    seq: int
    state: AgentState
    turn: int
    step: int
    forkable: bool = Field(description="Whether a fork may begin here.")
    todos: list[TodoView]
    usage: UsageView = Field(description="Of all steps so far, a shared past included.")
    messages: list[MessageView] = Field(description="What the model had been told, and said.")


def snapshot_view(taken: SnapshotTaken) -> SnapshotView:
    """A snapshot as clients see one."""
    return SnapshotView(name=taken.name, at=taken.at)


def moment_view(moment: Moment) -> MomentView:
    """A moment as clients see one."""
    status = moment.status
    usage = status.usage
    return MomentView(
        seq=status.seq,
        state=status.state,
        turn=status.turn,
        step=status.step,
        forkable=moment.forkable,
        todos=[TodoView(id=todo.id, title=todo.title, status=todo.status) for todo in status.todos],
        usage=UsageView(
            input=usage.input, output=usage.output, cached=usage.cached, reasoning=usage.reasoning
        ),
        messages=[_message_view(message) for message in moment.messages],
    )


def _message_view(message: Message) -> MessageView:
    match message:
        case UserMessage(text=text):
            return MessageView(role="user", text=text)
        case ToolMessage():
            return MessageView(
                role="tool",
                text=message.content,
                call_id=message.call_id,
                name=message.name,
                outcome=message.outcome,
            )
        case AssistantMessage(blocks=blocks):
            return MessageView(
                role="assistant",
                text="".join(block.text for block in blocks if isinstance(block, Text)),
                thinking="".join(block.text for block in blocks if isinstance(block, Thinking)),
                calls=[
                    CallView(call_id=block.call_id, name=block.name, arguments=block.arguments)
                    for block in blocks
                    if isinstance(block, ToolCall)
                ],
            )
