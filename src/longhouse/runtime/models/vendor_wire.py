"""A model call over pydantic-ai: client, request, stream, answer.

Imported by `vendors` when a model is first called; importing it costs seconds. Everything a vendor
does wrong leaves here as a `ModelError`; cancelling and closing leave nothing open.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpx2
from pydantic import ValidationError
from pydantic_ai.direct import model_request_stream
from pydantic_ai.exceptions import AgentRunError, UserError
from pydantic_ai.messages import (
    ModelResponse as VendorResponse,
)
from pydantic_ai.messages import (
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import Model
from pydantic_ai.profiles import ModelProfile, merge_profile
from pydantic_ai.settings import ModelSettings
from pydantic_core import to_json

from longhouse.protocol.events import Delta, Text
from longhouse.runtime.model import ModelError, ModelRequest, ModelResponse, ModelUnavailable
from longhouse.runtime.models import vendor_messages
from longhouse.runtime.models.endpoint import DEFAULT_BASE_URLS, Endpoint, WireProtocol
from longhouse.runtime.models.vendor_errors import WebPage, explain
from longhouse.runtime.models.vendor_messages import CallIds

FAILURES = (
    AgentRunError,
    UserError,
    ValidationError,
    WebPage,
    httpx2.HTTPError,
    httpx2.StreamError,
)
"""What pydantic-ai, the vendors' packages and the HTTP library raise."""

PLACEHOLDER_KEY = "none"
"""For servers without keys: the packages insist on one."""

MAX_CONNECTIONS = 1000
"""Calls in flight at one endpoint; limits of the vendor and the operator come first."""


class Wire:
    """A client of one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._http = _http_client(endpoint)
        self._model = _model(endpoint, self._http)
        self._system = self._model.system

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | ModelResponse, None]:
        """Deltas, then the answer. Raises `ModelError`."""
        failure: ModelError | None = None
        call_ids = CallIds(request.messages)
        try:
            async with model_request_stream(
                self._model,
                vendor_messages.history(request.messages, system=self._system, files=request.files),
                model_settings=self._settings(request),
                model_request_parameters=vendor_messages.parameters(request),
            ) as streamed:
                deltas = _Deltas(step=request.step, call_ids=call_ids)
                async for event in streamed:
                    delta = deltas.of(event)
                    if delta is not None:
                        yield delta
                answer = streamed.get()
            yield self._answer(answer, request, call_ids)
        except FAILURES as error:
            failure = explain(error, self._endpoint, with_files=bool(request.files))
        if failure is not None:
            # Outside of the handler, so that the original, which may quote the key, is not kept.
            raise failure

    def _settings(self, request: ModelRequest) -> ModelSettings:
        most = self._endpoint.max_output_tokens or request.output_tokens
        settings = ModelSettings(max_tokens=min(request.output_tokens, most))
        if self._endpoint.protocol is WireProtocol.ANTHROPIC:
            # The others cache by themselves. An agent sends its whole history at every step.
            settings["cache"] = True
        return settings

    def _answer(
        self, answer: VendorResponse, request: ModelRequest, call_ids: CallIds
    ) -> ModelResponse:
        finish = _finish(answer)
        if finish is None or finish == "error":
            raise ModelUnavailable(
                f"The answer of model {self._endpoint.model!r} at {self._endpoint.base_url}"
                " broke off before it was complete."
            )
        blocks = vendor_messages.blocks(
            answer.parts, step=request.step, system=self._system, call_ids=call_ids
        )
        refusal = (answer.provider_details or {}).get("refusal")
        if not blocks and isinstance(refusal, str):
            blocks = (Text(step=request.step, text=refusal),)
        return ModelResponse(
            blocks=blocks,
            usage=vendor_messages.usage(answer.usage),
            model=answer.model_name or self._endpoint.model,
            finish=finish,
        )


class _Deltas:
    """Turns pydantic-ai's events into ours. Remembers which call grows."""

    def __init__(self, *, step: int, call_ids: CallIds) -> None:
        self._step = step
        self._call_ids = call_ids
        self._calls: dict[int, tuple[str, str]] = {}  # place in the answer -> call id, tool name

    def of(self, event: ModelResponseStreamEvent) -> Delta | None:
        """The delta of an event; None for those that show nothing."""
        match event:
            case PartStartEvent(part=TextPart() as part) if part.content:
                return Delta(step=self._step, kind="text", text=part.content)
            case PartStartEvent(part=ThinkingPart() as part) if part.content:
                return Delta(step=self._step, kind="thinking", text=part.content)
            case PartStartEvent(part=ToolCallPart() as part):
                call_id = self._call_ids.of(event.index, part)
                self._calls[event.index] = (call_id, part.tool_name)
                return self._call(event.index, part.args)
            case PartDeltaEvent(delta=TextPartDelta() as delta) if delta.content_delta:
                return Delta(step=self._step, kind="text", text=delta.content_delta)
            case PartDeltaEvent(delta=ThinkingPartDelta() as delta) if delta.content_delta:
                return Delta(step=self._step, kind="thinking", text=delta.content_delta)
            case PartDeltaEvent(delta=ToolCallPartDelta() as delta) if delta.args_delta:
                return self._call(event.index, delta.args_delta)
            case _:
                return None

    def _call(self, index: int, arguments: str | dict[str, Any] | None) -> Delta:
        call_id, name = self._calls[index]
        text = arguments or ""
        if isinstance(text, dict):
            text = to_json(text).decode()
        return Delta(step=self._step, kind="tool_call", text=text, call_id=call_id, name=name)


def _finish(answer: VendorResponse) -> str | None:
    """How the answer ended, in our words where we have one; None when it did not end."""
    if answer.state == "incomplete":
        return None
    if answer.finish_reason is not None:
        return vendor_messages.FINISHES.get(answer.finish_reason, answer.finish_reason)
    raw = (answer.provider_details or {}).get("finish_reason")
    return raw if isinstance(raw, str) else None


# --- clients --------------------------------------------------------------------------------------


def _http_client(endpoint: Endpoint) -> httpx2.AsyncClient:
    async def refuse_web_pages(response: httpx2.Response) -> None:
        # Streamed as events, a page would only look like an answer that ended too soon.
        if response.headers.get("content-type", "").startswith("text/html"):
            raise WebPage(response.status_code)

    return httpx2.AsyncClient(
        timeout=_timeout(endpoint),
        limits=httpx2.Limits(
            max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS // 10
        ),
        # A redirect would take the key to another host.
        follow_redirects=False,
        event_hooks={"response": [refuse_web_pages]},
    )


def _timeout(endpoint: Endpoint) -> httpx2.Timeout:
    return httpx2.Timeout(
        connect=endpoint.connect_seconds,
        pool=endpoint.connect_seconds,
        read=endpoint.idle_seconds,
        write=endpoint.idle_seconds,
    )


def _model(endpoint: Endpoint, http: httpx2.AsyncClient) -> Model[Any]:
    if endpoint.protocol is WireProtocol.ANTHROPIC:
        return _anthropic(endpoint, http)
    return _openai(endpoint, http)


def _anthropic(endpoint: Endpoint, http: httpx2.AsyncClient) -> Model[Any]:
    # Only the package of the vendor in use is imported.
    from anthropic import AsyncAnthropic  # noqa: PLC0415
    from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415
    from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415

    client = AsyncAnthropic(
        api_key=endpoint.api_key or PLACEHOLDER_KEY,
        base_url=endpoint.base_url,
        timeout=_timeout(endpoint),
        max_retries=0,  # the loop retries, and says so
        http_client=http,
    )
    profile = merge_profile(AnthropicProvider.model_profile(endpoint.model), _AS_IT_IS)
    provider = AnthropicProvider(anthropic_client=client)
    return AnthropicModel(endpoint.model, provider=provider, profile=profile)


def _openai(endpoint: Endpoint, http: httpx2.AsyncClient) -> Model[Any]:
    # Only the package of the vendor in use is imported.
    from openai import AsyncOpenAI  # noqa: PLC0415
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
    from pydantic_ai.profiles.openai import OpenAIModelProfile  # noqa: PLC0415
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415

    client = AsyncOpenAI(
        api_key=endpoint.api_key or PLACEHOLDER_KEY,
        base_url=endpoint.base_url,
        timeout=_timeout(endpoint),
        max_retries=0,  # the loop retries, and says so
        http_client=http,
    )
    official = endpoint.base_url == DEFAULT_BASE_URLS[WireProtocol.OPENAI]
    provider = (
        OpenAIProvider(openai_client=client)
        if official
        else OpenAICompatibleProvider(endpoint.vendor, openai_client=client)
    )
    strict = OpenAIModelProfile(
        # A stream without one was cut: half an answer must not count as a whole.
        openai_chat_streaming_requires_finish_reason=True,
        # The new name is OpenAI's own; everybody else still takes the old one.
        openai_chat_supports_max_completion_tokens=official,
    )
    profile = merge_profile(provider.model_profile(endpoint.model), _AS_IT_IS, strict)
    return OpenAIChatModel(endpoint.model, provider=provider, profile=profile)


_AS_IT_IS = ModelProfile(json_schema_transformer=None)
"""Tool schemas go out as their authors wrote them."""
