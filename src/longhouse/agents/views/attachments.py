"""Pictures and documents as clients send and get them."""

import base64
import binascii
from urllib.parse import quote

from pydantic import Field, field_validator

from longhouse.agents.attachments import Stored
from longhouse.kit.api import Body
from longhouse.protocol.events import Attached
from longhouse.runtime.attachments import LONGEST_NAME, PICTURES, Attachment


class AttachmentBody(Body):
    """A picture (PNG, JPEG, GIF, WebP) or a PDF, with a message."""

    data: str = Field(description="Its bytes, in base64.", examples=["iVBORw0KGgo="])
    name: str = Field("", max_length=LONGEST_NAME, examples=["shot.png"])
    media_type: str = Field(
        "",
        max_length=200,
        description="What you take it for; it is refused if its bytes say otherwise.",
        examples=["image/png"],
    )

    @field_validator("data")
    @classmethod
    def _is_base64(cls, value: str) -> str:
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("it is not base64") from None
        return value

    def value(self) -> Attachment:
        """As the service has it. Raises `NotAttachable`."""
        return Attachment(base64.b64decode(self.data), self.name, self.media_type)


def headers_of(stored: Stored) -> dict[str, str]:
    """How a browser is to take it: a picture may be shown, anything else is saved."""
    shown = "inline" if stored.attached.media_type in PICTURES else "attachment"
    name = stored.attached.name or _unnamed(stored.attached)
    return {
        "Content-Disposition": f"{shown}; filename*=UTF-8''{quote(name, safe='')}",
        "X-Content-Type-Options": "nosniff",
    }


def _unnamed(attached: Attached) -> str:
    return f"{attached.digest[:12]}.{attached.media_type.partition('/')[2]}"
