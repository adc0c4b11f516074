"""How tests wait: for what happens, and never for time to pass.

A time-out here measures nothing. It ends a hang, so it is longer than any machine takes that has
other things to do. Where a time-out is what a test is about, it tries `LONGER` and longer ones,
until what it cuts off had begun.
"""

import asyncio
import time
from collections.abc import Callable

PATIENCE = 120.0  # seconds

LONGER = (0.3, 1.0, 5.0, 25.0)  # seconds

LOOKS_EVERY = 0.005  # seconds


async def until(happened: Callable[[], bool]) -> None:
    """Wait for what tells nobody: another process, a file, a plain function's note."""
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(LOOKS_EVERY)


def wait_until(happened: Callable[[], bool]) -> None:
    """The same where there is no event loop."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(LOOKS_EVERY)
