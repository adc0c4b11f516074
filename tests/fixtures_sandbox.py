"""The sandbox that protects this machine, for every test that needs one."""

import os

import pytest

from longhouse.runtime.sandbox.base import Sandbox
from longhouse.runtime.sandbox.choose import choose


@pytest.fixture(scope="session")
async def protection() -> Sandbox:
    """The machine's real sandbox. CI must have one; elsewhere its tests are skipped, loudly."""
    sandbox = await choose("auto")
    report = sandbox.describe()
    if not report.protects:
        reason = f"NOTHING PROTECTS THIS MACHINE: {report.detail}. {report.hint}"
        if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
            pytest.fail(reason)
        pytest.skip(reason)
    return sandbox
