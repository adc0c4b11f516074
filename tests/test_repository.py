"""Holds the repository itself to its rules: no foreign addresses, whole locks, known rooms.

Addresses and paths are looked for in tracked files only: what lies around in somebody's checkout
does not matter.
"""

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "longhouse"
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

# Written in pieces, so that this file does not hold what it looks for.
REGISTRIES = (
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("yarnpkg", "com"),
    ("npmmirror", "com"),
)
FOREIGN_HOST = re.compile("|".join(rf"\b{name}\.{end}\b" for name, end in REGISTRIES))
FOREIGN_PATH = re.compile(r"(?<![\w.:/-])/(work|root|home/\w+)/")


def tracked_files() -> list[Path]:
    """Every file git tracks that is there; the test is skipped outside a checkout."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    """`file:line: text` of every line of a tracked text file in which the pattern is found."""
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if pattern.search(text):
            found += [
                f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
                for number, line in enumerate(text.splitlines(), start=1)
                if pattern.search(line)
            ]
    return found


def read_pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def layers_of_contract() -> list[str]:
    """The rooms as the layers contract names them, from the top down."""
    contracts = read_pyproject()["tool"]["importlinter"]["contracts"]
    (rooms_in_order,) = (contract for contract in contracts if contract["type"] == "layers")
    return [layer.strip("()") for layer in rooms_in_order["layers"]]


def rooms() -> set[str]:
    return {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def pinned_names(lock: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE))


def name_of(requirement: str) -> str:
    matched = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert matched is not None
    return matched[0].lower().replace("_", "-").replace(".", "-")


def test_no_tracked_file_names_the_host_of_a_package_registry() -> None:
    assert lines_with(FOREIGN_HOST) == []


def test_no_tracked_file_names_a_path_of_somebodys_machine() -> None:
    assert lines_with(FOREIGN_PATH) == []


def test_every_module_begins_with_a_docstring() -> None:
    modules = sorted(PACKAGE.rglob("*.py"))

    silent = [
        str(path.relative_to(ROOT))
        for path in modules
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert modules
    assert silent == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_package_in_a_lock_is_pinned_with_hashes(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8").replace("\\\n", "")
    entries = [line for line in text.splitlines() if line and not line.startswith("#")]

    assert entries
    assert [entry for entry in entries if not re.match(r"[a-z0-9-]+==\S+", entry)] == []
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_holds_no_address_of_any_kind(lock: Path) -> None:
    assert re.findall(r"\S+://\S+|^-.*| @ .*", lock.read_text(encoding="utf-8"), re.MULTILINE) == []


def test_the_runtime_lock_holds_every_dependency_of_the_package() -> None:
    project = read_pyproject()["project"]
    extras = project["optional-dependencies"]
    wanted = {
        name_of(requirement)
        for requirement in [*project["dependencies"], *extras["cli"], *extras["server"]]
    } - {"longhouse"}

    missing = wanted - pinned_names(ROOT / "requirements" / "runtime.txt")

    assert missing == set(), "run `make lock`"


def test_the_development_lock_holds_every_tool_and_all_that_a_run_needs() -> None:
    tools = read_pyproject()["dependency-groups"]["dev"]
    wanted = {name_of(tool) for tool in tools if isinstance(tool, str)}
    for name in ("runtime.txt", "build.txt"):
        wanted |= pinned_names(ROOT / "requirements" / name)

    missing = wanted - pinned_names(ROOT / "requirements" / "dev.txt")

    assert missing == set(), "run `make lock`"


def test_the_consoles_lock_names_versions_and_hashes_but_no_addresses() -> None:
    lock = ROOT / "web" / "package-lock.json"
    if not lock.is_file():
        pytest.skip("there is no console")

    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]

    # The first entry is the console itself.
    fetched = {name: entry for name, entry in packages.items() if name and not entry.get("link")}
    assert [name for name, entry in fetched.items() if "resolved" in entry] == []
    # A bundled dependency arrives inside another package and is covered by that one's hash.
    unhashed = [
        name
        for name, entry in fetched.items()
        if "integrity" not in entry and not entry.get("inBundle")
    ]
    assert unhashed == []


def test_the_contract_gives_every_room_its_place() -> None:
    assert rooms() - set(layers_of_contract()) == set()


def test_the_rooms_stand_in_the_order_of_the_house() -> None:
    house = [
        "cli",
        "server",
        "migrations",
        "agents",
        "fleet",
        "identity",
        "runtime",
        "protocol",
        "kit",
    ]

    assert layers_of_contract() == house
