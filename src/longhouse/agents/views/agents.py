"""Agents and their workspaces as clients send and see them."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, Field

from longhouse.agents.models import Agent, Overrides, Repository
from longhouse.agents.states import AgentStatus
from longhouse.agents.views.base import Name
from longhouse.agents.views.posts import PermissionsView, permissions_view
from longhouse.agents.workspaces import FileStatus
from longhouse.kit.api import Body


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


class TokenCounts(BaseModel):
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
    tokens: TokenCounts
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


# --- values into answers --------------------------------------------------------------------------


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
        tokens=TokenCounts(input=agent.input_tokens, output=agent.output_tokens),
        created_at=agent.created_at,
        updated_at=agent.updated_at,
    )
