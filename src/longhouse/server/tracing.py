"""Spans for OpenTelemetry, as an observer: requests, executions of runs, calls of models.

Imported when LONGHOUSE_OTLP_ENDPOINT is set and not before: it needs the extra `telemetry`. Spans
go out in the background; a collector that is away costs nothing but them. A span names ids of ours,
so that it can be found in the log, and never a text.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Set
from contextlib import aclosing

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longhouse import __version__
from longhouse.fleet.models import Run
from longhouse.fleet.service import Handler, Lease
from longhouse.fleet.states import Outcome
from longhouse.kit.db.database import Runner
from longhouse.protocol.events import Delta
from longhouse.runtime.model import Model, ModelRequest, ModelResponse, Models
from longhouse.server.observer import route_of

TRACES_PATH = "/v1/traces"  # OTLP over HTTP has it below the endpoint
FAREWELL_MS = 2_000  # for the last spans when the process stops

_propagator = TraceContextTextMapPropagator()


@contextlib.asynccontextmanager
async def opened_tracing(endpoint: str) -> AsyncIterator["Tracing"]:
    """What makes spans and sends them to the collector at this address."""
    resource = Resource.create({"service.name": "longhouse", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + TRACES_PATH)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield Tracing(provider.get_tracer("longhouse", __version__))
    finally:
        await asyncio.to_thread(provider.force_flush, FAREWELL_MS)
        await asyncio.to_thread(provider.shutdown)


class Tracing:
    """Makes spans of what passes."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def around_requests(self, app: ASGIApp) -> ASGIApp:
        """The application, with a span for each request, below the caller's when it has one."""
        return _TracedRequests(app, self._tracer)

    def around_handler(self, handler: Handler) -> Handler:
        """The handler, with a span for each execution."""
        return _TracedHandler(handler, self._tracer)

    def around_models(self, models: Models) -> Models:
        """The models, with a span for each call."""
        return _TracedModels(models, self._tracer)

    def around_database(self, runner: Runner) -> Runner:
        """The runner as it is: metrics tell more of thousands of short transactions."""
        return runner


class _TracedRequests:
    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_and_see(message: Message) -> None:
            if message["type"] == "http.response.start":
                _tell_status(span, message["status"])
            await send(message)

        attributes = {"http.request.method": str(scope["method"])}
        with self._tracer.start_as_current_span(
            scope["method"], _caller(scope), SpanKind.SERVER, attributes
        ) as span:
            try:
                await self._app(scope, receive, send_and_see)
            finally:
                span.update_name(f"{scope['method']} {route_of(scope)}")
                span.set_attribute("http.route", route_of(scope))
                span.set_attribute("longhouse.request", scope["state"]["request_id"])


def _caller(scope: Scope) -> Context:
    """The span of whoever calls, by the header `traceparent`."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return _propagator.extract(headers)


def _tell_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(StatusCode.ERROR)


class _TracedHandler:
    def __init__(self, handler: Handler, tracer: Tracer) -> None:
        self._handler = handler
        self._tracer = tracer

    async def __call__(self, run: Run, lease: Lease) -> Outcome | None:
        attributes: dict[str, str | int] = {
            "longhouse.run": run.id,
            "longhouse.subject": run.subject,
            "longhouse.attempt": run.attempts,
        }
        with self._tracer.start_as_current_span(f"run {run.kind}", attributes=attributes) as span:
            outcome = await self._handler(run, lease)
            span.set_attribute("longhouse.outcome", "parked" if outcome is None else outcome.value)
            return outcome

    async def give_up(self, run: Run) -> str:
        return await self._handler.give_up(run)


class _TracedModels:
    def __init__(self, models: Models, tracer: Tracer) -> None:
        self._models = models
        self._tracer = tracer

    def model(self, name: str) -> Model:
        return _TracedModel(self._models.model(name), self._tracer)


class _TracedModel:
    def __init__(self, model: Model, tracer: Tracer) -> None:
        self._model = model
        self._tracer = tracer

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def media_types(self) -> Set[str]:
        return self._model.media_types

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | ModelResponse, None]:
        # Not the current span: a generator is left and entered again in other contexts.
        span = self._tracer.start_span(f"chat {self.name}", kind=SpanKind.CLIENT)
        span.set_attribute("gen_ai.request.model", self.name)
        try:
            async with aclosing(self._model.stream(request)) as parts:
                async for part in parts:
                    if isinstance(part, ModelResponse):
                        span.set_attribute("gen_ai.usage.input_tokens", part.usage.input)
                        span.set_attribute("gen_ai.usage.output_tokens", part.usage.output)
                    yield part
        except Exception as error:
            span.record_exception(error)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.end()
