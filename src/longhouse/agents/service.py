"""Posts, agents, sessions: what people do with them, each change one transaction with its audit.

`api` calls it for HTTP; the server makes one and hands the runtime `post_of` and `workspace_of`.
Whatever makes a turn necessary (a message, a decision, an interrupt) is written to the journal and
queued as a run in the same transaction, and rung after it. It runs no turn itself: `worker` does.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

from sqlalchemy import Connection

from longhouse.agents import journal, store
from longhouse.agents.journal import EventRow, Written
from longhouse.agents.models import (
    NAME_CHARACTERS,
    TURN,
    Agent,
    AgentId,
    Approval,
    Overrides,
    PostId,
    Repository,
    Session,
    SessionId,
    StoredPost,
    lane_of,
    tenant_topic,
)
from longhouse.agents.states import AgentStatus
from longhouse.agents.store import Page
from longhouse.agents.workspaces import Committed, Diff, Place, Workspaces
from longhouse.fleet import store as queue
from longhouse.fleet.models import RUNS_TOPIC
from longhouse.identity import audit
from longhouse.identity.auth import Principal
from longhouse.identity.models import SYSTEM, TenantId
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database, unique_violation
from longhouse.kit.errors import Conflict, InvalidInput, Json, NotFound
from longhouse.kit.ids import new_id
from longhouse.protocol.events import (
    AgentCreated,
    AgentState,
    Draft,
    InterruptRequested,
    JsonObject,
    MessageReceived,
    PermissionDecided,
)
from longhouse.runtime.agent import AlreadyDecided, NoSuchApproval
from longhouse.runtime.journals.base import UnknownAgent
from longhouse.runtime.ledger import decision_key, message_key
from longhouse.runtime.mcp.server import McpServer
from longhouse.runtime.posts import Mode, Permissions, Post
from longhouse.runtime.tools.base import Tool
from longhouse.runtime.tools.outputs import Outputs

T = TypeVar("T")

WITHOUT_TENANT = frozenset({"task_run"})
"""Tools the runtime has and posts here cannot name: a sub-agent would be a session of no tenant."""

DEFAULT_POSTS = (
    Post(
        name="Engineer",
        description="Works in a repository: reads, edits, runs. Asks before it changes anything.",
        prompt=(
            "You are a software engineer at work in a git repository. Look before you change "
            "anything, make the smallest change that does the job, and run the tests before you "
            "say that it is done. Say plainly what you did and what you could not do."
        ),
        permissions=Permissions(mode=Mode.ASK),
    ),
    Post(
        name="Reader",
        description="Answers questions about a repository and never changes it.",
        prompt=(
            "You answer questions about a git repository. Read what you need, quote file and line "
            "for what you say, and say so when you do not know."
        ),
        tools=("fs_read", "fs_glob", "fs_grep", "todo_read", "todo_write"),
        permissions=Permissions(mode=Mode.READ_ONLY),
    ),
)
"""What a new tenant begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A message that will be answered."""

    message_id: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PostChanges:
    """A new version of a post, as its differences. None: as before."""

    name: str | None = None
    description: str | None = None
    prompt: str | None = None
    model: str | None = None
    tools: tuple[str, ...] | None = None
    permissions: Permissions | None = None
    limits: JsonObject | None = None  # only those that change
    hosts: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentChanges:
    """What a person may change of an agent. None: as before."""

    name: str | None = None
    post_id: str | None = None
    overrides: Overrides | None = None  # all of them, or none


class NoSuchPost(NotFound):
    """No post of this id in the caller's tenant."""

    code = "no-such-post"

    def __init__(self, post_id: str) -> None:
        super().__init__(f"There is no post {post_id[:80]!r}.")


class NoSuchAgent(NotFound):
    """No agent of this id in the caller's tenant."""

    code = "no-such-agent"

    def __init__(self, agent_id: str) -> None:
        super().__init__(f"There is no agent {agent_id[:80]!r}.")


class NoSuchSession(NotFound):
    """The agent has no session of this id."""

    code = "no-such-session"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"The agent has no session {session_id[:80]!r}.")


class NameTaken(Conflict):
    """Another one of the tenant has this name."""

    code = "name-taken"

    def __init__(self, what: str, name: str) -> None:
        message = f"There is {what} with the name {name!r} already."
        errors: list[Json] = [{"field": "name", "message": message}]
        super().__init__(message, hint="Choose another name.", errors=errors)


class PostInUse(Conflict):
    """Agents follow the post."""

    code = "post-in-use"

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} agents follow this post.", hint="Give them another post or delete them first."
        )


class ChangedMeanwhile(Conflict):
    """Somebody else changed the same thing at the same moment."""

    code = "changed-meanwhile"

    def __init__(self) -> None:
        super().__init__("Somebody else changed this just now.", hint="Look at it and try again.")


class AgentBusy(Conflict):
    """The agent is in the middle of a turn."""

    code = "agent-busy"

    def __init__(self) -> None:
        super().__init__("The agent is at work.", hint="Interrupt it first.")


class Agents:
    """The room's doors. One for each process."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        clock: Clock,
        workspaces: Workspaces,
        tools: Sequence[Tool],
        mcp_servers: Sequence[McpServer] = (),  # posts may name their tools too
        outputs: Outputs,
    ) -> None:
        """`outputs`: what is kept of the sessions' long results, for as long as they are there."""
        self._database = database
        self._bus = bus
        self._clock = clock
        self._workspaces = workspaces
        self._outputs = outputs
        self._mcp_servers = tuple(mcp_servers)
        self.tools = tuple(tool for tool in tools if tool.name not in WITHOUT_TENANT)

    # --- posts ------------------------------------------------------------------------------------

    async def list_posts(
        self, principal: Principal, *, after: str | None, limit: int
    ) -> Page[StoredPost]:
        """The tenant's posts, the oldest first."""
        principal.require("posts:read")
        tenant_id = principal.tenant_id
        return await self._database.read(
            lambda conn: store.list_posts(conn, tenant_id, after=after, limit=limit)
        )

    async def post(self, principal: Principal, post_id: str) -> StoredPost:
        """A post in its newest version."""
        principal.require("posts:read")
        return await self._database.read(lambda conn: _post(conn, principal, post_id))

    async def create_post(self, principal: Principal, post: Post) -> StoredPost:
        """A new post. Raises `NameTaken`, `InvalidInput`."""
        principal.require("posts:write")
        post = self._checked(post)
        post_id, now = PostId(new_id("post")), self._clock.now()

        def work(conn: Connection) -> StoredPost:
            store.add_post(conn, principal.tenant_id, post_id, post, now=now)
            _record(conn, principal, "post.created", post_id, now=now, after={"name": post.name})
            return _post(conn, principal, post_id)

        return await self._named("a post", post.name, work)

    async def change_post(
        self, principal: Principal, post_id: str, changes: PostChanges
    ) -> StoredPost:
        """A new version of a post; its agents follow at their next turn."""
        principal.require("posts:write")
        now = self._clock.now()

        def work(conn: Connection) -> StoredPost:
            before = _post(conn, principal, post_id)
            after = self._checked(_changed(before.definition, changes))
            if after != before.definition:
                if not store.change_post(conn, before.id, after, version=before.version, now=now):
                    raise ChangedMeanwhile
                _record(
                    conn,
                    principal,
                    "post.changed",
                    post_id,
                    now=now,
                    before={"version": before.version},
                    after={"version": before.version + 1},
                )
            return _post(conn, principal, post_id)

        return await self._named("a post", changes.name or "", work)

    async def delete_post(self, principal: Principal, post_id: str) -> None:
        """Delete a post nobody follows. Raises `PostInUse`."""
        principal.require("posts:write")
        now = self._clock.now()

        def work(conn: Connection) -> None:
            post = _post(conn, principal, post_id)
            if count := store.count_agents_of_post(conn, post.id):
                raise PostInUse(count)
            store.delete_post(conn, post.id)
            _record(conn, principal, "post.deleted", post_id, now=now)

        await self._database.write(work)

    # --- agents -----------------------------------------------------------------------------------

    async def list_agents(
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
            lambda conn: store.list_agents(
                conn, tenant_id, status=status, search=search, after=after, limit=limit
            )
        )

    async def agent(self, principal: Principal, agent_id: str) -> Agent:
        """One agent."""
        principal.require("agents:read")
        return await self._database.read(lambda conn: _agent(conn, principal, agent_id))

    async def create_agent(
        self,
        principal: Principal,
        *,
        name: str,
        post_id: str,
        overrides: Overrides,
        repository: Repository | None,
    ) -> Agent:
        """A new agent with a workspace that is ready. Raises `NameTaken`, `RepositoryRefused`."""
        principal.require("agents:write")
        name = _checked_name(name)
        await self._database.read(lambda conn: _check_new_agent(conn, principal, name, post_id))
        agent_id = AgentId(new_id("agent"))
        place = await self._workspaces.prepare(agent_id, slug=slug(name), repository=repository)
        try:
            return await self._add_agent(
                principal,
                agent_id,
                name=name,
                post_id=post_id,
                overrides=overrides,
                repository=repository,
                place=place,
            )
        except BaseException:
            await self._workspaces.remove(agent_id)
            raise

    async def change_agent(
        self, principal: Principal, agent_id: str, changes: AgentChanges
    ) -> Agent:
        """Rename an agent, give it another post or other overrides."""
        principal.require("agents:write")
        now = self._clock.now()

        def work(conn: Connection) -> Agent:
            before = _agent(conn, principal, agent_id)
            post_id = changes.post_id or before.post_id
            store.change_agent(
                conn,
                before.id,
                name=before.name if changes.name is None else _checked_name(changes.name),
                post_id=_post(conn, principal, post_id).id,
                overrides=before.overrides if changes.overrides is None else changes.overrides,
                now=now,
            )
            after = _agent(conn, principal, agent_id)
            _record(
                conn,
                principal,
                "agent.changed",
                agent_id,
                now=now,
                before=_digestible(before),
                after=_digestible(after),
            )
            return after

        changed = await self._named("an agent", changes.name or "", work)
        self._bus.publish(tenant_topic(principal.tenant_id))
        return changed

    async def delete_agent(self, principal: Principal, agent_id: str) -> None:
        """Delete an agent with its sessions and its workspace. Raises `AgentBusy`."""
        principal.require("agents:write")
        now = self._clock.now()

        def work(conn: Connection) -> tuple[AgentId, list[str]]:
            agent = _agent(conn, principal, agent_id)
            if agent.status is AgentStatus.BUSY:
                raise AgentBusy
            queue.drop_lane(conn, lane_of(agent.id))
            session_ids = store.delete_agent(conn, agent.id)
            _record(conn, principal, "agent.deleted", agent_id, now=now, before=_digestible(agent))
            return agent.id, session_ids

        deleted, session_ids = await self._database.write(work)
        await self._workspaces.remove(deleted)
        for session_id in session_ids:
            await self._outputs.forget(session_id)
        self._bus.publish(tenant_topic(principal.tenant_id))

    # --- workspaces -------------------------------------------------------------------------------

    async def diff(self, principal: Principal, agent_id: str) -> tuple[Agent, Diff]:
        """What the agent changed since it began."""
        principal.require("sessions:read")
        agent = await self._database.read(lambda conn: _agent(conn, principal, agent_id))
        return agent, await self._workspaces.diff(agent.id, base=agent.base)

    async def commit(
        self, principal: Principal, agent_id: str, *, branch: str, message: str
    ) -> Committed:
        """Commit the agent's work to a branch. Raises `NothingChanged`, `BranchTaken`."""
        principal.require("workspaces:write")
        agent = await self._database.read(lambda conn: _agent(conn, principal, agent_id))
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
            lambda conn: _record(
                conn, principal, "workspace.committed", agent_id, now=now, after=after
            )
        )
        return committed

    # --- sessions ---------------------------------------------------------------------------------

    async def list_sessions(
        self, principal: Principal, agent_id: str, *, after: str | None, limit: int
    ) -> Page[Session]:
        """The agent's sessions, the newest first."""
        principal.require("sessions:read")

        def work(conn: Connection) -> Page[Session]:
            agent = _agent(conn, principal, agent_id)
            return store.list_sessions(
                conn, principal.tenant_id, agent_id=agent.id, after=after, limit=limit
            )

        return await self._database.read(work)

    async def session(self, principal: Principal, agent_id: str, session_id: str) -> Session:
        """One session."""
        principal.require("sessions:read")
        return await self._database.read(
            lambda conn: _session(conn, principal, agent_id, session_id)
        )

    async def create_session(
        self, principal: Principal, agent_id: str, *, title: str = ""
    ) -> Session:
        """A new session of an agent; its journal begins with it."""
        principal.require("sessions:write")
        session_id, now = SessionId(new_id("session")), self._clock.now()

        def work(conn: Connection) -> tuple[Session, Written | None]:
            agent = _agent(conn, principal, agent_id)
            store.add_session(
                conn, principal.tenant_id, session_id, agent_id=agent.id, title=title, now=now
            )
            written = journal.create(conn, session_id, [_created(agent, session_id)], now=now)
            store.make_current(conn, agent.id, session_id)
            _record(conn, principal, "session.created", session_id, now=now)
            return _session(conn, principal, agent_id, session_id), written

        session, _ = await self._database.write(work)
        self._bus.publish(tenant_topic(principal.tenant_id))
        return session

    async def send(
        self,
        principal: Principal,
        agent_id: str,
        session_id: str,
        *,
        text: str,
        message_id: str | None = None,
    ) -> Queued:
        """Give the agent a message: durable, and sure to be answered, when this returns.

        A `message_id` that the session has already changes nothing and gets the same answer.
        """
        principal.require("sessions:write")
        if not text.strip():
            raise _invalid("text", "The message is empty.", hint="Say what the agent should do.")
        message_id = message_id or new_id("message")

        def work(conn: Connection) -> tuple[Queued, Written | None]:
            session = _locked(conn, principal, agent_id, session_id)
            known = journal.seq_of(conn, session.id, message_key(message_id))
            if known is not None:
                return Queued(message_id=message_id, seq=known), None
            sender = store.name_of_user(conn, principal.user_id)
            body = MessageReceived(message_id=message_id, text=text, sender=sender)
            draft = Draft(body, message_key(message_id))
            written = self._post_and_queue(conn, principal, session, draft, "message.sent")
            return Queued(message_id=message_id, seq=written.last_seq), written

        queued, written = await self._database.write(work)
        self._ring(written)
        return queued

    async def decide(
        self,
        principal: Principal,
        agent_id: str,
        session_id: str,
        call_id: str,
        *,
        decision: Literal["allow", "deny"],
        note: str = "",
    ) -> None:
        """Allow or deny a tool call that waits. Raises `NoSuchApproval`, `AlreadyDecided`."""
        principal.require("approvals:decide")

        def work(conn: Connection) -> Written:
            session = _locked(conn, principal, agent_id, session_id)
            asked, decided = store.decision_on(conn, session.id, call_id)
            if not asked:
                raise NoSuchApproval(f"No call {call_id[:80]!r} of this session waits.")
            if decided is not None:
                raise AlreadyDecided(f"The call {call_id!r} was decided before: {decided}.")
            by = store.name_of_user(conn, principal.user_id)
            body = PermissionDecided(call_id=call_id, decision=decision, note=note, by=by)
            draft = Draft(body, decision_key(call_id))
            return self._post_and_queue(conn, principal, session, draft, f"call.{decision}")

        self._ring(await self._database.write(work))

    async def interrupt(self, principal: Principal, agent_id: str, session_id: str) -> None:
        """Stop the turn that runs, waits or is queued; without one, nothing happens."""
        principal.require("sessions:write")

        def work(conn: Connection) -> Written | None:
            session = _locked(conn, principal, agent_id, session_id)
            if session.state is AgentState.READY and not queue.is_open(
                conn, kind=TURN, subject=session.id
            ):
                return None
            by = store.name_of_user(conn, principal.user_id)
            draft = Draft(InterruptRequested(by=by))
            return self._post_and_queue(conn, principal, session, draft, "turn.interrupted")

        self._ring(await self._database.write(work))

    async def approvals(self, principal: Principal) -> list[Approval]:
        """What waits for a person in the tenant, the oldest first."""
        principal.require("sessions:read")
        return await self._database.read(
            lambda conn: store.pending_approvals(conn, principal.tenant_id)
        )

    async def events(
        self,
        session_id: SessionId,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int,
        types: Sequence[str] | None = None,
    ) -> list[EventRow]:
        """Events of a session that the caller was allowed to see (`session`), in order.

        `before`: the last ones below that number instead of the first above `after`.
        """
        if before is not None:
            return await self._database.read(
                lambda conn: journal.read_before(
                    conn, session_id, before=before, limit=limit, types=types
                )
            )
        return await self._database.read(
            lambda conn: journal.read(conn, session_id, after=after, limit=limit, types=types)
        )

    # --- for the runtime --------------------------------------------------------------------------

    async def post_of(self, session_id: str, name: str) -> Post:
        """The post of a session's agent as it is now, with the agent's overrides.

        The runtime's `PostSource`; `name` is what the post was called when the session began.
        """
        found = await self._database.read(lambda conn: store.post_of_session(conn, session_id))
        if found is None:
            raise UnknownAgent(f"There is no session {session_id!r}.")
        post, overrides = found
        return replace(
            post,
            model=overrides.model or post.model,
            permissions=overrides.permissions or post.permissions,
            tools=tuple(tool for tool in post.tools if tool not in WITHOUT_TENANT),
        )

    async def workspace_of(self, session_id: str, metadata: JsonObject) -> Path:
        """The directory of a session's agent. The runtime's `WorkspaceSource`."""
        return self._workspaces.path(AgentId(metadata["agent_id"]))

    # --- one step each ----------------------------------------------------------------------------

    async def _add_agent(
        self,
        principal: Principal,
        agent_id: AgentId,
        *,
        name: str,
        post_id: str,
        overrides: Overrides,
        repository: Repository | None,
        place: Place,
    ) -> Agent:
        now = self._clock.now()

        def work(conn: Connection) -> Agent:
            store.add_agent(
                conn,
                principal.tenant_id,
                agent_id,
                name=name,
                post_id=_post(conn, principal, post_id).id,
                overrides=overrides,
                repository=repository,
                branch=place.branch,
                base=place.base,
                now=now,
            )
            agent = _agent(conn, principal, agent_id)
            _record(conn, principal, "agent.created", agent_id, now=now, after=_digestible(agent))
            return agent

        agent = await self._named("an agent", name, work)
        self._bus.publish(tenant_topic(principal.tenant_id))
        return agent

    def _post_and_queue(
        self, conn: Connection, principal: Principal, session: Session, draft: Draft, action: str
    ) -> Written:
        """What a person said, the run that takes it up, and the audit: all or nothing."""
        now = self._clock.now()
        written = journal.post(conn, session.id, [draft], now=now)
        queue.enqueue(
            conn,
            tenant_id=principal.tenant_id,
            kind=TURN,
            subject=session.id,
            lane=lane_of(session.agent_id),
            requester=principal.user_id,
            now=now,
        )
        _record(conn, principal, action, session.id, now=now)
        return written

    def _ring(self, written: Written | None) -> None:
        if written is not None:
            written.ring(self._bus)
            self._bus.publish(RUNS_TOPIC)

    async def _named(self, what: str, name: str, work: Callable[[Connection], T]) -> T:
        """Write; a name that somebody has is told as such."""
        try:
            return await self._database.write(work)
        except Exception as error:
            if unique_violation(error):
                raise NameTaken(what, name) from error
            raise

    def _checked(self, post: Post) -> Post:
        known = {tool.name for tool in self.tools}
        of_servers = [f"{server.prefix}*" for server in self._mcp_servers]
        unknown = [
            name
            for name in post.tools
            if name not in known and not any(one.is_meant_by(name) for one in self._mcp_servers)
        ]
        if unknown:
            raise _invalid(
                "tools",
                f"There is no tool {unknown[0]!r}.",
                hint=f"The tools are: {', '.join([*sorted(known), *of_servers])}.",
            )
        return replace(post, name=_checked_name(post.name), tools=tuple(dict.fromkeys(post.tools)))


def add_default_posts(conn: Connection, tenant_id: TenantId, now: datetime) -> None:
    """What a new tenant has from the start; for identity's `tenant_made`."""
    for post in DEFAULT_POSTS:
        post_id = PostId(new_id("post"))
        store.add_post(conn, tenant_id, post_id, post, now=now)
        audit.record(
            conn,
            actor=SYSTEM,
            now=now,
            action="post.created",
            target=post_id,
            tenant_id=tenant_id,
            after={"name": post.name},
        )


def slug(name: str) -> str:
    """A name as a part of a branch."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return "-".join(words)[:40].strip("-") or "agent"


def _changed(post: Post, changes: PostChanges) -> Post:
    given = {
        name: value
        for name in ("name", "description", "prompt", "model", "tools", "permissions", "hosts")
        if (value := getattr(changes, name)) is not None
    }
    return replace(post, **given, limits=replace(post.limits, **(changes.limits or {})))


def _created(agent: Agent, session_id: SessionId) -> Draft:
    # The workspace is found by the agent's id, without the database.
    metadata = {"agent_id": agent.id}
    return Draft(AgentCreated(agent_id=session_id, post=agent.post_name, metadata=metadata))


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > NAME_CHARACTERS or not name.isprintable():
        raise _invalid("name", f"A name has 1 to {NAME_CHARACTERS} printable characters.")
    return name


def _check_new_agent(conn: Connection, principal: Principal, name: str, post_id: str) -> None:
    """What can be refused before a repository is cloned."""
    if store.find_post(conn, principal.tenant_id, post_id) is None:
        raise _invalid("post_id", f"There is no post {post_id[:80]!r}.")
    if store.agent_name_taken(conn, principal.tenant_id, name):
        raise NameTaken("an agent", name)


def _post(conn: Connection, principal: Principal, post_id: str) -> StoredPost:
    post = store.find_post(conn, principal.tenant_id, post_id)
    if post is None:
        raise NoSuchPost(post_id)
    return post


def _agent(conn: Connection, principal: Principal, agent_id: str) -> Agent:
    agent = store.find_agent(conn, principal.tenant_id, agent_id)
    if agent is None:
        raise NoSuchAgent(agent_id)
    return agent


def _session(conn: Connection, principal: Principal, agent_id: str, session_id: str) -> Session:
    _agent(conn, principal, agent_id)
    session = store.find_session(conn, principal.tenant_id, session_id, agent_id=agent_id)
    if session is None:
        raise NoSuchSession(session_id)
    return session


def _locked(conn: Connection, principal: Principal, agent_id: str, session_id: str) -> Session:
    session = store.lock_session(conn, principal.tenant_id, session_id, agent_id=agent_id)
    if session is None:
        _agent(conn, principal, agent_id)
        raise NoSuchSession(session_id)
    return session


def _record(
    conn: Connection,
    principal: Principal,
    action: str,
    target: str,
    *,
    now: datetime,
    before: Json = None,
    after: Json = None,
) -> None:
    audit.record(
        conn,
        actor=principal,
        now=now,
        action=action,
        target=target,
        tenant_id=principal.tenant_id,
        before=before,
        after=after,
    )


def _digestible(agent: Agent) -> Json:
    permissions = agent.overrides.permissions
    return {
        "name": agent.name,
        "post_id": agent.post_id,
        "model": agent.overrides.model,
        "permissions": None if permissions is None else repr(permissions),
    }


def _invalid(field: str, message: str, *, hint: str | None = None) -> InvalidInput:
    return InvalidInput(message, hint=hint, errors=[{"field": field, "message": message}])
