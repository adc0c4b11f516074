"""Posts, and the tools and models that they may name, over HTTP."""

from fastapi import APIRouter

from longhouse.agents.api.base import CurrentModels, CurrentPosts, CurrentRuntime
from longhouse.agents.service.posts import PostChanges
from longhouse.agents.views.posts import (
    ModelList,
    ModelView,
    PostBody,
    PostPage,
    PostPatch,
    PostView,
    SilentServer,
    ToolList,
    ToolView,
    post_view,
)
from longhouse.identity.api.base import CurrentPrincipal
from longhouse.kit.api import After, Limit
from longhouse.runtime.model import ModelRefused
from longhouse.runtime.models import presets
from longhouse.runtime.models.demo import DEMO
from longhouse.runtime.models.environment import AUTO, EnvironmentModels
from longhouse.runtime.tools.base import Tool

router = APIRouter(tags=["posts"])

MCP_SECONDS = 5.0
"""For MCP servers to list their tools; one that needs longer is told as silent meanwhile."""


@router.get("/posts")
async def list_posts(
    principal: CurrentPrincipal, posts: CurrentPosts, after: After = None, limit: Limit = 50
) -> PostPage:
    """The tenant's posts."""
    found, cursor = await posts.list_page(principal, after=after, limit=limit)
    return PostPage(items=[post_view(post) for post in found], next=cursor)


@router.post("/posts", status_code=201)
async def create_post(body: PostBody, principal: CurrentPrincipal, posts: CurrentPosts) -> PostView:
    """Make a post: a role that agents follow."""
    return post_view(await posts.create(principal, body.value()))


@router.get("/posts/{post_id}")
async def get_post(post_id: str, principal: CurrentPrincipal, posts: CurrentPosts) -> PostView:
    """A post in its newest version."""
    return post_view(await posts.get(principal, post_id))


@router.patch("/posts/{post_id}")
async def update_post(
    post_id: str, body: PostPatch, principal: CurrentPrincipal, posts: CurrentPosts
) -> PostView:
    """Change a post: its agents follow at their next turn."""
    changes = PostChanges(
        name=body.name,
        description=body.description,
        prompt=body.prompt,
        model=body.model,
        tools=None if body.tools is None else tuple(body.tools),
        permissions=None if body.permissions is None else body.permissions.value(),
        limits=None if body.limits is None else body.limits.model_dump(exclude_unset=True),
        hosts=None if body.hosts is None else tuple(body.hosts),
    )
    return post_view(await posts.change(principal, post_id, changes))


@router.delete("/posts/{post_id}", status_code=204)
async def delete_post(post_id: str, principal: CurrentPrincipal, posts: CurrentPosts) -> None:
    """Delete a post that no agent follows."""
    await posts.delete(principal, post_id)


@router.get("/tools")
async def list_tools(
    principal: CurrentPrincipal, posts: CurrentPosts, runtime: CurrentRuntime
) -> ToolList:
    """The tools that posts may name. MCP servers are asked for theirs, and have a few seconds."""
    principal.require("posts:read")
    listings = await runtime.mcp_tools(within=MCP_SECONDS)
    return ToolList(
        items=[
            *(_tool(tool, server=None) for tool in posts.tools),
            *(_tool(tool, server=one.server) for one in listings for tool in one.tools),
        ],
        silent=[
            SilentServer(server=one.server, reason=one.reason) for one in listings if one.reason
        ],
    )


@router.get("/models")
async def list_models(principal: CurrentPrincipal, models: CurrentModels) -> ModelList:
    """The models that posts may name, and which of them can be used here now."""
    principal.require("posts:read")
    names = (AUTO, DEMO, *(preset.name for preset in presets.PRESETS))
    return ModelList(items=[_model(models, name) for name in names], default=_default(models))


def _tool(tool: Tool, *, server: str | None) -> ToolView:
    return ToolView(
        name=tool.name,
        server=server,
        description=tool.description,
        reads_only=tool.reads_only,
        schema=tool.schema,
    )


def _model(models: EnvironmentModels, name: str) -> ModelView:
    try:
        choice = models.choose(name)
    except ModelRefused as error:
        return ModelView(name=name, available=False, reason=str(error))
    return ModelView(name=name, available=True, reason=choice.reason)


def _default(models: EnvironmentModels) -> str:
    try:
        choice = models.choose(AUTO)
    except ModelRefused as error:
        return f"nothing: {error.detail}"
    return DEMO if choice.provider == DEMO else f"{choice.provider}:{choice.model}"
