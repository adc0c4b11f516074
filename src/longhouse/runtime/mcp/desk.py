"""Longhouse as an MCP server: the tools by which other programs give agents work.

The same for `longhouse mcp`, which speaks over stdin and stdout, and for the server's `/mcp`, which
speaks over HTTP. Both bring a `Door`: the house as one caller sees it. MCP servers that agents use
are in the other modules here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import wraps
from typing import Annotated, Literal, ParamSpec, Protocol, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

from longhouse import __version__
from longhouse.kit.errors import LonghouseError, NotFound
from longhouse.kit.ids import new_id
from longhouse.protocol.events import (
    AgentState,
    Body,
    Done,
    PermissionRequired,
    StateChanged,
    StepStarted,
    Text,
)

LONGEST_WAIT_SECONDS = 3600
MOST_SUGGESTIONS = 3

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
    session: str | None = Field(default=None, description="Its present session.")


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A session of an agent."""

    agent: AgentLine
    session_id: str


class Door(Protocol):
    """The house as one caller sees it. Every method may raise `LonghouseError`."""

    async def agents(self) -> list[AgentLine]:
        """The agents that the caller may see."""
        ...

    async def begin(self, agent: AgentLine) -> Place:
        """A new session of the agent."""
        ...

    async def look(self, place: Place) -> Standing:
        """Where the session stands. Raises `NotFound` when the agent has no such session."""
        ...

    async def waiting(self) -> list[Waiting]:
        """Every tool call of any agent that waits for a decision."""
        ...

    async def send(self, place: Place, text: str, *, message_id: str) -> int:
        """Give the agent a message; the number of its event."""
        ...

    def follow(self, place: Place, *, after: int) -> AsyncGenerator[Body, None]:
        """The session's events above a number, for ever."""
        ...

    async def decide(
        self, place: Place, call_id: str, decision: Literal["allow", "deny"], note: str
    ) -> None:
        """Decide a call that waits."""
        ...


class NoSuchAgent(NotFound):
    """The caller has no agent of that name."""

    code = "no-such-agent"

    def __init__(self, name: str, known: list[str]) -> None:
        close = get_close_matches(name, known, n=MOST_SUGGESTIONS)
        meant = f"Did you mean {' or '.join(close)}? " if close else ""
        super().__init__(f"There is no agent {name!r}.", hint=f"{meant}See list_agents.")


async def untold(error: LonghouseError) -> None:
    """For doors of which nobody need know what they refused."""


def build(desk: Desk) -> MCPServer:
    """The MCP server with this desk's tools."""
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
            desk = args[0]
            assert isinstance(desk, Desk)
            await desk.refused(error)
            raise ToolError(f"{error.detail} {error.hint or ''}".rstrip()) from error

    return told


class Desk:
    """What other programs may ask: each method is a tool, its text what a model reads."""

    def __init__(
        self,
        door: Callable[[], Door],
        *,
        refused: Callable[[LonghouseError], Awaitable[None]] = untold,
    ) -> None:
        """`door` gives the caller's own at each call; `refused` hears of what is refused."""
        self._door = door
        self.refused = refused

    @_telling
    async def list_agents(self) -> list[AgentLine]:
        """List the agents that can be given work."""
        return await self._door().agents()

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
        door = self._door()
        found = await self._find(agent)
        wanted = None if new_session else session or found.session
        place = Place(agent=found, session_id=wanted) if wanted else await door.begin(found)
        message_id = new_id("msg")
        seq = await door.send(place, message, message_id=message_id)
        answer = Answer(
            agent=found.name, session=place.session_id, message_id=message_id, state="queued"
        )
        if wait:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await self._follow(place, answer, after=seq)
        return answer

    @_telling
    async def get_status(self, agent: Name, session: SessionName = None) -> Standing:
        """See where an agent stands: state, plan, what waits for a decision."""
        found = await self._find(agent)
        wanted = session or found.session
        if wanted is None:
            return Standing(agent=found.name, session=None, state=AgentState.READY.value)
        return await self._door().look(Place(agent=found, session_id=wanted))

    @_telling
    async def list_approvals(self) -> list[Waiting]:
        """List every tool call of any agent that waits for a decision."""
        return await self._door().waiting()

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
        found = await self._find(agent)
        wanted = session or await self._session_of(found, call_id)
        place = Place(agent=found, session_id=wanted)
        await self._door().decide(place, call_id, decision, note)
        return f"Decided: {decision}."

    # --- steps ------------------------------------------------------------------------------------

    async def _find(self, name: str) -> AgentLine:
        """The agent of this id or name. Raises `NoSuchAgent`."""
        known = await self._door().agents()
        for one in known:
            if name in {one.id, one.name}:
                return one
        alike = [one for one in known if one.name.casefold() == name.casefold()]
        if len(alike) == 1:
            return alike[0]
        raise NoSuchAgent(name, [one.name for one in known])

    async def _session_of(self, agent: AgentLine, call_id: str) -> str:
        """The session in which this call of the agent waits. Raises `ToolError`."""
        for one in await self._door().waiting():
            if one.agent == agent.name and one.call_id == call_id:
                return one.session
        raise ToolError(f"No call {call_id!r} of {agent.name} waits. See list_approvals.")

    async def _follow(self, place: Place, answer: Answer, *, after: int) -> None:
        """Fill in the answer as the session goes on, until it is one."""
        door = self._door()
        taken = False  # whether the agent has read the message: a turn before it may end first
        async with contextlib.aclosing(door.follow(place, after=after)) as bodies:
            async for body in bodies:
                match body:
                    case StepStarted(messages=messages):
                        taken = taken or answer.message_id in messages
                    case Text(text=text) if taken:
                        answer.text = text
                    case Done() as done if taken:
                        answer.state = "done" if done.reason == "completed" else done.reason.value
                        answer.detail = done.detail
                        return
                    case PermissionRequired() | StateChanged(after=AgentState.WAITING):
                        standing = await door.look(place)
                        if standing.state == AgentState.WAITING.value:
                            answer.state = "waiting"
                            answer.waiting = standing.waiting
                            return
                    case _:
                        pass
