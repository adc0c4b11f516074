"""The text of an API key: made once, read back without a look-up. Pure.

    mmc_ + base64url( <tenant>_<agent>_<random>_v2.<checksum> )        without padding

The agent is empty for a key of the whole tenant. The checksum (CRC-32 of what stands before the
point, eight hexadecimal digits) finds every wrong character: an error of up to 32 bits in a row
never passes it, and a character of base64 carries six. Keys of the old form end in `_v1`, have no
checksum, and may be in any base64. Ids are opaque here. Nothing is secret but the random part.
"""

import base64
import binascii
import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass

PREFIX = "mmc_"
RANDOM_BYTES = 20  # 160 bits
MOST_CHARACTERS = 1000
HINT_CHARACTERS = 6
"""Of a key's end that lists show, so that people tell keys apart: mostly checksum."""

_VERSIONED = re.compile(r"(?P<body>.+)_(?P<random>[^_]+)_(?P<version>v\d+)(?:\.(?P<sum>\w+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyText:
    """What the text of a key says of itself; whether there is such a key, it does not know."""

    tenant_id: str
    agent_id: str | None
    random: str
    version: str

    @property
    def random_hash(self) -> str:
        """The random part, told without telling it."""
        return hashlib.sha256(self.random.encode()).hexdigest()[:16]


def make(tenant_id: str, agent_id: str | None) -> str:
    """The text of a new key."""
    body = f"{tenant_id}_{agent_id or ''}_{secrets.token_hex(RANDOM_BYTES)}_v2"
    said = f"{body}.{_checksum(body)}"
    return PREFIX + base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def parse(text: str) -> KeyText | None:
    """What the text says; None for what cannot be a key, a wrong character included."""
    said = _decoded(text)
    found = None if said is None else _VERSIONED.fullmatch(said)
    if said is None or found is None:
        return None
    whole, version = found["sum"], found["version"]
    if version == "v1" and whole is not None:
        return None
    if version != "v1" and not (whole == _checksum(said[: -len(whole or "") - 1]) and _exact(text)):
        return None
    owner = _owner(found["body"])
    if owner is None:
        return None
    return KeyText(tenant_id=owner[0], agent_id=owner[1], random=found["random"], version=version)


def hint_of(text: str) -> str:
    """The end of a key, by which people tell it from others."""
    return text[-HINT_CHARACTERS:]


def _owner(body: str) -> tuple[str, str | None] | None:
    """Tenant and agent; both ids may have underscores, and agents' begin with `agent_`."""
    if body.endswith("_"):
        return (body[:-1], None) if body[:-1] else None
    tenant, found, agent = body.rpartition("_agent_")
    if found:
        return (tenant, f"agent_{agent}") if tenant and agent else None
    tenant, found, agent = body.partition("_")
    return (tenant, agent) if tenant and found and agent and "_" not in agent else None


def _decoded(text: str) -> str | None:
    body = text.removeprefix(PREFIX)
    if body == text or len(text) > MOST_CHARACTERS:
        return None
    body = body.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), altchars="-_", validate=True).decode(
            "ascii"
        )
    except (ValueError, binascii.Error):
        return None


def _exact(text: str) -> bool:
    """Whether it is written as `make` writes it: base64 has bits that say nothing."""
    said = _decoded(text)
    assert said is not None
    return text == PREFIX + base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
