"""The executor: takes runs from the queue, executes them, and keeps their leases meanwhile.

The server starts one in each process that works, with a table of handlers by kind of run. It
sleeps until the bus rings or a short time-out passes, so that an idle house costs nothing. It knows
no kind of run itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Protocol

from sqlalchemy import Connection

from longhouse.fleet import store
from longhouse.fleet.models import RUNS_TOPIC, Run, RunId
from longhouse.fleet.placement import retry_delay
from longhouse.fleet.states import Outcome
from longhouse.kit.bus.base import Bus, BusClosed, Subscription
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database

logger = logging.getLogger(__name__)

POLL_SECONDS = 2.0
"""A ring may be lost and a lease may end in silence: the queue is looked at this often."""

PURGE_EVERY = timedelta(hours=1)
"""How often ended runs are looked through for those that are old enough to forget."""

PURGE_BATCH = 500
"""Runs forgotten in one transaction: nobody waits long for it. After a full batch comes another."""

DATABASE_PAUSE_SECONDS = 1.0
"""How long to wait when the queue cannot be reached."""


@dataclass(slots=True, eq=False, kw_only=True)
class Lease:
    """What a handler may ask, and tell, while it executes."""

    # To be called when it has achieved something that lasts: earlier attempts no longer count.
    progressed: Callable[[], Awaitable[None]]
    # Set when the process wants to stop: come to a safe point soon and return None.
    parking: asyncio.Event = field(default_factory=asyncio.Event)


class Handler(Protocol):
    """Executes one kind of run.

    It may be cancelled at any moment (the lease was lost, the process ends) and called again for
    the same subject, here or elsewhere; what it did so far must then be found or repeatable.
    """

    async def __call__(self, run: Run, lease: Lease) -> Outcome | None:
        """Do the work; how it ended, or None to put the run back where it was.

        Anything it raises is logged, and the run is tried again later.
        """
        ...

    async def give_up(self, run: Run) -> str:
        """Close what the run was for, after its last attempt broke off; what to say about it."""
        ...


@dataclass(slots=True, eq=False)
class _Execution:
    run: Run
    lease: Lease
    task: asyncio.Task[None]
    lost: bool = False  # somebody else may have the run: nothing more is written about it
    progressed: bool = False  # and earlier attempts are forgotten


class RunExecutor:
    """Executes runs of the kinds it has handlers for, at most `slots` at once."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        clock: Clock,
        handlers: Mapping[str, Handler],
        holder: str,
        device: str | None = None,
        slots: int,
        lease: timedelta,
        retention: timedelta,
    ) -> None:
        """`holder` is this process's own name (`Node.name`): what it held before is put back.

        `device` is where it works (`Node.device`): what needs another one is left to that.
        `retention`: how long ended runs are kept.
        """
        self._database = database
        self._bus = bus
        self._clock = clock
        self._handlers = handlers
        self._holder = holder
        self._device = device
        self._slots = slots
        self._lease = lease
        self._renew_every = lease / 3  # two renewals may fail
        self._renewed_at = clock.now()
        self._retention = retention
        self._purged_at = clock.now() - PURGE_EVERY
        # By run and epoch: a run may be claimed again before its last execution is cleared away.
        self._held: dict[tuple[RunId, int], _Execution] = {}
        self._wake = asyncio.Event()
        self._stopping = False
        self._looked_at: float | None = None  # monotonic seconds, when the queue last answered

    @property
    def busy(self) -> int:
        """How many runs are being executed here."""
        return len(self._held)

    @property
    def silent_for(self) -> float | None:
        """Seconds since the queue was last looked at with success; None before the first time."""
        return None if self._looked_at is None else self._clock.monotonic() - self._looked_at

    async def run(self) -> None:
        """Execute runs until `stop`. Cancel it only when there is no time for that."""
        rings = self._bus.subscribe(RUNS_TOPIC, capacity=1)
        ear = asyncio.create_task(self._listen(rings), name="runs: ear")
        try:
            await self._put_back_predecessors_runs()
            while not (self._stopping and not self._held):
                await self._tend()
                await self._wake.wait()
                self._wake.clear()
        finally:
            ear.cancel()
            rings.close()
            for execution in self._held.values():
                execution.lost = True
                execution.task.cancel()

    async def stop(self, *, grace: float) -> None:
        """Take nothing new, let handlers park for `grace` seconds, put the rest back."""
        self._stopping = True
        executions = list(self._held.values())
        for execution in executions:
            execution.lease.parking.set()
        tasks = [execution.task for execution in executions]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._wake.set()

    # --- the queue --------------------------------------------------------------------------------

    async def _listen(self, rings: Subscription) -> None:
        """Wake the loop at each ring, and often enough to renew."""
        timeout = min(POLL_SECONDS, self._renew_every.total_seconds())
        try:
            while True:
                await rings.next(timeout)
                self._wake.set()
        except BusClosed:
            self._wake.set()  # the process stops; `stop` follows

    async def _put_back_predecessors_runs(self) -> None:
        now = self._clock.now()
        back = await self._database.write(
            lambda conn: store.release_holder(conn, self._holder, now=now)
        )
        if back:
            logger.info("took over %d runs from the process before", len(back))

    async def _tend(self) -> None:
        """Keep what we hold, put back what others lost, take what is free, forget what is old."""
        try:
            # Ours first: after a long sleep of the machine they would be reaped with the dead.
            if self._clock.now() - self._renewed_at >= self._renew_every:
                await self._renew()
            if not self._stopping and len(self._held) < self._slots:
                await self._claim()
            if self._clock.now() - self._purged_at >= PURGE_EVERY:
                await self._purge()
            self._looked_at = self._clock.monotonic()
        except Exception:  # a task boundary: the database is away; it may come back
            logger.exception("the queue cannot be reached; trying again")
            await asyncio.sleep(DATABASE_PAUSE_SECONDS)
            self._wake.set()

    async def _renew(self) -> None:
        now = self._clock.now()
        held = list(self._held)
        kept = await self._database.write(
            lambda conn: store.renew(conn, held=held, now=now, lease=self._lease)
        )
        self._renewed_at = now
        self._let_go([key for key in held if key[0] not in kept])

    async def _claim(self) -> None:
        now, free = self._clock.now(), self._slots - len(self._held)

        def work(conn: Connection) -> list[Run]:
            store.reap(conn, now=now)
            store.wake_due(conn, now=now)
            return store.claim(
                conn,
                holder=self._holder,
                device=self._device,
                kinds=list(self._handlers),
                slots=free,
                now=now,
                lease=self._lease,
            )

        for run in await self._database.write(work):
            self._start(run)

    async def _purge(self) -> None:
        now = self._clock.now()
        forgotten = await self._database.write(
            lambda conn: store.purge(conn, ended_before=now - self._retention, most=PURGE_BATCH)
        )
        if forgotten < PURGE_BATCH:
            self._purged_at = now

    def _let_go(self, lost: list[tuple[RunId, int]]) -> None:
        for key in lost:
            execution = self._held.get(key)
            if execution is not None:  # it may have ended while the statement ran
                logger.warning("lost the lease of run %s", key[0])
                execution.lost = True
                execution.task.cancel()

    # --- one run ----------------------------------------------------------------------------------

    def _start(self, run: Run) -> None:
        lease = Lease(progressed=partial(self._forget_attempts, run))
        # Claimed while `stop` was called: it goes back unseen.
        work = self._park(run) if self._stopping else self._execute(run, lease)
        task = asyncio.create_task(work, name=f"run {run.id}")
        self._held[run.id, run.epoch] = _Execution(run, lease, task)
        task.add_done_callback(lambda _: self._ended(run))

    def _ended(self, run: Run) -> None:
        del self._held[run.id, run.epoch]
        self._wake.set()

    async def _execute(self, run: Run, lease: Lease) -> None:
        """Execute a run and write down how it ended, whatever happens."""
        try:
            await self._settle(run, await self._handle(run, lease))
        except asyncio.CancelledError:
            if not self._held[run.id, run.epoch].lost:
                await self._park(run)
            raise
        except Exception:  # a task boundary: a broken handler must not stop the others
            logger.exception("run %s (%s of %s) broke off", run.id, run.kind, run.subject)
            await self._try_later(run)

    async def _handle(self, run: Run, lease: Lease) -> tuple[Outcome | None, str | None]:
        handler = self._handlers[run.kind]
        if run.exhausted:
            return Outcome.FAILED, await handler.give_up(run)
        return await handler(run, lease), None

    async def _settle(self, run: Run, ending: tuple[Outcome | None, str | None]) -> None:
        outcome, detail = ending
        if outcome is None:
            await self._park(run)
            return
        now = self._clock.now()
        await self._database.write(
            lambda conn: store.finish(
                conn, run.id, epoch=run.epoch, outcome=outcome, now=now, detail=detail
            )
        )

    async def _park(self, run: Run) -> None:
        now = self._clock.now()
        await self._database.write(
            lambda conn: store.release(conn, run.id, epoch=run.epoch, now=now)
        )

    async def _forget_attempts(self, run: Run) -> None:
        """Count no attempt that broke off before this one, which got further than they."""
        execution = self._held.get((run.id, run.epoch))
        if run.attempts == 1 or execution is None or execution.progressed:
            return
        execution.progressed = True
        await self._database.write(
            lambda conn: store.forget_attempts(conn, run.id, epoch=run.epoch)
        )

    async def _try_later(self, run: Run) -> None:
        now = self._clock.now()
        moment = now + retry_delay(run.attempts)
        try:
            await self._database.write(
                lambda conn: store.retry(conn, run.id, epoch=run.epoch, now=now, not_before=moment)
            )
        except Exception:  # a task boundary: its lease will end, and it is tried again then
            logger.exception("run %s could not be put back", run.id)
