"""The tables of posts, agents, sessions and their journals, and the values read from them.

`store` and `journal` read and write them. A session's row, an agent's status and the approvals are
projections of the journal, kept by the writes that append to it; the events are the truth.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from longhouse.agents.states import AgentStatus
from longhouse.identity.models import TenantId
from longhouse.kit.db.tables import Document, JsonDocument, UtcDateTime, metadata
from longhouse.protocol.events import AgentState, Todo, Usage
from longhouse.runtime.posts import Permissions, Post

PostId = NewType("PostId", str)
AgentId = NewType("AgentId", str)
SessionId = NewType("SessionId", str)

TURN = "turn"
"""The kind of run that executes a session's turn; its subject is the session's id."""

NAME_CHARACTERS = 100
TITLE_CHARACTERS = 200


def tenant_topic(tenant_id: str) -> str:
    """The bus topic that rings when lists and the inbox of a tenant have changed."""
    return f"tenant.{tenant_id}"


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def _tenant() -> Column[str]:
    return Column("tenant_id", String, ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False)


def _index_where_set(name: str, *columns: Column[str], unique: bool = False) -> None:
    """An index over the rows in which the last of the columns is set."""
    set_ = text(f"{columns[-1].name} IS NOT NULL")
    Index(name, *columns, unique=unique, sqlite_where=set_, postgresql_where=set_)


def _unique_where_set(name: str, *columns: Column[str]) -> None:
    _index_where_set(name, *columns, unique=True)


posts = Table(
    "posts",
    metadata,
    Column("id", String, primary_key=True),
    _tenant(),
    Column("name", String, nullable=False),
    Column("version", Integer, nullable=False),  # the newest; agents follow it
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant_id", "name"),
)

post_versions = Table(
    "post_versions",
    metadata,
    Column("post_id", String, ForeignKey("posts.id", ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("definition", Document, nullable=False),  # a runtime post, as msgspec writes it
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("post_id", "version"),
)

agents = Table(
    "agents",
    metadata,
    Column("id", String, primary_key=True),
    _tenant(),
    Column("name", String, nullable=False),
    Column("external_id", String, nullable=True),  # what clients call it that have ids of their own
    Column("post_id", String, ForeignKey("posts.id"), nullable=False),
    Column("overrides", Document, nullable=False),  # {"model"?, "permissions"?}
    # What its workspace was cloned from; all NULL when it began empty.
    Column("repository_source", String, nullable=True),
    Column("repository_ref", String, nullable=True),
    Column("branch", String, nullable=False),  # the one it works on
    Column("base", String, nullable=False),  # the commit its diff is against
    Column("status", String, nullable=False),
    Column("current_session_id", String, nullable=True),  # the one that moved last
    Column("default_session_id", String, nullable=True),  # the one meant where none is named
    Column("input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("output_tokens", BigInteger, nullable=False, server_default="0"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant_id", "name"),
    _one_of("status", AgentStatus),
    Index("agents_by_post", "post_id"),
)
_unique_where_set("agents_by_external_id", agents.c.tenant_id, agents.c.external_id)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),
    _tenant(),
    Column("agent_id", String, ForeignKey("agents.id", ondelete="CASCADE"), nullable=False),
    Column("title", String, nullable=False),
    Column("external_id", String, nullable=True),  # as an agent's, among the agent's sessions
    # Of a sub-agent: the session and the call that it works for, and its post's name. It has the
    # agent, and so the workspace, of that session.
    Column("delegated_by", String, nullable=True),
    Column("delegated_call", String, nullable=True),
    Column("delegated_post", String, nullable=True),
    # The journal: the number of its last event, and the fence of its writer.
    Column("last_seq", BigInteger, nullable=False, server_default="0"),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    # Of a fork: the session that its events up to `fork_seq` belong to. Without a foreign key: an
    # agent's sessions go together, and a session alone goes by `journal.delete`.
    Column("parent_id", String, nullable=True),
    Column("fork_seq", BigInteger, nullable=False, server_default="0"),
    # Of a fork: the session it was made from, which may be gone, and the last event they share.
    Column("forked_from", String, nullable=True),
    Column("forked_after", BigInteger, nullable=True),
    # Projections of its events.
    Column("state", String, nullable=False),
    Column("turn", Integer, nullable=False, server_default="0"),
    Column("step", Integer, nullable=False, server_default="0"),
    Column("todos", Text, nullable=False, server_default="[]"),  # JSON of protocol todos
    Column("input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("output_tokens", BigInteger, nullable=False, server_default="0"),
    Column("cached_tokens", BigInteger, nullable=False, server_default="0"),
    Column("reasoning_tokens", BigInteger, nullable=False, server_default="0"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    _one_of("state", AgentState),
    CheckConstraint("last_seq >= 0", name="last_seq_counts"),
    Index("sessions_by_agent", "agent_id", "id"),
)
_index_where_set("sessions_by_parent", sessions.c.parent_id)
_unique_where_set("sessions_by_external_id", sessions.c.agent_id, sessions.c.external_id)
_unique_where_set("sessions_by_delegation", sessions.c.delegated_by, sessions.c.delegated_call)

events = Table(
    "events",
    metadata,
    # Counts through all journals: where a reader of everything has come to.
    Column(
        "id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    Column("session_id", String, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("time", BigInteger, nullable=False),  # microseconds since 1970
    Column("type", String, nullable=False),
    Column("data", Text, nullable=False),  # `protocol.events.encode_body`, served as it is
    Column("key", String, nullable=True),  # what may happen once in a journal: a decision, …
    UniqueConstraint("session_id", "seq"),
    CheckConstraint("seq > 0", name="seq_counts"),
)
_unique_where_set("events_once", events.c.session_id, events.c.key)

attachments = Table(
    "attachments",
    metadata,
    # The bytes of what is attached to events, beside them: they are read when a model is shown
    # them, and not with the journal.
    Column("session_id", String, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("digest", String, nullable=False),  # SHA-256, in hexadecimal
    Column("seq", BigInteger, nullable=False),  # of the first event that it is attached to
    Column("media_type", String, nullable=False),
    Column("name", String, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("session_id", "digest"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("session_id", String, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("call_id", String, nullable=False),
    _tenant(),
    Column("agent_id", String, nullable=False),
    Column("name", String, nullable=False),  # of the tool
    Column("arguments", Text, nullable=False),  # JSON
    Column("reason", Text, nullable=False),
    Column("preview", Text, nullable=False),
    Column("requested_at", BigInteger, nullable=False),  # microseconds since 1970
    Column("decision", String, nullable=True),  # NULL: waits for a person
    Column("decided_by", String, nullable=True),
    Column("decided_at", BigInteger, nullable=True),
    PrimaryKeyConstraint("session_id", "call_id"),
    CheckConstraint(
        "decision IN ('allow', 'deny', 'cancelled')",
        name="decision_known",
    ),
    CheckConstraint("(decision IS NULL) = (decided_at IS NULL)", name="decided_whole"),
)
Index(
    "approvals_pending",
    approvals.c.tenant_id,
    approvals.c.requested_at,
    sqlite_where=text("decision IS NULL"),
    postgresql_where=text("decision IS NULL"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPost:
    """A post in its newest version."""

    id: PostId
    version: int
    definition: Post
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What an agent does differently from its post. None: as the post says."""

    model: str | None = None
    permissions: Permissions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What a workspace was made from."""

    source: str  # as the person named it: a path, an address, or `sample`
    ref: str | None  # branch, tag or commit they named


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An AI employee."""

    id: AgentId
    tenant_id: TenantId
    name: str
    post_id: PostId
    post_name: str
    post_version: int
    post_model: str
    overrides: Overrides
    repository: Repository | None
    branch: str
    base: str
    status: AgentStatus
    current_session_id: SessionId | None
    default_session_id: SessionId | None  # the one meant where none is named
    input_tokens: int
    output_tokens: int
    created_at: datetime
    updated_at: datetime

    @property
    def model(self) -> str:
        """The model it calls, by its own choice or its post's."""
        return self.overrides.model or self.post_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A tool call that waits for a person."""

    session_id: SessionId
    call_id: str
    agent_id: AgentId
    agent_name: str
    name: str
    arguments: dict[str, JsonDocument]
    reason: str
    preview: str
    requested_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """What a sub-agent's session works for."""

    session_id: SessionId
    call_id: str
    post_name: str  # the sub-agent's


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What a fork was made from."""

    session_id: SessionId  # which may be gone
    after: int  # the last event they share


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One conversation of an agent, as its journal has left it."""

    id: SessionId
    tenant_id: TenantId
    agent_id: AgentId
    title: str
    last_seq: int
    state: AgentState
    turn: int
    step: int
    todos: tuple[Todo, ...]
    usage: Usage
    created_at: datetime
    updated_at: datetime
    delegation: Delegation | None  # of a sub-agent
    lineage: Lineage | None  # of a fork
    approvals: tuple[Approval, ...] = field(default=())
    sub_agents_usage: Usage = field(default_factory=Usage)  # of all below it


def lane_of(agent_id: AgentId) -> str:
    """The lane of an agent's turns: one after the other, for they share a workspace."""
    return agent_id
