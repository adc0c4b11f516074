"""The OpenAI Responses protocol: `POST /v1/responses`."""

from __future__ import annotations

import uuid
from typing import Any

from tests.peers.dialects.base import SseEvent, Tokens
from tests.peers.dialects.openai_chat import CREATED, OpenAIChat
from tests.peers.script import Ask, Json, Tools, Turn, arguments_text, join, split

NAMESPACE = "\0"
"""Between a namespace and a name: Codex puts the tools of a server into one."""

OWN_ITEMS = ("function_call", "custom_tool_call", "reasoning", "local_shell_call")


class OpenAIResponses:
    """Reads and writes Responses bodies."""

    def ask(self, body: Json) -> Ask:
        """The conversation in a request."""
        items = body.get("input", [])
        if isinstance(items, str):
            items = [{"type": "message", "role": "user", "content": items}]
        users = [
            (index, join(item.get("content")))
            for index, item in enumerate(items)
            if item.get("role") == "user"
        ]
        developer = [join(i.get("content")) for i in items if i.get("role") == "developer"]
        return Ask(
            users=users,
            turns_after=_turn_starts(items),
            tools=_tools(body),
            texts=[join(body.get("instructions")), *(text for _, text in users), *developer],
        )

    def answer(self, body: Json, turn: Turn, tokens: Tokens) -> Json:
        """A whole response."""
        return _response(body, _items(turn), tokens)

    def stream(self, body: Json, turn: Turn, tokens: Tokens) -> list[SseEvent]:
        """The same, in events."""
        items = _items(turn)
        response = _response(body, items, tokens)
        opening = {**response, "status": "in_progress", "output": [], "usage": None}
        events = [
            _event("response.created", response=opening),
            _event("response.in_progress", response=opening),
        ]
        for index, item in enumerate(items):
            events += _item_events(index, item, turn)
            events.append(_event("response.output_item.done", output_index=index, item=item))
        events.append(_event("response.completed", response=response))
        for number, (_, data) in enumerate(events, start=1):
            data["sequence_number"] = number
        return events

    def error(self, status: int, message: str, *, kind: str | None = None) -> Json:
        """The vendor's error body."""
        return OpenAIChat().error(status, message, kind=kind)


def _turn_starts(items: list[Json]) -> list[bool]:
    """True at the first of each run of the model's own items: an answer may be several."""
    starts, before = [], False
    for item in items:
        own = item.get("type", "message") in OWN_ITEMS or item.get("role") == "assistant"
        starts.append(own and not before)
        before = own
    return starts


def _tools(body: Json) -> Tools:
    tools: dict[str, Json | None] = {}
    for tool in body.get("tools") or []:
        match tool.get("type"):
            case "function":
                tools[tool["name"]] = tool.get("parameters")
            case "custom":
                tools[tool["name"]] = None
            case "local_shell":
                tools["local_shell"] = {}
            case "namespace":
                for inner in tool.get("tools", []):
                    name = f"{tool['name']}{NAMESPACE}{inner.get('name', '?')}"
                    tools[name] = inner.get("parameters")
    return tools


def _items(turn: Turn) -> list[Json]:
    items: list[Json] = []
    if turn.thinking:
        summary = [{"type": "summary_text", "text": turn.thinking}]
        items.append({"type": "reasoning", "id": _id("rs"), "summary": summary})
    if turn.text:
        content = [{"type": "output_text", "text": turn.text, "annotations": []}]
        message = {"role": "assistant", "status": "completed", "content": content}
        items.append({"type": "message", "id": _id("msg"), **message})
    items += [_call_item(name, arguments) for name, arguments in turn.calls]
    return items


def _call_item(name: str, arguments: Json | str) -> Json:
    ids = {"id": _id("fc"), "call_id": _id("call"), "status": "completed"}
    if isinstance(arguments, str):
        return {"type": "custom_tool_call", **ids, "name": name, "input": arguments}
    namespace, _, plain = name.rpartition(NAMESPACE)
    place = {"namespace": namespace} if namespace else {}
    text = arguments_text(arguments)
    return {"type": "function_call", **ids, "name": plain, **place, "arguments": text}


def _item_events(index: int, item: Json, turn: Turn) -> list[SseEvent]:
    match item["type"]:
        case "message":
            return _message_events(index, item, turn)
        case "reasoning":
            return _reasoning_events(index, item, turn)
        case _:
            return _call_events(index, item, turn)


def _message_events(index: int, item: Json, turn: Turn) -> list[SseEvent]:
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    return [
        _added(index, item, content=[]),
        _event("response.content_part.added", **place, part=part),
        *(
            _event("response.output_text.delta", **place, delta=chunk)
            for chunk in split(turn.text, turn.chunks)
        ),
        _event("response.output_text.done", **place, text=turn.text),
        _event("response.content_part.done", **place, part=item["content"][0]),
    ]


def _reasoning_events(index: int, item: Json, turn: Turn) -> list[SseEvent]:
    place = {"item_id": item["id"], "output_index": index, "summary_index": 0}
    part = {"type": "summary_text", "text": ""}
    return [
        _event("response.output_item.added", output_index=index, item={**item, "summary": []}),
        _event("response.reasoning_summary_part.added", **place, part=part),
        *(
            _event("response.reasoning_summary_text.delta", **place, delta=chunk)
            for chunk in split(turn.thinking, 2)
        ),
        _event("response.reasoning_summary_text.done", **place, text=turn.thinking),
    ]


def _call_events(index: int, item: Json, turn: Turn) -> list[SseEvent]:
    custom = item["type"] == "custom_tool_call"
    key = "input" if custom else "arguments"
    name = f"response.{'custom_tool_call_input' if custom else 'function_call_arguments'}"
    place = {"item_id": item["id"], "output_index": index}
    return [
        _added(index, item, **{key: ""}),
        *(_event(f"{name}.delta", **place, delta=c) for c in split(item[key], turn.chunks)),
        _event(f"{name}.done", **place, **{key: item[key]}),
    ]


def _added(index: int, item: Json, **emptied: Any) -> SseEvent:
    started = {**item, "status": "in_progress", **emptied}
    return _event("response.output_item.added", output_index=index, item=started)


def _response(body: Json, items: list[Json], tokens: Tokens) -> Json:
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "model": body.get("model"),
        "output": items,
        "usage": {
            "input_tokens": tokens.input,
            "input_tokens_details": {"cached_tokens": tokens.cached},
            "output_tokens": tokens.output,
            "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
            "total_tokens": tokens.input + tokens.output,
        },
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
    }


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:16]}"


def _event(name: str, **fields: Any) -> SseEvent:
    return name, {"type": name, **fields}
