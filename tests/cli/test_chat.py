"""What `longhouse chat` does before and after a turn: the prompt, the message, the seed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cli.events import EDIT, EDIT_ASKS

from longhouse.cli import chat
from longhouse.cli.errors import BadOption
from longhouse.cli.models import Agent, Approval, PostOfAgent, Session
from longhouse.cli.transcript import Transcript
from longhouse.cli.turn import Approve
from longhouse.protocol.events import AgentState, Todo

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AGENT = Agent(
    id="agent_1",
    name="worker",
    post=PostOfAgent(id="post_1", name="Engineer"),
    model="demo",
    status="idle",
    created_at=NOW,
    updated_at=NOW,
)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str | type[BaseException]]:
    """What is typed at the prompt: texts, or what the terminal raises instead."""
    script: list[str | type[BaseException]] = []

    def answer(_prompt: str) -> str:
        what = script.pop(0)
        if isinstance(what, str):
            return what
        raise what

    monkeypatch.setattr("builtins.input", answer)
    return script


class TestPrompt:
    def test_empty_lines_are_no_messages(self, typed: list[str | type[BaseException]]) -> None:
        typed += ["", "  ", " hello "]

        assert chat._prompt(AGENT) == "hello"

    def test_control_c_leaves_the_second_time(
        self, typed: list[str | type[BaseException]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        typed += [KeyboardInterrupt, KeyboardInterrupt]

        assert chat._prompt(AGENT) is None
        assert "Ctrl-C again" in capsys.readouterr().err

    def test_control_d_leaves_at_once(self, typed: list[str | type[BaseException]]) -> None:
        typed += [EOFError]

        assert chat._prompt(AGENT) is None


def test_a_file_waits_for_the_next_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my house.png").write_bytes(b"PNG")
    talk = chat.Talk(
        server=None,
        name="worker",
        session=None,
        new=False,
        approve=Approve.ASK,
        json=False,
        verbose=False,
        attach=[],
    )

    talk._attach(f"{tmp_path}/my house.png")

    assert talk._attached == [{"name": "my house.png", "data": "UE5H"}]
    assert "my house.png goes with your next message" in capsys.readouterr().err
    for path in ("", str(tmp_path), f"{tmp_path}/nowhere.png"):
        with pytest.raises(BadOption):
            talk._attach(path)


def test_what_waited_before_is_known_when_a_turn_is_followed() -> None:
    approval = Approval(
        session_id="session_1",
        call_id=EDIT_ASKS.call_id,
        agent_id="agent_1",
        agent_name="worker",
        name=EDIT_ASKS.name,
        arguments=EDIT_ASKS.arguments,
        reason=EDIT_ASKS.reason,
        preview=EDIT_ASKS.preview,
        requested_at=NOW,
    )
    session = Session(
        id="session_1",
        agent_id="agent_1",
        state=AgentState.WAITING,
        step=EDIT.step,
        todos=(Todo(id="1", title="Look"),),
        approvals=(approval,),
        created_at=NOW,
        updated_at=NOW,
    )
    transcript = Transcript(message_id="msg_1")

    chat._seed(transcript, session)

    assert transcript.waiting == {"c1": EDIT_ASKS}
    assert transcript.calls["c1"].asked == EDIT
    assert transcript.turn_open
    assert transcript.todos == session.todos
