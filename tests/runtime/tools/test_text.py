"""Diffs and line ends."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longhouse.runtime.tools import text

some_lines = st.lists(st.sampled_from(["a", "b", "c", "", "d d", "é"]), max_size=30)


def test_a_diff_names_the_file_and_shows_three_lines_of_context() -> None:
    before = "".join(f"{n}\n" for n in range(1, 11))

    diff = text.unified_diff("a.txt", before, before.replace("5\n", "five\n"))

    assert diff == (
        "--- a/a.txt\n+++ b/a.txt\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
    )


def test_a_new_file_comes_from_nothing() -> None:
    assert text.unified_diff("a", None, "x\n") == "--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+x\n"


def test_nothing_changed_is_no_diff() -> None:
    assert text.unified_diff("a", "x\n", "x\n") == ""


def test_a_missing_newline_at_the_end_is_shown() -> None:
    diff = text.unified_diff("a", "x\n", "x")

    assert diff.endswith("-x\n+x\n\\ No newline at end of file\n")


def test_changes_far_apart_have_hunks_of_their_own() -> None:
    before = "".join(f"{n}\n" for n in range(100))
    after = before.replace("10\n", "ten\n", 1).replace("90\n", "ninety\n", 1)

    assert text.unified_diff("a", before, after).count("\n@@ ") == 2


def test_two_large_files_are_compared_in_no_time() -> None:
    before = "".join(f"a{n}\n" for n in range(100_000))
    after = "".join(f"b{n}\n" for n in range(100_000))

    diff = text.unified_diff("a", before, after)

    assert len(diff) < text.DIFF_LIMIT + 200
    assert "The diff is longer" in diff


@settings(max_examples=40, deadline=None)
@given(some_lines, some_lines, st.booleans(), st.booleans())
def test_git_applies_every_diff(
    tmp_path_factory: pytest.TempPathFactory,
    old: list[str],
    new: list[str],
    old_ends: bool,
    new_ends: bool,
) -> None:
    before = "\n".join(old) + ("\n" if old_ends else "")
    after = "\n".join(new) + ("\n" if new_ends else "")
    if before == after or not before or not after:
        return
    place: Path = tmp_path_factory.mktemp("diff")
    (place / "file").write_text(before)

    subprocess.run(
        ["git", "apply", "-"],
        cwd=place,
        input=text.unified_diff("file", before, after).encode(),
        check=True,
    )

    assert (place / "file").read_text() == after


@given(st.binary(max_size=200))
def test_bytes_survive_being_text(data: bytes) -> None:
    assert text.encode(text.decode(data)) == data


def test_a_surrogate_without_a_byte_behind_it_is_replaced() -> None:
    assert text.encode("a\ud800b") == b"a?b"


@pytest.mark.parametrize(
    ("content", "expected"),
    [("a\r\nb\r\n", True), ("a\r\nb\n", False), ("a\nb\n", False), ("a", False), ("", False)],
)
def test_dos_line_ends_are_told_when_all_lines_have_them(content: str, expected: bool) -> None:
    assert text.ends_in_crlf(content) is expected


@given(st.text())
def test_lines_put_together_are_the_text(content: str) -> None:
    lines = text.lines_of(content)

    assert "".join(lines) == content
    assert all("\n" not in line[:-1] for line in lines)
