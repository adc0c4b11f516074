"""Whether a call may run: the pure decision, by its corners."""

from pathlib import Path

import pytest

from longhouse.runtime.permissions import check_pattern, judge
from longhouse.runtime.posts import Mode, Permissions, Rule, Verdict
from longhouse.runtime.tools.base import tool

WORKSPACE = Path("/srv/w")


@tool(reads_only=False, subject="command")
async def bash_run(command: str) -> str:
    """Run."""
    return command


@tool(reads_only=False, subject="path")
async def fs_write(path: str, content: str = "") -> str:
    """Write."""
    return path


def verdict(mode: Mode, *rules: tuple[str, str], **arguments: str) -> Verdict:
    permissions = Permissions(
        mode=mode,
        rules=tuple(Rule(verdict=Verdict(word), pattern=pattern) for word, pattern in rules),
    )
    tool = fs_write if "path" in arguments else bash_run
    return judge(permissions, tool, arguments, workspace=WORKSPACE).verdict


def test_a_pattern_without_brackets_is_about_every_use_of_the_tool() -> None:
    assert verdict(Mode.AUTO, ("deny", "bash_run"), command="ls") is Verdict.DENY
    assert verdict(Mode.AUTO, ("deny", "bash_*"), command="ls") is Verdict.DENY
    assert verdict(Mode.AUTO, ("deny", "fs_*"), command="ls") is Verdict.ALLOW


def test_a_pattern_in_brackets_is_about_the_main_argument() -> None:
    rule = ("allow", "bash_run(git *)")

    assert verdict(Mode.ASK, rule, command="git status") is Verdict.ALLOW
    assert verdict(Mode.ASK, rule, command="gitk") is Verdict.ASK


@pytest.mark.parametrize(
    "command",
    [
        "git status; rm -rf .",
        "git log | sh",
        "git log && reboot",
        "git show `id`",
        "git show $(id)",
        "git log > /etc/passwd",
        "git status\nreboot",
    ],
)
def test_an_allowed_command_does_not_let_others_in_behind_it(command: str) -> None:
    assert verdict(Mode.ASK, ("allow", "bash_run(git *)"), command=command) is Verdict.ASK


def test_a_denied_command_is_denied_wherever_it_stands() -> None:
    assert verdict(Mode.AUTO, ("deny", "bash_run(*rm *)"), command="ls; rm x") is Verdict.DENY


@pytest.mark.parametrize(
    "path", ["secret/key", "./secret/key", "a/../secret/key", "secret//key", "/srv/w/secret/key"]
)
def test_a_path_is_judged_by_where_it_leads(path: str) -> None:
    assert verdict(Mode.AUTO, ("deny", "fs_write(secret/**)"), path=path) is Verdict.DENY


def test_the_reason_names_the_rule_or_the_mode() -> None:
    rules = (Rule(verdict=Verdict.DENY, pattern="bash_run(rm *)"),)

    denied = judge(Permissions(rules=rules), bash_run, {"command": "rm x"}, workspace=WORKSPACE)
    asked = judge(Permissions(rules=rules), bash_run, {"command": "ls"}, workspace=WORKSPACE)

    assert denied.reason == "rule: deny bash_run(rm *)"
    assert asked.reason == "mode: ask"


@pytest.mark.parametrize("pattern", ["", "bash run", "bash_run(git *", "a b(c)"])
def test_a_pattern_that_matches_nothing_is_refused_with_the_right_form(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"bash_run\(git \*\)"):
        check_pattern(pattern)
