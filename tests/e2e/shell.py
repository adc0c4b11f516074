"""The `longhouse` command as people type it: alone, or in a terminal that answers keys."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.servers import LONGHOUSE, environment

ENDS_WITHIN = 180.0  # seconds, on a machine that has other things to do
SHOWN_WITHIN = 180.0
ROWS, COLUMNS = 40, 100

DRAWING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\r\x01\x02]")
"""How a terminal is told where and in which colour to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Shell:
    """Where one person types commands for one server."""

    home: Path
    server: str

    @property
    def environment(self) -> dict[str, str]:
        """Of the commands: with a configuration of this person's own."""
        home = {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "config")}
        return environment({"LONGHOUSE_SERVER": self.server, **home})

    async def run(self, *words: str, typed: str = "") -> Ran:
        """Run a command to its end."""
        process = await asyncio.create_subprocess_exec(
            LONGHOUSE,
            *words,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(ENDS_WITHIN):
            out, err = await process.communicate(typed.encode())
        assert process.returncode is not None
        return Ran(code=process.returncode, out=out.decode(), err=err.decode())

    async def succeed(self, *words: str, typed: str = "") -> str:
        """Run a command that must succeed; its output."""
        ran = await self.run(*words, typed=typed)
        assert ran.code == 0, f"longhouse {words}: {ran}"
        return ran.out

    @asynccontextmanager
    async def in_terminal(self, *words: str) -> AsyncIterator["Terminal"]:
        """Run a command in a terminal of its own while in the block."""
        master, slave = pty.openpty()
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            process = await asyncio.create_subprocess_exec(
                LONGHOUSE,
                *words,
                env=self.environment | {"TERM": "xterm"},
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
            )
        finally:
            os.close(slave)
        terminal = Terminal(process, master)
        loop = asyncio.get_running_loop()
        loop.add_reader(master, terminal.read)
        try:
            yield terminal
        finally:
            loop.remove_reader(master)
            if process.returncode is None:
                process.kill()
            await process.wait()
            os.close(master)


@dataclass(slots=True)
class Terminal:
    """A command in a terminal, what it showed since it was last waited for, and keys for it."""

    process: asyncio.subprocess.Process
    descriptor: int
    shown: str = ""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, *texts: str) -> tuple[str, str]:
        """Wait for the first of these texts; what was shown before it, and which one it is."""
        wanted = re.compile("|".join(re.escape(text) for text in texts))
        try:
            async with asyncio.timeout(SHOWN_WITHIN):
                while (found := wanted.search(self.shown)) is None:
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            raise AssertionError(f"none of {texts} was shown; last: {self.shown[-3000:]}") from None
        before, self.shown = self.shown[: found.start()], self.shown[found.end() :]
        return before, found[0]

    def press(self, keys: str) -> None:
        """Type this."""
        os.write(self.descriptor, keys.encode())

    async def ended(self) -> int:
        """Wait for the command's end; its exit code."""
        async with asyncio.timeout(ENDS_WITHIN):
            return await self.process.wait()

    def read(self) -> None:
        """Take in what is shown."""
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # how a terminal says that nobody is at its other end
            asyncio.get_running_loop().remove_reader(self.descriptor)
            return
        self.shown += DRAWING.sub("", data.decode(errors="replace"))
        self.news.set()
