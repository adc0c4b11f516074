"""A scripted model vendor on loopback that speaks four protocols, streaming and not.

    Anthropic  POST /v1/messages  (and /v1/messages/count_tokens)
    OpenAI     POST /v1/chat/completions, POST /v1/responses
    Gemini     POST /v1beta/models/{model}:generateContent, :streamGenerateContent, :countTokens
               GET /v1/models, /v1beta/models

In a test: `async with FakeVendor() as vendor:` and point the client at `vendor.url`; what it asked
is in `vendor.requests`. By hand: `python -m tests.peers.fakellm --port 8099`. The prompt is the
script (see `script.py`). Paths are as strict as a vendor's: without `/v1` there is nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from tests.peers.dialects.anthropic import Anthropic
from tests.peers.dialects.base import Dialect, SseEvent, Tokens
from tests.peers.dialects.gemini import Gemini
from tests.peers.dialects.openai_chat import OpenAIChat
from tests.peers.dialects.openai_responses import OpenAIResponses
from tests.peers.script import Json, Player, Turn

MODELS = ("fake-1", "fake-2")

CREDENTIALS = ("authorization", "x-api-key", "x-goog-api-key")
"""Headers that may carry a key."""

ROUTES: tuple[tuple[str, Dialect], ...] = (
    ("/v1/messages", Anthropic()),
    ("/v1/chat/completions", OpenAIChat()),
    ("/v1/responses", OpenAIResponses()),
    (":generateContent", Gemini()),
    (":streamGenerateContent", Gemini()),
)
"""Whole paths, or how a path ends."""

MAX_HEAD = 1 << 20  # bytes


@dataclass
class Exchange:
    """One request, and what became of it."""

    method: str
    path: str
    headers: dict[str, str]
    body: Json
    status: int | None = None  # of the answer; None while there is none
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)  # the client went first

    @property
    def key(self) -> str:
        """The credential the client sent, without its scheme."""
        value = next((self.headers[name] for name in CREDENTIALS if name in self.headers), "")
        return value.removeprefix("Bearer ")


class FakeVendor:
    """The server. Refuses other keys when it has one, and other models when it has a list."""

    def __init__(
        self,
        *,
        key: str | None = None,
        models: Sequence[str] | None = None,
        echo_key: bool = False,
        port: int = 0,
    ) -> None:
        """`echo_key`: a refusal repeats the key it got, as some vendors do."""
        self.requests: list[Exchange] = []
        self.connections = 0  # so far
        self._key = key
        self._models = models
        self._echo_key = echo_key
        self._port = port
        self._player = Player()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Condition()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where the server is, without a version path (Anthropic's kind of base URL)."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai_url(self) -> str:
        """The base URL an OpenAI client wants."""
        return f"{self.url}/v1"

    async def wait_for_requests(self, count: int) -> Exchange:
        """The request of that number (1 is the first), once it is there."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def serve_forever(self) -> None:
        """Until cancelled."""
        assert self._server is not None
        await self._server.serve_forever()

    # --- one connection ---------------------------------------------------------------------------

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(_Reader(), self._accept)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(reader, _Reader)
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        try:
            while (exchange := await _read_request(reader, writer)) is not None:
                await self._arrive(exchange)
                if not await self._answer_unless_gone(exchange, reader, writer):
                    break
                if exchange.headers.get("connection", "").lower() == "close":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away; nobody is left to tell
        finally:
            writer.close()

    async def _arrive(self, exchange: Exchange) -> None:
        async with self._arrived:
            self.requests.append(exchange)
            self._arrived.notify_all()

    async def _answer_unless_gone(
        self, exchange: Exchange, reader: _Reader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer while watching for the client to hang up. False: the connection is over."""
        answer = asyncio.create_task(self._answer(exchange, writer))
        gone = asyncio.create_task(reader.ended.wait())
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return await answer
            exchange.disconnected.set()
            return False
        finally:
            answer.cancel()
            gone.cancel()
            await asyncio.gather(answer, gone, return_exceptions=True)

    async def _answer(self, exchange: Exchange, writer: asyncio.StreamWriter) -> bool:
        reply = _Reply(exchange, writer)
        path = exchange.path
        if exchange.method == "GET" and path.endswith("/models"):
            await reply.json(200, _model_list())
        elif path == "/v1/messages/count_tokens":
            await reply.json(200, {"input_tokens": _size(exchange)})
        elif path.endswith(":countTokens"):
            await reply.json(200, {"totalTokens": _size(exchange)})
        elif (dialect := _dialect(path)) is None or exchange.method != "POST":
            error = {"message": f"not found: {path}", "type": "not_found_error"}
            await reply.json(404, {"error": error})
        else:
            return await self._play(exchange, dialect, reply)
        return True

    async def _play(self, exchange: Exchange, dialect: Dialect, reply: _Reply) -> bool:
        if self._key is not None and exchange.key != self._key:
            said = f": {exchange.key}" if self._echo_key else ""
            error = dialect.error(401, f"Incorrect API key provided{said}", kind="invalid_api_key")
            await reply.json(401, error)
            return True
        model = str(exchange.body.get("model"))
        if self._models is not None and model not in self._models:
            error = dialect.error(404, f"model: {model}", kind="model_not_found")
            await reply.json(404, error)
            return True
        try:
            turn = self._player.turn(dialect.ask(exchange.body))
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            # A malformed request is the client's fault, and it should learn so.
            await reply.json(400, dialect.error(400, f"malformed request: {error!r}"))
            return True
        return await _perform(turn, exchange, dialect, reply)


async def _perform(turn: Turn, exchange: Exchange, dialect: Dialect, reply: _Reply) -> bool:
    """The turn on the wire. False: the connection was cut."""
    if turn.hang:
        await _wait(None if turn.hang is True else turn.hang)
    if turn.html is not None:
        await reply.html(turn.html)
        return True
    if turn.error is not None:
        message = turn.message or f"scripted {turn.error}"
        error = dialect.error(turn.error, message, kind=turn.kind)
        await reply.json(turn.error, error, turn.headers)
        return True
    tokens = _tokens(turn, exchange)
    if not (exchange.body.get("stream") or exchange.path.endswith(":streamGenerateContent")):
        await reply.json(200, dialect.answer(exchange.body, turn, tokens))
        return True
    return await reply.events(dialect.stream(exchange.body, turn, tokens), turn)


class _Reader(asyncio.StreamReader):
    """A stream that also says when the other side is gone, without reading from it."""

    def __init__(self) -> None:
        super().__init__(limit=MAX_HEAD)
        self.ended = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.ended.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.ended.set()


class _Reply:
    """Writes one HTTP/1.1 answer."""

    def __init__(self, exchange: Exchange, writer: asyncio.StreamWriter) -> None:
        self._exchange = exchange
        self._writer = writer

    async def json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        await self._whole(status, "application/json", json.dumps(body).encode(), headers)

    async def html(self, status: int) -> None:
        page = b"<!DOCTYPE html><html><body>Nothing to see here</body></html>"
        await self._whole(status, "text/html; charset=utf-8", page)

    async def events(self, events: list[SseEvent], turn: Turn) -> bool:
        self._head(200, "text/event-stream", {"transfer-encoding": "chunked"})
        for index, event in enumerate(events):
            if index == turn.cut:
                await self._writer.drain()
                self._writer.transport.abort()
                return False
            if index == turn.stop_short:
                break
            if index == turn.hang_after:
                await self._writer.drain()
                await _wait(None)
            data = _sse(event)
            self._writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            if turn.delay:
                await self._writer.drain()
                await _wait(turn.delay)
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()
        return True

    async def _whole(
        self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self._head(status, kind, {**(headers or {}), "content-length": str(len(body))})
        self._writer.write(body)
        await self._writer.drain()

    def _head(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self._exchange.status = status
        fields = {"content-type": kind, "request-id": "req_fake", **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode())


async def _read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Exchange | None:
    """The next request of a connection; None when the client closed it in good order."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    request, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = request.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect"):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    raw = await _read_body(reader, headers)
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    return Exchange(method=method, path=target.split("?")[0], headers=headers, body=body)


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
    else:
        raw = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            raw += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    return gzip.decompress(raw) if headers.get("content-encoding") == "gzip" else raw


async def _wait(seconds: float | None) -> None:
    """So many seconds; None: until the client hangs up or the server closes."""
    if seconds is None:
        await asyncio.get_running_loop().create_future()
    else:
        await asyncio.sleep(seconds)


def _dialect(path: str) -> Dialect | None:
    for route, dialect in ROUTES:
        if path == route or (route.startswith(":") and path.endswith(route)):
            return dialect
    return None


def _sse(event: SseEvent) -> bytes:
    name, data = event
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def _tokens(turn: Turn, exchange: Exchange) -> Tokens:
    said = len(turn.text) + len(turn.thinking) + len(json.dumps(turn.calls))
    return Tokens(
        input=max(1, _size(exchange)),
        output=max(1, said // 4),
        cached=turn.cached,
        reasoning=turn.reasoning,
    )


def _size(exchange: Exchange) -> int:
    """A request's tokens, by the rule of thumb of four bytes each."""
    return len(json.dumps(exchange.body)) // 4


def _model_list() -> Json:
    data = [
        {
            "id": name,
            "object": "model",
            "type": "model",
            "display_name": name,
            "created": 1,
            "created_at": "2026-01-01T00:00:00Z",
            "owned_by": "fake",
        }
        for name in MODELS
    ]
    return {"object": "list", "data": data, "models": [], "has_more": False}


async def _main(port: int) -> None:
    async with FakeVendor(port=port) as vendor:
        sys.stdout.write(json.dumps({"url": vendor.url}) + "\n")
        sys.stdout.flush()
        await vendor.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A scripted model vendor on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    try:
        asyncio.run(_main(parser.parse_args().port))
    except KeyboardInterrupt:
        sys.exit(130)
