"""Workspaces: an agent's copy of a repository, what it changed there, and how that comes back.

    <root>/<agent id>/workspace     what the sandbox shows the agent: a clone with a .git of its own
    <root>/<agent id>/git           ours: the commit it began with, its commits as we make them

A clone and not a worktree: a worktree's `.git` points into the source repository, which would
have to be visible and writable inside the sandbox. And *two* git directories: the agent may write
what it likes into `workspace/.git` (hooks, filters, a file monitor: all of them commands), so we
never run git on that one. Objects are copied and not linked: a linked file could be changed from
inside.

Called by `service`. It knows no database and no tenant: an agent's id is the only name here.
"""

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from longhouse.agents.git import NETWORK_SECONDS, Git, GitFailed
from longhouse.agents.models import AgentId, Repository
from longhouse.kit.errors import Conflict, InvalidInput, Json

SAMPLE = "sample"
"""The source that names no repository but the one we make to try things on."""

BRANCH_PREFIX = "longhouse/"
PROTOCOLS = {"https": "https", "http": "http", "ssh": "ssh"}
_SCP_LIKE = re.compile(r"[\w.-]+@[\w.-]+:(?!/).+")  # git@host:path, which is ssh
_NO_REF = re.compile(r"^[-/.]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|[/.]$|\.lock$")
HEAD = "refs/longhouse/head"
PENDING = "refs/longhouse/pending"

# Who makes the commits that we make; nobody's mail.
IDENTITY = {
    "GIT_AUTHOR_NAME": "Longhouse",
    "GIT_AUTHOR_EMAIL": "longhouse@localhost",
    "GIT_COMMITTER_NAME": "Longhouse",
    "GIT_COMMITTER_EMAIL": "longhouse@localhost",
}


class FileStatus(StrEnum):
    """What happened to a file."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"


_STATUSES = {
    "A": FileStatus.ADDED,
    "D": FileStatus.DELETED,
    "M": FileStatus.MODIFIED,
    "T": FileStatus.MODIFIED,  # a file became a link or the reverse
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A prepared workspace."""

    branch: str  # the one the agent is on
    base: str  # the commit it began with


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFile:
    """One file of a diff."""

    path: str
    status: FileStatus
    additions: int | None  # lines; None for a file that is not text
    deletions: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """Everything an agent changed since it began, what it did not add to git included."""

    files: tuple[ChangedFile, ...]
    patch: bytes  # `git apply` takes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A commit on a branch."""

    branch: str
    commit: str
    files: int  # that it changes


class RepositoryRefused(InvalidInput):
    """The named repository cannot be used."""

    code = "repository-refused"

    def __init__(self, field: str, message: str, *, hint: str | None = None) -> None:
        errors: list[Json] = [{"field": f"repository.{field}", "message": message}]
        super().__init__(message, hint=hint, errors=errors)


class NothingChanged(Conflict):
    """The branch has all of the agent's work already."""

    code = "nothing-changed"

    def __init__(self) -> None:
        super().__init__("There is nothing to commit: nothing changed since the last commit.")


class BranchTaken(Conflict):
    """The branch cannot take the commit without losing something."""

    code = "branch-taken"

    def __init__(self, branch: str, why: str) -> None:
        super().__init__(f"The branch {branch!r} {why}.", hint="Choose another name.")


class Workspaces:
    """All workspaces of this machine."""

    def __init__(
        self,
        root: Path,
        *,
        repository_roots: Sequence[Path],
        closed: Sequence[Path],
        make_sample: Callable[[Path], object],
    ) -> None:
        """`repository_roots`: directories from which local repositories may be used. `closed`:
        directories below them that are never given away, such as the data of this server.
        """
        self._root = root
        self._roots = tuple(path.resolve() for path in repository_roots)
        self._closed = tuple(path.resolve() for path in (*closed, root))
        self._make_sample = make_sample
        self._git = Git(root)
        self._committing: dict[AgentId, asyncio.Lock] = {}

    def path(self, agent_id: AgentId) -> Path:
        """The directory the agent works in."""
        return self._root / agent_id / "workspace"

    async def prepare(
        self, agent_id: AgentId, *, slug: str, repository: Repository | None
    ) -> Place:
        """Make the workspace. Raises `RepositoryRefused`; then nothing is left of it."""
        draft = self._root / f"{agent_id}.new"
        try:
            async with self._source(repository, draft) as source:
                place = await self._build(draft, source, repository, branch=BRANCH_PREFIX + slug)
            draft.rename(self._root / agent_id)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
            raise
        return place

    async def remove(self, agent_id: AgentId) -> None:
        """Delete the workspace and everything in it."""
        self._committing.pop(agent_id, None)
        await asyncio.to_thread(shutil.rmtree, self._root / agent_id, ignore_errors=True)

    async def diff(self, agent_id: AgentId, *, base: str) -> Diff:
        """What the agent changed. Nothing is kept of looking at it."""
        git_dir = self._git_dir(agent_id)
        with _throw_away(git_dir) as scratch:
            objects = scratch / "objects"
            objects.mkdir()
            environment = {
                "GIT_INDEX_FILE": str(scratch / "index"),
                "GIT_OBJECT_DIRECTORY": str(objects),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(git_dir / "objects"),
            }
            await self._add_all(agent_id, environment)
            answers = [
                await self._git.run(
                    "diff",
                    "--cached",
                    "--no-ext-diff",
                    "--no-textconv",
                    "--no-renames",
                    *options,
                    base,
                    "--",
                    git_dir=git_dir,
                    environment=environment,
                )
                for options in (("--name-status", "-z"), ("--numstat", "-z"), ("--binary",))
            ]
        names, counts, patch = answers
        return Diff(files=_changed_files(names, counts), patch=patch)

    async def commit(
        self,
        agent_id: AgentId,
        *,
        base: str,
        branch: str,
        message: str,
        author: str,
        repository: Repository | None,
    ) -> Committed:
        """Commit everything the agent changed to a branch of the source, where that is a directory
        of this machine, else of our own copy.

        The source's work tree and the branch it is on are never touched. Raises `InvalidInput` for
        a branch name git refuses, `BranchTaken`, `NothingChanged`.
        """
        await self._check_branch(branch)
        async with self._committing.setdefault(agent_id, asyncio.Lock()):
            git_dir = self._git_dir(agent_id)
            source = await self._local_source(repository)
            parent = await self._parent(git_dir, source, branch=branch, base=base)
            commit = await self._commit_on(agent_id, parent=parent, message=message, author=author)
            if source is not None:
                await self._hand_over(git_dir, source, branch=branch, commit=commit)
            await self._git.run("update-ref", f"refs/heads/{branch}", commit, git_dir=git_dir)
            names = await self._git.run(
                "diff-tree", "-r", "-z", "--name-only", parent, commit, git_dir=git_dir
            )
        return Committed(branch=branch, commit=commit, files=names.count(b"\0"))

    # --- making one -------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _source(
        self, repository: Repository | None, draft: Path
    ) -> AsyncIterator[str | None]:
        """The address to fetch from; None for a workspace that begins empty."""
        if repository is None:
            yield None
        elif repository.source == SAMPLE:
            sample = draft / "sample"
            await asyncio.to_thread(self._make_sample, sample)
            yield str(sample)
            await asyncio.to_thread(shutil.rmtree, sample)
        elif (local := await self._local_source(repository)) is not None:
            yield str(local)
        else:
            yield _checked_address(repository.source)

    async def _build(
        self, draft: Path, source: str | None, repository: Repository | None, *, branch: str
    ) -> Place:
        git_dir, workspace = draft / "git", draft / "workspace"
        await self._git.run("init", "--quiet", "--bare", str(git_dir))
        if source is None or repository is None:
            base = await self._empty_commit(git_dir)
        else:
            await self._fetch(git_dir, source)
            base = await self._resolve(git_dir, repository.ref)
        # Only the agent's branch is cloned, so only its history travels into the sandbox.
        await self._git.run("update-ref", f"refs/heads/{branch}", base, git_dir=git_dir)
        await self._git.run("symbolic-ref", "HEAD", f"refs/heads/{branch}", git_dir=git_dir)
        await self._git.run(
            "clone", "--quiet", "--no-local", "--no-tags", "--single-branch", "--branch", branch,
            "--config", "user.name=Longhouse agent", "--config", "user.email=agent@localhost",
            str(git_dir), str(workspace),
        )  # fmt: skip
        # Until now nobody but us has written there.
        await self._git.run("remote", "remove", "origin", git_dir=workspace / ".git")
        # An index that knows the files as they are: a diff then reads only what has changed.
        await self._git.run("read-tree", base, git_dir=git_dir)
        await self._git.run("update-index", "-q", "--refresh", git_dir=git_dir, work_tree=workspace)
        return Place(branch=branch, base=base)

    async def _empty_commit(self, git_dir: Path) -> str:
        tree = await self._git.line("mktree", git_dir=git_dir)
        made = await self._git.run(
            "commit-tree", tree, "-m", "Start", git_dir=git_dir, environment=IDENTITY
        )
        return made.decode().strip()

    async def _fetch(self, git_dir: Path, source: str) -> None:
        local = source.startswith("/")
        try:
            await self._git.run(
                "fetch", "--quiet", "--no-write-fetch-head", "--no-tags",
                "--end-of-options", source,
                f"+HEAD:{HEAD}", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*",
                git_dir=git_dir,
                protocols="file" if local else ":".join(PROTOCOLS),
                timeout=NETWORK_SECONDS,
            )  # fmt: skip
        except GitFailed as error:
            if "remote ref HEAD" in error.said:
                raise RepositoryRefused(
                    "source", "The repository has no commit yet.", hint="Commit something first."
                ) from error
            raise RepositoryRefused(
                "source",
                f"The repository cannot be fetched: {error.said}.",
                hint="Check it, and that the server's user may read it without a password.",
            ) from error

    async def _resolve(self, git_dir: Path, ref: str | None) -> str:
        if ref is not None and (not ref or _NO_REF.search(ref)):
            raise RepositoryRefused("ref", f"{ref!r} is no name of a branch, tag or commit.")
        names = (HEAD,) if ref is None else (f"refs/remotes/origin/{ref}", f"refs/tags/{ref}", ref)
        for name in names:
            if commit := await self._commit_at(git_dir, name):
                return commit
        raise RepositoryRefused(
            "ref",
            f"The repository has no branch, tag or commit {ref!r}.",
            hint="Leave it out to begin with the repository's main branch.",
        )

    async def _commit_at(self, git_dir: Path, name: str) -> str:
        """The commit a name stands for; empty for none."""
        answer = await self._git.run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}",
            git_dir=git_dir,
            accept=(0, 1, 128),
        )  # fmt: skip
        return answer.decode().strip()

    async def _local_source(self, repository: Repository | None) -> Path | None:
        """The source as a directory that may be used; None when it is something else."""
        if repository is None or not repository.source.startswith(("/", "~", ".")):
            return None
        path = self._allowed(repository.source)
        try:
            found = await self._git.line(
                "rev-parse", "--absolute-git-dir", "--git-common-dir", cwd=path
            )
        except GitFailed:
            raise RepositoryRefused("source", f"{path} is not a git repository.") from None
        for directory in found.splitlines():
            if not self._is_open(Path(path, directory)):
                raise self._outside(path)
        git_dir = Path(found.splitlines()[0])
        if path not in {git_dir, git_dir.parent} and not (path / ".git").exists():
            raise RepositoryRefused(
                "source",
                f"{path} is a directory inside a repository.",
                hint="Name the directory of the repository itself.",
            )
        return path

    def _allowed(self, source: str) -> Path:
        if not source.startswith("/"):
            raise RepositoryRefused(
                "source",
                f"{source!r} is neither an absolute path nor an address.",
                hint="Write /path/of/the/repository or https://host/repository.git.",
            )
        try:
            path = Path(source).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            path = Path("/nonexistent")
        # One answer for what is not there and what is not allowed: paths cannot be felt out.
        if not self._is_open(path) or not path.is_dir():
            raise self._outside(Path(source))
        return path

    def _is_open(self, path: Path) -> bool:
        path = path.resolve()
        return any(path.is_relative_to(root) for root in self._roots) and not any(
            path.is_relative_to(closed) for closed in self._closed
        )

    def _outside(self, path: Path) -> RepositoryRefused:
        roots = ", ".join(str(root) for root in self._roots)
        return RepositoryRefused(
            "source",
            f"{path} is not a directory that agents may work on.",
            hint=f"It has to exist below {roots}; LONGHOUSE_REPOSITORY_ROOTS names others.",
        )

    # --- looking at one, and committing it --------------------------------------------------------

    def _git_dir(self, agent_id: AgentId) -> Path:
        return self._root / agent_id / "git"

    async def _add_all(self, agent_id: AgentId, environment: dict[str, str]) -> None:
        """Everything that is not ignored, into the index that the environment names."""
        git_dir, workspace = self._git_dir(agent_id), self.path(agent_id)

        async def add(*paths: str) -> None:
            await self._git.run(
                "add", "--all", "--", ".", *paths,
                git_dir=git_dir, work_tree=workspace, cwd=workspace, environment=environment,
                accept=(0, 1),  # 1: a file could not be read, all others are there
            )  # fmt: skip

        try:
            await add()
        except GitFailed as error:
            if "does not have a commit checked out" not in error.said:
                raise
            # The agent began repositories inside: git can only leave them out.
            inner = await asyncio.to_thread(_inner_repositories, workspace)
            await add(*(f":(exclude,literal){path}" for path in inner))

    async def _check_branch(self, branch: str) -> None:
        try:
            await self._git.run("check-ref-format", f"refs/heads/{branch}")
            refused = branch.startswith("-") or branch == "HEAD"
        except (GitFailed, ValueError):
            refused = True
        if refused:
            message = f"{branch!r} cannot be the name of a branch."
            raise InvalidInput(
                message,
                hint="Use words joined by slashes or dashes, such as fix/login.",
                errors=[{"field": "branch", "message": message}],
            )

    async def _parent(self, git_dir: Path, source: Path | None, *, branch: str, base: str) -> str:
        """What the new commit follows: the branch as it is, or the commit the agent began with."""
        name = f"refs/heads/{branch}"
        if source is None:
            return await self._commit_at(git_dir, name) or base
        if await self._is_checked_out(source, branch):
            raise BranchTaken(branch, "is checked out in the repository")
        tip = await self._commit_at_source(source, name)
        if not tip:
            return base
        # Known to us and on top of our beginning: nothing of it can be lost.
        known = await self._commit_at(git_dir, tip)
        if not known or not await self._follows(git_dir, base, tip):
            raise BranchTaken(branch, "exists in the repository with another history")
        return tip

    async def _is_checked_out(self, source: Path, branch: str) -> bool:
        listed = await self._git.run("worktree", "list", "--porcelain", "-z", cwd=source)
        head = await self._git.run("symbolic-ref", "-q", "HEAD", cwd=source, accept=(0, 1))
        name = f"refs/heads/{branch}".encode()
        return b"branch " + name in listed.split(b"\0") or head.strip() == name

    async def _commit_at_source(self, source: Path, name: str) -> str:
        answer = await self._git.run(
            "rev-parse", "--verify", "--quiet", name + "^{commit}", cwd=source, accept=(0, 1, 128)
        )
        return answer.decode().strip()

    async def _follows(self, git_dir: Path, earlier: str, later: str) -> bool:
        common = await self._git.run("merge-base", earlier, later, git_dir=git_dir, accept=(0, 1))
        return common.decode().strip() == earlier

    async def _commit_on(self, agent_id: AgentId, *, parent: str, message: str, author: str) -> str:
        git_dir = self._git_dir(agent_id)
        with _throw_away(git_dir) as scratch:
            environment = {"GIT_INDEX_FILE": str(scratch / "index")}
            await self._add_all(agent_id, environment)
            answer = await self._git.run("write-tree", git_dir=git_dir, environment=environment)
            tree = answer.decode().strip()
        if tree == await self._git.line("rev-parse", parent + "^{tree}", git_dir=git_dir):
            raise NothingChanged
        made = await self._git.run(
            "commit-tree", tree, "-p", parent, "-F", "-",
            git_dir=git_dir,
            environment=IDENTITY | {"GIT_AUTHOR_NAME": author},
            stdin=message.encode("utf-8", "replace"),
        )  # fmt: skip
        return made.decode().strip()

    async def _hand_over(self, git_dir: Path, source: Path, *, branch: str, commit: str) -> None:
        """Let the source fetch the commit. Never forced: what is not a step forward is refused."""
        await self._git.run("update-ref", PENDING, commit, git_dir=git_dir)
        try:
            await self._git.run(
                "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc",
                str(git_dir), f"{PENDING}:refs/heads/{branch}",
                cwd=source,
            )  # fmt: skip
        except GitFailed as error:
            raise BranchTaken(branch, f"cannot take the commit: {error.said}") from error


@contextlib.contextmanager
def _throw_away(git_dir: Path) -> Iterator[Path]:
    """A directory for one look at the workspace, with a copy of the index to begin from."""
    with tempfile.TemporaryDirectory(dir=git_dir.parent, prefix="look-") as name:
        shutil.copyfile(git_dir / "index", Path(name, "index"))
        yield Path(name)


def _inner_repositories(workspace: Path) -> list[str]:
    """Directories below the workspace with a `.git` of their own."""
    found = []
    for directory, names, files in os.walk(workspace):
        if Path(directory) != workspace and ".git" in (*names, *files):
            found.append(str(Path(directory).relative_to(workspace)))
            names.clear()
        elif ".git" in names:
            names.remove(".git")
    return found


def _changed_files(names: bytes, counts: bytes) -> tuple[ChangedFile, ...]:
    """From `--name-status -z` and `--numstat -z`, which list the same files in the same order."""
    words = names.split(b"\0")[:-1]
    lines = [record.split(b"\t", 2) for record in counts.split(b"\0")[:-1]]
    numbers = {path: (added, deleted) for added, deleted, path in lines}
    files = []
    for status, path in zip(words[::2], words[1::2], strict=True):
        added, deleted = numbers.get(path, (b"-", b"-"))
        files.append(
            ChangedFile(
                path=path.decode("utf-8", "replace"),
                status=_STATUSES.get(status.decode()[:1], FileStatus.MODIFIED),
                additions=None if added == b"-" else int(added),
                deletions=None if deleted == b"-" else int(deleted),
            )
        )
    return tuple(files)


def _checked_address(source: str) -> str:
    """An address that git may fetch from. Raises `RepositoryRefused`."""
    if _SCP_LIKE.fullmatch(source):
        return source
    try:
        parts = urlsplit(source)
        host, password, user = parts.hostname, parts.password, parts.username
    except ValueError:
        raise RepositoryRefused("source", "The address cannot be understood.") from None
    if parts.scheme not in PROTOCOLS or not host or not source.isprintable():
        raise RepositoryRefused(
            "source",
            "The repository is neither a path nor an address that can be fetched.",
            hint="Write /path/of/the/repository, https://…, ssh://… or git@host:path.",
        )
    if password is not None or (user is not None and parts.scheme != "ssh"):
        raise RepositoryRefused(
            "source",
            "The address carries a user name or password, which everybody here could read.",
            hint="Leave it out and give the server's user access, for example by an SSH key.",
        )
    return source
