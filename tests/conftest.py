"""What every test shares: the event loop's backend and an environment without surprises.

Fixtures of one subject live in plugins of their own (`tests/fixtures_<subject>.py`); each one that
stands beside this file is loaded. Nothing here knows a room of Longhouse.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = sorted(
    f"tests.{path.stem}" for path in Path(__file__).parent.glob("fixtures_*.py")
)

TEST_SETTINGS = "LONGHOUSE_TEST_"  # settings of the test run itself; they survive
FOREIGN_SETTINGS = ("LONGHOUSE_", "OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_")


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Asynchronous tests and fixtures run on asyncio with uvloop, as the server does."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session", autouse=True)
def environment_of_nobody() -> Iterator[None]:
    """Hide the settings and model keys of whoever runs the tests: no test may depend on them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(FOREIGN_SETTINGS) and not name.startswith(TEST_SETTINGS):
                patch.delenv(name)
        yield
