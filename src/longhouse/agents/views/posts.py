"""Posts, tools and models as clients send and see them."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, field_validator

from longhouse.agents.models import StoredPost
from longhouse.agents.views.base import Name, Words
from longhouse.kit.api import Body
from longhouse.runtime.models.environment import AUTO
from longhouse.runtime.permissions import check_pattern
from longhouse.runtime.posts import DEFAULT_TOOLS, Limits, Mode, Permissions, Post, Rule, Verdict
from longhouse.runtime.sandbox import egress_hosts

PROMPT_CHARACTERS = 200_000
MOST_RULES = 500
MOST_TOOLS = 200
MOST_HOSTS = 200


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
    server: str | None = Field(None, description="The MCP server it is of; null: the house's own.")
    description: str
    reads_only: bool | None = Field(description="null: nobody knows.")
    # `schema` is taken by pydantic's own method.
    arguments: dict[str, Any] = Field(alias="schema", description="JSON Schema of the arguments.")


class SilentServer(BaseModel):
    """An MCP server whose tools are not known now."""

    server: str
    reason: str


class ToolList(BaseModel):
    """All tools, the house's own first."""

    items: list[ToolView]
    silent: list[SilentServer] = Field(
        default_factory=list, description="MCP servers that did not list their tools, and why."
    )


class ModelView(BaseModel):
    """A model that posts may name."""

    name: str
    available: bool
    reason: str = Field(description="Why it is available, or what to do so that it is.")


class ModelList(BaseModel):
    """The models known by name; any other is `<provider>:<model>`."""

    items: list[ModelView]
    default: str = Field(description="What `auto` means here.", examples=["demo"])


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
