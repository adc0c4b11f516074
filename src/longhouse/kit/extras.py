"""Optional packages: imported when a setting asks for what needs them, and named when missing.

with needed("a bus on NATS", extra="nats"):
    from longhouse.kit.bus.nats import NatsCarrier
"""

import contextlib
from collections.abc import Iterator

from longhouse.kit.errors import Misconfigured


@contextlib.contextmanager
def needed(what: str, *, extra: str) -> Iterator[None]:
    """Raises `Misconfigured` when the block imports a package that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"For {what} the package {error.name} is needed, which is not installed.",
            hint=f'Install it with: pip install "longhouse[{extra}]"',
        ) from error
