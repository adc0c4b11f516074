"""Answers many questions with one read: those that come while one runs wait for the next.

There is no linger: a question that comes alone is asked alone, at once. Under load a read answers
whatever has gathered, so its cost is shared. Each answer is at least as new as its question.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST_AT_ONCE = 500
"""Questions of one read: databases bound the parameters of a statement."""


class Batch(Generic[K, V]):
    """Reads by key. Used from the thread of one event loop only."""

    def __init__(self, read: Callable[[Collection[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._read = read
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """What is there under this key, as it is now or later; None when there is nothing.

        Raises what the read raises.
        """
        waiter: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(waiter)
        if self._task is None:
            self._task = asyncio.create_task(self._answer_all())
        return await waiter

    async def _answer_all(self) -> None:
        while self._waiting:
            keys = list(self._waiting)[:MOST_AT_ONCE]
            asked = {key: self._waiting.pop(key) for key in keys}
            try:
                found = await self._read(keys)
            except Exception as error:  # noqa: BLE001 - it belongs to those who asked
                _fail(asked, error)
            else:
                _answer(asked, found)
        self._task = None


def _answer(asked: Mapping[K, list[asyncio.Future[V | None]]], found: Mapping[K, V]) -> None:
    for key, waiters in asked.items():
        for waiter in waiters:
            if not waiter.done():  # cancelled meanwhile
                waiter.set_result(found.get(key))


def _fail(asked: Mapping[K, list[asyncio.Future[V | None]]], error: Exception) -> None:
    for waiters in asked.values():
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)
