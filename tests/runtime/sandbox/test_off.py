"""What commands without a sandbox are held to all the same."""

import contextlib
import os
import subprocess
import sys
import uuid
from pathlib import Path

from tests.patience import wait_until

from longhouse.runtime.sandbox.base import Command
from longhouse.runtime.sandbox.off import Unprotected

SERVER = """
import asyncio, sys
from pathlib import Path
from longhouse.runtime.sandbox.base import Command
from longhouse.runtime.sandbox.off import Unprotected

async def main():
    script = f"(setsid sleep {sys.argv[2]} &); sleep {sys.argv[2]}"
    command = Command(argv=("sh", "-c", script), workspace=Path(sys.argv[1]))
    await (await Unprotected().start(command)).wait()

asyncio.run(main())
"""


def sleeping(mark: str) -> int:
    """How many processes of this machine sleep for `mark` seconds."""
    count = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):  # a process may end while we look
                words = Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
                count += words[:2] == [b"sleep", mark.encode()]
    return count


def test_nothing_survives_a_server_that_is_killed(tmp_path: Path) -> None:
    mark = f"600.{uuid.uuid4().int % 10**12:012}"
    server = subprocess.Popen([sys.executable, "-c", SERVER, tmp_path, mark])
    try:
        wait_until(lambda: sleeping(mark) == 2)
    finally:
        server.kill()
        server.wait()

    wait_until(lambda: sleeping(mark) == 0)


def children() -> set[str]:
    """The processes that this one has started."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


async def test_no_guard_is_left_behind(tmp_path: Path) -> None:
    before = children()

    await Unprotected().run(Command(argv=("true",), workspace=tmp_path))

    assert children() <= before
