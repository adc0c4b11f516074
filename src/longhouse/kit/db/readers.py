"""A few threads with a read-only SQLite connection each: reads beside the one writer.

`database` runs store functions here. Every read sees one snapshot. This module knows no table and
opens no file.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from longhouse.kit.db import sqlite
from longhouse.kit.db.group_commit import DatabaseClosed

logger = logging.getLogger(__name__)

H = TypeVar("H")
T = TypeVar("T")


class _Read(NamedTuple):
    work: Callable[..., object]
    waiter: asyncio.Future[object]
    loop: asyncio.AbstractEventLoop


class Readers(Generic[H]):
    """Runs each read on the first thread that is free.

    The connections belong to the threads until `close` has returned.
    """

    def __init__(self, connections: Sequence[tuple[sqlite3.Connection, H]]) -> None:
        self._queue: SimpleQueue[_Read | None] = SimpleQueue()
        self._closing = False
        self._gate = threading.Lock()
        self._threads = [
            threading.Thread(
                target=self._read_until_closed,
                args=(connection, handle),
                name=f"longhouse-reader-{number}",
                daemon=True,
            )
            for number, (connection, handle) in enumerate(connections, start=1)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[H], T]) -> T:
        """Call `work(handle)` in a snapshot of its own; raises what it raises."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        with self._gate:
            if self._closing:
                raise DatabaseClosed
            self._queue.put(_Read(work, waiter, loop))  # type: ignore[arg-type]  # T is an object
        return await waiter

    async def close(self) -> None:
        """Finish what is queued, then stop the threads. Closing twice is fine."""
        with self._gate:
            if not self._closing:
                self._closing = True
                for _ in self._threads:
                    self._queue.put(None)
        for thread in self._threads:
            if thread.is_alive():
                await asyncio.to_thread(thread.join)

    def _read_until_closed(self, connection: sqlite3.Connection, handle: H) -> None:
        while (read := self._queue.get()) is not None:
            if read.waiter.cancelled():  # nobody wants to know any more, and a read changes nothing
                continue
            result, error = _in_snapshot(connection, handle, read.work)
            try:
                read.loop.call_soon_threadsafe(_resolve, read.waiter, result, error)
            except RuntimeError:
                logger.warning("the result of a read came after its event loop was closed")


def _in_snapshot(
    connection: sqlite3.Connection, handle: H, work: Callable[[H], object]
) -> tuple[object, BaseException | None]:
    try:
        connection.execute("BEGIN")
        try:
            return work(handle), None
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the waiter
        return None, sqlite.for_waiter(error)


def _resolve(waiter: asyncio.Future[object], result: object, error: BaseException | None) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(result)
    else:
        waiter.set_exception(error)
