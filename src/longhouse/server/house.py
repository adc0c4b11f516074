"""The house: everything one process is made of, put together in one place.

`open_house` is the only function that makes these objects; `serve` and tests call it, and hand the
house to `app.build_app`. Importing this module makes nothing.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy import Connection

from longhouse.agents.journal import DatabaseJournal
from longhouse.agents.models import TURN
from longhouse.agents.samples import make_sample_repository
from longhouse.agents.service.agents import Agents
from longhouse.agents.service.clients import Clients
from longhouse.agents.service.forks import Forks
from longhouse.agents.service.overview import Overview
from longhouse.agents.service.posts import Posts, add_default_posts
from longhouse.agents.service.sessions import Sessions
from longhouse.agents.store import agents as agent_rows
from longhouse.agents.streams import Streams
from longhouse.agents.worker import TurnHandler
from longhouse.agents.workspaces import Workspaces
from longhouse.fleet.node import Node
from longhouse.fleet.service import Handler, RunExecutor
from longhouse.identity.accounts import NewUser
from longhouse.identity.chain import Head
from longhouse.identity.models import TenantId, User
from longhouse.identity.passwords import Passwords
from longhouse.identity.service import audit_log, first_run
from longhouse.identity.service.audit_log import Verified
from longhouse.identity.service.identity import Identity, make_identity
from longhouse.identity.service.issuing import Lifetimes
from longhouse.identity.service.liveness import Liveness
from longhouse.identity.service.secrets import Secrets, prove_keys, remember_key
from longhouse.identity.worker import Sweeper
from longhouse.kit import logs
from longhouse.kit.bus.base import Bus
from longhouse.kit.bus.choose import default_bus_url, opened_bus
from longhouse.kit.clock import Clock, SystemClock
from longhouse.kit.db.database import Database, open_database
from longhouse.kit.db.migrate import require_current, upgrade
from longhouse.kit.extras import needed
from longhouse.kit.settings import Duty, Settings
from longhouse.runtime.mcp.file import read_servers
from longhouse.runtime.mcp.server import McpServer
from longhouse.runtime.model import Models
from longhouse.runtime.models.environment import EnvironmentModels, ModelEnvironment
from longhouse.runtime.runtime import Runtime
from longhouse.runtime.sandbox.base import Sandbox
from longhouse.runtime.sandbox.choose import choose
from longhouse.runtime.sandbox.egress import Egress
from longhouse.runtime.tools.outputs import Outputs
from longhouse.runtime.tools.registry import builtin_tools
from longhouse.server.keys import encryption_ring, signing_keys
from longhouse.server.lock import only_server_of
from longhouse.server.metrics import Metrics
from longhouse.server.observer import Observer

PARK_SECONDS = 10.0
"""For turns to come to a safe point when the server stops; what takes longer is cut off, and its
journal says so.
"""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What one process is made of."""

    settings: Settings
    clock: Clock
    database: Database
    bus: Bus
    metrics: Metrics
    observers: tuple[Observer, ...]  # the metrics among them
    identity: Identity
    secrets: Secrets
    sandbox: Sandbox
    models: EnvironmentModels
    runtime: Runtime
    overview: Overview
    posts: Posts
    agents: Agents
    sessions: Sessions
    forks: Forks
    clients: Clients
    streams: Streams
    executor: RunExecutor  # at work only inside `working`
    sweeper: Sweeper  # likewise
    stopping: asyncio.Event  # set when the server begins to stop: event streams end
    opened_at: float  # by the clock's monotonic seconds

    @property
    def answers(self) -> bool:
        """Whether this process answers people's requests, and not only how it is."""
        return self.settings.only is not Duty.WORKER

    @property
    def works(self) -> bool:
        """Whether this process executes runs."""
        return self.settings.only is not Duty.API

    @property
    def environment(self) -> str:
        """Where this house stands: only for its own machine, or for others too."""
        alone = self.settings.public_url is None and self.settings.host in LOOPBACK
        return "local" if alone else "server"


@contextlib.asynccontextmanager
async def open_house(
    settings: Settings,
    *,
    clock: Clock | None = None,
    passwords: Passwords | None = None,
    sandbox: Sandbox | None = None,
    turn_models: Models | None = None,
) -> AsyncIterator[House]:
    """Open everything, with the tables up to date; close it again in the opposite order.

    Tests give a clock that stands still, passwords that are hashed cheaply, a sandbox that needs no
    self-test and scripted models for turns. Raises `Misconfigured` or `Unavailable` for what an
    operator has to change.
    """
    clock = clock or SystemClock()
    _hide_secrets(settings)
    metrics = Metrics()
    with only_server_of(settings.database_url), Node(settings.data_dir) as node:
        async with (
            _reporting(settings),
            _opened_tracing(settings) as tracing,
            opened_database(settings, clock, metrics) as database,
            opened_bus(settings.bus_url or default_bus_url(settings.database_url)) as bus,
            _opened_identity(settings, database, bus, clock, passwords or Passwords()) as identity,
            _opened_models(settings, clock) as models,
        ):
            sandbox = sandbox or await choose(settings.sandbox.value)
            observers = (metrics, *tracing)
            stopping = asyncio.Event()
            secrets = Secrets(encryption_ring(settings))
            servers = _mcp_servers(settings)
            posts = Posts(
                database=database, clock=clock, tools=builtin_tools(), mcp_servers=servers
            )
            agents = _agents(settings, database, bus, clock, device=node.device)
            sessions = Sessions(
                database=database,
                bus=bus,
                clock=clock,
                most_attachment_bytes=settings.max_attachment_bytes,
            )
            journal = DatabaseJournal(database, clock=clock, bus=bus)
            async with Runtime(
                models=_observed(turn_models or models, observers),
                posts=posts.of_session,
                mcp=servers,
                journal=journal,
                sandbox=sandbox,
                egress=Egress(networks=settings.egress_networks),
                workspaces=agents.workspace_of,
                outputs=_outputs_of(settings),
                most_attachment_bytes=settings.max_attachment_bytes,
                skills=settings.skills,
                bus=bus,
                clock=clock,
                drive=False,  # the executor does, one process for each session
                # No turn that has a worker waits for a place.
                pool_size=max(settings.pool_size, settings.worker_slots),
                idle_seconds=settings.pool_idle_seconds,
            ) as runtime:
                yield House(
                    settings=settings,
                    clock=clock,
                    database=database,
                    bus=bus,
                    metrics=metrics,
                    observers=observers,
                    identity=identity,
                    secrets=secrets,
                    sandbox=sandbox,
                    models=models,
                    runtime=runtime,
                    overview=Overview(database=database),
                    posts=posts,
                    agents=agents,
                    sessions=sessions,
                    forks=Forks(database=database, bus=bus, clock=clock),
                    clients=Clients(
                        database=database,
                        bus=bus,
                        clock=clock,
                        agents=agents,
                        chat_post=settings.chat_post,
                    ),
                    streams=_streams(settings, sessions, identity.liveness, bus, stopping),
                    executor=RunExecutor(
                        database=database,
                        bus=bus,
                        clock=clock,
                        # The one table in which results go up: what executes which kind of run.
                        handlers=_watched({TURN: TurnHandler(runtime)}, observers),
                        holder=node.name,
                        device=node.device,
                        slots=settings.worker_slots,
                        lease=timedelta(seconds=settings.lease_seconds),
                        retention=timedelta(days=settings.run_retention_days),
                    ),
                    sweeper=Sweeper(database=database, clock=clock, tenants=identity.tenants),
                    stopping=stopping,
                    opened_at=clock.monotonic(),
                )


@contextlib.asynccontextmanager
async def working(house: House) -> AsyncIterator[asyncio.Task[None] | None]:
    """Execute runs while in the block, if that is this process's duty; yields the task that does.

    It also clears away what has had its time.

    Leaving parks the turns under way: they go on when a house is opened again.
    """
    if not house.works:
        yield None
        return
    task = asyncio.create_task(house.executor.run(), name="runs")
    async with house.sweeper.at_work():
        try:
            yield task
        finally:
            await house.executor.stop(grace=PARK_SECONDS)
            await task


@contextlib.asynccontextmanager
async def opened_database(
    settings: Settings, clock: Clock, metrics: Metrics | None = None
) -> AsyncIterator[Database]:
    """The database of this house: with the right key, and the tables up to date.

    Raises `WrongKey` before anything is changed, and what opening may raise.
    """
    ring = encryption_ring(settings)
    database = await open_database(settings.database_url)
    if metrics is not None:
        database = Database(database.dialect, metrics.around_database(database.runner))
    try:
        await database.read(lambda conn: prove_keys(conn, ring))
        await upgrade(database)
        await database.write(lambda conn: remember_key(conn, ring, now=clock.now()))
        yield database
    finally:
        await database.close()


async def create_admin(settings: Settings, new: NewUser) -> User:
    """Add an admin, whether or not a server is running: for the command line.

    Raises `InvalidInput`, `NameTaken`, and what opening the database may raise.
    """
    clock = SystemClock()
    async with opened_database(settings, clock) as database:
        return await first_run.create_admin(database, new, clock=clock, tenant_made=furnish_tenant)


async def verify_audit(settings: Settings, *, known: Sequence[Head] = ()) -> Verified:
    """Check the audit's chains, whether or not a server is running: for the command line.

    It changes nothing and needs no key. Raises `Misconfigured` for the tables of another version.
    """
    database = await open_database(settings.database_url)
    try:
        await require_current(database)
        return await audit_log.verify(database, known=known)
    finally:
        await database.close()


def furnish_tenant(conn: Connection, tenant_id: TenantId, now: datetime) -> None:
    """What a new tenant has from the start; in the transaction that makes it."""
    add_default_posts(conn, tenant_id, now)


def _mcp_servers(settings: Settings) -> tuple[McpServer, ...]:
    """The servers of the operator's file; what it says in confidence appears in no log."""
    servers = () if settings.mcp_servers is None else read_servers(settings.mcp_servers)
    for server in servers:
        for secret in server.secrets:
            logs.hide(secret)
    return servers


def _agents(
    settings: Settings,
    database: Database,
    bus: Bus,
    clock: Clock,
    *,
    device: str,
) -> Agents:
    workspaces = Workspaces(
        settings.data_dir / "agents",
        repository_roots=settings.repository_roots,
        closed=(settings.data_dir,),
        make_sample=make_sample_repository,
    )
    return Agents(
        database=database,
        bus=bus,
        clock=clock,
        workspaces=workspaces,
        outputs=Outputs(_outputs_of(settings)),
        device=device,
    )


def _outputs_of(settings: Settings) -> Path:
    return settings.data_dir / "outputs"


def _streams(
    settings: Settings, sessions: Sessions, liveness: Liveness, bus: Bus, stopping: asyncio.Event
) -> Streams:
    return Streams(
        sessions,
        bus=bus,
        liveness=liveness,
        stopping=stopping,
        heartbeat=settings.sse_heartbeat_seconds,
        buffer=settings.sse_buffer,
    )


@contextlib.asynccontextmanager
async def _opened_identity(
    settings: Settings, database: Database, bus: Bus, clock: Clock, passwords: Passwords
) -> AsyncIterator[Identity]:
    secrets = Secrets(encryption_ring(settings))

    def of_house(purpose: str) -> Callable[[Connection], bytes]:
        return lambda conn: secrets.of_house(conn, purpose=purpose, now=clock.now())

    identity = make_identity(
        database=database,
        bus=bus,
        clock=clock,
        signing=signing_keys(settings),
        refresh_secret=await database.write(of_house("refresh-tokens")),
        key_secret=await database.write(of_house("api-keys")),
        passwords=passwords,
        lifetimes=Lifetimes(
            access_seconds=settings.access_token_seconds,
            refresh_days=settings.refresh_token_days,
        ),
        tenant_grace=timedelta(days=settings.tenant_grace_days),
        tenant_made=furnish_tenant,
        tenant_goes=(),
        agent_known=agent_rows.exists_in,
        open_to_all=settings.self_registration,
    )
    try:
        yield identity
    finally:
        await identity.key_uses.close()


def _hide_secrets(settings: Settings) -> None:
    """No setting that is a secret appears in a log, nor a password inside an address."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            logs.hide(value.get_secret_value())
    for addresses in (settings.database_url, settings.bus_url or ""):
        for address in addresses.split(","):
            # As it stands there and not by itself: a weak one may be a word that logs need.
            logs.hide(f":{urlsplit(address).password}@")


@contextlib.asynccontextmanager
async def _opened_tracing(settings: Settings) -> AsyncIterator[tuple[Observer, ...]]:
    """Whoever makes spans, when the settings name somebody who wants them."""
    if settings.otlp_endpoint is None:
        yield ()
        return
    with needed("spans", extra="telemetry"):
        from longhouse.server.tracing import opened_tracing  # noqa: PLC0415 - optional
    async with opened_tracing(settings.otlp_endpoint) as tracing:
        yield (tracing,)


@contextlib.asynccontextmanager
async def _reporting(settings: Settings) -> AsyncIterator[None]:
    """Report errors, when the settings name somebody who wants them."""
    if settings.sentry_dsn is None:
        yield
        return
    with needed("reports of errors", extra="sentry"):
        from longhouse.server.reporting import reporting  # noqa: PLC0415 - optional
    async with reporting(settings.sentry_dsn.get_secret_value()):
        yield


def _observed(models: Models, observers: Iterable[Observer]) -> Models:
    for observer in observers:
        models = observer.around_models(models)
    return models


def _watched(
    handlers: Mapping[str, Handler], observers: Iterable[Observer]
) -> Mapping[str, Handler]:
    for observer in observers:
        handlers = {kind: observer.around_handler(each) for kind, each in handlers.items()}
    return handlers


@contextlib.asynccontextmanager
async def _opened_models(settings: Settings, clock: Clock) -> AsyncIterator[EnvironmentModels]:
    def clear(secret: SecretStr | None) -> str | None:
        return None if secret is None else secret.get_secret_value()

    environment = ModelEnvironment.of(
        model=settings.model,
        openai_api_key=clear(settings.openai_api_key),
        openai_base_url=settings.openai_base_url,
        anthropic_api_key=clear(settings.anthropic_api_key),
        anthropic_base_url=settings.anthropic_base_url,
        environ=os.environ,  # the less common providers have no settings of their own
    )
    for access in environment.access.values():
        logs.hide(access.api_key)
    models = EnvironmentModels(environment, clock=clock)
    try:
        yield models
    finally:
        await models.aclose()
