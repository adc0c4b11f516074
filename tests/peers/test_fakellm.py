"""The scripted vendor itself: each dialect, mapping of steps, strictness, seeing a client leave."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.peers.fakellm import FakeVendor


@pytest.fixture
async def vendor() -> AsyncIterator[FakeVendor]:
    async with FakeVendor() as made:
        yield made


async def post(vendor: FakeVendor, path: str, body: dict[str, Any]) -> tuple[int, str]:
    """Status and body of one POST on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(vendor.url.rsplit(":", 1)[1]))
    raw = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {len(raw)}\r\n\r\n"
    writer.write(head.encode() + raw)
    answer = (await asyncio.wait_for(reader.read(), 5)).decode()
    writer.close()
    head, _, rest = answer.partition("\r\n\r\n")
    return int(head.split(" ")[1]), rest


def function(name: str, *properties: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in properties}}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


HELLO = 'FAKE:[{"say": "hello", "chunks": 3}]'

TOOLS = [function("bash_run", "command"), function("fs_read", "path"), function("fs_write", "path")]


def chat(prompt: str, *, stream: bool = False, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}]
    return {"model": "m", "messages": messages, "tools": TOOLS, "stream": stream, **more}


async def test_abstract_steps_become_calls_of_the_offered_tools(vendor: FakeVendor) -> None:
    prompt = 'FAKE:[[{"bash": "ls"}, {"read": "a.py"}, {"write": ["b.py", "x"]}]]'

    status, body = await post(vendor, "/v1/chat/completions", chat(prompt))

    calls = json.loads(body)["choices"][0]["message"]["tool_calls"]
    assert status == 200
    assert [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls] == [
        ("bash_run", {"command": "ls"}),
        ("fs_read", {"path": "a.py"}),
        ("fs_write", {"path": "b.py", "content": "x"}),
    ]


async def test_the_next_step_is_chosen_from_the_conversation_alone(vendor: FakeVendor) -> None:
    body = chat('FAKE:[{"say": "one"}, {"say": "two"}]')
    body["messages"].append({"role": "assistant", "content": "one"})

    _, answer = await post(vendor, "/v1/chat/completions", body)

    assert json.loads(answer)["choices"][0]["message"]["content"] == "two"


async def test_a_request_without_tools_gets_a_plain_answer(vendor: FakeVendor) -> None:
    _, answer = await post(vendor, "/v1/chat/completions", chat('FAKE:[{"say": "x"}]', tools=[]))

    assert json.loads(answer)["choices"][0]["message"]["content"] == "ok"


@pytest.mark.parametrize(
    ("path", "body", "part"),
    [
        (
            "/v1/chat/completions",
            chat(HELLO, stream=True),
            '"content": "he"',
        ),
        (
            "/v1/messages",
            {
                "model": "m",
                "stream": True,
                "tools": [{"name": "t", "input_schema": {}}],
                "messages": [{"role": "user", "content": HELLO}],
            },
            '"text_delta"',
        ),
        (
            "/v1/responses",
            {
                "model": "m",
                "stream": True,
                "tools": [{"type": "function", "name": "t", "parameters": {}}],
                "input": HELLO,
            },
            "response.output_text.delta",
        ),
        (
            "/v1beta/models/m:streamGenerateContent",
            {
                "contents": [{"role": "user", "parts": [{"text": HELLO}]}],
                "tools": [{"functionDeclarations": [{"name": "t", "parameters": {}}]}],
            },
            '"text": "he"',
        ),
    ],
)
async def test_every_dialect_streams(
    vendor: FakeVendor, path: str, body: dict[str, Any], part: str
) -> None:
    status, answer = await post(vendor, path, body)

    assert status == 200
    assert part in answer


@pytest.mark.parametrize("path", ["/chat/completions", "/messages", "/v1", "/"])
async def test_a_path_without_its_version_is_not_found(vendor: FakeVendor, path: str) -> None:
    assert (await post(vendor, path, chat("hi")))[0] == 404


async def test_a_wrong_key_and_an_unknown_model_are_refused() -> None:
    async with FakeVendor(key="right") as vendor:
        assert (await post(vendor, "/v1/chat/completions", chat("hi")))[0] == 401
    async with FakeVendor(models=["other"]) as vendor:
        assert (await post(vendor, "/v1/chat/completions", chat("hi")))[0] == 404


async def test_an_error_step_fails_so_many_times_and_then_recovers(vendor: FakeVendor) -> None:
    body = chat('FAKE:[{"error": 429, "headers": {"retry-after": "3"}, "times": 2}]')

    answers = [await post(vendor, "/v1/chat/completions", body) for _ in range(3)]

    assert [status for status, _ in answers] == [429, 429, 200]


async def test_a_malformed_request_is_told_so(vendor: FakeVendor) -> None:
    status, body = await post(vendor, "/v1/chat/completions", {"model": "m"})

    assert status == 400
    assert "malformed request" in body


async def test_a_client_that_leaves_is_seen_to_leave(vendor: FakeVendor) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(vendor.url.rsplit(":", 1)[1]))
    raw = json.dumps(chat('FAKE:[{"hang": true}]')).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {len(raw)}\r\n\r\n"
    writer.write(head.encode() + raw)
    exchange = await asyncio.wait_for(vendor.wait_for_requests(1), 5)

    writer.close()

    await asyncio.wait_for(exchange.disconnected.wait(), 5)


async def test_requests_are_kept_with_their_key(vendor: FakeVendor) -> None:
    await post(vendor, "/v1/chat/completions", chat("hi"))

    assert vendor.requests[0].path == "/v1/chat/completions"
    assert vendor.requests[0].body["model"] == "m"
    assert vendor.requests[0].key == ""
