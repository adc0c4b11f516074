"""Runs a server: opens the house, listens, says where, and stops gracefully on a signal.

`longhouse serve` calls `run`. On SIGINT or SIGTERM the workers park their turns while clients
still see it, then event streams end, then the last answers are sent; a second signal ends the
process at once, which loses nothing that was acknowledged.
"""

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import structlog
import uvicorn
import uvloop
from rich.console import Console as Terminal
from rich.panel import Panel
from rich.text import Text

from longhouse.identity.service.first_run import setup_url
from longhouse.kit import logs
from longhouse.kit.errors import LonghouseError, Misconfigured
from longhouse.kit.settings import Settings
from longhouse.server.app import build_app
from longhouse.server.house import House, open_house, working

log = structlog.get_logger(__name__)

BACKLOG = 1024  # connections the kernel keeps for us while we are busy
GRACE_SECONDS = 10  # for the answers under way when the server stops
KEEP_ALIVE_SECONDS = 75  # longer than proxies keep a connection, so that they close it first

INVITATION = "Make the first user with this one-time link, good for 24 hours:"
PANEL_FRAME = 4  # columns of a panel's border and padding

EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - told apart, not bound here


class PortTaken(Misconfigured):
    """Another program listens at this address."""

    code = "port-taken"
    exit_code = 69  # EX_UNAVAILABLE

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"Port {port} on {host} is taken by another program.",
            hint="Stop that program, or choose another port with --port or LONGHOUSE_PORT.",
        )


def run(settings: Settings) -> None:
    """Serve until a signal comes.

    Raises `LonghouseError` when the server cannot start: each says what to change.
    """
    logs.set_up(log_level=settings.log_level, log_format=settings.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Serve on the running loop until a signal comes."""
    stop = asyncio.Event()
    with listening(settings.host, settings.port) as listener, _signals(stop.set):
        async with (
            open_house(settings) as house,
            serving(house, listener) as server,
            working(house) as runs,  # ends first: clients still see how turns are parked
        ):
            await announce(house, port=listener.getsockname()[1])
            await _first(stop, *(task for task in (server, runs) if task is not None))
            log.info("stopping")


@contextlib.asynccontextmanager
async def serving(house: House, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Answer requests at this socket while in the block; yields the task that does.

    Leaving ends event streams, sends the answers under way, and closes what is idle.
    """
    server = _Server(_config(house))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _first(server.ready, task)
        yield task
    finally:
        house.stopping.set()  # ends the event streams, which would otherwise never end
        server.should_exit = True
        await task


async def announce(house: House, *, port: int) -> None:
    """Tell on standard output where to go, and how to make the first user while there is none."""
    address = address_of(house.settings, port)
    token = await house.identity.first_run.new_token() if house.answers else None
    link = None if token is None else setup_url(address, token)
    terminal = Terminal()
    # A link that is broken over two lines is no link.
    if terminal.is_terminal and len(link or address) + PANEL_FRAME <= terminal.width:
        terminal.print(_panel(address, link))
    else:
        print(_plain(address, link), flush=True)  # noqa: T201 - what the program is started for


def address_of(settings: Settings, port: int) -> str:
    """The address people reach this server at."""
    if settings.public_url is not None:
        return settings.public_url
    host = "localhost" if settings.host in EVERYWHERE else settings.host
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there. Raises `PortTaken` or `Misconfigured`."""
    try:
        listener = _listen(host, port)
    except OSError as error:
        raise _explain(error, host, port) from error
    with contextlib.closing(listener):
        yield listener


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _explain(error: OSError, host: str, port: int) -> LonghouseError:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(host, port)
    reason = error.strerror or str(error)
    if error.errno == errno.EACCES:
        hint = "Ports below 1024 need privileges: choose a higher one with LONGHOUSE_PORT."
    else:
        hint = "Set LONGHOUSE_HOST to an address of this machine."
    return Misconfigured(f"The server cannot listen at {host}, port {port}: {reason}.", hint=hint)


def _config(house: House) -> uvicorn.Config:
    return uvicorn.Config(
        build_app(house),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Only behind a proxy is there somebody to believe about where a request comes from.
        proxy_headers=house.settings.public_url is not None,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers, that says when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()  # set once connections are accepted

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # ours decide in which order things stop


async def _first(event: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Wait for the event; raises what one of the tasks died of when that came first."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in tasks:
        if task.done():
            await task


@contextlib.contextmanager
def _signals(on_first: Callable[[], None]) -> Iterator[None]:
    """Call back on the first SIGINT or SIGTERM; the second acts as if nobody had asked for it."""
    loop = asyncio.get_running_loop()
    handled = (signal.SIGINT, signal.SIGTERM)

    def forget() -> None:
        for number in handled:
            loop.remove_signal_handler(number)

    def first() -> None:
        forget()
        on_first()

    for number in handled:
        loop.add_signal_handler(number, first)
    try:
        yield
    finally:
        forget()


def _panel(address: str, link: str | None) -> Panel:
    text = Text("Longhouse is at ").append(address, style=f"bold link {address}")
    if link is not None:
        text.append(f"\n\n{INVITATION}\n").append(link, style=f"bold link {link}")
    return Panel.fit(text, border_style="green")


def _plain(address: str, link: str | None) -> str:
    welcome = f"Longhouse is at {address}"
    return welcome if link is None else f"{welcome}\n{INVITATION}\n{link}"
