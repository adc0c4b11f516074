"""The Anthropic Messages protocol: `POST /v1/messages`."""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import Any

from tests.peers.dialects.base import SseEvent, Tokens
from tests.peers.script import Ask, Json, Turn, arguments_text, join, split


def sealed(text: str) -> str:
    """The signature of thinking, or what a redacted one is: it has to come back as it was."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Anthropic:
    """Reads and writes Messages bodies."""

    def ask(self, body: Json) -> Ask:
        """The conversation in a request."""
        messages = body["messages"]
        _check(messages)
        users = [
            (index, _text(message["content"]))
            for index, message in enumerate(messages)
            if message["role"] == "user"
        ]
        return Ask(
            users=users,
            turns_after=[message["role"] == "assistant" for message in messages],
            tools={tool["name"]: tool.get("input_schema") for tool in body.get("tools") or []},
            texts=[join(body.get("system")), *(text for _, text in users)],
        )

    def answer(self, body: Json, turn: Turn, tokens: Tokens) -> Json:
        """A whole message."""
        return {
            "id": f"msg_{uuid.uuid4().hex[:20]}",
            "type": "message",
            "role": "assistant",
            "model": body.get("model"),
            "content": _blocks(turn),
            "stop_reason": "tool_use" if turn.calls else "end_turn",
            "stop_sequence": None,
            "usage": {
                # The vendor counts cached tokens apart from the others.
                "input_tokens": tokens.input - tokens.cached,
                "output_tokens": tokens.output,
                "cache_read_input_tokens": tokens.cached,
                "cache_creation_input_tokens": 0,
            },
        }

    def stream(self, body: Json, turn: Turn, tokens: Tokens) -> list[SseEvent]:
        """The same, in events."""
        whole = self.answer(body, turn, tokens)
        opening = {
            **whole,
            "content": [],
            "stop_reason": None,
            "usage": {**whole["usage"], "output_tokens": 1},
        }
        events = [_event("message_start", message=opening)]
        for index, block in enumerate(_blocks(turn)):
            start, deltas = _block(block, turn)
            events.append(_event("content_block_start", index=index, content_block=start))
            if index == 0:
                events.append(_event("ping"))
            events += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
            events.append(_event("content_block_stop", index=index))
        ending = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        usage = {"output_tokens": tokens.output}
        events.append(_event("message_delta", delta=ending, usage=usage))
        events.append(_event("message_stop"))
        return events

    def error(self, status: int, message: str, *, kind: str | None = None) -> Json:
        """The vendor's error body."""
        error = {"type": KINDS.get(status, "api_error"), "message": message}
        return {"type": "error", "error": error, "request_id": "req_fake"}


def _check(messages: list[Json]) -> None:
    """Raises `TypeError` for what the vendor refuses in a conversation."""
    for message in messages:
        for block in message["content"] if isinstance(message["content"], list) else ():
            match block:
                case {"type": "thinking", "thinking": text, "signature": signature}:
                    if signature != sealed(text):
                        raise TypeError("Invalid `signature` in `thinking` block")
                case {"type": "image" | "document", "source": {"type": "base64", "data": data}}:
                    base64.b64decode(data, validate=True)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return join([part for part in content if part.get("type") == "text"])


def _blocks(turn: Turn) -> list[Json]:
    blocks: list[Json] = []
    if turn.thinking:
        signature = sealed(turn.thinking)
        blocks.append({"type": "thinking", "thinking": turn.thinking, "signature": signature})
    if turn.redacted:
        blocks.append({"type": "redacted_thinking", "data": sealed(turn.redacted)})
    if turn.text:
        blocks.append({"type": "text", "text": turn.text})
    for name, arguments in turn.calls:
        call_id = turn.id or f"toolu_{uuid.uuid4().hex[:20]}"
        blocks.append({"type": "tool_use", "id": call_id, "name": name, "input": arguments})
    return blocks


def _block(block: Json, turn: Turn) -> tuple[Json, list[Json]]:
    """How a block starts, and the deltas that fill it."""
    if block["type"] == "text":
        return {"type": "text", "text": ""}, [
            {"type": "text_delta", "text": chunk} for chunk in split(block["text"], turn.chunks)
        ]
    if block["type"] == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}, [
            *({"type": "thinking_delta", "thinking": c} for c in split(block["thinking"], 2)),
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    if block["type"] == "redacted_thinking":
        return block, []
    chunks = ["", *split(arguments_text(block["input"]), turn.chunks)]
    deltas = [{"type": "input_json_delta", "partial_json": chunk} for chunk in chunks]
    return {**block, "input": {}}, deltas


def _event(name: str, **fields: Any) -> SseEvent:
    return name, {"type": name, **fields}
