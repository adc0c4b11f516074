"""A conversation in a real terminal: keys, notes, Ctrl-C, and a server that dies in the middle."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import ADDRESS, LONGHOUSE, PASSWORD, Shell, bare_environment
from tests.ports import kept_port

# A process that has this terminal as its own, so that Ctrl-C in it is a signal.
IN_TERMINAL = (
    "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "from longhouse.cli.main import main; sys.exit(main())"
)
ROWS, COLUMNS = 40, 80
SEEN_WITHIN = 180.0  # seconds, on a machine that has other things to do

CONTROL_C, CONTROL_D = "\x03", "\x04"
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r|[\x01\x02]")
PROMPT = "worker > "
QUESTION = "i interrupt"


class Terminal:
    """A command in a terminal, what it showed, and keys for it."""

    def __init__(self, shell: Shell, *arguments: str, term: str = "xterm") -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", IN_TERMINAL, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**shell.environment, "TERM": term},
            start_new_session=True,
        )
        os.close(slave)
        self.shown = ""

    def until(self, text: str) -> str:
        """Wait for a text; what was shown since the last one, up to it, without colours."""
        deadline = time.monotonic() + SEEN_WITHIN
        while text not in self.shown:
            left = deadline - time.monotonic()
            assert self._read(left), f"{text!r} never came; last: {self.shown[-2000:]}"
        before, found, self.shown = self.shown.partition(text)
        return before + found

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def ended(self) -> int:
        """Wait for the end; the exit code."""
        deadline = time.monotonic() + SEEN_WITHIN
        while self._read(deadline - time.monotonic()):
            pass
        return self.process.wait(SEEN_WITHIN)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _read(self, within: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(within, 0))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # how a terminal says that nobody is at its other end
            return False
        self.shown += SEQUENCE.sub("", data.decode(errors="replace"))
        return bool(data)


@pytest.fixture
def worker(ada: Shell) -> Iterator[Shell]:
    """A shell with an agent called `worker` in the sample repository."""
    made = ada.run("agents", "create", "worker", "--repository", "sample")
    assert made.code == 0, made.err
    yield ada
    ada.run("agents", "delete", "worker", "--yes")


def test_a_person_allows_denies_with_a_note_and_leaves(worker: Shell) -> None:
    terminal = Terminal(worker, "chat", "worker")
    try:
        terminal.until(PROMPT)
        terminal.press("make the failing test pass\n")
        assert "python3 -B -m unittest" in terminal.until(QUESTION)
        terminal.press("y")
        terminal.until("exit 1")

        asked = terminal.until(QUESTION)
        assert "-    return price * (1 + percent / 100)" in asked
        assert "+    return price * (1 - percent / 100)" in asked
        terminal.press("n")
        terminal.until("why not?")
        terminal.press("noo\x7f, ask Ada\n")
        terminal.until("denied: no, ask Ada")
        terminal.until("done · ")

        terminal.until(PROMPT)
        terminal.press("/diff\n")
        terminal.until("Nothing was changed.")
        terminal.until(PROMPT)
        terminal.press(CONTROL_D)
        terminal.until("longhouse chat worker comes back here")
        assert terminal.ended() == 0
    finally:
        terminal.close()


def test_control_c_interrupts_and_the_session_can_be_gone_back_to(worker: Shell) -> None:
    terminal = Terminal(worker, "chat", "worker", "make the failing test pass")
    try:
        terminal.until(QUESTION)
        terminal.press(CONTROL_C)
        terminal.until("Interrupting")
        terminal.until("interrupted · ")
        assert terminal.ended() == 4
    finally:
        terminal.close()

    terminal = Terminal(worker, "chat", "worker")
    try:
        terminal.until("interrupted · ")  # the last turn is shown again
        terminal.until(PROMPT)
        terminal.press(CONTROL_D)
        assert terminal.ended() == 0
    finally:
        terminal.close()


def test_always_is_asked_once_for_each_tool(worker: Shell) -> None:
    terminal = Terminal(worker, "chat", "worker", "make the failing test pass", term="dumb")
    try:
        assert "bash_run asks" in terminal.until(QUESTION)
        terminal.press("a")
        assert "fs_edit asks" in terminal.until(QUESTION)
        terminal.press("d")
        terminal.until("+    return price")
        terminal.press("y")
        rest = terminal.until("done · ")
        assert "bash_run asks" not in rest
        assert "All tests pass now" in rest
        assert terminal.ended() == 0
    finally:
        terminal.close()


def test_a_decision_made_elsewhere_takes_the_question_away(worker: Shell) -> None:
    terminal = Terminal(worker, "chat", "worker", "make the failing test pass")
    try:
        terminal.until(QUESTION)
        session = re.search(r"session_\w+", worker.run("agents", "show", "worker").out)
        assert session

        elsewhere = worker.run(
            "chat", "worker", "-s", session[0], "--approve", "allow", "--json", "and then rest"
        )

        assert elsewhere.code == 0, elsewhere.err
        terminal.until("Somebody else decided:")
        terminal.until("done · ")
        assert terminal.ended() == 0
    finally:
        terminal.close()


@pytest.mark.slow
def test_a_server_that_is_killed_and_comes_back_costs_nothing(
    sqlite_template: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "longhouse.db").write_bytes(sqlite_template.read_bytes())
    shell = Shell(bare_environment(tmp_path))
    with kept_port() as port:
        survive(shell.with_variables(LONGHOUSE_SERVER=f"http://127.0.0.1:{port}"), port)


def survive(shell: Shell, port: int) -> None:
    """A conversation over the death of its server."""
    server = serve(shell, port)
    try:
        assert shell.run("create-admin", "--username", "ada", stdin=f"{PASSWORD}\n").code == 0
        assert shell.run("login", "-u", "ada", stdin=PASSWORD).code == 0
        assert shell.run("agents", "create", "worker", "-r", "sample").code == 0
        terminal = Terminal(shell, "chat", "worker", "make the failing test pass")
        try:
            terminal.until(QUESTION)
            server.send_signal(signal.SIGKILL)
            server.communicate()
            terminal.until("The connection is lost")
            terminal.press("a")  # decided while nobody listens
            server = serve(shell, port)

            told = terminal.until("The connection is back; nothing was missed.")
            assert "bash_run asks" not in told
            asked = terminal.until(QUESTION)
            assert asked.count("✗ bash_run") == 1
            terminal.press("y")
            terminal.until("All tests pass now")
            assert terminal.ended() == 0
        finally:
            terminal.close()
    finally:
        server.kill()
        server.communicate()


def serve(shell: Shell, port: int) -> subprocess.Popen[str]:
    """A server that answers at this port."""
    process = subprocess.Popen(
        [*LONGHOUSE, "serve", "--port", str(port)],
        env=dict(shell.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    found = next((found for line in process.stdout if (found := ADDRESS.search(line))), None)
    assert found, "the server ended"
    return process
