"""What lists show of a journal, as pure functions."""

import pytest

from longhouse.agents.models import TITLE_CHARACTERS
from longhouse.agents.projection import changes, title_from
from longhouse.agents.states import AgentStatus, status_of
from longhouse.protocol.events import (
    AgentState,
    InterruptRequested,
    MessageReceived,
    StateChanged,
    Text,
    TokenUsage,
    Usage,
)

READY, WORKING, WAITING = AgentState.READY, AgentState.WORKING, AgentState.WAITING


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Fix it", "Fix it"),
        ("\n\n  Fix it \nplease", "Fix it"),
        ("nul\0 and \u202e turn", "nul and  turn"),
        ("x" * 1000, "x" * (TITLE_CHARACTERS - 1) + "…"),
        ("\0", ""),
    ],
)
def test_a_title_is_the_first_line_of_a_message(text: str, title: str) -> None:
    assert title_from(text) == title


def test_the_first_message_gives_the_title_and_the_last_move_the_state() -> None:
    found = changes(
        [
            MessageReceived(message_id="1", text="One"),
            MessageReceived(message_id="2", text="Two"),
            StateChanged(before=READY, after=WORKING),
            StateChanged(before=WORKING, after=WAITING),
        ]
    )

    assert (found.title, found.state) == ("One", WAITING)
    assert found.of_lists


def test_usage_adds_up() -> None:
    used = TokenUsage(step=1, model="m", usage=Usage(input=2, output=1))

    assert changes([used, used]).usage == Usage(input=4, output=2)


def test_what_is_only_said_changes_no_list() -> None:
    assert not changes([Text(step=1, text="hello"), InterruptRequested()]).of_lists


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([], AgentStatus.IDLE),
        ([READY, READY], AgentStatus.IDLE),
        ([READY, WAITING], AgentStatus.WAITING),
        ([WAITING, WORKING], AgentStatus.BUSY),
    ],
)
def test_an_agent_is_what_the_liveliest_of_its_sessions_is(
    states: list[AgentState], status: AgentStatus
) -> None:
    assert status_of(states) is status
