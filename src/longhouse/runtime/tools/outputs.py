"""What is cut from tools' results, kept so that their agent can read on.

`calls` cuts every result that is too long for the model; `fs_read` reads the whole of it under the
path `output:<call id>`. It lies outside every workspace, in a folder for each agent, and outlives
the process. Each agent's folder is bounded: the oldest outputs go first.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import shutil
from pathlib import Path

from longhouse.runtime.tools.text import OUTPUT_LIMIT

PREFIX = "output:"
"""How a path begins that names a kept output."""

KEPT_BYTES = 16 << 20
"""Kept of each agent's outputs, all together."""

_SLACK = 3_000  # a tool that cuts by itself adds a line on how to go on
_LINE_SEARCH = 2_000  # characters in which an end of line is looked for, to cut there

logger = logging.getLogger(__name__)


class Outputs:
    """The outputs of all agents, below one folder. It is made when there is something to keep."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    async def shorten(self, agent_id: str, call_id: str, content: str) -> str:
        """A result as the model reads it: whole, or its head and tail with how to read on."""
        if len(content) <= OUTPUT_LIMIT + _SLACK:
            return content
        try:
            await asyncio.to_thread(self._keep, agent_id, call_id, content.encode())
        except OSError as error:
            logger.warning("an output of agent %s is not kept: %s", agent_id, error)
            return _cut(content, "and could not be kept: ask for less at once")
        return _cut(
            content,
            f"the whole result ({_count_lines(content):,} lines) can be read with fs_read, "
            f"path={PREFIX}{call_id}, offset and limit",
        )

    def read(self, agent_id: str, call_id: str) -> str | None:
        """A kept output, whole; None when it is not there, or no longer. Blocks."""
        try:
            return self._file(agent_id, call_id).read_bytes().decode()
        except OSError:
            return None

    async def forget(self, agent_id: str) -> None:
        """Remove all that is kept of an agent."""
        await asyncio.to_thread(shutil.rmtree, self._folder(agent_id), ignore_errors=True)

    # --- how it is done ---------------------------------------------------------------------------

    def _keep(self, agent_id: str, call_id: str, data: bytes) -> None:
        folder = self._folder(agent_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_room(folder, KEPT_BYTES - len(data))
        target = self._file(agent_id, call_id)
        temporary = target.with_suffix(f".{secrets.token_hex(4)}.tmp")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(data[:KEPT_BYTES])
            temporary.replace(target)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def _make_room(self, folder: Path, limit: int) -> None:
        """Remove the oldest outputs until the rest is within the limit."""
        found = sorted(
            ((status.st_mtime_ns, status.st_size, path) for path, status in _statuses(folder)),
            reverse=True,
        )
        size = 0
        for _, length, path in found:
            size += length
            if size > limit:
                path.unlink(missing_ok=True)

    def _folder(self, agent_id: str) -> Path:
        # A digest: whatever the id says, its outputs are one folder right below the root.
        return self._root / _digest(agent_id)

    def _file(self, agent_id: str, call_id: str) -> Path:
        return self._folder(agent_id) / _digest(call_id)


def _statuses(folder: Path) -> list[tuple[Path, os.stat_result]]:
    return [(path, path.stat()) for path in folder.iterdir() if path.is_file()]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _count_lines(content: str) -> int:
    return content.count("\n") + (not content.endswith("\n"))


def _cut(content: str, words: str) -> str:
    """Head and tail, at ends of lines where some are near, with a line in between."""
    half = OUTPUT_LIMIT // 2
    end = content.rfind("\n", half - _LINE_SEARCH, half) + 1 or half
    start = content.find("\n", len(content) - half, len(content) - half + _LINE_SEARCH) + 1
    start = start or len(content) - half
    return (
        f"{content[:end].rstrip(chr(10))}\n"
        f"[... {start - end:,} characters cut; {words} ...]\n"
        f"{content[start:]}"
    )
