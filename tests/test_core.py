"""`pip install longhouse` gives the library, and an extra the rest: each with what it names alone.

Nothing is downloaded. Each test makes a folder with links to the packages that a fresh environment
would get, and runs a Python that sees nothing else.
"""

import importlib.metadata
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

FIRST_AGENT = """
import asyncio, sys
from longhouse.runtime import EnvironmentModels, ModelEnvironment, Post, Runtime, SQLiteJournal

async def main():
    models = EnvironmentModels(ModelEnvironment.from_env())
    posts = [Post(name="helper")]
    async with Runtime(journal=SQLiteJournal("agents.db"), posts=posts, models=models) as runtime:
        agent = await runtime.agent("user:1", post="helper")
        print(await agent.ask("Hello."))

asyncio.run(main())
"""

VENDORS = """
import longhouse.runtime.mcp.connection, longhouse.runtime.models.vendors
import pydantic_ai.models.anthropic, pydantic_ai.models.openai
"""

LOADED = "import sys, longhouse.runtime; print(*sys.modules)"
SLOW_TO_LOAD = {"anthropic", "httpx2", "mcp", "openai", "pydantic_ai", "rich", "typer"}


class Installed:
    """A Python with Longhouse, what it requires with some extras, and nothing else."""

    def __init__(self, folder: Path, *extras: str) -> None:
        self._site = folder / "site"
        self._home = folder / "home"
        self._site.mkdir()
        self._home.mkdir()
        (self._site / "longhouse").symlink_to(ROOT / "src" / "longhouse")
        for distribution in closure(requirements(extras)):
            for entry in top_level(distribution):
                link = self._site / entry.name
                if not link.exists():
                    link.symlink_to(entry)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program as `python <arguments>` would."""
        # -S and -I: neither the packages nor the variables of whoever runs the tests.
        begin = f"import sys; sys.path.insert(0, {str(self._site)!r}); sys.argv = sys.argv[1:]; "
        match arguments:
            case "-c", program:
                begin += f"exec({program!r})"
            case "-m", module, *_:
                begin += f"import runpy; runpy.run_module({module!r}, run_name='__main__')"
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", begin, *arguments[1:]],
            cwd=self._home,
            env={"PATH": os.environ["PATH"], "HOME": str(self._home)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


def requirements(extras: Sequence[str]) -> list[Requirement]:
    """What `pip install longhouse[extras]` asks for."""
    names = [*PROJECT["dependencies"], *(name for extra in extras for name in EXTRAS[extra])]
    asked = [Requirement(name) for name in names]
    own = [each for each in asked if each.name == "longhouse"]
    deeper = requirements([extra for each in own for extra in each.extras]) if own else []
    return [each for each in asked if each.name != "longhouse"] + deeper


def closure(asked: Sequence[Requirement]) -> list[importlib.metadata.Distribution]:
    """All that is installed for these requirements, by what the packages here say of themselves."""
    found: dict[str, importlib.metadata.Distribution] = {}
    looked_at: set[tuple[str, str]] = set()
    waiting = list(asked)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        distribution = importlib.metadata.distribution(requirement.name)
        found[name] = distribution
        for extra in ("", *requirement.extras):
            if (name, extra) not in looked_at:
                looked_at.add((name, extra))
                waiting += wanted(distribution, extra)
    return list(found.values())


def wanted(distribution: importlib.metadata.Distribution, extra: str) -> Iterator[Requirement]:
    """What a package requires on this machine, with one of its extras or with none."""
    for text in distribution.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def top_level(distribution: importlib.metadata.Distribution) -> set[Path]:
    """The folders and modules of a package, right in the place where packages are."""
    place = Path(str(distribution.locate_file("")))
    firsts = {file.parts[0] for file in distribution.files or ()}
    return {place / first for first in firsts if first not in {"..", "__pycache__"}}


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("core"))


@pytest.fixture(scope="module")
def with_commands(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("cli"), "cli")


@pytest.fixture(scope="module")
def with_server(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("server"), "server")


class TestLibrary:
    def test_it_requires_nothing_of_the_server(self) -> None:
        names = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}

        assert names.isdisjoint({"alembic", "aiohttp", "fastapi", "sqlalchemy", "typer", "uvicorn"})

    def test_it_runs_an_agent_on_a_file(self, core: Installed) -> None:
        done = core.run("-c", FIRST_AGENT)

        assert done.returncode == 0, done.stderr
        assert "demo model" in done.stdout

    def test_it_has_the_vendors_and_mcp(self, core: Installed) -> None:
        done = core.run("-c", VENDORS)

        assert done.returncode == 0, done.stderr

    def test_importing_it_loads_nothing_that_only_some_programs_need(self, core: Installed) -> None:
        done = core.run("-c", LOADED)

        assert {name.partition(".")[0] for name in done.stdout.split()} & SLOW_TO_LOAD == set()

    @pytest.mark.parametrize("command", ["serve", "--help", "chat"])
    def test_its_command_says_how_to_get_the_others(self, core: Installed, command: str) -> None:
        done = core.run("-m", "longhouse", command)

        assert done.returncode == 78
        (line,) = done.stderr.splitlines()
        assert "pip install 'longhouse[server]'" in line


class TestCommands:
    def test_they_run_without_the_server(self, with_commands: Installed) -> None:
        for command in ("agents", "posts", "chat", "login", "mcp"):
            done = with_commands.run("-m", "longhouse", command, "--help")

            assert done.returncode == 0, done.stderr

    @pytest.mark.parametrize("command", ["serve", "create-admin", "doctor"])
    def test_those_of_the_server_say_how_to_get_it(
        self, with_commands: Installed, command: str
    ) -> None:
        done = with_commands.run("-m", "longhouse", command, "--help")

        assert done.returncode == 78
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: `longhouse {command}`")
        assert "pip install 'longhouse[server]'" in line


class TestServer:
    @pytest.mark.parametrize("command", ["serve", "create-admin", "doctor", "chat"])
    def test_it_brings_every_command(self, with_server: Installed, command: str) -> None:
        done = with_server.run("-m", "longhouse", command, "--help")

        assert done.returncode == 0, done.stderr
