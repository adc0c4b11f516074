"""What the server answers, as values: only the members that the command line shows.

`client` decodes into these. Members a newer server adds are ignored; one that is missing makes the
whole answer one that is not understood.
"""

from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from longhouse.protocol.events import AgentState, JsonObject, Todo, Usage

T = TypeVar("T")


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Anything the server answers with."""


class Page(Model, Generic[T], frozen=True, kw_only=True):
    """A part of a list, and where the next part begins."""

    items: tuple[T, ...]
    next: str | int | None = None


class User(Model, frozen=True, kw_only=True):
    """Somebody who signs in."""

    id: str
    username: str
    display_name: str = ""


class Tenant(Model, frozen=True, kw_only=True):
    """An organisation the user belongs to."""

    id: str
    name: str
    role: str


class Tokens(Model, frozen=True, kw_only=True):
    """The answer to a sign-in or a refresh."""

    access_token: str
    refresh_token: str
    expires_in: int  # seconds
    user: User
    tenants: tuple[Tenant, ...] = ()


class Rule(Model, frozen=True, kw_only=True):
    """One line of a post's permissions."""

    verdict: str
    pattern: str


class Permissions(Model, frozen=True, kw_only=True):
    """What an agent may do without asking."""

    mode: str
    rules: tuple[Rule, ...] = ()


class Post(Model, frozen=True, kw_only=True):
    """A role template."""

    id: str
    name: str
    description: str = ""
    prompt: str = ""
    model: str = "auto"
    tools: tuple[str, ...] = ()
    permissions: Permissions
    limits: dict[str, float | int] = {}
    hosts: tuple[str, ...] = ()
    version: int = 1
    created_at: datetime
    updated_at: datetime


class PostOfAgent(Model, frozen=True, kw_only=True):
    """The post an agent is an instance of."""

    id: str
    name: str
    version: int = 1


class Repository(Model, frozen=True, kw_only=True):
    """What an agent works in."""

    source: str
    ref: str | None = None
    branch: str = ""


class TokenCount(Model, frozen=True, kw_only=True):
    """Tokens spent so far."""

    input: int = 0
    output: int = 0


class Agent(Model, frozen=True, kw_only=True):
    """An AI employee."""

    id: str
    name: str
    post: PostOfAgent
    model: str
    repository: Repository | None = None
    status: str
    current_session_id: str | None = None
    tokens: TokenCount = TokenCount()
    created_at: datetime
    updated_at: datetime


class Approval(Model, frozen=True, kw_only=True):
    """A tool call that waits for a person."""

    session_id: str
    call_id: str
    agent_id: str
    agent_name: str
    name: str
    arguments: JsonObject
    reason: str = ""
    preview: str = ""
    requested_at: datetime


class Session(Model, frozen=True, kw_only=True):
    """One conversation of an agent."""

    id: str
    agent_id: str
    title: str = ""
    state: AgentState
    turn: int = 0
    step: int = 0
    last_seq: int = 0
    todos: tuple[Todo, ...] = ()
    approvals: tuple[Approval, ...] = ()
    usage: Usage = Usage()
    created_at: datetime
    updated_at: datetime


class Accepted(Model, frozen=True, kw_only=True):
    """A message is stored and will be worked on."""

    message_id: str
    seq: int


class ChangedFile(Model, frozen=True, kw_only=True):
    """One file of a workspace's diff."""

    path: str
    status: str = ""
    additions: int | None = None  # None: not text
    deletions: int | None = None


class WorkspaceDiff(Model, frozen=True, kw_only=True):
    """What an agent changed."""

    base: str = ""
    branch: str = ""
    files: tuple[ChangedFile, ...] = ()
    patch: str = ""


class Committed(Model, frozen=True, kw_only=True):
    """The commit made of an agent's work."""

    branch: str
    commit: str
    files: int


class AuditActor(Model, frozen=True, kw_only=True):
    """Who did something, and where they were."""

    kind: str
    id: str | None = None
    address: str = ""
    request_id: str = ""


class AuditEntry(Model, frozen=True, kw_only=True):
    """Who did what to what, when, with what outcome."""

    id: str
    at: datetime
    actor: AuditActor
    action: str
    target: str = ""
    outcome: str
    reason: str | None = None


class Info(Model, frozen=True, kw_only=True):
    """What runs at an address."""

    name: str
    version: str
