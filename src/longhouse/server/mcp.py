"""Longhouse as an MCP server at `/mcp`: streamable HTTP, by the package `mcp`.

`app` gives it a route of its own; it is no part of the OpenAPI document. The bearer token says who
calls, as everywhere; the tools are those of `runtime.mcp.desk`. There are no MCP sessions: each
request stands for itself, so that any process of the house may answer it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextvars import ContextVar
from typing import Literal

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from longhouse.agents.journal import EventRow
from longhouse.agents.models import Agent, Approval
from longhouse.identity.api.base import principal_of
from longhouse.identity.auth import NotAllowed, Principal
from longhouse.kit.errors import LonghouseError
from longhouse.kit.follow import Item, follow
from longhouse.protocol.events import Body, decode_body
from longhouse.runtime.journals.base import ring_topic
from longhouse.runtime.mcp.desk import AgentLine, Desk, Door, Place, Standing, Waiting, build
from longhouse.server.house import House

PATH = "/mcp"
PAGE = 200  # agents and events read at once

_caller: ContextVar[Door] = ContextVar("mcp_caller")
"""The door of the request that is being answered: tools run in tasks that its task began."""


class McpEndpoint:
    """Answers MCP requests as their callers may. One for each application."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._server = build(Desk(_caller.get, refused=self._record))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, until its caller's credential ends or the server stops."""
        principal = await principal_of(HTTPConnection(scope))
        _caller.set(PrincipalDoor(self._house, principal))
        async with self._house.identity.liveness.watched(principal) as ended:
            answering = asyncio.create_task(self._answer(scope, receive, send))
            reasons = [asyncio.create_task(event.wait()) for event in (self._house.stopping, ended)]
            try:
                await asyncio.wait({answering, *reasons}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (answering, *reasons):
                    task.cancel()
                await asyncio.wait({answering, *reasons})
        if not answering.cancelled() and (error := answering.exception()) is not None:
            raise error

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # One for each request: it keeps nothing that the next one could need.
        manager = StreamableHTTPSessionManager(
            # What the package offers instead makes a whole application, which lives but once.
            self._server._lowlevel_server,
            stateless=True,
            max_request_body_size=self._house.settings.max_body_bytes,
        )
        async with manager.run():
            await manager.handle_request(scope, receive, send)

    async def _record(self, error: LonghouseError) -> None:
        """What a role does not reach is in the audit, whichever way it was tried."""
        if isinstance(error, NotAllowed):
            await self._house.identity.refusals.record_refused(error)


class PrincipalDoor:
    """This house, as a principal sees it."""

    def __init__(self, house: House, principal: Principal) -> None:
        self._house = house
        self._principal = principal

    async def agents(self) -> list[AgentLine]:
        """The agents of the principal's tenant."""
        lines: list[AgentLine] = []
        cursor: str | None = None
        while True:
            found, cursor = await self._house.agents.list_page(
                self._principal, status=None, search=None, after=cursor, limit=PAGE
            )
            lines += [_line(agent) for agent in found]
            if cursor is None:
                return lines

    async def begin(self, agent: AgentLine) -> Place:
        """A new session of the agent."""
        session = await self._house.sessions.create(self._principal, agent.id)
        return Place(agent=agent, session_id=session.id)

    async def look(self, place: Place) -> Standing:
        """Where the session stands."""
        session = await self._house.sessions.get(self._principal, place.agent.id, place.session_id)
        return Standing(
            agent=place.agent.name,
            session=session.id,
            state=session.state.value,
            title=session.title,
            plan=[f"{todo.status.value}: {todo.title}" for todo in session.todos],
            waiting=[_waiting(one) for one in session.approvals],
        )

    async def waiting(self) -> list[Waiting]:
        """What waits for a decision in the tenant."""
        return [_waiting(one) for one in await self._house.sessions.approvals(self._principal)]

    async def send(self, place: Place, text: str, *, message_id: str) -> int:
        """Give the agent a message; the number of its event."""
        queued = await self._house.sessions.send(
            self._principal, place.agent.id, place.session_id, text=text, message_id=message_id
        )
        return queued.seq

    async def follow(self, place: Place, *, after: int) -> AsyncGenerator[Body, None]:
        """The session's events, from where they are stored."""
        session = await self._house.sessions.get(self._principal, place.agent.id, place.session_id)

        async def read(cursor: int) -> Sequence[EventRow]:
            return await self._house.sessions.events(session.id, after=cursor, limit=PAGE)

        with self._house.bus.subscribe(ring_topic(session.id)) as rings:
            stream = follow(
                read,
                rings,
                after=after,
                position=lambda row: row.seq,
                heartbeat=self._house.settings.sse_heartbeat_seconds,
                page_size=PAGE,
            )
            async with contextlib.aclosing(stream) as items:
                async for item in items:
                    if isinstance(item, Item):
                        yield decode_body(item.value.data)

    async def decide(
        self, place: Place, call_id: str, decision: Literal["allow", "deny"], note: str
    ) -> None:
        """Decide a call that waits."""
        await self._house.sessions.decide(
            self._principal,
            place.agent.id,
            place.session_id,
            call_id,
            decision=decision,
            note=note,
        )


def _line(agent: Agent) -> AgentLine:
    return AgentLine(
        name=agent.name,
        id=agent.id,
        status=agent.status.value,
        post=agent.post_name,
        model=agent.model,
        repository=None if agent.repository is None else agent.repository.source,
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
