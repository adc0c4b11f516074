"""Which sandbox this machine gets: the one door to all kinds.

Called once when a runtime or server starts. All but `off` end with a boundary that passed its
self-test, or with one that refuses; never with none. `auto` tries bubblewrap, then Landlock. Only
`off`, said by name, runs commands unprotected.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from longhouse.runtime.sandbox import cgroup, landlock, seccomp, selftest
from longhouse.runtime.sandbox.base import Sandbox, SandboxRefused
from longhouse.runtime.sandbox.bubblewrap import Bubblewrap
from longhouse.runtime.sandbox.landlock import Landlocked
from longhouse.runtime.sandbox.off import Unprotected
from longhouse.runtime.sandbox.refuse import Refuse

SandboxKind = Literal["auto", "bubblewrap", "landlock", "off"]
"""What an operator may ask for."""

_INSTALL = (
    "Install bubblewrap (Debian, Ubuntu: `apt-get install bubblewrap`; Fedora: `dnf install "
    "bubblewrap`; Alpine: `apk add bubblewrap`), then restart."
)


async def choose(kind: SandboxKind = "auto", *, executable: str | None = None) -> Sandbox:
    """The sandbox for `kind`, proved by a self-test.

    `executable` names a bubblewrap that is not on PATH. Nothing is raised for a machine that cannot
    protect itself: it gets a `Refuse` that says why.
    """
    if kind == "off":
        return Unprotected()
    if sys.platform != "linux":
        return Refuse(
            "sandboxes need Linux",
            hint="Run Longhouse on Linux, or in a Linux virtual machine.",
        )
    if platform.machine() not in seccomp.MACHINES:
        return Refuse(
            f"there is no seccomp filter for {platform.machine()} yet",
            hint=f"It runs on {' and '.join(seccomp.MACHINES)}.",
        )
    if kind == "landlock":
        return await _landlock()
    strong = await _bubblewrap(executable)
    if kind == "bubblewrap" or strong.describe().protects:
        return strong
    fallback = await _landlock()
    # Where neither holds, what bubblewrap lacks is what can be helped.
    return fallback if fallback.describe().protects else strong


async def _bubblewrap(executable: str | None) -> Sandbox:
    found = executable or shutil.which("bwrap")
    if found is None:
        return Refuse("bubblewrap is not installed", hint=_INSTALL)
    sandbox = Bubblewrap(found, cgroups=cgroup.find())
    try:
        problems = await selftest.examine(sandbox)
    except SandboxRefused as refused:
        return Refuse(refused.detail, hint=_remedy(refused.detail))
    return _failed(problems) if problems else sandbox


async def _landlock() -> Sandbox:
    if reason := landlock.why_not():
        return Refuse(reason, hint=_INSTALL)
    sandbox = Landlocked()
    try:
        problems = await selftest.examine_alone(sandbox)
    except SandboxRefused as refused:
        return Refuse(refused.detail, hint=_INSTALL)
    return _failed(problems) if problems else sandbox


def _failed(problems: Sequence[str]) -> Refuse:
    return Refuse(
        f"the self-test of the sandbox failed: {'; '.join(problems)}",
        hint="Please report this, with the output of `longhouse doctor`.",
    )


def _remedy(reason: str) -> str:
    """What usually helps, judged by the machine's switches and by what bubblewrap said."""
    if _reads("/proc/sys/user/max_user_namespaces", "0"):
        return "Allow user namespaces: `sysctl -w user.max_user_namespaces=15000`."
    if _reads("/proc/sys/kernel/unprivileged_userns_clone", "0"):
        return "Allow user namespaces: `sysctl -w kernel.unprivileged_userns_clone=1`."
    if _reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"):
        return (
            "AppArmor keeps user namespaces from programs without a profile: give bwrap one, or "
            "`sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`."
        )
    if "Unknown option" in reason:
        return "Install bubblewrap 0.8 or newer."
    if "namespace" in reason or "proc" in reason or "uid map" in reason:
        return (
            "In a container, start it with `--security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined --security-opt systempaths=unconfined`."
        )
    return _INSTALL


def _reads(path: str, value: str) -> bool:
    try:
        return Path(path).read_text().strip() == value
    except OSError:
        return False  # this kernel has no such switch
