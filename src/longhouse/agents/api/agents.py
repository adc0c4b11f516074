"""Agents and their workspaces over HTTP."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Response

from longhouse.agents.api.base import CurrentAgents
from longhouse.agents.service.agents import AgentChanges
from longhouse.agents.states import AgentStatus
from longhouse.agents.views.agents import (
    AgentBody,
    AgentPage,
    AgentPatch,
    AgentView,
    CommitBody,
    CommitView,
    DiffFile,
    DiffFormat,
    DiffView,
    agent_view,
)
from longhouse.identity.api.base import CurrentPrincipal
from longhouse.kit.api import After, Limit

router = APIRouter(tags=["agents"])


@router.get("/agents")
async def list_agents(
    principal: CurrentPrincipal,
    agents: CurrentAgents,
    status: AgentStatus | None = None,
    search: Annotated[str | None, Query(max_length=200, description="A part of the name.")] = None,
    after: After = None,
    limit: Limit = 50,
) -> AgentPage:
    """The tenant's agents."""
    found, cursor = await agents.list_page(
        principal, status=status, search=search, after=after, limit=limit
    )
    return AgentPage(items=[agent_view(agent) for agent in found], next=cursor)


@router.post("/agents", status_code=201)
async def create_agent(
    body: AgentBody, principal: CurrentPrincipal, agents: CurrentAgents
) -> AgentView:
    """Make an agent. Its workspace is ready when this answers."""
    agent = await agents.create(
        principal,
        name=body.name,
        post_id=body.post_id,
        overrides=body.overrides.value(),
        repository=None if body.repository is None else body.repository.value(),
    )
    return agent_view(agent)


@router.get("/agents/{agent_id}")
async def get_agent(agent_id: str, principal: CurrentPrincipal, agents: CurrentAgents) -> AgentView:
    """One agent."""
    return agent_view(await agents.get(principal, agent_id))


@router.patch("/agents/{agent_id}")
async def update_agent(
    agent_id: str, body: AgentPatch, principal: CurrentPrincipal, agents: CurrentAgents
) -> AgentView:
    """Rename an agent, give it another post or other overrides."""
    changes = AgentChanges(
        name=body.name,
        post_id=body.post_id,
        overrides=None if body.overrides is None else body.overrides.value(),
    )
    return agent_view(await agents.change(principal, agent_id, changes))


@router.delete("/agents/{agent_id}", status_code=204)
async def delete_agent(agent_id: str, principal: CurrentPrincipal, agents: CurrentAgents) -> None:
    """Delete an agent that is not at work, with its sessions and its workspace."""
    await agents.delete(principal, agent_id)


@router.get(
    "/agents/{agent_id}/workspace/diff",
    response_model=DiffView,
    responses={200: {"content": {"text/x-diff": {"schema": {"type": "string"}}}}},
)
async def get_workspace_diff(
    agent_id: str,
    principal: CurrentPrincipal,
    agents: CurrentAgents,
    format: DiffFormat = DiffFormat.JSON,  # noqa: A002 - the parameter's name in the address
) -> DiffView | Response:
    """What the agent changed since it began; as a file with `format=patch`."""
    agent, diff = await agents.diff(principal, agent_id)
    if format is DiffFormat.PATCH:
        name = f"{agent.branch.rpartition('/')[2]}.patch"
        return Response(
            diff.patch,
            media_type="text/x-diff",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
    return DiffView(
        base=agent.base,
        branch=agent.branch,
        files=[DiffFile(**asdict(file)) for file in diff.files],
        patch=diff.patch.decode("utf-8", "replace"),
    )


@router.post("/agents/{agent_id}/workspace/commit", status_code=201)
async def commit_workspace(
    agent_id: str, body: CommitBody, principal: CurrentPrincipal, agents: CurrentAgents
) -> CommitView:
    """Commit everything the agent changed to a branch; never to one that is checked out."""
    committed = await agents.commit(principal, agent_id, branch=body.branch, message=body.message)
    return CommitView(**asdict(committed))
