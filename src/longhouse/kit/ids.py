"""Identifiers: a readable prefix and a UUID of version 7, so that they sort by time of birth.

Every room makes its ids here (`ses_0198…`). They are safe in URLs and file names and carry no
secret; they prove nothing about who may see the thing they name.
"""

import re

from uuid_utils import uuid7

_BODY = re.compile(r"[0-9a-f]{32}")


def new_id(prefix: str) -> str:
    """A fresh id such as `agt_01981f5e6a7b7c8d9e0f1a2b3c4d5e6f`; later ones sort after earlier."""
    return f"{prefix}_{uuid7().hex}"


def is_id(text: str, prefix: str) -> bool:
    """Whether this text has the form `new_id(prefix)` gives; says nothing about existence."""
    head, _, body = text.rpartition("_")
    return head == prefix and _BODY.fullmatch(body) is not None
