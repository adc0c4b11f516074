"""A room of agents on both databases: the service, a runtime with a scripted model, an executor."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection
from tests.agents.rows import TENANT, add_tenant, add_user

from longhouse.agents import journal
from longhouse.agents.journal import DatabaseJournal
from longhouse.agents.models import TURN, Agent, Overrides, Repository, Session
from longhouse.agents.samples import make_sample_repository
from longhouse.agents.service.agents import Agents
from longhouse.agents.service.forks import Forks
from longhouse.agents.service.posts import Posts, add_default_posts
from longhouse.agents.service.sessions import Sessions
from longhouse.agents.worker import TurnHandler
from longhouse.agents.workspaces import Workspaces
from longhouse.fleet.service import RunExecutor
from longhouse.identity.auth import Origin, Principal
from longhouse.identity.models import (
    ActorKind,
    LoginId,
    SystemRole,
    TenantId,
)
from longhouse.identity.scopes import ALL_SCOPES, TenantRole
from longhouse.kit.bus.memory import MemoryBus
from longhouse.kit.clock import SystemClock
from longhouse.kit.db.database import Database
from longhouse.protocol.events import Body, decode_body
from longhouse.runtime.journals.base import ring_topic
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import ScriptedModel, Step
from longhouse.runtime.runtime import Runtime
from longhouse.runtime.sandbox.off import Unprotected
from longhouse.runtime.tools.outputs import Outputs
from longhouse.runtime.tools.registry import builtin_tools

T = TypeVar("T")
PATIENCE = 20.0  # seconds of real time until a test gives up waiting


def principal_of(tenant_id: TenantId = TENANT, *scopes: str) -> Principal:
    """An owner in this tenant; with scopes, somebody who has only these."""
    return Principal(
        kind=ActorKind.USER,
        id="user_a",
        name="Ada Lovelace",
        credential=LoginId("login_a"),
        role=SystemRole.USER,
        origin=Origin(address="127.0.0.1", request_id="req_1"),
        tenant_id=tenant_id,
        tenant_role=TenantRole.OWNER,
        scopes=frozenset(scopes) or ALL_SCOPES,
    )


@dataclass
class Room:
    """What tests of agents do, with everything that they do not care about filled in."""

    database: Database
    directory: Path
    clock: SystemClock = field(default_factory=SystemClock)
    bus: MemoryBus = field(default_factory=MemoryBus)
    model: ScriptedModel = field(default_factory=lambda: ScriptedModel([]))
    principal: Principal = field(default_factory=principal_of)

    def __post_init__(self) -> None:
        self.workspaces = Workspaces(
            self.directory / "agents",
            repository_roots=[self.directory],
            closed=[],
            make_sample=make_sample_repository,
        )
        self.outputs = Outputs(self.directory / "outputs")
        self.posts = Posts(database=self.database, clock=self.clock, tools=builtin_tools())
        self.agents = Agents(
            database=self.database,
            bus=self.bus,
            clock=self.clock,
            workspaces=self.workspaces,
            outputs=self.outputs,
        )
        self.sessions = Sessions(database=self.database, bus=self.bus, clock=self.clock)
        self.forks = Forks(database=self.database, bus=self.bus, clock=self.clock)
        self._process = AsyncExitStack()
        self._working: asyncio.Task[None] | None = None
        self.executor: RunExecutor | None = None

    async def start(self, *steps: Step) -> None:
        """Begin to work, with a model that says these things."""
        if steps:
            self.model = ScriptedModel(steps, record=True)
        log = DatabaseJournal(self.database, clock=self.clock)
        self.runtime = await self._process.enter_async_context(
            Runtime(
                models=FixedModels(self.model),
                posts=self.posts.of_session,
                journal=log,
                sandbox=Unprotected(),
                workspaces=self.agents.workspace_of,
                bus=self.bus,
                clock=self.clock,
                drive=False,
            )
        )
        self.executor = RunExecutor(
            database=self.database,
            bus=self.bus,
            clock=self.clock,
            handlers={TURN: TurnHandler(self.runtime)},
            holder="node_a",
            slots=4,
            lease=timedelta(seconds=60),
            retention=timedelta(days=30),
        )
        self._working = asyncio.create_task(self.executor.run())

    async def kill(self) -> None:
        """What `kill -9` leaves behind, as well as one process can do it to itself."""
        if self._working is not None:
            # Again and again: a driver that is cut off in a statement may raise something else.
            while not self._working.done():
                self._working.cancel()
                await asyncio.wait({self._working}, timeout=1)
            self._working = None
        await self._process.aclose()

    async def agent(
        self, name: str = "Ada", *, post: str = "Engineer", repository: str | None = None
    ) -> Agent:
        """A new agent of one of the default posts."""
        posts, _ = await self.posts.list_page(self.principal, after=None, limit=50)
        return await self.agents.create(
            self.principal,
            name=name,
            post_id=next(one.id for one in posts if one.definition.name == post),
            overrides=Overrides(),
            repository=None if repository is None else Repository(source=repository, ref=None),
        )

    async def session(self, *, post: str = "Engineer") -> Session:
        """A new session of a new agent."""
        agent = await self.agent(post=post)
        return await self.sessions.create(self.principal, agent.id)

    async def look(self, session: Session) -> Session:
        """The session as it is now."""
        return await self.sessions.get(self.principal, session.agent_id, session.id)

    async def send(self, session: Session, text: str, message_id: str | None = None) -> int:
        """Say something; the number of its event."""
        queued = await self.sessions.send(
            self.principal, session.agent_id, session.id, text=text, message_id=message_id
        )
        return queued.seq

    async def bodies(self, session: Session) -> list[Body]:
        """The session's journal."""
        rows = await self.database.read(lambda conn: journal.read(conn, session.id))
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        return [decode_body(row.data) for row in rows]

    async def until(
        self, session: Session, happened: Callable[[Sequence[Body]], bool]
    ) -> list[Body]:
        """The session's journal, once this is true of it."""
        async with asyncio.timeout(PATIENCE):
            with self.bus.subscribe(ring_topic(session.id)) as rings:
                while not happened(bodies := await self.bodies(session)):
                    await rings.next(1)
        return bodies

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do something behind everybody's back."""
        return await self.database.write(work)


@pytest.fixture
async def room(database: Database, tmp_path: Path) -> AsyncIterator[Room]:
    """A room in a tenant with the default posts; nobody works until `start`."""
    room = Room(database, tmp_path)

    def begin(conn: Connection) -> None:
        add_tenant(conn)
        add_user(conn)
        add_default_posts(conn, TENANT, room.clock.now())

    await database.write(begin)
    yield room
    await room.kill()
    await room.bus.close()
