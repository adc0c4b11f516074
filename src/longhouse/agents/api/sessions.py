"""Sessions over HTTP: begun, told, read, followed and decided on.

Event rows are written as they are stored, without being decoded.
"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from longhouse.agents.api.base import CurrentSessions, CurrentStreams
from longhouse.agents.journal import EventRow
from longhouse.agents.views.attachments import headers_of
from longhouse.agents.views.sessions import (
    ApprovalList,
    DecisionBody,
    EventPage,
    MessageBody,
    QueuedView,
    SessionBody,
    SessionPage,
    SessionView,
    SubAgentList,
    approval_view,
    session_view,
)
from longhouse.identity.api.base import CurrentPrincipal
from longhouse.kit.api import After, Limit
from longhouse.kit.sse import last_event_id
from longhouse.protocol.events import Channel, types_on
from longhouse.runtime.attachments import MEDIA_TYPES

BIGGEST_EVENT_PAGE = 2000
LARGEST_SEQ = 2**63 - 1  # what a database's integer holds

Seq = Annotated[int, Query(ge=0, le=LARGEST_SEQ)]
Channels = Annotated[
    list[Channel] | None, Query(alias="channel", description="Only these; without it, all.")
]

router = APIRouter(tags=["sessions"])

SESSION = "/agents/{agent_id}/sessions/{session_id}"


@router.get("/agents/{agent_id}/sessions")
async def list_sessions(
    agent_id: str,
    principal: CurrentPrincipal,
    sessions: CurrentSessions,
    after: After = None,
    limit: Limit = 50,
) -> SessionPage:
    """The agent's sessions."""
    found, cursor = await sessions.list_page(principal, agent_id, after=after, limit=limit)
    return SessionPage(items=[session_view(session) for session in found], next=cursor)


@router.post("/agents/{agent_id}/sessions", status_code=201)
async def create_session(
    agent_id: str,
    principal: CurrentPrincipal,
    sessions: CurrentSessions,
    body: SessionBody | None = None,
) -> SessionView:
    """Begin a session."""
    title = body.title if body else ""
    return session_view(await sessions.create(principal, agent_id, title=title))


@router.get(SESSION)
async def get_session(
    agent_id: str, session_id: str, principal: CurrentPrincipal, sessions: CurrentSessions
) -> SessionView:
    """One session: state, plan, approvals, usage."""
    return session_view(await sessions.get(principal, agent_id, session_id))


@router.get(SESSION + "/sub-agents")
async def list_sub_agents(
    agent_id: str, session_id: str, principal: CurrentPrincipal, sessions: CurrentSessions
) -> SubAgentList:
    """The sessions of the sub-agents that this session sent out. They are read, not talked to."""
    found = await sessions.sub_agents(principal, agent_id, session_id)
    return SubAgentList(items=[session_view(session) for session in found])


@router.post(SESSION + "/messages", status_code=202)
async def send_message(
    agent_id: str,
    session_id: str,
    body: MessageBody,
    principal: CurrentPrincipal,
    sessions: CurrentSessions,
) -> QueuedView:
    """Give the agent a message. It is durable when this answers, and survives any crash."""
    queued = await sessions.send(
        principal,
        agent_id,
        session_id,
        text=body.text,
        attachments=[attachment.value() for attachment in body.attachments],
        output=body.output,
        message_id=body.message_id,
    )
    return QueuedView(message_id=queued.message_id, seq=queued.seq)


@router.get(
    SESSION + "/attachments/{digest}",
    response_class=Response,
    responses={
        200: {
            "description": "The bytes, as what they are; a picture to be shown, a PDF to be saved.",
            "content": {kind: {} for kind in sorted(MEDIA_TYPES)},
        }
    },
)
async def get_attachment(
    agent_id: str,
    session_id: str,
    digest: str,
    principal: CurrentPrincipal,
    sessions: CurrentSessions,
) -> Response:
    """A picture or document that is attached to an event of the session."""
    stored = await sessions.attachment(principal, agent_id, session_id, digest)
    return Response(stored.data, media_type=stored.attached.media_type, headers=headers_of(stored))


@router.get(SESSION + "/events", response_model=EventPage)
async def list_events(
    agent_id: str,
    session_id: str,
    principal: CurrentPrincipal,
    sessions: CurrentSessions,
    channels: Channels = None,
    after: Seq = 0,
    before: Annotated[
        int | None,
        Query(ge=1, le=LARGEST_SEQ, description="The last events below this number instead."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=BIGGEST_EVENT_PAGE)] = 500,
) -> Response:
    """The session's events by number, forwards, or backwards with `before`."""
    session = await sessions.get(principal, agent_id, session_id)
    # One more than asked for says whether there is a next page.
    rows = await sessions.events(
        session.id,
        after=after,
        before=before,
        limit=limit + 1,
        types=types_on(channels) if channels else None,
    )
    return _event_page(rows, limit=limit, backwards=before is not None)


@router.get(
    SESSION + "/stream",
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
    sessions: CurrentSessions,
    streams: CurrentStreams,
    request: Request,
    channels: Channels = None,
    after: Seq = 0,
) -> Response:
    """The session's events, from where `Last-Event-ID` or `after` says, then live."""
    session = await sessions.get(principal, agent_id, session_id)
    return streams.open(
        session.id,
        principal=principal,
        after=last_event_id(request.headers, default=after),
        channels=channels or [],
    )


@router.post(SESSION + "/approvals/{call_id:path}", status_code=204)
async def decide_approval(
    agent_id: str,
    session_id: str,
    call_id: str,
    body: DecisionBody,
    principal: CurrentPrincipal,
    sessions: CurrentSessions,
) -> None:
    """Allow or deny a tool call that waits. The first decision counts."""
    await sessions.decide(
        principal, agent_id, session_id, call_id, decision=body.decision, note=body.note
    )


@router.post(SESSION + "/interrupt", status_code=202, response_class=Response)
async def interrupt_session(
    agent_id: str, session_id: str, principal: CurrentPrincipal, sessions: CurrentSessions
) -> Response:
    """Stop the turn that runs, waits or is queued; without one, nothing happens."""
    await sessions.interrupt(principal, agent_id, session_id)
    return Response(status_code=202)


@router.get("/approvals")
async def list_approvals(principal: CurrentPrincipal, sessions: CurrentSessions) -> ApprovalList:
    """Everything of the tenant that waits for a person."""
    return ApprovalList(items=[approval_view(one) for one in await sessions.approvals(principal)])


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
