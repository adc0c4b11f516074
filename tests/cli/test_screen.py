"""The same turn on every kind of output: what goes where, and that nothing comes twice."""

import json

import pytest
from tests.cli.events import EDIT_ASKS, MESSAGE, SECOND, STEP, WHOLE_TURN, feed

from longhouse.cli.screen import JsonScreen, LineScreen, LiveScreen, PipeScreen, Screen, choose
from longhouse.cli.transcript import Transcript
from longhouse.cli.turn import question
from longhouse.protocol.events import Body, Delta, Event, Text, Thinking, encode_event

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")


def show(screen: Screen, transcript: Transcript, *bodies: Body) -> None:
    for item in feed(transcript, *bodies):
        screen.show(item)
    screen.refresh(transcript)


@pytest.fixture
def transcript() -> Transcript:
    return Transcript(message_id="msg_1")


class TestPipe:
    def test_the_answer_is_data_and_everything_else_is_talk(
        self, transcript: Transcript, capsys: Captured
    ) -> None:
        show(PipeScreen(transcript), transcript, *WHOLE_TURN)

        out, err = capsys.readouterr()
        assert out == "It passes now.\n"
        assert "I look at it." in err
        assert "✓ fs_edit calc.py" in err
        assert "It passes now." not in err

    def test_no_line_ends_in_spaces(self, transcript: Transcript, capsys: Captured) -> None:
        show(PipeScreen(transcript), transcript, *WHOLE_TURN)

        lines = capsys.readouterr().err.splitlines()
        assert [line for line in lines if line != line.rstrip()] == []


class TestLines:
    def test_text_appears_as_it_grows_and_only_once(
        self, transcript: Transcript, capsys: Captured
    ) -> None:
        screen = LineScreen()
        show(screen, transcript, MESSAGE, STEP)
        for part in ("It ", "pass"):
            transcript.hear(Delta(step=1, kind="text", text=part))
            screen.refresh(transcript)
        grown = capsys.readouterr().out

        # The journal has the thinking first, although the text was seen growing already.
        show(screen, transcript, Thinking(step=1, text="hm"), Text(step=1, text="It passes."))

        assert grown == "\nIt pass"
        assert capsys.readouterr().out == "es.\n"

    def test_a_text_whose_stream_had_holes_is_printed_whole(
        self, transcript: Transcript, capsys: Captured
    ) -> None:
        screen = LineScreen()
        transcript.hear(Delta(step=1, kind="text", text="ses."))
        screen.refresh(transcript)

        show(screen, transcript, Text(step=1, text="It passes."))

        assert capsys.readouterr().out == "\nses.\nIt passes.\n"

    def test_a_question_is_printed_once(self, capsys: Captured) -> None:
        screen = LineScreen()
        for _ in range(3):
            screen.ask(question(EDIT_ASKS))
        screen.ask(None)

        assert capsys.readouterr().out.count("y allow") == 1


class TestJson:
    def test_each_event_is_one_line_as_the_server_sent_it(
        self, transcript: Transcript, capsys: Captured
    ) -> None:
        screen = JsonScreen()
        events = [
            Event(seq=seq, time=seq * SECOND, body=body) for seq, body in enumerate(WHOLE_TURN, 1)
        ]
        for event in events:
            screen.event(encode_event(event))
        show(screen, transcript, *WHOLE_TURN)

        out, err = capsys.readouterr()
        assert [json.loads(line)["seq"] for line in out.splitlines()] == list(range(1, 12))
        assert err == ""


class TestLive:
    def test_what_moves_is_gone_at_the_end_and_what_is_done_stays(
        self, transcript: Transcript, capsys: Captured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("FORCE_COLOR", "1")
        with LiveScreen() as screen:
            show(screen, transcript, MESSAGE, STEP)
            screen.ask(question(EDIT_ASKS))
            screen.ask(None)
            show(screen, transcript, *WHOLE_TURN[2:])

        out = capsys.readouterr().out
        assert "working" in out
        assert "It passes now." in out
        assert out.rstrip().endswith(("\x1b[?25h", "\x1b[2K"))


class TestChoice:
    @pytest.mark.parametrize(
        ("json_wanted", "terminal", "term", "kind"),
        [
            (True, True, "xterm", JsonScreen),
            (False, False, "xterm", PipeScreen),
            (False, True, "dumb", LineScreen),
            (False, True, "", LineScreen),
            (False, True, "xterm", LiveScreen),
        ],
    )
    def test_the_screen_fits_the_output(
        self,
        transcript: Transcript,
        monkeypatch: pytest.MonkeyPatch,
        *,
        json_wanted: bool,
        terminal: bool,
        term: str,
        kind: type[Screen],
    ) -> None:
        monkeypatch.setenv("TERM", term)

        chosen = choose(transcript, json=json_wanted, verbose=False, terminal=terminal)

        assert type(chosen) is kind
