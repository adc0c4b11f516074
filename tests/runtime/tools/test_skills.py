"""Skills: found in the workspace and in the house's folders, listed and loaded."""

from pathlib import Path

import pytest
from tests.runtime.tools.conftest import Hand

from longhouse.runtime.tools.base import ToolFailed
from longhouse.runtime.tools.skills import find

NOTES = """---
name: release-notes
description: >
  How we write release notes.
  Use it for every release.
license: MIT
---

Read the log since the last tag.
"""


def put(folder: Path, content: str = NOTES, *, file: str = "SKILL.md") -> Path:
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(content)
    return folder


@pytest.fixture
def house(tmp_path: Path, hand: Hand) -> Path:
    folder = tmp_path / "house"
    folder.mkdir()
    hand.skills = (folder,)
    return folder


async def test_there_may_be_none(hand: Hand) -> None:
    assert await hand.use("skills") == "There are no skills here."


async def test_they_are_listed_by_name_with_their_descriptions(
    hand: Hand, workspace: Path, house: Path
) -> None:
    put(workspace / ".skills/notes")
    put(house / "deploy", "---\ndescription: 'How to deploy: slowly.'\n---\nSlowly.\n")

    assert await hand.use("skills") == (
        "- deploy: How to deploy: slowly.\n"
        "- release-notes: How we write release notes. Use it for every release."
    )


async def test_loading_one_gives_its_instructions_and_names_what_lies_beside(
    hand: Hand, workspace: Path
) -> None:
    put(workspace / ".skills/notes")
    put(workspace / ".skills/notes", "echo log\n", file="scripts/log.sh")

    assert await hand.use("skills", name="release-notes") == (
        "# Skill release-notes (its folder is .skills/notes)\n\n"
        "Read the log since the last tag.\n\n"
        "Its other files, to be read with `file`: scripts/log.sh"
    )
    shown = await hand.use("skills", name="release-notes", file="scripts/log.sh")
    assert shown == "echo log\n"


async def test_one_of_the_house_is_read_outside_the_workspace(hand: Hand, house: Path) -> None:
    put(house / "notes")
    put(house / "notes", "more\n", file="more.md")

    assert "(of the house)" in await hand.use("skills", name="release-notes")
    assert await hand.use("skills", name="release-notes", file="more.md") == "more\n"


async def test_a_repository_cannot_replace_one_of_the_house(
    hand: Hand, workspace: Path, house: Path
) -> None:
    put(workspace / ".skills/mine", NOTES.replace("Read the log", "Delete all"))
    put(house / "notes")

    assert "Read the log" in await hand.use("skills", name="release-notes")


@pytest.mark.parametrize(
    "content",
    [
        "no front matter",
        "---\nname: x\n---\nNo description.",
        "---\nname: ../x\ndescription: d\n---\n",
        "---\nname: never\ndescription: closed",
    ],
)
async def test_a_folder_that_is_no_skill_is_left_out_and_told(
    hand: Hand, workspace: Path, content: str
) -> None:
    put(workspace / ".skills/odd", content)

    listed = await hand.use("skills")

    assert listed.startswith("There are no skills here.\n(Left out: .skills/odd/SKILL.md: ")


async def test_an_unknown_one_is_told_with_those_there_are(hand: Hand, workspace: Path) -> None:
    put(workspace / ".skills/notes")

    with pytest.raises(ToolFailed, match=r"no skill 'deploy'\. There are: release-notes"):
        await hand.use("skills", name="deploy")


@pytest.mark.parametrize("file", ["../../secret", "/etc/passwd", "..", "link", "gone"])
async def test_no_file_outside_a_skill_is_read(
    hand: Hand, workspace: Path, house: Path, tmp_path: Path, file: str
) -> None:
    (tmp_path / "secret").write_text("s3cret")
    for place in (workspace / ".skills", house):
        put(place / "notes")
        (place / "notes/link").symlink_to(tmp_path / "secret")
        (place / "secret").write_text("s3cret")

        with pytest.raises(ToolFailed):
            await hand.use("skills", name="release-notes", file=file)
        hand.skills = ()


async def test_links_out_of_the_workspace_are_no_skills(
    hand: Hand, workspace: Path, tmp_path: Path
) -> None:
    put(tmp_path / "elsewhere/notes")
    (workspace / ".skills").symlink_to(tmp_path / "elsewhere")
    assert await hand.use("skills") == "There are no skills here."

    (workspace / ".skills").unlink()
    (workspace / ".skills").mkdir()
    (workspace / ".skills/notes").symlink_to(tmp_path / "elsewhere/notes")
    assert await hand.use("skills") == "There are no skills here."


def test_a_folder_of_the_house_that_is_gone_is_no_harm(workspace: Path) -> None:
    assert find(workspace, (workspace / "gone",)).skills == ()
