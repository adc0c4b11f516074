"""How connections of a sandbox come to the egress proxy, although the sandbox has no network.

A socket belongs to the network it was made in. A few lines of Python are the first thing that runs
inside: they listen on the sandbox's own 127.0.0.1:3128, hand that socket out to us, and become the
command. From then on the command's connections arrive here, and nothing of ours stays inside.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator

from longhouse.runtime.sandbox.base import NetworkPort
from longhouse.runtime.sandbox.process import Fd, readable

PORT = 3128
_URL = f"http://127.0.0.1:{PORT}"

ENVIRONMENT = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), _URL),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "localhost,127.0.0.1,::1"),
}
"""What tells a command's programs of the proxy."""

# Python ignores two signals that a program expects to end it, and children inherit that.
_PRELUDE = f"""
import os, socket, sys
from signal import SIG_DFL, SIGPIPE, SIGXFSZ, signal
link = socket.socket(fileno=int(sys.argv[1]))
door = socket.create_server(("127.0.0.1", {PORT}), backlog=128)
socket.send_fds(link, [b"."], [door.fileno()])
link.close()
door.close()
signal(SIGPIPE, SIG_DFL)
signal(SIGXFSZ, SIG_DFL)
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    print(f"{{sys.argv[2]}}: {{error.strerror}}", file=sys.stderr)
    os._exit(127)
"""


def through(link: Fd, argv: tuple[str, ...]) -> tuple[str, ...]:
    """`argv`, begun by what hands out the socket through `link`."""
    # -I -S: nothing of the workspace or the environment has a say in what is imported.
    return ("python3", "-I", "-S", "-c", _PRELUDE, str(link.fileno()), *argv)


@contextlib.contextmanager
def pair() -> Iterator[tuple[Fd, Fd]]:
    """Two ends of a link, closed at the end unless they are before."""
    ours, theirs = (Fd(end.detach()) for end in socket.socketpair())
    try:
        yield ours, theirs
    finally:
        ours.close()
        theirs.close()


@contextlib.asynccontextmanager
async def served(link: Fd | None, network: NetworkPort | None) -> AsyncIterator[None]:
    """While in the block, `network` answers what arrives at the socket that comes by `link`."""
    if link is None or network is None:
        yield
        return
    serving = asyncio.create_task(_serve(link, network), name="egress")
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.wait({serving})


async def _serve(link: Fd, network: NetworkPort) -> None:
    listener = await _received(link)
    if listener is None:
        return  # the command ended before it began
    async with network.serve(listener):
        await asyncio.get_running_loop().create_future()


async def _received(link: Fd) -> socket.socket | None:
    await readable(link)
    with socket.socket(fileno=os.dup(link.fileno())) as ours:
        _, numbers, _, _ = socket.recv_fds(ours, 1, 4)
    sockets = [socket.socket(fileno=number) for number in numbers]
    for each in sockets:
        each.set_inheritable(False)
    if len(sockets) == 1 and _listens(sockets[0]):
        return sockets[0]
    for each in sockets:
        each.close()
    return None


def _listens(given: socket.socket) -> bool:
    return (
        given.family == socket.AF_INET
        and given.type == socket.SOCK_STREAM
        and bool(given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    )
