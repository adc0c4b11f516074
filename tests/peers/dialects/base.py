"""What the scripted server needs of a vendor's protocol; one module here for each.

A dialect is pure: it reads a request body into an `Ask` and writes a `Turn` as the vendor's JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from tests.peers.script import Ask, Json, Turn


@dataclass(frozen=True)
class Tokens:
    """What an answer claims to have used."""

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0


SseEvent: TypeAlias = tuple[str | None, Any]
"""Name of a server-sent event, or None, and its data: JSON, or text that goes out as it is."""


class Dialect(Protocol):
    """One vendor's protocol."""

    def ask(self, body: Json) -> Ask:
        """The conversation in a request. Raises KeyError and the like on a broken one."""
        ...

    def answer(self, body: Json, turn: Turn, tokens: Tokens) -> Json:
        """The answer in one piece."""
        ...

    def stream(self, body: Json, turn: Turn, tokens: Tokens) -> list[SseEvent]:
        """The answer in events."""
        ...

    def error(self, status: int, message: str, *, kind: str | None = None) -> Json:
        """An error body. `kind`: the vendor's own word for it, if the status is not enough."""
        ...
