"""The demo model with the real tools: it repairs, explains, writes, and takes no for an answer."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from tests.patience import PATIENCE
from tests.runtime.models.conversation import Conversation

from longhouse.agents.samples import make_sample_repository
from longhouse.kit.clock import ManualClock
from longhouse.protocol.events import Delta, Outcome, Text, TodoStatus, ToolCall
from longhouse.runtime.model import (
    AssistantMessage,
    Message,
    ModelRequest,
    ModelResponse,
    ToolMessage,
    UserMessage,
)
from longhouse.runtime.models.demo import DemoModel
from longhouse.runtime.models.demo_skills import ME
from longhouse.runtime.sandbox.base import (
    Command,
    Completed,
    Listener,
    Running,
    SandboxRefused,
    SandboxReport,
)
from longhouse.runtime.tools.registry import builtin_tools

FIX = "Please make the failing test pass."


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return make_sample_repository(tmp_path / "sample")


def project(path: Path, **files: str) -> Path:
    """A directory with a file for each keyword; `__` in a name is a dot."""
    path.mkdir(exist_ok=True)
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content)
    return path


def passes(path: Path) -> bool:
    command = ["python3", "-B", "-m", "unittest", "-q"]
    return subprocess.run(command, cwd=path, check=False, capture_output=True).returncode == 0


class TestRepair:
    async def test_it_makes_the_failing_test_of_the_sample_pass_with_one_edit(
        self, sample: Path
    ) -> None:
        talk = Conversation(DemoModel(), sample)

        answer = await talk.say(FIX)

        assert passes(sample)
        assert len(talk.calls_of("fs_edit")) == 1
        assert len(talk.calls_of("bash_run")) == 2
        assert "All tests pass now" in answer
        assert "+    return price * (1 - percent / 100)" in answer
        assert [todo.status for todo in talk.todos] == [TodoStatus.COMPLETED] * 3

    async def test_it_reads_several_files_at_once(self, sample: Path) -> None:
        talk = Conversation(DemoModel(), sample)

        await talk.say(FIX)

        reads = talk.calls_of("fs_read")
        assert len(reads) >= 3
        assert len({call.step for call in reads}) == 1
        assert len({call.call_id for call in talk.calls}) == len(talk.calls)

    async def test_it_tries_again_until_a_change_helps(self, tmp_path: Path) -> None:
        path = project(
            tmp_path / "p",
            shop__py="def left(stock, sold):\n    return sold - stock\n",
            test_shop__py="import unittest\nfrom shop import left\n\n\n"
            "class T(unittest.TestCase):\n    def test_left(self):\n"
            "        self.assertEqual(left(5, 3), 2)\n",
        )
        talk = Conversation(DemoModel(), path)

        answer = await talk.say("fix the bug")

        assert (path / "shop.py").read_text() == (
            "def left(stock, sold):\n    return stock - sold\n"
        )
        assert len(talk.calls_of("fs_edit")) > 1
        assert "All tests pass now" in answer

    async def test_it_repairs_two_slips_one_after_the_other(self, tmp_path: Path) -> None:
        path = project(
            tmp_path / "p",
            m__py="def add(a, b):\n    return a - b\n\n\ndef grown(age):\n    return age > 18\n",
            test_m__py="import unittest\nfrom m import add, grown\n\n\n"
            "class T(unittest.TestCase):\n    def test_add(self):\n"
            "        self.assertEqual(add(5, 3), 8)\n\n    def test_grown(self):\n"
            "        self.assertTrue(grown(18))\n",
        )
        talk = Conversation(DemoModel(), path)

        await talk.say(FIX)

        assert passes(path)
        assert "return a + b" in (path / "m.py").read_text()
        assert "return age >= 18" in (path / "m.py").read_text()

    async def test_it_puts_everything_back_when_nothing_helps(self, tmp_path: Path) -> None:
        source = "def answer(a, b):\n    return a - b\n\n\ndef other():\n    return [1, 2]\n"
        path = project(
            tmp_path / "p",
            m__py=source,
            test_m__py="import unittest\nfrom m import answer\n\n\n"
            "class T(unittest.TestCase):\n    def test_answer(self):\n"
            "        self.assertEqual(answer(1, 1), 'forty-two')\n",
        )
        talk = Conversation(DemoModel(), path)

        answer = await talk.say(FIX)

        assert (path / "m.py").read_text() == source
        assert "none made the tests pass" in answer
        assert "needs a real model" in answer
        assert talk.todos[-1].status is not TodoStatus.COMPLETED

    async def test_a_file_that_changed_meanwhile_is_read_again(self, sample: Path) -> None:
        changed: list[str] = []

        def somebody_edits(call: ToolCall) -> str | None:
            if call.name == "fs_edit" and not changed:
                changed.append(call.call_id)
                source = sample / "calculator.py"
                source.write_text("# Mine.\n" + source.read_text())
            return None

        talk = Conversation(DemoModel(), sample, judge=somebody_edits)

        await talk.say(FIX)

        assert passes(sample)
        assert (sample / "calculator.py").read_text().startswith("# Mine.\n")

    async def test_a_test_run_that_a_crash_cut_off_is_repeated(self, sample: Path) -> None:
        talk = Conversation(DemoModel(), sample)
        await talk.say(FIX)
        until = next(
            index
            for index, message in enumerate(talk.messages)
            if isinstance(message, ToolMessage) and message.name == "bash_run"
        )
        cut = talk.messages[until]
        assert isinstance(cut, ToolMessage)
        sealed = ToolMessage(cut.call_id, cut.name, "It may have happened.", Outcome.SEALED)

        answer = await ask(*talk.messages[:until], sealed)

        (call,) = [block for block in answer.blocks if isinstance(block, ToolCall)]
        assert call.name == "bash_run"


class TestOtherRequests:
    async def test_a_question_is_answered_without_changing_anything(self, sample: Path) -> None:
        talk = Conversation(DemoModel(), sample)

        answer = await talk.say("What is this repository about?")

        assert talk.calls_of("fs_edit") == talk.calls_of("fs_write") == []
        assert "`calculator.py`" in answer
        assert "Calculator" in answer
        assert "make the failing test pass" in answer

    async def test_notes_are_written_when_asked_for(self, sample: Path) -> None:
        talk = Conversation(DemoModel(), sample)

        answer = await talk.say("Write a short summary of this repository.")

        assert "calculator.py" in (sample / "NOTES.md").read_text()
        assert "I wrote NOTES.md" in answer

    async def test_notes_that_exist_are_read_before_they_are_replaced(self, sample: Path) -> None:
        (sample / "NOTES.md").write_text("old\n")
        talk = Conversation(DemoModel(), sample)

        await talk.say("Write notes.")

        assert (sample / "NOTES.md").read_text().startswith("# Notes")

    async def test_a_follow_up_is_a_turn_of_its_own(self, sample: Path) -> None:
        talk = Conversation(DemoModel(), sample)
        await talk.say("What is this?")

        answer = await talk.say("Now fix it.")

        assert passes(sample)
        assert "All tests pass now" in answer
        assert "All tests pass" not in await talk.say("Thanks!")

    async def test_a_command_between_back_quotes_is_run(self, sample: Path) -> None:
        talk = Conversation(DemoModel(), sample)

        answer = await talk.say("Please run `echo hello && false`.")

        assert [call.arguments for call in talk.calls] == [{"command": "echo hello && false"}]
        assert "hello" in answer
        assert "exit code 1" in answer

    @pytest.mark.parametrize("text", ["hi", "Hello!", "thank you", "\u4f60\u597d"])
    async def test_small_talk_needs_no_tools(self, tmp_path: Path, text: str) -> None:
        talk = Conversation(DemoModel(), tmp_path)

        assert "Hello!" in await talk.say(text)
        assert talk.calls == []

    async def test_passing_tests_are_said_to_pass(self, sample: Path) -> None:
        source = sample / "calculator.py"
        source.write_text(source.read_text().replace("1 + percent", "1 - percent"))
        talk = Conversation(DemoModel(), sample)

        answer = await talk.say(FIX)

        assert talk.calls_of("fs_edit") == []
        assert "passes (4 tests ran)" in answer

    async def test_an_empty_workspace_is_described_as_such(self, tmp_path: Path) -> None:
        talk = Conversation(DemoModel(), tmp_path)

        answer = await talk.say(FIX)

        assert "no files" in answer
        assert talk.calls_of("bash_run") == []

    @pytest.mark.parametrize(
        ("files", "command"),
        [
            ({"package__json": "{}"}, "npm test"),
            ({"go__mod": "module x"}, "go test"),
            ({"conftest__py": "", "test_x__py": ""}, "-m pytest"),
            ({"test_x__py": "import pytest\n"}, "-m pytest"),
        ],
    )
    async def test_tests_are_run_as_the_project_does(
        self, tmp_path: Path, files: dict[str, str], command: str
    ) -> None:
        path = project(tmp_path / "p", **files)
        ran: list[str] = []

        def keep(call: ToolCall) -> str | None:
            if call.name != "bash_run":
                return None
            ran.append(str(call.arguments["command"]))
            return "not here"

        talk = Conversation(DemoModel(), path, judge=keep)
        await talk.say("How are the tests?")

        assert command in ran[0]


class TestWhenSomethingIsRefused:
    @pytest.mark.parametrize("tool", ["fs_edit", "bash_run"])
    async def test_a_denied_call_ends_the_turn_politely_with_the_note(
        self, sample: Path, tool: str
    ) -> None:
        talk = Conversation(
            DemoModel(), sample, judge=lambda c: "not today" if c.name == tool else None
        )

        answer = await talk.say(FIX)

        assert "As you wish" in answer
        assert "not today" in answer
        assert ME in answer
        assert len(talk.calls_of(tool)) == 1

    async def test_after_a_denial_the_next_message_starts_afresh(self, sample: Path) -> None:
        denials = ["no"]
        talk = Conversation(
            DemoModel(),
            sample,
            judge=lambda c: denials.pop() if c.name == "fs_edit" and denials else None,
        )
        await talk.say(FIX)

        await talk.say("On second thought: fix it.")

        assert passes(sample)

    async def test_a_sandbox_that_refuses_is_quoted(self, sample: Path) -> None:
        talk = Conversation(DemoModel(), sample, sandbox=NoSandbox())

        answer = await talk.say(FIX)

        assert "could not be run" in answer
        assert "bubblewrap is missing" in answer
        assert talk.calls_of("fs_edit") == []

    @pytest.mark.parametrize("missing", ["fs_glob", "fs_read", "fs_edit", "bash_run", "todo_write"])
    async def test_a_tool_that_its_post_lacks_is_never_called(
        self, sample: Path, missing: str
    ) -> None:
        tools = [tool for tool in builtin_tools() if tool.name != missing]
        talk = Conversation(DemoModel(), sample, tools=tools)

        answer = await talk.say(FIX)

        assert ME in answer
        assert talk.calls_of(missing) == []

    async def test_a_post_without_tools_gets_an_answer(self, tmp_path: Path) -> None:
        answer = await ask(UserMessage(FIX))

        assert any(isinstance(block, Text) for block in answer.blocks)

    async def test_a_reminder_of_the_runtime_is_no_request(self, sample: Path) -> None:
        talk = Conversation(DemoModel(), sample)
        await talk.say("What is this?")
        talk.messages.append(UserMessage("<reminder>fix the open items</reminder>"))

        answer = await talk.say("Thanks")

        assert "Hello!" in answer


class TestStream:
    async def test_it_says_in_every_answer_what_it_is(self, sample: Path) -> None:
        talk = Conversation(DemoModel(), sample)
        await talk.say(FIX)

        texts = [
            block.text
            for message in talk.messages
            if isinstance(message, AssistantMessage)
            for block in message.blocks
            if isinstance(block, Text)
        ]
        assert texts
        assert all("demo model" in text.lower() for text in texts)

    async def test_its_deltas_are_its_answer(self) -> None:
        items = [item async for item in DemoModel().stream(request(UserMessage("hello")))]

        *deltas, response = items
        assert isinstance(response, ModelResponse)
        (block,) = response.blocks
        assert isinstance(block, Text)
        assert "".join(d.text for d in deltas if isinstance(d, Delta)) == block.text
        assert len(deltas) > 5

    async def test_with_a_pace_each_delta_waits_for_the_clock(self) -> None:
        clock = ManualClock()
        stream = DemoModel(pace=0.5, clock=clock).stream(request(UserMessage("hello")))
        first = asyncio.create_task(anext(stream))
        await clock.wait_for_sleepers()
        assert not first.done()

        clock.advance(0.5)

        assert isinstance(await asyncio.wait_for(first, PATIENCE), Delta)
        await stream.aclose()


class NoSandbox:
    """A machine that cannot protect itself."""

    name = "refuse"

    def describe(self) -> SandboxReport:
        return SandboxReport(name=self.name, protects=False, detail="nothing protects")

    async def run(self, command: Command) -> Completed:
        raise SandboxRefused("bubblewrap is missing.", hint="Install it.")

    async def start(self, command: Command, listener: Listener | None = None) -> Running:
        raise SandboxRefused("bubblewrap is missing.", hint="Install it.")


def request(*messages: Message) -> ModelRequest:
    tools = builtin_tools() if len(messages) > 1 else ()
    return ModelRequest(step=1, system="", messages=messages, tools=tools, output_tokens=1000)


async def ask(*messages: Message) -> ModelResponse:
    last = [item async for item in DemoModel().stream(request(*messages))][-1]
    assert isinstance(last, ModelResponse)
    return last
