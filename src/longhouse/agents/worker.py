"""Executes the runs of kind `turn`: opens the session's agent on the runtime and lets it go on.

The server registers it with the fleet's executor. A turn that was cut off anywhere is taken up by
its journal, so being called again for the same session is the normal case. Between turns the agent
stays live, for as long as the runtime's pool keeps it: what it runs in the background is there in
the next turn, and its journal is not read anew. It knows nothing of who asked; the queue has seen
to that.
"""

import asyncio
import logging
from contextlib import ExitStack

from longhouse.fleet.models import Run
from longhouse.fleet.service import Lease
from longhouse.fleet.states import Outcome
from longhouse.protocol.events import ErrorRaised, Severity
from longhouse.runtime.agent import Agent
from longhouse.runtime.journals.base import Fenced, UnknownAgent
from longhouse.runtime.runtime import Runtime

logger = logging.getLogger(__name__)

PROGRESS = ("step_started", "step_complete", "tool_executed")
"""Events that show that a turn got further. A turn that is cut off again and again goes on for as
long as there are some: the post's limits bound how many there can be.
"""


class TurnHandler:
    """Runs turns until they rest."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def __call__(self, run: Run, lease: Lease) -> Outcome | None:
        """Run the session's turns until it rests. None: it was asked to park, and comes back."""
        try:
            # Whoever had it until now has no right to it any more: the run is ours.
            await self._run(await self._runtime.agent(run.subject), lease)
        except (Fenced, UnknownAgent) as error:
            # The run is another process's by now, or what it was for is gone.
            logger.info("session %s is not ours any more: %s", run.subject, error)
        return None if lease.parking.is_set() else Outcome.DONE

    async def give_up(self, run: Run) -> str:
        """End the turn that broke off each time, so that the session can be used again."""
        detail = f"The turn broke off {run.max_attempts} times and was given up."
        agent = await self._runtime.agent(run.subject)
        await agent.give_up(
            ErrorRaised(
                phase="loop",
                severity=Severity.ERROR,
                message=detail,
                hint="Look into the server's log for the reason, then send a message to go on.",
            )
        )
        return detail

    async def _run(self, agent: Agent, lease: Lease) -> None:
        with ExitStack() as stack:
            for kind in PROGRESS:
                stack.callback(agent.on(kind, lambda _: lease.progressed()))
            parking = asyncio.create_task(self._park_when_asked(agent, lease))
            stack.callback(parking.cancel)
            await agent.run()

    async def _park_when_asked(self, agent: Agent, lease: Lease) -> None:
        await lease.parking.wait()
        logger.info("parking session %s", agent.id)
        await agent.park()
