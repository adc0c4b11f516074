"""Posts: the roles that agents follow, in versions.

`api.posts` calls it for HTTP; the runtime asks `of_session` for the post of a turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from longhouse.agents.errors import ChangedMeanwhile, PostInUse, invalid
from longhouse.agents.models import PostId, StoredPost
from longhouse.agents.service.access import checked_name, find_post, record, write_named
from longhouse.agents.store import posts as store
from longhouse.identity import audit
from longhouse.identity.auth import Principal
from longhouse.identity.models import SYSTEM, TenantId
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database
from longhouse.kit.db.pages import Page
from longhouse.kit.errors import LonghouseError
from longhouse.kit.ids import new_id
from longhouse.protocol.events import JsonObject
from longhouse.runtime.journals.base import UnknownAgent
from longhouse.runtime.mcp.server import McpServer
from longhouse.runtime.posts import Mode, Permissions, Post
from longhouse.runtime.runtime import UnknownPost
from longhouse.runtime.tools.base import Tool

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


class Posts:
    """The tenants' posts. One for each process."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        tools: Sequence[Tool],
        mcp_servers: Sequence[McpServer] = (),
    ) -> None:
        """Posts may name these tools, and those of these MCP servers."""
        self._database = database
        self._clock = clock
        self._mcp_servers = tuple(mcp_servers)
        self.tools = tuple(tools)

    async def list_page(
        self, principal: Principal, *, after: str | None, limit: int
    ) -> Page[StoredPost]:
        """The tenant's posts, the oldest first."""
        principal.require("posts:read")
        tenant_id = principal.tenant_id
        return await self._database.read(
            lambda conn: store.list_page(conn, tenant_id, after=after, limit=limit)
        )

    async def get(self, principal: Principal, post_id: str) -> StoredPost:
        """A post in its newest version."""
        principal.require("posts:read")
        return await self._database.read(lambda conn: find_post(conn, principal, post_id))

    async def create(self, principal: Principal, post: Post) -> StoredPost:
        """A new post. Raises `NameTaken`, `InvalidInput`."""
        principal.require("posts:write")
        post = self._checked(post)
        post_id, now = PostId(new_id("post")), self._clock.now()

        def work(conn: Connection) -> StoredPost:
            store.add(conn, principal.tenant_id, post_id, post, now=now)
            record(conn, principal, "post.created", post_id, now=now, after={"name": post.name})
            return find_post(conn, principal, post_id)

        return await write_named(self._database, "a post", post.name, work)

    async def change(self, principal: Principal, post_id: str, changes: PostChanges) -> StoredPost:
        """A new version of a post; its agents follow at their next turn."""
        principal.require("posts:write")
        now = self._clock.now()

        def work(conn: Connection) -> StoredPost:
            before = find_post(conn, principal, post_id)
            after = self._checked(_changed(before.definition, changes))
            if after != before.definition:
                if not store.change(conn, before.id, after, version=before.version, now=now):
                    raise ChangedMeanwhile
                record(
                    conn,
                    principal,
                    "post.changed",
                    post_id,
                    now=now,
                    before={"version": before.version},
                    after={"version": before.version + 1},
                )
            return find_post(conn, principal, post_id)

        return await write_named(self._database, "a post", changes.name or "", work)

    async def delete(self, principal: Principal, post_id: str) -> None:
        """Delete a post nobody follows. Raises `PostInUse`."""
        principal.require("posts:write")
        now = self._clock.now()

        def work(conn: Connection) -> None:
            post = find_post(conn, principal, post_id)
            if count := store.count_agents(conn, post.id):
                raise PostInUse(count)
            store.remove(conn, post.id)
            record(conn, principal, "post.deleted", post_id, now=now)

        await self._database.write(work)

    # --- for the runtime --------------------------------------------------------------------------

    async def of_session(self, session_id: str, name: str) -> Post:
        """The post of a session as it is now; an agent's own with the agent's overrides.

        The runtime's `PostSource`; `name` is what the post was called when the session began. A
        sub-agent's is the tenant's post of that name. Raises `UnknownAgent`, `UnknownPost`.
        """

        found = await self._database.read(lambda conn: store.of_session(conn, session_id))
        if found is None:
            raise await self._missing(session_id, name)
        post, overrides = found
        return replace(
            post,
            model=overrides.model or post.model,
            permissions=overrides.permissions or post.permissions,
        )

    async def _missing(self, session_id: str, name: str) -> LonghouseError:
        """Why a session has no post."""
        names = await self._database.read(lambda conn: store.names_for(conn, session_id))
        if not names:
            return UnknownAgent(f"There is no session {session_id!r}.")
        return UnknownPost(f"There is no post {name!r}.", hint=f"Posts: {', '.join(names)}.")

    def _checked(self, post: Post) -> Post:
        known = {tool.name for tool in self.tools}
        of_servers = [f"{server.prefix}*" for server in self._mcp_servers]
        unknown = [
            name
            for name in post.tools
            if name not in known and not any(one.is_meant_by(name) for one in self._mcp_servers)
        ]
        if unknown:
            raise invalid(
                "tools",
                f"There is no tool {unknown[0]!r}.",
                hint=f"The tools are: {', '.join([*sorted(known), *of_servers])}.",
            )
        return replace(post, name=checked_name(post.name), tools=tuple(dict.fromkeys(post.tools)))


def add_default_posts(conn: Connection, tenant_id: TenantId, now: datetime) -> None:
    """What a new tenant has from the start; for identity's `tenant_made`."""
    for post in DEFAULT_POSTS:
        post_id = PostId(new_id("post"))
        store.add(conn, tenant_id, post_id, post, now=now)
        audit.record(
            conn,
            actor=SYSTEM,
            now=now,
            action="post.created",
            target=post_id,
            tenant_id=tenant_id,
            after={"name": post.name},
        )


def _changed(post: Post, changes: PostChanges) -> Post:
    given = {
        name: value
        for name in ("name", "description", "prompt", "model", "tools", "permissions", "hosts")
        if (value := getattr(changes, name)) is not None
    }
    return replace(post, **given, limits=replace(post.limits, **(changes.limits or {})))
