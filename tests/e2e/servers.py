"""A real server for end-to-end tests: a process of its own, with its own data, on a free port.

`serving` starts one and ends it; `start` gives one to be killed. What it printed is read line by
line, so a test waits for words and never for time; its log is kept beside its data and shown when
something goes wrong.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

LONGHOUSE = Path(sys.executable).with_name("longhouse")
"""The installed command, as people have it."""

STARTS_WITHIN = 180.0  # seconds, on a machine that has other things to do
ENDS_WITHIN = 180.0

ADDRESS = re.compile(r"^Longhouse is at (\S+)", re.MULTILINE)
LINK = re.compile(r"^(http\S+/setup#token=(\S+))", re.MULTILINE)


@dataclass(slots=True, kw_only=True)
class Server:
    """A server process, and what it has said so far."""

    process: asyncio.subprocess.Process
    data_dir: Path
    address: str = ""  # known once it answers
    printed: str = field(default="", repr=False)

    @property
    def log(self) -> str:
        """Everything written to the log by all servers of this directory."""
        return _log_file(self.data_dir).read_text("utf-8", "replace")

    async def ready(self) -> None:
        """Wait until it answers. Fails with the log when it ends instead."""
        async with asyncio.timeout(STARTS_WITHIN):
            while (found := ADDRESS.search(self.printed)) is None:
                await self._read_line()
        self.address = found[1]

    async def one_time_link(self) -> tuple[str, str]:
        """The link to make the first user with, and its token."""
        async with asyncio.timeout(STARTS_WITHIN):
            while (found := LINK.search(self.printed)) is None:
                await self._read_line()
        return found[1], found[2]

    async def ended(self) -> int:
        """Wait for its end; everything it printed is known then."""
        async with asyncio.timeout(ENDS_WITHIN):
            rest, _ = await self.process.communicate()
        self.printed += rest.decode()
        assert self.process.returncode is not None
        return self.process.returncode

    async def stop(self) -> int:
        """Ask it to stop; how it ended."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    def kill(self) -> None:
        """End it as a power cut would. `ended` follows."""
        if self.process.returncode is None:
            self.process.kill()

    async def _read_line(self) -> None:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, f"the server ended: {self.printed}\n{self.log}"
        self.printed += line.decode()


async def start(data_dir: Path, settings: Mapping[str, str] | None = None) -> Server:
    """Start a server on this directory. It may not be ready yet, or about to end."""
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with _log_file(data_dir).open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            LONGHOUSE,
            "serve",
            env=environment({"LONGHOUSE_DATA_DIR": str(data_dir), **(settings or {})}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    return Server(process=process, data_dir=data_dir)


@asynccontextmanager
async def serving(
    data_dir: Path, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Server]:
    """A server that answers while in the block."""
    server = await start(data_dir, settings)
    try:
        await server.ready()
        yield server
    finally:
        await end(server)


async def end(server: Server) -> None:
    """Make sure that it is gone and its pipe is closed."""
    server.kill()
    await server.process.communicate()


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these settings, and no surprises in the rest."""
    fixed = {
        "LONGHOUSE_PORT": "0",
        "LONGHOUSE_MODEL": "demo",
        "PYTHONWARNINGS": "error",
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    merged = {**os.environ, **fixed, **settings}
    return {name: value for name, value in merged.items() if value}


def _log_file(data_dir: Path) -> Path:
    return data_dir.with_name(f"{data_dir.name}.log")
