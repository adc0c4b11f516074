"""Whose processes try to get out: root's, or those of a user who is nobody special."""

import json
import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

Work = Callable[[Path], dict[str, Any]]

ORDINARY = "ordinary user"
ROOT = "root"

ORDINARY_ID = 60_000 + os.getpid() % 1_000
"""A user of this test process alone: the kernel counts processes by user, and so do limits."""

ME = ROOT if os.geteuid() == 0 else ORDINARY

USERS = (ROOT, ORDINARY) if ME == ROOT else (ORDINARY,)
"""Who can be had here: only root can become somebody else."""


def as_user(user: str, work: Work) -> dict[str, Any]:
    """What `work` returns in a process of that user, with a directory of its own."""
    return as_ordinary_user(work) if user == ORDINARY else _here(work)


def as_ordinary_user(work: Work) -> dict[str, Any]:
    """What `work` returns in a process that is not root's: this one, or one made for it."""
    return _there(work) if ME == ROOT else _here(work)


def _here(work: Work) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        return work(Path(place))


def _there(work: Work) -> dict[str, Any]:
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory() as place:
        os.chown(place, ORDINARY_ID, ORDINARY_ID)
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            try:
                os.setgroups([])
                os.setresgid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID)
                os.setresuid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID)
                answer = {"outcome": work(Path(place))}
            except BaseException:  # noqa: BLE001 - told to the parent, whatever it is
                answer = {"problem": {"traceback": traceback.format_exc()}}
            try:
                with os.fdopen(writer, "w") as told:
                    json.dump(answer, told)
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as heard:
            said: dict[str, dict[str, Any]] = json.loads(heard.read() or "{}")
        os.waitpid(child, 0)
    assert "outcome" in said, said.get("problem", {}).get("traceback", "it said nothing")
    return said["outcome"]
