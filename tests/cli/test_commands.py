"""The commands as a person or a script types them, against a running server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import PASSWORD, Shell

from longhouse.cli.errors import BadOption


def new_agent(shell: Shell, name: str, *arguments: str) -> str:
    """A new agent; its id."""
    done = shell.run("agents", "create", name, "--json", *arguments)
    assert done.code == 0, done.err
    agent_id: str = json.loads(done.out)["id"]
    return agent_id


class TestSigningIn:
    def test_a_login_lasts_until_it_is_ended(self, nobody: Shell) -> None:
        assert nobody.run("agents").code == 77
        assert nobody.run("login", "-u", "ada", stdin=PASSWORD).code == 0
        assert nobody.run("agents").code == 0

        ended = nobody.run("logout")

        assert ended.code == 0
        assert "Signed out" in ended.err
        assert nobody.run("agents").code == 77

    def test_a_wrong_password_is_one_line_with_the_request(self, nobody: Shell) -> None:
        done = nobody.run("login", "-u", "ada", stdin="wrong")

        assert done.code == 77
        (line,) = done.err.splitlines()
        assert line.startswith("error: The username or the password is wrong")
        assert "(req_" in line

    def test_without_a_server_nobody_is_asked_for_a_password(self, nobody: Shell) -> None:
        done = nobody.run("login", "-u", "ada", "--server", "http://127.0.0.1:1")

        assert done.code == 69
        assert "longhouse serve" in done.err

    def test_a_token_of_the_environment_needs_no_login(self, ada: Shell, tmp_path: Path) -> None:
        config = Path(ada.environment["XDG_CONFIG_HOME"]) / "longhouse" / "credentials.json"
        logins = json.loads(config.read_text())["logins"]
        token = logins[ada.server]["access_token"]
        other = ada.with_variables(XDG_CONFIG_HOME=str(tmp_path / "other"))

        assert other.with_variables(LONGHOUSE_TOKEN=token).run("agents").code == 0
        refused = other.with_variables(LONGHOUSE_TOKEN="forged").run("agents")

        assert refused.code == 77
        assert "LONGHOUSE_TOKEN" in refused.err

    def test_an_admin_is_made_beside_a_running_server(self, nobody: Shell) -> None:
        made = nobody.run("create-admin", "--username", "grace", stdin=f"{PASSWORD}\n")

        assert made.code == 0, made.err
        assert made.out.startswith("user_")
        assert PASSWORD not in made.out + made.err
        assert nobody.run("login", "-u", "grace", stdin=PASSWORD).code == 0

    def test_an_account_that_will_not_do_says_why(self, nobody: Shell) -> None:
        short = nobody.run("create-admin", "--username", "linus", stdin="short\n")
        taken = nobody.run("create-admin", "--username", "ADA", stdin=f"{PASSWORD}\n")

        assert short.code == 65
        assert "password: At least 8 characters" in short.err
        assert taken.code == 75
        assert "username" in taken.err


class TestAgents:
    def test_an_agent_is_made_listed_shown_and_deleted(self, ada: Shell) -> None:
        agent_id = new_agent(ada, "lister", "--repository", "sample")

        rows = [line.split("\t") for line in ada.run("agents").out.splitlines()]
        assert rows[0][:3] == ["name", "status", "post"]
        assert ["lister", "idle", "Engineer", "auto", "sample"] in [row[:5] for row in rows]
        assert agent_id in ada.run("agents", "show", "Lister").out
        assert ada.run("agents", "show", agent_id).code == 0

        assert ada.run("agents", "delete", "lister").code == 2, "nobody is there to confirm"
        assert ada.run("agents", "delete", "lister", "--yes").code == 0
        assert ada.run("agents", "show", "lister").code == 66

    def test_a_name_that_is_nearly_right_gets_a_suggestion(self, ada: Shell) -> None:
        new_agent(ada, "margaret")

        done = ada.run("agents", "show", "margret")

        assert done.code == 66
        assert "Did you mean margaret?" in done.err

    def test_a_wrong_post_status_or_repository_says_so(self, ada: Shell, tmp_path: Path) -> None:
        no_post = ada.run("agents", "create", "x", "--post", "Enginer")
        no_status = ada.run("agents", "list", "--status", "lazy")
        no_repository = ada.run("agents", "create", "x", "--repository", str(tmp_path))

        assert "Did you mean Engineer?" in no_post.err
        assert (no_status.code, no_repository.code) == (65, 65)
        assert "status" in no_status.err
        assert str(tmp_path) in no_repository.err
        assert "Traceback" not in no_post.err + no_status.err + no_repository.err

    def test_options_before_the_command_are_no_silent_loss(self, ada: Shell) -> None:
        done = ada.run("agents", "--json", "show", "x")

        assert done.code == 2
        assert "after the command" in done.err


class TestPosts:
    def test_a_post_is_made_from_options_and_changed(self, ada: Shell) -> None:
        made = ada.run(
            *("posts", "create", "Tester", "--prompt", "You test.", "--mode", "auto"),
            *("--tool", "fs_read", "--tool", "bash_run", "--allow", "bash_run(pytest *)"),
            *("--limit", "steps=7", "--json"),
        )
        assert made.code == 0, made.err
        post = json.loads(made.out)
        assert post["tools"] == ["fs_read", "bash_run"]
        assert post["permissions"] == {
            "mode": "auto",
            "rules": [{"verdict": "allow", "pattern": "bash_run(pytest *)"}],
        }
        assert post["limits"]["steps"] == 7

        edited = ada.run("posts", "edit", "Tester", "--mode", "ask", "--limit", "steps=9", "--json")

        changed = json.loads(edited.out)
        assert changed["permissions"]["mode"] == "ask"
        assert changed["permissions"]["rules"] == post["permissions"]["rules"], "they stay"
        assert changed["limits"] == post["limits"] | {"steps": 9}
        assert changed["version"] > post["version"]
        assert ada.run("posts", "delete", "Tester", "--yes").code == 0

    def test_a_shown_post_is_the_form_of_a_file(self, ada: Shell) -> None:
        shown = ada.run("posts", "show", "Reader", "--json").out

        made = ada.run("posts", "create", "Second Reader", "--file", "-", "--json", stdin=shown)

        assert made.code == 0, made.err
        assert json.loads(made.out)["prompt"] == json.loads(shown)["prompt"]
        listed = ada.run("posts").out
        assert "Second Reader\tread_only" in listed

    @pytest.mark.parametrize(
        "arguments",
        [
            ("create", "x", "--limit", "steps"),
            ("create", "x", "--file", "/nowhere/post.json"),
            ("create", "x", "--prompt", "@/nowhere/prompt.md"),
            ("edit", "Reader"),
            ("create", "x", "--mode", "wild"),
            ("create", "x", "--allow", "bash_run(git"),
        ],
    )
    def test_what_cannot_be_meant_is_one_line(self, ada: Shell, arguments: tuple[str, ...]) -> None:
        done = ada.run("posts", *arguments)

        assert done.code in {2, 65}
        assert len(done.err.splitlines()) == 1
        assert done.err.startswith("error: ")


class TestChat:
    def test_a_turn_to_its_end_and_what_came_of_it(self, ada: Shell, tmp_path: Path) -> None:
        new_agent(ada, "fixer", "--repository", "sample")

        waits = ada.run("chat", "fixer", "make the failing test pass")
        assert waits.code == 5, waits.err
        assert waits.out == ""
        assert "longhouse chat fixer --session session_" in waits.err
        assert "Waits for you: bash_run" in ada.run("agents", "show", "fixer").err

        done = ada.run("chat", "fixer", "--approve", "allow", "-", stdin="go on\n")
        assert done.code == 0, done.err
        assert "All tests pass now" in done.out
        assert "✓ fs_edit calculator.py  +1 -1" in done.err
        assert "\x1b" not in done.out + done.err

        patch = ada.run("agents", "diff", "fixer")
        assert patch.out.startswith("diff --git a/calculator.py b/calculator.py")
        stat = ada.run("agents", "diff", "fixer", "--stat")
        assert (stat.out, "calculator.py" in stat.err) == ("", True)

        committed = ada.run("agents", "commit", "fixer", "--branch", "fixed", "-m", "Fix it")
        assert committed.code == 0, committed.err
        assert len(committed.out.strip()) == 40

    def test_every_event_is_a_line_of_json_for_programs(self, ada: Shell) -> None:
        new_agent(ada, "logger", "--repository", "sample")

        done = ada.run("chat", "logger", "--json", "--approve", "deny", "make the test pass")

        events = [json.loads(line) for line in done.out.splitlines()]
        assert done.code == 0, done.err
        numbers = [event["seq"] for event in events]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert events[0]["type"] == "message"
        assert events[-1]["type"] == "done"
        denied = [event for event in events if event["type"] == "permission_decided"]
        assert {event["decision"] for event in denied} == {"deny"}

    def test_pictures_go_with_a_message_and_anything_else_is_refused(
        self, ada: Shell, tmp_path: Path
    ) -> None:
        new_agent(ada, "viewer")
        (tmp_path / "house.png").write_bytes(b"\x89PNG\r\n\x1a\n of a house")
        (tmp_path / "notes.txt").write_text("hello")
        picture, notes = str(tmp_path / "house.png"), str(tmp_path / "notes.txt")

        done = ada.run("chat", "viewer", "--json", "--attach", picture, "What is this?")
        refused = ada.run("chat", "viewer", "--attach", notes, "What is this?")
        missing = ada.run("chat", "viewer", "--attach", "nowhere.png", "What is this?")

        assert done.code == 0, done.err
        events = [json.loads(line) for line in done.out.splitlines()]
        (attached,) = next(e for e in events if e["type"] == "message")["attachments"]
        assert (attached["name"], attached["media_type"]) == ("house.png", "image/png")
        assert refused.code == 65
        assert "not a picture or a PDF" in refused.err
        assert missing.code == BadOption.exit_code
        assert "nowhere.png cannot be read" in missing.err

    def test_an_empty_message_and_contradicting_options_are_refused(self, ada: Shell) -> None:
        empty = ada.run("chat", "anybody", stdin=" \n")
        both = ada.run("chat", "anybody", "--new", "--session", "session_1", "hi")

        assert (empty.code, both.code) == (2, 2)
        assert "empty" in empty.err
        assert "exclude each other" in both.err

    def test_a_session_that_is_not_there_is_told(self, ada: Shell) -> None:
        new_agent(ada, "seeker")

        done = ada.run("chat", "seeker", "--session", "session_nowhere", "hi")

        assert done.code == 66
        assert done.err.startswith("error: ")


class TestServe:
    def test_a_port_that_is_taken_is_one_line(self, served_shell: Shell, tmp_path: Path) -> None:
        port = served_shell.server.rpartition(":")[2]

        done = served_shell.run_process("serve", "--port", port, "--data-dir", str(tmp_path))

        assert done.code == 69
        (line,) = done.err.splitlines()
        assert line.startswith(f"error: Port {port}")

    def test_a_database_that_cannot_be_written_is_one_line(
        self, served_shell: Shell, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")

        done = served_shell.run_process(
            "serve", "--port", "0", "--data-dir", str(tmp_path / "file" / "data")
        )

        assert done.code == 78
        assert len(done.err.splitlines()) == 1


def test_a_reader_that_has_enough_is_no_error(ada: Shell) -> None:
    command = f"{sys.executable} -m longhouse posts show Engineer --json | head -n 1"

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=dict(ada.environment),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")
