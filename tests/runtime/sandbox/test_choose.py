"""Which sandbox a machine gets."""

import stat
from pathlib import Path

import pytest

from longhouse.runtime.sandbox import landlock, selftest
from longhouse.runtime.sandbox.base import Command, Sandbox, SandboxRefused
from longhouse.runtime.sandbox.choose import SandboxKind, choose

guarded = pytest.mark.parametrize("kind", ["auto", "bubblewrap"])


@pytest.fixture
def no_landlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "why_not", lambda: "not in this test")


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.sandbox
@guarded
async def test_a_machine_with_bubblewrap_is_protected(
    protection: Sandbox, kind: SandboxKind
) -> None:
    sandbox = await choose(kind)

    assert sandbox.name == "bubblewrap"
    assert sandbox.describe().protects


@guarded
@pytest.mark.usefixtures("no_landlock")
async def test_a_machine_without_bubblewrap_runs_nothing_and_says_how_to_get_it(
    kind: SandboxKind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    sandbox = await choose(kind)

    assert sandbox.name == "refuse"
    assert not sandbox.describe().protects
    assert "apt-get install bubblewrap" in sandbox.describe().hint
    with pytest.raises(SandboxRefused, match="not installed") as refused:
        await sandbox.run(Command(argv=("true",), workspace=tmp_path))
    assert "apt-get install bubblewrap" in str(refused.value)


@pytest.mark.usefixtures("no_landlock")
async def test_a_bubblewrap_that_may_not_make_namespaces_is_refused_with_its_words(
    tmp_path: Path,
) -> None:
    says = "bwrap: No permissions to create new namespace"
    broken = program(tmp_path / "bwrap", f"echo '{says}' >&2; exit 1")

    sandbox = await choose("auto", executable=broken)

    assert sandbox.name == "refuse"
    assert says in sandbox.describe().detail
    assert sandbox.describe().hint


@pytest.mark.usefixtures("no_landlock")
async def test_a_bubblewrap_that_protects_nothing_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(sandbox: Sandbox) -> list[str]:
        return ["a command keeps capabilities"]

    monkeypatch.setattr(selftest, "examine", broken)

    sandbox = await choose("auto", executable="/usr/bin/bwrap")

    assert sandbox.name == "refuse"
    assert "a command keeps capabilities" in sandbox.describe().detail


async def test_landlock_stands_in_where_bubblewrap_does_not_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def sound(sandbox: Sandbox) -> list[str]:
        return []

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(landlock, "why_not", lambda: "")
    monkeypatch.setattr(selftest, "examine_alone", sound)

    assert (await choose("auto")).name == "landlock"
    assert (await choose("landlock")).name == "landlock"
    assert (await choose("bubblewrap")).name == "refuse"


@pytest.mark.parametrize("kind", ["auto", "landlock"])
async def test_a_landlock_that_protects_nothing_is_found_out(
    kind: SandboxKind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def broken(sandbox: Sandbox) -> list[str]:
        return ["a command can reach a foreign socket"]

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(landlock, "why_not", lambda: "")
    monkeypatch.setattr(selftest, "examine_alone", broken)

    assert (await choose(kind)).name == "refuse"


async def test_root_gets_no_landlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)

    sandbox = await choose("landlock")

    assert sandbox.name == "refuse"
    assert "root" in sandbox.describe().detail


async def test_protection_is_off_only_when_somebody_says_so() -> None:
    sandbox = await choose("off")

    assert sandbox.name == "off"
    assert not sandbox.describe().protects


async def test_a_machine_without_a_filter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "vax")

    sandbox = await choose("auto")

    assert sandbox.name == "refuse"
    assert "vax" in sandbox.describe().detail
