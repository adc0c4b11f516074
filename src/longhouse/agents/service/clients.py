"""Agents and sessions of clients that have ids of their own for them: resumed, or made.

The addresses of existing clients name an agent by any text (`user:1`), and often no session at all.
Called by the server's aliases; everything that is made is made by `agents` and `sessions`.
"""

from sqlalchemy import Connection

from longhouse.agents.errors import NameTaken, NoChatPost, NoSuchAgent, NoSuchSession, invalid
from longhouse.agents.models import (
    NAME_CHARACTERS,
    AgentId,
    Overrides,
    SessionId,
    tenant_topic,
)
from longhouse.agents.service.access import find_agent
from longhouse.agents.service.agents import Agents
from longhouse.agents.service.sessions import begin
from longhouse.agents.store import external
from longhouse.agents.store import posts as post_rows
from longhouse.identity.auth import Principal
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database
from longhouse.kit.ids import new_id

LONGEST_ID = 200  # characters of an id that a client gives


class Clients:
    """What existing clients mean by the ids they send. One for each process."""

    def __init__(
        self, *, database: Database, bus: Bus, clock: Clock, agents: Agents, chat_post: str
    ) -> None:
        """`chat_post`: the name of the post, in each tenant, that agents of its users follow."""
        self._database = database
        self._bus = bus
        self._clock = clock
        self._agents = agents
        self._chat_post = chat_post

    async def find_agent(self, principal: Principal, name: str) -> AgentId:
        """The agent of this id, its own or one that a client gave. Raises `NoSuchAgent`."""
        principal.require("agents:read")
        found = await self._known_agent(principal, name)
        if found is None:
            raise NoSuchAgent(name)
        return found

    async def find_agent_of(self, principal: Principal, user_id: str) -> AgentId:
        """The agent that talks with a client's user. Raises `NoSuchAgent`."""
        return await self.find_agent(principal, _agent_name(user_id))

    async def agent_of(self, principal: Principal, user_id: str) -> AgentId:
        """The agent that talks with a client's user, made at the first time.

        Raises `NoChatPost` when the tenant has no post for it.
        """
        principal.require("agents:read")
        name = _agent_name(_checked(user_id, "userId"))
        return await self._known_agent(principal, name) or await self._make_agent(
            principal, name, title=f"Chat with {user_id}"
        )

    async def find_session(
        self, principal: Principal, agent_id: AgentId, name: str | None
    ) -> SessionId:
        """The agent's session of this id, or its default one. Raises `NoSuchSession`."""
        principal.require("sessions:read")
        found = await self._database.read(
            lambda conn: _known_session(conn, principal, agent_id, name)
        )
        if found is None:
            raise NoSuchSession(name or "default")
        return found

    async def session(self, principal: Principal, agent_id: AgentId, name: str | None) -> SessionId:
        """The agent's session of this id, or its default one, made at the first time.

        The default one is the oldest at that time, and stays the default from then on.
        """
        try:
            return await self.find_session(principal, agent_id, name)
        except NoSuchSession:
            principal.require("sessions:write")
        name = None if name is None else _checked(name, "sessionId")
        now = self._clock.now()

        def work(conn: Connection) -> SessionId:
            agent = find_agent(conn, principal, agent_id)
            external.lock_agent(conn, agent.id)
            found = _known_session(conn, principal, agent.id, name)
            if found is None and name is None:
                found = external.first_session(conn, agent.id)
            if found is None:
                found = begin(conn, principal, agent, external_id=name, now=now)
            if name is None:
                external.set_default_session(conn, agent.id, found)
            return found

        session_id = await self._database.write(work)
        self._bus.publish(tenant_topic(principal.tenant_id))
        return session_id

    # --- one step each ----------------------------------------------------------------------------

    async def _known_agent(self, principal: Principal, name: str) -> AgentId | None:
        return await self._database.read(
            lambda conn: external.find_agent(conn, principal.tenant_id, name)
        )

    async def _make_agent(self, principal: Principal, name: str, *, title: str) -> AgentId:
        post = await self._database.read(
            lambda conn: post_rows.find_named(conn, principal.tenant_id, self._chat_post)
        )
        if post is None:
            raise NoChatPost(self._chat_post)
        told_apart = f"{title[: NAME_CHARACTERS - 10]} {new_id('chat')[-8:]}"
        for shown in (title[:NAME_CHARACTERS], told_apart):
            try:
                agent = await self._agents.create(
                    principal,
                    name=shown,
                    post_id=post.id,
                    overrides=Overrides(),
                    repository=None,
                    external_id=name,
                )
            except NameTaken:
                # By whoever made the same agent at this moment, or by an agent of that name.
                if (found := await self._known_agent(principal, name)) is not None:
                    return found
            else:
                return agent.id
        raise NameTaken("an agent", told_apart)


def _known_session(
    conn: Connection, principal: Principal, agent_id: AgentId, name: str | None
) -> SessionId | None:
    agent = find_agent(conn, principal, agent_id)
    if name is None:
        return agent.default_session_id
    return external.find_session(conn, principal.tenant_id, agent.id, name)


def _agent_name(user_id: str) -> str:
    return f"user:{user_id}"


def _checked(name: str, field: str) -> str:
    if not name.strip() or len(name) > LONGEST_ID or not name.isprintable():
        raise invalid(field, f"An id has 1 to {LONGEST_ID} printable characters.")
    return name
