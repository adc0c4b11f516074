"""Rings by NATS: packets on one subject, for `carried`.

Core NATS and no JetStream: a packet is delivered to whoever listens now and kept nowhere. Its own
reconnecting is turned off: `carried` does that for every carrier in the same way. It needs the
extra `nats`; `choose` imports this module when it is used.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from longhouse.kit.bus.carried import CONNECT_SECONDS, LinkLost

SUBJECT = "longhouse.bus"

LARGEST_PACKET = 256 * 1024
"""A server takes 1 MiB unless told otherwise."""

HANDSHAKE_SECONDS = 2
"""One server of several may take so long before the next is tried."""


class NatsCarrier:
    """A NATS server, or several of one cluster."""

    name = "NATS"

    def __init__(self, url: str) -> None:
        """`url`: `nats://user:password@host:4222`, or several of them with commas between."""
        self._servers = [server.strip() for server in url.split(",") if server.strip()]

    async def connect(
        self, *, heard: Callable[[bytes], None], lost: Callable[[], None]
    ) -> "NatsLink":
        """Connect to one of the servers, in any order, and listen."""
        client = Client()
        complaints: list[Exception] = []

        async def hear(message: Msg) -> None:
            heard(message.data)

        async def complain(error: Exception) -> None:
            complaints[:] = [error]

        async def lose() -> None:
            lost()

        try:
            await client.connect(
                self._servers,
                name="longhouse",
                connect_timeout=HANDSHAKE_SECONDS,
                no_echo=True,
                closed_cb=lose,
                error_cb=complain,
                # Each server is tried, and then it is our turn again.
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
            )
            await client.subscribe(SUBJECT, cb=hear)
            await client.flush(int(CONNECT_SECONDS))  # from here on we hear everything
        except (OSError, nats.errors.Error, TimeoutError) as error:
            await _closed(client)
            raise LinkLost(_in_words(complaints[0] if complaints else error)) from error
        except asyncio.CancelledError:
            await _closed(client)
            raise
        return NatsLink(client)


class NatsLink:
    """A connection to a NATS server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.largest = min(LARGEST_PACKET, client.max_payload)

    async def send(self, packets: Sequence[bytes]) -> None:
        """Publish them; they are on their way when this returns."""
        try:
            for packet in packets:
                await self._client.publish(SUBJECT, packet)
        except (OSError, nats.errors.Error) as error:
            raise LinkLost(_in_words(error)) from error

    async def ping(self) -> None:
        """Ask the server for a sign of life."""
        try:
            await self._client.flush()
        except (OSError, nats.errors.Error, TimeoutError) as error:
            raise LinkLost(_in_words(error)) from error

    async def close(self) -> None:
        """Close the connection."""
        await _closed(self._client)


async def _closed(client: Client) -> None:
    with contextlib.suppress(OSError, nats.errors.Error, TimeoutError):
        await client.close()


def _in_words(error: BaseException) -> str:
    return str(error).removeprefix("nats: ") or type(error).__name__
