"""What has become of the files that an agent has read."""

from pathlib import Path

import pytest

from longhouse.runtime import watch as module
from longhouse.runtime.tools.beneath import Beneath, digest
from longhouse.runtime.watch import GONE, FileWatch


def test_the_present_digest_of_each_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    watch = FileWatch()

    assert watch.look(tmp_path, ["a", "b"]) == {"a": digest(b"one"), "b": GONE}
    (tmp_path / "a").write_text("changed")
    (tmp_path / "b").write_text("new")
    assert watch.look(tmp_path, ["a", "b"]) == {"a": digest(b"changed"), "b": digest(b"new")}


def test_a_file_with_the_same_stamp_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("one")
    watch = FileWatch()
    watch.look(tmp_path, ["a"])
    monkeypatch.setattr(Beneath, "peek", None)

    assert watch.look(tmp_path, ["a"]) == {"a": digest(b"one")}


def test_a_link_out_of_the_workspace_and_a_folder_are_no_files(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "secret").write_text("s3cret")
    (workspace / "link").symlink_to(tmp_path / "secret")
    (workspace / "folder").mkdir()

    assert FileWatch().look(workspace, ["link", "folder"]) == {"link": GONE, "folder": GONE}


def test_a_workspace_that_is_gone_tells_nothing(tmp_path: Path) -> None:
    assert FileWatch().look(tmp_path / "gone", ["a"]) == {}


def test_the_number_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FILES", 2)

    assert list(FileWatch().look(tmp_path, ["a", "b", "c"])) == ["b", "c"]
