"""Keys of a terminal, as the bytes it sends."""

import os
import pty
import sys
from collections.abc import Iterator

import pytest

from longhouse.cli.keys import ESCAPE, Keyboard, edited


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The other end of a terminal that is standard input."""
    master, slave = pty.openpty()
    with os.fdopen(slave) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield master
    os.close(master)


async def test_a_key_is_one_letter_and_pasted_text_is_none(terminal: int) -> None:
    with Keyboard() as keyboard:
        os.write(terminal, b"yes please")
        pasted = await keyboard._keys.get()
        os.write(terminal, "é".encode())

        assert pasted == "yes please"
        assert await keyboard.key() == "é"


async def test_a_line_is_edited_and_told_as_it_grows(terminal: int) -> None:
    seen: list[str] = []
    with Keyboard() as keyboard:
        os.write(terminal, b"noo\x7f \n")

        assert await keyboard.line(seen.append) == "no"

    assert seen[0] == ""


async def test_escape_ends_a_line_without_one(terminal: int) -> None:
    with Keyboard() as keyboard:
        os.write(terminal, ESCAPE.encode())

        assert await keyboard.line(lambda _: None) is None


@pytest.mark.parametrize(
    ("text", "letter", "after"),
    [
        ("no", "t", "not"),
        ("no", "\x7f", "n"),
        ("", "\b", ""),
        ("no way", "\x15", ""),
        ("no", "\x07", "no"),
    ],
)
def test_a_key_changes_a_line(text: str, letter: str, after: str) -> None:
    assert edited(text, letter) == after
