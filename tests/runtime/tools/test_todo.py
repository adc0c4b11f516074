"""An agent's plan."""

import pytest
from tests.runtime.tools.conftest import Hand

from longhouse.protocol.events import Todo, TodoStatus
from longhouse.runtime.tools.base import InvalidArguments, ToolFailed


def todo(name: str, title: str = "do it", status: str = "pending") -> dict[str, str]:
    return {"id": name, "title": title, "status": status}


async def test_a_plan_is_written_and_read(hand: Hand) -> None:
    written = await hand.use(
        "todo_write",
        todos=[todo("1", "look", "completed"), todo("2", "act", "in_progress"), todo("3")],
    )

    assert hand.todos == (
        Todo(id="1", title="look", status=TodoStatus.COMPLETED),
        Todo(id="2", title="act", status=TodoStatus.IN_PROGRESS),
        Todo(id="3", title="do it", status=TodoStatus.PENDING),
    )
    assert written == "[x] 1: look\n[>] 2: act\n[ ] 3: do it"
    assert await hand.use("todo_read") == written


async def test_an_empty_plan_is_a_plan(hand: Hand) -> None:
    await hand.use("todo_write", todos=[todo("1")])

    assert await hand.use("todo_write", todos=[]) == "No todos."
    assert hand.todos == ()


async def test_a_todo_is_pending_unless_it_says_more(hand: Hand) -> None:
    await hand.use("todo_write", todos=[{"id": "1", "title": "look"}])

    assert hand.todos == (Todo(id="1", title="look"),)


@pytest.mark.parametrize(
    ("todos", "reason"),
    [
        ([todo("1"), todo("2"), todo("1")], "occur twice: 1"),
        ([todo("1"), todo(" 1 ")], "occur twice: 1"),
        ([todo("1", "")], "no title: 1"),
        ([todo("1", "  ")], "no title: 1"),
        ([todo("")], "empty id"),
        ([todo("1", status="in_progress"), todo("2", status="in_progress")], "in progress"),
    ],
)
async def test_a_plan_that_cannot_stand_is_refused_and_the_old_one_stays(
    hand: Hand, todos: list[dict[str, str]], reason: str
) -> None:
    await hand.use("todo_write", todos=[todo("old")])

    with pytest.raises(ToolFailed, match=reason):
        await hand.use("todo_write", todos=todos)

    assert [each.id for each in hand.todos] == ["old"]


async def test_an_unknown_status_is_told(hand: Hand) -> None:
    with pytest.raises(InvalidArguments, match=r"todos\.0\.status"):
        await hand.use("todo_write", todos=[todo("1", status="later")])
