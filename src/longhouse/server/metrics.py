"""What a process counts and times of its own work, as an observer of its ports.

`scrape` reads it. Labels are names that an operator chooses or the code has: never an id, a person
or a text.
"""

import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Set
from contextlib import aclosing
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
)
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longhouse import __version__
from longhouse.fleet.models import Run
from longhouse.fleet.service import Handler, Lease
from longhouse.fleet.states import Outcome
from longhouse.kit.db.database import Runner
from longhouse.kit.errors import Unavailable
from longhouse.protocol.events import Delta, Usage
from longhouse.runtime.model import Model, ModelError, ModelRequest, ModelResponse, Models
from longhouse.server.observer import route_of

T = TypeVar("T")

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bounds in seconds for what takes milliseconds: requests, the database."""

SLOW = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""Bounds in seconds for what a model does."""


class Metrics:
    """Everything that is measured in one process, by its Prometheus name."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.build = self._gauge("build_info", "What runs here.", "version")
        self.build.labels(__version__).set(1)
        self.requests = self._seconds(
            "http_request_seconds",
            "Requests, streams excepted.",
            QUICK,
            "method",
            "route",
            "status",
        )
        self.streams = self._gauge("event_streams", "Event streams that are open.")
        self.database = self._seconds(
            "database_seconds", "Transactions, waiting included.", QUICK, "work", "outcome"
        )
        self.runs = self._seconds("run_seconds", "Executions of runs.", SLOW, "kind", "outcome")
        self.models = self._seconds("model_call_seconds", "Model calls.", SLOW, "model", "outcome")
        self.tokens = Counter(
            "longhouse_tokens",
            "Tokens as vendors count them; cached is part of input, reasoning of output.",
            ["model", "kind"],
            registry=self.registry,
        )
        # What is looked up when somebody asks.
        self.up = self._gauge("part_up", "Whether a part works: 1 or 0.", "part")
        self.queued = self._gauge("runs_queued", "Runs that wait, in the whole house.", "kind")
        self.leased = self._gauge("runs_leased", "Runs being executed, in the house.", "kind")
        self.busy = self._gauge("worker_busy", "Places of this process that execute a run.")
        self.slots = self._gauge("worker_slots", "Places of this process.")
        self.bus = self._gauge("bus_messages", "Messages over the bus since the start.", "way")

    def around_requests(self, app: ASGIApp) -> ASGIApp:
        """The application, with each request timed by its route."""
        return _MeasuredRequests(app, self)

    def around_handler(self, handler: Handler) -> Handler:
        """The handler, with each execution timed."""
        return _MeasuredHandler(handler, self)

    def around_models(self, models: Models) -> Models:
        """The models, with calls timed and tokens counted."""
        return _MeasuredModels(models, self)

    def around_database(self, runner: Runner) -> Runner:
        """The runner, with what is read and written timed."""
        return _MeasuredRunner(runner, self)

    def _seconds(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"longhouse_{name}", text, labels, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"longhouse_{name}", text, labels, registry=self.registry)


class _MeasuredRequests:
    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, streams = 500, False

        async def send_and_see(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                streams = _is_stream(message)
                if streams:
                    self._metrics.streams.inc()
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, send_and_see)
        finally:
            if streams:
                self._metrics.streams.dec()
            else:
                labels = (scope["method"], route_of(scope), status)
                seconds = time.perf_counter() - started
                self._metrics.requests.labels(*labels).observe(seconds)


def _is_stream(message: Message) -> bool:
    return any(
        name == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in message["headers"]
    )


class _MeasuredRunner:
    def __init__(self, runner: Runner, metrics: Metrics) -> None:
        self._runner = runner
        self._metrics = metrics

    async def read(self, work: Callable[[Connection], T]) -> T:
        with self._timed("read"):
            return await self._runner.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        with self._timed("write"):
            return await self._runner.write(work)

    async def alter(self, work: Callable[[Connection], T]) -> T:
        return await self._runner.alter(work)

    async def close(self) -> None:
        await self._runner.close()

    @contextlib.contextmanager
    def _timed(self, work: str) -> Iterator[None]:
        started, outcome = time.perf_counter(), "done"
        try:
            yield
        except (Unavailable, DBAPIError):  # anything else is what the caller found there
            outcome = "failed"
            raise
        finally:
            seconds = time.perf_counter() - started
            self._metrics.database.labels(work, outcome).observe(seconds)


class _MeasuredHandler:
    def __init__(self, handler: Handler, metrics: Metrics) -> None:
        self._handler = handler
        self._metrics = metrics

    async def __call__(self, run: Run, lease: Lease) -> Outcome | None:
        started, ended = time.perf_counter(), "broken"
        try:
            outcome = await self._handler(run, lease)
            ended = "parked" if outcome is None else outcome.value
            return outcome
        finally:
            seconds = time.perf_counter() - started
            self._metrics.runs.labels(run.kind, ended).observe(seconds)

    async def give_up(self, run: Run) -> str:
        self._metrics.runs.labels(run.kind, Outcome.FAILED.value).observe(0)
        return await self._handler.give_up(run)


class _MeasuredModels:
    def __init__(self, models: Models, metrics: Metrics) -> None:
        self._models = models
        self._metrics = metrics

    def model(self, name: str) -> Model:
        return _MeasuredModel(self._models.model(name), self._metrics)


class _MeasuredModel:
    def __init__(self, model: Model, metrics: Metrics) -> None:
        self._model = model
        self._metrics = metrics

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def media_types(self) -> Set[str]:
        return self._model.media_types

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | ModelResponse, None]:
        started, outcome = time.perf_counter(), "cut off"
        try:
            async with aclosing(self._model.stream(request)) as parts:
                async for part in parts:
                    if isinstance(part, ModelResponse):
                        outcome = "done"
                        self._count(part.usage)
                    yield part
        except ModelError as error:
            outcome = error.code
            raise
        finally:
            seconds = time.perf_counter() - started
            self._metrics.models.labels(self.name, outcome).observe(seconds)

    def _count(self, usage: Usage) -> None:
        for kind in ("input", "output", "cached", "reasoning"):
            self._metrics.tokens.labels(self.name, kind).inc(getattr(usage, kind))
