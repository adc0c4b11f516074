"""Reading, writing and editing files."""

import os
import stat
from pathlib import Path

import pytest
from tests.runtime.tools.conftest import Hand

from longhouse.runtime.tools.base import InvalidArguments, ToolFailed
from longhouse.runtime.tools.beneath import MAX_FILE, Beneath, digest


class TestRead:
    async def test_lines_come_with_their_numbers(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a.txt").write_text("one\n\nthree\n")

        assert await hand.use("fs_read", path="a.txt") == "     1\tone\n     2\t\n     3\tthree"

    async def test_a_read_is_remembered_by_digest(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a.txt").write_text("one\n")

        result = await hand.result("fs_read", path="./x/../a.txt")

        assert result.files == {"a.txt": digest(b"one\n")}

    async def test_a_part_is_shown_and_how_to_go_on(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a.txt").write_text("".join(f"line {n}\n" for n in range(1, 101)))

        shown = await hand.use("fs_read", path="a.txt", offset=10, limit=2)

        assert shown.splitlines() == [
            "    10\tline 10",
            "    11\tline 11",
            "(Lines 10-11 of 100; go on with offset=12.)",
        ]

    async def test_a_long_file_is_cut_and_can_be_read_on(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a.txt").write_text("".join(f"{'x' * 100} {n}\n" for n in range(1, 1001)))

        shown = await hand.use("fs_read", path="a.txt")

        assert len(shown) < 31_000
        assert "go on with offset=" in shown.splitlines()[-1]

    async def test_a_long_line_is_cut(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a.txt").write_text("x" * 1_000_000)

        shown = await hand.use("fs_read", path="a.txt")

        assert len(shown) < 2_100
        assert "998,000 more characters" in shown

    async def test_an_empty_file_is_called_empty(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a.txt").touch()

        assert await hand.use("fs_read", path="a.txt") == "(The file is empty.)"

    async def test_an_offset_behind_the_end_says_where_the_end_is(
        self, hand: Hand, workspace: Path
    ) -> None:
        (workspace / "a.txt").write_text("one\n")

        with pytest.raises(ToolFailed, match="has 1 lines"):
            await hand.use("fs_read", path="a.txt", offset=2)

    async def test_a_binary_file_is_not_shown(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a.png").write_bytes(b"\x89PNG\x00\x00")

        with pytest.raises(ToolFailed, match="is binary"):
            await hand.use("fs_read", path="a.png")

    async def test_a_huge_file_is_refused_before_it_is_read(
        self, hand: Hand, workspace: Path
    ) -> None:
        with (workspace / "huge").open("wb") as file:
            file.truncate(MAX_FILE * 1000)

        with pytest.raises(ToolFailed, match=r"too large.*Use bash_run"):
            await hand.use("fs_read", path="huge")

    async def test_a_missing_file_and_a_directory_say_what_to_do(
        self, hand: Hand, workspace: Path
    ) -> None:
        (workspace / "src").mkdir()

        with pytest.raises(ToolFailed, match=r"gone\.txt does not exist.*fs_glob"):
            await hand.use("fs_read", path="gone.txt")
        with pytest.raises(ToolFailed, match=r"is a directory.*fs_glob"):
            await hand.use("fs_read", path="src")

    async def test_foreign_bytes_are_shown_as_replacements(
        self, hand: Hand, workspace: Path
    ) -> None:
        (workspace / "latin").write_bytes(b"gr\xfc\xdfe\n")

        assert await hand.use("fs_read", path="latin") == "     1\tgr��e"

    async def test_an_absolute_path_inside_the_workspace_is_fine(
        self, hand: Hand, workspace: Path
    ) -> None:
        (workspace / "a.txt").write_text("one\n")

        result = await hand.result("fs_read", path=str(workspace / "a.txt"))

        assert list(result.files) == ["a.txt"]

    async def test_a_link_that_stays_inside_is_followed(self, hand: Hand, workspace: Path) -> None:
        (workspace / "real").mkdir()
        (workspace / "real/a.txt").write_text("one\n")
        (workspace / "link").symlink_to("real")

        assert await hand.use("fs_read", path="link/a.txt") == "     1\tone"

    async def test_line_one_is_the_first(self, hand: Hand) -> None:
        with pytest.raises(InvalidArguments, match="offset"):
            await hand.use("fs_read", path="a", offset=0)


class TestWrite:
    async def test_a_new_file_is_made_with_its_directories(
        self, hand: Hand, workspace: Path
    ) -> None:
        result = await hand.result("fs_write", path="a/b/c.txt", content="one\ntwo\n")

        assert (workspace / "a/b/c.txt").read_text() == "one\ntwo\n"
        assert result.content == "Created a/b/c.txt (2 lines)."
        assert result.files == {"a/b/c.txt": digest(b"one\ntwo\n")}
        assert result.diff == "--- /dev/null\n+++ b/a/b/c.txt\n@@ -0,0 +1,2 @@\n+one\n+two\n"

    async def test_an_existing_file_has_to_be_read_first(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a.txt").write_text("precious\n")

        with pytest.raises(ToolFailed, match="have not read it") as failed:
            await hand.use("fs_write", path="a.txt", content="x")

        assert failed.value.retryable
        assert (workspace / "a.txt").read_text() == "precious\n"

    async def test_a_file_changed_outside_after_it_was_read_is_refused_until_read_again(
        self, hand: Hand, workspace: Path
    ) -> None:
        (workspace / "a.txt").write_text("one\n")
        await hand.use("fs_read", path="a.txt")
        (workspace / "a.txt").write_text("somebody else's\n")

        with pytest.raises(ToolFailed, match="changed since you read it") as failed:
            await hand.use("fs_write", path="a.txt", content="mine\n")

        assert failed.value.retryable
        assert (workspace / "a.txt").read_text() == "somebody else's\n"
        await hand.use("fs_read", path="a.txt")
        await hand.use("fs_write", path="a.txt", content="mine\n")
        assert (workspace / "a.txt").read_text() == "mine\n"

    async def test_what_was_written_counts_as_read(self, hand: Hand, workspace: Path) -> None:
        await hand.use("fs_write", path="a.txt", content="one\n")
        await hand.use("fs_write", path="a.txt", content="two\n")
        await hand.use("fs_edit", path="a.txt", old="two", new="three")

        assert (workspace / "a.txt").read_text() == "three\n"

    async def test_the_mode_of_a_file_is_kept(self, hand: Hand, workspace: Path) -> None:
        (workspace / "run.sh").write_text("#!/bin/sh\n")
        (workspace / "run.sh").chmod(0o750)
        await hand.use("fs_read", path="run.sh")

        await hand.use("fs_write", path="run.sh", content="#!/bin/bash\n")

        assert stat.S_IMODE((workspace / "run.sh").stat().st_mode) == 0o750

    async def test_dos_line_ends_are_kept(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a.txt").write_bytes(b"one\r\ntwo\r\n")
        await hand.use("fs_read", path="a.txt")

        await hand.use("fs_write", path="a.txt", content="one\nthree\n")

        assert (workspace / "a.txt").read_bytes() == b"one\r\nthree\r\n"

    async def test_content_is_written_as_it_is(self, hand: Hand, workspace: Path) -> None:
        content = "no newline at the end, \x0b and \u2028 are no line ends, 汉"

        await hand.use("fs_write", path="a.txt", content=content)

        assert (workspace / "a.txt").read_text() == content

    async def test_a_link_that_stays_inside_is_kept(self, hand: Hand, workspace: Path) -> None:
        (workspace / "real").mkdir()
        (workspace / "real/a.txt").write_text("one\n")
        (workspace / "link.txt").symlink_to("real/a.txt")
        await hand.use("fs_read", path="link.txt")

        await hand.use("fs_write", path="link.txt", content="two\n")

        assert (workspace / "link.txt").is_symlink()
        assert (workspace / "real/a.txt").read_text() == "two\n"

    async def test_nothing_is_left_beside_the_file(self, hand: Hand, workspace: Path) -> None:
        await hand.use("fs_write", path="a.txt", content="one\n")

        assert os.listdir(workspace) == ["a.txt"]

    @pytest.mark.parametrize("there", [True, False], ids=["an old file", "a new file"])
    def test_a_process_that_dies_while_it_writes_leaves_nothing_behind(
        self, workspace: Path, monkeypatch: pytest.MonkeyPatch, there: bool
    ) -> None:
        if there:
            (workspace / "a.txt").write_text("before")
        files = {path: path.read_text() for path in workspace.iterdir()}

        def die(fd: int, data: bytes) -> int:
            raise SystemExit

        monkeypatch.setattr(os, "write", die)
        with pytest.raises(SystemExit), Beneath(workspace) as inside:
            inside.write("a.txt", b"after")

        assert {path: path.read_text() for path in workspace.iterdir()} == files

    @pytest.mark.parametrize("there", [True, False], ids=["an old file", "a new file"])
    async def test_a_file_system_without_nameless_files_does_as_well(
        self, hand: Hand, workspace: Path, monkeypatch: pytest.MonkeyPatch, there: bool
    ) -> None:
        monkeypatch.delattr(os, "O_TMPFILE")
        if there:
            (workspace / "a.txt").write_text("before")
            await hand.use("fs_read", path="a.txt")

        await hand.use("fs_write", path="a.txt", content="after")

        assert os.listdir(workspace) == ["a.txt"]
        assert (workspace / "a.txt").read_text() == "after"

    async def test_a_directory_in_the_way_is_named(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a").mkdir()
        (workspace / "b").write_text("")

        with pytest.raises(ToolFailed, match="a is a directory"):
            await hand.use("fs_write", path="a", content="x")
        with pytest.raises(ToolFailed, match="part of it is a file"):
            await hand.use("fs_write", path="b/c", content="x")

    async def test_the_preview_is_the_diff_and_changes_nothing(
        self, hand: Hand, workspace: Path
    ) -> None:
        preview = await hand.preview("fs_write", path="a/b.txt", content="one\n")

        assert preview == "--- /dev/null\n+++ b/a/b.txt\n@@ -0,0 +1 @@\n+one\n"
        assert os.listdir(workspace) == []

    async def test_a_preview_of_what_would_fail_says_why(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a.txt").write_text("one\n")

        with pytest.raises(ToolFailed, match="have not read it"):
            await hand.preview("fs_write", path="a.txt", content="x")


class TestEdit:
    @pytest.fixture(autouse=True)
    async def read(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a.py").write_text("def one():\n    return 1\n\n\ndef two():\n    return 1\n")
        await hand.use("fs_read", path="a.py")

    async def test_one_place_is_replaced(self, hand: Hand, workspace: Path) -> None:
        result = await hand.result("fs_edit", path="a.py", old="def two", new="def zwei")

        assert "def zwei():" in (workspace / "a.py").read_text()
        assert result.content == "Edited a.py in 1 place."
        assert "-def two():\n+def zwei():\n" in result.diff

    async def test_a_text_that_occurs_twice_is_refused_with_its_lines(
        self, hand: Hand, workspace: Path
    ) -> None:
        with pytest.raises(ToolFailed, match=r"occurs 2 times.*lines 2, 6"):
            await hand.use("fs_edit", path="a.py", old="return 1", new="return 2")

        assert "return 2" not in (workspace / "a.py").read_text()

    async def test_every_place_is_replaced_when_that_is_asked(
        self, hand: Hand, workspace: Path
    ) -> None:
        words = await hand.use(
            "fs_edit", path="a.py", old="return 1", new="return 2", replace_all=True
        )

        assert words == "Edited a.py in 2 places."
        assert (workspace / "a.py").read_text().count("return 2") == 2

    async def test_a_text_with_other_white_space_is_pointed_at(self, hand: Hand) -> None:
        with pytest.raises(ToolFailed, match="Lines 5-6 differ from it only in white space"):
            await hand.use("fs_edit", path="a.py", old="def two():\n  return 1", new="x")

    async def test_the_nearest_lines_are_shown_when_the_text_is_not_there(self, hand: Hand) -> None:
        with pytest.raises(ToolFailed, match="     5\tdef two") as failed:
            await hand.use("fs_edit", path="a.py", old="def twoo():", new="x")

        assert failed.value.retryable

    async def test_nothing_like_it_says_so(self, hand: Hand) -> None:
        with pytest.raises(ToolFailed, match="Nothing like it"):
            await hand.use("fs_edit", path="a.py", old="%%%%%%%%%%%%%%", new="x")

    @pytest.mark.parametrize(("old", "new"), [("", "x"), ("def", "def")])
    async def test_an_edit_that_means_nothing_is_refused(
        self, hand: Hand, old: str, new: str
    ) -> None:
        with pytest.raises(ToolFailed):
            await hand.use("fs_edit", path="a.py", old=old, new=new)

    async def test_an_unread_file_is_not_edited(self, hand: Hand, workspace: Path) -> None:
        (workspace / "b.py").write_text("x = 1\n")

        with pytest.raises(ToolFailed, match="have not read it"):
            await hand.use("fs_edit", path="b.py", old="1", new="2")

    async def test_a_file_changed_meanwhile_is_not_edited(
        self, hand: Hand, workspace: Path
    ) -> None:
        (workspace / "a.py").write_text("def two(): ...\n")

        with pytest.raises(ToolFailed, match="changed since you read it"):
            await hand.use("fs_edit", path="a.py", old="def two", new="def zwei")

    async def test_dos_line_ends_and_foreign_bytes_survive(
        self, hand: Hand, workspace: Path
    ) -> None:
        (workspace / "dos").write_bytes(b"one\r\ntwo\r\n\xff\r\nend")
        await hand.use("fs_read", path="dos")

        # Two lines end with CRLF and the last with nothing; the model sees and writes \n.
        await hand.use("fs_edit", path="dos", old="one\ntwo", new="1\n2\n3")

        assert (workspace / "dos").read_bytes() == b"1\r\n2\r\n3\r\n\xff\r\nend"

    async def test_the_preview_is_the_diff_and_changes_nothing(
        self, hand: Hand, workspace: Path
    ) -> None:
        before = (workspace / "a.py").read_text()

        preview = await hand.preview("fs_edit", path="a.py", old="def two", new="def zwei")

        assert "-def two():\n+def zwei():\n" in preview
        assert (workspace / "a.py").read_text() == before


class TestMultiEdit:
    @pytest.fixture(autouse=True)
    async def file(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a.txt").write_text("one\ntwo\ntwo\nthree\n")
        await hand.use("fs_read", path="a.txt")

    async def test_all_edits_are_made_in_their_order(self, hand: Hand, workspace: Path) -> None:
        edits = [
            {"old": "one", "new": "1"},
            {"old": "two", "new": "2", "replace_all": True},
            {"old": "1\n2\n2", "new": "counted"},
        ]

        result = await hand.result("fs_multi_edit", path="a.txt", edits=edits)

        assert result.content == "Made 3 edits of a.txt in 4 places."
        assert (workspace / "a.txt").read_text() == "counted\nthree\n"
        assert result.files == {"a.txt": digest(b"counted\nthree\n")}
        assert result.diff.count("@@") == 2, "one diff of the whole change"

    async def test_one_edit_that_fails_leaves_the_file_as_it_was(
        self, hand: Hand, workspace: Path
    ) -> None:
        edits = [{"old": "one", "new": "1"}, {"old": "two", "new": "2"}]

        with pytest.raises(
            ToolFailed, match="Edit 2 of 2 cannot be made, so none was: `old` occurs 2 times"
        ) as failed:
            await hand.use("fs_multi_edit", path="a.txt", edits=edits)

        assert failed.value.retryable
        assert (workspace / "a.txt").read_text() == "one\ntwo\ntwo\nthree\n"

    async def test_the_preview_shows_all_edits_and_changes_nothing(
        self, hand: Hand, workspace: Path
    ) -> None:
        edits = [{"old": "one", "new": "1"}, {"old": "three", "new": "3"}]

        preview = await hand.preview("fs_multi_edit", path="a.txt", edits=edits)

        assert "-one\n+1\n" in preview
        assert "-three\n+3\n" in preview
        assert (workspace / "a.txt").read_text() == "one\ntwo\ntwo\nthree\n"

    async def test_a_file_changed_meanwhile_is_not_edited(
        self, hand: Hand, workspace: Path
    ) -> None:
        (workspace / "a.txt").write_text("one\nelse\n")

        with pytest.raises(ToolFailed, match="changed since you read it"):
            await hand.use("fs_multi_edit", path="a.txt", edits=[{"old": "one", "new": "1"}])

    @pytest.mark.parametrize("edits", [[], [{"old": "one"}], [{"old": "a", "new": "b", "x": 1}]])
    async def test_edits_that_are_none_do_not_fit_the_schema(
        self, hand: Hand, edits: list[object]
    ) -> None:
        with pytest.raises(InvalidArguments):
            await hand.use("fs_multi_edit", path="a.txt", edits=edits)

    async def test_dos_line_ends_survive_every_edit(self, hand: Hand, workspace: Path) -> None:
        (workspace / "dos").write_bytes(b"one\r\ntwo\r\n")
        await hand.use("fs_read", path="dos")

        await hand.use(
            "fs_multi_edit",
            path="dos",
            edits=[{"old": "one\n", "new": "1\nand\n"}, {"old": "and\ntwo", "new": "2"}],
        )

        assert (workspace / "dos").read_bytes() == b"1\r\n2\r\n"
