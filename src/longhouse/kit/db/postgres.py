"""How PostgreSQL is reached without SQLAlchemy: for what only the driver can do.

The bus listens by it, and a dump is copied by it. Stores never use it.
"""

from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.asyncpg import dialect

OF_THE_POOL = frozenset({"prepared_statement_cache_size", "prepared_statement_name_func"})
"""What an address may say to SQLAlchemy and not to the driver."""


def driver_arguments(url: str) -> dict[str, object]:
    """What `asyncpg.connect` takes, for an address as the settings have it."""
    parser = dialect()  # type: ignore[no-untyped-call]
    address = make_url(url).set(drivername="postgresql+asyncpg")
    _, arguments = parser.create_connect_args(address)  # type: ignore[no-untyped-call]
    return {name: arguments[name] for name in arguments.keys() - OF_THE_POOL}
