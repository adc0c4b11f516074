"""Waiting for tasks of asyncio without losing what they did or that we are cancelled ourselves.

Used wherever a cancellation must not tear a write: `ledger`, `turn`, `calls`, `delegation`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)


async def finish(work: Coroutine[Any, Any, object]) -> None:
    """Await something to its end even when we are cancelled; then be cancelled."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await ended(task)
        raise


async def ended(task: asyncio.Future[Any]) -> None:
    """Wait for a task to end, however often we are cancelled, and only then be cancelled.

    Its error is somebody else's.
    """
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.debug("ended with an error: %r", error)
    if cancelled:
        raise asyncio.CancelledError


def being_cancelled() -> bool:
    """Whether a cancellation that just came out of an await is meant for the present task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
