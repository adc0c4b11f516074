"""Which files that an agent has read are different by now.

Used by the turn loop before each model call. There is no watcher of the operating system: one
`stat` for each file is cheaper than that, works on every file system and misses nothing that is
still there. It tells; the file tools refuse on their own to write over what was not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from longhouse.runtime.tools.beneath import MAX_FILE, Beneath, Stamp, digest

MOST_FILES = 1000
"""Files looked at before a model call: the last ones that the agent came to know."""

GONE = ""
"""Stands for the digest of a file that is not there."""


class FileWatch:
    """Looks at the files of one agent, and reads only those whose stamp is another."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Stamp, str]] = {}

    def look(self, workspace: Path, paths: Sequence[str]) -> dict[str, str]:
        """The digest of each file as it is now, `GONE` where none is. Blocks."""
        try:
            opened = Beneath(workspace)
        except OSError:
            return {}  # the workspace itself is gone: whoever uses it next says so
        with opened as inside:
            return {path: self._digest(inside, path) for path in paths[-MOST_FILES:]}

    def _digest(self, inside: Beneath, path: str) -> str:
        # Before the file is read: what changes meanwhile has another stamp at the next look.
        stamp = inside.stamp(path)
        if stamp is None:
            self._known.pop(path, None)
            return GONE
        known = self._known.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        data = inside.peek(path, limit=MAX_FILE)
        found = GONE if data is None else digest(data)
        self._known[path] = (stamp, found)
        return found
