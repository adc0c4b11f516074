"""What every request meets: an id, headers, limits, and a problem when something goes wrong."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
from tests.fixtures_server import ADMIN, add_user, calling

from longhouse.identity.api.base import CurrentPrincipal
from longhouse.identity.models import audit_entries
from longhouse.identity.scopes import TenantRole
from longhouse.server import routes
from longhouse.server.house import House
from longhouse.server.middleware import RequestEnvelope

LOGIN = "/api/v1/auth/login"


@pytest.fixture
def database_template(sqlite_template: Path) -> Path:
    """SQLite alone: nothing here depends on the kind of database."""
    return sqlite_template


@pytest.fixture
def house_sets() -> dict[str, object]:
    return {"max_body_bytes": 2000}


class Inner(BaseModel):
    number: Annotated[int, Field(ge=1)]


class Outer(BaseModel):
    inner: Inner


extra = APIRouter()


@extra.get("/test/fails")
async def fails() -> None:
    raise ZeroDivisionError("a secret of the server")


@extra.post("/test/nested")
async def nested(body: Outer, limit: Annotated[int, Field(ge=1)] = 1) -> None:
    return None


@extra.post("/test/write")
async def write(principal: CurrentPrincipal) -> None:
    principal.require("agents:write")


@pytest.fixture
def more_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The house, with routes that misbehave."""
    monkeypatch.setattr("longhouse.server.app.ROUTERS", (*routes.ROUTERS, (routes.API, extra)))


class TestProblems:
    def check(self, answer: httpx2.Response, status: int, code: str) -> dict[str, object]:
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        problem: dict[str, object] = answer.json()
        assert problem["status"] == status
        assert problem["type"] == f"urn:longhouse:problem:{code}"
        assert problem["request_id"] == answer.headers["x-request-id"]
        assert problem["title"]
        assert problem["detail"]
        return problem

    async def test_an_unknown_address_of_the_api_is_told_as_such(
        self, client: httpx2.AsyncClient
    ) -> None:
        for path in ("/api", "/api/v1/nothing", "/api/v2/auth/me"):
            self.check(await client.get(path), 404, "not-found")
        self.check(await client.post("/api/v1/nothing", json={}), 404, "not-found")

    async def test_a_wrong_method_is_told_with_the_right_ones(
        self, client: httpx2.AsyncClient
    ) -> None:
        answer = await client.delete("/api/v1/setup")

        self.check(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == "GET, POST"

    async def test_a_wrong_method_on_a_page_of_the_console_is_told_too(
        self, client: httpx2.AsyncClient
    ) -> None:
        answer = await client.put("/agents")

        self.check(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == "GET, HEAD"

    async def test_broken_json_is_told_with_line_and_column(
        self, client: httpx2.AsyncClient
    ) -> None:
        answer = await client.post(
            LOGIN,
            content=b'{\n  "username": "ada",\n  "password" }',
            headers={"content-type": "application/json"},
        )

        problem = self.check(answer, 400, "bad-request")
        assert (problem["line"], problem["column"]) == (3, 14)

    @pytest.mark.parametrize(
        "body", [b"\xff\xfe", b"[" * 1900, b"1" * 1900, b'{"username": NaN}', b'"\\ud800"', b""]
    )
    async def test_what_is_hardly_json_is_the_clients_fault(
        self, client: httpx2.AsyncClient, body: bytes
    ) -> None:
        answer = await client.post(
            LOGIN, content=body, headers={"content-type": "application/json"}
        )

        assert answer.status_code in {400, 422}
        assert answer.headers["content-type"] == "application/problem+json"

    async def test_a_lone_surrogate_in_a_text_is_the_clients_fault(
        self, client: httpx2.AsyncClient
    ) -> None:
        answer = await client.post(
            LOGIN,
            content=b'{"username": "\\ud800", "password": "x"}',
            headers={"content-type": "application/json"},
        )

        self.check(answer, 422, "invalid-input")

    async def test_wrong_values_are_named_by_their_path(
        self, more_routes: None, client: httpx2.AsyncClient
    ) -> None:
        answer = await client.post("/api/v1/test/nested?limit=0", json={"inner": {"number": 0}})

        problem = self.check(answer, 422, "invalid-input")
        errors = problem["errors"]
        assert isinstance(errors, list)
        assert {error["field"] for error in errors} == {"limit", "inner.number"}

    async def test_an_unexpected_error_is_logged_and_tells_the_client_nothing(
        self, more_routes: None, client: httpx2.AsyncClient, capsys: pytest.CaptureFixture[str]
    ) -> None:
        answer = await client.get("/api/v1/test/fails")

        self.check(answer, 500, "internal-error")
        assert "secret" not in answer.text
        logged = capsys.readouterr().out
        assert "a secret of the server" in logged
        assert answer.headers["x-request-id"] in logged

    async def test_a_refused_scope_is_a_problem_and_an_audit_entry(
        self, more_routes: None, house: House, admin: httpx2.AsyncClient
    ) -> None:
        viewer = await add_user(house, "eve", tenant="default", role=TenantRole.VIEWER)

        allowed = await admin.post("/api/v1/test/write")
        async with calling(house, viewer.access_token) as eve:
            refused = await eve.post("/api/v1/test/write")

        assert allowed.status_code == 200
        problem = self.check(refused, 403, "scope-missing")
        assert problem["scope"] == "agents:write"
        statement = audit_entries.select().where(audit_entries.c.action == "scope.used")
        rows = await house.database.read(lambda conn: conn.execute(statement).all())
        assert [row.request_id for row in rows] == [problem["request_id"]]

    async def test_a_nul_character_in_the_address_is_refused(
        self, client: httpx2.AsyncClient
    ) -> None:
        self.check(await client.get("/api/v1/agents/%00"), 400, "bad-request")


class TestHeaders:
    async def test_every_answer_has_an_id_of_its_own_and_the_security_headers(
        self, client: httpx2.AsyncClient
    ) -> None:
        answers = [await client.get(path) for path in ("/health", "/api/v1/nothing", "/agents")]

        assert len({answer.headers["x-request-id"] for answer in answers}) == 3
        for answer in answers:
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]

    async def test_answers_of_the_api_are_not_kept_by_caches(
        self, client: httpx2.AsyncClient
    ) -> None:
        assert (await client.get("/api/v1/setup")).headers["cache-control"] == "no-store"

    async def test_an_id_that_a_client_sends_is_not_believed(
        self, client: httpx2.AsyncClient
    ) -> None:
        answer = await client.get("/health", headers={"x-request-id": "mine"})

        assert answer.headers["x-request-id"] != "mine"


class TestSecureCookie:
    @pytest.fixture
    def house_sets(self) -> dict[str, object]:
        return {"public_url": "https://house.example"}

    async def test_behind_https_the_cookie_never_travels_in_clear(
        self, house: House, client: httpx2.AsyncClient
    ) -> None:
        token = await house.identity.first_run.new_token()

        answer = await client.post("/api/v1/setup", json={"token": token, **ADMIN})

        assert "Secure" in answer.headers["set-cookie"]


class TestBodyLimit:
    async def test_a_body_that_announces_too_much_is_refused_unread(
        self, client: httpx2.AsyncClient
    ) -> None:
        answer = await client.post(LOGIN, json={"username": "a" * 2000, "password": "b"})

        assert answer.status_code == 413
        assert answer.json()["max_body_bytes"] == 2000
        assert answer.headers["connection"] == "close"

    async def test_a_body_of_the_limit_passes(self, client: httpx2.AsyncClient) -> None:
        body = json.dumps({"username": "a", "password": "b"}).encode().ljust(2000)

        answer = await client.post(
            LOGIN, content=body, headers={"content-type": "application/json"}
        )

        assert answer.status_code == 401

    async def test_a_body_in_pieces_is_refused_when_it_has_grown_too_long(
        self, client: httpx2.AsyncClient
    ) -> None:
        sent = 0

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(1000):
                sent += 500
                yield b" " * 500

        answer = await client.post(
            LOGIN, content=pieces(), headers={"content-type": "application/json"}
        )

        assert answer.status_code == 413
        assert answer.json()["code"] == "too-large"

    async def test_the_server_does_not_wait_for_the_rest_of_a_refused_body(
        self, served: str
    ) -> None:
        address = urlsplit(served)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(
            f"POST {LOGIN} HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\n".encode()
        )

        async with asyncio.timeout(60):
            answer = await reader.read()

        writer.close()
        assert answer.startswith(b"HTTP/1.1 413 ")


class TestStreams:
    async def test_an_answer_that_breaks_off_is_cut_and_not_completed(self) -> None:
        async def breaks(request: Request) -> StreamingResponse:
            async def pieces() -> AsyncIterator[bytes]:
                yield b"one"
                raise ZeroDivisionError

            return StreamingResponse(pieces())

        app = RequestEnvelope(Starlette(routes=[Route("/", breaks)]))
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
            with pytest.raises(AssertionError):  # the transport minds that nothing ends the body
                await client.get("/")
