"""The runtime: built once in a process, opens any number of agents.

    async with Runtime(journal=SQLiteJournal("agents.db"), posts=[post], models=models) as runtime:
        agent = await runtime.agent("user:123", post="assistant")
        await agent.send("fix the failing test")

Embedders use it as it is; the server hosts the same class on its own database. It knows no tenant,
no user and no HTTP.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from longhouse.kit.bus.base import Bus, BusClosed
from longhouse.kit.bus.memory import MemoryBus
from longhouse.kit.clock import Clock, SystemClock
from longhouse.kit.errors import NotFound
from longhouse.protocol.events import AgentCreated, Draft, Event, JsonObject, ToolStart
from longhouse.runtime.agent import Agent, check_agent_id
from longhouse.runtime.attachments import MOST_BYTES
from longhouse.runtime.delegation import delegate, sub_agent_id
from longhouse.runtime.hooks import Hook
from longhouse.runtime.journals.base import DELETED_TOPIC, Head, Journal, UnknownAgent
from longhouse.runtime.journals.memory import MemoryJournal
from longhouse.runtime.life import Life
from longhouse.runtime.mcp.server import McpServer
from longhouse.runtime.mcp.toolbox import Listing, Toolbox
from longhouse.runtime.model import Models
from longhouse.runtime.pool import IDLE_SECONDS, SIZE, Pool
from longhouse.runtime.posts import Post
from longhouse.runtime.rooms import Room
from longhouse.runtime.sandbox.base import Sandbox
from longhouse.runtime.sandbox.choose import choose
from longhouse.runtime.sandbox.egress import Egress
from longhouse.runtime.scheduler import Scheduler
from longhouse.runtime.services import Errand, PostSource, Services, WorkspaceSource
from longhouse.runtime.tools.base import Tool
from longhouse.runtime.tools.outputs import Outputs
from longhouse.runtime.tools.registry import builtin_tools

GRACE_SECONDS = 5.0
"""For turns to come to a safe point when the runtime is left; what takes longer is cut off."""


class UnknownPost(NotFound):
    """There is no post of that name."""

    code = "unknown-post"
    title = "No such post"


class Runtime:
    """Many durable agents over one journal."""

    def __init__(
        self,
        *,
        models: Models,
        posts: Sequence[Post] | PostSource,
        journal: Journal | None = None,
        tools: Sequence[Tool] | None = None,
        mcp: Sequence[McpServer] = (),
        sandbox: Sandbox | None = None,
        egress: Egress | None = None,
        workspaces: Path | str | WorkspaceSource = Path(".longhouse/workspaces"),
        outputs: Path | str | None = None,
        most_attachment_bytes: int = MOST_BYTES,
        skills: Sequence[Path | str] = (),
        hooks: Sequence[Hook] = (),
        bus: Bus | None = None,
        clock: Clock | None = None,
        drive: bool = True,
        pool_size: int = SIZE,
        idle_seconds: float = IDLE_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        """`posts` and `workspaces` may be functions, for embedders that keep them elsewhere.

        `tools` come on top of the built-in ones; the tools of `mcp` servers come once a post that
        names them is at work. `sandbox`: without one, the best that this machine
        has is chosen when the runtime is entered. `egress` says which private networks the hosts
        of posts may lie in; without one, none. `drive`: agents go on by themselves; without it
        somebody calls `Agent.run`. The journal rings on this runtime's bus. `outputs`: the folder
        of what is cut from tools' results; without one, `outputs` beside the workspaces' folder.
        `most_attachment_bytes`: of each picture or PDF that goes with a message.
        `skills`: folders with skills for all agents, besides those in their workspaces.
        `pool_size`: agents that are live at once; one that was not used for `idle_seconds` is put
        away, and comes back when it is used. When the runtime is left, turns have `grace_seconds`
        to come to a safe point before they are cut off.
        """
        self._models = models
        self._post = posts if callable(posts) else _from_list(posts)
        self._journal = journal or MemoryJournal()
        self._sandbox = sandbox
        self._egress = egress or Egress()
        self._workspace = workspaces if callable(workspaces) else _below(Path(workspaces))
        self._most_attachment_bytes = most_attachment_bytes
        self._outputs = Outputs(_outputs_folder(outputs, workspaces))
        self._skills = tuple(Path(folder).absolute() for folder in skills)
        self._hooks = tuple(hooks)
        self._bus = bus or MemoryBus()
        self._clock = clock or SystemClock()
        self._toolbox = Toolbox((*builtin_tools(), *(tools or ())), mcp, self._clock)
        self._drive = drive
        self._scheduler = Scheduler(self._clock, self._fire)
        self._journal.bus = self._bus
        self._services: Services | None = None
        self._rooms: dict[str, Room] = {}
        self._opening_rooms = asyncio.Lock()
        self._grace_seconds = grace_seconds
        self._pool = Pool(size=pool_size, idle_seconds=idle_seconds, clock=self._clock)
        # Whoever is used: held by a handle, by the pool, or by what somebody waits for.
        self._lives: WeakValueDictionary[str, Life] = WeakValueDictionary()
        self._handles: WeakValueDictionary[str, Agent] = WeakValueDictionary()
        self._ear: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._services = Services(
            journal=self._journal,
            models=self._models,
            tools=self._toolbox.tools,
            parallel=self._toolbox.parallel,
            sandbox=self._sandbox or await choose("auto"),
            outputs=self._outputs,
            most_attachment_bytes=self._most_attachment_bytes,
            skills=self._skills,
            egress=self._egress,
            bus=self._bus,
            clock=self._clock,
            post=self._equipped,
            workspace=self._workspace,
            hooks=self._hooks,
            delegate=self._delegate,
            fire_at=self._scheduler.fire_at,
            drive=self._drive,
        )
        self._scheduler.start()
        self._ear = asyncio.create_task(self._hear_of_deletions(), name="runtime: ear")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(room.close() for room in self._rooms.values()))
        self._rooms.clear()
        await self._scheduler.close()
        if self._ear is not None:
            self._ear.cancel()
        await self._pool.close(grace=self._grace_seconds)
        for life in list(self._lives.values()):
            life.end()
        await self._toolbox.close()
        await self._journal.close()

    async def mcp_tools(self, *, within: float) -> list[Listing]:
        """What each MCP server offers. They are asked now, and have so many seconds."""
        return await self._toolbox.look(within=within)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """All tools that posts may name; those of an MCP server once it was used."""
        return tuple(self._toolbox.tools.values())

    @property
    def live(self) -> tuple[str, ...]:
        """The ids of the agents that are live in this process: at most `pool_size`."""
        return self._pool.live

    async def agent(
        self, agent_id: str, *, post: str | None = None, metadata: JsonObject | None = None
    ) -> Agent:
        """Open an agent: the one of that id, or a new one when `post` is given.

        What was under way goes on in this process, also if another one had the agent until now.
        When all places of the pool are at work, that waits its turn, and the handle works already.
        Raises `UnknownAgent` when there is none and no `post`, `UnknownPost`, and `InvalidInput`
        for an id that is empty, too long or has control characters. Any other text is fine: an id
        is never a path.
        """
        self._entered()
        check_agent_id(agent_id)
        head = await self._journal.head(agent_id)
        if head is None:
            head = await self._create(agent_id, post, metadata or {})
        life = self._life(agent_id, head)
        await life.claim(head)
        return self._handle(life)

    async def room(
        self,
        room_id: str,
        *,
        members: Mapping[str, str] | None = None,
        exchanges: int | None = None,
    ) -> Room:
        """Open a room: the one of that id, or a new one when `members` are given.

        `members`: names that can be mentioned, each with the id of its agent; `exchanges`: how
        often members may ask each other after a person spoke. Either, when given, replaces what the
        room had. Raises `UnknownRoom`, `NotARoom`, `UnknownAgent` and `InvalidInput`.
        """
        services = self._entered()
        async with self._opening_rooms:
            if (room := self._rooms.get(room_id)) is not None:
                await room.change(members, exchanges)
                return room
            room = Room(room_id, services, self.agent)
            await room.open(members, exchanges)
            self._rooms[room_id] = room
            return room

    async def put_away(self, agent_id: str) -> None:
        """Take an agent out of memory; what it was doing is cut off. It comes back when used.

        A room is closed.
        """
        await self._close_room(agent_id)
        if (life := self._lives.get(agent_id)) is not None:
            await self._pool.put_away(life)

    async def delete(self, agent_id: str) -> None:
        """Delete an agent and its sub-agents, or a room, for good. Raises `UnknownAgent`.

        What runs is cut off. Forks keep the past they share with it; its workspace is left to
        whoever made it.
        """
        await self.put_away(agent_id)
        errands = await self._journal.read(agent_id, types=["tool_start"])
        if not await self._journal.delete(agent_id):
            raise UnknownAgent(f"There is no agent {agent_id!r}.")
        self._scheduler.fire_at(agent_id, None)
        await self._outputs.forget(agent_id)
        await self._delete_sub_agents(agent_id, errands)

    async def _close_room(self, room_id: str) -> None:
        async with self._opening_rooms:
            if (room := self._rooms.pop(room_id, None)) is not None:
                await room.close()

    async def _delete_sub_agents(self, agent_id: str, errands: Sequence[Event]) -> None:
        for event in errands:
            if isinstance(event.body, ToolStart) and event.body.name == "task_run":
                sub_agent = sub_agent_id(agent_id, event.body.call_id)
                deeper = await self._journal.read(sub_agent, types=["tool_start"])
                if await self._journal.delete(sub_agent):
                    await self._outputs.forget(sub_agent)
                    await self._delete_sub_agents(sub_agent, deeper)

    async def _delegate(self, errand: Errand) -> str:
        return await delegate(self._entered(), errand)

    async def _fire(self, agent_id: str) -> None:
        # Not by opening it: another process may have taken it over.
        if (life := self._lives.get(agent_id)) is not None:
            await self._handle(life).fire()

    async def _equipped(self, agent_id: str, name: str) -> Post:
        return await self._toolbox.equip(await self._post(agent_id, name))

    def _entered(self) -> Services:
        if self._services is None:
            raise RuntimeError("enter the runtime first: async with Runtime(…) as runtime")
        return self._services

    async def _create(self, agent_id: str, post: str | None, metadata: JsonObject) -> Head:
        if post is not None:
            await self._post(agent_id, post)  # refuses an unknown one before anything is written
            created = AgentCreated(agent_id=agent_id, post=post, metadata=metadata)
            await self._journal.create(agent_id, [Draft(created)])
        head = await self._journal.head(agent_id)
        if head is None:
            raise UnknownAgent(f"There is no agent {agent_id!r}.")
        return head

    def _life(self, agent_id: str, head: Head) -> Life:
        life = self._lives.get(agent_id)
        if life is None:
            life = Life(agent_id, self._entered(), self._pool, seq=head.seq)
            self._lives[agent_id] = life
        return life

    def _handle(self, life: Life) -> Agent:
        agent = self._handles.get(life.id)
        if agent is None:
            agent = self._handles[life.id] = Agent(life, self.agent)
        return agent

    async def _hear_of_deletions(self) -> None:
        """An agent that somebody deleted elsewhere is put away without delay."""
        with self._bus.subscribe(DELETED_TOPIC) as rings, suppress(BusClosed):
            while True:
                if (ring := await rings.next()) is not None:
                    await self._pool.look(ring.payload.decode())


def _outputs_folder(named: Path | str | None, workspaces: Path | str | WorkspaceSource) -> Path:
    if named is not None:
        return Path(named)
    beside = Path(".longhouse/workspaces") if callable(workspaces) else Path(workspaces)
    return beside.parent / "outputs"


def _from_list(posts: Sequence[Post]) -> PostSource:
    by_name = {post.name: post for post in posts}

    async def find(agent_id: str, name: str) -> Post:
        try:
            return by_name[name]
        except KeyError:
            known = ", ".join(by_name) or "none"
            raise UnknownPost(f"There is no post {name!r}.", hint=f"Posts: {known}.") from None

    return find


def _below(root: Path) -> WorkspaceSource:
    root = root.absolute()

    async def find(agent_id: str, metadata: JsonObject) -> Path:
        # A digest: whatever the id says, its workspace is one directory right below the root.
        owner = str(metadata.get("workspace", agent_id))  # a sub-agent works in its parent's
        path = root / hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        path.mkdir(parents=True, exist_ok=True)
        return path

    return find


__all__ = ["Runtime", "UnknownAgent", "UnknownPost", "check_agent_id"]
