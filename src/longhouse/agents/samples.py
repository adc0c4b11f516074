"""A small repository with a real bug, for a first run: something to work on at once.

Called when a person asks for the sample, and by tests. Needs the git program; writes nothing but
the directory it is given.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from longhouse.kit.errors import Conflict, Misconfigured

README = """\
# Calculator

A few functions to try an agent on. One of its tests fails:

    python3 -m unittest
"""

CALCULATOR = '''\
"""Arithmetic for a small shop."""


def add(a, b):
    """The sum of two numbers."""
    return a + b


def subtract(a, b):
    """What is left of `a` without `b`."""
    return a - b


def percent_off(price, percent):
    """The price after a reduction of so many percent."""
    return price * (1 + percent / 100)


def average(values):
    """The mean of some numbers."""
    return sum(values) / len(values)
'''

TESTS = '''\
"""Tests of the calculator; one of them fails."""

import unittest

from calculator import add, average, percent_off, subtract


class CalculatorTest(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(2, 3), 5)

    def test_subtract(self):
        self.assertEqual(subtract(5, 3), 2)

    def test_percent_off(self):
        self.assertEqual(percent_off(200, 25), 150)

    def test_average(self):
        self.assertEqual(average([2, 4, 6]), 4)


if __name__ == "__main__":
    unittest.main()
'''

FILES = {
    "README.md": README,
    "calculator.py": CALCULATOR,
    "test_calculator.py": TESTS,
    ".gitignore": "__pycache__/\n",
}

BRANCH = "main"

AUTHOR = {"NAME": "Longhouse", "EMAIL": "sample@longhouse.invalid"}

DATE = "2026-01-01T12:00:00+00:00"
"""Fixed, as the author is: the sample's commit has the same id everywhere."""


def make_sample_repository(path: Path) -> Path:
    """Create the repository in `path`, which must not exist or be empty. Blocking.

    Raises `Conflict` when something is there, `Misconfigured` when git is missing or fails.
    """
    if path.exists() and any(path.iterdir()):
        raise Conflict(f"{path} is not empty.", hint="Choose a new directory for the sample.")
    path.mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        (path / name).write_text(content, encoding="utf-8")
    _git(path, "init", "--quiet", f"--initial-branch={BRANCH}", "--template=")
    _git(path, "add", "--all")
    _git(path, "commit", "--quiet", "--no-verify", "--message=Add the calculator")
    return path


def _git(path: Path, *arguments: str) -> None:
    # The settings of whoever runs this (hooks, signing, line ends) are no part of the sample.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(path),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_{key}": value for key, value in AUTHOR.items()}
        environment[f"GIT_{role}_DATE"] = DATE
    try:
        subprocess.run(
            ["git", *arguments], cwd=path, env=environment, check=True, capture_output=True
        )
    except FileNotFoundError:
        raise Misconfigured("git is not installed.", hint="Install git and try again.") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise Misconfigured(f"git {arguments[0]} failed in {path}: {said}") from None
