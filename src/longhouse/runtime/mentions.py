"""Whom a text mentions: `@name` for a name that is known. Pure.

What looks like a mention and names nobody is plain text: a decorator, a package, a person who is
not here. Nothing is one inside code, addresses of the web or of e-mail. Upper and lower case, and
the widths that East Asian keyboards write, are the same; scripts that put no space between words
need none around a mention.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_NO_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`|\bhttps?://\S+", re.DOTALL | re.IGNORECASE)
"""Fenced blocks, code in a line, addresses of the web."""

_SPACELESS = (
    "BOPOMOFO",
    "CJK",
    "HANGUL",
    "HIRAGANA",
    "IDEOGRAPHIC",
    "KATAKANA",
    "KHMER",
    "LAO",
    "MYANMAR",
    "THAI",
)
"""What Unicode's names begin with, of letters in scripts that put no space between words, or put
the endings of words right behind a name."""


def mentioned(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """Which of these names a text mentions, each once, in the order of their first mention."""
    text = alike(_NO_PROSE.sub(" ", text))
    # The longest first: who mentions Ann-Marie does not mean Ann.
    known = sorted(((alike(name), name) for name in names), key=lambda each: -len(each[0]))
    found: dict[str, None] = {}
    place = text.find("@")
    while place >= 0:
        if not _continues(text[place - 1 : place], also="@\\"):
            for written, name in known:
                end = place + 1 + len(written)
                if text.startswith(written, place + 1) and _ends(text, end):
                    found[name] = None
                    break
        place = text.find("@", place + 1)
    return tuple(found)


def can_be_mentioned(name: str) -> bool:
    """Whether a mention of a name ends where the name does."""
    inside = all(letter in "-_" or _is_letter(letter) for letter in name)
    return bool(name) and inside and name[0] != "-" and name[-1] != "-"


def alike(text: str) -> str:
    """The text as it is compared: two names that give the same are the same name."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _ends(text: str, place: int) -> bool:
    """Whether a name that ends here is not the beginning of a longer one."""
    following, next_but_one = text[place : place + 1], text[place + 1 : place + 2]
    if following in {"-", ".", "@"}:  # ada-bot, ada.org, ada@example.org; but "Ask @ada."
        return not _continues(next_but_one)
    return not _continues(following)


def _continues(character: str, *, also: str = "") -> bool:
    """Whether a character next to a mention makes one word of both."""
    if not character:
        return False
    if character in also or character == "_":
        return True
    spaceless = unicodedata.name(character, "").startswith(_SPACELESS)
    return _is_letter(character) and not spaceless


def _is_letter(character: str) -> bool:
    """A letter, a digit, or a mark that belongs to the letter before it."""
    return character.isalnum() or unicodedata.category(character).startswith("M")
