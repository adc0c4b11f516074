"""What the demo model sees: the conversation of the present turn as facts. A pure fold.

Built anew for each call from the messages alone, so a restarted process goes on where the last one
was. Knows how the built-in tools phrase their results; decides nothing (`demo_skills` does).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from longhouse.protocol.events import Outcome, ToolCall
from longhouse.runtime.model import AssistantMessage, Message, ToolMessage, UserMessage

GLOB = "fs_glob"
READ = "fs_read"
EDIT = "fs_edit"
WRITE = "fs_write"
SHELL = "bash_run"
PLAN = "todo_write"

REMINDER = "<reminder>"
"""How a message begins that the runtime wrote and no person."""

_NUMBERED = re.compile(r"^ *\d+\t(.*)$")
_UNITTEST_FAILED = re.compile(r"^FAILED \((.*)\)$", re.MULTILINE)
_UNITTEST_RAN = re.compile(r"^Ran (\d+) tests?", re.MULTILINE)
_PYTEST_COUNTS = re.compile(r"(\d+) (passed|failed|errors?)\b")
_EXIT_CODE = re.compile(r"exit(?:ed)?(?: with)?(?: code| status)?[: ]+(\d+)", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Finished:
    """A tool call and its result."""

    call: ToolCall
    result: ToolMessage

    @property
    def ok(self) -> bool:
        """Whether the tool did what it was asked."""
        return self.result.outcome is Outcome.OK

    def argument(self, name: str) -> str:
        """One argument of the call, as text."""
        return str(self.call.arguments.get(name, ""))


@dataclass(frozen=True)
class TestRun:
    """One run of the tests."""

    __test__ = False  # no test of ours, whatever its name

    command: str
    output: str
    ran: int | None  # how many; None when the output does not say
    failures: int  # zero: all is well

    @property
    def passed(self) -> bool:
        """Whether all is well."""
        return self.failures == 0


@dataclass
class View:
    """The present turn."""

    asked: str  # what people said since the last answer
    first: bool  # nothing was answered before
    done: tuple[Finished, ...]  # calls of this turn that have a result, in order
    tools: frozenset[str]

    @classmethod
    def of(cls, messages: Sequence[Message], tools: frozenset[str]) -> View:
        """The turn that the messages end with."""
        start = _turn_start(messages)
        asked = [
            message.text
            for message in messages[start:]
            if isinstance(message, UserMessage) and not message.text.startswith(REMINDER)
        ]
        return cls(
            asked="\n".join(asked),
            first=start == 0,
            done=tuple(_finished(messages[start:])),
            tools=tools,
        )

    def calls_of(self, *tools: str) -> list[Finished]:
        """The finished calls of some tools."""
        return [finished for finished in self.done if finished.call.name in tools]

    @cached_property
    def last_batch(self) -> tuple[Finished, ...]:
        """The calls of the last answer."""
        if not self.done:
            return ()
        step = self.done[-1].call.step
        return tuple(finished for finished in self.done if finished.call.step == step)

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The files of the workspace, as far as `fs_glob` told."""
        listed = [finished for finished in self.calls_of(GLOB) if finished.ok]
        if not listed:
            return ()
        lines = listed[-1].result.content.splitlines()
        return tuple(line for line in lines if _is_path(line))

    @cached_property
    def texts(self) -> dict[str, str]:
        """The files that were read, with the edits made since."""
        texts: dict[str, str] = {}
        for finished in self.done:
            note(finished, texts)
        return texts

    @cached_property
    def runs(self) -> tuple[TestRun, ...]:
        """The test runs of this turn."""
        return tuple(run for finished in self.done if (run := test_run(finished)) is not None)


def note(finished: Finished, texts: dict[str, str]) -> None:
    """Keep what a call tells about a file's text."""
    if not finished.ok:
        return
    path = finished.argument("path")
    match finished.call.name:
        case name if name == READ and (text := _text(finished.result.content)) is not None:
            texts[path] = text
        case name if name == EDIT and path in texts:
            old, new = finished.argument("old"), finished.argument("new")
            texts[path] = texts[path].replace(old, new, 1)
        case _:
            pass


def test_run(finished: Finished) -> TestRun | None:
    """The call as a run of tests; None when it was none, or did not run at all."""
    command, output = finished.argument("command"), finished.result.content
    if finished.call.name != SHELL or "test" not in command:
        return None
    ran, failures = _counts(output)
    if ran is None and not finished.ok:
        return None
    if failures is None:
        code = _EXIT_CODE.search(output)
        failures = int(bool(code and int(code[1]))) if finished.ok else 1
    return TestRun(command=command, output=output, ran=ran, failures=failures)


test_run.__test__ = False  # type: ignore[attr-defined]


def _counts(output: str) -> tuple[int | None, int | None]:
    """Tests run and failed, if the output is unittest's or pytest's."""
    if ran := _UNITTEST_RAN.search(output):
        failed = _UNITTEST_FAILED.search(output)
        return int(ran[1]), sum(map(int, _NUMBER.findall(failed[1]))) if failed else 0
    counts = {what.rstrip("s"): int(number) for number, what in _PYTEST_COUNTS.findall(output)}
    if not counts:
        return None, None
    return sum(counts.values()), counts.get("failed", 0) + counts.get("error", 0)


def _turn_start(messages: Sequence[Message]) -> int:
    """The index after the last answer that asked for no tool."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, AssistantMessage) and not _calls(message):
            return index + 1
    return 0


def _finished(messages: Sequence[Message]) -> list[Finished]:
    results = {m.call_id: m for m in messages if isinstance(m, ToolMessage)}
    return [
        Finished(call, results[call.call_id])
        for message in messages
        if isinstance(message, AssistantMessage)
        for call in _calls(message)
        if call.call_id in results
    ]


def _calls(message: AssistantMessage) -> list[ToolCall]:
    return [block for block in message.blocks if isinstance(block, ToolCall)]


def _is_path(line: str) -> bool:
    return bool(line) and not line.startswith(("(", "No file fits")) and not line.endswith("/")


def _text(shown: str) -> str | None:
    """A file's text from what `fs_read` shows; None when it shows only a part."""
    lines = []
    for line in shown.splitlines():
        match = _NUMBERED.match(line)
        if match is None:
            if line.startswith("(Lines end with CRLF"):
                continue
            return None
        lines.append(match[1])
    return "".join(f"{line}\n" for line in lines)
