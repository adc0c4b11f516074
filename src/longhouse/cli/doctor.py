"""`longhouse doctor`: what this machine lacks, and how to get it.

Each check looks at one thing, changes nothing, and says in words what it found and what would help.
What an agent cannot do without is `missing`; everything else is a note.
"""

import contextlib
import dataclasses
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import typer
from pydantic import SecretStr
from rich.text import Text
from sqlalchemy import Connection, text

from longhouse import __version__
from longhouse.cli import output
from longhouse.cli.client import connect
from longhouse.cli.errors import one_line
from longhouse.cli.options import Json, Server, run
from longhouse.kit.db.database import SQLITE_SCHEME, open_database
from longhouse.kit.errors import LonghouseError
from longhouse.kit.settings import Settings, load_settings, unknown_variables
from longhouse.runtime.models.demo import DEMO
from longhouse.runtime.models.environment import AUTO, EnvironmentModels, ModelEnvironment
from longhouse.runtime.sandbox.choose import choose
from longhouse.server.console import CONSOLE_DIR
from longhouse.server.serve import PortTaken, address_of, listening

OLDEST_PYTHON = (3, 11)
PATIENCE_SECONDS = 5.0
OWN_VARIABLES = frozenset(
    {"LONGHOUSE_SERVER", "LONGHOUSE_TOKEN", "LONGHOUSE_TENANT", "LONGHOUSE_DEBUG"}
)
"""What the command line reads from the environment and the server does not."""

NAMESPACES = Path("/proc/sys/user/max_user_namespaces")
UNPRIVILEGED = Path("/proc/sys/kernel/unprivileged_userns_clone")  # Debian's own switch

EXIT_MISSING = 1


class Status(Enum):
    """What a check found."""

    OK = "ok"
    NOTE = "note"  # works without, or is as somebody wanted it
    MISSING = "missing"  # agents cannot work like this


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing, how it is, and what to do about it."""

    name: str
    status: Status
    detail: str
    fix: str = ""


MARKS = {Status.OK: ("✓", "green"), Status.NOTE: ("•", "yellow"), Status.MISSING: ("✗", "red")}


def doctor(server: Server = None, json: Json = False) -> None:
    """See what is missing on this machine, and how to get it.

    Exits with 1 when something is missing that agents need. It changes nothing.
    """
    findings = run(_examine(server))
    if json:
        output.put_json([_as_object(finding) for finding in findings])
    else:
        put_findings(findings)
    if any(finding.status is Status.MISSING for finding in findings):
        raise typer.Exit(EXIT_MISSING)


async def _examine(server: str | None) -> list[Finding]:
    return [
        check_python(sys.version_info[:3]),
        check_git(),
        check_namespaces(),
        *await _examine_settings(),
        check_console(CONSOLE_DIR),
        await _check_server(server),
    ]


async def _examine_settings() -> list[Finding]:
    """What depends on settings; without valid ones, only that."""
    try:
        settings = load_settings()
    except LonghouseError as error:
        return [_failed("settings", error)]
    checks = (_check_sandbox, _check_data_dir, _check_database, _check_port, _check_models)
    return [
        check_settings(unknown_variables(os.environ)),
        *[await _within(check, settings) for check in checks],
    ]


async def _within(check: Callable[[Settings], Awaitable[Finding]], settings: Settings) -> Finding:
    """A check that raises says what is missing by that."""
    try:
        return await check(settings)
    except LonghouseError as error:
        return _failed(check.__name__.removeprefix("_check_").replace("_", " "), error)


# --- checks ---------------------------------------------------------------------------------------


def check_python(found: tuple[int, int, int]) -> Finding:
    """Whether this Python is new enough."""
    version = ".".join(str(part) for part in found)
    old = found[:2] < OLDEST_PYTHON
    return Finding(
        name="python",
        status=Status.MISSING if old else Status.OK,
        detail=f"{version}, Longhouse {__version__}, {platform.system()} {platform.machine()}",
        fix=f"Install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer." if old else "",
    )


def check_git() -> Finding:
    """Whether agents can have workspaces."""
    found = shutil.which("git")
    if found:
        return Finding(name="git", status=Status.OK, detail=found)
    return Finding(
        name="git",
        status=Status.MISSING,
        detail="not installed: agents cannot have a workspace",
        fix=_install("git"),
    )


def check_settings(unknown: Sequence[str]) -> Finding:
    """Whether the environment says something that nobody reads."""
    misspelt = [name for name in unknown if name not in OWN_VARIABLES]
    if not misspelt:
        return Finding(name="settings", status=Status.OK, detail="valid")
    return Finding(
        name="settings",
        status=Status.NOTE,
        detail=f"valid, but nobody reads {', '.join(misspelt)}",
        fix="Correct the spelling, or unset it.",
    )


def check_namespaces() -> Finding:
    """Whether the kernel lets a program without privileges draw a boundary."""
    if sys.platform != "linux":
        return Finding(
            name="namespaces",
            status=Status.MISSING,
            detail=f"{platform.system()} has none",
            fix="Run Longhouse on Linux, or in a Linux virtual machine.",
        )
    for switch in (NAMESPACES, UNPRIVILEGED):
        if _read(switch) == "0":
            return Finding(
                name="namespaces",
                status=Status.MISSING,
                detail=f"user namespaces are turned off in {switch}",
                fix=f"As root: sysctl -w {_sysctl(switch)}",
            )
    return Finding(name="namespaces", status=Status.OK, detail="user namespaces are allowed")


async def _check_sandbox(settings: Settings) -> Finding:
    report = (await choose(settings.sandbox.value)).describe()
    if report.protects:
        return Finding(name="sandbox", status=Status.OK, detail=f"{report.name}: {report.detail}")
    wanted = report.name == "off"
    return Finding(
        name="sandbox",
        status=Status.NOTE if wanted else Status.MISSING,
        detail=report.detail,
        fix=report.hint or ("Unset LONGHOUSE_SANDBOX to have one." if wanted else ""),
    )


async def _check_data_dir(settings: Settings) -> Finding:
    return check_directory(settings.data_dir)


def check_directory(directory: Path) -> Finding:
    """Whether the house can keep its things there."""
    name = "data dir"
    fix = "Make it writable for this user, or set LONGHOUSE_DATA_DIR to one that is."
    if directory.exists() and not directory.is_dir():
        return Finding(name=name, status=Status.MISSING, detail=f"{directory} is a file", fix=fix)
    standing = next(place for place in (directory, *directory.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=standing):
            pass
    except OSError as error:
        detail = f"{standing} cannot be written: {error.strerror}"
        return Finding(name=name, status=Status.MISSING, detail=detail, fix=fix)
    free = shutil.disk_usage(standing).free / 2**30
    made = "" if standing == directory else ", made at the first start"
    return Finding(name=name, status=Status.OK, detail=f"{directory} ({free:.0f} GiB free{made})")


async def _check_database(settings: Settings) -> Finding:
    url = settings.database_url
    if missing := _missing_file(url):
        return dataclasses.replace(check_directory(missing.parent), name="database")
    async with contextlib.AsyncExitStack() as stack:
        database = await open_database(url)
        stack.push_async_callback(database.close)
        await database.read(_ask)
    kind = "SQLite" if url.startswith(SQLITE_SCHEME) else "PostgreSQL"
    return Finding(name="database", status=Status.OK, detail=f"{kind} answers")


def _missing_file(url: str) -> Path | None:
    """The file of an SQLite database that is not there yet: opening it would make it."""
    file = Path(url.removeprefix(SQLITE_SCHEME)).expanduser()
    return file if url.startswith(SQLITE_SCHEME) and not file.exists() else None


def _ask(conn: Connection) -> None:
    conn.execute(text("SELECT 1")).scalar_one()


async def _check_port(settings: Settings) -> Finding:
    try:
        with listening(settings.host, settings.port):
            detail = f"{settings.port} on {settings.host} is free"
            return Finding(name="port", status=Status.OK, detail=detail)
    except PortTaken as taken:
        address = address_of(settings, settings.port)
        try:
            async with connect(address, signed_in=False) as client:
                info = await client.info(within=PATIENCE_SECONDS)
        except LonghouseError:
            raise taken from None
    detail = f"{info.name} {info.version} answers at {address}"
    return Finding(name="port", status=Status.OK, detail=detail)


async def _check_models(settings: Settings) -> Finding:
    environment = ModelEnvironment.of(
        model=settings.model,
        openai_api_key=_clear(settings.openai_api_key),
        openai_base_url=settings.openai_base_url,
        anthropic_api_key=_clear(settings.anthropic_api_key),
        anthropic_base_url=settings.anthropic_base_url,
        environ=os.environ,
    )
    chosen = EnvironmentModels(environment).choose(AUTO)
    keys = [provider for provider, access in environment.access.items() if access.api_key]
    if chosen.provider == DEMO:
        return Finding(
            name="models",
            status=Status.NOTE,
            detail=f"`auto` means the scripted demo model: {chosen.reason}",
            fix="Set OPENAI_API_KEY or ANTHROPIC_API_KEY, or a base URL of a local model.",
        )
    return Finding(
        name="models",
        status=Status.OK,
        detail=f"`auto` means {chosen.provider}:{chosen.model}: {chosen.reason}"
        f" (keys: {', '.join(keys) or 'none'})",
    )


def check_console(directory: Path) -> Finding:
    """Whether there is a page for browsers."""
    if (directory / "index.html").is_file():
        return Finding(name="console", status=Status.OK, detail="built")
    return Finding(
        name="console",
        status=Status.NOTE,
        detail="not built: the API and this command line work without it",
        fix="In a checkout: make run. Otherwise install Longhouse from a wheel.",
    )


async def _check_server(server: str | None) -> Finding:
    try:
        async with connect(server, signed_in=False) as client:
            info = await client.info(within=PATIENCE_SECONDS)
            detail = f"{info.name} {info.version} answers at {client.server}"
            return Finding(name="server", status=Status.OK, detail=detail)
    except LonghouseError as error:
        return Finding(name="server", status=Status.NOTE, detail=error.detail, fix=error.hint or "")


# --- words ----------------------------------------------------------------------------------------


def put_findings(findings: Sequence[Finding]) -> None:
    """The findings as a list; what would help stands below."""
    console = output.data_console()
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        mark, style = MARKS[finding.status]
        label = Text.assemble((f"{mark} ", style), (f"{finding.name:<{width}}  ", "bold"))
        output.put_hanging(console, label, Text(output.clean(finding.detail)))
        if finding.fix:
            arrow = Text(f"{'':<{width + 4}}→ ", style=style)
            output.put_hanging(console, arrow, Text(output.clean(finding.fix), style=style))
    missing = sum(finding.status is Status.MISSING for finding in findings)
    output.say(
        f"{output.plural(missing, 'thing')} missing." if missing else "Nothing needed is missing."
    )


def _failed(name: str, error: LonghouseError) -> Finding:
    told = one_line(error).partition(" — ")
    return Finding(name=name, status=Status.MISSING, detail=told[0], fix=told[2])


def _as_object(finding: Finding) -> dict[str, str]:
    return {
        "name": finding.name,
        "status": finding.status.value,
        "detail": finding.detail,
        "fix": finding.fix,
    }


def _install(package: str) -> str:
    managers = {"apt-get": "install", "dnf": "install", "apk": "add", "pacman": "-S"}
    for manager, verb in managers.items():
        if shutil.which(manager):
            return f"{manager} {verb} {package}"
    return f"Install {package} with this machine's package manager."


def _sysctl(switch: Path) -> str:
    value = "15000" if switch == NAMESPACES else "1"
    return f"{'.'.join(switch.parts[3:])}={value}"


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""  # this kernel has no such switch


def _clear(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
