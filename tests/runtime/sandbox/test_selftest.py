"""How the self-test's words are judged."""

import pytest

from longhouse.runtime.sandbox import selftest

HOST = {name: f"{name}:[1]" for name in ("mnt", "net", "pid", "user", "ipc", "uts")}
SOUND = """hello from-inside
mnt mnt:[2]
net net:[2]
pid pid:[2]
user user:[2]
ipc ipc:[2]
uts uts:[2]
CapEff: 0000000000000000
NoNewPrivs: 1
Seccomp: 2
"""


def test_a_boundary_that_holds_has_no_findings() -> None:
    assert selftest.findings(SOUND, HOST) == []


def test_a_command_that_does_not_run_is_the_finding() -> None:
    [finding] = selftest.findings("bash: cannot execute\n", HOST)

    assert finding == "a harmless command does not run: bash: cannot execute"


@pytest.mark.parametrize(
    ("line", "broken", "finding"),
    [
        ("net net:[2]", "net net:[1]", "the net namespace is the machine's own"),
        ("pid pid:[2]", "pid", "the pid namespace is the machine's own"),
        ("CapEff: 0000000000000000", "CapEff: 00000000a80425fb", "a command keeps capabilities"),
        ("NoNewPrivs: 1", "NoNewPrivs: 0", "a command may gain privileges by a set-uid program"),
        ("Seccomp: 2", "Seccomp: 0", "the seccomp filter is not in force"),
        ("Seccomp: 2", "Seccomp: 2\nwritable /", "a command can write to /"),
        ("Seccomp: 2", "Seccomp: 2\nleak file", "a command can read a foreign file"),
        (
            "Seccomp: 2",
            "Seccomp: 2\ninterface eth0:",
            "a command sees the network interface eth0:",
        ),
        (
            "Seccomp: 2",
            "Seccomp: 2\nclosed workspace",
            "a command cannot write to its own workspace",
        ),
    ],
)
def test_each_gap_is_named(line: str, broken: str, finding: str) -> None:
    assert selftest.findings(SOUND.replace(line, broken), HOST) == [finding]


def test_a_boundary_without_namespaces_that_holds_has_no_findings() -> None:
    assert selftest.findings_alone("hello from-inside\n") == []


@pytest.mark.parametrize(
    ("output", "finding"),
    [
        ("hello from-inside\nleak signal\n", "a command can reach a foreign signal"),
        ("hello from-inside\nwritable modes\n", "a command can write to modes"),
        ("hello from-inside\nclosed workspace\n", "a command cannot write to its own workspace"),
        ("python3: not found\n", "a harmless command does not run: python3: not found"),
    ],
)
def test_each_gap_of_one_without_namespaces_is_named(output: str, finding: str) -> None:
    assert selftest.findings_alone(output) == [finding]
