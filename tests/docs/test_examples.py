"""Runs the Python examples of the documentation and compares what they print.

The blocks of a page are one program, with `await` at the top level. A block of text right after a
Python block is what that block prints.
"""

import ast
import asyncio
import contextlib
import inspect
import io
import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT, Block, blocks, page

PROGRAMS = [
    str(path.relative_to(ROOT))
    for path in PAGES
    if any(block.language == "python" for block in blocks(page(str(path.relative_to(ROOT)))))
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples write where they are run."""
    monkeypatch.chdir(tmp_path)


def examples(name: str) -> Iterator[tuple[Block, str | None]]:
    """Each Python block of a page, and what it should print where the page says so."""
    found = list(blocks(page(name)))
    for block, following in zip(found, [*found[1:], None], strict=True):
        if block.language == "python":
            said = following is not None and following.language == "text" and not following.alone
            yield block, following.text if said and following is not None else None


async def run(block: Block, name: str, namespace: dict[str, object]) -> str:
    """Run a block in the page's namespace; what it printed."""
    # Tracebacks then name the page and its line.
    source = "\n" * (block.line - 1) + block.text
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    program = compile(source, name, "exec", flags=flags, dont_inherit=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        result = eval(program, namespace)
        if inspect.isawaitable(result):
            async with asyncio.timeout(30):
                await result
    return printed.getvalue()


def test_there_are_examples_in_the_readme_and_in_the_pages_for_programmers() -> None:
    assert {"README.md", "docs/runtime.md", "docs/runtime-reference.md"} <= set(PROGRAMS)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "README.md"])
async def test_the_examples_of_a_page_run_and_print_what_it_says(name: str) -> None:
    # A module, for hints are looked up where a function was defined.
    module = types.ModuleType("example_of_a_page")
    for block, expected in examples(name):
        printed = await run(block, name, vars(module))

        if expected is not None:
            assert printed == expected, f"{name}, line {block.line}"


def test_the_programs_of_the_readme_run_as_they_stand(tmp_path: Path) -> None:
    for number, (block, expected) in enumerate(examples("README.md")):
        program = tmp_path / f"program_{number}.py"
        program.write_text(block.text, encoding="utf-8")

        done = subprocess.run(
            [sys.executable, "-W", "error", program],
            # Nobody's keys: the demo model answers.
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert done.returncode == 0, done.stderr
        if expected is not None:
            assert done.stdout == expected


def test_every_python_block_is_valid_and_fits_a_page() -> None:
    for name in PROGRAMS:
        for block, _ in examples(name):
            assert not re.search(r"^.{101}", block.text, re.M), f"{name}, line {block.line}"
