"""What goes around every request: its id, the log line, security headers, the limit of its body.

Plain ASGI, so that streams pass through untouched. `app` puts them around the application. An
exception that nobody handled ends here: it is logged once, and answered if nothing was sent yet.
"""

import time
from dataclasses import dataclass

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longhouse.kit.errors import BadRequest, LonghouseError, TooLarge
from longhouse.kit.ids import new_id
from longhouse.server.errors import Internal, problem_response

log = structlog.get_logger(__name__)

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""Nothing may run in an answer that is data; the console brings a policy of its own."""

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": API_POLICY,
    "cache-control": "no-store",
}
"""Set wherever the answer does not say otherwise itself."""

LOGGED_PATH = 200  # characters; a client chooses how long a path is

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing: when they succeed it is no news, and logged at debug only."""


@dataclass(slots=True)
class _Answer:
    """What was sent so far."""

    status: int = 0  # 0: nothing yet

    @property
    def started(self) -> bool:
        return self.status != 0


class RequestEnvelope:
    """Gives a request its id, its answer the headers, and the log its line."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; never raises for what happens inside it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                _complete_headers(message, request_id)
            await send(message)

        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._serve(scope, receive, send_with_headers)
            except Exception:
                log.exception(
                    "request failed", method=_method(scope), path=scope["path"][:LOGGED_PATH]
                )
                if scope["type"] == "http" and not answer.started:
                    response = problem_response(Internal(), request_id=request_id)
                    await response(scope, receive, send_with_headers)
            _log_request(scope, answer.status, seconds=time.perf_counter() - started)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "\x00" in scope["path"]:  # no name has one, and PostgreSQL refuses it in any text
            await _refuse(BadRequest("The address holds a NUL character."), scope, receive, send)
            return
        await self._app(scope, receive, send)


class BodyLimit:
    """Refuses a body over the limit: by its announced length, or as soon as it has grown too long.

    Nothing is buffered here. An application that was reading when the limit was passed sees the
    client disconnect, and whatever it answers to that is replaced.
    """

    def __init__(self, app: ASGIApp, *, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request within the limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > self._most_bytes:
            await _refuse(self._too_large(), scope, receive, send)
            return
        received = 0
        refused = False

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self._most_bytes:
                    await refuse()
                    return {"type": "http.disconnect"}
            return message

        async def refuse() -> None:
            nonlocal refused
            if not refused:
                refused = True
                await _refuse(self._too_large(), scope, receive, send)

        async def send_unless_refused(message: Message) -> None:
            if not refused:
                await send(message)

        await self._app(scope, receive_within_limit, send_unless_refused)

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"The body is larger than {self._most_bytes} bytes.",
            hint="Send less, or raise LONGHOUSE_MAX_BODY_BYTES on the server.",
            max_body_bytes=self._most_bytes,
        )


async def _refuse(error: LonghouseError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a problem and have the connection closed: the rest of the body is not read."""
    response = problem_response(error, request_id=scope.get("state", {}).get("request_id"))
    response.headers["connection"] = "close"
    await response(scope, receive, send)


def _complete_headers(message: Message, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    headers["x-request-id"] = request_id
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)


def _method(scope: Scope) -> str:
    return str(scope.get("method", "WEBSOCKET"))


def _path(scope: Scope) -> str:
    """The path for the log. Without the query: that may hold what nobody should read later."""
    path: str = scope["path"]
    return path[:LOGGED_PATH]


def _log_request(scope: Scope, status: int, *, seconds: float) -> None:
    """One line for each request."""
    method, client = _method(scope), scope.get("client")
    write = log.debug if method in READING and status < 400 else log.info
    write(
        "request",
        method=method,
        path=_path(scope),
        status=status,
        ms=round(seconds * 1000, 1),
        address=client[0] if client else "",
    )
