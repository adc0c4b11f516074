"""Somebody who uses the server over HTTP, by aiohttp or by the real `curl`.

`Caller` is one person at one server: it signs in, and says what a person does in the words of the
API. Every request goes over a socket. Answers that are no success fail the test with their text,
unless `answer` is used.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
from tests.e2e.servers import Server

API = "/api/v1"
PATIENCE = 180.0  # seconds for a whole turn, on a machine that has other things to do
PASSWORD = "a password of tests"
ACCOUNT = {
    "username": "ada",
    "password": PASSWORD,
    "email": "ada@example.org",
    "display_name": "Ada Lovelace",
}

Event = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said."""

    status: int
    kind: str  # the media type
    text: str

    @property
    def json(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.text)

    @property
    def ok(self) -> bool:
        return self.status < 400


class Transport(Protocol):
    """Sends one request. `body` is the raw body, if any."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """The whole answer."""
        ...

    def lines(self, url: str, *, headers: Mapping[str, str]) -> AsyncGenerator[str, None]:
        """The lines of an answer that goes on."""
        ...


@dataclass(slots=True)
class Http:
    """By aiohttp."""

    session: aiohttp.ClientSession

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """The whole answer."""
        async with self.session.request(method, url, headers=headers, data=body) as answer:
            text = await answer.text()
            return Answer(status=answer.status, kind=answer.content_type, text=text)

    async def lines(self, url: str, *, headers: Mapping[str, str]) -> AsyncGenerator[str, None]:
        """The lines of an answer that goes on."""
        endless = aiohttp.ClientTimeout(total=None)
        async with self.session.get(url, headers=headers, timeout=endless) as answer:
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                yield line.decode().rstrip("\n")


class Curl:
    """By the `curl` program, as the documentation shows it."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """The whole answer."""
        data = () if body is None else ("--data-binary", "@-")
        process = await asyncio.create_subprocess_exec(
            *("curl", "--silent", "--show-error", "--request", method, url, *data),
            *_curl_headers(headers),
            *("--write-out", "\n%{http_code} %{content_type}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, complaint = await process.communicate(body)
        assert process.returncode == 0, complaint.decode()
        text, _, last = output.decode().rpartition("\n")
        status, _, kind = last.partition(" ")
        return Answer(status=int(status), kind=kind.partition(";")[0], text=text)

    async def lines(self, url: str, *, headers: Mapping[str, str]) -> AsyncGenerator[str, None]:
        """The lines of an answer that goes on."""
        process = await asyncio.create_subprocess_exec(
            *("curl", "--silent", "--show-error", "--fail-with-body", "--no-buffer", url),
            *_curl_headers(headers),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,  # a line of a stream is a whole event
        )
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                yield line.decode().rstrip("\n")
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


def _curl_headers(headers: Mapping[str, str]) -> list[str]:
    return [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]


@dataclass(slots=True)
class Caller:
    """One person at one server."""

    transport: Transport
    address: str
    token: str = ""
    tenant: str = ""  # the one meant; the first of the user when empty
    refresh_token: str = field(default="", repr=False)

    # --- requests ---------------------------------------------------------------------------------

    async def answer(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None
    ) -> Answer:
        """Whatever the server answers; `raw` is sent as it is."""
        data = raw if body is None else json.dumps(body).encode()
        headers = self._headers()
        if data is not None:
            headers["content-type"] = "application/json"
        return await self.transport.request(
            method, f"{self.address}{API}{path}", headers=headers, body=data
        )

    async def get(self, path: str) -> Any:
        """The answer's body; it has to be a success."""
        return await self._told("GET", path)

    async def post(self, path: str, body: Any = None) -> Any:
        """The answer's body, if any; it has to be a success."""
        return await self._told("POST", path, body)

    async def _told(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.answer(method, path, body)
        assert answer.ok, f"{method} {path}: {answer.status} {answer.text}"
        return answer.json if answer.text else None

    def _headers(self) -> dict[str, str]:
        headers = {}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        if self.tenant:
            headers["x-longhouse-tenant"] = self.tenant
        return headers

    # --- what a person does -----------------------------------------------------------------------

    async def first_run(self, token: str) -> None:
        """Make the first admin with the token of the one-time link, and be that user."""
        self._be(await self.post("/setup", {"token": token, **ACCOUNT}))

    async def sign_in(self, username: str, password: str = PASSWORD) -> None:
        """Be this user from now on."""
        self._be(await self.post("/auth/login", {"username": username, "password": password}))

    def _be(self, tokens: Any) -> None:
        self.token, self.refresh_token = tokens["access_token"], tokens["refresh_token"]

    async def post_named(self, name: str) -> str:
        """The id of a post."""
        posts = (await self.get("/posts"))["items"]
        return next(str(post["id"]) for post in posts if post["name"] == name)

    async def new_agent(
        self, name: str = "Ada", *, post: str = "Engineer", source: str | None = "sample"
    ) -> str:
        """The id of a new agent."""
        body = {"name": name, "post_id": await self.post_named(post)}
        repository = {} if source is None else {"repository": {"source": source}}
        return str((await self.post("/agents", body | repository))["id"])

    async def new_session(self, agent_id: str) -> str:
        """The path of a new session of the agent."""
        session = await self.post(f"/agents/{agent_id}/sessions", {})
        return f"/agents/{agent_id}/sessions/{session['id']}"

    async def say(self, session: str, text: str) -> Answer:
        """Send a message."""
        body = {"text": text, "message_id": f"msg-{secrets.token_hex(8)}"}
        return await self.answer("POST", f"{session}/messages", body)

    async def decide(self, session: str, call_id: str, decision: str, note: str = "") -> None:
        """Allow or deny a call."""
        body = {"decision": decision, "note": note}
        await self.post(f"{session}/approvals/{call_id}", body)

    # --- what a person sees -----------------------------------------------------------------------

    async def events(self, session: str) -> list[Event]:
        """All events of the session, read page by page."""
        found: list[Event] = []
        after: int | None = 0
        while after is not None:
            page = await self.get(f"{session}/events?after={after}&limit=200")
            found += page["items"]
            after = page["next"]
        return found

    async def stream(self, session: str, *, last: int = 0) -> AsyncGenerator[Event, None]:
        """The events after number `last`, live. A number that skips or repeats is up to the
        caller; one that contradicts its event fails here.
        """
        headers = self._headers() | ({"last-event-id": str(last)} if last else {})
        url = f"{self.address}{API}{session}/stream"
        async with aclosing(self.transport.lines(url, headers=headers)) as lines:
            async for event in _parse(lines):
                yield event

    async def work(
        self, session: str, *, decide: Callable[[Event], str] = lambda event: "allow"
    ) -> list[Event]:
        """Follow the session from its beginning to the end of a turn, deciding what is asked."""
        seen: list[Event] = []
        async with asyncio.timeout(PATIENCE), aclosing(self.stream(session)) as events:
            async for event in events:
                seen.append(event)
                if event["type"] == "permission_required":
                    await self.decide(session, event["call_id"], decide(event))
                if event["type"] == "done":
                    return seen
        raise AssertionError(f"the stream ended before the turn, after {seen[-3:]}")


async def _parse(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    """The events of a stream, without live fragments and comments."""
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
            continue
        if "id" in fields:
            event: Event = json.loads(fields["data"])
            assert (str(event["seq"]), event["type"]) == (fields["id"], fields["event"])
            yield event
        fields = {}


@asynccontextmanager
async def visitor(server: Server) -> AsyncIterator[Caller]:
    """Somebody at this server who has not signed in."""
    async with aiohttp.ClientSession() as session:
        yield Caller(Http(session), server.address)


@asynccontextmanager
async def admin(server: Server) -> AsyncIterator[Caller]:
    """The first admin of a server that has no user yet."""
    async with visitor(server) as caller:
        _, token = await server.one_time_link()
        await caller.first_run(token)
        yield caller
