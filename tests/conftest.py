"""What every test shares: the event loop's backend, and a run that is the same each time.

Fixtures of one subject live in plugins of their own (`tests/fixtures_<subject>.py`); each one that
stands beside this file is loaded. Nothing here knows a room of Longhouse.
"""

import asyncio
import functools
import inspect
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

pytest_plugins = sorted(
    f"tests.{path.stem}" for path in Path(__file__).parent.glob("fixtures_*.py")
)

# Hypothesis' own: the same examples each time, and none is an error for being slow.
# `--hypothesis-profile=default` looks for new ones.
hypothesis.settings.load_profile("ci")

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


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """End an asynchronous test that hangs: no signal gets through to a loop that only waits."""
    test = pyfuncitem.obj
    if inspect.iscoroutinefunction(test):
        pyfuncitem.obj = _ending(test, within=_seconds_of(pyfuncitem))
    return (yield)


def _seconds_of(test: pytest.Function) -> float:
    """How long the test may take before pytest-timeout would end it."""
    marker = test.get_closest_marker("timeout")
    return 0.9 * float(marker.args[0] if marker else test.config.getini("timeout"))


def _ending(
    test: Callable[..., Awaitable[None]], *, within: float
) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def ended(*arguments: Any, **named: Any) -> None:
        async with asyncio.timeout(within):
            await test(*arguments, **named)

    return ended
