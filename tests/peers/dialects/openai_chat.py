"""The OpenAI Chat Completions protocol: `POST /v1/chat/completions`."""

from __future__ import annotations

import uuid
from typing import Any

from tests.peers.dialects.base import SseEvent, Tokens
from tests.peers.script import Ask, Json, Turn, arguments_text, join, split

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}

CREATED = 1_767_225_600  # 2026-01-01, seconds


class OpenAIChat:
    """Reads and writes Chat Completions bodies."""

    def ask(self, body: Json) -> Ask:
        """The conversation in a request."""
        messages = body["messages"]
        functions = [tool.get("function", tool) for tool in body.get("tools") or []]
        schema = (body.get("response_format") or {}).get("json_schema") or {}
        return Ask(
            users=[
                (index, join(message.get("content")))
                for index, message in enumerate(messages)
                if message["role"] == "user"
            ],
            turns_after=[message["role"] == "assistant" for message in messages],
            tools={f.get("name", "?"): f.get("parameters") for f in functions},
            texts=[
                join(message.get("content"))
                for message in messages
                if message["role"] in ("system", "developer", "user")
            ],
            schema=schema.get("schema"),
        )

    def answer(self, body: Json, turn: Turn, tokens: Tokens) -> Json:
        """A whole completion."""
        calls = _calls(turn)
        message: Json = {"role": "assistant", "content": turn.text or None}
        if turn.thinking:
            message["reasoning_content"] = turn.thinking
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "finish_reason": _finish(turn)}
        return {**_frame(body, "chat.completion"), "choices": [choice], "usage": _usage(tokens)}

    def stream(self, body: Json, turn: Turn, tokens: Tokens) -> list[SseEvent]:
        """The same, in chunks."""
        frame = _frame(body, "chat.completion.chunk")

        def chunk(delta: Json, finish: str | None = None) -> SseEvent:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return None, {**frame, "choices": [choice]}

        events = [chunk({"role": "assistant", "content": ""})]
        events += [chunk({"reasoning_content": part}) for part in split(turn.thinking, 2)]
        events += [chunk({"content": part}) for part in split(turn.text, turn.chunks)]
        for index, call in enumerate(_calls(turn)):
            function = call["function"]
            opening = {**call, "index": index, "function": {**function, "arguments": ""}}
            events.append(chunk({"tool_calls": [opening]}))
            events += [
                chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
                for part in split(function["arguments"], turn.chunks)
            ]
        events.append(chunk({}, _finish(turn)))
        if (body.get("stream_options") or {}).get("include_usage"):
            events.append((None, {**frame, "choices": [], "usage": _usage(tokens)}))
        events.append((None, "[DONE]"))
        return events

    def error(self, status: int, message: str, *, kind: str | None = None) -> Json:
        """The vendor's error body."""
        type_ = KINDS.get(status, "api_error")
        return {"error": {"message": message, "type": type_, "param": None, "code": kind}}


def _calls(turn: Turn) -> list[Json]:
    return [
        {
            "id": turn.id or f"call_{uuid.uuid4().hex[:12]}",
            "type": "function",
            "function": {"name": name, "arguments": arguments_text(arguments)},
        }
        for name, arguments in turn.calls
    ]


def _finish(turn: Turn) -> str:
    return "tool_calls" if turn.calls else "stop"


def _frame(body: Json, kind: str) -> Json:
    completion: Any = f"chatcmpl-{uuid.uuid4().hex[:12]}"
    return {"id": completion, "object": kind, "created": CREATED, "model": body.get("model")}


def _usage(tokens: Tokens) -> Json:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
    }
