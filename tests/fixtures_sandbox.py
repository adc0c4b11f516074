"""The sandbox that protects this machine, for every test that needs one, and the table of escapes.

A test that tries to get out tells what came of it through `escapes`; at the end of the run one
table counts it all, whichever process of xdist it was tried in. `-v` adds each single attempt.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from longhouse.runtime.sandbox.base import Sandbox
from longhouse.runtime.sandbox.choose import choose

Try = tuple[str, bool, str]
"""A way out, whether it led out, and what was said to it."""

Escapes = Callable[[str, str, str, Iterable[Try]], None]
"""(layer, user, tool, tries): put them into the table."""

_PROPERTY = "escapes"
_ROW = "{:24} {:14} {:24} {:>8} {:>9}"


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


@pytest.fixture
def escapes(record_property: Callable[[str, object], None]) -> Escapes:
    """Tells the table at the end of the run what was tried."""

    def tell(layer: str, user: str, tool: str, tries: Iterable[Try]) -> None:
        record_property(_PROPERTY, [layer, user, tool, [list(each) for each in tries]])

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was tried by layer, user and tool, when anything was."""
    told = sorted(
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == _PROPERTY
    )
    if not told:
        return
    tried: Counter[tuple[str, str, str]] = Counter()
    out: Counter[tuple[str, str, str]] = Counter()
    for layer, user, tool, tries in told:
        tried[layer, user, tool] += len(tries)
        out[layer, user, tool] += sum(escaped for _, escaped, _ in tries)
    terminalreporter.section("escapes from the sandbox")
    if terminalreporter.verbosity > 0:
        for layer, user, tool, tries in told:
            for way, escaped, said in tries:
                state = "ESCAPED" if escaped else "held"
                terminalreporter.line(f"{state:8} {layer}, {user}, {tool}: {way} | {said}")
    terminalreporter.line(_ROW.format("layer", "user", "tool", "attempts", "succeeded"))
    for row in sorted(tried):
        terminalreporter.line(_ROW.format(*row, tried[row], out[row]))
    terminalreporter.line(_ROW.format("all", "", "", tried.total(), out.total()))
