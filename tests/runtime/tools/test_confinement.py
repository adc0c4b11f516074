"""No tool reaches out of the workspace: not by a path, not by a link, not by a race."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runtime.tools.conftest import Hand

from longhouse.runtime.sandbox.base import Sandbox
from longhouse.runtime.tools.base import ToolFailed
from longhouse.runtime.tools.beneath import Beneath

SECRET = "s3cret-of-another-agent"

WAYS = [
    "../other-agent/file",
    "sub/../../other-agent/file",
    "/etc/passwd",
    "/proc/self/environ",
    "/proc/1/root/etc/passwd",
    "link-to-directory/file",
    "link-to-file",
    "absolute-link",
    "deep/link-up/other-agent/file",
    "chain-one",
    "proc-link/environ",
    "proc-root/etc/passwd",
    "../workspace-evil/file",
    "..",
    "../",
    "../..",
    "../../../../../../../../etc/passwd",
    "./../other-agent/file",
    "sub/./.././../other-agent/file",
    "sub//..//..//other-agent/file",
    "deep/../../other-agent/file",
    "../workspace/../other-agent/file",
    "../workspace-evil/../other-agent/file",
    "/",
    "//etc/passwd",
    "/./etc/passwd",
    "/etc/../etc/passwd",
    "/etc/shadow",
    "/root",
    "/home",
    "/dev/mem",
    "/dev/null",
    "/sys/kernel/notes",
    "/proc/self/root/etc/passwd",
    "/proc/self/cwd/../other-agent/file",
    "/proc/thread-self/environ",
    "/proc/1/environ",
    "/proc/self/fd/0",
    "/proc/self/mem",
    "link-to-directory/../../other-agent/file",
    "link-to-directory/./file",
    "deep/link-up/workspace-evil/file",
    "proc-link/root/etc/passwd",
    "proc-link/cwd/../other-agent/file",
    "proc-root/etc/shadow",
]
"""Paths that lead out."""


@pytest.fixture(autouse=True)
def world(tmp_path: Path, workspace: Path) -> None:
    for name in ("other-agent", "workspace-evil"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(SECRET)
    (workspace / "sub").mkdir()
    (workspace / "deep").mkdir()
    for link, target in {
        "link-to-directory": "../other-agent",
        "link-to-file": "../other-agent/file",
        "absolute-link": str(tmp_path / "other-agent/file"),
        "deep/link-up": "../..",
        "chain-one": "chain-two",
        "chain-two": "../other-agent/file",
        "proc-link": "/proc/self",
        "proc-root": "/proc/self/root",
        "dangling-out": str(tmp_path / "planted"),
        "dangling-in": "nowhere",
        "circle": "circle",
    }.items():
        (workspace / link).symlink_to(target)


def remember(hand: Hand, path: str) -> None:
    """As if the file had been read, with whatever digest: confinement must not hang on that."""
    hand.seen[path] = "0" * 32


FILE_TOOLS: dict[str, dict[str, object]] = {
    "fs_read": {},
    "fs_write": {"content": "planted"},
    "fs_edit": {"old": "s3cret", "new": "planted"},
    "fs_multi_edit": {"edits": [{"old": "s3cret", "new": "planted"}]},
    "fs_grep": {"pattern": "s3cret|root|PATH"},
    "fs_glob": {"pattern": "*"},
}


def test_there_are_at_least_forty_ways_out() -> None:
    assert len(set(WAYS)) == len(WAYS) >= 40


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize(("tool", "arguments"), FILE_TOOLS.items(), ids=FILE_TOOLS)
async def test_no_file_tool_leaves_the_workspace(
    hand: Hand, tmp_path: Path, tool: str, arguments: dict[str, object], path: str
) -> None:
    remember(hand, path)

    with pytest.raises(ToolFailed, match="outside the workspace") as failed:
        await hand.use(tool, path=path, **arguments)

    assert "Use a path inside it" in str(failed.value)
    assert (tmp_path / "other-agent/file").read_text() == SECRET
    assert (tmp_path / "workspace-evil/file").read_text() == SECRET


@pytest.mark.parametrize("path", WAYS)
async def test_no_preview_leaves_the_workspace(hand: Hand, path: str) -> None:
    remember(hand, path)

    with pytest.raises(ToolFailed, match="outside the workspace"):
        await hand.preview("fs_write", path=path, content="x")
    with pytest.raises(ToolFailed, match="outside the workspace"):
        await hand.preview("fs_edit", path=path, old="s3cret", new="x")
    with pytest.raises(ToolFailed, match="outside the workspace"):
        await hand.preview("fs_multi_edit", path=path, edits=[{"old": "s3cret", "new": "x"}])


@pytest.mark.parametrize("pattern", ["../**", "/etc/*", "sub/../../**"])
async def test_no_pattern_leaves_the_workspace(hand: Hand, pattern: str) -> None:
    with pytest.raises(ToolFailed, match="outside the workspace"):
        await hand.use("fs_glob", pattern=pattern)


async def test_a_search_does_not_follow_links_out(hand: Hand, workspace: Path) -> None:
    (workspace / "own").write_text("ours")

    assert await hand.use("fs_grep", pattern="s3cret|ours") == "own:1:ours"
    assert await hand.use("fs_glob", pattern="**/{file,own,environ,passwd}") == "own"


async def test_nothing_is_written_through_a_link_that_leads_nowhere(
    hand: Hand, tmp_path: Path, workspace: Path
) -> None:
    with pytest.raises(ToolFailed):
        await hand.use("fs_write", path="dangling-out", content="x")
    with pytest.raises(ToolFailed, match="leads nowhere"):
        await hand.use("fs_write", path="dangling-in", content="x")

    assert not (tmp_path / "planted").exists()
    assert not (workspace / "nowhere").exists()


async def test_a_link_in_circles_is_told(hand: Hand) -> None:
    with pytest.raises(ToolFailed, match="in circles"):
        await hand.use("fs_read", path="circle")


async def test_directories_are_not_made_outside(hand: Hand, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed):
        await hand.use("fs_write", path="link-to-directory/new/file", content="x")
    with pytest.raises(ToolFailed):
        await hand.use("fs_write", path="dangling-out/file", content="x")

    assert os.listdir(tmp_path / "other-agent") == ["file"]
    assert not (tmp_path / "planted").exists()


class TestSpecialFiles:
    @pytest.fixture(autouse=True)
    def specials(self, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        os.mkfifo(workspace / "pipe")
        # A socket's path has to be short.
        monkeypatch.chdir(workspace)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket")
            yield

    @pytest.mark.parametrize("path", ["pipe", "socket"])
    @pytest.mark.parametrize(
        ("tool", "arguments"),
        [
            ("fs_read", {}),
            ("fs_write", {"content": "x"}),
            ("fs_edit", {"old": "a", "new": "b"}),
            ("fs_multi_edit", {"edits": [{"old": "a", "new": "b"}]}),
        ],
    )
    async def test_a_pipe_or_socket_is_refused_and_holds_nobody(
        self, hand: Hand, tool: str, arguments: dict[str, object], path: str
    ) -> None:
        with pytest.raises(ToolFailed, match="not a regular file"):
            await hand.use(tool, path=path, **arguments)

    async def test_a_search_passes_them_by(self, hand: Hand) -> None:
        assert "Nothing matches" in await hand.use("fs_grep", pattern="x")


@pytest.mark.parametrize("path", ["", "\0", "a\0b"])
async def test_what_is_no_path_is_refused(hand: Hand, path: str) -> None:
    with pytest.raises(ToolFailed, match="is not a path"):
        await hand.use("fs_read", path=path)


async def test_a_very_long_path_is_an_error_like_any_other(hand: Hand) -> None:
    with pytest.raises(ToolFailed, match="too long"):
        await hand.use("fs_read", path="x" * 10_000)


def test_a_directory_swapped_for_a_link_never_leads_out(tmp_path: Path, workspace: Path) -> None:
    (workspace / "real").mkdir()
    (workspace / "real/file").write_text("inside")
    (workspace / "other").symlink_to("../other-agent")
    (workspace / "spot").symlink_to("real")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for target in ("real", "other"):
                os.symlink(target, workspace / "next")
                os.rename(workspace / "next", workspace / "spot")

    swapping = threading.Thread(target=swap)
    swapping.start()
    read = []
    try:
        with Beneath(workspace) as inside:
            for _ in range(2000):
                try:
                    read.append(inside.read("spot/file").data)
                    inside.write("spot/file", b"inside")
                except ToolFailed:
                    read.append(b"")
    finally:
        stop.set()
        swapping.join()

    # On a busy machine the two threads may keep step, and every read meet the same of both.
    assert set(read) <= {b"inside", b""}
    assert (tmp_path / "other-agent/file").read_text() == SECRET


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "command",
    [
        "cat /etc/passwd",
        "cd ..; cat other-agent/file",
        "cat link-to-file chain-one absolute-link deep/link-up/other-agent/file",
        "cat /proc/1/root/etc/passwd proc-root/etc/passwd",
        "cat /proc/*/environ; env",
        "grep -r s3cret / --exclude-dir=proc --exclude-dir=usr",
    ],
)
async def test_no_command_reads_what_is_outside(
    workspace: Path, protection: Sandbox, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("PROVIDER_KEY", SECRET)
    hand = Hand(workspace=workspace, sandbox=protection)

    shown = await hand.use("bash_run", command=command)

    assert SECRET not in shown
    assert "root:" not in shown


@pytest.mark.sandbox
async def test_a_dangling_link_is_no_door_for_a_command(
    workspace: Path, tmp_path: Path, protection: Sandbox
) -> None:
    hand = Hand(workspace=workspace, sandbox=protection)

    await hand.use("bash_run", command="echo x > dangling-out; echo x > link-to-directory/new")

    assert not (tmp_path / "planted").exists()
    assert os.listdir(tmp_path / "other-agent") == ["file"]
