"""The queue under every order of events that hypothesis can think of, on both databases.

The model beside it is a few sets: news that somebody waits for, and who may execute what.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, func, select
from tests.rows import tenant_row

from longhouse.fleet import store
from longhouse.fleet.models import Run, lanes, runs
from longhouse.fleet.placement import Priority
from longhouse.fleet.states import Outcome
from longhouse.identity.auth import tenant_of_own_row
from longhouse.identity.models import tenants
from longhouse.kit.clock import MANUAL_START
from longhouse.kit.db.database import Database, open_database
from longhouse.kit.db.tables import metadata

T = TypeVar("T")
TENANT = tenant_of_own_row("tenant_a")
LEASE = timedelta(seconds=60)
LANES = {"serial": 1, "other": 1, "pool": 2}
SUBJECTS = {f"{lane}-{number}": lane for lane in LANES for number in range(3)}
MOST_STEPS = 1_000
"""Claims after which a queue that was to run dry is called stuck."""


class QueueMachine(RuleBasedStateMachine):
    """Enqueue, claim, finish, lose, park and retry in any order; then let everything run dry."""

    url = ""
    claimed: Bundle[Run] = Bundle("claimed")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.database: Database = self.loop.run(open_database(self.url))
        self.now = MANUAL_START
        # Subjects with news that no execution, begun after the news, has seen to its end.
        self.unseen: set[str] = set()
        # The execution that may write, by run, and whether it began after the latest news.
        self.holding: dict[str, Run] = {}
        self.fresh: dict[str, bool] = {}
        self._do(self._empty)

    def teardown(self) -> None:
        try:
            self._run_dry()
        finally:
            self.loop.run(self.database.close())
            self.loop.close()

    @rule(subject=st.sampled_from(sorted(SUBJECTS)), priority=st.sampled_from(Priority))
    def enqueue(self, subject: str, priority: Priority) -> None:
        self.unseen.add(subject)
        for run_id, run in self.holding.items():
            if run.subject == subject:
                self.fresh[run_id] = False
        self._do(
            lambda conn: store.enqueue(
                conn,
                tenant_id=TENANT,
                kind="turn",
                subject=subject,
                lane=SUBJECTS[subject],
                now=self.now,
                priority=priority,
                max_running=LANES[SUBJECTS[subject]],
            )
        )

    @rule(target=claimed, slots=st.integers(1, 4))
    def claim(self, slots: int) -> MultipleResults[Run]:
        before = self._heads()
        got = self._claim(slots)
        assert len(got) <= slots
        assert len(got) == len({run.id for run in got})
        if got and before:
            assert got[0].id == before[0], "the first of the queue is claimed first"
        return multiple(*got)

    @rule(run=claimed, outcome=st.sampled_from([Outcome.DONE, Outcome.FAILED]))
    def finish(self, run: Run, outcome: Outcome) -> None:
        self._finish(run, outcome)

    @rule(run=claimed)
    def park(self, run: Run) -> None:
        done = self._do(lambda conn: store.release(conn, run.id, epoch=run.epoch, now=self.now))
        self._gone(run, done)

    @rule(run=claimed, seconds=st.integers(0, 100))
    def retry(self, run: Run, seconds: int) -> None:
        moment = self.now + timedelta(seconds=seconds)
        done = self._do(
            lambda conn: store.retry(conn, run.id, epoch=run.epoch, now=self.now, not_before=moment)
        )
        self._gone(run, done)

    @rule(held=st.lists(claimed, max_size=5))
    def renew(self, held: list[Run]) -> None:
        pairs = [(run.id, run.epoch) for run in held]
        kept = self._do(lambda conn: store.renew(conn, held=pairs, now=self.now, lease=LEASE))
        assert kept == {run.id for run in held if self.holding.get(run.id) == run}

    @rule(seconds=st.integers(1, 100))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def reap(self) -> None:
        for run_id in self._do(lambda conn: store.reap(conn, now=self.now)):
            del self.holding[run_id]
        self._do(lambda conn: store.wake_due(conn, now=self.now))

    @rule()
    def the_process_dies(self) -> None:
        released = self._do(lambda conn: store.release_holder(conn, "me", now=self.now))
        assert set(released) == set(self.holding)
        self.holding.clear()

    @invariant()
    def lanes_tell_the_truth(self) -> None:
        def look(conn: Connection) -> None:
            for lane in conn.execute(select(lanes)).all():
                running = conn.scalar(
                    select(func.count()).where(runs.c.lane == lane.id, runs.c.state == "leased")
                )
                assert running == lane.running <= LANES[lane.id]
                first = conn.execute(
                    select(runs.c.id, runs.c.kind, runs.c.rank)
                    .where(runs.c.lane == lane.id, runs.c.state == "queued")
                    .where(runs.c.not_before.is_(None))
                    .order_by(runs.c.rank, runs.c.id)
                    .limit(1)
                ).one_or_none()
                expected = (None, None, None) if first is None else tuple(first)
                assert (lane.head_run, lane.head_kind, lane.head_rank) == expected

        self._do(look)

    def _claim(self, slots: int) -> list[Run]:
        got = self._do(
            lambda conn: store.claim(
                conn, holder="me", kinds=["turn"], slots=slots, now=self.now, lease=LEASE
            )
        )
        for run in got:
            assert run.id not in self.holding, "nobody else executes it"
            self.holding[run.id] = run
            self.fresh[run.id] = True
        return got

    def _finish(self, run: Run, outcome: Outcome = Outcome.DONE) -> None:
        done = self._do(
            lambda conn: store.finish(conn, run.id, epoch=run.epoch, outcome=outcome, now=self.now)
        )
        if done and self.fresh[run.id]:
            self.unseen.discard(run.subject)
        self._gone(run, done)

    def _gone(self, run: Run, done: bool) -> None:
        assert done == (self.holding.get(run.id) == run), "only the newest epoch may write"
        if done:
            del self.holding[run.id]

    def _run_dry(self) -> None:
        """A last process takes over: every piece of news is seen by an execution."""
        if not self.unseen and not self.holding:
            return
        self.now += timedelta(days=1)
        self.reap()
        for _ in range(MOST_STEPS):
            got = self._claim(4)
            for run in got:
                self._finish(run)
            if not got:
                break
        assert not self.unseen, "no wake-up was lost"

    def _empty(self, conn: Connection) -> None:
        metadata.create_all(conn)
        conn.execute(tenants.delete())
        conn.execute(tenants.insert(), tenant_row(TENANT, self.now))

    def _heads(self) -> list[str]:
        free = (
            select(lanes.c.head_run)
            .where(lanes.c.head_run.is_not(None), lanes.c.running < lanes.c.max_running)
            .order_by(lanes.c.head_rank, lanes.c.head_run)
        )
        return self._do(lambda conn: list(conn.scalars(free)))

    def _do(self, work: Callable[[Connection], T]) -> T:
        return self.loop.run(self.database.write(work))


async def test_the_queue_keeps_its_promises_in_any_order_of_events(
    empty_database_url: str,
) -> None:
    machine = type("Machine", (QueueMachine,), {"url": empty_database_url})
    tries = settings(
        # The same statements; a server only takes longer over them.
        max_examples=40 if empty_database_url.startswith("sqlite") else 12,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    # In a thread: the machine has an event loop of its own.
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=tries)
