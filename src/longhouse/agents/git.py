"""Git as a program that touches what agents and strangers wrote: nothing of theirs is executed.

Called by `workspaces` only. No hook, filter, pager, editor, external diff, credential prompt or
helper runs; no user's or system's configuration is read; only the named transports work. Every call
has a time limit and a bound on its output.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from longhouse.kit.errors import LonghouseError, Misconfigured, TooLarge, Unavailable

LOCAL_SECONDS = 60.0
"""For what works on a disk; a repository of gigabytes takes a few seconds."""

NETWORK_SECONDS = 300.0
"""For fetching from another machine."""

MOST_OUTPUT = 32 * 1024 * 1024
"""Bytes of one answer. A diff over that is for programs and not for a page."""

STDERR_TAIL = 4000
"""Bytes of complaint that are kept."""

# Configuration beats repositories' own only on the command line, so what matters stands there.
HARDENED = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "core.pager=cat",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "credential.helper=",
    "diff.ignoreSubmodules=all",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "http.followRedirects=initial",
    "add.ignoreErrors=true",
)

# What child processes of git read, too: the sending half of a fetch runs in the source.
GLOBAL_CONFIG = """\
[safe]
\tdirectory = *
[core]
\thooksPath = /dev/null
\tfsmonitor = false
[init]
\ttemplateDir =
\tdefaultBranch = main
"""

# Proxies and certificates of this machine: without them some networks cannot be reached.
INHERITED = (
    "HOME",
    "PATH",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "ALL_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)

SSH = "ssh -oBatchMode=yes -oConnectTimeout=15 -oStrictHostKeyChecking=accept-new"


class GitFailed(LonghouseError):
    """Git ended with an error; `said` is what it wrote about it."""

    code = "git-failed"
    title = "Git failed"

    def __init__(self, command: str, code: int, said: str) -> None:
        super().__init__(f"git {command} failed: {said or f'exit code {code}'}")
        self.exit_code_of_git = code
        self.said = said


class Git:
    """Runs git. One for all workspaces."""

    def __init__(self, directory: Path) -> None:
        """`directory` is ours alone; a file with git's settings is kept in it."""
        self._config = directory / "gitconfig"

    async def run(
        self,
        *arguments: str,
        git_dir: Path | None = None,
        work_tree: Path | None = None,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        protocols: str = "file",
        stdin: bytes = b"",
        timeout: float = LOCAL_SECONDS,
        accept: tuple[int, ...] = (0,),
    ) -> bytes:
        """What git writes to standard output.

        `protocols`: transports that may be used, separated by colons. `accept`: exit codes that are
        no failure. Raises `GitFailed`, `TooLarge`, `Unavailable` when it takes too long and
        `Misconfigured` when there is no git.
        """
        self._write_config()
        command = [
            "git",
            *(f"--git-dir={git_dir}" for _ in (1,) if git_dir is not None),
            *(f"--work-tree={work_tree}" for _ in (1,) if work_tree is not None),
            *(word for setting in HARDENED for word in ("-c", setting)),
            *arguments,
        ]
        process = await _start(
            command, cwd=cwd, environment=self._environment(protocols) | dict(environment or {})
        )
        try:
            async with asyncio.timeout(timeout):
                output, said, code = await _talk(process, stdin)
        except TimeoutError:
            raise Unavailable(
                f"git {arguments[0]} took longer than {timeout:.0f} seconds and was stopped.",
                hint="Try again; a large repository may need a shallow copy nearby.",
            ) from None
        finally:
            await _end(process)
        if code not in accept:
            raise GitFailed(arguments[0], code, _last_words(said))
        return output

    async def line(
        self, *arguments: str, git_dir: Path | None = None, cwd: Path | None = None
    ) -> str:
        """The one line git answers."""
        output = await self.run(*arguments, git_dir=git_dir, cwd=cwd)
        return output.decode(errors="replace").strip()

    def _environment(self, protocols: str) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return inherited | {
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self._config),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_ALLOW_PROTOCOL": protocols,
            "GIT_SSH_COMMAND": SSH,
        }

    def _write_config(self) -> None:
        if not self._config.exists():
            self._config.parent.mkdir(parents=True, exist_ok=True)
            self._config.write_text(GLOBAL_CONFIG)


async def _start(
    command: list[str], *, cwd: Path | None, environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=dict(environment),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # so that its children can be ended with it
        )
    except FileNotFoundError:
        raise Misconfigured(
            "Git is not installed on the server.", hint="Install the package `git`."
        ) from None


async def _talk(process: asyncio.subprocess.Process, stdin: bytes) -> tuple[bytes, bytes, int]:
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdin is not None
    # Git may end before it reads. Uvloop says RuntimeError where asyncio says ConnectionResetError.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, RuntimeError):
        if stdin:
            process.stdin.write(stdin)
        process.stdin.close()
    output, said = await asyncio.gather(
        _read(process.stdout, MOST_OUTPUT), _read_tail(process.stderr)
    )
    return output, said, await process.wait()


async def _read(stream: asyncio.StreamReader, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := await stream.read(65536):
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            raise TooLarge(
                f"The answer of git is larger than {most // 1024 // 1024} MiB.",
                hint="Commit the work to a branch and look at it there.",
            )
    return b"".join(chunks)


async def _read_tail(stream: asyncio.StreamReader) -> bytes:
    tail = b""
    while chunk := await stream.read(65536):
        tail = (tail + chunk)[-STDERR_TAIL:]
    return tail


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _last_words(said: bytes) -> str:
    """The line that says what is wrong, without git's prefix."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    wrong = [line for line in lines if line.startswith(("fatal:", "error:"))]
    text = (wrong or lines or [""])[0]
    return text.removeprefix("fatal:").removeprefix("error:").strip()
