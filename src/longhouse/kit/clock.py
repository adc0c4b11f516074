"""Time as a value that is handed in: the real clock and one that tests move by hand.

Whoever needs the time (leases, tokens, schedules, back-off) takes a `Clock` and never reads the
wall clock itself. This module does no scheduling and formats nothing.
"""

import asyncio
import heapq
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

MANUAL_START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
"""Where a `ManualClock` begins unless told otherwise: fixed, so that tests repeat exactly."""


class Clock(Protocol):
    """What time it is, how long something took, and a way to wait."""

    def now(self) -> datetime:
        """The moment, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never go back: for durations only."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds; zero or less only lets others run."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The moment, aware and in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds of real time."""
        await asyncio.sleep(max(seconds, 0))


class ManualClock:
    """A clock that stands still until a test says `advance`."""

    def __init__(self, start: datetime = MANUAL_START) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock starts at an aware moment; give it a time zone")
        self._start = start.astimezone(UTC)
        self._elapsed = 0.0
        self._arrivals = 0
        # (deadline, arrival, wake-up): arrival keeps equal deadlines in the order they came.
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._watchers: list[tuple[int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The moment, aware and in UTC."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved the clock so many seconds on."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._arrivals, wake))
        self._tell_watchers()
        await wake

    def advance(self, seconds: float) -> None:
        """Move on by so many seconds and wake whoever is due, the earliest first."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            _, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)

    @property
    def sleepers(self) -> int:
        """How many are waiting for this clock now."""
        return sum(not wake.done() for _, _, wake in self._sleepers)

    async def wait_for_sleepers(self, count: int = 1) -> None:
        """Return once at least so many wait: a test then knows that `advance` will reach them."""
        if self.sleepers >= count:
            return
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.append((count, reached))
        await reached

    def _tell_watchers(self) -> None:
        sleeping = self.sleepers
        waiting = []
        for count, reached in self._watchers:
            if count > sleeping:
                waiting.append((count, reached))
            elif not reached.done():
                reached.set_result(None)
        self._watchers = waiting
