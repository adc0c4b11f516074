"""The built-in tools in one list: what a runtime offers when nobody names others."""

from __future__ import annotations

from longhouse.runtime.tools.base import Tool
from longhouse.runtime.tools.delegate import task_run
from longhouse.runtime.tools.files import fs_edit, fs_multi_edit, fs_read, fs_write
from longhouse.runtime.tools.search import fs_glob, fs_grep
from longhouse.runtime.tools.shell import bash_kill, bash_logs, bash_run
from longhouse.runtime.tools.skills import skills
from longhouse.runtime.tools.todo import todo_read, todo_write


def builtin_tools() -> tuple[Tool, ...]:
    """All built-in tools, in the order a model reads them."""
    return (
        fs_read,
        fs_write,
        fs_edit,
        fs_multi_edit,
        fs_glob,
        fs_grep,
        bash_run,
        bash_logs,
        bash_kill,
        todo_read,
        todo_write,
        skills,
        task_run,
    )
