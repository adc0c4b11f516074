"""A server of its own for the commands of these tests, and the commands as processes.

One server for all of them, on SQLite, without a sandbox and with the demo model: what the server
does is tested elsewhere.
"""

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from longhouse.cli.main import main

LONGHOUSE = (sys.executable, "-W", "error", "-m", "longhouse")
ADDRESS = re.compile(r"Longhouse is at (http://\S+)")
PASSWORD = "a password of tests"
ENDS_WITHIN = 180.0  # seconds, on a machine that has other things to do


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Shell:
    """Where commands are typed: an environment with one person's configuration."""

    environment: Mapping[str, str]

    @property
    def server(self) -> str:
        """The address of the server that the commands talk to."""
        return self.environment["LONGHOUSE_SERVER"]

    def with_variables(self, **more: str) -> "Shell":
        """The same with other variables."""
        return Shell({**self.environment, **more})

    def run(self, *arguments: str, stdin: str = "") -> Ran:
        """Run a command to its end, in this process: a fresh one takes a second to load."""
        out, err = _Stream(), _Stream()
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            mock.patch.object(sys, "stdin", _Stream(stdin)),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = main(arguments)
        return Ran(code, out.text, err.text)

    def run_process(self, *arguments: str, stdin: str = "") -> Ran:
        """Run a command to its end in a process of its own."""
        done = subprocess.run(
            [*LONGHOUSE, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=dict(self.environment),
            timeout=ENDS_WITHIN,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


class _Stream(io.TextIOWrapper):
    """A standard stream in memory, with its bytes below as a real one has them."""

    def __init__(self, text: str = "") -> None:
        super().__init__(io.BytesIO(text.encode()), encoding="utf-8", write_through=True)

    @property
    def text(self) -> str:
        """All that was written."""
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def bare_environment(directory: Path) -> dict[str, str]:
    """The environment of nobody: every file goes into this directory."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("LONGHOUSE_")}
    return own | {
        "HOME": str(directory),
        "XDG_CONFIG_HOME": str(directory / "config"),
        "LONGHOUSE_DATA_DIR": str(directory / "data"),
        "LONGHOUSE_SANDBOX": "off",
        "LONGHOUSE_MODEL": "demo",
        "NO_COLOR": "1",
        "COLUMNS": "80",
    }


@pytest.fixture(scope="session")
def served_shell(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shell]:
    """A shell beside a running server with one admin, `ada`; nobody has signed in."""
    directory = tmp_path_factory.mktemp("cli")
    environment = bare_environment(directory)
    (directory / "data").mkdir()
    shutil.copy(sqlite_template, directory / "data" / "longhouse.db")
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(
            [*LONGHOUSE, "serve", "--port", "0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        found = next((found for line in process.stdout if (found := ADDRESS.search(line))), None)
        assert found, (directory / "log").read_text()
        shell = Shell(environment | {"LONGHOUSE_SERVER": found[1]})
        made = shell.run_process("create-admin", "--username", "ada", stdin=f"{PASSWORD}\n")
        assert made.code == 0, made.err
        yield shell
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture
def nobody(served_shell: Shell, tmp_path: Path) -> Shell:
    """A shell of somebody who has not signed in."""
    return served_shell.with_variables(XDG_CONFIG_HOME=str(tmp_path / "config"))


@pytest.fixture
def ada(nobody: Shell) -> Shell:
    """A shell of the admin, signed in."""
    done = nobody.run("login", "--username", "ada", stdin=f"{PASSWORD}\n")
    assert done.code == 0, done.err
    return nobody
