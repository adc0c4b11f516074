"""A small world in which the same seed makes the same things happen in the same order.

Everything runs on one thread: what would be done on another is done at once, databases included.
Time is the world's own. It stands still while there is something to do and jumps to the next timer
when there is not, so nothing is ever waited for. When there is no timer either nothing can happen
any more, and that is an error.
"""

from __future__ import annotations

import asyncio
import heapq
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from longhouse.kit.clock import MANUAL_START
from longhouse.kit.db import group_commit, readers, sqlite
from longhouse.kit.db.group_commit import DatabaseClosed, GroupCommit

H = TypeVar("H")
T = TypeVar("T")


LATEST = 86_400.0  # seconds of the world's time: what goes on for longer goes on for ever


class Stuck(AssertionError):
    """Somebody waits for what can never come."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when nothing else can happen, and then at once."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        """Seconds since the world began."""
        return self._now

    def run_in_executor(  # type: ignore[override]  # typed by what callers here pass
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Do it here and now."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever awaits it is told
            done.set_exception(error)
        return done

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined]
            self._jump()
        super()._run_once()  # type: ignore[misc]

    def _jump(self) -> None:
        timers: list[Any] = self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0].cancelled():  # as the loop itself does, but before it waits
            self._timer_cancelled_count -= 1  # type: ignore[attr-defined]
            heapq.heappop(timers)._scheduled = False
        if not timers:
            raise Stuck(f"nothing can happen any more; {len(asyncio.all_tasks(self))} tasks wait")
        self._now = max(self._now, timers[0].when())
        if self._now > LATEST:
            raise Stuck("what was to happen has not happened in a day")


class SimulatedClock:
    """The time of the loop that runs."""

    def now(self) -> datetime:
        """The moment, aware and in UTC."""
        return MANUAL_START + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Seconds since the world began."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(max(seconds, 0))


def simulate(work: Coroutine[Any, Any, T]) -> T:
    """Let it happen in a world of its own. What it leaves hanging in the end is cut off."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GroupCommit, "submit", _submit)
        patch.setattr("longhouse.kit.db.database.Readers", InlineReaders)
        patch.setattr(sqlite, "connect", _connect)
        with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            return runner.run(work)


_connect_durably = sqlite.connect


def _connect(path: Path) -> sqlite3.Connection:
    """Processes die here, and machines do not: nothing has to reach a disk."""
    connection = _connect_durably(path)
    connection.execute("PRAGMA synchronous=OFF")
    return connection


def _submit(self: GroupCommit[H], job: Callable[[H], T]) -> asyncio.Future[T]:
    """A transaction of its own, on this thread."""
    if self._closing:
        raise DatabaseClosed
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[T] = loop.create_future()
    self._write([group_commit._Job(job, waiter, loop)])  # type: ignore[arg-type]
    return waiter


class InlineReaders(Generic[H]):
    """Reads on this thread, each in a snapshot of its own."""

    def __init__(self, connections: Sequence[tuple[sqlite3.Connection, H]]) -> None:
        self._connection, self._handle = connections[0]

    async def run(self, work: Callable[[H], T]) -> T:
        """Call `work(handle)`; raises what it raises."""
        result, error = readers._in_snapshot(self._connection, self._handle, work)
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    async def close(self) -> None:
        """Nothing to stop."""
