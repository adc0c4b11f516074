"""Pictures and documents: what can be attached, what a model is shown, and that nothing is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest

from longhouse.kit.errors import InvalidInput
from longhouse.protocol.events import (
    Attached,
    ErrorRaised,
    Event,
    Outcome,
    Severity,
    ToolEnd,
    Usage,
)
from longhouse.runtime import sight
from longhouse.runtime.agent import Agent
from longhouse.runtime.attachments import (
    MEDIA_TYPES,
    MOST_OF_A_MESSAGE,
    PICTURES,
    Attachment,
    AttachmentTooLarge,
    NotAttachable,
    check_sizes,
    media_type_of,
    shown_again,
)
from longhouse.runtime.hooks import BeforeTool, Hook, Supply, ToolUse
from longhouse.runtime.journals.sqlite import SQLiteJournal
from longhouse.runtime.model import FilesRefused, ModelRequest, ToolMessage, UserMessage
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import ScriptedModel, call, say
from longhouse.runtime.posts import DEFAULT_TOOLS, Limits, Mode, Permissions, Post
from longhouse.runtime.runtime import Runtime
from longhouse.runtime.sandbox.refuse import Refuse
from longhouse.runtime.tools.base import ToolResult, tool

PNG = b"\x89PNG\r\n\x1a\n"
PICTURE = Attachment(PNG + b" of a house", "house.png")
OTHER = Attachment(PNG + b" of a boat", "boat.png")
LETTER = Attachment(b"%PDF-1.7 a letter", "letter.pdf")
NO_SANDBOX = Refuse("these tests run no commands", hint="")


class Place:
    """A folder in which runtimes can be started, stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        self._stack = AsyncExitStack()

    async def agent(
        self,
        model: ScriptedModel,
        *,
        tools: Any = (),
        hooks: tuple[Hook, ...] = (),
        limits: Limits | None = None,
        **settings: Any,
    ) -> Agent:
        async def workspace(agent_id: str, metadata: Any) -> Path:
            return self.workspace

        post = Post(
            name="worker",
            tools=(*DEFAULT_TOOLS, *(tool.name for tool in tools)),
            permissions=Permissions(mode=Mode.AUTO),
            limits=limits or Limits(),
        )
        runtime = Runtime(
            journal=SQLiteJournal(self.folder / "agents.db"),
            models=FixedModels(model),
            posts=[post],
            tools=tools,
            hooks=hooks,
            sandbox=NO_SANDBOX,
            workspaces=workspace,
            outputs=self.folder / "outputs",
            **settings,
        )
        self.runtime = await self._stack.enter_async_context(runtime)
        return await runtime.agent("a", post="worker")

    async def stop(self) -> None:
        await self._stack.aclose()
        self._stack = AsyncExitStack()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    yield made
    await made.stop()


def sees(*steps: Any, media_types: frozenset[str] = MEDIA_TYPES, **how: Any) -> ScriptedModel:
    return ScriptedModel(list(steps), record=True, media_types=media_types, **how)


def told(request: ModelRequest, place: int = -1) -> str:
    message = request.messages[place]
    assert isinstance(message, UserMessage | ToolMessage)
    return message.text if isinstance(message, UserMessage) else message.content


async def events_of(agent: Agent, *types: str) -> list[Any]:
    """The bodies so far, of these types."""
    last = (await agent.status()).seq
    found: list[Any] = []
    async with asyncio.timeout(30), aclosing(agent.subscribe()) as events:
        async for event in events:
            assert isinstance(event, Event)
            found += [event.body] if event.type in types else []
            if event.seq >= last:
                break
    return found


class TestWhatCanBeAttached:
    @pytest.mark.parametrize(
        ("data", "media_type"),
        [
            (PNG + b"...", "image/png"),
            (b"\xff\xd8\xff\xe0 JFIF", "image/jpeg"),
            (b"GIF89a ...", "image/gif"),
            (b"GIF87a ...", "image/gif"),
            (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
            (b"%PDF-1.4\n", "application/pdf"),
            (b"RIFF\x10\x00\x00\x00WAVEfmt ", None),
            (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", None),
            (b"<html>", None),
            (b"", None),
        ],
    )
    def test_the_bytes_say_what_it_is(self, data: bytes, media_type: str | None) -> None:
        assert media_type_of(data) == media_type

    def test_what_it_is_said_to_be_has_to_be_true(self) -> None:
        assert Attachment(PICTURE.data, media_type="image/PNG; charset=x").media_type == "image/png"
        assert Attachment(b"\xff\xd8\xff", media_type="image/jpg").media_type == "image/jpeg"
        with pytest.raises(NotAttachable, match="is not image/gif, but image/png"):
            Attachment(PICTURE.data, "a.gif", "image/gif")
        with pytest.raises(NotAttachable, match="not a picture or a PDF") as refused:
            Attachment(b"hello", "notes.txt")
        assert refused.value.hint is not None
        assert "PNG, JPEG, GIF, WebP or PDF" in refused.value.hint

    def test_a_name_is_never_a_path(self) -> None:
        assert Attachment(PICTURE.data, "../../etc/a.png").name == "a.png"
        assert Attachment(PICTURE.data, "C:\\pictures\\a.png").name == "a.png"
        assert len(Attachment(PICTURE.data, "x" * 900 + ".png").name) == 255
        with pytest.raises(NotAttachable):
            Attachment(PICTURE.data, "a\nb.png")

    def test_a_file_is_attached_by_its_name(self, tmp_path: Path) -> None:
        (tmp_path / "house.png").write_bytes(PICTURE.data)

        assert Attachment.of_file(tmp_path / "house.png") == Attachment(PICTURE.data, "house.png")

    def test_what_is_too_large_or_too_many_is_refused_with_the_limit(self) -> None:
        check_sizes([PICTURE] * MOST_OF_A_MESSAGE, most_bytes=len(PICTURE.data))
        with pytest.raises(AttachmentTooLarge, match=f"has {len(PICTURE.data)} bytes") as refused:
            check_sizes([PICTURE], most_bytes=len(PICTURE.data) - 1)
        assert "LONGHOUSE_MAX_ATTACHMENT_BYTES" in str(refused.value)
        with pytest.raises(AttachmentTooLarge, match=str(MOST_OF_A_MESSAGE + 1)):
            check_sizes([PICTURE] * (MOST_OF_A_MESSAGE + 1), most_bytes=1000)


def attached(name: str, *, size: int = 10, media_type: str = "image/png") -> Attached:
    return Attached(digest=name * 12, media_type=media_type, size=size, name=name)


class TestWhatAModelIsShown:
    def test_the_newest_that_fit_into_one_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sight, "MOST_SHOWN", 3)
        messages = [UserMessage(name, (attached(name),)) for name in "abcde"]

        reasons = sight.left_out(messages, media_types=PICTURES, refused=frozenset())

        assert set(reasons) == {"a" * 12, "b" * 12}
        assert "fs_read with path=attachment:" + "a" * 12 in reasons["a" * 12]

    def test_not_more_bytes_than_a_vendor_takes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sight, "MOST_SHOWN_BYTES", 100)
        sizes = {"a": 10, "b": 95, "c": 60}
        messages = [UserMessage("", (attached(n, size=s),)) for n, s in sizes.items()]

        reasons = sight.left_out(messages, media_types=PICTURES, refused=frozenset())

        assert set(reasons) == {"b" * 12}

    def test_what_is_left_out_takes_nobodys_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sight, "MOST_SHOWN", 1)
        files = (
            attached("a"),
            attached("b", media_type="application/pdf"),
            attached("c"),
        )

        reasons = sight.left_out([UserMessage("", files)], media_types=PICTURES, refused={"c" * 12})

        assert set(reasons) == {"b" * 12, "c" * 12}

    def test_what_is_left_out_is_told_in_words_and_the_rest_stays(self) -> None:
        files = (attached("a"), attached("b"))
        message = ToolMessage("c", "look", "two", Outcome.OK, files)

        (shown,) = sight.in_words([message], {"a" * 12: "of a reason"})

        assert isinstance(shown, ToolMessage)
        assert shown.attachments == (attached("b"),)
        assert shown.content == (
            "two\n\n[The attachment a (image/png, 10 bytes) was left out: of a reason.]"
        )


async def test_a_model_is_shown_what_came_with_the_message(place: Place) -> None:
    model = sees(say("A house."), say("Still a house."))
    agent = await place.agent(model)

    assert await agent.ask("What is this?", attachments=[PICTURE, LETTER]) == "A house."
    await agent.send("", attachments=[OTHER])
    await agent.rest()

    first, second = model.requests
    assert first.messages == (UserMessage("What is this?", (PICTURE.attached, LETTER.attached)),)
    assert first.files == {one.attached.digest: one.data for one in (PICTURE, LETTER)}
    assert second.messages[-1] == UserMessage("", (OTHER.attached,))
    assert len(second.files) == 3
    with pytest.raises(InvalidInput, match="empty"):
        await agent.send("  ")


async def test_a_model_that_cannot_see_is_told_in_words(place: Place) -> None:
    model = sees(say("I see nothing."), media_types=frozenset({"image/png"}))
    agent = await place.agent(model)

    await agent.ask("What are these?", attachments=[PICTURE, LETTER])

    (request,) = model.requests
    assert list(request.files.values()) == [PICTURE.data]
    assert request.messages[0].attachments == (PICTURE.attached,)  # type: ignore[union-attr]
    assert "[The attachment letter.pdf (application/pdf, 17 bytes) was left out" in told(request)


async def test_a_message_with_too_large_an_attachment_is_not_in_the_journal(place: Place) -> None:
    agent = await place.agent(sees(), most_attachment_bytes=4)

    with pytest.raises(AttachmentTooLarge):
        await agent.send("look", attachments=[PICTURE])

    assert (await agent.status()).seq == 1


async def test_attachments_outlive_the_process_and_their_parent(place: Place) -> None:
    agent = await place.agent(sees(say("A house.")))
    await agent.ask("What is this?", attachments=[PICTURE])
    await place.stop()

    model = sees(say("A house, still."), say("The fork sees it, too."), say("And again."))
    agent = await place.agent(model)
    await agent.ask("And now?")
    fork = await agent.fork(id="b")
    await fork.ask("And you?")
    await place.runtime.delete("a")
    await fork.ask("And without it?")

    for request in model.requests:
        assert request.files == {PICTURE.attached.digest: PICTURE.data}
        assert request.messages[0].attachments == (PICTURE.attached,)  # type: ignore[union-attr]


async def test_what_was_summarised_away_can_be_looked_at_again(place: Place) -> None:
    path = f"attachment:{PICTURE.attached.digest[:12]}"
    model = sees(
        say("one"),
        say("the summary"),
        call("fs_read", path=path),
        say("It is a house."),
        call("fs_read", path="attachment:nothing"),
        say("sorry"),
        usage=Usage(),
    )
    agent = await place.agent(model, limits=Limits(context_tokens=5000))
    await agent.ask("What are these?", attachments=[PICTURE, OTHER])

    assert await agent.ask("Look at it again. " + "x" * 6000) == "It is a house."
    await agent.ask("And at another.")

    _, summary, after, again, *_ = model.requests
    assert PICTURE.attached.digest in summary.files
    assert path in told(after, 0)
    assert "house.png (image/png" in told(after, 0)
    assert after.files == {}
    assert again.messages[-1].attachments == (PICTURE.attached,)  # type: ignore[union-attr]
    assert again.files == {PICTURE.attached.digest: PICTURE.data}
    refused = (await events_of(agent, "tool_end"))[-1]
    assert "Nothing that 'nothing' names was attached" in refused.content
    assert shown_again([]) == ""


async def test_a_picture_of_the_workspace_is_looked_at_with_fs_read(place: Place) -> None:
    (place.workspace / "house.png").write_bytes(PICTURE.data)
    (place.workspace / "big.png").write_bytes(PNG + bytes(100))
    model = sees(call("fs_read", path="house.png"), call("fs_read", path="big.png"), say("ok"))
    agent = await place.agent(model, most_attachment_bytes=50)

    await agent.ask("Look.")

    shown, big = await events_of(agent, "tool_end")
    assert isinstance(shown, ToolEnd)
    assert shown.attachments == (PICTURE.attached,)
    assert shown.files
    assert model.requests[1].files == {PICTURE.attached.digest: PICTURE.data}
    assert "at most 50 bytes can be shown" in big.content


async def test_tools_and_hooks_show_pictures_too(place: Place) -> None:
    class Shows(Hook):
        async def before_tool(self, call: ToolUse) -> BeforeTool:
            if call.arguments.get("what") == "boat":
                return Supply(ToolResult(content="a boat", attachments=[OTHER]))
            return None

    @tool(reads_only=True)
    async def photograph(what: str) -> ToolResult:
        """Take a picture."""
        return ToolResult(content=f"a {what}", attachments=[PICTURE])

    steps = [call("photograph", what=what) for what in ("house", "boat")]
    model = sees(*steps, say("ok"))
    agent = await place.agent(model, tools=(photograph,), hooks=(Shows(),))

    await agent.ask("Photograph.")

    assert set(model.requests[-1].files.values()) == {PICTURE.data, OTHER.data}


async def test_a_vendor_that_refuses_a_picture_is_asked_without_it(place: Place) -> None:
    refused = FilesRefused("The model rejected the request (HTTP 400: image too wide).")
    model = sees(refused, say("I could not see it."), say("Still not."))
    agent = await place.agent(model)

    assert await agent.ask("What is this?", attachments=[PICTURE]) == "I could not see it."
    await agent.ask("And now?")

    _, without, later = model.requests
    assert without.files == later.files == {}
    assert "it was refused by your vendor" in told(without)
    (problem,) = await events_of(agent, "error")
    assert isinstance(problem, ErrorRaised)
    assert problem.severity is Severity.WARNING
    assert "image too wide" in problem.message


async def test_a_refusal_that_has_nothing_to_do_with_pictures_is_told_as_it_is(
    place: Place,
) -> None:
    refused = FilesRefused("The conversation is too long.")
    agent = await place.agent(sees(refused, refused))

    await agent.send("What is this?", attachments=[PICTURE])
    await agent.rest()

    done = (await agent.status()).done
    assert done is not None
    assert done.detail == "The conversation is too long."
    assert [one.severity for one in await events_of(agent, "error")] == [Severity.ERROR]


async def test_bytes_that_are_gone_are_told_and_stop_nobody(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = sees(say("I see nothing."))
    agent = await place.agent(model)

    async def nothing(self: object, agent_id: str, digest: str) -> None:
        return None

    monkeypatch.setattr(SQLiteJournal, "blob", nothing)
    await agent.ask("What is this?", attachments=[PICTURE])

    assert "was left out: it is lost" in told(model.requests[0])
