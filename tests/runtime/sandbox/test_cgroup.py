"""Control groups for commands."""

import os
from pathlib import Path

import pytest

from longhouse.runtime.sandbox import cgroup
from longhouse.runtime.sandbox.base import SandboxLimits


def test_groups_of_dead_servers_are_removed_and_others_are_kept(tmp_path: Path) -> None:
    dead, ours, foreign = (
        tmp_path / "longhouse-999999999-1",
        tmp_path / f"longhouse-{os.getpid()}-1",
        tmp_path / "longhouse-and-garden",
    )
    for group in (dead, ours, foreign):
        group.mkdir()

    cgroup.Cgroups(tmp_path, version=1).sweep()

    assert not dead.exists()
    assert ours.exists()
    assert foreign.exists()


def test_a_group_carries_its_limits_and_goes_away() -> None:
    groups = cgroup.find()
    if groups is None:
        pytest.skip("this machine gives us no control group")

    group = groups.create(SandboxLimits(processes=17))

    assert (group.path / "pids.max").read_text().strip() == "17"
    assert group.remove()
    assert not group.path.exists()
    assert group.remove()
