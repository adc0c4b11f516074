"""What is cut from results is kept, bounded, and read on."""

import os
from pathlib import Path

import pytest
from tests.runtime.tools.conftest import Hand

from longhouse.runtime.tools import outputs as module
from longhouse.runtime.tools.base import ToolFailed
from longhouse.runtime.tools.outputs import Outputs

LONG = "".join(f"line {number}\n" for number in range(1, 10_001))


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    return Outputs(tmp_path / "kept" / "outputs")


def files_of(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file()]


async def test_a_result_that_fits_stays_and_nothing_is_kept(
    outputs: Outputs, tmp_path: Path
) -> None:
    assert await outputs.shorten("a", "c1", "short") == "short"
    assert outputs.read("a", "c1") is None
    assert files_of(tmp_path) == []


async def test_a_long_result_keeps_its_head_and_tail_and_says_how_to_read_on(
    outputs: Outputs,
) -> None:
    shown = await outputs.shorten("a", "c1", LONG)

    assert len(shown) < 31_000
    assert shown.startswith("line 1\n")
    assert shown.endswith("line 10000\n")
    assert "characters cut; the whole result (10,000 lines)" in shown
    assert "path=output:c1" in shown
    assert all(line.startswith(("line ", "[... ")) for line in shown.splitlines())


async def test_the_whole_is_kept_also_for_the_next_process(
    outputs: Outputs, tmp_path: Path
) -> None:
    await outputs.shorten("a", "c1", LONG)

    assert Outputs(tmp_path / "kept" / "outputs").read("a", "c1") == LONG


async def test_fs_read_shows_a_part_of_it(hand: Hand) -> None:
    await hand.outputs.shorten("agent", "c1", LONG)

    result = await hand.result("fs_read", path="output:c1", offset=5000, limit=2)

    assert result.content.splitlines() == [
        "  5000\tline 5000",
        "  5001\tline 5001",
        "(Lines 5000-5001 of 10000; go on with offset=5002.)",
    ]
    assert result.files == {}, "it is no file of the workspace"


async def test_one_endless_line_can_be_read_on_too(hand: Hand) -> None:
    await hand.outputs.shorten("agent", "c1", "x" * 50_000 + "end")

    shown = await hand.use("fs_read", path="output:c1", offset=25)

    assert shown.splitlines() == [f"    25\t{'x' * 2000}", "    26\tend"]


async def test_another_agents_output_is_not_there(hand: Hand) -> None:
    await hand.outputs.shorten("another", "c1", LONG)

    for path in ("output:c1", "output:../another/c1", "output:", "output:/etc/passwd"):
        with pytest.raises(ToolFailed, match="Nothing is kept"):
            await hand.use("fs_read", path=path)


async def test_a_file_of_that_name_can_be_read_all_the_same(hand: Hand, workspace: Path) -> None:
    (workspace / "output:c1").write_text("a file\n")

    assert await hand.use("fs_read", path="./output:c1") == "     1\ta file"


async def test_the_oldest_outputs_go_first(
    outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_BYTES", 3 * len(LONG))
    await outputs.shorten("another", "c0", LONG)
    for number in range(5):
        await outputs.shorten("a", f"c{number}", LONG)
        for path in files_of(tmp_path):  # so much older that no clock is too coarse to tell
            status = path.stat()
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 10**9))

    assert [outputs.read("a", f"c{number}") is not None for number in range(5)] == [
        *(False, False),
        *(True, True, True),
    ]
    assert outputs.read("another", "c0") == LONG


async def test_nobody_else_may_read_them(outputs: Outputs, tmp_path: Path) -> None:
    await outputs.shorten("a", "c1", LONG)

    (kept,) = files_of(tmp_path)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700


async def test_what_cannot_be_kept_is_cut_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file, where a folder should be")

    shown = await Outputs(tmp_path / "outputs").shorten("a", "c1", LONG)

    assert "could not be kept" in shown
    assert len(shown) < 31_000


async def test_an_agents_outputs_are_forgotten_together(outputs: Outputs) -> None:
    await outputs.shorten("a", "c1", LONG)
    await outputs.shorten("b", "c1", LONG)

    await outputs.forget("a")
    await outputs.forget("nobody")

    assert outputs.read("a", "c1") is None
    assert outputs.read("b", "c1") == LONG
