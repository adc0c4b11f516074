"""One writer thread for an SQLite file: whatever waits is committed together.

A commit costs an fsync, however much is in it. So the thread takes all the jobs that wait, runs
each under a savepoint of its own, and commits once; while the disk works, the next batch gathers.
There is no linger: a job that comes alone is committed alone, at once and without a savepoint.

`database` runs store functions here on SQLAlchemy connections, the runtime's SQLite journal on a
bare `sqlite3.Connection`; both hand over the connection (for the transaction) and a handle (what
their jobs are called with). This module knows no table and opens no file.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from longhouse.kit.db import sqlite
from longhouse.kit.errors import Unavailable

logger = logging.getLogger(__name__)

H = TypeVar("H")
T = TypeVar("T")

MAX_BATCH = 256
"""Jobs in one transaction at most: beyond that the commit is amortised and waiting only grows."""


class DatabaseClosed(Unavailable):
    """The database is closed: the process is stopping."""

    code = "database-closed"

    def __init__(self) -> None:
        super().__init__("The database is closed: the server is stopping.", retry_after=1)


class TransactionLost(Unavailable):
    """Another job of the same batch, or the disk, took the transaction down; nothing was saved."""

    code = "transaction-lost"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The change was not saved: {reason}.", hint="Try again.", retry_after=1)


class _Job(NamedTuple):
    work: Callable[..., object]
    waiter: asyncio.Future[object]
    loop: asyncio.AbstractEventLoop


class _Outcome(NamedTuple):
    job: _Job
    result: object
    error: BaseException | None


class GroupCommit(Generic[H]):
    """Runs jobs one after the other on one connection and commits them in batches.

    The connection must be in autocommit mode (`isolation_level=None`) and belongs to the writer
    thread until `close` has returned; whoever opened it closes it then.
    """

    def __init__(
        self, connection: sqlite3.Connection, handle: H, *, name: str = "longhouse-writer"
    ) -> None:
        self._connection = connection
        self._handle = handle
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._closing = False
        # Held for the moment between "is it open?" and the place in the queue.
        self._gate = threading.Lock()
        # A daemon: a program that forgets to close still ends; what it awaited was committed.
        self._thread = threading.Thread(target=self._write_until_closed, name=name, daemon=True)
        self._thread.start()

    async def run(self, job: Callable[[H], T]) -> T:
        """Call `job(handle)` inside the next transaction; return its result once it is durable.

        What the job raises is raised here and undoes this job alone. Cancelling the wait does not
        cancel the job. Raises `TransactionLost` or another `Unavailable` when the batch could not
        be committed, `DatabaseClosed` after `close`.
        """
        return await self.submit(job)

    def submit(self, job: Callable[[H], T]) -> asyncio.Future[T]:
        """Queue a job now, in the order of the calls, and get the future of its result."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        with self._gate:
            if self._closing:
                raise DatabaseClosed
            self._queue.put(_Job(job, waiter, loop))  # type: ignore[arg-type]  # T is an object
        return waiter

    async def close(self) -> None:
        """Finish what is queued, then stop the thread. Closing twice is fine."""
        with self._gate:
            if not self._closing:
                self._closing = True
                self._queue.put(None)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    # --- the writer thread ----------------------------------------------------------------------

    def _write_until_closed(self) -> None:
        queue = self._queue
        closing = False
        while not closing:
            job = queue.get()
            batch: list[_Job] = []
            while job is not None:
                batch.append(job)
                if len(batch) == MAX_BATCH or queue.empty():
                    break
                job = queue.get()
            closing = job is None
            if batch:
                self._write(batch)

    def _write(self, batch: list[_Job]) -> None:
        """Run every job of the batch and deliver every outcome, in one transaction if it lives."""
        while batch:
            outcomes, batch = self._transact(batch)
            _deliver(outcomes)

    def _transact(self, batch: list[_Job]) -> tuple[list[_Outcome], list[_Job]]:
        """One transaction: the outcomes, and the jobs that it did not come to."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            return _failed(batch, error), []
        try:
            if len(batch) == 1:
                return [self._run_alone(batch[0])], []
            return self._run_together(batch)
        except sqlite3.Error as error:  # of a savepoint; jobs and commits have their own
            return _failed(batch, error), []
        finally:
            if connection.in_transaction:  # only after an error
                self._roll_back()

    def _run_alone(self, job: _Job) -> _Outcome:
        """The hot path: no savepoint, for rolling back the transaction undoes just this job."""
        connection = self._connection
        try:
            result = job.work(self._handle)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the waiter
            return _Outcome(job, None, sqlite.for_waiter(error))
        if not connection.in_transaction:
            return _Outcome(job, None, TransactionLost("it ended the transaction itself"))
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            return _failed([job], error)[0]
        return _Outcome(job, result, None)

    def _run_together(self, batch: list[_Job]) -> tuple[list[_Outcome], list[_Job]]:
        connection = self._connection
        outcomes: list[_Outcome] = []
        for position, job in enumerate(batch, start=1):
            outcomes.append(self._run_in_savepoint(job))
            if not connection.in_transaction:
                # A full disk, or a job that committed by itself: the earlier ones went with it.
                return _lost(outcomes, "its transaction was taken down"), batch[position:]
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            return _failed(batch, error), []
        return outcomes, []

    def _run_in_savepoint(self, job: _Job) -> _Outcome:
        connection = self._connection
        connection.execute("SAVEPOINT job")
        try:
            result = job.work(self._handle)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the waiter
            if connection.in_transaction:
                connection.execute("ROLLBACK TO job")
                connection.execute("RELEASE job")
            return _Outcome(job, None, sqlite.for_waiter(error))
        if connection.in_transaction:
            connection.execute("RELEASE job")
        return _Outcome(job, result, None)

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            # SQLite has rolled back by itself, or the next BEGIN will say what is wrong.
            logger.exception("the transaction could not be rolled back")


def _failed(batch: list[_Job], error: sqlite3.Error) -> list[_Outcome]:
    """Nothing of the batch was saved; every waiter gets an exception object of its own."""
    return [
        _Outcome(job, None, sqlite.explain(error) or TransactionLost(str(error))) for job in batch
    ]


def _lost(outcomes: list[_Outcome], reason: str) -> list[_Outcome]:
    """The same outcomes, with those that would have been successes turned into failures."""
    return [
        outcome
        if outcome.error is not None
        else _Outcome(outcome.job, None, TransactionLost(reason))
        for outcome in outcomes
    ]


def _deliver(outcomes: list[_Outcome]) -> None:
    """Hand the outcomes to their event loops, each loop woken once."""
    loop = outcomes[0].job.loop
    if all(outcome.job.loop is loop for outcome in outcomes):
        _wake(loop, outcomes)
        return
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome.job.loop, []).append(outcome)
    for loop, share in by_loop.items():
        _wake(loop, share)


def _wake(loop: asyncio.AbstractEventLoop, outcomes: list[_Outcome]) -> None:
    try:
        loop.call_soon_threadsafe(_resolve, outcomes)
    except RuntimeError:
        # The loop is closed, so nobody waits any more; the jobs are done all the same.
        logger.warning("%d results came after their event loop was closed", len(outcomes))


def _resolve(outcomes: list[_Outcome]) -> None:
    for job, result, error in outcomes:
        if job.waiter.done():  # cancelled: its job was done, only nobody asks
            continue
        if error is None:
            job.waiter.set_result(result)
        else:
            job.waiter.set_exception(error)
