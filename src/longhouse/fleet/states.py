"""The states of a run and the steps between them.

Read by `store`, which moves runs with conditional updates from `sources(target)`. Nothing else
changes a run's state.
"""

from enum import StrEnum

from longhouse.kit.states import Transitions


class RunState(StrEnum):
    """Where a run is."""

    QUEUED = "queued"  # waits in its lane
    LEASED = "leased"  # a holder executes it until its lease ends
    ENDED = "ended"  # final; `outcome` says how


class Outcome(StrEnum):
    """How a run ended."""

    DONE = "done"  # its handler did its part: the turn rests, whatever it says
    FAILED = "failed"  # given up: every attempt broke off
    JOINED = "joined"  # put back while another was queued for its subject: that one goes on


RUN = Transitions[RunState](
    {
        RunState.QUEUED: {RunState.LEASED},
        RunState.LEASED: {RunState.QUEUED, RunState.ENDED},
        RunState.ENDED: set(),
    }
)
"""A leased run goes back when its holder vanishes or parks it, or when it has to be retried."""
