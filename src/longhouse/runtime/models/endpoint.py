"""Where a vendor's model is and how to reach it: values, checked when they are made.

Made by `environment` (or an embedder), read by `vendors` and what it imports. It connects nowhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from longhouse.runtime.attachments import PICTURES
from longhouse.runtime.model import ModelRefused


class WireProtocol(StrEnum):
    """The language an endpoint speaks."""

    OPENAI = "openai"  # POST {base_url}/chat/completions
    ANTHROPIC = "anthropic"  # POST {base_url}/v1/messages


DEFAULT_BASE_URLS = {
    WireProtocol.OPENAI: "https://api.openai.com/v1",
    WireProtocol.ANTHROPIC: "https://api.anthropic.com",
}

CONNECT_SECONDS = 10.0
"""Longer than any healthy network needs, short enough for a person who waits."""

IDLE_SECONDS = 300.0
"""Without one byte from the vendor. Reasoning models think for minutes before the first."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a model is and how to reach it. The `…_setting`s name what a person has to change."""

    protocol: WireProtocol
    base_url: str
    api_key: str = field(repr=False)  # empty: the endpoint needs none (a local server)
    model: str  # as the vendor names it
    vendor: str = ""  # who answers; what it signed goes back to it only. Default: the host
    scope: str = "the environment"  # where the settings below are
    key_setting: str = "the API key"
    base_url_setting: str = "the base URL"
    model_setting: str = "the model name"
    media_types: frozenset[str] = PICTURES  # what the model can be shown besides words
    max_output_tokens: int | None = None  # of one answer, where the vendor refuses to be asked more
    connect_seconds: float = CONNECT_SECONDS
    idle_seconds: float = IDLE_SECONDS

    def __post_init__(self) -> None:
        """Raises `ModelRefused` on values that no client could use."""
        object.__setattr__(self, "api_key", self.api_key.strip())
        object.__setattr__(self, "base_url", self._checked_url())
        if not self.vendor:
            object.__setattr__(self, "vendor", urlsplit(self.base_url).hostname or "vendor")
        # A key with a line break would come back in the HTTP library's own error, in clear.
        if not re.fullmatch(r"[\x21-\x7e]*", self.api_key):
            raise ModelRefused(
                f"The key in {self.key_setting} ({self.scope}) has characters that no key has.",
                hint="Copy it again, without spaces and line breaks inside.",
            )

    def _checked_url(self) -> str:
        url = self.base_url.strip().rstrip("/")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
            credentials = parts.username is not None
        except ValueError:
            usable = credentials = False
        if not usable or credentials:
            raise ModelRefused(
                f"{self.base_url_setting} ({self.scope}) is not a base URL.",
                hint="It begins with http:// or https://, names a host and holds no password.",
            )
        if self.protocol is WireProtocol.ANTHROPIC:
            # This protocol's clients add /v1 themselves; people paste it all the same.
            url = url.removesuffix("/v1")
        return url
