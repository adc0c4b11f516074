"""Reads server-sent events: bytes in, frames out. Pure; `client` feeds it.

Follows the WHATWG standard where a server of ours may send it: comments, `id`, `event`, `data` over
several lines, `retry`, any line end, and pieces cut anywhere, also inside a character.
"""

import re
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream. `id` is empty for what is live only."""

    id: str
    event: str
    data: bytes


class Parser:
    """Collects bytes until they make whole frames."""

    def __init__(self) -> None:
        self._rest = b""
        self._id = ""
        self._event = ""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that this chunk completes."""
        frames = []
        *lines, self._rest = self._split(self._rest + chunk)
        for line in lines:
            if line:
                self._take(line)
            elif (frame := self._complete()) is not None:
                frames.append(frame)
        return frames

    def _split(self, data: bytes) -> list[bytes]:
        # A CR at the very end may be half of a CRLF: wait for what comes.
        if data.endswith(b"\r"):
            *lines, last = _LINE_END.split(data[:-1])
            return [*lines, last + b"\r"]
        return _LINE_END.split(data)

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._data.append(value)
            case b"event":
                self._event = value.decode(errors="replace")
            case b"id" if b"\0" not in value:
                self._id = value.decode(errors="replace")
            case _:
                pass  # a comment, `retry` (see `client.Waits`), or a field of the future

    def _complete(self) -> Frame | None:
        frame = Frame(id=self._id, event=self._event or "message", data=b"\n".join(self._data))
        told = bool(self._data)
        # An id counts for its own frame only here: what is live has none, and says so that way.
        self._id, self._event, self._data = "", "", []
        return frame if told else None
