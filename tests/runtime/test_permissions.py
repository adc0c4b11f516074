"""Whether a call may run: the pure decision, by its corners."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longhouse.runtime.hooks import Allow, Ask, Deny
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


@pytest.mark.parametrize(
    "command", ["rm x", "ls; rm x", "ls && rm x", "ls |rm x", "(rm x)", "echo $(rm x)", "ls\nrm x"]
)
def test_a_denied_command_is_denied_wherever_it_stands(command: str) -> None:
    assert verdict(Mode.AUTO, ("deny", "bash_run(rm *)"), command=command) is Verdict.DENY
    assert verdict(Mode.AUTO, ("ask", "bash_run(rm *)"), command=command) is Verdict.ASK


def test_the_shell_has_a_short_name_in_rules() -> None:
    assert verdict(Mode.ASK, ("allow", "bash(git *)"), command="git status") is Verdict.ALLOW
    assert verdict(Mode.AUTO, ("deny", "bash"), command="ls") is Verdict.DENY


@pytest.mark.parametrize(
    "path", ["secret/key", "./secret/key", "a/../secret/key", "secret//key", "/srv/w/secret/key"]
)
def test_a_path_is_judged_by_where_it_leads(path: str) -> None:
    assert verdict(Mode.AUTO, ("deny", "fs_write(secret/**)"), path=path) is Verdict.DENY


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "a/../../../etc/passwd"])
def test_a_path_that_leads_out_of_the_workspace_is_judged_by_where_it_leads(path: str) -> None:
    assert verdict(Mode.AUTO, ("deny", "fs_write(/etc/**)"), path=path) is Verdict.DENY


def test_the_workspace_itself_is_a_dot() -> None:
    for path in ("", ".", "/srv/w", "a/.."):
        assert verdict(Mode.AUTO, ("deny", "fs_write(.)"), path=path) is Verdict.DENY


rules = st.lists(
    st.builds(
        Rule,
        verdict=st.sampled_from(Verdict),
        pattern=st.sampled_from(["bash_run", "bash_run(git *)", "bash(rm *)", "fs_*", "*"]),
    ),
    max_size=5,
)
commands = st.sampled_from(["git status", "rm x", "git status; rm x", "ls", ""])
modes = st.sampled_from(Mode)
STRICTNESS = [Verdict.ALLOW, Verdict.ASK, Verdict.DENY]


def of(rules: list[Rule], mode: Mode, command: str, within: Permissions | None = None) -> Verdict:
    permissions = Permissions(mode=mode, rules=tuple(rules), within=within)
    return judge(permissions, bash_run, {"command": command}, workspace=WORKSPACE).verdict


@given(rules, modes, commands, st.randoms())
def test_the_order_of_rules_never_changes_the_verdict(
    rules: list[Rule], mode: Mode, command: str, random: Random
) -> None:
    shuffled = random.sample(rules, len(rules))

    assert of(shuffled, mode, command) is of(rules, mode, command)


@given(rules, modes, commands, rules)
def test_what_is_denied_stays_denied_whatever_rules_are_added(
    rules: list[Rule], mode: Mode, command: str, more: list[Rule]
) -> None:
    denying = [rule for rule in rules if rule.verdict is Verdict.DENY]

    if of(denying, Mode.AUTO, command) is Verdict.DENY:
        assert of(rules + more, mode, command) is Verdict.DENY


@given(rules, modes, commands, rules, modes)
def test_within_others_permissions_nothing_is_looser_than_either(
    rules: list[Rule], mode: Mode, command: str, outer: list[Rule], outer_mode: Mode
) -> None:
    within = Permissions(mode=outer_mode, rules=tuple(outer))
    alone = [of(rules, mode, command), of(outer, outer_mode, command)]

    assert of(rules, mode, command, within) is max(alone, key=STRICTNESS.index)


@pytest.mark.parametrize(
    ("rules", "opinion", "expected"),
    [
        (["deny"], Allow(), Verdict.DENY),
        (["allow"], Deny("no"), Verdict.DENY),
        (["allow"], Ask("sure?"), Verdict.ASK),
        (["ask"], Allow(), Verdict.ALLOW),
        ([], Allow(), Verdict.ALLOW),
        (["allow", "ask"], None, Verdict.ALLOW),
        (["ask"], None, Verdict.ASK),
    ],
)
def test_a_hook_is_weaker_than_a_denying_rule_and_stronger_than_all_others(
    rules: list[str], opinion: Allow | Deny | Ask | None, expected: Verdict
) -> None:
    listed = tuple(Rule(verdict=Verdict(word), pattern="bash_run") for word in rules)
    permissions = Permissions(mode=Mode.READ_ONLY, rules=listed)

    judged = judge(permissions, bash_run, {"command": "ls"}, workspace=WORKSPACE, opinion=opinion)

    assert judged.verdict is expected


def test_of_several_rules_that_match_the_first_is_the_reason() -> None:
    patterns = ("bash_run(g*)", "bash_run(git *)", "bash_run")
    rules = tuple(Rule(verdict=Verdict.ASK, pattern=pattern) for pattern in patterns)

    asked = judge(Permissions(rules=rules), bash_run, {"command": "git push"}, workspace=WORKSPACE)

    assert asked.reason == "rule: ask bash_run(g*)"


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
