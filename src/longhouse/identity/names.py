"""Names of tenants and keys: their normal form, and what they are compared by. Pure."""

import unicodedata

from longhouse.kit.errors import InvalidInput

MOST_CHARACTERS = 100


def checked(name: str, *, field: str = "name") -> str:
    """The name in normal form. Raises `InvalidInput` for one that is empty, long or unprintable."""
    normal = " ".join(unicodedata.normalize("NFKC", name).split())
    if not normal or len(normal) > MOST_CHARACTERS or not normal.isprintable():
        message = f"A name has 1 to {MOST_CHARACTERS} printable characters."
        raise InvalidInput(message, errors=[{"field": field, "message": message}])
    return normal


def key_of(name: str) -> str:
    """What names are compared by: neither case nor width counts."""
    return unicodedata.normalize("NFKC", name).strip().casefold()
