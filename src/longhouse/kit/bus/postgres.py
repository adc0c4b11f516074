"""Rings by PostgreSQL's own NOTIFY: packets on one channel, for `carried`.

One connection of its own listens and sends; the pool of the database is not touched. A pooler that
hands out connections by transaction (PgBouncer) cannot carry it: name the server itself in
`LONGHOUSE_BUS_URL` then. It needs the extra `postgres`; `choose` imports this module when it is
used.
"""

import asyncio
import contextlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence

import asyncpg  # type: ignore[import-untyped]

from longhouse.kit.bus.carried import LinkLost
from longhouse.kit.db.postgres import driver_arguments

CHANNEL = "longhouse"

LARGEST_PACKET = 5_900
"""NOTIFY takes less than 8,000 bytes of text; base64 makes four characters of three bytes."""

# The order of the rows is the order of the notifications. All of them are one transaction.
_NOTIFY = "SELECT pg_notify($1, packet) FROM unnest($2::text[]) AS packet"


class PostgresCarrier:
    """A PostgreSQL database: processes on the same one hear each other."""

    name = "PostgreSQL"

    def __init__(self, url: str) -> None:
        """`url`: as for the database itself."""
        self._arguments = driver_arguments(url)

    async def connect(
        self, *, heard: Callable[[bytes], None], lost: Callable[[], None]
    ) -> "PostgresLink":
        """Connect and listen."""

        def hear(_connection: object, _process: int, _channel: str, payload: object) -> None:
            heard(_decoded(str(payload)))

        try:
            connection = await asyncpg.connect(**self._arguments)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise LinkLost(_in_words(error)) from error
        try:
            # A ring is a hint: its transaction need not wait for the disk.
            await connection.execute("SET synchronous_commit = off")
            await connection.add_listener(CHANNEL, hear)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            connection.terminate()
            raise LinkLost(_in_words(error)) from error
        except asyncio.CancelledError:
            connection.terminate()
            raise
        connection.add_termination_listener(lambda _: lost())
        return PostgresLink(connection)


class PostgresLink:
    """A connection to PostgreSQL that listens."""

    largest = LARGEST_PACKET

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def send(self, packets: Sequence[bytes]) -> None:
        """Notify the others; committed when this returns."""
        await self._execute(_NOTIFY, CHANNEL, [b64encode(packet).decode() for packet in packets])

    async def ping(self) -> None:
        """Ask the server for a sign of life."""
        await self._execute("SELECT 1")

    async def close(self) -> None:
        """Close the connection; at once when the server does not say goodbye."""
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            try:
                await self._connection.close(timeout=1)
            except TimeoutError:
                self._connection.terminate()

    async def _execute(self, statement: str, *arguments: object) -> None:
        try:
            await self._connection.execute(statement, *arguments)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise LinkLost(_in_words(error)) from error
        except asyncio.CancelledError:
            # Half a request is under way: nobody may use this connection again.
            self._connection.terminate()
            raise


def _decoded(payload: str) -> bytes:
    """The packet in a notification; what is none is refused by whoever takes it apart."""
    try:
        return b64decode(payload, validate=True)
    except ValueError:
        return b""


def _in_words(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
