"""Moments of an agent: where it stands or stood, and from where it can be forked.

Pure functions of the fold, and the refusals that go with them. Used by `agent`, and by servers that
fork and look back without opening the agent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from longhouse.kit.errors import Conflict, InvalidInput, NotFound
from longhouse.protocol.events import (
    AgentForked,
    AgentState,
    Body,
    Done,
    DoneReason,
    Event,
    JsonObject,
    PermissionRequired,
    SnapshotTaken,
    StateChanged,
    Todo,
    Usage,
)
from longhouse.runtime.context import Context
from longhouse.runtime.journals.base import check_point
from longhouse.runtime.model import Message

LONGEST_NAME = 128  # characters of a snapshot's name


class NotForkable(Conflict):
    """There is no safe point here: a tool call is open, or an answer half told."""

    code = "not-forkable"
    title = "The agent cannot be forked here"


class SnapshotExists(Conflict):
    """The agent has a snapshot of that name; nothing was changed."""

    code = "snapshot-exists"
    title = "There is a snapshot of that name"

    def __init__(self, agent_id: str, name: str) -> None:
        super().__init__(f"Agent {agent_id!r} has a snapshot {name!r} already.")


class NoSuchSnapshot(NotFound):
    """The agent has no snapshot of that name."""

    code = "no-such-snapshot"
    title = "No such snapshot"


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """An agent at a glance."""

    agent_id: str
    post: str
    metadata: JsonObject
    state: AgentState
    turn: int
    step: int
    seq: int
    todos: tuple[Todo, ...]
    approvals: tuple[PermissionRequired, ...]  # what waits for a person
    usage: Usage
    done: Done | None  # how the last turn ended
    lineage: tuple[AgentForked, ...]  # the forks it comes from, the oldest first
    snapshots: dict[str, int]  # name -> number


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """An agent as it was after some event. Looking at it changes nothing."""

    status: Status
    messages: tuple[Message, ...]  # what the model had been told, and said
    forkable: bool


def status_of(agent_id: str, context: Context) -> Status:
    """Where an agent of this fold stands."""
    return Status(
        agent_id=agent_id,
        post=context.post,
        metadata=context.metadata,
        state=context.state,
        turn=context.turn,
        step=context.step,
        seq=context.seq,
        todos=context.todos,
        approvals=tuple(context.approvals()),
        usage=context.usage,
        done=context.done,
        lineage=context.lineage,
        snapshots=dict(context.snapshots),
    )


def moment_of(agent_id: str, events: Iterable[Event]) -> Moment:
    """The agent as it was after these events, which are its first ones."""
    past = Context()
    past.apply(events)
    return Moment(
        status=status_of(agent_id, past),
        messages=tuple(past.messages),
        forkable=past.point(past.seq).safe,
    )


def number_of(agent_id: str, context: Context, at: int | str | None) -> int:
    """The event's number that is meant by a number, by a snapshot's name, or by now.

    Raises `NoSuchPoint`, `NoSuchSnapshot`.
    """
    if at is None:
        return context.seq
    if isinstance(at, str):
        if at not in context.snapshots:
            known = ", ".join(context.snapshots) or "none"
            raise NoSuchSnapshot(f"There is no snapshot {at!r}.", hint=f"Snapshots: {known}.")
        return context.snapshots[at]
    check_point(agent_id, at, context.seq)
    return at


def safe_point(agent_id: str, context: Context, at: int | str | None) -> int:
    """The same, where a fork may begin. Raises `NotForkable`, and says where one may."""
    seq = number_of(agent_id, context, at)
    if context.point(seq).safe:
        return seq
    before = context.safe_before(seq)
    raise NotForkable(
        f"After event {seq} a tool call is open, or an answer is half told: a fork could "
        "neither finish it nor know whether it happened.",
        hint=f"Fork after event {before}, the last safe point before it, or wait until the "
        "call has its result.",
    )


def snapshot_of(agent_id: str, context: Context, name: str) -> SnapshotTaken:
    """What gives the present moment a name. Raises `InvalidInput`, `NotForkable`."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidInput(
            f"{name[:40]!r} cannot be a snapshot's name.",
            hint=f"Use 1 to {LONGEST_NAME} printable characters.",
        )
    return SnapshotTaken(name=name, at=safe_point(agent_id, context, None))


def beginning_of_fork(
    agent_id: str,
    parent_id: str,
    context: Context,
    *,
    at: int | str | None,
    metadata: JsonObject,
) -> tuple[AgentForked, list[Body]]:
    """What the fork of this fold begins with: where it comes from, and the end of an open turn.

    `metadata` comes on top of the parent's. Raises `NotForkable`, `NoSuchPoint`, `NoSuchSnapshot`.
    """
    forked = AgentForked(
        agent_id=agent_id,
        parent=parent_id,
        at=safe_point(parent_id, context, at),
        snapshot=at if isinstance(at, str) else "",
        metadata={**context.metadata, **metadata},
    )
    bodies: list[Body] = [forked]
    point = context.point(forked.at)
    if point.turn:
        detail = f"Forked from {parent_id}."
        bodies.append(Done(reason=DoneReason.INTERRUPTED, turn=point.turn, detail=detail))
    if point.state is not AgentState.READY:
        bodies.append(StateChanged(before=point.state, after=AgentState.READY))
    return forked, bodies
