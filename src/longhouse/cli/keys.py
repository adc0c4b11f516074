"""One key at a time from the terminal, while everything else goes on.

`chat` opens a `Keyboard` for the time of a turn. Typed letters are not echoed then, Ctrl-C still is
a signal, and what was typed before a question came does not answer it.
"""

import asyncio
import codecs
import os
import sys
import termios
import tty
from collections.abc import Callable
from types import TracebackType
from typing import Self

ENTER = "\n"
ESCAPE = "\x1b"
BACKSPACE = "\x7f"
ERASE_ALL = "\x15"  # Ctrl-U
END = "\x04"  # Ctrl-D

READ_BYTES = 1024


class Keyboard:
    """The keys of the terminal on standard input. Use it as a context manager inside the loop."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._keys: asyncio.Queue[str] = asyncio.Queue()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor, termios.TCSADRAIN)
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        # Flush: what was typed blindly during the turn is no message.
        termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._before)

    def forget(self) -> None:
        """What was typed up to now answers no question that comes."""
        termios.tcflush(self._descriptor, termios.TCIFLUSH)
        while not self._keys.empty():
            self._keys.get_nowait()

    async def key(self) -> str:
        """The next key; pasted text is none."""
        while True:
            typed = await self._keys.get()
            if len(typed) == 1:
                return typed

    async def line(self, changed: Callable[[str], None]) -> str | None:
        """A line; `changed` is told what it holds at each key. None when Escape ends it."""
        text = ""
        changed(text)
        while True:
            typed = await self._keys.get()
            if typed in {ESCAPE, END}:
                return None
            if typed.startswith(ESCAPE):
                continue  # an arrow or function key
            for letter in typed.replace("\r", ENTER):
                if letter == ENTER:
                    return text.strip()
                text = edited(text, letter)
            changed(text)

    def _read(self) -> None:
        data = os.read(self._descriptor, READ_BYTES)
        if not data:  # the terminal is gone
            asyncio.get_running_loop().remove_reader(self._descriptor)
            self._keys.put_nowait(END)
        elif text := self._decoder.decode(data):
            self._keys.put_nowait(text)


def edited(text: str, letter: str) -> str:
    """A line after one more key: a letter, or one that erases."""
    match letter:
        case "\x7f" | "\b":
            return text[:-1]
        case "\x15":
            return ""
        case _:
            return text + letter if letter.isprintable() else text
