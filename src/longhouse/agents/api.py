"""Posts, agents, sessions, approvals, tools and models over HTTP.

The server includes `router` and puts the process's `Agents`, `Streams` and `EnvironmentModels` into
`app.state.agents`, `app.state.streams` and `app.state.models`. Errors are raised as they are; the
server turns them into problems. Event rows are written as they are stored, without being decoded.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.requests import HTTPConnection

from longhouse.agents.journal import EventRow
from longhouse.agents.service import AgentChanges, Agents, PostChanges
from longhouse.agents.states import AgentStatus
from longhouse.agents.streams import Streams
from longhouse.agents.views import (
    AgentBody,
    AgentPage,
    AgentPatch,
    AgentView,
    ApprovalList,
    CommitBody,
    CommitView,
    DecisionBody,
    DiffFile,
    DiffFormat,
    DiffView,
    EventPage,
    MessageBody,
    ModelList,
    ModelView,
    PostBody,
    PostPage,
    PostPatch,
    PostView,
    QueuedView,
    SessionBody,
    SessionPage,
    SessionView,
    ToolList,
    ToolView,
    agent_view,
    approval_view,
    post_view,
    session_view,
)
from longhouse.identity.api import CurrentPrincipal
from longhouse.kit.sse import last_event_id
from longhouse.protocol.events import Channel, types_on
from longhouse.runtime.model import ModelRefused
from longhouse.runtime.models import presets
from longhouse.runtime.models.demo import DEMO
from longhouse.runtime.models.environment import AUTO, EnvironmentModels

BIGGEST_PAGE = 200
BIGGEST_EVENT_PAGE = 2000
LARGEST_SEQ = 2**63 - 1  # what a database's integer holds

Limit = Annotated[int, Query(ge=1, le=BIGGEST_PAGE, description="Items at most.")]
After = Annotated[
    str | None, Query(max_length=100, description="`next` of the page before.", examples=[None])
]
Seq = Annotated[int, Query(ge=0, le=LARGEST_SEQ)]


# --- what the routes stand on ---------------------------------------------------------------------


def agents_of(connection: HTTPConnection) -> Agents:
    """The `Agents` of the process that serves this connection."""
    agents = connection.app.state.agents
    assert isinstance(agents, Agents)
    return agents


def streams_of(connection: HTTPConnection) -> Streams:
    """The `Streams` of the process that serves this connection."""
    streams = connection.app.state.streams
    assert isinstance(streams, Streams)
    return streams


def models_of(connection: HTTPConnection) -> EnvironmentModels:
    """The models of the process that serves this connection."""
    models = connection.app.state.models
    assert isinstance(models, EnvironmentModels)
    return models


CurrentAgents = Annotated[Agents, Depends(agents_of)]
CurrentStreams = Annotated[Streams, Depends(streams_of)]
CurrentModels = Annotated[EnvironmentModels, Depends(models_of)]
Channels = Annotated[
    list[Channel] | None, Query(alias="channel", description="Only these; without it, all.")
]

router = APIRouter()

SESSION = "/agents/{agent_id}/sessions/{session_id}"


# --- routes: posts, tools, models -----------------------------------------------------------------


@router.get("/posts", tags=["posts"])
async def list_posts(
    principal: CurrentPrincipal, agents: CurrentAgents, after: After = None, limit: Limit = 50
) -> PostPage:
    """The tenant's posts."""
    posts, cursor = await agents.list_posts(principal, after=after, limit=limit)
    return PostPage(items=[post_view(post) for post in posts], next=cursor)


@router.post("/posts", status_code=201, tags=["posts"])
async def create_post(
    body: PostBody, principal: CurrentPrincipal, agents: CurrentAgents
) -> PostView:
    """Make a post: a role that agents follow."""
    return post_view(await agents.create_post(principal, body.value()))


@router.get("/posts/{post_id}", tags=["posts"])
async def get_post(post_id: str, principal: CurrentPrincipal, agents: CurrentAgents) -> PostView:
    """A post in its newest version."""
    return post_view(await agents.post(principal, post_id))


@router.patch("/posts/{post_id}", tags=["posts"])
async def update_post(
    post_id: str, body: PostPatch, principal: CurrentPrincipal, agents: CurrentAgents
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
    return post_view(await agents.change_post(principal, post_id, changes))


@router.delete("/posts/{post_id}", status_code=204, tags=["posts"])
async def delete_post(post_id: str, principal: CurrentPrincipal, agents: CurrentAgents) -> None:
    """Delete a post that no agent follows."""
    await agents.delete_post(principal, post_id)


@router.get("/tools", tags=["posts"])
async def list_tools(principal: CurrentPrincipal, agents: CurrentAgents) -> ToolList:
    """The tools that posts may name."""
    principal.require("posts:read")
    return ToolList(
        items=[
            ToolView(
                name=tool.name,
                description=tool.description,
                reads_only=tool.reads_only,
                schema=tool.schema,
            )
            for tool in agents.tools
        ]
    )


@router.get("/models", tags=["posts"])
async def list_models(principal: CurrentPrincipal, models: CurrentModels) -> ModelList:
    """The models that posts may name, and which of them can be used here now."""
    principal.require("posts:read")
    names = (AUTO, DEMO, *(preset.name for preset in presets.PRESETS))
    return ModelList(items=[_model(models, name) for name in names], default=_default(models))


# --- routes: agents -------------------------------------------------------------------------------


@router.get("/agents", tags=["agents"])
async def list_agents(
    principal: CurrentPrincipal,
    agents: CurrentAgents,
    status: AgentStatus | None = None,
    search: Annotated[str | None, Query(max_length=200, description="A part of the name.")] = None,
    after: After = None,
    limit: Limit = 50,
) -> AgentPage:
    """The tenant's agents."""
    found, cursor = await agents.list_agents(
        principal, status=status, search=search, after=after, limit=limit
    )
    return AgentPage(items=[agent_view(agent) for agent in found], next=cursor)


@router.post("/agents", status_code=201, tags=["agents"])
async def create_agent(
    body: AgentBody, principal: CurrentPrincipal, agents: CurrentAgents
) -> AgentView:
    """Make an agent. Its workspace is ready when this answers."""
    agent = await agents.create_agent(
        principal,
        name=body.name,
        post_id=body.post_id,
        overrides=body.overrides.value(),
        repository=None if body.repository is None else body.repository.value(),
    )
    return agent_view(agent)


@router.get("/agents/{agent_id}", tags=["agents"])
async def get_agent(agent_id: str, principal: CurrentPrincipal, agents: CurrentAgents) -> AgentView:
    """One agent."""
    return agent_view(await agents.agent(principal, agent_id))


@router.patch("/agents/{agent_id}", tags=["agents"])
async def update_agent(
    agent_id: str, body: AgentPatch, principal: CurrentPrincipal, agents: CurrentAgents
) -> AgentView:
    """Rename an agent, give it another post or other overrides."""
    changes = AgentChanges(
        name=body.name,
        post_id=body.post_id,
        overrides=None if body.overrides is None else body.overrides.value(),
    )
    return agent_view(await agents.change_agent(principal, agent_id, changes))


@router.delete("/agents/{agent_id}", status_code=204, tags=["agents"])
async def delete_agent(agent_id: str, principal: CurrentPrincipal, agents: CurrentAgents) -> None:
    """Delete an agent that is not at work, with its sessions and its workspace."""
    await agents.delete_agent(principal, agent_id)


@router.get(
    "/agents/{agent_id}/workspace/diff",
    tags=["agents"],
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


@router.post("/agents/{agent_id}/workspace/commit", status_code=201, tags=["agents"])
async def commit_workspace(
    agent_id: str, body: CommitBody, principal: CurrentPrincipal, agents: CurrentAgents
) -> CommitView:
    """Commit everything the agent changed to a branch; never to one that is checked out."""
    committed = await agents.commit(principal, agent_id, branch=body.branch, message=body.message)
    return CommitView(**asdict(committed))


# --- routes: sessions -----------------------------------------------------------------------------


@router.get("/agents/{agent_id}/sessions", tags=["sessions"])
async def list_sessions(
    agent_id: str,
    principal: CurrentPrincipal,
    agents: CurrentAgents,
    after: After = None,
    limit: Limit = 50,
) -> SessionPage:
    """The agent's sessions."""
    found, cursor = await agents.list_sessions(principal, agent_id, after=after, limit=limit)
    return SessionPage(items=[session_view(session) for session in found], next=cursor)


@router.post("/agents/{agent_id}/sessions", status_code=201, tags=["sessions"])
async def create_session(
    agent_id: str,
    principal: CurrentPrincipal,
    agents: CurrentAgents,
    body: SessionBody | None = None,
) -> SessionView:
    """Begin a session."""
    title = body.title if body else ""
    return session_view(await agents.create_session(principal, agent_id, title=title))


@router.get(SESSION, tags=["sessions"])
async def get_session(
    agent_id: str, session_id: str, principal: CurrentPrincipal, agents: CurrentAgents
) -> SessionView:
    """One session: state, plan, approvals, usage."""
    return session_view(await agents.session(principal, agent_id, session_id))


@router.post(SESSION + "/messages", status_code=202, tags=["sessions"])
async def send_message(
    agent_id: str,
    session_id: str,
    body: MessageBody,
    principal: CurrentPrincipal,
    agents: CurrentAgents,
) -> QueuedView:
    """Give the agent a message. It is durable when this answers, and survives any crash."""
    queued = await agents.send(
        principal, agent_id, session_id, text=body.text, message_id=body.message_id
    )
    return QueuedView(message_id=queued.message_id, seq=queued.seq)


@router.get(SESSION + "/events", tags=["sessions"], response_model=EventPage)
async def list_events(
    agent_id: str,
    session_id: str,
    principal: CurrentPrincipal,
    agents: CurrentAgents,
    channels: Channels = None,
    after: Seq = 0,
    before: Annotated[
        int | None,
        Query(ge=1, le=LARGEST_SEQ, description="The last events below this number instead."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=BIGGEST_EVENT_PAGE)] = 500,
) -> Response:
    """The session's events by number, forwards, or backwards with `before`."""
    session = await agents.session(principal, agent_id, session_id)
    # One more than asked for says whether there is a next page.
    rows = await agents.events(
        session.id,
        after=after,
        before=before,
        limit=limit + 1,
        types=types_on(channels) if channels else None,
    )
    return _event_page(rows, limit=limit, backwards=before is not None)


@router.get(
    SESSION + "/stream",
    tags=["sessions"],
    response_class=Response,
    responses={
        200: {
            "description": "Server-sent events: each event of the journal with its number as `id` "
            "and its type as `event`, `data` as in GET …/events; live fragments as `event: delta` "
            "without an id; comments in between show that the connection lives.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def stream_events(
    agent_id: str,
    session_id: str,
    principal: CurrentPrincipal,
    agents: CurrentAgents,
    streams: CurrentStreams,
    request: Request,
    channels: Channels = None,
    after: Seq = 0,
) -> Response:
    """The session's events, from where `Last-Event-ID` or `after` says, then live."""
    session = await agents.session(principal, agent_id, session_id)
    return streams.open(
        session.id,
        login_id=principal.login_id,
        after=last_event_id(request.headers, default=after),
        channels=channels or [],
    )


@router.post(SESSION + "/approvals/{call_id:path}", status_code=204, tags=["sessions"])
async def decide_approval(
    agent_id: str,
    session_id: str,
    call_id: str,
    body: DecisionBody,
    principal: CurrentPrincipal,
    agents: CurrentAgents,
) -> None:
    """Allow or deny a tool call that waits. The first decision counts."""
    await agents.decide(
        principal, agent_id, session_id, call_id, decision=body.decision, note=body.note
    )


@router.post(SESSION + "/interrupt", status_code=202, tags=["sessions"], response_class=Response)
async def interrupt_session(
    agent_id: str, session_id: str, principal: CurrentPrincipal, agents: CurrentAgents
) -> Response:
    """Stop the turn that runs, waits or is queued; without one, nothing happens."""
    await agents.interrupt(principal, agent_id, session_id)
    return Response(status_code=202)


@router.get("/approvals", tags=["sessions"])
async def list_approvals(principal: CurrentPrincipal, agents: CurrentAgents) -> ApprovalList:
    """Everything of the tenant that waits for a person."""
    return ApprovalList(items=[approval_view(one) for one in await agents.approvals(principal)])


def _event_page(rows: Sequence[EventRow], *, limit: int, backwards: bool) -> Response:
    more = len(rows) > limit
    if backwards:
        rows = rows[-limit:]
        cursor = rows[0].seq if more else None
    else:
        rows = rows[:limit]
        cursor = rows[-1].seq if more else None
    items = b",".join(row.wire for row in rows)
    tail = b"null" if cursor is None else b"%d" % cursor
    return Response(
        b'{"items":[' + items + b'],"next":' + tail + b"}", media_type="application/json"
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
