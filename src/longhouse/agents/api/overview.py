"""What a tenant has, in numbers, over HTTP."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from longhouse.agents.api.base import CurrentOverview, CurrentRuntime
from longhouse.agents.states import AgentStatus
from longhouse.identity.api.base import CurrentPrincipal

router = APIRouter(tags=["house"])


class AgentNumbers(BaseModel):
    """Agents by what they do."""

    idle: int
    busy: int
    waiting: int


class RuntimeNumbers(BaseModel):
    """What agents run on."""

    store: str = Field(description="The kind of database that keeps the journals.")
    posts: int
    tools: int = Field(description="Those known now: of MCP servers, once they were used.")


class OverviewView(BaseModel):
    """A tenant in numbers."""

    agents: AgentNumbers
    users: int = Field(description="Members of the tenant.")
    runtime: RuntimeNumbers


@router.get("/overview")
async def get_overview(
    principal: CurrentPrincipal, overview: CurrentOverview, runtime: CurrentRuntime
) -> OverviewView:
    """The tenant in numbers."""
    numbers = await overview.numbers(principal)
    return OverviewView(
        agents=AgentNumbers(
            **{status.value: numbers.agents.get(status, 0) for status in AgentStatus}
        ),
        users=numbers.users,
        runtime=RuntimeNumbers(
            store=numbers.database, posts=numbers.posts, tools=len(runtime.tools)
        ),
    )
