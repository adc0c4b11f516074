"""Server-sent events: frames as bytes, and a response that ends when it should.

The server's event routes return an `EventStream` over an iterator of frames, usually made of
`kit.follow`. Nothing is buffered here: a frame is asked for when the one before has been taken, so
a reader that never reads costs what the bus keeps for it, and after a while its connection.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from longhouse.kit.errors import BadRequest

logger = logging.getLogger(__name__)

RECONNECT_MS = 1000
"""How long a browser waits before it comes back; at once would be a storm after a restart."""

STALLED_SECONDS = 60
"""A reader that takes nothing for so long is gone; it may come back with its Last-Event-ID."""

FAREWELL_SECONDS = 1
"""How long the end of the stream may take; a reader that does not read is not waited for."""

LARGEST_ID = 2**63 - 1  # what a database's integer holds

_LINE_END = re.compile(rb"\r\n|\r|\n")
_ONE_LINE = re.compile(r"[^\r\n\0]*")


def frame(*, data: bytes, event: str | None = None, id: str | int | None = None) -> bytes:  # noqa: A002 - the protocol's word
    """One event as it stands on the wire; `data` may have several lines."""
    head = b""
    if event is not None:
        head += b"event: " + _field(event) + b"\n"
    if id is not None:
        head += b"id: " + _field(str(id)) + b"\n"
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    return head + b"data: " + data + b"\n\n"


def comment(text: str = "") -> bytes:
    """A line that clients skip: it shows proxies that the connection lives."""
    return b": " + _field(text) + b"\n\n"


def last_event_id(headers: Mapping[str, str], *, default: int = 0) -> int:
    """The position from which a client wants to go on; raises `BadRequest` for a wrong one.

    `headers` finds names in any case, as Starlette's do, or has them in lower case.
    """
    text = headers.get("last-event-id", "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= LARGEST_ID):
        raise BadRequest(
            f"Last-Event-ID is {text[:40]!r}, which is no position in this stream.",
            hint="Send the id of the last event you got, or leave the header out to start over.",
        )
    return int(text)


class EventStream(Response):
    """An ASGI response that sends frames until they end, the client leaves or the server stops.

    `frames` is closed in every case (when it can be). `stopping`: set it when the server shuts
    down; the stream then ends at once, and the client reconnects by itself.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncIterator[bytes],
        *,
        stopping: asyncio.Event | None = None,
        headers: Mapping[str, str] | None = None,
        stalled_seconds: float = STALLED_SECONDS,
    ) -> None:
        self._frames = frames
        self._stopping = stopping
        self._stalled_seconds = stalled_seconds
        self.status_code = 200
        self.background = None
        self.init_headers(
            {
                "cache-control": "no-cache, no-transform",
                "x-accel-buffering": "no",  # nginx would otherwise collect the events
                **(headers or {}),
            }
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream; what `frames` raises is raised here, when the client has been disconnected."""
        streaming = asyncio.create_task(self._stream(send))
        reasons_to_stop = [asyncio.create_task(_client_left(receive))]
        if self._stopping is not None:
            reasons_to_stop.append(asyncio.create_task(_set(self._stopping)))
        try:
            await asyncio.wait([streaming, *reasons_to_stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(streaming, *reasons_to_stop)
            await _close(self._frames)
        if not streaming.cancelled() and (error := streaming.exception()) is not None:
            raise error
        await _say_goodbye(send)

    async def _stream(self, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        # The first bytes at once: a client then knows that it is connected.
        await send(_body(b"retry: %d\n\n" % RECONNECT_MS))
        async for chunk in self._frames:
            try:
                async with asyncio.timeout(self._stalled_seconds):
                    await send(_body(chunk))
            except TimeoutError:
                logger.info("an event stream's reader took nothing for too long and was cut off")
                return


def sse_response(
    stream: AsyncIterator[bytes],
    *,
    stopping: asyncio.Event | None = None,
    headers: Mapping[str, str] | None = None,
) -> EventStream:
    """The response over these frames; see `EventStream`."""
    return EventStream(stream, stopping=stopping, headers=headers)


def _field(text: str) -> bytes:
    if not _ONE_LINE.fullmatch(text):
        raise ValueError(f"a field of an event is one line: {text[:40]!r}")
    return text.encode()


def _body(chunk: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": chunk, "more_body": True}


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass  # the request's body, which says nothing


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _close(frames: AsyncIterator[bytes]) -> None:
    close = getattr(frames, "aclose", None)  # generators have it, other iterators need not
    if close is not None:
        await close()


async def _say_goodbye(send: Send) -> None:
    """End the response in order, so that a client sees an end and not a broken connection."""
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(FAREWELL_SECONDS):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
