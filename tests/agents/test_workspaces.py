"""Workspaces on real repositories, with agents that mean no good."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from longhouse.agents.models import AgentId, Repository
from longhouse.agents.workspaces import (
    SAMPLE,
    BranchTaken,
    ChangedFile,
    FileStatus,
    NothingChanged,
    RepositoryRefused,
    Workspaces,
)
from longhouse.kit.errors import InvalidInput

AGENT = AgentId("agent_1")
ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def git(where: Path, *arguments: str) -> str:
    """Git as a person runs it."""
    done = subprocess.run(
        ["git", *arguments], cwd=where, env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def make_repository(path: Path) -> Path:
    path.mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    (path / "README").write_text("hello\n")
    (path / "gone.txt").write_text("to be deleted\n")
    git(path, "add", ".")
    git(path, "commit", "-qm", "First")
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """What people may name repositories in."""
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def source(home: Path) -> Path:
    return make_repository(home / "project")


@pytest.fixture
def workspaces(home: Path) -> Workspaces:
    # Below the roots, as the default data directory is below the home directory.
    data = home / ".data"
    return Workspaces(
        data / "agents", repository_roots=[home], closed=[data], make_sample=make_repository
    )


async def prepare(workspaces: Workspaces, source: Path | str, ref: str | None = None) -> str:
    """The commit the agent begins with."""
    place = await workspaces.prepare(
        AGENT, slug="ada", repository=Repository(source=str(source), ref=ref)
    )
    assert place.branch == "longhouse/ada"
    return place.base


async def commit(
    workspaces: Workspaces, source: Path | str, base: str, branch: str = "fix"
) -> tuple[str, int]:
    made = await workspaces.commit(
        AGENT,
        base=base,
        branch=branch,
        message="Fix it\n\nreally",
        author="Grace",
        repository=Repository(source=str(source), ref=None),
    )
    return made.commit, made.files


class TestPreparing:
    async def test_the_agent_gets_a_clone_on_its_own_branch(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        base = await prepare(workspaces, source)

        place = workspaces.path(AGENT)
        assert (place / "README").read_text() == "hello\n"
        assert git(place, "branch", "--show-current") == "longhouse/ada"
        assert git(place, "rev-parse", "HEAD") == base == git(source, "rev-parse", "main")
        assert git(place, "remote") == ""
        assert git(place, "config", "user.email") == "agent@localhost"

    async def test_a_branch_a_tag_or_a_commit_can_be_named(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        first = git(source, "rev-parse", "HEAD")
        git(source, "tag", "v1")
        git(source, "checkout", "-qb", "feature/x")
        git(source, "commit", "-q", "--allow-empty", "-m", "Second")
        second = git(source, "rev-parse", "HEAD")

        for ref, expected in {
            "feature/x": second,
            "v1": first,
            first: first,
            "main": first,
        }.items():
            assert await prepare(workspaces, source, ref) == expected
            await workspaces.remove(AGENT)

    @pytest.mark.parametrize("ref", ["nowhere", "-x", "a..b", "", "main@{1}", "--upload-pack=x"])
    async def test_a_ref_that_is_not_there_is_refused(
        self, workspaces: Workspaces, source: Path, ref: str
    ) -> None:
        with pytest.raises(RepositoryRefused) as refused:
            await prepare(workspaces, source, ref)

        assert refused.value.fields["errors"] == [
            {"field": "repository.ref", "message": refused.value.detail}
        ]
        assert not workspaces.path(AGENT).exists()

    async def test_a_bare_repository_can_be_named(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        bare = source.parent / "bare.git"
        git(source, "clone", "-q", "--bare", ".", str(bare))

        assert await prepare(workspaces, bare) == git(source, "rev-parse", "HEAD")

    async def test_the_sample_can_be_named(self, workspaces: Workspaces) -> None:
        base = await prepare(workspaces, SAMPLE)

        assert (workspaces.path(AGENT) / "README").exists()
        assert not (workspaces.path(AGENT).parent / "sample").exists()
        assert (await workspaces.diff(AGENT, base=base)).files == ()

    async def test_without_a_repository_the_agent_begins_with_nothing(
        self, workspaces: Workspaces
    ) -> None:
        place = await workspaces.prepare(AGENT, slug="ada", repository=None)
        (workspaces.path(AGENT) / "new").write_text("x\n")

        diff = await workspaces.diff(AGENT, base=place.base)

        assert [file.path for file in diff.files] == ["new"]

    @pytest.mark.parametrize(
        "address",
        [
            "file:///etc",
            "ext::sh -c true",
            "ftp://example.org/x",
            "https://user:secret@example.org/x.git",
            "https://token@example.org/x.git",
            "relative/path",
            "--upload-pack=touch /tmp/x",
            "https://",
            "",
        ],
    )
    async def test_an_address_that_may_not_be_fetched_is_refused(
        self, workspaces: Workspaces, address: str
    ) -> None:
        with pytest.raises(RepositoryRefused) as refused:
            await prepare(workspaces, address)

        assert "secret" not in str(refused.value)

    async def test_an_address_where_nobody_answers_is_refused(self, workspaces: Workspaces) -> None:
        with pytest.raises(RepositoryRefused, match="cannot be fetched"):
            await prepare(workspaces, "http://127.0.0.1:9/x.git")

    async def test_a_path_outside_the_roots_or_missing_is_refused_alike(
        self, workspaces: Workspaces, tmp_path: Path, home: Path
    ) -> None:
        outside = make_repository(tmp_path / "outside")
        (home / "link").symlink_to(outside)

        for path in (outside, home / "link", home / "missing", home / ".." / "outside"):
            with pytest.raises(RepositoryRefused, match="not a directory that agents may work on"):
                await prepare(workspaces, path)

    async def test_a_repository_whose_git_directory_is_outside_is_refused(
        self, workspaces: Workspaces, tmp_path: Path, home: Path
    ) -> None:
        outside = make_repository(tmp_path / "outside")
        (home / "sly").mkdir()
        (home / "sly" / ".git").write_text(f"gitdir: {outside}/.git\n")

        with pytest.raises(RepositoryRefused, match="not a directory that agents may work on"):
            await prepare(workspaces, home / "sly")

    async def test_another_agents_workspace_is_no_source(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        await prepare(workspaces, source)

        with pytest.raises(RepositoryRefused):
            await workspaces.prepare(
                AgentId("agent_2"),
                slug="b",
                repository=Repository(source=str(workspaces.path(AGENT)), ref=None),
            )

    async def test_a_directory_without_git_or_inside_a_repository_is_refused(
        self, workspaces: Workspaces, source: Path, home: Path
    ) -> None:
        (home / "plain").mkdir()
        (source / "sub").mkdir()

        with pytest.raises(RepositoryRefused, match="not a git repository"):
            await prepare(workspaces, home / "plain")
        with pytest.raises(RepositoryRefused, match="inside a repository"):
            await prepare(workspaces, source / "sub")

    async def test_a_repository_without_commits_is_refused(
        self, workspaces: Workspaces, home: Path
    ) -> None:
        (home / "empty").mkdir()
        git(home / "empty", "init", "-q")

        with pytest.raises(RepositoryRefused, match="no commit yet"):
            await prepare(workspaces, home / "empty")

    async def test_hooks_of_the_source_do_not_run(
        self, workspaces: Workspaces, source: Path, tmp_path: Path
    ) -> None:
        trap = set_traps(source / ".git", tmp_path)

        base = await prepare(workspaces, source)
        (workspaces.path(AGENT) / "README").write_text("changed\n")
        await commit(workspaces, source, base)

        assert not trap.exists()


class TestDiff:
    async def test_a_diff_shows_what_is_new_changed_and_deleted(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        base = await prepare(workspaces, source)
        place = workspaces.path(AGENT)
        (place / "README").write_text("hello\nworld\n")
        (place / "gone.txt").unlink()
        (place / "Ü tab\tname").write_text("x\n")
        (place / "image").write_bytes(b"\0\1\2")
        (place / ".gitignore").write_text("ignored\n")
        (place / "ignored").write_text("x")

        diff = await workspaces.diff(AGENT, base=base)

        assert {file.path: (file.status, file.additions) for file in diff.files} == {
            ".gitignore": (FileStatus.ADDED, 1),
            "README": (FileStatus.MODIFIED, 1),
            "gone.txt": (FileStatus.DELETED, 0),
            "image": (FileStatus.ADDED, None),
            "Ü tab\tname": (FileStatus.ADDED, 1),
        }
        (source.parent / "check").mkdir()
        check = source.parent / "check"
        git(check, "clone", "-q", str(source), ".")
        (check / "patch").write_bytes(diff.patch)
        git(check, "apply", "patch")
        assert (check / "Ü tab\tname").read_text() == "x\n"
        assert (check / "image").read_bytes() == b"\0\1\2"

    async def test_looking_twice_shows_the_same_and_leaves_nothing(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        base = await prepare(workspaces, source)
        (workspaces.path(AGENT) / "new").write_text("x\n")
        before = sorted(path.name for path in workspaces.path(AGENT).parent.iterdir())

        first = await workspaces.diff(AGENT, base=base)

        assert await workspaces.diff(AGENT, base=base) == first
        assert sorted(path.name for path in workspaces.path(AGENT).parent.iterdir()) == before
        assert git(workspaces.path(AGENT), "status", "--porcelain") == "?? new"

    async def test_what_the_agent_commits_itself_is_shown_too(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        base = await prepare(workspaces, source)
        place = workspaces.path(AGENT)
        (place / "README").write_text("changed\n")
        git(place, "commit", "-qam", "Mine")

        diff = await workspaces.diff(AGENT, base=base)

        assert diff.files == (
            ChangedFile(path="README", status=FileStatus.MODIFIED, additions=1, deletions=1),
        )

    async def test_nothing_an_agent_configures_is_executed(
        self, workspaces: Workspaces, source: Path, tmp_path: Path
    ) -> None:
        base = await prepare(workspaces, source)
        place = workspaces.path(AGENT)
        trap = set_traps(place / ".git", tmp_path)
        (place / ".gitattributes").write_text("* filter=evil diff=evil\n")
        (place / "README").write_text("changed\n")
        inner = make_repository(place / "inner")
        set_traps(inner / ".git", tmp_path)

        await workspaces.diff(AGENT, base=base)
        await commit(workspaces, source, base)

        assert not trap.exists()

    async def test_a_repository_begun_inside_does_not_hide_the_rest(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        base = await prepare(workspaces, source)
        place = workspaces.path(AGENT)
        (place / "inner").mkdir()
        git(place / "inner", "init", "-q")
        (place / "inner" / "file").write_text("x")
        (place / "new").write_text("x\n")

        diff = await workspaces.diff(AGENT, base=base)

        assert "new" in [file.path for file in diff.files]

    async def test_a_pipe_and_a_link_out_of_the_workspace_are_not_followed(
        self, workspaces: Workspaces, source: Path, tmp_path: Path
    ) -> None:
        base = await prepare(workspaces, source)
        place = workspaces.path(AGENT)
        os.mkfifo(place / "pipe")
        (tmp_path / "secret").write_text("the secret")
        (place / "link").symlink_to(tmp_path / "secret")
        (place / "folder").symlink_to(tmp_path)

        diff = await workspaces.diff(AGENT, base=base)

        assert [file.path for file in diff.files] == ["folder", "link"]
        assert b"the secret" not in diff.patch

    async def test_breaking_its_own_git_directory_harms_only_the_agent(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        base = await prepare(workspaces, source)
        place = workspaces.path(AGENT)
        (place / ".git" / "HEAD").write_text("nonsense")
        (place / ".git" / "config").write_text("[[[")
        (place / "new").write_text("x\n")

        diff = await workspaces.diff(AGENT, base=base)

        assert [file.path for file in diff.files] == ["new"]


class TestCommit:
    async def test_a_commit_arrives_on_a_branch_of_the_source_and_nowhere_else(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        base = await prepare(workspaces, source)
        (workspaces.path(AGENT) / "README").write_text("changed\n")
        (workspaces.path(AGENT) / "new").write_text("x\n")

        made, files = await commit(workspaces, source, base)

        assert files == 2
        assert git(source, "rev-parse", "fix") == made
        assert git(source, "rev-parse", "fix^") == base
        assert git(source, "log", "-1", "--format=%an %B", "fix") == "Grace Fix it\n\nreally"
        assert git(source, "show", "fix:new") == "x"
        assert git(source, "status", "--porcelain") == ""
        assert git(source, "branch", "--show-current") == "main"

    async def test_a_second_commit_follows_the_first(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        base = await prepare(workspaces, source)
        (workspaces.path(AGENT) / "one").write_text("1\n")
        first, _ = await commit(workspaces, source, base)
        (workspaces.path(AGENT) / "two").write_text("2\n")

        second, files = await commit(workspaces, source, base)

        assert files == 1
        assert git(source, "rev-parse", f"{second}^") == first

    async def test_without_changes_there_is_nothing_to_commit(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        base = await prepare(workspaces, source)

        with pytest.raises(NothingChanged):
            await commit(workspaces, source, base)

    async def test_the_branch_that_is_checked_out_is_not_touched(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        base = await prepare(workspaces, source)
        (workspaces.path(AGENT) / "new").write_text("x\n")

        with pytest.raises(BranchTaken, match="checked out"):
            await commit(workspaces, source, base, "main")

    async def test_a_branch_with_another_history_is_not_overwritten(
        self, workspaces: Workspaces, source: Path
    ) -> None:
        base = await prepare(workspaces, source)
        (workspaces.path(AGENT) / "new").write_text("x\n")
        git(source, "checkout", "-qb", "fix")
        git(source, "commit", "-q", "--allow-empty", "-m", "Somebody else's")
        git(source, "checkout", "-q", "main")
        theirs = git(source, "rev-parse", "fix")

        with pytest.raises(BranchTaken, match="another history"):
            await commit(workspaces, source, base)

        assert git(source, "rev-parse", "fix") == theirs

    @pytest.mark.parametrize("branch", ["-f", "a..b", "", "a b", "x.lock", "HEAD", "a/", "@{1}"])
    async def test_a_branch_name_that_git_refuses_is_refused(
        self, workspaces: Workspaces, source: Path, branch: str
    ) -> None:
        base = await prepare(workspaces, source)
        (workspaces.path(AGENT) / "new").write_text("x\n")

        with pytest.raises(InvalidInput, match="name of a branch"):
            await commit(workspaces, source, base, branch)

    async def test_work_without_a_local_source_is_committed_to_our_copy(
        self, workspaces: Workspaces
    ) -> None:
        base = await prepare(workspaces, SAMPLE)
        (workspaces.path(AGENT) / "new").write_text("x\n")

        first, _ = await commit(workspaces, SAMPLE, base)
        (workspaces.path(AGENT) / "more").write_text("x\n")
        second, files = await commit(workspaces, SAMPLE, base)

        assert files == 1
        assert first != second


async def test_a_removed_workspace_is_gone(workspaces: Workspaces, source: Path) -> None:
    await prepare(workspaces, source)

    await workspaces.remove(AGENT)

    assert not workspaces.path(AGENT).parent.exists()


def set_traps(git_dir: Path, tmp_path: Path) -> Path:
    """Everything in a git directory that git would execute. The file appears if it did."""
    sprung = tmp_path / "sprung"
    script = tmp_path / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch {sprung}\ncat\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    hooks = git_dir / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "pre-commit", "post-commit", "reference-transaction",
                 "post-index-change", "post-update", "update", "pre-auto-gc"):  # fmt: skip
        (hooks / name).write_text(script.read_text())
        (hooks / name).chmod(0o755)
    with (git_dir / "config").open("a") as config:
        config.write(
            f"""
[core]
\tfsmonitor = {script}
\tsshCommand = {script}
\tpager = {script}
[filter "evil"]
\tclean = {script}
\tsmudge = {script}
\trequired = true
[diff]
\texternal = {script}
[diff "evil"]
\ttextconv = {script}
\tcommand = {script}
[uploadpack]
\tpackObjectsHook = {script}
[gc]
\tauto = 1
"""
        )
    return sprung
