"""`longhouse mcp`: Longhouse as an MCP server, for programs that give agents work.

A program starts it and speaks MCP over stdin and stdout; it acts at the server as the person who
signed in. The tools are those of `runtime.mcp.desk`; each is a few requests by `client`.
"""

import contextlib
from collections.abc import AsyncGenerator
from typing import Literal

from longhouse.cli import lookup
from longhouse.cli.client import Client, Connection, connect, segment
from longhouse.cli.models import Accepted, Agent, Approval, Page, Session
from longhouse.cli.options import Server, run
from longhouse.cli.output import say
from longhouse.cli.transcript import decode_event
from longhouse.protocol.events import Body
from longhouse.runtime.mcp.desk import AgentLine, Desk, Place, Standing, Waiting, build

PATIENCE_SECONDS = 60.0  # of trying in vain to reach a server that went away


def mcp(server: Server = None) -> None:
    """Offer your agents to another program, as an MCP server on stdin and stdout."""
    run(_serve(server))


async def _serve(server: str | None) -> None:
    async with connect(server) as client:
        say(f"Speaking MCP for {client.server}.")
        door = ClientDoor(client)
        await build(Desk(lambda: door)).run_stdio_async()


class ClientDoor:
    """A house behind HTTP, as the person sees it who signed in."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def agents(self) -> list[AgentLine]:
        """The person's agents."""
        return [_line(agent) async for agent in lookup.pages(self._client, "/agents", Agent)]

    async def begin(self, agent: AgentLine) -> Place:
        """A new session of the agent."""
        begun = await self._client.post(f"/agents/{segment(agent.id)}/sessions", {}, Session)
        return Place(agent=agent, session_id=begun.id)

    async def look(self, place: Place) -> Standing:
        """Where the session stands."""
        found = await self._client.get(_path(place), Session)
        return Standing(
            agent=place.agent.name,
            session=found.id,
            state=found.state.value,
            title=found.title,
            plan=[f"{todo.status.value}: {todo.title}" for todo in found.todos],
            waiting=[_waiting(one) for one in found.approvals],
        )

    async def waiting(self) -> list[Waiting]:
        """What waits for a decision."""
        page: Page[Approval] = await self._client.get("/approvals", Page[Approval])
        return [_waiting(one) for one in page.items]

    async def send(self, place: Place, text: str, *, message_id: str) -> int:
        """Give the agent a message; the number of its event."""
        body = {"text": text, "message_id": message_id}
        return (await self._client.post(f"{_path(place)}/messages", body, Accepted)).seq

    async def follow(self, place: Place, *, after: int) -> AsyncGenerator[Body, None]:
        """The session's events, whatever becomes of the connection."""
        stream = self._client.follow(
            f"{_path(place)}/stream", after=after, tell=_unmoved, patience=PATIENCE_SECONDS
        )
        async with contextlib.aclosing(stream) as frames:
            async for frame in frames:
                if frame.id and (event := decode_event(frame.data)) is not None:
                    yield event.body

    async def decide(
        self, place: Place, call_id: str, decision: Literal["allow", "deny"], note: str
    ) -> None:
        """Decide a call that waits."""
        path = f"{_path(place)}/approvals/{segment(call_id)}"
        await self._client.tell(path, {"decision": decision, "note": note})


def _unmoved(change: Connection) -> None:
    """A connection that breaks is taken up again; the program that waits need not know."""


def _path(place: Place) -> str:
    return f"/agents/{segment(place.agent.id)}/sessions/{segment(place.session_id)}"


def _line(agent: Agent) -> AgentLine:
    return AgentLine(
        name=agent.name,
        id=agent.id,
        status=agent.status,
        post=agent.post.name,
        model=agent.model,
        repository=agent.repository.source if agent.repository else None,
        session=agent.current_session_id,
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
