"""Pictures and documents that go with messages and results.

    await agent.send("What is wrong here?", attachments=[Attachment.of_file("shot.png")])

What they are is told by their bytes and by nothing else. The journal keeps those bytes beside its
events, under their digest; events, forks and summaries name the digest only. Used by agents, tools
and model calls; it reads no journal, and `sight` says what a model is shown of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from longhouse.kit.errors import InvalidInput, TooLarge
from longhouse.protocol.events import Attached

PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
PDF = "application/pdf"
MEDIA_TYPES = PICTURES | {PDF}
"""Everything that can be attached."""

MOST_BYTES = 5 << 20  # of one attachment, unless a runtime says otherwise: what vendors take
MOST_OF_A_MESSAGE = 20  # attachments
LONGEST_NAME = 255  # characters

PREFIX = "attachment:"
"""How a path begins by which `fs_read` shows an attachment again."""

ID_CHARACTERS = 12  # of a digest: enough to tell the attachments of a session apart

PICTURE_TOKENS = 1600  # about what vendors count for a picture of a usual size, or more
PDF_BYTES_PER_TOKEN = 30  # a page is some 60 kB and some 2,000 tokens


class NotAttachable(InvalidInput):
    """Neither a picture nor a PDF, or not the one that it is said to be."""

    code = "not-attachable"
    title = "This cannot be attached"


class AttachmentTooLarge(TooLarge):
    """An attachment over the limit of its runtime, or more attachments than a message has."""

    code = "attachment-too-large"
    title = "The attachment is too large"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A picture (PNG, JPEG, GIF, WebP) or a PDF. Raises `NotAttachable` for anything else."""

    data: bytes = field(repr=False)
    name: str = ""  # for people and the model; what stands before a slash is dropped
    media_type: str = ""  # what it is said to be, if anything; then what it is
    attached: Attached = field(init=False, repr=False, compare=False)  # what an event says of it

    def __post_init__(self) -> None:
        found = media_type_of(self.data)
        name = self.name.replace("\\", "/").rpartition("/")[2][-LONGEST_NAME:]
        said = self.media_type.partition(";")[0].strip().lower().replace("/jpg", "/jpeg")
        if found is None or (said and said != found):
            raise NotAttachable(
                f"The attachment {name!r} is not {said or 'a picture or a PDF'}"
                f"{f', but {found}' if found else ''}.",
                hint="Attach PNG, JPEG, GIF, WebP or PDF; put anything else into the message's "
                "words, or into the workspace.",
            )
        if not name.isprintable():
            raise NotAttachable(f"{name!r} cannot be an attachment's name.")
        digest = hashlib.sha256(self.data).hexdigest()
        attached = Attached(digest=digest, media_type=found, size=len(self.data), name=name)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "media_type", found)
        object.__setattr__(self, "attached", attached)

    @classmethod
    def of_file(cls, path: Path | str) -> Attachment:
        """The attachment that a file holds, by the file's name."""
        path = Path(path)
        return cls(path.read_bytes(), path.name)


def media_type_of(data: bytes) -> str | None:
    """What the bytes are, by how they begin; None for what cannot be attached."""
    match data[:16]:
        case head if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return "image/png"
        case head if head.startswith(b"\xff\xd8\xff"):
            return "image/jpeg"
        case head if head.startswith((b"GIF87a", b"GIF89a")):
            return "image/gif"
        case head if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return "image/webp"
        case head if head.startswith(b"%PDF-"):
            return PDF
        case _:
            return None


def check_sizes(attachments: Sequence[Attachment], *, most_bytes: int) -> None:
    """Raises `AttachmentTooLarge` unless a message may have these."""
    if len(attachments) > MOST_OF_A_MESSAGE:
        raise AttachmentTooLarge(
            f"The message has {len(attachments)} attachments.",
            hint=f"Send at most {MOST_OF_A_MESSAGE} with one message.",
        )
    for one in attachments:
        if len(one.data) > most_bytes:
            raise AttachmentTooLarge(
                f"The attachment {one.name!r} has {len(one.data):,} bytes.",
                hint=f"At most {most_bytes:,} are taken: make it smaller, or raise the limit "
                "(LONGHOUSE_MAX_ATTACHMENT_BYTES of a server).",
                max_attachment_bytes=most_bytes,
            )


def blobs_of(attachments: Iterable[Attachment]) -> dict[str, bytes]:
    """Their bytes by digest, as a journal takes them."""
    return {one.attached.digest: one.data for one in attachments}


def tokens_of(attached: Attached) -> int:
    """About how many tokens a model counts for it, rather too many than too few."""
    if attached.media_type == PDF:
        return attached.size // PDF_BYTES_PER_TOKEN + PICTURE_TOKENS
    return PICTURE_TOKENS


def short_id(attached: Attached) -> str:
    """By which an agent names it."""
    return attached.digest[:ID_CHARACTERS]


def described(attached: Attached) -> str:
    """It in words."""
    name = f"{attached.name} " if attached.name else ""
    return f"{name}({attached.media_type}, {attached.size:,} bytes)"


def shown_again(attachments: Iterable[Attached]) -> str:
    """What a model is told of attachments whose messages were summarised; empty without any."""
    lines = [f"- {PREFIX}{short_id(one)} {described(one)}" for one in attachments]
    if not lines:
        return ""
    head = "Attached to what was summarised, and shown again by fs_read with these paths:"
    return "\n\n" + "\n".join([head, *lines])
