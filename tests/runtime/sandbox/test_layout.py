"""What a command sees of the machine, read from bubblewrap's arguments."""

from pathlib import Path

import pytest

from longhouse.runtime.sandbox import layout
from longhouse.runtime.sandbox.base import Command, SandboxRefused

MACHINE = layout.Machine(
    links=(("usr/bin", "/bin"),),
    directories=("/lib64",),
    readable=("/etc/ssl",),
    masked=("/proc/kcore",),
    python=Path("/opt/python"),
)


def words(command: Command) -> list[str]:
    options = layout.arguments(
        MACHINE, command, hosts_fd=10, seccomp_fd=11, status_fd=12, block_fd=13
    )
    return options.decode().removesuffix("\0").split("\0")


def command(**changes: object) -> Command:
    fields: dict[str, object] = {"argv": ("true",), "workspace": Path("/srv/work"), **changes}
    return Command(**fields)  # type: ignore[arg-type]


def has(found: list[str], *wanted: str) -> bool:
    return any(tuple(found[at : at + len(wanted)]) == wanted for at in range(len(found)))


def test_only_the_workspace_is_writable() -> None:
    found = words(command())

    assert [found[i + 1] for i, word in enumerate(found) if word == "--bind"] == ["/srv/work"]
    assert has(found, "--remount-ro", "/")


def test_every_namespace_is_new_and_no_capability_is_kept() -> None:
    found = words(command())

    for name in ("user", "pid", "ipc", "uts", "net"):
        assert f"--unshare-{name}" in found
    assert has(found, "--cap-drop", "ALL")
    assert "--disable-userns" in found
    assert "--die-with-parent" in found


def test_root_becomes_read_only_after_the_last_mount() -> None:
    found = words(command(read_only=(Path("/srv/shared"),), read_write=(Path("/srv/cache"),)))

    closing = found.index("--remount-ro", found.index("/srv/work"))

    assert found[closing + 1] == "/"
    assert not {"--bind", "--ro-bind", "--tmpfs"} & set(found[closing:])


def test_the_deeper_of_two_binds_decides() -> None:
    found = words(
        command(
            workspace=Path("/srv/repo/work"),
            read_only=(Path("/srv/repo"), Path("/srv/repo/.git/config")),
            read_write=(Path("/srv/repo/.git"),),
        )
    )

    order = [
        (word, found[i + 1])
        for i, word in enumerate(found)
        if word in {"--bind", "--ro-bind"} and found[i + 1].startswith("/srv")
    ]

    assert order == [
        ("--ro-bind", "/srv/repo"),
        ("--bind", "/srv/repo/.git"),
        ("--ro-bind", "/srv/repo/.git/config"),
        ("--bind", "/srv/repo/work"),
    ]


def test_the_environment_is_fixed_words_and_the_commands_own() -> None:
    found = words(command(env={"CITY": "Aachen"}))

    names = {found[i + 1] for i, word in enumerate(found) if word == "--setenv"}

    assert names == {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TERM", "CITY"}
    assert has(found, "--setenv", "CITY", "Aachen")
    assert "--clearenv" in found


def test_the_servers_python_is_there_when_usr_does_not_hold_it() -> None:
    found = words(command())

    assert has(found, "--ro-bind", "/opt/python", "/opt/python")
    assert MACHINE.path.startswith("/opt/python/bin:")


@pytest.mark.parametrize(
    "path", ["/", "/usr", "/etc", "/tmp", "/proc", "/proc/self", "/dev/shm", "/sys/fs", "/bin"]
)
def test_a_workspace_that_holds_the_system_is_refused(path: str) -> None:
    with pytest.raises(SandboxRefused, match="the system"):
        words(command(workspace=Path(path)))


@pytest.mark.parametrize("path", ["work", "/srv/../etc"])
def test_a_workspace_is_named_by_its_full_path(path: str) -> None:
    with pytest.raises(SandboxRefused, match="absolute"):
        words(command(workspace=Path(path)))


def test_a_bind_that_holds_the_system_is_refused_too() -> None:
    with pytest.raises(SandboxRefused):
        words(command(read_only=(Path("/"),)))
