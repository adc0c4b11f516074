"""Ports for servers that tests stop and start again at the same address."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_port() -> Iterator[int]:
    """A port of the loopback that nobody else is given while in the block.

    It is bound and nobody listens at it, so connections are refused until a server does. A server
    may, because it sets SO_REUSEADDR, too: then only one may listen, and any number may be bound.
    """
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]
