"""Our conversation as pydantic-ai's and back. Pure; used by `vendor_wire` alone.

A vendor's own fields (signatures, ids) are kept in a block's `details` under the vendor's name and
go back unchanged, to that vendor only: another one could not read them. The history is converted
anew for each call: that takes microseconds a message, and pydantic-ai maps all of it again anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, assert_never

import msgspec
from pydantic_ai import messages as vendor
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from longhouse.protocol.events import Attached, JsonObject, Outcome, Text, Thinking, ToolCall, Usage
from longhouse.runtime.model import (
    AssistantMessage,
    Block,
    Message,
    ModelRequest,
    ToolMessage,
    UserMessage,
)

NO_FILES: Mapping[str, bytes] = MappingProxyType({})

MALFORMED_KEY = "INVALID_JSON"
"""What malformed arguments are sent back under: vendors take only objects."""

_OUTCOMES: dict[Outcome, Literal["success", "failed", "denied", "interrupted"]] = {
    Outcome.OK: "success",
    Outcome.ERROR: "failed",
    Outcome.INVALID: "failed",
    Outcome.DENIED: "failed",  # protocols know only good and bad; the text says why
    Outcome.INTERRUPTED: "failed",
    Outcome.SEALED: "failed",
}

FINISHES = {"tool_call": "tool_calls"}
"""pydantic-ai's words for how an answer ended, where ours differ."""


def history(
    messages: Sequence[Message], *, system: str, files: Mapping[str, bytes] = NO_FILES
) -> list[vendor.ModelMessage]:
    """The conversation: what lies between two answers of the model is one request."""
    converted: list[vendor.ModelMessage] = []
    pending: list[vendor.ModelRequestPart] = []
    for message in messages:
        match message:
            case UserMessage():
                pending.append(_user_prompt(message, files))
            case ToolMessage():
                pending.append(_tool_return(message, files))
            case AssistantMessage():
                if pending:
                    converted.append(vendor.ModelRequest(parts=pending))
                    pending = []
                converted.append(_response(message, system=system))
            case _:
                assert_never(message)
    if pending:
        converted.append(vendor.ModelRequest(parts=pending))
    return converted


def parameters(request: ModelRequest) -> ModelRequestParameters:
    """Tools, with their schemas as they are, and the system prompt."""
    instructions = [vendor.InstructionPart(content=request.system)] if request.system else []
    return ModelRequestParameters(
        function_tools=[
            ToolDefinition(
                name=tool.name,
                description=tool.description,
                parameters_json_schema=tool.schema,
                strict=False,
            )
            for tool in request.tools
        ],
        instruction_parts=instructions,
    )


def blocks(
    parts: Iterable[vendor.ModelResponsePart], *, step: int, system: str, call_ids: CallIds
) -> tuple[Block, ...]:
    """An answer's parts as event bodies. Parts that nobody asked for (files, …) are left out."""
    found: list[Block] = []
    for index, part in enumerate(parts):
        match part:
            case vendor.TextPart() if part.content:
                details = _details(part, system)
                found.append(Text(step=step, text=part.content, details=details))
            case vendor.ThinkingPart() if part.content or part.signature:
                details = _details(part, system, signature=part.signature)
                found.append(Thinking(step=step, text=part.content, details=details))
            case vendor.ToolCallPart():
                found.append(_tool_call(part, step, call_ids.of(index, part), system))
            case _:
                pass
    return tuple(found)


def usage(counted: RequestUsage) -> Usage:
    """Tokens in our words."""
    return Usage(
        input=counted.input_tokens,
        output=counted.output_tokens,
        cached=counted.cache_read_tokens,
        reasoning=counted.details.get("reasoning_tokens", 0),
    )


class CallIds:
    """Ids of an answer's calls, each new in its conversation.

    Most vendors make good ones. Some servers count from zero in every answer, or send none.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._taken: set[str] | None = None  # read from the conversation when first needed
        self._by_index: dict[int, str] = {}

    def of(self, index: int, part: vendor.ToolCallPart) -> str:
        """The id of the call at that place of the answer; the same each time it is asked for."""
        if index not in self._by_index:
            self._by_index[index] = self._new(part.tool_call_id)
        return self._by_index[index]

    def _new(self, wanted: str) -> str:
        if self._taken is None:
            self._taken = {m.call_id for m in self._messages if isinstance(m, ToolMessage)}
        call_id, number = wanted or "call", len(self._messages)
        while not call_id or call_id in self._taken:
            call_id, number = f"{wanted or 'call'}_{number}", number + 1
        self._taken.add(call_id)
        return call_id


def _user_prompt(message: UserMessage, files: Mapping[str, bytes]) -> vendor.UserPromptPart:
    if not message.attachments:
        return vendor.UserPromptPart(content=message.text)
    words = [message.text] if message.text else []
    return vendor.UserPromptPart(content=[*words, *_shown(message.attachments, files)])


def _shown(
    attachments: Sequence[Attached], files: Mapping[str, bytes]
) -> list[vendor.BinaryContent]:
    return [
        vendor.BinaryContent(files[one.digest], media_type=one.media_type) for one in attachments
    ]


def _tool_return(message: ToolMessage, files: Mapping[str, bytes]) -> vendor.ToolReturnPart:
    content: str | list[str | vendor.BinaryContent] = message.content
    if message.attachments:
        content = [message.content, *_shown(message.attachments, files)]
    return vendor.ToolReturnPart(
        tool_name=message.name,
        content=content,
        tool_call_id=message.call_id,
        outcome=_OUTCOMES[message.outcome],
    )


def _response(message: AssistantMessage, *, system: str) -> vendor.ModelResponse:
    parts = [part for block in message.blocks if (part := _part(block, system)) is not None]
    return vendor.ModelResponse(parts=parts, provider_name=system)


def _part(block: Block, system: str) -> vendor.ModelResponsePart | None:
    kept = (block.details or {}).get(system, {})
    own = _own(kept, system)
    match block:
        case Text():
            return vendor.TextPart(content=block.text, **own)
        case Thinking():
            # Another vendor's thinking is no part of what this one said.
            if not kept:
                return None
            signature = kept.get("signature")
            return vendor.ThinkingPart(content=block.text, signature=signature, **own)
        case ToolCall():
            arguments = {MALFORMED_KEY: block.malformed} if block.malformed else block.arguments
            return vendor.ToolCallPart(
                tool_name=block.name,
                args=arguments,
                tool_call_id=block.call_id,
                **own,
            )
        case _:
            assert_never(block)


def _tool_call(part: vendor.ToolCallPart, step: int, call_id: str, system: str) -> ToolCall:
    arguments, malformed = _arguments(part.args)
    return ToolCall(
        step=step,
        call_id=call_id,
        name=part.tool_name,
        arguments=arguments,
        malformed=malformed,
        details=_details(part, system),
    )


def _arguments(raw: str | dict[str, Any] | None) -> tuple[JsonObject, str]:
    """The arguments, and the raw text when they are not a JSON object."""
    if not raw:
        return {}, ""
    if isinstance(raw, dict):
        return raw, ""
    try:
        value = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return {}, raw
    return (value, "") if isinstance(value, dict) else ({}, raw)


def _details(
    part: vendor.TextPart | vendor.ThinkingPart | vendor.ToolCallPart,
    system: str,
    *,
    signature: str | None = None,
) -> JsonObject | None:
    """The vendor's own fields under its name; None when there are none."""
    fields = {"id": part.id, "signature": signature, "details": part.provider_details}
    kept = {name: value for name, value in fields.items() if value}
    return {system: kept} if kept else None


def _own(kept: JsonObject, system: str) -> dict[str, Any]:
    """The reverse of `_details`, as arguments of a part."""
    if not kept:
        return {}
    return {
        "provider_name": system,
        "id": kept.get("id"),
        "provider_details": kept.get("details"),
    }
