"""Spans as a collector of OpenTelemetry gets them, and errors as Sentry gets them."""

import asyncio
import gzip
import io
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pydantic import SecretStr
from tests.fixtures_server import calling, quick_passwords
from tests.patience import PATIENCE, until

from longhouse.kit import logs
from longhouse.kit.clock import Clock, SystemClock
from longhouse.kit.settings import Settings
from longhouse.runtime.model import Models
from longhouse.runtime.sandbox.off import Unprotected
from longhouse.server.house import House, open_house, working

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collector:
    """A service on this machine that takes everything it is sent."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.address = ""

    async def take(self, request: web.Request) -> web.Response:
        """Keep the body of one request."""
        await self.received.put((request.path, await request.read()))
        return web.Response()

    async def next(self, path: str) -> bytes:
        """The next body that was sent there."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found, body = await self.received.get()
                if found == path:
                    return body


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    application = web.Application()
    application.router.add_post("/{path:.*}", made.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.address = f"127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


class TestSpans:
    @pytest.fixture
    def house_clock(self) -> Clock:
        return SystemClock()

    async def test_requests_runs_and_model_calls_are_spans(
        self, house_settings: Settings, house_models: Models, collector: Collector
    ) -> None:
        settings = house_settings.model_copy(
            update={"otlp_endpoint": f"http://{collector.address}"}
        )
        async with open_house(
            settings,
            passwords=quick_passwords(),
            sandbox=Unprotected(),
            turn_models=house_models,
        ) as house:
            await work(house)

        spans = await spans_of(collector)

        request = next(span for span in spans if span.name == "GET /api/v1/agents/{agent_id}")
        assert request.parent_span_id.hex() == "00f067aa0ba902b7"
        assert request.trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
        assert text(request, "longhouse.request").startswith("req_")
        run = next(span for span in spans if span.name == "run turn")
        assert text(run, "longhouse.outcome") == "done"
        model = next(span for span in spans if span.name == "chat demo")
        assert model.parent_span_id == run.span_id


async def work(house: House) -> None:
    """One request from elsewhere, and one turn."""
    token = await house.identity.first_run.new_token()
    async with calling(house) as client:
        setup = {
            "token": token,
            "username": "ada",
            "password": "a password of tests",
            "email": "ada@example.org",
            "display_name": "Ada",
        }
        made = (await client.post("/api/v1/setup", json=setup)).json()
        client.headers["authorization"] = f"Bearer {made['access_token']}"
        await client.get("/api/v1/agents/agent_1", headers={"traceparent": PARENT})
        post = (await client.get("/api/v1/posts")).json()["items"][0]["id"]
        agent = (await client.post("/api/v1/agents", json={"name": "A", "post_id": post})).json()
        path = f"/api/v1/agents/{agent['id']}/sessions"
        session = (await client.post(path, json={})).json()
        await client.post(f"{path}/{session['id']}/messages", json={"text": "hello"})
        async with working(house):
            await until(lambda: turns(house) == 1)


def turns(house: House) -> float | None:
    """How many turns have ended well."""
    labels = {"kind": "turn", "outcome": "done"}
    return house.metrics.registry.get_sample_value("longhouse_run_seconds_count", labels)


async def spans_of(collector: Collector) -> list[Span]:
    """Everything that was sent to it."""
    spans: list[Span] = []
    while not collector.received.empty():
        body = await collector.next("/v1/traces")
        plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        sent = ExportTraceServiceRequest.FromString(plain)
        spans += [
            span
            for resource in sent.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    return spans


def text(span: Span, name: str) -> str:
    """An attribute of the span."""
    found: str = next(each.value.string_value for each in span.attributes if each.key == name)
    return found


class TestReports:
    @pytest.fixture(autouse=True)
    def logging_as_a_server_does(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Both kinds of loggers go one way; other tests get them back as they were."""
        monkeypatch.setattr(logs, "_secrets", logs._Secrets())
        root = logging.getLogger()
        handlers, level = list(root.handlers), root.level
        logs.set_up(stream=io.StringIO())
        yield
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()

    async def test_an_error_of_ours_is_reported_with_its_traceback_and_without_secrets(
        self, house_settings: Settings, collector: Collector
    ) -> None:
        dsn = SecretStr(f"http://key@{collector.address}/1")
        settings = house_settings.model_copy(update={"sentry_dsn": dsn})
        logs.hide("a secret of this test")
        async with open_house(settings, passwords=quick_passwords(), sandbox=Unprotected()):
            log = structlog.get_logger("longhouse.test")
            try:
                raise RuntimeError("broken by a secret of this test")
            except RuntimeError:
                log.exception("request failed", request_id="req_1")

        event = await report(collector)

        (raised,) = event["exception"]["values"]
        assert raised["type"] == "RuntimeError"
        assert raised["value"] == "broken by ***"
        assert raised["stacktrace"]["frames"][-1]["function"].startswith("test_an_error_of_ours")
        assert "vars" not in raised["stacktrace"]["frames"][-1]
        assert event["tags"]["request_id"] == "req_1"
        assert event["message"] == "request failed"

    async def test_what_the_standard_library_logs_is_reported_too(
        self, house_settings: Settings, collector: Collector
    ) -> None:
        dsn = SecretStr(f"http://key@{collector.address}/1")
        settings = house_settings.model_copy(update={"sentry_dsn": dsn})
        async with open_house(settings, passwords=quick_passwords(), sandbox=Unprotected()):
            logging.getLogger("longhouse.test").warning("no error")
            logging.getLogger("longhouse.test").error("run %s broke off", "run_1")

        event = await report(collector)

        assert event["message"] == "run run_1 broke off"
        assert event["level"] == "error"


async def report(collector: Collector) -> dict[str, Any]:
    """The next event that was reported."""
    body = await collector.next("/api/1/envelope/")
    plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    event: dict[str, Any] = json.loads(plain.splitlines()[2])
    return event


async def test_without_the_settings_nothing_of_it_is_imported() -> None:
    code = (
        "import sys, longhouse.server.serve, longhouse.cli.serve;"
        "print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'sentry_sdk', 'nats', "
        "'opentelemetry.exporter'))])"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert out.decode().strip() == "[]"
