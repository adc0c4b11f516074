"""The command line as such: help, versions, and how every error ends."""

import subprocess
import sys

import pytest

from longhouse import __version__
from longhouse.cli.main import COMMANDS, main

Captured = pytest.CaptureFixture[str]

LOADED = "import sys; from longhouse.cli.main import main; main(['--help']); print(*sys.modules)"


def test_help_names_every_command(capsys: Captured) -> None:
    assert main(["--help"]) == 0

    out = capsys.readouterr().out
    assert [command.name for command in COMMANDS if command.name not in out] == []


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_explains_itself(command: str, capsys: Captured) -> None:
    assert main([command, "--help"]) == 0

    assert "Usage: longhouse" in capsys.readouterr().out


def test_help_loads_neither_server_nor_client() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )

    loaded = set(done.stdout.split())
    assert loaded.isdisjoint({"fastapi", "sqlalchemy", "aiohttp", "longhouse.server.serve"})


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_the_version_is_data(arguments: list[str], capsys: Captured) -> None:
    assert main(arguments) == 0

    assert capsys.readouterr().out == f"longhouse {__version__}\n"


@pytest.mark.parametrize("arguments", [["nothing"], ["serve", "--nothing"], ["chat"]])
def test_what_nobody_understands_exits_with_2(arguments: list[str], capsys: Captured) -> None:
    assert main(arguments) == 2

    assert "Traceback" not in capsys.readouterr().err


def test_a_wrong_setting_is_one_line_that_names_it(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGHOUSE_PORT", "many")

    assert main(["create-admin", "--username", "ada", "--password", "12345678"]) == 78

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: The setting LONGHOUSE_PORT is not valid")


def test_no_server_is_one_line_that_says_how_to_start_one(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("LONGHOUSE_TOKEN", "any")

    assert main(["agents", "--server", "http://127.0.0.1:1"]) == 69

    (line,) = capsys.readouterr().err.splitlines()
    assert "127.0.0.1:1" in line
    assert "longhouse serve" in line


class TestUnexpected:
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise ZeroDivisionError("by chance")

        monkeypatch.setattr("longhouse.cli.main.version", fail)

    def test_nobody_sees_a_traceback(self, capsys: Captured) -> None:
        assert main(["version"]) == 70

        (line,) = capsys.readouterr().err.splitlines()
        assert "ZeroDivisionError: by chance" in line
        assert "LONGHOUSE_DEBUG=1" in line

    def test_unless_they_ask_for_it(
        self, capsys: Captured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LONGHOUSE_DEBUG", "1")

        assert main(["version"]) == 70

        assert "Traceback" in capsys.readouterr().err
