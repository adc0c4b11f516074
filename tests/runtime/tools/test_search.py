"""Finding files and text."""

from pathlib import Path

import pytest
from tests.runtime.tools.conftest import Hand

from longhouse.runtime.tools.base import ToolFailed


@pytest.fixture(autouse=True)
def tree(workspace: Path) -> None:
    for path, content in {
        "README.md": "Hello\nworld\n",
        "src/app.py": "import os\n\n\ndef main():\n    return os.name\n",
        "src/app_test.py": "def test_main():\n    assert True\n",
        "src/web/page.ts": "export const HELLO = 1;\n",
        "src/web/page.tsx": "export const Hello = 2;\n",
        ".github/ci.yml": "hello: 1\n",
        ".git/config": "hello\n",
        "node_modules/x/index.js": "hello\n",
        ".venv/lib/y.py": "hello\n",
    }.items():
        (workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace / path).write_text(content)
    (workspace / "loop").symlink_to(".")
    (workspace / "out").symlink_to("/")


class TestGlob:
    @pytest.mark.parametrize(
        ("pattern", "path", "expected"),
        [
            ("**/*.py", ".", ["src/app.py", "src/app_test.py"]),
            ("**/*.py", "src", ["src/app.py", "src/app_test.py"]),
            ("*.py", ".", []),
            ("src/*.py", ".", ["src/app.py", "src/app_test.py"]),
            (
                "src/**",
                ".",
                ["src/app.py", "src/app_test.py", "src/web/page.ts", "src/web/page.tsx"],
            ),
            ("**/page.{ts,tsx}", ".", ["src/web/page.ts", "src/web/page.tsx"]),
            ("**/app?test.py", ".", ["src/app_test.py"]),
            ("**/[ab]pp.py", ".", ["src/app.py"]),
            ("**/[!b]pp.py", ".", ["src/app.py"]),
            ("**/README*", ".", ["README.md"]),
            ("**/*.yml", ".", [".github/ci.yml"]),
            ("*", "src", ["src/app.py", "src/app_test.py", "src/web/"]),
            ("node_modules/**", ".", ["node_modules/x/index.js"]),
            ("**/*.js", "node_modules", ["node_modules/x/index.js"]),
            ("**/*.js", ".", []),
        ],
    )
    async def test_a_pattern_finds_files(
        self, hand: Hand, pattern: str, path: str, expected: list[str]
    ) -> None:
        found = await hand.use("fs_glob", pattern=pattern, path=path)

        if expected:
            assert found.splitlines() == expected
        else:
            assert found == f"No file fits {pattern} in {path}."

    async def test_links_are_listed_but_not_followed(self, hand: Hand) -> None:
        found = await hand.use("fs_glob", pattern="**/*.md")

        assert found == "README.md"

    async def test_an_absolute_pattern_inside_the_workspace_is_fine(
        self, hand: Hand, workspace: Path
    ) -> None:
        assert await hand.use("fs_glob", pattern=f"{workspace}/*.md") == "README.md"

    async def test_a_long_list_is_cut_and_says_so(self, hand: Hand, workspace: Path) -> None:
        (workspace / "many").mkdir()
        for number in range(600):
            (workspace / f"many/{number:03}.txt").touch()

        lines = (await hand.use("fs_glob", pattern="many/*.txt")).splitlines()

        assert len(lines) == 501
        assert lines[-1] == "(100 more; use a narrower pattern.)"

    async def test_a_missing_directory_and_a_file_are_named(self, hand: Hand) -> None:
        with pytest.raises(ToolFailed, match="does not exist"):
            await hand.use("fs_glob", pattern="*", path="gone")
        with pytest.raises(ToolFailed, match="is a file"):
            await hand.use("fs_glob", pattern="*", path="README.md")

    async def test_a_name_that_is_no_utf_8_is_found(self, hand: Hand, workspace: Path) -> None:
        (workspace / "gr\udcfc\udcdfe.txt").touch()

        assert await hand.use("fs_glob", pattern="*.txt") == "gr��e.txt"

    async def test_a_broken_pattern_is_matched_as_it_stands(self, hand: Hand) -> None:
        assert "No file fits" in await hand.use("fs_glob", pattern="[abc")


class TestGrep:
    async def test_matches_come_with_path_and_line(self, hand: Hand) -> None:
        found = await hand.use("fs_grep", pattern=r"def \w+")

        assert found.splitlines() == [
            "src/app.py:4:def main():",
            "src/app_test.py:1:def test_main():",
        ]

    async def test_foreign_code_is_left_out_unless_it_is_named(self, hand: Hand) -> None:
        everywhere = await hand.use("fs_grep", pattern="hello")
        named = await hand.use("fs_grep", pattern="hello", path="node_modules")

        assert everywhere == ".github/ci.yml:1:hello: 1"
        assert named == "node_modules/x/index.js:1:hello"

    async def test_case_can_be_ignored(self, hand: Hand) -> None:
        found = await hand.use("fs_grep", pattern="hello", path="src", ignore_case=True)

        assert len(found.splitlines()) == 2

    @pytest.mark.parametrize(
        ("glob", "files"),
        [
            ("*.py", {"src/app.py", "src/app_test.py"}),
            ("src/*.py", {"src/app.py", "src/app_test.py"}),
            ("**/web/*", {"src/web/page.ts", "src/web/page.tsx"}),
            ("*.{md,yml}", {"README.md", ".github/ci.yml"}),
        ],
    )
    async def test_only_files_that_fit_are_searched(
        self, hand: Hand, glob: str, files: set[str]
    ) -> None:
        found = await hand.use("fs_grep", pattern=".", glob=glob)

        assert {line.split(":")[0] for line in found.splitlines()} == files

    async def test_context_is_shown_around_a_match(self, hand: Hand) -> None:
        found = await hand.use("fs_grep", pattern="def", path="src/app.py", context=1)

        assert found.splitlines() == [
            "src/app.py-3-",
            "src/app.py:4:def main():",
            "src/app.py-5-    return os.name",
        ]

    async def test_context_of_neighbours_is_shown_once(self, hand: Hand, workspace: Path) -> None:
        (workspace / "n").write_text("a\nx\nb\nx\nc\nd\ne\nf\nx\n")

        found = await hand.use("fs_grep", pattern="x", path="n", context=1)

        assert found.replace("n", "").splitlines() == [
            *("-1-a", ":2:x", "-3-b", ":4:x", "-5-c", "--", "-8-f", ":9:x"),
        ]

    async def test_anchors_are_about_lines(self, hand: Hand, workspace: Path) -> None:
        (workspace / "n").write_text("one\n\ntwo\n")

        assert await hand.use("fs_grep", pattern="^two$", path="n") == "n:3:two"
        assert await hand.use("fs_grep", pattern="^$", path="n") == "n:2:"

    async def test_nothing_found_says_so(self, hand: Hand) -> None:
        assert await hand.use("fs_grep", pattern="zebra") == "Nothing matches zebra in .."

    async def test_binary_and_huge_files_are_left_out(self, hand: Hand, workspace: Path) -> None:
        (workspace / "binary").write_bytes(b"hello\x00")
        with (workspace / "huge").open("wb") as file:
            file.write(b"hello\n")
            file.truncate(5 << 20)

        found = await hand.use("fs_grep", pattern="hello")

        assert found.splitlines() == [
            ".github/ci.yml:1:hello: 1",
            "(1 files were too large or unreadable.)",
        ]

    async def test_many_matches_are_cut_and_say_so(self, hand: Hand, workspace: Path) -> None:
        (workspace / "many").write_text("x\n" * 10_000)

        lines = (await hand.use("fs_grep", pattern="x", path="many")).splitlines()

        assert len(lines) == 201
        assert "narrow the pattern" in lines[-1]

    async def test_a_long_line_is_cut(self, hand: Hand, workspace: Path) -> None:
        (workspace / "long").write_text("x" * 100_000)

        assert len(await hand.use("fs_grep", pattern="x", path="long")) < 500

    async def test_a_pattern_made_to_hang_does_not(self, hand: Hand, workspace: Path) -> None:
        (workspace / "a").write_text("a" * 100_000 + "!\n")

        assert "Nothing matches" in await hand.use("fs_grep", pattern="(a+)+$", path="a")

    async def test_an_invalid_pattern_says_what_is_wrong(self, hand: Hand) -> None:
        with pytest.raises(ToolFailed, match="not valid: missing \\)"):
            await hand.use("fs_grep", pattern="(")
        with pytest.raises(ToolFailed, match="no look-around"):
            await hand.use("fs_grep", pattern="(?<=a)b")

    async def test_foreign_bytes_are_no_obstacle(self, hand: Hand, workspace: Path) -> None:
        (workspace / "latin").write_bytes(b"gr\xfc\xdfe here\n")

        assert await hand.use("fs_grep", pattern="here", path="latin") == "latin:1:gr��e here"
