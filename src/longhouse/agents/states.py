"""What an agent is doing, folded from its sessions.

A session's own state is `protocol.events.AgentState`, moved by its journal; an agent's status is a
projection of those, so there is no table of transitions here.
"""

from collections.abc import Iterable
from enum import StrEnum

from longhouse.protocol.events import AgentState


class AgentStatus(StrEnum):
    """What lists show of an agent."""

    IDLE = "idle"  # every session is at rest
    BUSY = "busy"  # a turn runs
    WAITING = "waiting"  # nothing runs, and a turn waits for a person


def status_of(sessions: Iterable[AgentState]) -> AgentStatus:
    """The status of an agent with sessions in these states."""
    states = set(sessions)
    if AgentState.WORKING in states:
        return AgentStatus.BUSY
    return AgentStatus.WAITING if AgentState.WAITING in states else AgentStatus.IDLE
