"""Names of processes that work on one data directory."""

from pathlib import Path

import pytest

from longhouse.fleet.node import Node
from longhouse.kit.errors import Misconfigured


def test_a_restarted_process_has_the_name_of_its_predecessor(tmp_path: Path) -> None:
    with Node(tmp_path) as node:
        before = node.name

    with Node(tmp_path) as node:
        assert node.name == before


def test_two_processes_at_once_have_two_names(tmp_path: Path) -> None:
    with Node(tmp_path) as one, Node(tmp_path) as other:
        assert one.name != other.name


def test_two_data_directories_have_two_names(tmp_path: Path) -> None:
    with Node(tmp_path / "a") as one, Node(tmp_path / "b") as other:
        assert one.name != other.name


def test_a_directory_is_one_device_for_good(tmp_path: Path) -> None:
    with Node(tmp_path / "a") as one, Node(tmp_path / "a") as other:
        assert one.device == other.device
    with Node(tmp_path / "a") as again, Node(tmp_path / "b") as elsewhere:
        assert again.device == one.device != elsewhere.device

    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["device", "nodes"]


def test_a_directory_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(Misconfigured, match="LONGHOUSE_DATA_DIR"), Node(tmp_path / "file"):
        pass
