"""Talks to a server: requests with a login, problems as errors, streams that reconnect.

Commands open one with `connect` and get values of `models`. It prints nothing; what a person should
know of a connection it tells the callback of `follow`.
"""

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from enum import Enum
from http import HTTPStatus
from typing import Protocol, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from longhouse import __version__
from longhouse.cli.credentials import (
    API_PATH,
    Credentials,
    Login,
    config_directory,
    server_address,
)
from longhouse.cli.errors import (
    BadOption,
    NotOurServer,
    NotSignedIn,
    Problem,
    ServerSaidNo,
    ServerUnreachable,
    TokenRefused,
)
from longhouse.cli.models import Info, Tokens
from longhouse.cli.sse import Frame, Parser

T = TypeVar("T")

Params = Mapping[str, str | int]

CONNECT_SECONDS = 10
ANSWER_SECONDS = 60
PATIENT_SECONDS = 900
"""For what takes the server long: making a workspace out of a large repository."""

SILENCE_SECONDS = 60
"""A stream that says nothing for so long, not even that it lives, is dead."""

REFRESH_EARLY_SECONDS = 30
"""An access token this near its end is exchanged before it is used."""

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 10.0

WORTH_TELLING = 2
"""Attempts in a row that failed: one alone is a server that restarts, or a proxy's time-out."""

PROBLEM_JSON = "application/problem+json"
RETRYABLE_FROM = 500  # the server is in trouble or going away: a stream comes back later


class Connection(Enum):
    """What happened to a stream."""

    BROKEN = "broken"  # what was live and not whole is void; usually it goes on at once
    LOST = "lost"  # it did not go on at once: no news until it is back
    BACK = "back"  # after it was lost


class Bearer(Protocol):
    """Gives the access token of requests."""

    async def token(self, *, refused: str | None = None) -> str | None:
        """A token; another one than `refused`, which the server did not take.

        Raises `Unauthenticated` when there is none.
        """
        ...


class Nobody:
    """Requests that need no login."""

    async def token(self, *, refused: str | None = None) -> str | None:
        """None: nobody is asking."""
        return None


class FixedToken:
    """The token of the environment."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self, *, refused: str | None = None) -> str | None:
        """The token. Raises `TokenRefused` when the server did not take it."""
        if refused is not None:
            raise TokenRefused
        return self._token


class StoredLogin:
    """The login of `longhouse login`, refreshed when its access token ends."""

    def __init__(self, server: str, credentials: Credentials, http: aiohttp.ClientSession) -> None:
        self._server = server
        self._credentials = credentials
        self._http = http

    async def token(self, *, refused: str | None = None) -> str | None:
        """A live access token. Raises `NotSignedIn`."""
        login = self._find()
        if not _is_stale(login, refused):
            return login.access_token
        async with _locked(self._credentials):
            login = self._find()  # another program may have refreshed it meanwhile
            if _is_stale(login, refused):
                login = await self._refresh(login)
            return login.access_token

    def _find(self) -> Login:
        login = self._credentials.find(self._server)
        if login is None:
            raise NotSignedIn(self._server)
        return login

    async def _refresh(self, login: Login) -> Login:
        client = Client(self._server, Nobody(), self._http)
        try:
            tokens = await client.post(
                "/auth/refresh", {"refresh_token": login.refresh_token}, Tokens
            )
        except ServerSaidNo as problem:
            if problem.status != HTTPStatus.UNAUTHORIZED:
                raise
            # What was used up is worth nothing: another program's copy is the same.
            self._credentials.remove(self._server)
            raise NotSignedIn(self._server, ended=True) from problem
        fresh = login_of(tokens)
        self._credentials.put(self._server, fresh, current=False)
        return fresh


class Client:
    """One server, as one person. Made by `connect`."""

    def __init__(
        self,
        server: str,
        bearer: Bearer,
        http: aiohttp.ClientSession,
        *,
        tenant: str = "",
    ) -> None:
        self.server = server
        self._bearer = bearer
        self._http = http
        self._tenant = tenant

    async def get(self, path: str, kind: type[T], **params: str | int) -> T:
        """Read something. Raises `ServerSaidNo`, `ServerUnreachable`, `Unauthenticated`."""
        return self._decode(await self._call("GET", path, params=params), kind)

    async def get_text(self, path: str, **params: str | int) -> bytes:
        """Read something that is no JSON."""
        return await self._call("GET", path, params=params)

    async def chunks(self, path: str, **params: str | int) -> AsyncGenerator[bytes, None]:
        """Read something long that is no JSON, piece by piece."""
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
        )
        async with self._request(
            "GET", f"{API_PATH}{path}", headers={}, timeout=timeout, params=params
        ) as answer:
            try:
                async for chunk in answer.content.iter_any():
                    yield chunk
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ServerUnreachable(self.server, _reason(error)) from error

    async def info(self, *, within: float) -> Info:
        """What runs at the address; `within`: seconds to wait for the answer."""
        return self._decode(await self._call("GET", "/info", root="", within=within), Info)

    async def post(
        self, path: str, body: object, kind: type[T], *, within: float = ANSWER_SECONDS
    ) -> T:
        """Make or do something; `within`: seconds to wait for the answer."""
        return self._decode(await self._call("POST", path, body=body, within=within), kind)

    async def patch(self, path: str, body: object, kind: type[T]) -> T:
        """Change something."""
        return self._decode(await self._call("PATCH", path, body=body), kind)

    async def tell(self, path: str, body: object = None) -> None:
        """Post something to which the answer is only that it is done."""
        await self._call("POST", path, body=body)

    async def delete(self, path: str) -> None:
        """Remove something."""
        await self._call("DELETE", path)

    def acting(self, access_token: str) -> "Client":
        """The same server, with another token."""
        return Client(self.server, FixedToken(access_token), self._http, tenant=self._tenant)

    async def follow(
        self,
        path: str,
        *,
        after: int,
        tell: Callable[[Connection], None],
        patience: float | None = None,
    ) -> AsyncGenerator[Frame, None]:
        """The frames of a stream after this position, each once, for as long as one wants.

        When the connection breaks or the server goes away it is taken up again where it was.
        `patience`: seconds of trying in vain after which `ServerUnreachable` is raised; None: none.
        """
        waits = Waits(patience)

        def opened() -> None:
            if waits.over():
                tell(Connection.BACK)

        while True:
            try:
                async with contextlib.aclosing(self._frames(path, after, opened)) as frames:
                    async for frame in frames:
                        if frame.id:
                            position = int(frame.id)
                            if position <= after:
                                continue
                            after = position
                        yield frame
            except ServerUnreachable as error:
                trouble = error
            except ServerSaidNo as error:
                if error.status < RETRYABLE_FROM:
                    raise
                trouble = ServerUnreachable(self.server, error.detail)
            else:
                trouble = ServerUnreachable(self.server, "the stream ended")
            tell(Connection.BROKEN)
            if waits.failed(trouble):
                tell(Connection.LOST)
            await waits.wait()

    async def _frames(
        self, path: str, after: int, opened: Callable[[], None]
    ) -> AsyncGenerator[Frame, None]:
        """The frames of one connection; `opened` is called once it stands."""
        parser = Parser()
        headers = {"accept": "text/event-stream", "last-event-id": str(after)}
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
        )
        async with self._request(
            "GET", f"{API_PATH}{path}", headers=headers, timeout=timeout
        ) as answer:
            opened()
            try:
                async for chunk in answer.content.iter_any():
                    for frame in parser.feed(chunk):
                        yield frame
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ServerUnreachable(self.server, _reason(error)) from error

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: object = None,
        within: float = ANSWER_SECONDS,
        root: str = API_PATH,
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=within, sock_connect=CONNECT_SECONDS)
        data = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"content-type": "application/json"}
        async with self._request(
            method, f"{root}{path}", params=params, data=data, headers=headers, timeout=timeout
        ) as answer:
            try:
                return await answer.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ServerUnreachable(self.server, _reason(error)) from error

    @contextlib.asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        params: Params | None = None,
        data: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer, with a fresh token when the first was refused."""
        token = await self._bearer.token()
        for last in (False, True):
            try:
                answer = await self._http.request(
                    method,
                    f"{self.server}{path}",
                    headers={**headers, **self._headers(token)},
                    params=params,
                    data=data,
                    timeout=timeout,
                    allow_redirects=False,
                )
            except aiohttp.InvalidURL as error:
                raise BadOption(
                    f"{self.server!r} is no address of a server.",
                    hint="Write it as http://HOST:PORT in LONGHOUSE_SERVER.",
                ) from error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ServerUnreachable(self.server, _reason(error)) from error
            async with answer:
                if token is not None and answer.status == HTTPStatus.UNAUTHORIZED and not last:
                    await answer.read()
                    token = await self._bearer.token(refused=token)
                    continue
                if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                    raise await self._problem(answer)
                yield answer
                return

    def _headers(self, token: str | None) -> dict[str, str]:
        headers = {}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        if self._tenant:
            headers["x-longhouse-tenant"] = self._tenant
        return headers

    async def _problem(self, answer: aiohttp.ClientResponse) -> Exception:
        status = f"it answered with status {answer.status}"
        if answer.content_type != PROBLEM_JSON:
            return NotOurServer(self.server, status)
        try:
            return ServerSaidNo(
                answer.status, msgspec.json.decode(await answer.read(), type=Problem)
            )
        except (msgspec.DecodeError, aiohttp.ClientError, TimeoutError, OSError):
            return NotOurServer(self.server, status)

    def _decode(self, data: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.DecodeError as error:
            raise NotOurServer(self.server, str(error)) from error


class Waits:
    """How long to wait before each attempt to reconnect, and when to give up."""

    def __init__(self, patience: float | None) -> None:
        self._patience = patience
        self._since = 0.0  # when the trouble began, monotonic seconds
        self._failures = 0  # in a row

    def failed(self, trouble: ServerUnreachable) -> bool:
        """One more attempt ended; whether a person should know now.

        Raises `trouble` when patience is at its end.
        """
        now = time.monotonic()
        if self._failures == 0:
            self._since = now
        elif self._patience is not None and now - self._since > self._patience:
            raise trouble
        self._failures += 1
        return self._failures == WORTH_TELLING

    def over(self) -> bool:
        """It goes on; whether a person thinks that it does not."""
        told = self._failures >= WORTH_TELLING
        self._failures = 0
        return told

    async def wait(self) -> None:
        """Wait before the next attempt, longer each time."""
        factor = 2.0 ** min(self._failures - 1, 10)
        await asyncio.sleep(min(FIRST_WAIT_SECONDS * factor, LONGEST_WAIT_SECONDS))


@contextlib.asynccontextmanager
async def connect(
    server: str | None = None,
    *,
    signed_in: bool = True,
    environ: Mapping[str, str] = os.environ,
    credentials: Credentials | None = None,
) -> AsyncIterator[Client]:
    """A client of the server named, with this person's login or the token of the environment."""
    credentials = credentials or stored_credentials(environ)
    address = server_address(server, credentials)
    async with aiohttp.ClientSession(
        headers={"user-agent": f"longhouse/{__version__}"},
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as http:
        bearer: Bearer = Nobody()
        if signed_in and (token := environ.get("LONGHOUSE_TOKEN", "").strip()):
            bearer = FixedToken(token)
        elif signed_in:
            bearer = StoredLogin(address, credentials, http)
        yield Client(address, bearer, http, tenant=environ.get("LONGHOUSE_TENANT", "").strip())


def stored_credentials(environ: Mapping[str, str] = os.environ) -> Credentials:
    """The logins of this person."""
    return Credentials(config_directory(environ))


def login_of(tokens: Tokens) -> Login:
    """What is kept of a sign-in."""
    return Login(
        username=tokens.user.username,
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expires_at=time.time() + tokens.expires_in,
    )


def segment(text: str) -> str:
    """A part of a path: whatever is typed stays one part."""
    return quote(text, safe="")


def _is_stale(login: Login, refused: str | None) -> bool:
    if refused is not None:
        return login.access_token == refused
    return login.expires_at - time.time() < REFRESH_EARLY_SECONDS


@contextlib.asynccontextmanager
async def _locked(credentials: Credentials) -> AsyncIterator[None]:
    """The lock of the logins, waited for in a thread so that everything else goes on."""
    lock = credentials.locked()
    await asyncio.to_thread(lock.__enter__)
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is not known"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not accepted"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no secure connection to it"
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.os_error.errno or errno.EHOSTUNREACH).lower()
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return "the connection broke"
