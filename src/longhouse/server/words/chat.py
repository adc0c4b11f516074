"""How existing clients talk to agents: by an agent's id, or by the id of one of their users.

Used by `aliases`. Dependencies here give the canonical operations their parameters; bodies have the
clients' names and ignore what else is in them.
"""

from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.requests import HTTPConnection

from longhouse.agents.api.sessions import Channels
from longhouse.agents.models import AgentId, SessionId
from longhouse.agents.service.clients import LONGEST_ID, Clients
from longhouse.agents.views.base import Words
from longhouse.agents.views.sessions import (
    MESSAGE_CHARACTERS,
    DecisionBody,
    MessageBody,
    QueuedView,
    SessionView,
    TodoView,
)
from longhouse.identity.api.base import CurrentPrincipal
from longhouse.kit.api import Body
from longhouse.protocol.events import AgentState, Channel

CHANNELS = [Channel.PROGRESS, Channel.CONTROL]
"""What their streams have unless they ask for more: the last event of each turn is `done`."""


class ClientBody(Body):
    """What they send, in camel case. What else is in it is theirs, and ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class ClientWords(BaseModel):
    """What they read, in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty: say what the agent should do")
    return text


Said = Annotated[str, Field(max_length=MESSAGE_CHARACTERS), AfterValidator(_not_blank)]
NamedSession = Annotated[
    str | None,
    Field(
        max_length=LONGEST_ID,
        description="Any text of the client's; without it, the user's default session.",
    ),
]


# --- what they send -------------------------------------------------------------------------------


class TextMessage(ClientBody):
    """A message to an agent."""

    text: Said = Field(examples=["fix the failing test"])


class ChatMessage(ClientBody):
    """A message of one of their users."""

    message: Said = Field(examples=["hello"])
    session_id: NamedSession = None


class Decision(ClientBody):
    """A person's word on a tool call."""

    call_id: str = Field(max_length=2000)
    decision: Literal["allow", "deny"]
    note: Words = ""


class ChatDecision(Decision):
    """The same, of one of their users."""

    session_id: NamedSession = None


# --- what they read -------------------------------------------------------------------------------


class Queued(ClientWords):
    """The message is durable and will be answered."""

    status: Literal["queued"] = "queued"


class WaitingCall(ClientWords):
    """A tool call that waits for a person."""

    call_id: str
    name: str = Field(description="Of the tool.")
    arguments: dict[str, Any]
    reason: str
    preview: str


class AgentStanding(ClientWords):
    """Where an agent stands."""

    agent_id: str
    session_id: str
    state: AgentState
    turn: int
    step: int
    last_seq: int = Field(description="Number of its last event: where a stream may go on from.")
    todos: list[TodoView]
    approvals: list[WaitingCall]


def queued(_: QueuedView) -> Queued:
    """That a message was accepted."""
    return Queued()


def standing(session: SessionView) -> AgentStanding:
    """A session as they ask for it."""
    return AgentStanding(
        agent_id=session.agent_id,
        session_id=session.id,
        state=session.state,
        turn=session.turn,
        step=session.step,
        last_seq=session.last_seq,
        todos=session.todos,
        approvals=[
            WaitingCall(
                call_id=one.call_id,
                name=one.name,
                arguments=one.arguments,
                reason=one.reason,
                preview=one.preview,
            )
            for one in session.approvals
        ],
    )


# --- what it means --------------------------------------------------------------------------------


def clients_of(connection: HTTPConnection) -> Clients:
    """The `Clients` of the process that serves this connection."""
    clients = connection.app.state.clients
    assert isinstance(clients, Clients)
    return clients


CurrentClients = Annotated[Clients, Depends(clients_of)]
AgentName = Annotated[
    str, Path(alias="agent_id", description="An agent's id, or `user:<id>` of a client's user.")
]
UserName = Annotated[str, Path(alias="user_id", description="Any text: a user of the client.")]
FollowedSession = Annotated[NamedSession, Query(alias="sessionId")]


async def channels(channels: Channels = None) -> list[Channel]:
    """Those they ask for, or those that a person follows."""
    return channels or CHANNELS


# Of an agent that they name.


async def agent(name: AgentName, principal: CurrentPrincipal, clients: CurrentClients) -> AgentId:
    """The agent named in the address."""
    return await clients.find_agent(principal, name)


async def session_of_agent(
    agent_id: Annotated[AgentId, Depends(agent)],
    principal: CurrentPrincipal,
    clients: CurrentClients,
) -> SessionId:
    """Its default session."""
    return await clients.session(principal, agent_id, None)


async def text_message(body: TextMessage) -> MessageBody:
    """What to say."""
    return MessageBody(text=body.text)


async def call(body: Decision) -> str:
    """Which call is decided."""
    return body.call_id


async def decision(body: Decision) -> DecisionBody:
    """How."""
    return DecisionBody(decision=body.decision, note=body.note)


# Of the agent that talks with one of their users.


async def agent_of_user(
    user: UserName, principal: CurrentPrincipal, clients: CurrentClients
) -> AgentId:
    """The user's agent, made at the first time."""
    return await clients.agent_of(principal, user)


async def known_agent_of_user(
    user: UserName, principal: CurrentPrincipal, clients: CurrentClients
) -> AgentId:
    """The user's agent, which has to be there."""
    return await clients.find_agent_of(principal, user)


async def chat_message(body: ChatMessage) -> MessageBody:
    """What the user says."""
    return MessageBody(text=body.message)


async def agent_of_message(
    user: UserName,
    _: Annotated[MessageBody, Depends(chat_message)],
    principal: CurrentPrincipal,
    clients: CurrentClients,
) -> AgentId:
    """The same, once it is known that there is a message."""
    return await clients.agent_of(principal, user)


async def session_of_message(
    agent_id: Annotated[AgentId, Depends(agent_of_message)],
    body: ChatMessage,
    principal: CurrentPrincipal,
    clients: CurrentClients,
) -> SessionId:
    """The session that a user's message is for, made at the first time."""
    return await clients.session(principal, agent_id, body.session_id)


async def session_to_follow(
    agent_id: Annotated[AgentId, Depends(agent_of_user)],
    principal: CurrentPrincipal,
    clients: CurrentClients,
    session: FollowedSession = None,
) -> SessionId:
    """The session that a user follows: before its first message, too."""
    return await clients.session(principal, agent_id, session)


async def session_to_look_at(
    agent_id: Annotated[AgentId, Depends(known_agent_of_user)],
    principal: CurrentPrincipal,
    clients: CurrentClients,
    session: FollowedSession = None,
) -> SessionId:
    """The session that a user asks about, which has to be there."""
    return await clients.find_session(principal, agent_id, session)


async def session_of_decision(
    agent_id: Annotated[AgentId, Depends(known_agent_of_user)],
    body: ChatDecision,
    principal: CurrentPrincipal,
    clients: CurrentClients,
) -> SessionId:
    """The session in which a user decides."""
    return await clients.find_session(principal, agent_id, body.session_id)


async def chat_call(body: ChatDecision) -> str:
    """Which call the user decides."""
    return body.call_id


async def chat_decision(body: ChatDecision) -> DecisionBody:
    """How."""
    return DecisionBody(decision=body.decision, note=body.note)
