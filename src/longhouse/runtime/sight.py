"""What of a conversation's attachments a model is shown in one call, and what it is told instead.

Pure decisions, made anew for each call by `model_calls`: the model may be another one by then. The
bytes are not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from msgspec.structs import replace

from longhouse.protocol.events import Attached
from longhouse.runtime.attachments import PREFIX, described, short_id
from longhouse.runtime.model import AssistantMessage, Message, ToolMessage, UserMessage

MOST_SHOWN = 20  # attachments of one model call: above, vendors want all of them to be small
MOST_SHOWN_BYTES = 20 << 20  # of one model call; a third more on the wire, and vendors take 32 MB


def left_out(
    messages: Sequence[Message], *, media_types: Set[str], refused: Set[str]
) -> dict[str, str]:
    """The attachments that a model is not shown in this call, by digest, and why.

    It is shown the newest that it takes, as many as fit into one call. `refused`: digests that its
    vendor did not take in an earlier one.
    """
    reasons: dict[str, str] = {}
    shown: set[str] = set()
    count = size = 0
    for attached in _newest_first(messages):
        if attached.media_type not in media_types:
            reasons[attached.digest] = "you cannot be shown files of this kind"
        elif attached.digest in refused:
            reasons[attached.digest] = "it was refused by your vendor"
        elif attached.digest in shown or (
            count < MOST_SHOWN and size + attached.size <= MOST_SHOWN_BYTES
        ):
            shown.add(attached.digest)
            count, size = count + 1, size + attached.size
        else:
            again = f"fs_read with path={PREFIX}{short_id(attached)} shows it again"
            reasons[attached.digest] = f"newer ones took its place; {again}"
    return reasons


def shown(messages: Sequence[Message]) -> frozenset[str]:
    """The digests of everything that is attached to these messages."""
    return frozenset(attached.digest for attached in _newest_first(messages))


def in_words(messages: Sequence[Message], reasons: Mapping[str, str]) -> tuple[Message, ...]:
    """The messages with what is left out told in words; the rest stays attached."""
    if not reasons:
        return tuple(messages)
    return tuple(_in_words(message, reasons) for message in messages)


def _newest_first(messages: Sequence[Message]) -> Iterable[Attached]:
    for message in reversed(messages):
        if not isinstance(message, AssistantMessage):
            yield from reversed(message.attachments)


def _in_words(message: Message, reasons: Mapping[str, str]) -> Message:
    if isinstance(message, AssistantMessage) or not message.attachments:
        return message
    kept = tuple(one for one in message.attachments if one.digest not in reasons)
    notes = "\n".join(
        f"[The attachment {described(one)} was left out: {reasons[one.digest]}.]"
        for one in message.attachments
        if one.digest in reasons
    )
    match message:
        case UserMessage():
            return replace(message, text=_joined(message.text, notes), attachments=kept)
        case ToolMessage():
            return replace(message, content=_joined(message.content, notes), attachments=kept)


def _joined(text: str, notes: str) -> str:
    return "\n\n".join(part for part in (text, notes) if part)
