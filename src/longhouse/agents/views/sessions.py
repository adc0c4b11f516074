"""Sessions, messages, approvals and events as clients send and see them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from longhouse.agents.models import TITLE_CHARACTERS, Approval, Delegation, Session
from longhouse.agents.views.attachments import AttachmentBody
from longhouse.agents.views.base import Words
from longhouse.kit.api import Body
from longhouse.kit.db.tables import JsonDocument
from longhouse.protocol.events import AgentState, Channel, TodoStatus, Usage
from longhouse.runtime.attachments import MOST_OF_A_MESSAGE

MESSAGE_CHARACTERS = 500_000


class SessionBody(Body):
    """A new session."""

    title: str = Field(
        "", max_length=TITLE_CHARACTERS, description="Without one, the first message gives it."
    )


class TodoView(BaseModel):
    """One line of the agent's plan."""

    id: str
    title: str
    status: TodoStatus


class ApprovalView(BaseModel):
    """A tool call that waits for a person."""

    agent_id: str
    agent_name: str
    session_id: str
    call_id: str
    name: str = Field(description="Of the tool.")
    arguments: dict[str, Any]
    reason: str = Field(description="The mode or rule that asks.")
    preview: str = Field(description="Unified diff of what it would change, where known.")
    requested_at: datetime


class ApprovalList(BaseModel):
    """Everything of the tenant that waits for a person, the oldest first."""

    items: list[ApprovalView]


class UsageView(BaseModel):
    """Tokens of a session."""

    input: int = 0
    output: int = 0
    cached: int = Field(0, description="The part of `input` read from a vendor's cache.")
    reasoning: int = Field(0, description="The part of `output` that was thinking.")


class DelegationView(BaseModel):
    """What a sub-agent's session works for."""

    session_id: str
    call_id: str = Field(description="The call of that session that waits for its answer.")
    post: str = Field(description="Name of the sub-agent's post.")


class LineageView(BaseModel):
    """What a fork was made from."""

    session_id: str = Field(description="It may be gone.")
    after: int = Field(description="Number of the last event they share.")


class SessionView(BaseModel):
    """One conversation of an agent."""

    id: str
    agent_id: str
    title: str
    state: AgentState
    turn: int
    step: int
    last_seq: int = Field(description="Number of its last event.")
    todos: list[TodoView]
    approvals: list[ApprovalView]
    usage: UsageView
    sub_agents_usage: UsageView = Field(
        UsageView(), description="Of all its sub-agents and theirs, on top of `usage`."
    )
    delegated_by: DelegationView | None = Field(None, description="Of a sub-agent's session.")
    forked_from: LineageView | None = Field(None, description="Of a fork.")
    created_at: datetime
    updated_at: datetime


class SubAgentList(BaseModel):
    """The sessions of a session's sub-agents, the oldest first."""

    items: list[SessionView]


class SessionPage(BaseModel):
    """Sessions of an agent, the newest first."""

    items: list[SessionView]
    next: str | None = Field(description="Give it as `after`; null on the last page.")


class MessageBody(Body):
    """Something to say to the agent."""

    text: str = Field(max_length=MESSAGE_CHARACTERS, examples=["Make the failing test pass"])
    attachments: list[AttachmentBody] = Field(
        default_factory=list,
        max_length=MOST_OF_A_MESSAGE,
        description="Pictures and documents that the agent is shown with it.",
    )
    output: dict[str, Any] | None = Field(
        None,
        description="JSON Schema of an object that the answer has to fit. The message then gets a "
        "turn of its own, and `done` has the `answer`.",
    )
    message_id: str | None = Field(
        None,
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="Your own id: sending it twice is sending it once.",
    )


class QueuedView(BaseModel):
    """The message is durable and will be answered."""

    status: Literal["queued"] = "queued"
    message_id: str
    seq: int = Field(description="Number of its event.")


class DecisionBody(Body):
    """A person's word on a tool call."""

    decision: Literal["allow", "deny"]
    note: Words = Field("", description="The agent reads it.")


class EventView(BaseModel):
    """One entry of the journal. The fields of its type follow, without those that have defaults."""

    model_config = ConfigDict(extra="allow")

    seq: int
    time: datetime
    channel: Channel
    type: str = Field(examples=["text"])


class EventPage(BaseModel):
    """Events in the order of their numbers."""

    items: list[EventView]
    next: int | None = Field(
        description="Where to go on: the next `after`, or, going backwards, the next `before`. "
        "null: there are no more."
    )


# --- values into answers --------------------------------------------------------------------------


def session_view(session: Session) -> SessionView:
    """A session as clients see one."""
    return SessionView(
        id=session.id,
        agent_id=session.agent_id,
        title=session.title,
        state=session.state,
        turn=session.turn,
        step=session.step,
        last_seq=session.last_seq,
        todos=[
            TodoView(id=todo.id, title=todo.title, status=todo.status) for todo in session.todos
        ],
        approvals=[approval_view(one) for one in session.approvals],
        usage=_usage_view(session.usage),
        sub_agents_usage=_usage_view(session.sub_agents_usage),
        delegated_by=session.delegation and _delegation_view(session.delegation),
        forked_from=session.lineage
        and LineageView(session_id=session.lineage.session_id, after=session.lineage.after),
        created_at=session.created_at,
        updated_at=session.updated_at,
    )


def _usage_view(usage: Usage) -> UsageView:
    return UsageView(
        input=usage.input, output=usage.output, cached=usage.cached, reasoning=usage.reasoning
    )


def _delegation_view(delegation: Delegation) -> DelegationView:
    return DelegationView(
        session_id=delegation.session_id, call_id=delegation.call_id, post=delegation.post_name
    )


def approval_view(approval: Approval) -> ApprovalView:
    """An approval as clients see one."""
    arguments: dict[str, JsonDocument] = approval.arguments
    return ApprovalView(
        agent_id=approval.agent_id,
        agent_name=approval.agent_name,
        session_id=approval.session_id,
        call_id=approval.call_id,
        name=approval.name,
        arguments=arguments,
        reason=approval.reason,
        preview=approval.preview,
        requested_at=approval.requested_at,
    )
