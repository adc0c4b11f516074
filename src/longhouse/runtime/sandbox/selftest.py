"""The self-test of a boundary: a handful of attempts that must fail, and one that must work.

Run by `choose` when a server starts, so that a machine whose boundary does not hold is found before
an agent finds it. The full table of attempts is a test; this one costs two commands.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from longhouse.runtime.sandbox.base import Command, Sandbox, SandboxLimits

_NAMESPACES = ("mnt", "net", "pid", "user", "ipc", "uts")

_OUTSIDE = "not for agents\n"

# Prints `name value` lines; $1 is a file outside the workspace.
_SCRIPT = r"""
echo "hello from-inside"
for name in mnt net pid user ipc uts; do echo "$name $(readlink /proc/self/ns/$name)"; done
while read -r name value; do
  case $name in CapEff:|NoNewPrivs:|Seccomp:) echo "$name $value" ;; esac
done < /proc/self/status
while read -r name value; do
  case $name in lo:) ;; *:) echo "interface $name" ;; esac
done < /proc/net/dev
while IFS= read -r value; do echo "leak environ"; done < /proc/1/environ
( read -r value < "$1" ) 2>/dev/null && echo "leak file"
( echo changed >> "$1" ) 2>/dev/null
for place in /usr /; do
  ( : >> $place/.self-test ) 2>/dev/null && rm -f $place/.self-test && echo "writable $place"
done
( : >> /proc/sys/kernel/core_pattern ) 2>/dev/null && echo "writable /proc/sys"
( : >> inside ) || echo "closed workspace"
exit 0
"""


# The same where no namespaces stand around a command; argv[2] is a process outside.
_SCRIPT_ALONE = r"""
import os, socket, sys
outside, process = sys.argv[1], int(sys.argv[2])
print("hello from-inside", flush=True)
def attempt(word, action):
    try:
        action()
    except OSError:
        return
    print(word, flush=True)
attempt("leak file", lambda: open(outside).close())
attempt("leak listing", lambda: os.listdir("/proc"))
attempt("leak signal", lambda: os.kill(process, 0))
attempt("leak socket", lambda: socket.socket().close())
attempt("writable " + outside, lambda: open(outside, "a").close())
try:
    os.chmod(outside, 0o641)
    if os.stat(outside).st_mode & 0o777 == 0o641:
        print("writable modes", flush=True)
except OSError:
    pass
attempt("writable limits", lambda: __import__("resource").prlimit(process, 7))
try:
    open("inside", "w").close()
except OSError:
    print("closed workspace")
"""


async def examine_alone(sandbox: Sandbox) -> list[str]:
    """What does not hold of a boundary without namespaces. Raises `SandboxRefused`."""
    with tempfile.TemporaryDirectory(prefix="longhouse-self-test-") as place:
        workspace, outside = _prepare(Path(place))
        done = await sandbox.run(
            Command(
                argv=("python3", "-I", "-S", "-c", _SCRIPT_ALONE, str(outside), str(os.getpid())),
                workspace=workspace,
                limits=SandboxLimits(wall_seconds=10.0, cpu_seconds=5, processes=32),
            )
        )
        return findings_alone(done.output.decode(errors="replace"))


async def examine(sandbox: Sandbox) -> list[str]:
    """What does not hold, in words; empty when the boundary does. Raises `SandboxRefused`."""
    with tempfile.TemporaryDirectory(prefix="longhouse-self-test-") as place:
        workspace, outside = _prepare(Path(place))
        done = await sandbox.run(
            Command(
                argv=("/bin/sh", "-c", _SCRIPT, "sh", str(outside)),
                workspace=workspace,
                limits=SandboxLimits(wall_seconds=10.0, cpu_seconds=5, processes=32),
            )
        )
        problems = findings(done.output.decode(errors="replace"), _namespaces())
        if _changed(outside):
            problems.append("a command can change a file outside its workspace")
        return problems


def findings_alone(output: str) -> list[str]:
    """What that script's lines say of the boundary."""
    lines = [line.partition(" ")[::2] for line in output.splitlines()]
    if dict(lines).get("hello") != "from-inside":
        return [f"a harmless command does not run: {output.strip()[:200] or 'no output'}"]
    problems = [f"a command can write to {value}" for key, value in lines if key == "writable"]
    problems += [f"a command can reach a foreign {value}" for key, value in lines if key == "leak"]
    if "closed" in dict(lines):
        problems.append("a command cannot write to its own workspace")
    return problems


def _prepare(place: Path) -> tuple[Path, Path]:
    workspace = place / "workspace"
    workspace.mkdir()
    outside = place / "outside"
    outside.write_text(_OUTSIDE)
    return workspace, outside


def _changed(outside: Path) -> bool:
    return outside.read_text() != _OUTSIDE


def findings(output: str, host: Mapping[str, str]) -> list[str]:
    """What the script's lines say of the boundary. `host`: the namespaces outside."""
    lines = [line.partition(" ")[::2] for line in output.splitlines()]
    facts = dict(lines)
    if facts.get("hello") != "from-inside":
        return [f"a harmless command does not run: {output.strip()[:200] or 'no output'}"]
    problems = [
        f"the {name} namespace is the machine's own"
        for name in _NAMESPACES
        if facts.get(name, "") in {"", host[name]}
    ]
    if int(facts.get("CapEff:", "1"), 16) != 0:
        problems.append("a command keeps capabilities")
    if facts.get("NoNewPrivs:") != "1":
        problems.append("a command may gain privileges by a set-uid program")
    if facts.get("Seccomp:") != "2":
        problems.append("the seccomp filter is not in force")
    problems += [f"a command sees the network interface {v}" for k, v in lines if k == "interface"]
    problems += [f"a command can write to {value}" for key, value in lines if key == "writable"]
    problems += [f"a command can read a foreign {value}" for key, value in lines if key == "leak"]
    if "closed" in facts:
        problems.append("a command cannot write to its own workspace")
    return problems


def _namespaces() -> dict[str, str]:
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in _NAMESPACES}
