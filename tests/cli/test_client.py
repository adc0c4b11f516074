"""The client against a scripted server: logins that refresh, problems, streams that come back."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from longhouse.cli import client as client_module
from longhouse.cli.client import Client, Connection, connect
from longhouse.cli.credentials import Credentials, Login
from longhouse.cli.errors import (
    NotOurServer,
    NotSignedIn,
    ServerSaidNo,
    ServerUnreachable,
    TokenRefused,
)
from longhouse.cli.models import Page, User
from longhouse.kit.sse import frame

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

ADA = {"id": "user_1", "username": "ada"}


class Server:
    """Answers by a script, and remembers what it was asked."""

    def __init__(self) -> None:
        self.live_tokens = {"access-1"}
        self.refreshes: list[str] = []
        self.asked: list[web.Request] = []
        self.me: Answer = self._me
        self.streams: list[list[bytes]] = []  # one list of frames for each connection
        self.address = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        match request.path:
            case "/api/v1/auth/refresh":
                return await self._refresh(request)
            case "/api/v1/auth/me":
                return await self.me(request)
            case "/api/v1/stream":
                return await self._stream(request)
            case _:
                return problem(404, "Nothing here.")

    def signed_in(self, request: web.Request) -> bool:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return token in self.live_tokens

    async def _me(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(ADA) if self.signed_in(request) else problem(401, "Expired.")

    async def _refresh(self, request: web.Request) -> web.StreamResponse:
        token = (await request.json())["refresh_token"]
        self.refreshes.append(token)
        if token != f"refresh-{len(self.refreshes)}":
            return problem(401, "Used before.")
        number = len(self.refreshes) + 1
        self.live_tokens = {f"access-{number}"}
        return web.json_response(
            {
                "access_token": f"access-{number}",
                "refresh_token": f"refresh-{number}",
                "expires_in": 900,
                "user": ADA,
            }
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if not self.streams:
            return problem(404, "The session is gone.")
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for data in self.streams.pop(0):
            await response.write(data)
        return response


def problem(status: int, detail: str) -> web.Response:
    return web.json_response(
        {"type": "urn:longhouse:problem:some", "detail": detail, "request_id": "req_1"},
        status=status,
        content_type="application/problem+json",
    )


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials(tmp_path / "longhouse")


def sign_in(credentials: Credentials, server: Server, *, expires_in: float = 900) -> None:
    login = Login(
        username="ada",
        access_token="access-1",
        refresh_token="refresh-1",
        expires_at=time.time() + expires_in,
    )
    with credentials.locked():
        credentials.put(server.address, login, current=True)


@asynccontextmanager
async def opened(server: Server, credentials: Credentials, **environ: str) -> AsyncIterator[Client]:
    async with connect(server.address, environ=environ, credentials=credentials) as client:
        yield client


class TestLogin:
    async def test_the_token_of_the_login_is_sent(
        self, server: Server, credentials: Credentials
    ) -> None:
        sign_in(credentials, server)

        async with opened(server, credentials, LONGHOUSE_TENANT="tenant_7") as client:
            user = await client.get("/auth/me", User)

        assert user.username == "ada"
        assert server.asked[0].headers["x-longhouse-tenant"] == "tenant_7"
        assert server.refreshes == []

    async def test_a_token_at_its_end_is_exchanged_before_it_is_used(
        self, server: Server, credentials: Credentials
    ) -> None:
        sign_in(credentials, server, expires_in=5)

        async with opened(server, credentials) as client:
            await client.get("/auth/me", User)

        assert server.refreshes == ["refresh-1"]
        login = credentials.find(server.address)
        assert login is not None
        assert (login.access_token, login.refresh_token) == ("access-2", "refresh-2")

    async def test_a_refused_token_is_exchanged_and_the_request_sent_again(
        self, server: Server, credentials: Credentials
    ) -> None:
        sign_in(credentials, server)
        server.live_tokens = set()

        async with opened(server, credentials) as client:
            assert (await client.get("/auth/me", User)).id == "user_1"

        assert server.refreshes == ["refresh-1"]

    async def test_two_programs_at_once_use_a_refresh_token_once(
        self, server: Server, credentials: Credentials
    ) -> None:
        sign_in(credentials, server, expires_in=0)

        async def ask() -> str:
            own = Credentials(credentials.path.parent)
            async with opened(server, own) as client:
                return (await client.get("/auth/me", User)).id

        found = await asyncio.gather(*(ask() for _ in range(5)))

        assert found == ["user_1"] * 5
        assert server.refreshes == ["refresh-1"]

    async def test_a_login_that_ended_is_forgotten_and_says_so(
        self, server: Server, credentials: Credentials
    ) -> None:
        sign_in(credentials, server, expires_in=0)
        server.refreshes.append("somebody else used refresh-1")

        async with opened(server, credentials) as client:
            with pytest.raises(NotSignedIn, match="has ended"):
                await client.get("/auth/me", User)

        assert credentials.find(server.address) is None

    async def test_without_a_login_nothing_is_sent(
        self, server: Server, credentials: Credentials
    ) -> None:
        async with opened(server, credentials) as client:
            with pytest.raises(NotSignedIn, match="longhouse login"):
                await client.get("/auth/me", User)

        assert server.asked == []

    async def test_the_token_of_the_environment_comes_first(
        self, server: Server, credentials: Credentials
    ) -> None:
        sign_in(credentials, server)
        server.live_tokens = {"given"}

        async with opened(server, credentials, LONGHOUSE_TOKEN="given") as client:
            await client.get("/auth/me", User)
        async with opened(server, credentials, LONGHOUSE_TOKEN="old") as client:
            with pytest.raises(TokenRefused):
                await client.get("/auth/me", User)

        assert server.refreshes == []


class TestAnswers:
    async def test_a_problem_is_an_error_in_the_words_of_the_server(
        self, server: Server, credentials: Credentials
    ) -> None:
        sign_in(credentials, server)

        async with opened(server, credentials) as client:
            with pytest.raises(ServerSaidNo, match="Nothing here") as caught:
                await client.get("/nothing", User)

        assert caught.value.request_id == "req_1"
        assert caught.value.exit_code == 66

    @pytest.mark.parametrize(
        "answer",
        [
            web.Response(text="<html>", status=502),
            web.Response(text="<html>"),
            web.json_response({"items": [{}]}),
        ],
    )
    async def test_what_is_not_our_server_is_told(
        self, server: Server, credentials: Credentials, answer: web.Response
    ) -> None:
        sign_in(credentials, server)

        async def strange(request: web.Request) -> web.StreamResponse:
            return answer

        server.me = strange

        async with opened(server, credentials) as client:
            with pytest.raises(NotOurServer, match="no Longhouse server"):
                await client.get("/auth/me", Page[User])

    async def test_nobody_at_the_address_is_told_with_how_to_start_one(
        self, credentials: Credentials, unused_address: str
    ) -> None:
        async with connect(unused_address, signed_in=False, credentials=credentials) as client:
            with pytest.raises(ServerUnreachable, match="longhouse serve"):
                await client.info(within=5)


@pytest.fixture
async def unused_address(server: Server) -> str:
    """Where nobody listens: port 1 needs privileges and no test takes it."""
    return "http://127.0.0.1:1"


class TestStreams:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client_module, "FIRST_WAIT_SECONDS", 0.001)
        monkeypatch.setattr(client_module, "LONGEST_WAIT_SECONDS", 0.001)

    async def test_it_goes_on_after_the_last_event_without_gap_or_repeat(
        self, server: Server, credentials: Credentials
    ) -> None:
        sign_in(credentials, server)
        server.streams = [
            [event(1), event(2), frame(data=b"live", event="delta"), event(3)[:-5]],
            [event(2), event(3), event(4)],
            [],
            [event(5)],
        ]
        changes: list[Connection] = []

        async with opened(server, credentials) as client:
            stream = client.follow("/stream", after=0, tell=changes.append)
            seen = []
            async with aclosing(stream) as frames:
                async for found in frames:
                    seen.append(found.id or found.event)
                    if found.id == "5":
                        break

        assert seen == ["1", "2", "delta", "3", "4", "5"]
        assert [request.headers["last-event-id"] for request in server.asked] == [
            "0",
            "2",
            "4",
            "4",
        ]
        assert changes == [Connection.BROKEN] * 3, "a short break is nobody's concern"

    async def test_a_session_that_is_gone_ends_it(
        self, server: Server, credentials: Credentials
    ) -> None:
        sign_in(credentials, server)

        async with opened(server, credentials) as client:
            stream = client.follow("/stream", after=0, tell=lambda _: None)
            with pytest.raises(ServerSaidNo, match="The session is gone"):
                await anext(stream)

    async def test_a_server_that_stays_away_is_told_once_and_given_up_at_the_end_of_patience(
        self, credentials: Credentials, unused_address: str
    ) -> None:
        changes: list[Connection] = []

        async with connect(unused_address, signed_in=False, credentials=credentials) as client:
            stream = client.follow("/stream", after=0, tell=changes.append, patience=0.05)
            with pytest.raises(ServerUnreachable):
                await anext(stream)

        assert changes.count(Connection.LOST) == 1
        assert Connection.BACK not in changes


def event(number: int) -> bytes:
    return frame(data=b"{}", event="text", id=number)
