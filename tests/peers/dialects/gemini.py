"""The Gemini protocol: `POST /v1beta/models/{model}:generateContent`, `:streamGenerateContent`."""

from __future__ import annotations

import uuid
from typing import Any

from tests.peers.dialects.base import SseEvent, Tokens
from tests.peers.script import Ask, Json, Turn, join, split

SIGNATURE = "c2ln"

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


class Gemini:
    """Reads and writes generateContent bodies."""

    def ask(self, body: Json) -> Ask:
        """The conversation in a request."""
        contents = body.get("contents", [])
        if isinstance(contents, dict):
            contents = [contents]
        users = [
            (index, join([part for part in content.get("parts", []) if "text" in part]))
            for index, content in enumerate(contents)
            if content.get("role", "user") == "user"
        ]
        config = body.get("generationConfig") or {}
        system = (body.get("systemInstruction") or {}).get("parts")
        return Ask(
            users=users,
            turns_after=[content.get("role") == "model" for content in contents],
            tools={f["name"]: _schema(f) for f in _functions(body)},
            texts=[join(system), *(text for _, text in users)],
            schema=config.get("responseJsonSchema") or config.get("responseSchema"),
        )

    def answer(self, body: Json, turn: Turn, tokens: Tokens) -> Json:
        """A whole answer."""
        parts = _thinking(turn) + ([{"text": turn.text}] if turn.text else []) + _calls(turn)
        return _chunk(_id(), parts, tokens, finish="STOP")

    def stream(self, body: Json, turn: Turn, tokens: Tokens) -> list[SseEvent]:
        """The same, in chunks, all with one response id: clients refuse a change of it."""
        response = _id()
        texts = [{"text": chunk} for chunk in split(turn.text, turn.chunks)]
        parts = [*_thinking(turn), *texts, *_calls(turn)] or [{"text": ""}]
        return [
            (None, _chunk(response, [part], tokens, finish="STOP" if part is parts[-1] else None))
            for part in parts
        ]

    def error(self, status: int, message: str, *, kind: str | None = None) -> Json:
        """The vendor's error body."""
        word = kind or STATUSES.get(status, "INTERNAL")
        return {"error": {"code": status, "message": message, "status": word}}


def _functions(body: Json) -> list[Json]:
    return [
        function
        for tool in body.get("tools") or []
        for function in tool.get("functionDeclarations") or tool.get("function_declarations") or []
    ]


def _schema(function: Json) -> Json | None:
    keys = ("parametersJsonSchema", "parameters_json_schema", "parameters")
    return next((function[key] for key in keys if function.get(key)), None)


def _thinking(turn: Turn) -> list[Json]:
    return [{"text": turn.thinking, "thought": True}] if turn.thinking else []


def _calls(turn: Turn) -> list[Json]:
    return [
        {"functionCall": {"name": name, "args": arguments}, "thoughtSignature": SIGNATURE}
        for name, arguments in turn.calls
    ]


def _id() -> str:
    return f"r{uuid.uuid4().hex[:10]}"


def _chunk(response: str, parts: list[Json], tokens: Tokens, *, finish: str | None) -> Json:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    if finish:
        candidate["finishReason"] = finish
    usage = {
        "promptTokenCount": tokens.input,
        "candidatesTokenCount": tokens.output,
        "totalTokenCount": tokens.input + tokens.output,
        "cachedContentTokenCount": tokens.cached,
        "thoughtsTokenCount": tokens.reasoning,
    }
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "fake",
        "responseId": response,
    }
