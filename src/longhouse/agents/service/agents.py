"""Agents and what is in their workspaces.

`api.agents` calls it for HTTP; the runtime asks `workspace_of` for the directory of a turn.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from longhouse.agents.errors import AgentBusy, NameTaken, invalid
from longhouse.agents.models import Agent, AgentId, Overrides, Repository, lane_of, tenant_topic
from longhouse.agents.service.access import (
    checked_name,
    find_agent,
    find_post,
    record,
    write_named,
)
from longhouse.agents.states import AgentStatus
from longhouse.agents.store import agents as store
from longhouse.agents.store import posts as post_rows
from longhouse.agents.workspaces import Committed, Diff, Place, Workspaces
from longhouse.fleet import store as queue
from longhouse.identity.auth import CREDENTIALS_TOPIC, Principal
from longhouse.identity.service import keys
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database
from longhouse.kit.db.pages import Page
from longhouse.kit.errors import Json
from longhouse.kit.ids import new_id
from longhouse.protocol.events import JsonObject
from longhouse.runtime.journals.base import ring_deleted
from longhouse.runtime.tools.outputs import Outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentChanges:
    """What a person may change of an agent. None: as before."""

    name: str | None = None
    post_id: str | None = None
    overrides: Overrides | None = None  # all of them, or none


class Agents:
    """The tenants' agents. One for each process."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        clock: Clock,
        workspaces: Workspaces,
        outputs: Outputs,
        device: str | None = None,
    ) -> None:
        """`outputs`: what is kept of the sessions' long results, for as long as they are there.
        `device`: where the workspaces lie; turns of agents made here are executed there only.
        """
        self._database = database
        self._bus = bus
        self._clock = clock
        self._workspaces = workspaces
        self._outputs = outputs
        self._device = device

    async def list_page(
        self,
        principal: Principal,
        *,
        status: AgentStatus | None,
        search: str | None,
        after: str | None,
        limit: int,
    ) -> Page[Agent]:
        """The tenant's agents, the newest first."""
        principal.require("agents:read")
        tenant_id = principal.tenant_id
        return await self._database.read(
            lambda conn: store.list_page(
                conn,
                tenant_id,
                only=principal.agent_id,
                status=status,
                search=search,
                after=after,
                limit=limit,
            )
        )

    async def get(self, principal: Principal, agent_id: str) -> Agent:
        """One agent."""
        principal.require("agents:read")
        return await self._database.read(lambda conn: find_agent(conn, principal, agent_id))

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        post_id: str,
        overrides: Overrides,
        repository: Repository | None,
        external_id: str | None = None,
    ) -> Agent:
        """A new agent with a workspace that is ready. Raises `NameTaken`, `RepositoryRefused`.

        `external_id`: what clients call it that have ids of their own; it is taken once, as a name.
        """
        principal.require("agents:write")
        principal.require_every_agent()
        name = checked_name(name)
        await self._database.read(lambda conn: _check_new_agent(conn, principal, name, post_id))
        agent_id = AgentId(new_id("agent"))
        place = await self._workspaces.prepare(agent_id, slug=slug(name), repository=repository)
        try:
            return await self._add(
                principal,
                agent_id,
                name=name,
                post_id=post_id,
                overrides=overrides,
                repository=repository,
                external_id=external_id,
                place=place,
            )
        except BaseException:
            await self._workspaces.remove(agent_id)
            raise

    async def change(self, principal: Principal, agent_id: str, changes: AgentChanges) -> Agent:
        """Rename an agent, give it another post or other overrides."""
        principal.require("agents:write")
        now = self._clock.now()

        def work(conn: Connection) -> Agent:
            before = find_agent(conn, principal, agent_id)
            post_id = changes.post_id or before.post_id
            store.change(
                conn,
                before.id,
                name=before.name if changes.name is None else checked_name(changes.name),
                post_id=find_post(conn, principal, post_id).id,
                overrides=before.overrides if changes.overrides is None else changes.overrides,
                now=now,
            )
            after = find_agent(conn, principal, agent_id)
            record(
                conn,
                principal,
                "agent.changed",
                agent_id,
                now=now,
                before=_digestible(before),
                after=_digestible(after),
            )
            return after

        changed = await write_named(self._database, "an agent", changes.name or "", work)
        self._bus.publish(tenant_topic(principal.tenant_id))
        return changed

    async def delete(self, principal: Principal, agent_id: str) -> None:
        """Delete an agent with its sessions and its workspace. Raises `AgentBusy`."""
        principal.require("agents:write")
        now = self._clock.now()

        def work(conn: Connection) -> tuple[AgentId, list[str]]:
            agent = find_agent(conn, principal, agent_id)
            if agent.status is AgentStatus.BUSY:
                raise AgentBusy
            queue.drop_lane(conn, lane_of(agent.id))
            session_ids = store.remove(conn, agent.id)
            keys.delete_of_agent(
                conn, actor=principal, tenant_id=principal.tenant_id, agent_id=agent_id, now=now
            )
            record(conn, principal, "agent.deleted", agent_id, now=now, before=_digestible(agent))
            return agent.id, session_ids

        deleted, session_ids = await self._database.write(work)
        for session_id in session_ids:
            ring_deleted(self._bus, session_id)  # what they run in the background ends
        await self._workspaces.remove(deleted)
        for session_id in session_ids:
            await self._outputs.forget(session_id)
        self._bus.publish(CREDENTIALS_TOPIC)
        self._bus.publish(tenant_topic(principal.tenant_id))

    # --- workspaces -------------------------------------------------------------------------------

    async def diff(self, principal: Principal, agent_id: str) -> tuple[Agent, Diff]:
        """What the agent changed since it began."""
        principal.require("sessions:read")
        agent = await self._database.read(lambda conn: find_agent(conn, principal, agent_id))
        return agent, await self._workspaces.diff(agent.id, base=agent.base)

    async def commit(
        self, principal: Principal, agent_id: str, *, branch: str, message: str
    ) -> Committed:
        """Commit the agent's work to a branch. Raises `NothingChanged`, `BranchTaken`."""
        principal.require("workspaces:write")
        agent = await self._database.read(lambda conn: find_agent(conn, principal, agent_id))
        committed = await self._workspaces.commit(
            agent.id,
            base=agent.base,
            branch=branch,
            message=message,
            author=agent.name,
            repository=agent.repository,
        )
        now = self._clock.now()
        after = {"branch": committed.branch, "commit": committed.commit}
        await self._database.write(
            lambda conn: record(
                conn, principal, "workspace.committed", agent_id, now=now, after=after
            )
        )
        return committed

    # --- for the runtime --------------------------------------------------------------------------

    async def workspace_of(self, session_id: str, metadata: JsonObject) -> Path:
        """The directory of a session's agent. The runtime's `WorkspaceSource`."""
        return self._workspaces.path(AgentId(metadata["agent_id"]))

    # --- one step each ----------------------------------------------------------------------------

    async def _add(
        self,
        principal: Principal,
        agent_id: AgentId,
        *,
        name: str,
        post_id: str,
        overrides: Overrides,
        repository: Repository | None,
        external_id: str | None,
        place: Place,
    ) -> Agent:
        now = self._clock.now()

        def work(conn: Connection) -> Agent:
            store.add(
                conn,
                principal.tenant_id,
                agent_id,
                name=name,
                post_id=find_post(conn, principal, post_id).id,
                overrides=overrides,
                repository=repository,
                branch=place.branch,
                base=place.base,
                external_id=external_id,
                now=now,
            )
            queue.add_lane(
                conn, lane_of(agent_id), tenant_id=principal.tenant_id, device=self._device
            )
            agent = find_agent(conn, principal, agent_id)
            record(conn, principal, "agent.created", agent_id, now=now, after=_digestible(agent))
            return agent

        agent = await write_named(self._database, "an agent", name, work)
        self._bus.publish(tenant_topic(principal.tenant_id))
        return agent


def slug(name: str) -> str:
    """A name as a part of a branch."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return "-".join(words)[:40].strip("-") or "agent"


def _check_new_agent(conn: Connection, principal: Principal, name: str, post_id: str) -> None:
    """What can be refused before a repository is cloned."""
    if post_rows.find(conn, principal.tenant_id, post_id) is None:
        raise invalid("post_id", f"There is no post {post_id[:80]!r}.")
    if store.name_taken(conn, principal.tenant_id, name):
        raise NameTaken("an agent", name)


def _digestible(agent: Agent) -> Json:
    permissions = agent.overrides.permissions
    return {
        "name": agent.name,
        "post_id": agent.post_id,
        "model": agent.overrides.model,
        "permissions": None if permissions is None else repr(permissions),
    }
