"""The port to a language model: what the turn loop asks, and what it gets back.

Implemented by `models/` (demo, vendors) and by any embedder with one method. Nothing here knows a
vendor, a key or the network, and nothing here retries: errors say by their type whether a retry can
help, and the loop decides.

    ModelError
    ├── ModelUnavailable      try again: busy, time-out, connection lost, 5xx, 429
    ├── ModelRefused          final: bad key, no such model, wrong base URL, bad request
    │   └── FilesRefused      … perhaps because of the attachments that went with it
    └── ModelDenied           the embedder's hooks did not let the call happen
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import msgspec

from longhouse.kit.errors import LonghouseError
from longhouse.protocol.events import Attached, Delta, Outcome, Text, Thinking, ToolCall, Usage
from longhouse.runtime.tools.base import Tool

Block: TypeAlias = Thinking | Text | ToolCall
"""A part of a model's answer. It is the event body itself: what the model said is what is kept."""


# Structs without the garbage collector: a session has thousands, all made anew when it is opened.
class UserMessage(msgspec.Struct, frozen=True, gc=False):
    """Something a person (or another agent) said, or a reminder of the runtime's own."""

    text: str
    attachments: tuple[Attached, ...] = ()


class AssistantMessage(msgspec.Struct, frozen=True, gc=False):
    """One answer of the model, in its order."""

    blocks: tuple[Block, ...]


class ToolMessage(msgspec.Struct, frozen=True, gc=False):
    """The result of one tool call of the answer before. Results come in the order of the calls."""

    call_id: str
    name: str
    content: str
    outcome: Outcome
    attachments: tuple[Attached, ...] = ()


Message: TypeAlias = UserMessage | AssistantMessage | ToolMessage


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRequest:
    """One model call.

    Attachments of the messages are such as the model takes (`Model.media_types`), with their bytes
    in `files`; what it cannot be shown is told in the messages' words.
    """

    step: int  # goes into every block and delta of the answer
    system: str
    messages: Sequence[Message]
    tools: Sequence[Tool]
    output_tokens: int
    files: Mapping[str, bytes] = field(default_factory=dict)  # digest -> bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelResponse:
    """A complete answer."""

    blocks: tuple[Block, ...]
    usage: Usage
    model: str  # as the vendor names it
    finish: str = "stop"


class Model(Protocol):
    """A model that can be called.

    `stream` yields deltas as they come and ends with exactly one `ModelResponse`. It raises
    `ModelError` and nothing else, may be closed at any moment (`aclose`) and then frees its
    connection at once.
    """

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def media_types(self) -> Set[str]:
        """What it can be shown besides words, such as `image/png`; nothing: an empty set."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | ModelResponse, None]:
        """One answer: its deltas as they come, then the whole."""
        ...


class Models(Protocol):
    """Finds the model of a post. Raises `ModelRefused` when it cannot be used, and says why."""

    def model(self, name: str) -> Model:
        """The model that a post names."""
        ...


class ModelError(LonghouseError):
    """A model call failed."""

    status = 502
    code = "model-failed"
    title = "The model call failed"


class ModelUnavailable(ModelError):
    """The call may work later. `retry_after`: seconds the vendor asks to wait, if it says so."""

    code = "model-unavailable"
    title = "The model is not available right now"

    def __init__(
        self, detail: str, *, hint: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(detail, hint=hint)
        self.retry_after = retry_after


class ModelRefused(ModelError):
    """The call will not work until somebody changes a setting."""

    code = "model-refused"
    title = "The model refused the call"


class FilesRefused(ModelRefused):
    """The call was refused, and may work without its attachments: the loop tries that."""

    code = "files-refused"
    title = "The model refused what was attached"


class ModelDenied(ModelError):
    """A hook of the embedder's did not let the call happen, or failed."""

    code = "model-denied"
    title = "The model call was denied"
