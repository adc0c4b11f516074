"""Processes that are killed without killing one: runtimes whose journal and tools stop for good.

A killed process does nothing more. What it was doing hangs for ever where it was: before a write,
after one that nobody learns of, in the middle of a tool. None of its `finally` runs.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from longhouse.runtime.journals.base import Journal
from longhouse.runtime.runtime import Runtime

T = TypeVar("T")

LONGEST_PAUSE = 4  # rounds of the event loop before and after each use of the journal


class Died(Exception):
    """The process was killed before it answered."""


class Pulse:
    """Whether a process lives. Whatever it does to the outside passes here first."""

    def __init__(self, chance: random.Random) -> None:
        self.stopped = asyncio.Event()
        self.cut_off = False  # the test is over: nothing has to hang any more
        self._chance = chance
        self._hanging: list[asyncio.Future[None]] = []  # or whoever waits for them is collected

    async def beat(self) -> None:
        """A moment in which the process may be killed."""
        for _ in range(self._chance.randrange(LONGEST_PAUSE)):
            await asyncio.sleep(0)
        await self.hold()

    async def hold(self) -> None:
        """Return only to a process that lives."""
        if self.cut_off:
            raise Died
        if self.stopped.is_set():
            never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._hanging.append(never)
            await never


class MortalJournal:
    """A process's way to a journal. It may be killed before each use, and before the answer."""

    def __init__(self, journal: Journal, pulse: Pulse) -> None:
        self._journal = journal
        self._pulse = pulse

    def __getattr__(self, name: str) -> Any:
        work = getattr(self._journal, name)
        if not asyncio.iscoroutinefunction(work):
            return work

        async def mortal(*arguments: Any, **named: Any) -> Any:
            await self._pulse.beat()
            result = await work(*arguments, **named)
            await self._pulse.beat()
            return result

        return mortal

    @property
    def bus(self) -> Any:
        """Where the journal rings."""
        return self._journal.bus

    @bus.setter
    def bus(self, bus: Any) -> None:
        self._journal.bus = bus


class Process:
    """A runtime that can be killed."""

    def __init__(self, runtime: Runtime, pulse: Pulse) -> None:
        self.runtime = runtime
        self.pulse = pulse

    @classmethod
    async def started(
        cls,
        make: Callable[[Journal, Pulse], Runtime],
        journal: Journal,
        chance: random.Random,
    ) -> Process:
        """One that has begun. `make`: the runtime, with tools that ask the pulse."""
        pulse = Pulse(chance)
        runtime = make(cast("Journal", MortalJournal(journal, pulse)), pulse)
        await runtime.__aenter__()
        return cls(runtime, pulse)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.pulse.stopped.set()

    async def leave(self) -> None:
        """End it in order."""
        await self.runtime.__aexit__(None, None, None)

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """What comes of it. Raises `Died` when the process is killed before it answers."""
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self.pulse.stopped.wait())
        try:
            await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Died
        finally:
            stopped.cancel()
