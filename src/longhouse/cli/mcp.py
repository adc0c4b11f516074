"""`longhouse mcp`: Longhouse as an MCP server, for programs that give agents work.

A program starts it and speaks MCP over stdin and stdout; it acts at the server as the person who
signed in. Each tool is a few requests by `client`. MCP servers that agents use are the runtime's.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Annotated, Literal, ParamSpec, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

from longhouse import __version__
from longhouse.cli import lookup
from longhouse.cli.client import Client, Connection, connect, segment
from longhouse.cli.models import Accepted, Agent, Approval, Page, Session
from longhouse.cli.options import Server, run
from longhouse.cli.output import say
from longhouse.cli.transcript import decode_event
from longhouse.kit.errors import LonghouseError
from longhouse.kit.ids import new_id
from longhouse.protocol.events import (
    AgentState,
    Done,
    PermissionRequired,
    StateChanged,
    StepStarted,
    Text,
)

LONGEST_WAIT_SECONDS = 3600
PATIENCE_SECONDS = 60.0  # of trying in vain to reach a server that went away

INSTRUCTIONS = """\
Longhouse runs agents that work in repositories of their own. Give one work with send_message; what
it may not do by itself waits for decide. Ask the person before you allow a call.
"""

P = ParamSpec("P")
T = TypeVar("T")

Name = Annotated[str, Field(description="The agent's name or id.")]
SessionName = Annotated[
    str | None, Field(description="The session's id; without it, the agent's present one.")
]

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ACTS = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=False)


class AgentLine(BaseModel):
    """An agent in a list."""

    name: str
    id: str
    status: str = Field(description="idle, busy or waiting (for decisions).")
    post: str
    model: str
    repository: str | None = None


class Waiting(BaseModel):
    """A tool call that waits for a decision."""

    call_id: str
    agent: str
    session: str
    tool: str
    arguments: dict[str, object]
    reason: str
    preview: str = Field(default="", description="What it would change.")


class Standing(BaseModel):
    """Where an agent's session stands."""

    agent: str
    session: str | None
    state: str = Field(description="ready, working or waiting (for decisions).")
    title: str = ""
    plan: list[str] = Field(default_factory=list, description="Its todos with their status.")
    waiting: list[Waiting] = Field(default_factory=list)


class Answer(BaseModel):
    """What came of a message."""

    agent: str
    session: str
    message_id: str
    state: str = Field(
        description="queued: it works on it; done: see text; waiting: decide first, then ask again "
        "with get_status; or how else the turn ended: failed, limit, interrupted."
    )
    text: str = Field(default="", description="The agent's last words.")
    detail: str = ""
    waiting: list[Waiting] = Field(default_factory=list)


def mcp(server: Server = None) -> None:
    """Offer your agents to another program, as an MCP server on stdin and stdout."""
    run(_serve(server))


async def _serve(server: str | None) -> None:
    async with connect(server) as client:
        say(f"Speaking MCP for {client.server}.")
        await build(client).run_stdio_async()


def build(client: Client) -> MCPServer:
    """The MCP server that acts as this client."""
    desk = Desk(client)
    served = MCPServer(
        "longhouse", version=__version__, instructions=INSTRUCTIONS, log_level="ERROR"
    )
    served.tool(annotations=READS)(desk.list_agents)
    served.tool(annotations=ACTS)(desk.send_message)
    served.tool(annotations=READS)(desk.get_status)
    served.tool(annotations=READS)(desk.list_approvals)
    served.tool(annotations=ACTS)(desk.decide)
    return served


def _telling(work: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Have errors reach the model in their own words, with what to do."""

    @wraps(work)
    async def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await work(*args, **kwargs)
        except LonghouseError as error:
            raise ToolError(f"{error.detail} {error.hint or ''}".rstrip()) from error

    return told


class Desk:
    """What other programs may ask: each method is a tool, its text what a model reads."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @_telling
    async def list_agents(self) -> list[AgentLine]:
        """List the agents that can be given work."""
        return [_line(agent) async for agent in lookup.pages(self._client, "/agents", Agent)]

    @_telling
    async def send_message(
        self,
        agent: Name,
        message: Annotated[str, Field(description="What to do; it knows nothing of this talk.")],
        session: SessionName = None,
        new_session: Annotated[bool, Field(description="Begin a new conversation.")] = False,
        wait: Annotated[bool, Field(description="Wait until the agent has answered.")] = True,
        timeout_seconds: Annotated[
            float, Field(gt=0, le=LONGEST_WAIT_SECONDS, description="How long to wait.")
        ] = 300,
    ) -> Answer:
        """Give an agent work, and wait for its answer or go on at once.

        The message is kept whatever happens: when the time is over, or this call is cancelled, the
        agent goes on. Do not send it again; look with get_status.
        """
        found = await lookup.find_agent(self._client, agent)
        place = await self._session(found, session, new=new_session)
        path = _path(found, place.id)
        body = {"text": message, "message_id": new_id("msg")}
        sent = await self._client.post(f"{path}/messages", body, Accepted)
        answer = Answer(
            agent=found.name, session=place.id, message_id=sent.message_id, state="queued"
        )
        if wait:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await self._follow(path, sent, answer)
        return answer

    @_telling
    async def get_status(self, agent: Name, session: SessionName = None) -> Standing:
        """See where an agent stands: state, plan, what waits for a decision."""
        found = await lookup.find_agent(self._client, agent)
        wanted = session or found.current_session_id
        if wanted is None:
            return Standing(agent=found.name, session=None, state=AgentState.READY.value)
        place = await self._client.get(_path(found, wanted), Session)
        return Standing(
            agent=found.name,
            session=place.id,
            state=place.state.value,
            title=place.title,
            plan=[f"{todo.status.value}: {todo.title}" for todo in place.todos],
            waiting=[_waiting(one) for one in place.approvals],
        )

    @_telling
    async def list_approvals(self) -> list[Waiting]:
        """List every tool call of any agent that waits for a decision."""
        page: Page[Approval] = await self._client.get("/approvals", Page[Approval])
        return [_waiting(one) for one in page.items]

    @_telling
    async def decide(
        self,
        agent: Name,
        call_id: str,
        decision: Literal["allow", "deny"],
        note: Annotated[str, Field(description="Why; a denied agent reads it.")] = "",
        session: SessionName = None,
    ) -> str:
        """Allow or deny a tool call that waits. The first decision counts.

        Only as the person said: allowing is on their behalf.
        """
        found = await lookup.find_agent(self._client, agent)
        wanted = session or await self._session_of(found, call_id)
        path = f"{_path(found, wanted)}/approvals/{segment(call_id)}"
        await self._client.tell(path, {"decision": decision, "note": note})
        return f"Decided: {decision}."

    # --- steps --------------------------------------------------------------------------------

    async def _session(self, agent: Agent, wanted: str | None, *, new: bool) -> Session:
        """The session named, a new one, or the one that moved last."""
        wanted = None if new else wanted or agent.current_session_id
        if wanted is None:
            return await self._client.post(f"/agents/{segment(agent.id)}/sessions", {}, Session)
        return await self._client.get(_path(agent, wanted), Session)

    async def _session_of(self, agent: Agent, call_id: str) -> str:
        """The session in which this call of the agent waits. Raises `ToolError`."""
        page: Page[Approval] = await self._client.get("/approvals", Page[Approval])
        for one in page.items:
            if one.agent_id == agent.id and one.call_id == call_id:
                return one.session_id
        raise ToolError(f"No call {call_id!r} of {agent.name} waits. See list_approvals.")

    async def _follow(self, path: str, sent: Accepted, answer: Answer) -> None:
        """Fill in the answer as the session goes on, until it is one."""
        stream = self._client.follow(
            f"{path}/stream", after=sent.seq, tell=_unmoved, patience=PATIENCE_SECONDS
        )
        taken = False  # whether the agent has read the message: a turn before it may end first
        async with contextlib.aclosing(stream) as frames:
            async for frame in frames:
                event = decode_event(frame.data) if frame.id else None
                match event.body if event else None:
                    case StepStarted(messages=messages):
                        taken = taken or sent.message_id in messages
                    case Text(text=text) if taken:
                        answer.text = text
                    case Done() as done if taken:
                        answer.state = "done" if done.reason == "completed" else done.reason.value
                        answer.detail = done.detail
                        return
                    case PermissionRequired() | StateChanged(after=AgentState.WAITING):
                        place = await self._client.get(path, Session)
                        if place.state is AgentState.WAITING:
                            answer.state = "waiting"
                            answer.waiting = [_waiting(one) for one in place.approvals]
                            return
                    case _:
                        pass


def _unmoved(change: Connection) -> None:
    """A connection that breaks is taken up again; the program that waits need not know."""


def _path(agent: Agent, session: str) -> str:
    return f"/agents/{segment(agent.id)}/sessions/{segment(session)}"


def _line(agent: Agent) -> AgentLine:
    return AgentLine(
        name=agent.name,
        id=agent.id,
        status=agent.status,
        post=agent.post.name,
        model=agent.model,
        repository=agent.repository.source if agent.repository else None,
    )


def _waiting(one: Approval) -> Waiting:
    return Waiting(
        call_id=one.call_id,
        agent=one.agent_name,
        session=one.session_id,
        tool=one.name,
        arguments=dict(one.arguments),
        reason=one.reason,
        preview=one.preview,
    )
