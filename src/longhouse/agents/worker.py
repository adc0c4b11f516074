"""Executes the runs of kind `turn`: opens the session's agent on the runtime and lets it go on.

The server registers it with the fleet's executor. A turn that was cut off anywhere is taken up by
its journal, so being called again for the same session is the normal case. It knows nothing of who
asked; the queue has seen to that.
"""

import asyncio
import logging

from longhouse.fleet.models import Run
from longhouse.fleet.service import Lease
from longhouse.fleet.states import Outcome
from longhouse.protocol.events import Draft, ErrorRaised, InterruptRequested, Severity
from longhouse.runtime.agent import Agent
from longhouse.runtime.journals.base import Journal
from longhouse.runtime.runtime import Runtime

logger = logging.getLogger(__name__)

PROGRESS = ("step_started", "step_complete", "tool_executed")
"""Events that show that a turn got further. A turn that is cut off again and again goes on for as
long as there are some: the post's limits bound how many there can be.
"""

HOUSE = "Longhouse"
"""Who stops a turn that nobody could finish."""


class TurnHandler:
    """Runs turns until they rest."""

    def __init__(self, runtime: Runtime, journal: Journal) -> None:
        self._runtime = runtime
        self._journal = journal

    async def __call__(self, run: Run, lease: Lease) -> Outcome | None:
        """Run the session's turns until it rests. None: it was asked to park, and comes back."""
        agent = await self._runtime.agent(run.subject)
        for kind in PROGRESS:
            agent.on(kind, lambda _: lease.progressed())
        parking = asyncio.create_task(self._park_when_asked(agent, lease))
        try:
            await agent.run()
        finally:
            parking.cancel()
            # Not kept open: the next turn may run in another process, which then is the writer.
            await self._runtime.put_away(run.subject)
        return None if lease.parking.is_set() else Outcome.DONE

    async def give_up(self, run: Run) -> str:
        """End the turn that broke off each time, so that the session can be used again."""
        detail = f"The turn broke off {run.max_attempts} times and was given up."
        problem = ErrorRaised(
            phase="loop",
            severity=Severity.ERROR,
            message=detail,
            hint="Look into the server's log for the reason, then send a message to go on.",
        )
        drafts = [Draft(problem), Draft(InterruptRequested(by=HOUSE))]
        await self._journal.post(run.subject, drafts)
        agent = await self._runtime.agent(run.subject)
        try:
            await agent.run()  # it finds the interrupt, closes what is open and rests
        finally:
            await self._runtime.put_away(run.subject)
        return detail

    async def _park_when_asked(self, agent: Agent, lease: Lease) -> None:
        await lease.parking.wait()
        logger.info("parking session %s", agent.id)
        await agent.park()
