"""Control groups: bounds for all processes of a command together, where the machine lets us.

Used by the runners beside resource limits, which bind each process on its own and, for the number
of processes, do not bind root at all. On cgroup v2 (delegated to us, as by `Delegate=yes` of
systemd) memory and processes are bounded; on v1 processes only. Where no group is writable `find()`
answers None, and the runners say so in their report.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import time
from pathlib import Path

from longhouse.runtime.sandbox.base import SandboxLimits

_PREFIX = "longhouse-"
_ROOT = Path("/sys/fs/cgroup")
_REMOVE_TRIES = 20  # the kernel lets go of a group some milliseconds after its last process


class Cgroup:
    """One group for one command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, pid: int) -> None:
        """Put a process into it; its later children are in it too."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def kill(self) -> None:
        """End every process in it at once, also those that left their session and parents."""
        switch = self.path / "cgroup.kill"  # v2 since Linux 5.14
        if switch.exists():
            switch.write_text("1")
            return
        for pid in (self.path / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), 9)

    def remove(self) -> bool:
        """Remove it. False: the kernel still holds it, try again a moment later."""
        try:
            self.path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


class Cgroups:
    """Makes groups below one that we may write."""

    def __init__(self, base: Path, *, version: int) -> None:
        self._base = base
        self._version = version
        self._numbers = itertools.count(1)

    @property
    def bounds(self) -> tuple[str, ...]:
        """What the groups bound."""
        return ("processes", "memory") if self._version == 2 else ("processes",)

    def create(self, limits: SandboxLimits) -> Cgroup:
        """A new, empty group with these limits. Raises `OSError` if it cannot be made."""
        path = self._base / f"{_PREFIX}{os.getpid()}-{next(self._numbers)}"
        path.mkdir()
        try:
            (path / "pids.max").write_text(str(limits.processes))
            if self._version == 2:
                (path / "memory.max").write_text(str(limits.memory_bytes))
                with contextlib.suppress(OSError):  # there is no such file without swap accounting
                    (path / "memory.swap.max").write_text("0")
        except OSError:
            path.rmdir()
            raise
        return Cgroup(path)

    def sweep(self) -> None:
        """Remove what processes of ours that were killed left behind."""
        for path in self._base.glob(f"{_PREFIX}*-*"):
            match = re.fullmatch(rf"{_PREFIX}(\d+)-\d+", path.name)
            if match and not Path("/proc", match[1]).exists():
                with contextlib.suppress(OSError):
                    path.rmdir()


def find() -> Cgroups | None:
    """The groups this process may make, proved by making one; None: none."""
    for base, version in _candidates():
        groups = Cgroups(base, version=version)
        try:
            group = groups.create(SandboxLimits())
        except OSError:
            continue
        _remove(group)
        groups.sweep()
        return groups
    return None


def _candidates() -> list[tuple[Path, int]]:
    """Where a group could be made: in our own group or beside it (v2), or in our own (v1)."""
    found: list[tuple[Path, int]] = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, where = line.split(":", 2)
        if not controllers and (_ROOT / "cgroup.controllers").exists():
            own = _ROOT / where.lstrip("/")
            found += [(path, 2) for path in (own, own.parent) if _hands_down(path)]
        elif "pids" in controllers.split(","):
            found.append((_ROOT / "pids" / where.lstrip("/"), 1))
    return found


def _hands_down(path: Path) -> bool:
    """Whether groups below `path` may have limits; asks the kernel for it if they do not yet."""
    switch = path / "cgroup.subtree_control"
    try:
        if {"pids", "memory"} <= set(switch.read_text().split()):
            return True
        switch.write_text("+pids +memory")
    except OSError:
        return False
    return True


def _remove(group: Cgroup) -> None:
    for _ in range(_REMOVE_TRIES):
        if group.remove():
            return
        time.sleep(0.001)
