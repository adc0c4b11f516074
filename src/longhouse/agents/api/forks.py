"""Forks, snapshots and past moments of sessions over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path

from longhouse.agents.api.base import CurrentForks
from longhouse.agents.api.sessions import LARGEST_SEQ, SESSION
from longhouse.agents.views.forks import (
    ForkBody,
    MomentView,
    SnapshotBody,
    SnapshotList,
    SnapshotView,
    moment_view,
    snapshot_view,
)
from longhouse.agents.views.sessions import SessionView, session_view
from longhouse.identity.api.base import CurrentPrincipal

router = APIRouter(tags=["sessions"])


@router.post(SESSION + "/fork", status_code=201)
async def fork_session(
    agent_id: str,
    session_id: str,
    principal: CurrentPrincipal,
    forks: CurrentForks,
    body: ForkBody | None = None,
) -> SessionView:
    """Begin a session with this one's past up to a point. It works in the same workspace."""
    body = body or ForkBody()
    session = await forks.fork(principal, agent_id, session_id, at=body.at, title=body.title)
    return session_view(session)


@router.post(SESSION + "/snapshots", status_code=201)
async def take_snapshot(
    agent_id: str,
    session_id: str,
    body: SnapshotBody,
    principal: CurrentPrincipal,
    forks: CurrentForks,
) -> SnapshotView:
    """Give the present moment a name, to fork there later. Files are not kept."""
    return snapshot_view(await forks.take_snapshot(principal, agent_id, session_id, body.name))


@router.get(SESSION + "/snapshots")
async def list_snapshots(
    agent_id: str, session_id: str, principal: CurrentPrincipal, forks: CurrentForks
) -> SnapshotList:
    """The session's moments that have names."""
    found = await forks.snapshots(principal, agent_id, session_id)
    return SnapshotList(items=[snapshot_view(taken) for taken in found])


@router.get(SESSION + "/at/{seq}")
async def get_session_at(
    agent_id: str,
    session_id: str,
    seq: Annotated[int, Path(ge=1, le=LARGEST_SEQ, description="An event's number.")],
    principal: CurrentPrincipal,
    forks: CurrentForks,
) -> MomentView:
    """The session as it was after an event: state, plan, and what the model had been told."""
    return moment_view(await forks.at(principal, agent_id, session_id, seq))
