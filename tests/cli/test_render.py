"""How a turn looks in a terminal of 80 columns and in a narrow one, without colours."""

import io

import pytest
from rich.console import Console, RenderableType
from tests.cli.events import DIFF, EDIT, EDIT_ASKS, WHOLE_TURN, feed

from longhouse.cli import render
from longhouse.cli.transcript import (
    Decided,
    Item,
    OpenCall,
    Planned,
    Resumed,
    Said,
    Thought,
    ToolDone,
    Transcript,
    Trouble,
    TurnEnded,
    UserSaid,
)
from longhouse.protocol.events import (
    Delta,
    DoneReason,
    Outcome,
    PermissionRequired,
    Todo,
    TodoStatus,
    ToolStart,
    Usage,
)


def drawn(renderable: RenderableType | None, *, width: int = 80) -> list[str]:
    """The lines of it, without the spaces that fill them up."""
    assert renderable is not None
    console = Console(file=io.StringIO(), width=width, highlight=False)
    with console.capture() as captured:
        console.print(renderable)
    return [line.rstrip() for line in captured.get().splitlines()]


def line(item: Item, *, verbose: bool = False, width: int = 80) -> list[str]:
    return drawn(render.item(item, verbose=verbose), width=width)


def command(content: str, outcome: Outcome = Outcome.OK) -> ToolDone:
    return ToolDone(
        name="bash_run",
        arguments={"command": "pytest -q"},
        outcome=outcome,
        content=content,
        seconds=2.34,
    )


class TestToolCalls:
    def test_a_call_is_one_line_with_its_subject_changes_and_duration(self) -> None:
        done = ToolDone(
            name="fs_edit",
            arguments=EDIT.arguments,
            outcome=Outcome.OK,
            content="Edited.",
            seconds=0.04,
            diff=DIFF,
            previewed=True,
        )

        assert line(done) == ["✓ fs_edit calc.py  +1 -1  0.0 s"]

    def test_a_change_nobody_saw_shows_its_diff(self) -> None:
        done = ToolDone(
            name="fs_edit",
            arguments=EDIT.arguments,
            outcome=Outcome.OK,
            content="Edited.",
            seconds=0.04,
            diff=DIFF,
        )

        assert line(done)[1:4] == ["  @@ -1,2 +1,2 @@", "  -return a", "  +return b"]

    def test_a_failed_command_shows_its_exit_code_and_the_end_of_its_output(self) -> None:
        output = "\n".join(f"line {number}" for number in range(20))

        assert line(command(f"{output}\n[exit code 2]")) == [
            "✗ bash_run pytest -q  exit 2  2.3 s",
            "  … 16 lines before",
            "  line 16",
            "  line 17",
            "  line 18",
            "  line 19",
        ]

    def test_a_command_that_worked_shows_its_output_only_when_asked(self) -> None:
        done = command("4 passed\n[exit code 0]")

        assert line(done) == ["✓ bash_run pytest -q  2.3 s"]
        assert line(done, verbose=True)[1:] == ["  4 passed"]

    @pytest.mark.parametrize(
        ("outcome", "mark"),
        [(Outcome.DENIED, "⊘"), (Outcome.INTERRUPTED, "⊘"), (Outcome.SEALED, "!")],
    )
    def test_what_did_not_end_by_itself_says_how(self, outcome: Outcome, mark: str) -> None:
        assert line(command("x", outcome))[0] == f"{mark} bash_run pytest -q  {outcome}  2.3 s"

    def test_a_long_subject_is_cut_and_the_duration_stays(self) -> None:
        done = ToolDone(
            name="bash_run",
            arguments={"command": "echo " + "x" * 200},
            outcome=Outcome.OK,
            content="",
            seconds=12.0,
        )

        (only,) = line(done, width=40)

        assert only.endswith("…  12 s")
        assert len(only) <= 40

    def test_what_an_agent_writes_cannot_steer_the_terminal(self) -> None:
        done = command("\x1b[2J\x1b]0;owned\x07[exit code 1]")

        assert "\x1b" not in "".join(line(done))


class TestQuestions:
    def test_a_change_is_asked_about_with_its_diff(self) -> None:
        assert drawn(render.asked(EDIT_ASKS))[:4] == [
            "? fs_edit asks  mode: ask",
            "  calc.py  +1 -1",
            "  @@ -1,2 +1,2 @@",
            "  -return a",
        ]

    def test_a_command_is_shown_whole(self) -> None:
        text = "cd src\n" + "x" * 100
        asks = PermissionRequired(
            call_id="c", name="bash_run", arguments={"command": text}, reason="mode: ask"
        )

        lines = drawn(render.asked(asks))

        assert lines[1:3] == ["  command:", "    cd src"]
        assert "".join(part.strip() for part in lines[3:]) == "x" * 100

    def test_a_long_preview_is_cut_until_all_of_it_is_wanted(self) -> None:
        body = "".join(f"+line {number}\n" for number in range(200))
        asks = PermissionRequired(
            call_id="c",
            name="fs_write",
            arguments={"path": "a", "content": "…"},
            reason="mode: ask",
            preview=f"--- /dev/null\n+++ b/a\n@@ -0,0 +1,200 @@\n{body}",
        )

        assert drawn(render.asked(asks))[-1] == "  … 161 more lines"
        assert len(drawn(render.wanted(asks, most=None))) == 202

    def test_a_preview_that_could_not_be_made_is_told_with_the_arguments(self) -> None:
        asks = PermissionRequired(
            call_id="c",
            name="fs_edit",
            arguments={"path": "a", "count": 3},
            reason="mode: ask",
            preview="(no preview: the file is gone)",
        )

        assert drawn(render.asked(asks))[1:] == [
            "  (no preview: the file is gone)",
            "  path: a",
            "  count: 3",
        ]


class TestOtherItems:
    def test_thinking_is_folded_to_its_first_line(self) -> None:
        assert line(Thought("First.\nThen four words more")) == ["✻ First. (+ 4 words)"]
        assert line(Thought("First.\nThen more"), verbose=True) == ["  First.", "  Then more"]

    def test_the_rest_has_a_line_of_its_own(self) -> None:
        done = TurnEnded(
            reason=DoneReason.COMPLETED, seconds=65, steps=1, usage=Usage(input=12_345, output=6)
        )
        todos = (
            Todo(id="1", title="Look", status=TodoStatus.COMPLETED),
            Todo(id="2", title="Leap", status=TodoStatus.IN_PROGRESS),
        )

        assert line(UserSaid("hello")) == ["> hello"]
        assert line(Said("*It* passes."))[0] == "It passes."
        assert line(Decided("c", "deny", "not that")) == ["  denied: not that"]
        assert line(Decided("c", "allow", "")) == ["  allowed"]
        assert line(Planned(todos)) == ["  ● Look", "  ▸ Leap"]
        assert line(Trouble(message="Busy.", retry_in=2.0)) == ["! Busy. Trying again in 2.0 s."]
        assert line(Resumed(1, 0)) == [
            "! the turn was taken up again; 1 call may have happened in part"
        ]
        assert line(done) == ["done · 1 min 5 s · 1 step · 12.3k tokens in, 6 out"]

    @pytest.mark.parametrize("reason", list(DoneReason))
    def test_every_end_says_why(self, reason: DoneReason) -> None:
        told = line(TurnEnded(reason=reason, detail="Too much."))[0]

        assert ("Too much." in told) == (reason in {DoneReason.FAILED, DoneReason.LIMIT})

    def test_a_whole_turn_has_empty_lines_around_what_is_said_only(self) -> None:
        items = feed(Transcript(message_id="msg_1"), *WHOLE_TURN)

        gaps = [
            render.apart(before, shown)
            for before, shown in zip([None, *items], items, strict=False)
        ]

        assert gaps == [True, True, True, True]


class TestNow:
    def test_it_says_what_happens_and_how_to_stop_it(self) -> None:
        transcript = Transcript(turn_open=True)

        assert drawn(render.now(transcript, clock=0.0)) == ["⠋ working  Ctrl-C interrupts"]

    def test_calls_that_run_stand_with_their_time(self) -> None:
        call = OpenCall(EDIT, start=ToolStart(call_id="c1", name="fs_edit"), started_at=10_000_000)
        transcript = Transcript(turn_open=True, calls={"c1": call})

        (only,) = drawn(render.now(transcript, clock=13.0))

        assert only.endswith("fs_edit calc.py  3.0 s")

    def test_of_a_growing_answer_its_end_is_seen(self) -> None:
        transcript = Transcript(turn_open=True)
        words = "\n".join(f"line {number}" for number in range(50))
        transcript.hear(Delta(step=1, kind="text", text=words))

        lines = drawn(render.now(transcript, clock=0.0), width=30)

        assert lines[-2] == "  line 49"
        assert len(lines) == render.LIVE_LINES + 1
