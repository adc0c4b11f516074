"""What the room's API takes and answers: one model for each body, and how values become them.

Used by `api` only; the OpenAPI document and the console's client are made from these. They check
shapes and sizes; what a value means is checked by `service`.
"""

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from longhouse.agents.models import (
    NAME_CHARACTERS,
    TITLE_CHARACTERS,
    Agent,
    Approval,
    Overrides,
    Repository,
    Session,
    StoredPost,
)
from longhouse.agents.states import AgentStatus
from longhouse.agents.workspaces import FileStatus
from longhouse.kit.db.tables import JsonDocument
from longhouse.protocol.events import AgentState, Channel, TodoStatus
from longhouse.runtime.models.environment import AUTO
from longhouse.runtime.permissions import check_pattern
from longhouse.runtime.posts import DEFAULT_TOOLS, Limits, Mode, Permissions, Post, Rule, Verdict
from longhouse.runtime.sandbox import egress_hosts

PROMPT_CHARACTERS = 200_000
MESSAGE_CHARACTERS = 500_000
SOME_CHARACTERS = 4000
MOST_RULES = 500
MOST_TOOLS = 200
MOST_HOSTS = 200

Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS, examples=["Ada"])]
Words = Annotated[str, Field(max_length=SOME_CHARACTERS)]


class Body(BaseModel):
    """What a client sends: a field it does not have is an error and not ignored."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _can_be_stored(cls, value: object) -> object:
        if _has_nul(value):
            raise ValueError("the character NUL cannot be stored")
        return value


def _has_nul(value: object) -> bool:
    """Whether there is a NUL anywhere in a JSON value: PostgreSQL stores none."""
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(_has_nul(part) for pair in value.items() for part in pair)
        case list():
            return any(_has_nul(part) for part in value)
        case _:
            return False


# --- posts ----------------------------------------------------------------------------------------


class RuleView(Body):
    """One line of permissions."""

    verdict: Verdict
    pattern: str = Field(
        max_length=1000,
        description="A tool's name, or one with a glob over its main argument.",
        examples=["bash_run(git *)", "fs_*"],
    )

    @field_validator("pattern")
    @classmethod
    def _can_match(cls, value: str) -> str:
        check_pattern(value)
        return value


class PermissionsView(Body):
    """What tool calls may do. Deny beats allow beats ask beats mode, whatever the order."""

    mode: Mode = Field(Mode.ASK, description="What happens to a call that no rule names.")
    rules: list[RuleView] = Field(default_factory=list, max_length=MOST_RULES)

    def value(self) -> Permissions:
        """As the runtime has it."""
        rules = tuple(Rule(verdict=rule.verdict, pattern=rule.pattern) for rule in self.rules)
        return Permissions(mode=self.mode, rules=rules)


class LimitsView(Body):
    """What one turn may use."""

    steps: int = Field(Limits.steps, ge=1, le=10_000, description="Model calls.")
    tokens: int = Field(Limits.tokens, ge=1, le=10**12, description="Input and output together.")
    wall_seconds: float = Field(
        Limits.wall_seconds,
        gt=0,
        le=10**9,
        description="Seconds at work; waiting for a person does not count.",
    )
    identical_calls: int = Field(
        Limits.identical_calls, ge=1, le=10_000, description="The same tool call in a row."
    )
    parallel_tools: int = Field(Limits.parallel_tools, ge=1, le=64, description="Calls at once.")
    output_tokens: int = Field(
        Limits.output_tokens, ge=1, le=10**9, description="Of one model call."
    )
    context_tokens: int = Field(
        Limits.context_tokens,
        ge=1000,
        le=10**9,
        description="Of one model call's input; a longer context is summarised.",
    )


def _can_be_host(value: str) -> str:
    return str(egress_hosts.pattern(value))


HostName = Annotated[
    str,
    Field(
        max_length=300,
        description="A host, or `*.` and one whose subdomains are meant; without a port, 80 and "
        "443.",
        examples=["example.org", "*.example.org", "example.org:8443"],
    ),
    AfterValidator(_can_be_host),
]


class PostBody(Body):
    """A new post."""

    name: Name
    description: Words = ""
    prompt: str = Field("", max_length=PROMPT_CHARACTERS, description="The system prompt.")
    model: str = Field(
        AUTO,
        min_length=1,
        max_length=200,
        description="`auto`, or a name of GET /models, or `<provider>:<model>`.",
        examples=["auto", "anthropic:claude-opus-4-5"],
    )
    tools: list[str] = Field(list(DEFAULT_TOOLS), max_length=MOST_TOOLS)
    permissions: PermissionsView = Field(default_factory=PermissionsView)
    limits: LimitsView = Field(default_factory=LimitsView)
    hosts: list[HostName] = Field(
        default_factory=list,
        max_length=MOST_HOSTS,
        description="What commands may reach; none: they have no network.",
    )

    def value(self) -> Post:
        """As the runtime has it."""
        return Post(
            name=self.name,
            description=self.description,
            prompt=self.prompt,
            model=self.model,
            tools=tuple(self.tools),
            permissions=self.permissions.value(),
            limits=Limits(**self.limits.model_dump()),
            hosts=tuple(self.hosts),
        )


class PostPatch(Body):
    """What changes of a post; the rest stays."""

    name: Name | None = None
    description: Words | None = None
    prompt: str | None = Field(None, max_length=PROMPT_CHARACTERS)
    model: str | None = Field(None, min_length=1, max_length=200)
    tools: list[str] | None = Field(None, max_length=MOST_TOOLS)
    permissions: PermissionsView | None = None
    limits: LimitsView | None = Field(None, description="Only the limits that change.")
    hosts: list[HostName] | None = Field(None, max_length=MOST_HOSTS)


class PostView(PostBody):
    """A post in its newest version."""

    id: str
    version: int
    created_at: datetime
    updated_at: datetime


class PostPage(BaseModel):
    """Posts, the oldest first."""

    items: list[PostView]
    next: str | None = Field(description="Give it as `after`; null on the last page.")


class ToolView(BaseModel):
    """A tool that posts may name."""

    name: str
    description: str
    reads_only: bool | None = Field(description="null: nobody knows.")
    # `schema` is taken by pydantic's own method.
    arguments: dict[str, Any] = Field(alias="schema", description="JSON Schema of the arguments.")


class ToolList(BaseModel):
    """All tools."""

    items: list[ToolView]


class ModelView(BaseModel):
    """A model that posts may name."""

    name: str
    available: bool
    reason: str = Field(description="Why it is available, or what to do so that it is.")


class ModelList(BaseModel):
    """The models known by name; any other is `<provider>:<model>`."""

    items: list[ModelView]
    default: str = Field(description="What `auto` means here.", examples=["demo"])


# --- agents ---------------------------------------------------------------------------------------


class OverridesView(Body):
    """What an agent does differently from its post; what is left out is as the post says."""

    model: str | None = Field(None, min_length=1, max_length=200)
    permissions: PermissionsView | None = None

    def value(self) -> Overrides:
        """As the service has it."""
        permissions = None if self.permissions is None else self.permissions.value()
        return Overrides(model=self.model, permissions=permissions)


class RepositoryBody(Body):
    """What the agent's workspace is made from."""

    source: str = Field(
        min_length=1,
        max_length=2000,
        description="A path on the server, an address, or `sample`.",
        examples=["sample", "https://example.org/project.git", "/srv/git/project"],
    )
    ref: str | None = Field(
        None,
        min_length=1,
        max_length=250,
        description="Branch, tag or commit; without it the repository's main branch.",
    )

    def value(self) -> Repository:
        """As the service has it."""
        return Repository(source=self.source.strip(), ref=self.ref)


class AgentBody(Body):
    """A new agent."""

    name: Name
    post_id: str = Field(max_length=100)
    overrides: OverridesView = Field(default_factory=OverridesView)
    repository: RepositoryBody | None = Field(None, description="null: it begins with nothing.")


class AgentPatch(Body):
    """What changes of an agent; the rest stays."""

    name: Name | None = None
    post_id: str | None = Field(None, max_length=100)
    overrides: OverridesView | None = Field(None, description="All overrides, if any change.")


class PostOfAgent(BaseModel):
    """The post an agent follows, in the version its next turn has."""

    id: str
    name: str
    version: int


class RepositoryView(BaseModel):
    """What the workspace was made from, and the branch the agent works on."""

    source: str
    ref: str | None
    branch: str


class Tokens(BaseModel):
    """Tokens used, as the vendors counted them."""

    input: int
    output: int


class AgentView(BaseModel):
    """An AI employee."""

    id: str
    name: str
    post: PostOfAgent
    model: str = Field(description="By its own choice or its post's.")
    overrides: OverridesView
    repository: RepositoryView | None
    status: AgentStatus
    current_session_id: str | None = Field(description="The session that moved last.")
    tokens: Tokens
    created_at: datetime
    updated_at: datetime


class AgentPage(BaseModel):
    """Agents, the newest first."""

    items: list[AgentView]
    next: str | None = Field(description="Give it as `after`; null on the last page.")


class DiffFormat(StrEnum):
    """How a diff is answered."""

    JSON = "json"  # for the console
    PATCH = "patch"  # a file that `git apply` takes


class DiffFile(BaseModel):
    """One changed file."""

    path: str
    status: FileStatus
    additions: int | None = Field(description="Lines; null for a file that is not text.")
    deletions: int | None


class DiffView(BaseModel):
    """Everything the agent changed since it began, untracked files included."""

    base: str = Field(description="The commit it began with.")
    branch: str
    files: list[DiffFile]
    patch: str


class CommitBody(Body):
    """Where to commit the agent's work."""

    branch: str = Field(min_length=1, max_length=200, examples=["longhouse/ada"])
    message: str = Field(min_length=1, max_length=20_000, examples=["Make the failing test pass"])


class CommitView(BaseModel):
    """A commit."""

    branch: str
    commit: str
    files: int = Field(description="How many files it changes.")


# --- sessions -------------------------------------------------------------------------------------


class SessionBody(Body):
    """A new session."""

    title: str = Field(
        "", max_length=TITLE_CHARACTERS, description="Without one, the first message gives it."
    )


class TodoView(BaseModel):
    """One line of the agent's plan."""

    id: str
    title: str
    status: TodoStatus


class ApprovalView(BaseModel):
    """A tool call that waits for a person."""

    agent_id: str
    agent_name: str
    session_id: str
    call_id: str
    name: str = Field(description="Of the tool.")
    arguments: dict[str, Any]
    reason: str = Field(description="The mode or rule that asks.")
    preview: str = Field(description="Unified diff of what it would change, where known.")
    requested_at: datetime


class ApprovalList(BaseModel):
    """Everything of the tenant that waits for a person, the oldest first."""

    items: list[ApprovalView]


class UsageView(BaseModel):
    """Tokens of a session."""

    input: int
    output: int
    cached: int = Field(description="The part of `input` read from a vendor's cache.")
    reasoning: int = Field(description="The part of `output` that was thinking.")


class SessionView(BaseModel):
    """One conversation of an agent."""

    id: str
    agent_id: str
    title: str
    state: AgentState
    turn: int
    step: int
    last_seq: int = Field(description="Number of its last event.")
    todos: list[TodoView]
    approvals: list[ApprovalView]
    usage: UsageView
    created_at: datetime
    updated_at: datetime


class SessionPage(BaseModel):
    """Sessions of an agent, the newest first."""

    items: list[SessionView]
    next: str | None = Field(description="Give it as `after`; null on the last page.")


class MessageBody(Body):
    """Something to say to the agent."""

    text: str = Field(max_length=MESSAGE_CHARACTERS, examples=["Make the failing test pass"])
    message_id: str | None = Field(
        None,
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="Your own id: sending it twice is sending it once.",
    )


class QueuedView(BaseModel):
    """The message is durable and will be answered."""

    status: Literal["queued"] = "queued"
    message_id: str
    seq: int = Field(description="Number of its event.")


class DecisionBody(Body):
    """A person's word on a tool call."""

    decision: Literal["allow", "deny"]
    note: Words = Field("", description="The agent reads it.")


class EventView(BaseModel):
    """One entry of the journal. The fields of its type follow, without those that have defaults."""

    model_config = ConfigDict(extra="allow")

    seq: int
    time: datetime
    channel: Channel
    type: str = Field(examples=["text"])


class EventPage(BaseModel):
    """Events in the order of their numbers."""

    items: list[EventView]
    next: int | None = Field(
        description="Where to go on: the next `after`, or, going backwards, the next `before`. "
        "null: there are no more."
    )


# --- values into answers --------------------------------------------------------------------------


def post_view(post: StoredPost) -> PostView:
    """A post as clients see one."""
    definition = post.definition
    return PostView(
        id=post.id,
        name=definition.name,
        description=definition.description,
        prompt=definition.prompt,
        model=definition.model,
        tools=list(definition.tools),
        permissions=permissions_view(definition.permissions),
        limits=LimitsView(**asdict(definition.limits)),
        hosts=list(definition.hosts),
        version=post.version,
        created_at=post.created_at,
        updated_at=post.updated_at,
    )


def permissions_view(permissions: Permissions) -> PermissionsView:
    """Permissions as clients see them."""
    rules = [RuleView(verdict=rule.verdict, pattern=rule.pattern) for rule in permissions.rules]
    return PermissionsView(mode=permissions.mode, rules=rules)


def agent_view(agent: Agent) -> AgentView:
    """An agent as clients see one."""
    repository, own = agent.repository, agent.overrides.permissions
    return AgentView(
        id=agent.id,
        name=agent.name,
        post=PostOfAgent(id=agent.post_id, name=agent.post_name, version=agent.post_version),
        model=agent.model,
        overrides=OverridesView(
            model=agent.overrides.model, permissions=None if own is None else permissions_view(own)
        ),
        repository=repository
        and RepositoryView(source=repository.source, ref=repository.ref, branch=agent.branch),
        status=agent.status,
        current_session_id=agent.current_session_id,
        tokens=Tokens(input=agent.input_tokens, output=agent.output_tokens),
        created_at=agent.created_at,
        updated_at=agent.updated_at,
    )


def session_view(session: Session) -> SessionView:
    """A session as clients see one."""
    return SessionView(
        id=session.id,
        agent_id=session.agent_id,
        title=session.title,
        state=session.state,
        turn=session.turn,
        step=session.step,
        last_seq=session.last_seq,
        todos=[
            TodoView(id=todo.id, title=todo.title, status=todo.status) for todo in session.todos
        ],
        approvals=[approval_view(one) for one in session.approvals],
        usage=UsageView(
            input=session.usage.input,
            output=session.usage.output,
            cached=session.usage.cached,
            reasoning=session.usage.reasoning,
        ),
        created_at=session.created_at,
        updated_at=session.updated_at,
    )


def approval_view(approval: Approval) -> ApprovalView:
    """An approval as clients see one."""
    arguments: dict[str, JsonDocument] = approval.arguments
    return ApprovalView(
        agent_id=approval.agent_id,
        agent_name=approval.agent_name,
        session_id=approval.session_id,
        call_id=approval.call_id,
        name=approval.name,
        arguments=arguments,
        reason=approval.reason,
        preview=approval.preview,
        requested_at=approval.requested_at,
    )
