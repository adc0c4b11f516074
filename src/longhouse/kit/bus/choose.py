"""Which bus a process has: chosen by one setting, opened here and nowhere else.

The server's `house` calls it. Clients of a carrier are optional packages, imported when an address
asks for them.
"""

import contextlib
from collections.abc import AsyncIterator

from longhouse.kit.bus.base import Bus
from longhouse.kit.bus.carried import CarriedBus, Carrier
from longhouse.kit.bus.memory import MemoryBus
from longhouse.kit.db.database import POSTGRES_SCHEMES
from longhouse.kit.errors import Misconfigured
from longhouse.kit.extras import needed

MEMORY = "memory"
NATS_SCHEMES = ("nats://", "tls://")


def default_bus_url(database_url: str) -> str:
    """The bus that fits a database: PostgreSQL's own, or none beyond this process."""
    return database_url if database_url.startswith(POSTGRES_SCHEMES) else MEMORY


@contextlib.asynccontextmanager
async def opened_bus(url: str) -> AsyncIterator[Bus]:
    """The bus at this address, closed afterwards.

    `memory`, `nats://…`, `tls://…` or `postgresql://…`. A carrier that is away does not stop the
    process: the bus connects when it can. Raises `Misconfigured` for an address that cannot be.
    """
    bus: Bus
    if url == MEMORY:
        bus = MemoryBus()
    else:
        bus = CarriedBus(_carrier(url))
        await bus.settled()
    try:
        yield bus
    finally:
        await bus.close()


def _carrier(url: str) -> Carrier:
    """Lazily: the clients are optional packages, and most houses need none of them."""
    if url.startswith(NATS_SCHEMES):
        with needed("a bus on NATS", extra="nats"):
            from longhouse.kit.bus.nats import NatsCarrier  # noqa: PLC0415
        return NatsCarrier(url)
    if url.startswith(POSTGRES_SCHEMES):
        with needed("a bus on PostgreSQL", extra="postgres"):
            from longhouse.kit.bus.postgres import PostgresCarrier  # noqa: PLC0415
        return PostgresCarrier(url)
    raise Misconfigured(
        "The address of the bus has an unknown form.",
        hint="Set LONGHOUSE_BUS_URL to memory, nats://host:4222 or "
        "postgresql://user:password@host/database, or leave it out.",
    )
