"""One MCP server, connected: started on first use, called, found dead, started again.

`toolbox` has one for each server. The connection lives in a task of its own, since what the package
opens must be closed by the task that opened it; calls come from the agents' tasks. A server that
fails is waited for a little longer each time, and nobody who calls it meanwhile has to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Self, TextIO

from longhouse.kit.clock import Clock
from longhouse.protocol.events import JsonObject
from longhouse.runtime.mcp.server import McpServer
from longhouse.runtime.mcp.translate import text_of
from longhouse.runtime.tasks import ended
from longhouse.runtime.tools.base import ToolFailed, ToolResult, printable

if TYPE_CHECKING:
    from types import TracebackType

    import mcp
    import mcp_types
    from mcp.client._transport import ReadStream, TransportStreams
    from mcp.client.session import IncomingMessage
    from mcp.shared.message import SessionMessage

logger = logging.getLogger(__name__)

MOST_PAGES = 50  # of a list of tools: one that never ends is no list
MOST_TOOLS = 500
LISTING_SECONDS = 300.0  # before a server is asked again which tools it has
LONGEST_WAIT_SECONDS = 60.0  # between two attempts to start a server
CONNECT_SECONDS = 30.0
SPARE_SECONDS = 30.0  # that the transport waits longer than the call, which says more
CLOSE_SECONDS = 10.0  # for a server to end by itself, or by force
TAIL_BYTES = 2000  # of what a server printed last
LONGEST_WORDS = 300  # characters of it that are told

# What the package would hand on of our environment unless told otherwise. `env` takes it away.
_INHERITED = ("HOME", "LOGNAME", "SHELL", "TERM", "USER")


class ServerDown(Exception):
    """The server cannot be used now; the text says why and, if known, when to try again."""


class _Link:
    """A connection that stands, until it does not."""

    def __init__(self, client: mcp.Client, over: asyncio.Event, stderr: _Tail) -> None:
        self.client = client
        self.over = over  # set by whoever finds it broken, and to close it
        self.stderr = stderr
        self.listing_is_old = True
        self.listed_at = 0.0  # monotonic seconds


class Connection:
    """The way to one server."""

    def __init__(self, server: McpServer, clock: Clock) -> None:
        self.server = server
        self._clock = clock
        self._link: _Link | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._failures = 0  # in a row
        self._not_before = 0.0  # monotonic seconds
        self._reason = ""

    async def reach(self) -> None:
        """Have the connection stand. Raises `ServerDown`."""
        await self._linked()

    async def list_tools(self) -> Sequence[mcp_types.Tool] | None:
        """The server's tools, or None when they are as they were. Raises `ServerDown`.

        Not every server tells when they change, so that they are asked for now and then.
        """
        link = await self._linked()
        now = self._clock.monotonic()
        if not link.listing_is_old and now - link.listed_at < LISTING_SECONDS:
            return None
        try:
            async with asyncio.timeout(self.server.start_seconds):
                tools = await _all_tools(link.client)
        except Exception as error:
            logger.warning("MCP server %s did not list its tools", self.server.name, exc_info=True)
            await self._give_up(link, f"its tools could not be listed: {_words(error)}")
            raise ServerDown(self._reason) from error
        link.listing_is_old, link.listed_at = False, now
        return tools

    async def call(self, tool: str, arguments: JsonObject) -> ToolResult:
        """Call a tool. Raises `ToolFailed` for whatever goes wrong, and only that."""
        try:
            link = await self._linked()
        except ServerDown as error:
            raise ToolFailed(str(error), retryable=True) from error
        result = await self._answer(link, tool, arguments)
        self._failures = 0
        if result.is_error:
            raise ToolFailed(text_of(result) or f"{tool} failed and did not say why.")
        return ToolResult(content=text_of(result))

    async def close(self) -> None:
        """End the connection and, where it is a program, the server."""
        keeper, link = self._keeper, self._link
        self._keeper = self._link = None  # who needs it meanwhile starts another
        if keeper is None or link is None:
            return
        link.over.set()
        # Asked first: a task that is cancelled could leave the program behind.
        await asyncio.wait({keeper}, timeout=CLOSE_SECONDS)
        keeper.cancel()
        await ended(keeper)

    # --- calling ------------------------------------------------------------------------------

    async def _answer(
        self, link: _Link, tool: str, arguments: JsonObject
    ) -> mcp_types.CallToolResult:
        from mcp import MCPError  # noqa: PLC0415 - a large package that few programs need

        name, seconds = self.server.name, self.server.call_seconds
        try:
            async with asyncio.timeout(seconds):
                return await link.client.call_tool(tool, arguments)
        except TimeoutError:
            raise ToolFailed(
                f"MCP server {name} did not answer within {seconds:g} seconds. The call was "
                "cancelled, and may have happened in part.",
                retryable=True,
            ) from None
        except MCPError as error:
            if _is_broken(error):
                await self._give_up(link, f"the connection broke: {error}")
                raise ToolFailed(
                    f"{self._reason} This call may have happened in part.", retryable=True
                ) from error
            raise ToolFailed(f"MCP server {name} refused the call: {str(error)[:2000]}") from error
        except (RuntimeError, ValueError) as error:  # by the package: not what the server promised
            raise ToolFailed(
                f"MCP server {name} answered against its own word: {_words(error)}"
            ) from error
        except Exception as error:  # the transport's: anything may come out of it
            logger.warning("MCP server %s failed", name, exc_info=True)
            await self._give_up(link, f"the connection broke: {_words(error)}")
            raise ToolFailed(self._reason, retryable=True) from error

    async def _give_up(self, link: _Link, reason: str) -> None:
        """Close a connection that is of no use; the next who needs it starts a new one."""
        if link is not self._link:
            return  # somebody else has seen it too
        await self.close()
        self._failed(reason, link.stderr)

    # --- starting -----------------------------------------------------------------------------

    async def _linked(self) -> _Link:
        """The connection that stands, or a new one. Raises `ServerDown`."""
        async with self._starting:
            keeper, link = self._keeper, self._link
            if link is not None and keeper is not None:
                if not (link.over.is_set() or keeper.done()):
                    return link
                await self.close()
            wait = self._not_before - self._clock.monotonic()
            if wait > 0:
                raise ServerDown(f"{self._reason} It is tried again in {wait:.0f} s.")
            return await self._start()

    async def _start(self) -> _Link:
        stderr = _Tail()
        ready: asyncio.Future[_Link] = asyncio.get_running_loop().create_future()
        keeper = asyncio.create_task(
            self._keep(ready, stderr), name=f"MCP server {self.server.name}"
        )
        try:
            first: set[asyncio.Future[Any]] = {keeper, ready}
            await asyncio.wait(
                first,
                timeout=self.server.start_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        except asyncio.CancelledError:
            keeper.cancel()
            await ended(keeper)
            raise
        if not ready.done():
            keeper.cancel()
            await ended(keeper)
            cause = None if keeper.cancelled() else keeper.exception()
            slow = f"it did not answer within {self.server.start_seconds:g} s"
            self._failed(f"it could not be started: {_words(cause) if cause else slow}", stderr)
            raise ServerDown(self._reason) from cause
        self._keeper, self._link = keeper, ready.result()
        return self._link

    async def _keep(self, ready: asyncio.Future[_Link], stderr: _Tail) -> None:
        """Open the connection, hold it until it is over, close it."""
        from mcp import Client  # noqa: PLC0415 - a large package that few programs need

        async def heard(message: IncomingMessage) -> None:
            method = getattr(message, "method", "")
            if method == "notifications/tools/list_changed" and self._link is not None:
                self._link.listing_is_old = True

        over = asyncio.Event()
        try:
            async with Client(
                self._transport(over, stderr), message_handler=heard, cache=None
            ) as client:
                link = _Link(client, over, stderr)
                ready.set_result(link)
                await link.over.wait()
        except Exception as error:
            logger.warning(
                "the connection to MCP server %s failed: %s", self.server.name, _words(error)
            )
            if not ready.done():
                raise

    def _transport(
        self, over: asyncio.Event, stderr: _Tail
    ) -> contextlib.AbstractAsyncContextManager[TransportStreams]:
        return self._by_http() if self.server.url else self._by_program(over, stderr)

    @contextlib.asynccontextmanager
    async def _by_http(self) -> AsyncIterator[TransportStreams]:
        import httpx2  # noqa: PLC0415 - comes with the package
        from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415 - as above

        patience = httpx2.Timeout(CONNECT_SECONDS, read=self.server.call_seconds + SPARE_SECONDS)
        async with (
            httpx2.AsyncClient(headers=dict(self.server.headers), timeout=patience) as http,
            streamable_http_client(self.server.url, http_client=http) as streams,
        ):
            yield streams

    @contextlib.asynccontextmanager
    async def _by_program(
        self, over: asyncio.Event, stderr: _Tail
    ) -> AsyncIterator[TransportStreams]:
        from mcp import StdioServerParameters, stdio_client  # noqa: PLC0415 - as above

        path = self.server.env.get("PATH", os.environ.get("PATH", os.defpath))
        program = shutil.which(self.server.command[0], path=path)
        if program is None:
            raise FileNotFoundError(f"there is no program {self.server.command[0]!r} on its PATH")
        removed = [name for name in _INHERITED if name not in self.server.env]
        # Names only: the values go through the environment, which others cannot read.
        words = [word for name in removed for word in ("-u", name)]
        parameters = StdioServerParameters(
            command="env",
            args=[*words, program, *self.server.command[1:]],
            env={**self.server.env, "PATH": path},
            cwd=self.server.cwd,
            encoding_error_handler="replace",
        )
        async with stderr.opened() as errlog, stdio_client(parameters, errlog) as (said, told):
            yield _Watched(said, over), told

    def _failed(self, reason: str, stderr: _Tail) -> None:
        """Remember why, and when to try again: at once the first time, later each time after."""
        self._failures += 1
        wait = 0.0 if self._failures == 1 else 2.0 ** min(self._failures - 2, 10)
        self._not_before = self._clock.monotonic() + min(wait, LONGEST_WAIT_SECONDS)
        said = stderr.last_words()
        self._reason = self._without_secrets(
            f"MCP server {self.server.name} is not available: {reason}."
            + (f" It printed last: {said}." if said else "")
        )

    def _without_secrets(self, text: str) -> str:
        """A text that goes into the journal, without what the server was told in confidence."""
        for secret in self.server.secrets:
            text = text.replace(secret, "…")
        return printable(text)


class _Watched:
    """What a program says, and the news that it says nothing more: it has ended."""

    def __init__(self, stream: ReadStream[SessionMessage | Exception], over: asyncio.Event) -> None:
        self._stream = stream
        self._over = over

    async def receive(self) -> SessionMessage | Exception:
        """The next message."""
        return await self._stream.receive()

    async def aclose(self) -> None:
        """Hear no more."""
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self._stream.__anext__()
        except StopAsyncIteration:
            self._over.set()
            raise

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._stream.__aexit__(kind, error, trace)


class _Tail(asyncio.Protocol):
    """The end of what a program printed as its errors; the rest is forgotten as it comes."""

    def __init__(self) -> None:
        self._kept = b""

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._kept = (self._kept + data)[-TAIL_BYTES:]

    def last_words(self) -> str:
        """The last line that says something: of a traceback, the error."""
        lines = self._kept.decode(errors="replace").split("\n")
        said = [words for line in lines if (words := " ".join(line.split()))]
        return said[-1][:LONGEST_WORDS] if said else ""

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[TextIO]:
        """A file for the program to print to."""
        reading, writing = os.pipe()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: self, os.fdopen(reading, "rb"))
        try:
            with os.fdopen(writing, "w") as file:
                yield file
        finally:
            transport.close()


async def _all_tools(client: mcp.Client) -> list[mcp_types.Tool]:
    tools: list[mcp_types.Tool] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if not cursor or len(tools) > MOST_TOOLS:
            break
    return tools[:MOST_TOOLS]


def _is_broken(error: mcp.MCPError) -> bool:
    """Whether an error is the connection's end, and not the server's word."""
    import mcp_types  # noqa: PLC0415 - as above

    return error.code == mcp_types.CONNECTION_CLOSED or "session terminated" in str(error).lower()


def _words(error: BaseException) -> str:
    """An error in a line; of a group, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {str(error)[:500]}" if str(error) else type(error).__name__
