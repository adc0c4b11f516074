"""One command for everything a checkout needs: `python3 dev.py <command>` (or `make <command>`).

Called by the Makefile, by `.ci/run` and, for the console alone, by `hatch_build.py`. It stands on
the standard library only: it makes `.venv`, brings its own uv, installs the hashed lock, builds the
console, and then hands over to the program that does the work. What has not changed, by a hash of
its contents, is not done again. It knows nothing of Longhouse's own settings.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"
INSTALLED = VENV / "longhouse.json"  # which lock the environment was made from
LOCKS = ROOT / "requirements"
WEB = ROOT / "web"
MADE_IN_WEB = ("node_modules", "dist", "coverage", "src/client")  # never committed, no sources
CONSOLE = ROOT / "src" / "longhouse" / "server" / "console"  # where Vite writes

OLDEST_PYTHON = (3, 11)
NEWER_PYTHONS = ("python3.13", "python3.12", "python3.11")  # tried when python3 is too old
DISK_NEEDED = 1_500_000_000  # bytes: packages, Node and the console's modules, with some air

# What each level of the environment is installed from. "dev" holds all that "run" holds.
LEVELS = {"run": ("runtime.txt", "build.txt"), "dev": ("dev.txt",)}


class Stop(Exception):
    """Ends the script with one message that says what is wrong and what to do."""


@dataclass(frozen=True)
class Need:
    """A program or font of the machine that some tests cannot do without."""

    package: str  # its name in Debian and Ubuntu
    present: Callable[[], bool]
    tests: str  # the tests that are skipped without it


def has_program(name: str) -> Callable[[], bool]:
    # Servers are where only root has a path to.
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    return lambda: shutil.which(name, path=places) is not None


def has_chinese_font() -> bool:
    return any(Path("/usr/share/fonts").glob("**/NotoSansCJK*"))


NEEDS = (
    Need("bubblewrap", has_program("bwrap"), "the tests of the sandbox"),
    Need("git", has_program("git"), "the tests of workspaces"),
    Need("nats-server", has_program("nats-server"), "the tests of the bus on NATS"),
    Need("chromium", has_program("chromium"), "the tests of the console in a browser"),
    Need("fonts-noto-cjk", has_chinese_font, "the Chinese screenshots of the console"),
)

# What a tool prints when something outside this repository is at fault, and what to do about it.
CAUSES = (
    (
        r"no space left on device|ENOSPC",
        "The disk is full. Make room, then run the same command again.",
    ),
    (
        r"dns error|name resolution|connection (refused|reset|error)|network is unreachable"
        r"|timed out|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|failed to (connect|fetch)",
        "The package index could not be reached. Check the network (and proxy settings, if any), "
        "then run the same command again: what is already there is kept.",
    ),
    (
        r"hash(es)? (mismatch|do not match)|hash mismatch|EINTEGRITY",
        "A downloaded package is not the one in the lock. Do not go on: either the download was "
        "damaged (run the same command again) or somebody changed the package.",
    ),
    (
        r"ensurepip|python3?-venv",
        "This Python has no venv module. On Debian and Ubuntu: apt-get install python3-venv.",
    ),
)


# --- running things -------------------------------------------------------------------------------


def say(text: str) -> None:
    print(f"\N{BULLET} {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Name a step that takes a while, and how long it took."""
    say(f"{text} \N{HORIZONTAL ELLIPSIS}")
    began = time.monotonic()
    yield
    say(f"{text}: {time.monotonic() - began:.1f} s")


def environment(bin_dir: Path) -> dict[str, str]:
    """The caller's environment with `bin_dir` first on the path; nothing asks, nothing phones."""
    return {
        **os.environ,
        "PATH": f"{bin_dir}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "DEBIAN_FRONTEND": "noninteractive",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_update_notifier": "false",
    }


def quietly(*command: str | Path, cwd: Path = ROOT, bin_dir: Path = BIN) -> None:
    """Run a command; show what it printed, and the likely cause, only when it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment(bin_dir),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise Stop(failure(command, done.stdout))


def failure(command: Sequence[str | Path], output: str) -> str:
    """The message for a command that failed: its output, and the cause when it is a known one."""
    hints = [hint for pattern, hint in CAUSES if re.search(pattern, output, re.IGNORECASE)]
    shown = " ".join(str(part) for part in command)
    return "\n".join([output.rstrip(), f"This command failed: {shown}", *hints[:1]])


def succeeds(*command: str | Path, cwd: Path = ROOT) -> bool:
    """Run a command with its output shown; whether it succeeded."""
    say(" ".join(Path(part).name if isinstance(part, Path) else part for part in command))
    shown = [str(part) for part in command]
    return subprocess.run(shown, cwd=cwd, env=environment(BIN), check=False).returncode == 0


def become(*command: str | Path) -> None:
    """Replace this process by the command, so that signals and the exit code are its own."""
    sys.stdout.flush()
    os.chdir(ROOT)
    # The full path of the interpreter: by any other name it would not find its environment.
    os.execve(str(command[0]), [str(part) for part in command], environment(BIN))


def digest(paths: Sequence[Path]) -> str:
    """A hash of the files' names and contents."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(f"{path.name}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let one `dev.py` at a time change this checkout; a second one waits."""
    with open(__file__, "rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another dev.py in this checkout")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# --- the Python environment -----------------------------------------------------------------------


def sync(level: str) -> None:
    """Make `.venv` hold exactly what the lock of `level` says, unless it does already."""
    installed = read_installed()
    if is_current("dev", installed) or is_current(level, installed):
        return
    if "dev" in installed:  # never take away the tools of somebody who has them
        level = "dev"
    with alone():
        refuse_full_disk()
        make_venv()
        with step("installing the locked packages"):
            locks = [LOCKS / name for name in LEVELS[level]]
            quietly(BIN / "uv", "pip", "sync", "--python", PYTHON, "--require-hashes", *locks)
            install_checkout()
        now = {level: lock_digest(level), "place": str(ROOT)}
        INSTALLED.write_text(json.dumps(now), encoding="utf-8")


def read_installed() -> Mapping[str, str]:
    """What `.venv` was made from; nothing when there is none, or none that works here."""
    if not usable(PYTHON):
        return {}
    try:
        installed = dict(json.loads(INSTALLED.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
    # An environment does not survive a move: its scripts hold its absolute path.
    return installed if installed.get("place") == str(ROOT) else {}


def is_current(level: str, installed: Mapping[str, str]) -> bool:
    return installed.get(level) == lock_digest(level)


def lock_digest(level: str) -> str:
    return digest([ROOT / "pyproject.toml", *(LOCKS / name for name in LEVELS[level])])


def usable(python: Path) -> bool:
    """Whether the interpreter behind the link is still there (pyenv may have removed it)."""
    return python.exists() and os.access(python, os.X_OK)


def refuse_full_disk() -> None:
    free = shutil.disk_usage(ROOT).free
    if free < DISK_NEEDED:
        raise Stop(
            f"Only {free // 1_000_000} MB are free at {ROOT}, and the environment and the console "
            f"need about {DISK_NEEDED // 1_000_000} MB. Make room, then run the same command again."
        )


def make_venv() -> None:
    """Make the environment if there is none that works, with the locked uv in it."""
    moved = INSTALLED.exists() and not read_installed()
    if moved or not usable(PYTHON):
        shutil.rmtree(VENV, ignore_errors=True)
        with step(f"making .venv with Python {sys.version.split()[0]}"):
            quietly(sys.executable, "-m", "venv", VENV)
    if not usable(BIN / "uv"):
        with step("installing uv"):
            pip_install = (PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes")
            quietly(*pip_install, "--requirement", LOCKS / "uv.txt")


def install_checkout() -> None:
    """Put this checkout itself, editable, into the environment; everything it needs is there."""
    quietly(
        *(BIN / "uv", "pip", "install", "--python", PYTHON),
        *("--no-deps", "--no-build-isolation", "--editable", ROOT),
    )


# --- the console ----------------------------------------------------------------------------------


def build_console(bin_dir: Path = BIN) -> None:
    """Build `web/` into the package, unless what is there was built from these very sources.

    `bin_dir` holds `node` and `npm`. A source distribution carries the built console with its
    stamp, so that making a wheel from one needs no Node.
    """
    if not has_console():
        return
    wanted = digest_tree(WEB)
    stamp = CONSOLE / ".sources"
    if read_text(stamp) == wanted:
        return
    with alone(), step("building the console"):
        install_modules(bin_dir)
        quietly(bin_dir / "npm", "run", "build", cwd=WEB, bin_dir=bin_dir)
        if not (CONSOLE / "index.html").is_file():
            raise Stop(f"The console was not built into {CONSOLE}: see outDir in web/vite.config.")
        stamp.write_text(wanted, encoding="utf-8")


def has_console() -> bool:
    return (WEB / "package.json").is_file()


def install_modules(bin_dir: Path = BIN) -> None:
    """Install the console's locked modules, unless they are those of this lock already."""
    stamp = WEB / "node_modules" / ".longhouse"
    wanted = digest([WEB / "package.json", WEB / "package-lock.json"])
    if read_text(stamp) == wanted:
        return
    with step("installing the console's modules"):
        quietly(bin_dir / "npm", "ci", cwd=WEB, bin_dir=bin_dir)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(wanted, encoding="utf-8")


def digest_tree(folder: Path) -> str:
    """A hash of every source under a folder: its path in the folder, and its contents."""
    total = hashlib.sha256()
    for path in sorted(sources(folder)):
        total.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def sources(folder: Path) -> Iterator[Path]:
    """What is written by hand under a folder: not what is installed, generated or built there."""
    made = {folder / name for name in MADE_IN_WEB}
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(parent, name) not in made and name[0] != "."]
        yield from (Path(parent, name) for name in files if not name.endswith(".tsbuildinfo"))


def read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def console_script_succeeds(name: str, *arguments: str) -> bool:
    """Run a script of the console's package.json; whether it succeeded. Without a console: yes."""
    if not has_console():
        return True
    install_modules()
    return succeeds(BIN / "npm", "run", "--silent", name, "--", *arguments, cwd=WEB)


# --- what the tests need of the machine -----------------------------------------------------------


def provide_needs() -> None:
    """Install what the tests need; where that is not possible, say which tests will be skipped."""
    missing = [need for need in NEEDS if not need.present()]
    if not missing:
        return
    complaint = apt_install([need.package for need in missing])
    missing = [need for need in missing if not need.present()]
    if not missing:
        return
    skipped = "\n".join(f"  {need.tests} (apt-get install {need.package})" for need in missing)
    if in_ci():
        raise Stop(f"{complaint}\nCI does not allow that these are skipped:\n{skipped}")
    line = "!" * 98
    print(f"{line}\nTESTS WILL BE SKIPPED. {complaint}\n{skipped}\n{line}", file=sys.stderr)


def apt_install(packages: Sequence[str]) -> str:
    """Try to install Debian packages; what stood in the way, or nothing."""
    apt = shutil.which("apt-get")
    if apt is None:
        return "This machine has no apt-get: install what is missing by its own means."
    if os.geteuid() == 0:
        prefix = [apt]
    elif in_ci() and shutil.which("sudo"):
        prefix = ["sudo", "-n", apt]
    else:
        return "Only root may install what is missing."
    try:
        with step(f"apt-get install {' '.join(packages)}"):
            quietly(*prefix, "update", "--quiet")
            quietly(*prefix, "install", "--yes", "--no-install-recommends", *packages)
    except Stop as stop:
        return f"apt-get did not succeed:\n{stop}"
    return ""


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


# --- commands -------------------------------------------------------------------------------------


def run(arguments: Sequence[str]) -> None:
    """start the server with everything embedded"""
    sync("run")
    build_console()
    become(PYTHON, BIN / "longhouse", "serve", *arguments)


def test(arguments: Sequence[str]) -> None:
    """run the tests of the server and of the library"""
    sync("dev")
    provide_needs()
    build_console()
    workers = max(2, min(os.cpu_count() or 2, 8))
    parallel = ("-n", str(workers), "--dist", "loadgroup")
    become(PYTHON, "-m", "pytest", *parallel, *arguments)


def console_test(arguments: Sequence[str]) -> None:
    """run the tests of the console"""
    sync("dev")
    if not console_script_succeeds("test", *arguments):
        raise Stop("The console's tests failed.")


def lint(arguments: Sequence[str]) -> None:
    """check style, types and contracts, and the console's"""
    del arguments
    sync("dev")
    checks: dict[str, Callable[[], bool]] = {
        "style": lambda: succeeds(BIN / "ruff", "check", "."),
        "format": lambda: succeeds(BIN / "ruff", "format", "--check", "."),
        "types": lambda: succeeds(BIN / "mypy", *typed_paths()),
        "contracts": lambda: succeeds(BIN / "lint-imports", "--no-cache"),
        "console": lambda: console_script_succeeds("lint"),
    }
    failed = [name for name, check in checks.items() if not check()]
    if failed:
        raise Stop(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
    say(f"all {len(checks)} checks passed")


def typed_paths() -> list[str]:
    wanted = ("src", "tests", "benchmarks", "examples", "dev.py", "hatch_build.py")
    return [name for name in wanted if (ROOT / name).exists()]


def format_code(arguments: Sequence[str]) -> None:
    """put every file into the house's format"""
    del arguments
    sync("dev")
    done = [
        succeeds(BIN / "ruff", "check", "--fix-only", "."),
        succeeds(BIN / "ruff", "format", "."),
        console_script_succeeds("format"),
    ]
    if not all(done):
        raise Stop("Not everything could be formatted; see above.")


def bench(arguments: Sequence[str]) -> None:
    """run the benchmarks side by side"""
    sync("dev")
    become(PYTHON, "-m", "benchmarks", *arguments)


def console(arguments: Sequence[str]) -> None:
    """build the console"""
    del arguments
    sync("run")
    build_console()


def sync_command(arguments: Sequence[str]) -> None:
    """make the environment, with all tools of development"""
    del arguments
    sync("dev")


def lock(arguments: Sequence[str]) -> None:
    """write the locks anew (`--upgrade` takes the newest versions)"""
    make_venv()
    pins = ("-c", LOCKS / "dev.txt")  # dev.txt decides; the others are parts of it
    extras = [f"--extra={name}" for name in ("server", "postgres", "nats")]  # what `make run` has
    compile_lock("dev.txt", "pyproject.toml", "--all-extras", "--group", "dev", *arguments)
    compile_lock("runtime.txt", "pyproject.toml", *extras, *pins)
    compile_lock("build.txt", "--group", "build", *pins)
    compile_lock("uv.txt", LOCKS / "uv.in", *pins)


def compile_lock(name: str, *sources_and_options: str | Path) -> None:
    """Write one lock: for every platform, hashed, and without the address it was resolved at."""
    target = LOCKS / name
    oldest = ".".join(str(part) for part in OLDEST_PYTHON)
    with step(f"locking {name}"):
        quietly(
            *(BIN / "uv", "pip", "compile", "--quiet", "--universal", "--python-version", oldest),
            *("--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"),
            *("--no-header", "--no-annotate"),
            *(*sources_and_options, "--output-file", target),
        )
    pinned = target.read_text(encoding="utf-8")
    if re.search(r"\w+://| @ ", pinned):
        raise Stop(f"{target} holds an address: take the packages from an index by name only.")
    target.write_text(f"# Made by `make lock`; do not edit.\n{pinned}", encoding="utf-8")


COMMANDS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "run": run,
    "test": test,
    "console-test": console_test,
    "lint": lint,
    "format": format_code,
    "bench": bench,
    "console": console,
    "sync": sync_command,
    "lock": lock,
}


def parse(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The command, and what follows it word by word: that belongs to the program it starts."""
    listed = "\n".join(f"  {name:13} {command.__doc__}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="dev.py",
        description=f"commands:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="command")
    chosen = parser.parse_args(arguments[:1])
    return str(chosen.command), list(arguments[1:])


def insist_on_python() -> None:
    """Start again with a newer Python if there is one; otherwise say what is needed."""
    if sys.version_info >= OLDEST_PYTHON:
        return
    for name in NEWER_PYTHONS:
        python = shutil.which(name)
        # pyenv has links to every Python it knows, and those that are not chosen only complain.
        if python is not None and starts(python):
            os.execv(python, [python, *sys.argv])
    raise Stop(
        f"Longhouse needs Python 3.11 or newer, and {sys.executable} is {sys.version.split()[0]}. "
        "Install one (on Debian 12 and Ubuntu 24.04 python3 is new enough) and make it python3."
    )


def starts(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def main() -> int:
    """Run one command; the exit code."""
    try:
        insist_on_python()
        command, arguments = parse(sys.argv[1:])
        COMMANDS[command](arguments)
    except Stop as stop:
        print(f"dev.py: {stop}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
