"""What a sandboxed command sees of the machine, as arguments of bubblewrap.

`Machine.here()` looks at the machine once; `arguments()` is a pure function of that and a command.
The layout starts from nothing: what is not named here does not exist inside.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from longhouse.runtime.sandbox.base import Command, SandboxRefused

HOME = "/tmp/home"  # noqa: S108 - in the sandbox's own /tmp, which ends with the command
HOSTS = b"127.0.0.1 localhost sandbox\n::1 localhost\n"

_TMP = "/tmp"  # noqa: S108 - the sandbox's own
_TMP_BYTES = 1 << 30
_SHM = "/dev/shm"  # noqa: S108 - likewise
_SHM_BYTES = 256 << 20

# In a distribution with one /usr these are links into it.
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Read-only, where they are: certificates, the linker's cache, the choice among alternatives.
_READABLE = (
    "/etc/ssl",
    "/etc/pki/tls/certs",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/nix/store",
)
# Root-owned files of /proc that tell about the whole machine. A server that runs as root is, to the
# kernel's permission bits, their owner inside as well.
_MASKED = (
    "kcore",
    "keys",
    "kmsg",
    "kpagecount",
    "kpageflags",
    "slabinfo",
    "sysrq-trigger",
    "timer_list",
    "vmallocinfo",
)
# No workspace may be one of these or hold one of them.
_RESERVED = ("/usr", "/etc", "/proc", "/sys", "/dev", "/run", _TMP, *(f"/{n}" for n in _SYSTEM))
# … or lie inside one of these.
_CLOSED = ("/proc", "/sys", "/dev")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What of this machine goes into every sandbox."""

    links: tuple[tuple[str, str], ...]  # (target, path) of the links in /
    directories: tuple[str, ...]  # system directories of a machine without one /usr
    readable: tuple[str, ...]
    masked: tuple[str, ...]
    python: Path | None  # the interpreter's home, when /usr does not hold it

    @classmethod
    def here(cls) -> Machine:
        """Look at this machine."""
        system = [Path("/", name) for name in _SYSTEM]
        return cls(
            links=tuple((os.readlink(path), str(path)) for path in system if path.is_symlink()),
            directories=tuple(
                str(path) for path in system if path.is_dir() and not path.is_symlink()
            ),
            readable=tuple(path for path in _READABLE if Path(path).exists()),
            masked=tuple(f"/proc/{name}" for name in _MASKED if Path("/proc", name).exists()),
            python=_python_home(),
        )

    @property
    def path(self) -> str:
        """The PATH inside."""
        usual = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
        return usual if self.python is None else f"{self.python}/bin:{usual}"


def _python_home() -> Path | None:
    """Where the running Python lives, if it has to be bound so that `python3` exists inside."""
    home = Path(sys.base_prefix).resolve()
    holds_a_home = Path.home().resolve().is_relative_to(home)
    if home.is_relative_to("/usr") or holds_a_home or not os.access(home, os.R_OK | os.X_OK):
        return None
    return home


def environment(path: str, extra: Mapping[str, str]) -> dict[str, str]:
    """All of a command's environment: nothing of the server's is in it."""
    fixed = {
        "PATH": path,
        "HOME": HOME,
        "USER": "agent",  # there is no /etc/passwd to look it up in
        "LOGNAME": "agent",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
    }
    return fixed | dict(extra)


def arguments(
    machine: Machine,
    command: Command,
    *,
    hosts_fd: int,
    seccomp_fd: int,
    status_fd: int,
    block_fd: int,
) -> bytes:
    """The options for `bwrap --args`. Raises `SandboxRefused` for a workspace that is too wide."""
    words = [
        *_namespaces(),
        *_system(machine),
        *_kernel(machine),
        *_temporary(),
        *("--perms", "0644", "--ro-bind-data", str(hosts_fd), "/etc/hosts"),
        *_binds(command),
        # Last of the mounts: until here mount points had to be made.
        *("--remount-ro", "/"),
        *("--chdir", str(command.cwd or command.workspace)),
        "--clearenv",
        *_environment(machine, command),
        *("--seccomp", str(seccomp_fd)),
        *("--json-status-fd", str(status_fd)),
        *("--block-fd", str(block_fd)),
    ]
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def _namespaces() -> tuple[str, ...]:
    return (
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"),
        *("--unshare-cgroup-try", "--disable-userns", "--die-with-parent", "--new-session"),
        *("--cap-drop", "ALL", "--uid", "1000", "--gid", "1000", "--hostname", "sandbox"),
    )


def _system(machine: Machine) -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr", "--dir", "/etc")
    for path in machine.directories:
        yield from ("--ro-bind", path, path)
    for target, path in machine.links:
        yield from ("--symlink", target, path)
    for path in machine.readable:
        yield from ("--ro-bind-try", path, path)
    if machine.python is not None:
        yield from ("--ro-bind", str(machine.python), str(machine.python))


def _kernel(machine: Machine) -> Iterator[str]:
    yield from ("--proc", "/proc")
    for path in machine.masked:
        yield from ("--ro-bind", "/dev/null", path)
    # Under a server that runs as root, the command is root to /proc/sys, capabilities or not: a
    # writable one would let it set `core_pattern` and run a program outside.
    yield from ("--remount-ro", "/proc")
    yield from ("--dev", "/dev")
    yield from ("--perms", "1777", "--size", str(_SHM_BYTES), "--tmpfs", _SHM)
    # /dev is a tmpfs without a size: files there would be memory without a limit.
    yield from ("--remount-ro", "/dev")


def _temporary() -> tuple[str, ...]:
    return ("--perms", "1777", "--size", str(_TMP_BYTES), "--tmpfs", _TMP, "--dir", HOME)


def _binds(command: Command) -> Iterator[str]:
    """The workspace and what else was asked for, parents first, so that the deeper path decides."""
    modes = {
        **dict.fromkeys(command.read_only, "--ro-bind"),
        **dict.fromkeys((command.workspace, *command.read_write), "--bind"),
    }
    for path in modes:
        refuse_too_wide(path)
    for path, option in sorted(modes.items()):
        yield from (option, str(path), str(path))


def refuse_too_wide(path: Path) -> None:
    """Raises `SandboxRefused` for a directory that a command must not be given."""
    if not path.is_absolute() or ".." in path.parts:
        raise SandboxRefused(f"{path} is not an absolute path", hint="Give the full path.")
    if any(Path(reserved).is_relative_to(path) for reserved in _RESERVED) or any(
        path.is_relative_to(closed) for closed in _CLOSED
    ):
        raise SandboxRefused(
            f"{path} holds or is a part of the system; a sandbox around it would protect nothing",
            hint="Use a directory that holds the project only.",
        )


def _environment(machine: Machine, command: Command) -> Iterator[str]:
    for name, value in environment(machine.path, command.env).items():
        yield from ("--setenv", name, value)
