"""What the doctor finds, thing by thing and as a whole."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Shell, bare_environment

from longhouse.cli import doctor
from longhouse.cli.doctor import Finding, Status


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A machine without a server."""
    return Shell(bare_environment(tmp_path) | {"LONGHOUSE_PORT": "0"})


def findings(text: str) -> dict[str, Finding]:
    return {
        each["name"]: Finding(
            name=each["name"],
            status=Status(each["status"]),
            detail=each["detail"],
            fix=each["fix"],
        )
        for each in json.loads(text)
    }


class TestChecks:
    def test_an_old_python_is_missing_something(self) -> None:
        assert doctor.check_python((3, 11, 0)).status is Status.OK
        old = doctor.check_python((3, 10, 9))
        assert old.status is Status.MISSING
        assert "3.11" in old.fix

    def test_a_directory_that_cannot_be_written_says_what_to_set(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")

        found = doctor.check_directory(tmp_path / "file")

        assert found.status is Status.MISSING
        assert "LONGHOUSE_DATA_DIR" in found.fix

    def test_a_directory_that_is_not_there_yet_is_fine_and_not_made(self, tmp_path: Path) -> None:
        found = doctor.check_directory(tmp_path / "new" / "data")

        assert found.status is Status.OK
        assert "made at the first start" in found.detail
        assert list(tmp_path.iterdir()) == []

    def test_variables_that_nobody_reads_are_named_and_our_own_are_not(self) -> None:
        found = doctor.check_settings(("LONGHOUSE_PROT", "LONGHOUSE_TOKEN"))

        assert found.status is Status.NOTE
        assert "LONGHOUSE_PROT" in found.detail
        assert "LONGHOUSE_TOKEN" not in found.detail

    def test_without_a_console_the_rest_works(self, tmp_path: Path) -> None:
        assert doctor.check_console(tmp_path).status is Status.NOTE
        (tmp_path / "index.html").write_text("")
        assert doctor.check_console(tmp_path).status is Status.OK


class TestCommand:
    def test_on_a_machine_that_has_everything_it_exits_with_0_and_changes_nothing(
        self, shell: Shell, tmp_path: Path
    ) -> None:
        done = shell.run("doctor", "--json")

        found = findings(done.out)
        assert done.code == 0, done.out
        assert found["sandbox"].status is Status.NOTE, "it was turned off by name"
        assert found["models"].detail.startswith("`auto` means the scripted demo model")
        assert found["server"].status is Status.NOTE
        assert "longhouse serve" in found["server"].fix
        assert list(tmp_path.iterdir()) == []

    def test_a_key_is_seen_and_never_shown(self, shell: Shell) -> None:
        with_key = shell.with_variables(ANTHROPIC_API_KEY="sk-very-secret", LONGHOUSE_MODEL="auto")

        done = with_key.run("doctor", "--json")

        assert findings(done.out)["models"].status is Status.OK
        assert "anthropic:" in findings(done.out)["models"].detail
        assert "very-secret" not in done.out + done.err

    @pytest.mark.parametrize(
        ("variables", "name"),
        [
            ({"LONGHOUSE_MODEL": "openai:gpt-4o"}, "models"),
            ({"LONGHOUSE_PORT": "x"}, "settings"),
            ({"LONGHOUSE_DATABASE_URL": "sqlite:////dev/null/x.db"}, "database"),
            ({"PATH": "/nowhere"}, "git"),
            ({"PATH": "/nowhere", "LONGHOUSE_SANDBOX": "auto"}, "sandbox"),
        ],
    )
    def test_what_is_needed_and_missing_is_told_with_its_fix(
        self, shell: Shell, variables: dict[str, str], name: str
    ) -> None:
        done = shell.with_variables(**variables).run("doctor", "--json")

        found = findings(done.out)[name]
        assert done.code == 1
        assert found.status is Status.MISSING
        assert found.fix

    def test_a_person_gets_a_list_with_what_would_help(self, shell: Shell) -> None:
        done = shell.with_variables(PATH="/nowhere").run("doctor")

        assert "✗ git" in done.out
        assert "→ " in done.out
        assert "1 thing missing" in done.err

    def test_a_port_that_our_server_has_is_no_trouble(self, served_shell: Shell) -> None:
        port = served_shell.server.rpartition(":")[2]

        done = served_shell.with_variables(LONGHOUSE_PORT=port).run("doctor", "--json")

        assert done.code == 0, done.out
        assert served_shell.server in findings(done.out)["port"].detail
        assert findings(done.out)["database"].detail == "SQLite answers"
        assert findings(done.out)["server"].status is Status.OK
