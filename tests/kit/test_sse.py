"""Server-sent events."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.patience import PATIENCE

from longhouse.kit import sse
from longhouse.kit.errors import BadRequest

Message = dict[str, Any]


class Connection:
    """The server's side of one request, as ASGI sees it."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.left = asyncio.Event()
        self._news = asyncio.Event()

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.reading.wait()  # at once while it reads: no time-out can come in between
        self.sent.append(dict(message))
        self._news.set()

    async def wait_for(self, condition: Callable[[bytes], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition(self.body):
                self._news.clear()
                await self._news.wait()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


class Frames:
    """Numbered frames, endless or not, that know when they were closed."""

    def __init__(self, count: int | None = None, *, then: Exception | None = None) -> None:
        self.made = 0
        self.closed = False
        self._count = count
        self._then = then

    async def stream(self) -> AsyncIterator[bytes]:
        try:
            while self._count is None or self.made < self._count:
                self.made += 1
                yield sse.frame(data=b"%d" % self.made, id=self.made)
                await asyncio.sleep(0)
            if self._then is not None:
                raise self._then
        finally:
            self.closed = True


def serve(response: sse.EventStream, connection: Connection) -> asyncio.Task[None]:
    return asyncio.create_task(response({"type": "http"}, connection.receive, connection.send))


async def finish(task: asyncio.Task[None]) -> None:
    await asyncio.wait_for(task, PATIENCE)


class TestFrames:
    def test_a_frame_has_event_id_and_data(self) -> None:
        assert sse.frame(event="text", id=7, data=b"{}") == b"event: text\nid: 7\ndata: {}\n\n"

    @pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
    def test_data_of_several_lines_becomes_several_fields(self, end: bytes) -> None:
        assert sse.frame(data=b"a" + end + b"b") == b"data: a\ndata: b\n\n"

    @pytest.mark.parametrize("text", ["a\nb", "a\rdata: x", "a\0"])
    def test_a_name_cannot_smuggle_in_a_line(self, text: str) -> None:
        with pytest.raises(ValueError, match="one line"):
            sse.frame(event=text, data=b"")
        with pytest.raises(ValueError, match="one line"):
            sse.comment(text)

    @given(st.binary())
    def test_whatever_the_data_no_line_escapes_its_field(self, data: bytes) -> None:
        *lines, empty, end = re.split(rb"\r\n|\r|\n", sse.frame(data=data))

        assert (empty, end) == (b"", b"")
        assert all(line.startswith(b"data: ") for line in lines)
        assert b"\n".join(line[6:] for line in lines) == re.sub(rb"\r\n|\r", b"\n", data)

    def test_a_comment_is_a_line_clients_skip(self) -> None:
        assert sse.comment("beat") == b": beat\n\n"


class TestLastEventId:
    def test_it_is_a_position(self) -> None:
        assert sse.last_event_id({"last-event-id": " 42 "}) == 42

    def test_without_it_the_default_counts(self) -> None:
        assert sse.last_event_id({}) == 0
        assert sse.last_event_id({"last-event-id": ""}, default=5) == 5

    @pytest.mark.parametrize("text", ["abc", "-1", "1.5", "0x10", "²", "٣", str(2**63), "9" * 5000])
    def test_anything_else_is_a_bad_request(self, text: str) -> None:
        with pytest.raises(BadRequest, match="Last-Event-ID"):
            sse.last_event_id({"last-event-id": text})


class TestResponse:
    async def test_it_sends_all_frames_and_ends(self) -> None:
        connection, frames = Connection(), Frames(3)

        await finish(serve(sse.sse_response(frames.stream()), connection))

        assert connection.body.endswith(b"id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\n")
        assert connection.sent[-1]["more_body"] is False
        assert frames.closed

    async def test_no_proxy_and_no_browser_keeps_it_back(self) -> None:
        connection = Connection()

        await finish(serve(sse.sse_response(Frames(1).stream()), connection))

        headers = connection.headers()
        assert headers[b"content-type"].startswith(b"text/event-stream")
        assert b"no-cache" in headers[b"cache-control"]
        assert headers[b"x-accel-buffering"] == b"no"
        assert b"content-length" not in headers

    async def test_a_client_that_leaves_ends_it_at_once(self) -> None:
        connection, frames = Connection(), Frames()
        serving = serve(sse.sse_response(frames.stream()), connection)
        await connection.wait_for(lambda body: b"data: 5" in body)

        connection.left.set()
        await finish(serving)

        assert frames.closed

    async def test_a_client_that_leaves_while_nothing_happens_ends_it_at_once(self) -> None:
        connection = Connection()
        closed = asyncio.Event()

        async def silence() -> AsyncIterator[bytes]:
            try:
                await asyncio.Event().wait()
                yield b""
            finally:
                closed.set()

        serving = serve(sse.sse_response(silence()), connection)
        await connection.wait_for(lambda body: body.startswith(b"retry:"))
        connection.left.set()
        await finish(serving)

        assert closed.is_set()

    async def test_a_server_that_stops_ends_it_in_order(self) -> None:
        connection, frames, stopping = Connection(), Frames(), asyncio.Event()
        serving = serve(sse.sse_response(frames.stream(), stopping=stopping), connection)
        await connection.wait_for(lambda body: b"data: 5" in body)

        stopping.set()
        await finish(serving)

        assert frames.closed
        assert connection.sent[-1]["more_body"] is False

    async def test_a_client_that_never_reads_costs_one_frame_and_is_cut_off(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sse, "FAREWELL_SECONDS", 0.05)
        connection, frames = Connection(), Frames()
        response = sse.EventStream(frames.stream(), stalled_seconds=0.05)
        serving = serve(response, connection)
        await connection.wait_for(lambda body: b"data: 5" in body)

        connection.reading.clear()
        await finish(serving)

        assert frames.closed
        assert frames.made <= len(connection.sent)

    async def test_a_stopping_server_does_not_wait_for_a_client_that_never_reads(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sse, "FAREWELL_SECONDS", 0.05)
        connection, frames, stopping = Connection(), Frames(), asyncio.Event()
        serving = serve(sse.sse_response(frames.stream(), stopping=stopping), connection)
        await connection.wait_for(lambda body: b"data: 5" in body)

        connection.reading.clear()
        stopping.set()
        await finish(serving)

        assert frames.closed

    async def test_an_error_in_the_stream_reaches_the_server(self) -> None:
        connection, frames = Connection(), Frames(2, then=ValueError("broken"))

        with pytest.raises(ValueError, match="broken"):
            await finish(serve(sse.sse_response(frames.stream()), connection))

        assert frames.closed
        assert connection.sent[-1]["more_body"] is True  # cut, not ended: the client comes back

    async def test_cancelling_the_request_closes_the_stream(self) -> None:
        connection, frames = Connection(), Frames()
        serving = serve(sse.sse_response(frames.stream()), connection)
        await connection.wait_for(lambda body: b"data: 5" in body)

        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

        assert frames.closed
