"""Keeps the head and the tail of what a command prints, in bounded memory.

Fed by the runners of `process`; knows no processes and no files.
"""

from __future__ import annotations

from longhouse.runtime.sandbox.base import Listener


class Capture:
    """Output of any length in `limit` bytes: the beginning and the end, the middle counted."""

    def __init__(self, limit: int, listener: Listener | None = None) -> None:
        """`listener` gets every piece, also what is not kept."""
        self._listener = listener
        self._head_size = limit // 2
        self._tail_size = limit - self._head_size
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        if self._listener is not None:
            self._listener(data)
        self._total += len(data)
        room = self._head_size - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        # Cut only when it has doubled, so that many small pieces cost one copy each.
        if len(self._tail) > 2 * self._tail_size:
            del self._tail[: len(self._tail) - self._tail_size]

    @property
    def overflowing(self) -> bool:
        """More has come than is kept."""
        return self._total > self._head_size + self._tail_size

    @property
    def dropped(self) -> int:
        """How many bytes are missing from the middle."""
        return max(self._total - self._head_size - self._tail_size, 0)

    def result(self) -> bytes:
        """What is kept, with a line that says how much is missing where it is missing."""
        if not self.dropped:
            return bytes(self._head + self._tail)
        tail = self._tail[len(self._tail) - self._tail_size :]
        gap = b"\n[... %d bytes cut ...]\n" % self.dropped
        return bytes(self._head + gap + tail)
