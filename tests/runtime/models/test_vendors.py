"""Vendors' models against the scripted vendor: what goes over the wire, and what can go wrong."""

import asyncio
import json
import logging
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from tests.patience import PATIENCE
from tests.peers.dialects.anthropic import sealed
from tests.peers.fakellm import FakeVendor

from longhouse.protocol.events import Attached, Delta, Outcome, Text, Thinking, ToolCall, Usage
from longhouse.runtime.attachments import MEDIA_TYPES, PICTURES, Attachment, blobs_of
from longhouse.runtime.model import (
    AssistantMessage,
    FilesRefused,
    Message,
    ModelError,
    ModelRefused,
    ModelRequest,
    ModelResponse,
    ModelUnavailable,
    ToolMessage,
    UserMessage,
)
from longhouse.runtime.models.demo import DemoModel
from longhouse.runtime.models.endpoint import Endpoint, WireProtocol
from longhouse.runtime.models.environment import Access, EnvironmentModels, ModelEnvironment
from longhouse.runtime.models.vendor_errors import explain
from longhouse.runtime.models.vendors import VendorModel
from longhouse.runtime.tools.base import Tool, tool

KEY = "sk-secret-0123456789"
PROTOCOLS = list(WireProtocol)


@tool(reads_only=True)
async def fs_read(path: str, limit: int = 10) -> str:
    """Read a file."""
    return path


@tool
async def bash_run(command: str) -> str:
    """Run a command."""
    return command


TOOLS: tuple[Tool, ...] = (fs_read, bash_run)


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> WireProtocol:
    found: WireProtocol = request.param
    return found


def endpoint(vendor: FakeVendor, protocol: WireProtocol, **changes: Any) -> Endpoint:
    url = vendor.openai_url if protocol is WireProtocol.OPENAI else vendor.url
    values: dict[str, Any] = {
        "protocol": protocol,
        "base_url": url,
        "api_key": KEY,
        "model": "fake-1",
        "key_setting": "SOME_API_KEY",
        "base_url_setting": "SOME_BASE_URL",
        "model_setting": "SOME_MODEL",
    }
    return Endpoint(**{**values, **changes})


@asynccontextmanager
async def opened(
    vendor: FakeVendor, protocol: WireProtocol, **changes: Any
) -> AsyncIterator[VendorModel]:
    model = VendorModel(endpoint(vendor, protocol, **changes))
    try:
        yield model
    finally:
        await model.aclose()


def script(*steps: Any) -> UserMessage:
    return UserMessage("Please. FAKE:" + json.dumps(steps))


def request(*messages: Message, step: int = 3, attached: Sequence[Attachment] = ()) -> ModelRequest:
    return ModelRequest(
        step=step,
        system="Be brief.",
        messages=messages,
        tools=TOOLS,
        output_tokens=1000,
        files=blobs_of(attached),
    )


PICTURE = Attachment(b"\x89PNG\r\n\x1a\n of a house", "house.png")
DOCUMENT = Attachment(b"%PDF-1.7 a letter", "letter.pdf")


def base64(attachment: Attachment) -> str:
    return b64encode(attachment.data).decode()


async def answer(model: VendorModel, asked: ModelRequest) -> ModelResponse:
    last = [item async for item in model.stream(asked)][-1]
    assert isinstance(last, ModelResponse)
    return last


async def failure(model: VendorModel, asked: ModelRequest) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await answer(model, asked)
    return caught.value


class TestWhatGoesOut:
    async def test_tools_go_out_with_their_schemas_unchanged(self, protocol: WireProtocol) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            await answer(model, request(script({"say": "hi"})))

        sent = vendor.requests[0].body["tools"]
        if protocol is WireProtocol.OPENAI:
            sent = [
                {"name": t["function"]["name"], "schema": t["function"]["parameters"]} for t in sent
            ]
        else:
            sent = [{"name": t["name"], "schema": t["input_schema"]} for t in sent]
        assert sent == [{"name": t.name, "schema": t.schema} for t in TOOLS]

    async def test_system_prompt_and_output_limit_go_out(self, protocol: WireProtocol) -> None:
        async with (
            FakeVendor() as vendor,
            opened(vendor, protocol, max_output_tokens=500) as model,
        ):
            await answer(model, request(script({"say": "hi"})))

        body = vendor.requests[0].body
        assert body["max_tokens"] == 500
        assert "Be brief." in json.dumps(body.get("system", body["messages"][0]))

    async def test_the_key_goes_out_as_the_vendor_wants_it(self, protocol: WireProtocol) -> None:
        async with FakeVendor(key=KEY) as vendor, opened(vendor, protocol) as model:
            await answer(model, request(script({"say": "hi"})))

        assert vendor.requests[0].key == KEY

    async def test_a_local_server_needs_no_key(self, protocol: WireProtocol) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol, api_key="") as model:
            response = await answer(model, request(script({"say": "hi"})))

        assert response.blocks == (Text(step=3, text="hi"),)

    async def test_results_go_back_with_their_calls_in_order(self, protocol: WireProtocol) -> None:
        asked = script(
            [{"tool": ["fs_read", {"path": "a"}]}, {"tool": ["bash_run", {"command": "b"}]}]
        )
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            first = await answer(model, request(asked))
            calls = [block for block in first.blocks if isinstance(block, ToolCall)]
            results = [
                ToolMessage(calls[0].call_id, "fs_read", "contents", Outcome.OK),
                ToolMessage(calls[1].call_id, "bash_run", "not allowed", Outcome.DENIED),
            ]

            second = await answer(model, request(asked, AssistantMessage(first.blocks), *results))

        assert second.blocks == (Text(step=3, text="DONE"),)
        messages = vendor.requests[1].body["messages"]
        if protocol is WireProtocol.OPENAI:
            sent = [(m["tool_call_id"], m["content"]) for m in messages if m["role"] == "tool"]
            assert sent == [
                (calls[0].call_id, "contents"),
                (calls[1].call_id, '{"error":"not allowed"}'),
            ]
        else:
            sent = [(r["tool_use_id"], r["is_error"]) for r in messages[-1]["content"]]
            assert sent == [(calls[0].call_id, False), (calls[1].call_id, True)]

    async def test_thinking_goes_back_unchanged_to_who_signed_it(
        self, protocol: WireProtocol
    ) -> None:
        asked = script([{"think": "Let me see."}, {"tool": ["fs_read", {"path": "a"}]}])
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            first = await answer(model, request(asked))
            thought, called = first.blocks
            assert isinstance(thought, Thinking)
            assert isinstance(called, ToolCall)
            result = ToolMessage(called.call_id, "fs_read", "x", Outcome.OK)

            await answer(model, request(asked, AssistantMessage(first.blocks), result))

        sent = next(m for m in vendor.requests[1].body["messages"] if m["role"] == "assistant")
        if protocol is WireProtocol.OPENAI:
            assert sent["reasoning_content"] == "Let me see."
        else:
            assert sent["content"][0] == {
                "type": "thinking",
                "thinking": "Let me see.",
                "signature": sealed("Let me see."),
            }

    async def test_thinking_that_nobody_may_read_goes_back_sealed(self) -> None:
        asked = script([{"redact": "A secret."}, {"tool": ["fs_read", {"path": "a"}]}])
        async with FakeVendor() as vendor, opened(vendor, WireProtocol.ANTHROPIC) as model:
            first = await answer(model, request(asked))
            thought, called = first.blocks
            assert isinstance(thought, Thinking)
            assert isinstance(called, ToolCall)
            result = ToolMessage(called.call_id, "fs_read", "x", Outcome.OK)

            await answer(model, request(asked, AssistantMessage(first.blocks), result))

        assert thought.text == ""
        sent = next(m for m in vendor.requests[1].body["messages"] if m["role"] == "assistant")
        assert sent["content"][0] == {"type": "redacted_thinking", "data": sealed("A secret.")}

    async def test_another_vendors_thinking_is_left_out(self, protocol: WireProtocol) -> None:
        foreign = Thinking(step=1, text="SECRET THOUGHT", details={"other": {"signature": "x"}})
        said = AssistantMessage((foreign, Text(step=1, text="Hello.")))
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            await answer(model, request(UserMessage("hi"), said, UserMessage("and now?")))

        sent = json.dumps(vendor.requests[0].body)
        assert "Hello." in sent
        assert "SECRET THOUGHT" not in sent

    async def test_malformed_arguments_go_back_as_an_object(self, protocol: WireProtocol) -> None:
        asked = script({"raw": ["fs_read", '{"path": ']})
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            first = await answer(model, request(asked))
            (called,) = first.blocks
            assert isinstance(called, ToolCall)
            result = ToolMessage(called.call_id, "fs_read", "not JSON", Outcome.INVALID)

            await answer(model, request(asked, AssistantMessage(first.blocks), result))

        assert "INVALID_JSON" in json.dumps(vendor.requests[1].body)

    async def test_a_call_id_that_was_used_before_is_replaced(self, protocol: WireProtocol) -> None:
        asked = script({"say": "-"}, {"tool": ["fs_read", {"path": "a"}], "id": "call_0"})
        before = ToolCall(step=1, call_id="call_0", name="fs_read", arguments={"path": "a"})
        result = ToolMessage("call_0", "fs_read", "x", Outcome.OK)
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            items = [
                item
                async for item in model.stream(request(asked, AssistantMessage((before,)), result))
            ]

        *deltas, response = items
        assert isinstance(response, ModelResponse)
        (repeated,) = response.blocks
        assert isinstance(repeated, ToolCall)
        assert repeated.call_id not in ("", "call_0")
        assert {d.call_id for d in deltas if isinstance(d, Delta)} == {repeated.call_id}


def sees(*attachments: Attachment) -> tuple[Attached, ...]:
    return tuple(one.attached for one in attachments)


class TestWhatIsAttached:
    async def test_a_picture_and_a_document_go_out_with_the_words(
        self, protocol: WireProtocol
    ) -> None:
        asked = UserMessage("What is this?", sees(PICTURE, DOCUMENT))
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            await answer(model, request(asked, attached=[PICTURE, DOCUMENT]))

        said, picture, document = vendor.requests[0].body["messages"][-1]["content"]
        assert said == {"type": "text", "text": "What is this?"}
        if protocol is WireProtocol.OPENAI:
            assert picture["image_url"]["url"] == f"data:image/png;base64,{base64(PICTURE)}"
            data = f"data:application/pdf;base64,{base64(DOCUMENT)}"
            assert document["file"]["file_data"] == data
        else:
            assert picture["source"] == {
                "type": "base64",
                "media_type": "image/png",
                "data": base64(PICTURE),
            }
            assert document["type"] == "document"
            assert document["source"]["data"] == base64(DOCUMENT)

    async def test_a_picture_may_come_without_a_word(self, protocol: WireProtocol) -> None:
        asked = UserMessage("", sees(PICTURE))
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            await answer(model, request(asked, attached=[PICTURE]))

        (picture,) = vendor.requests[0].body["messages"][-1]["content"]
        assert base64(PICTURE) in json.dumps(picture)

    async def test_what_a_tool_shows_follows_its_result(self, protocol: WireProtocol) -> None:
        asked = script({"tool": ["fs_read", {"path": "a.png"}]})
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            first = await answer(model, request(asked))
            (called,) = first.blocks
            assert isinstance(called, ToolCall)
            result = ToolMessage(called.call_id, "fs_read", "a.png", Outcome.OK, sees(PICTURE))
            messages = (asked, AssistantMessage(first.blocks), result)

            await answer(model, request(*messages, attached=[PICTURE]))

        sent = vendor.requests[1].body["messages"]
        if protocol is WireProtocol.OPENAI:  # its results are words: the picture comes after them
            assert [m["role"] for m in sent[-2:]] == ["tool", "user"]
            assert base64(PICTURE) in json.dumps(sent[-1])
        else:
            (returned,) = sent[-1]["content"]
            assert returned["type"] == "tool_result"
            assert [part["type"] for part in returned["content"]] == ["text", "image"]
            assert base64(PICTURE) in json.dumps(returned)

    @pytest.mark.parametrize("status", [400, 404, 413, 415, 422])
    async def test_a_refusal_may_be_because_of_what_is_attached(
        self, protocol: WireProtocol, status: int
    ) -> None:
        step = {"error": status, "times": 2}
        asked = script(step)
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            alone = await failure(model, request(asked))
            with_picture = UserMessage(asked.text, sees(PICTURE))
            shown = await failure(model, request(with_picture, attached=[PICTURE]))

        assert not isinstance(alone, FilesRefused)
        assert isinstance(shown, FilesRefused)
        assert shown.detail == alone.detail

    async def test_a_refused_key_is_nothing_that_a_picture_could_cause(
        self, protocol: WireProtocol
    ) -> None:
        async with FakeVendor(key="other") as vendor, opened(vendor, protocol) as model:
            asked = request(UserMessage("hi", sees(PICTURE)), attached=[PICTURE])
            error = await failure(model, asked)

        assert not isinstance(error, FilesRefused)

    def test_a_server_of_ones_own_is_shown_pictures_and_a_model_without_eyes_nothing(self) -> None:
        def media_types(name: str, **access: str) -> Set[str]:
            provider = name.partition(":")[0]
            environment = ModelEnvironment(
                access={provider: Access(**{"api_key": "k", **access})}, model=name
            )
            return EnvironmentModels(environment).model("auto").media_types

        assert media_types("anthropic:claude-sonnet-5-5") == MEDIA_TYPES
        assert media_types("openai:gpt-4.1") == MEDIA_TYPES
        assert media_types("openai:llava", base_url="http://localhost:11434/v1") == PICTURES
        assert media_types("groq:openai/gpt-oss-120b") == frozenset()
        assert DemoModel().media_types == frozenset()


class TestWhatComesBack:
    async def test_tokens_are_counted_as_the_vendor_counts_them(
        self, protocol: WireProtocol
    ) -> None:
        step = [{"say": "Hello, and good day."}, {"usage": {"cached": 5, "reasoning": 3}}]
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            usage = (await answer(model, request(script(step)))).usage

        size = len(json.dumps(vendor.requests[0].body)) // 4
        reasoning = 3 if protocol is WireProtocol.OPENAI else 0  # the other one counts it as output
        assert usage == Usage(input=size, output=5, cached=5, reasoning=reasoning)

    async def test_the_model_is_named_as_the_vendor_names_it(self, protocol: WireProtocol) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            response = await answer(model, request(script({"say": "hi"})))

        assert response.model == model.name == "fake-1"


class TestWhatCanGoWrong:
    async def test_a_refused_key_names_its_setting(self, protocol: WireProtocol) -> None:
        async with FakeVendor(key="other") as vendor, opened(vendor, protocol) as model:
            error = await failure(model, request(UserMessage("hi")))

        assert isinstance(error, ModelRefused)
        assert vendor.url in error.detail
        assert "refused" in error.detail
        assert error.hint == "Check SOME_API_KEY (the environment)."

    async def test_a_missing_key_is_asked_for(self, protocol: WireProtocol) -> None:
        async with FakeVendor(key="x") as vendor, opened(vendor, protocol, api_key="") as model:
            error = await failure(model, request(UserMessage("hi")))

        assert isinstance(error, ModelRefused)
        assert "wants a key" in error.detail
        assert "SOME_API_KEY" in str(error)

    async def test_an_unknown_model_is_named(self, protocol: WireProtocol) -> None:
        async with FakeVendor(models=["fake-2"]) as vendor, opened(vendor, protocol) as model:
            error = await failure(model, request(UserMessage("hi")))

        assert isinstance(error, ModelRefused)
        assert "no model 'fake-1'" in error.detail
        assert "SOME_MODEL" in str(error)

    async def test_a_base_url_without_its_version_is_told_the_right_one(self) -> None:
        async with (
            FakeVendor() as vendor,
            opened(vendor, WireProtocol.OPENAI, base_url=vendor.url) as model,
        ):
            error = await failure(model, request(UserMessage("hi")))

        assert isinstance(error, ModelRefused)
        assert "lacks /v1" in error.detail
        assert error.hint == f"Set SOME_BASE_URL (the environment) to {vendor.url}/v1."

    async def test_a_wrong_path_is_told_what_was_asked_for(self, protocol: WireProtocol) -> None:
        async with FakeVendor() as vendor:
            base_url = f"{vendor.url}/v7/nowhere"
            async with opened(vendor, protocol, base_url=base_url) as model:
                error = await failure(model, request(UserMessage("hi")))

        assert isinstance(error, ModelRefused)
        assert base_url in error.detail
        assert "SOME_BASE_URL" in str(error)

    @pytest.mark.parametrize("status", [200, 404])
    async def test_a_web_page_is_no_answer(self, protocol: WireProtocol, status: int) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            error = await failure(model, request(script({"html": status})))

        assert isinstance(error, ModelRefused)
        assert "a web page" in error.detail
        assert "SOME_BASE_URL" in str(error)

    async def test_too_many_requests_say_how_long_to_wait(self, protocol: WireProtocol) -> None:
        step = {"error": 429, "headers": {"retry-after": "7"}}
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            error = await failure(model, request(script(step)))

        assert isinstance(error, ModelUnavailable)
        assert error.retry_after == 7
        assert len(vendor.requests) == 1

    async def test_the_wait_may_be_a_date(self, protocol: WireProtocol) -> None:
        when = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
        step = {"error": 503, "headers": {"retry-after": when}}
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            error = await failure(model, request(script(step)))

        assert isinstance(error, ModelUnavailable)
        assert error.retry_after is not None
        assert 3500 < error.retry_after <= 3600

    @pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 529])
    async def test_a_passing_failure_may_be_tried_again(
        self, protocol: WireProtocol, status: int
    ) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            error = await failure(model, request(script({"error": status})))

        assert isinstance(error, ModelUnavailable)
        assert str(status) in error.detail
        assert len(vendor.requests) == 1

    @pytest.mark.parametrize("status", [400, 402, 403, 413, 422])
    async def test_a_lasting_failure_is_not_tried_again(
        self, protocol: WireProtocol, status: int
    ) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            error = await failure(model, request(script({"error": status})))

        assert isinstance(error, ModelRefused)
        assert error.hint

    @pytest.mark.parametrize(
        ("protocol", "step"),
        [
            (WireProtocol.OPENAI, {"error": 429, "kind": "insufficient_quota"}),
            (WireProtocol.ANTHROPIC, {"error": 400, "message": "Your credit balance is too low"}),
        ],
    )
    async def test_an_exhausted_account_is_not_tried_again(
        self, protocol: WireProtocol, step: dict[str, Any]
    ) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            error = await failure(model, request(script(step)))

        assert isinstance(error, ModelRefused)
        assert "no quota left" in error.detail

    @pytest.mark.parametrize(
        ("protocol", "step"),
        [
            (WireProtocol.OPENAI, {"error": 400, "kind": "context_length_exceeded"}),
            (WireProtocol.ANTHROPIC, {"error": 400, "message": "prompt is too long: 9 tokens"}),
        ],
    )
    async def test_a_conversation_that_is_too_long_is_said_to_be(
        self, protocol: WireProtocol, step: dict[str, Any]
    ) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            error = await failure(model, request(script(step)))

        assert isinstance(error, ModelRefused)
        assert "too long" in error.detail
        assert "SOME_MODEL" in str(error)

    async def test_the_vendors_words_are_quoted(self, protocol: WireProtocol) -> None:
        step = {"error": 400, "message": "tools.3.name: may not be empty"}
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            error = await failure(model, request(script(step)))

        assert "tools.3.name: may not be empty" in error.detail

    async def test_a_certificate_that_is_not_valid_is_not_tried_again(
        self, protocol: WireProtocol
    ) -> None:
        invalid = ssl.SSLCertVerificationError(1, "certificate verify failed")
        invalid.verify_message = "self-signed certificate"
        error = ConnectionError("all is lost")
        error.__cause__ = invalid
        async with FakeVendor() as vendor:
            found = explain(error, endpoint(vendor, protocol))

        assert isinstance(found, ModelRefused)
        assert "self-signed certificate" in found.detail
        assert "SSL_CERT_FILE" in str(found)

    async def test_a_redirect_is_not_followed(self, protocol: WireProtocol) -> None:
        step = {"error": 307, "headers": {"location": "http://elsewhere.invalid/"}}
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            error = await failure(model, request(script(step)))

        assert isinstance(error, ModelRefused)
        assert "final address" in str(error)

    @pytest.mark.parametrize("step", [{"say": "long", "cut": 3}, {"say": "long", "stop_short": 3}])
    async def test_a_stream_that_ends_too_soon_may_be_tried_again(
        self, protocol: WireProtocol, step: dict[str, Any]
    ) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            error = await failure(model, request(script(step)))

        assert isinstance(error, ModelUnavailable)
        assert "before it was complete" in error.detail

    @pytest.mark.parametrize("step", [{"cut": 0}, {"stop_short": 0}])
    async def test_an_answer_without_a_beginning_may_be_tried_again(
        self, protocol: WireProtocol, step: dict[str, Any]
    ) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            error = await failure(model, request(script(step)))

        assert isinstance(error, ModelUnavailable)

    async def test_a_closed_port_may_be_tried_again(self, protocol: WireProtocol) -> None:
        async with FakeVendor() as vendor:
            pass
        async with opened(vendor, protocol) as model:
            error = await failure(model, request(UserMessage("hi")))

        assert isinstance(error, ModelUnavailable)
        assert "cannot be reached" in error.detail
        assert "SOME_BASE_URL" in str(error)

    async def test_silence_ends_after_the_idle_time(self, protocol: WireProtocol) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol, idle_seconds=0.05) as model:
            error = await failure(model, request(script({"hang": True})))

        assert isinstance(error, ModelUnavailable)
        assert "sent nothing for 0.05 s" in error.detail

    async def test_silence_in_mid_answer_ends_too(self, protocol: WireProtocol) -> None:
        step = {"say": "long", "hang_after": 3}
        async with FakeVendor() as vendor, opened(vendor, protocol, idle_seconds=0.05) as model:
            error = await failure(model, request(script(step)))

        assert isinstance(error, ModelUnavailable)
        assert "sent nothing" in error.detail

    @pytest.mark.parametrize(
        "base_url", ["", "localhost:11434", "ftp://x/", "https://", "https://me:pw@host/v1"]
    )
    def test_what_is_no_base_url_is_refused_at_once(self, base_url: str) -> None:
        with pytest.raises(ModelRefused, match="SOME_BASE_URL") as caught:
            Endpoint(
                protocol=WireProtocol.OPENAI,
                base_url=base_url,
                api_key=KEY,
                model="m",
                base_url_setting="SOME_BASE_URL",
            )

        assert "pw" not in str(caught.value)

    @pytest.mark.parametrize("key", ["sk-sec\nret", "sk-sécret", "sk sec"])
    def test_what_is_no_key_is_refused_without_showing_it(self, key: str) -> None:
        with pytest.raises(ModelRefused, match="SOME_API_KEY") as caught:
            Endpoint(
                protocol=WireProtocol.OPENAI,
                base_url="https://host/v1",
                api_key=key,
                model="m",
                key_setting="SOME_API_KEY",
            )

        assert key not in str(caught.value)

    def test_a_version_that_the_protocol_adds_itself_is_dropped(self) -> None:
        made = Endpoint(
            protocol=WireProtocol.ANTHROPIC, base_url="https://host/v1/", api_key=KEY, model="m"
        )

        assert made.base_url == "https://host"


class TestSecrets:
    async def test_the_key_is_in_no_error_representation_or_log(
        self, protocol: WireProtocol, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        async with (
            FakeVendor(key="other", echo_key=True) as vendor,
            opened(vendor, protocol) as model,
        ):
            error = await failure(model, request(UserMessage("hi")))

            assert vendor.requests[0].key == KEY
            assert "***" in error.detail
            for text in (str(error), repr(error), repr(error.problem()), repr(model)):
                assert KEY not in text
            assert error.__cause__ is None
            assert error.__context__ is None
            assert KEY not in caplog.text
            assert all(KEY not in repr(vars(record)) for record in caplog.records)


class TestClosing:
    @pytest.mark.parametrize("step", [{"say": "long answer", "hang_after": 4}])
    async def test_closing_the_stream_closes_the_connection_at_once(
        self, protocol: WireProtocol, step: dict[str, Any]
    ) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            async with aclosing(model.stream(request(script(step)))) as items:
                async for item in items:
                    if isinstance(item, Delta):
                        break

            await asyncio.wait_for(vendor.requests[0].disconnected.wait(), PATIENCE)

    @pytest.mark.parametrize("step", [{"hang": True}, {"say": "long answer", "hang_after": 4}])
    async def test_cancelling_a_call_closes_the_connection_at_once(
        self, protocol: WireProtocol, step: dict[str, Any]
    ) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            task = asyncio.create_task(answer(model, request(script(step))))
            exchange = await asyncio.wait_for(vendor.wait_for_requests(1), PATIENCE)

            task.cancel()

            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(exchange.disconnected.wait(), PATIENCE)

    async def test_a_closed_model_opens_again_when_it_is_called(
        self, protocol: WireProtocol
    ) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            await answer(model, request(script({"say": "one"})))
            await model.aclose()

            response = await answer(model, request(script({"say": "two"})))

        assert response.blocks == (Text(step=3, text="two"),)

    async def test_calls_share_a_connection(self, protocol: WireProtocol) -> None:
        async with FakeVendor() as vendor, opened(vendor, protocol) as model:
            for _ in range(3):
                await answer(model, request(script({"say": "one"})))

        assert vendor.connections == 1
