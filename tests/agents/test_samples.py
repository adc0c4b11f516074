"""The sample repository: a real git repository whose one failing test is a real bug."""

import subprocess
import sys
from pathlib import Path

import pytest

from longhouse.agents.samples import make_sample_repository
from longhouse.kit.errors import Conflict, Misconfigured


def git(path: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=path, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def run_tests(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-m", "unittest", "-q"],
        cwd=path,
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_sample_is_a_clean_repository_with_one_commit(tmp_path: Path) -> None:
    path = make_sample_repository(tmp_path / "sample")

    assert git(path, "status", "--porcelain") == ""
    assert git(path, "log", "--format=%an %s") == "Longhouse Add the calculator"
    assert git(path, "branch", "--show-current") == "main"


def test_the_sample_is_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = make_sample_repository(tmp_path / "one")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody else")
    other = make_sample_repository(tmp_path / "other")

    assert git(one, "rev-parse", "HEAD") == git(other, "rev-parse", "HEAD")


def test_one_test_of_the_sample_fails_and_a_small_change_repairs_it(tmp_path: Path) -> None:
    path = make_sample_repository(tmp_path / "sample")
    before = run_tests(path)

    source = path / "calculator.py"
    source.write_text(source.read_text().replace("1 + percent", "1 - percent"))

    assert "failures=1" in before.stderr
    assert run_tests(path).returncode == 0


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")

    with pytest.raises(Conflict, match="not empty"):
        make_sample_repository(tmp_path)

    assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]


def test_a_machine_without_git_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Misconfigured, match="git is not installed"):
        make_sample_repository(tmp_path / "sample")
