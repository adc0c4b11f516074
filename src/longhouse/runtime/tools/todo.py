"""The built-in tools for an agent's own plan: `todo_read` and `todo_write`.

They change nothing themselves: the new plan is part of the result, and the loop journals it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from longhouse.protocol.events import Todo, TodoStatus
from longhouse.runtime.tools.base import ToolContext, ToolFailed, ToolResult, tool

_MARKS = {TodoStatus.PENDING: "[ ]", TodoStatus.IN_PROGRESS: "[>]", TodoStatus.COMPLETED: "[x]"}


class TodoInput(BaseModel):
    """One todo, as the model writes it."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(description="Short and unique, such as 1")]
    title: str
    status: TodoStatus = TodoStatus.PENDING


@tool(reads_only=True)
async def todo_read(ctx: ToolContext) -> str:
    """Read your plan."""
    return _listed(ctx.todos)


# It changes the agent's own notes and nothing in the world: no permission is asked for that.
@tool(reads_only=True, parallel=False)
async def todo_write(todos: list[TodoInput]) -> ToolResult:
    """Replace your plan: the whole list, in order, with at most one todo in progress."""
    plan = tuple(
        Todo(id=each.id.strip(), title=each.title.strip(), status=each.status) for each in todos
    )
    _check(plan)
    return ToolResult(content=_listed(plan), todos=plan)


def _check(plan: Sequence[Todo]) -> None:
    """Raise `ToolFailed` for a plan that cannot stand."""
    twice = [name for name, count in Counter(todo.id for todo in plan).items() if count > 1]
    if twice:
        raise ToolFailed(f"These ids occur twice: {', '.join(twice)}. Each todo has its own.")
    if any(not todo.id for todo in plan):
        raise ToolFailed("A todo has an empty id. Give each its own, such as 1, 2, 3.")
    if untitled := [todo.id for todo in plan if not todo.title]:
        raise ToolFailed(f"These todos have no title: {', '.join(untitled)}. Say what is to do.")
    busy = [todo.id for todo in plan if todo.status is TodoStatus.IN_PROGRESS]
    if len(busy) > 1:
        raise ToolFailed(
            f"{len(busy)} todos are in progress ({', '.join(busy)}). Work on one at a time: set "
            "the others to pending or completed."
        )


def _listed(plan: Sequence[Todo]) -> str:
    return (
        "\n".join(f"{_MARKS[todo.status]} {todo.id}: {todo.title}" for todo in plan) or "No todos."
    )
