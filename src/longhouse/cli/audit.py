"""`longhouse audit`: who did what, from the server; and whether anybody changed what it says.

`verify` reads the database itself, so that a server nobody trusts any more can be checked.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
import typer

from longhouse.cli import output
from longhouse.cli.client import Client, connect
from longhouse.cli.errors import BadOption
from longhouse.cli.models import AuditEntry, Page
from longhouse.cli.options import Json, Server, run, unless_command
from longhouse.cli.output import Column, ago, plural, say
from longhouse.cli.serve import DatabaseUrl, DataDir, settings_with
from longhouse.identity.chain import Head
from longhouse.identity.service.audit_log import Verified
from longhouse.server import house

SHOWN = 50  # entries, where nobody says how many
ALTERED = 1  # exit code of `verify` when something is wrong

Actor: TypeAlias = Annotated[str | None, typer.Option(metavar="ID", help="Who did it.")]
Action: TypeAlias = Annotated[
    str | None, typer.Option(metavar="WORDS", help="What it begins with: login., key.created, …")
]
Target: TypeAlias = Annotated[str | None, typer.Option(metavar="ID", help="What it was done to.")]
Outcome: TypeAlias = Annotated[str | None, typer.Option(help="done or refused.")]
Since: TypeAlias = Annotated[
    datetime | None, typer.Option(metavar="MOMENT", help="At this moment or later: 2026-01-31.")
]
Until: TypeAlias = Annotated[
    datetime | None, typer.Option(metavar="MOMENT", help="Before this moment.")
]
OfServer: TypeAlias = Annotated[
    bool, typer.Option("--of-server", help="What belongs to no tenant; for admins.")
]

app = typer.Typer(help="Audit: who did what, and whether it still says so.", add_completion=False)


@app.callback(invoke_without_command=True)
def audit(context: typer.Context, server: Server = None, json: Json = False) -> None:
    """Audit: who did what. Without a command, the newest entries."""
    if unless_command(context, server, json=json):
        run(_list(server, {}, limit=SHOWN, json=json))


@app.command("list")
def list_entries(
    actor: Actor = None,
    action: Action = None,
    target: Target = None,
    outcome: Outcome = None,
    since: Since = None,
    until: Until = None,
    of_server: OfServer = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Entries at most.")] = SHOWN,
    server: Server = None,
    json: Json = False,
) -> None:
    """List entries, the newest first."""
    filters = _filters(actor, action, target, outcome, since, until, of_server=of_server)
    run(_list(server, filters, limit=limit, json=json))


@app.command()
def export(
    form: Annotated[str, typer.Option("--format", help="jsonl or csv.")] = "jsonl",
    actor: Actor = None,
    action: Action = None,
    target: Target = None,
    outcome: Outcome = None,
    since: Since = None,
    until: Until = None,
    of_server: OfServer = False,
    server: Server = None,
) -> None:
    """Write all entries to standard output, the oldest first."""
    filters = _filters(actor, action, target, outcome, since, until, of_server=of_server)
    run(_export(server, filters | {"format": form}))


@app.command()
def verify(
    known: Annotated[
        Path | None,
        typer.Option(
            "--known",
            metavar="FILE",
            help="What an earlier `audit verify --json` printed: it must still hold.",
        ),
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Check the chain of hashes: a changed, added or missing entry shows, and where.

    Exits with 1 when something is wrong. Keep what --json prints where nobody can change it.
    """
    heads = () if known is None else _known_heads(known)
    settings = settings_with({"data_dir": data_dir, "database_url": database_url})
    verified = run(house.verify_audit(settings, known=heads))
    if json:
        output.put_json(verified)
    else:
        _tell(verified)
    if verified.findings:
        raise typer.Exit(ALTERED)


async def _list(server: str | None, filters: dict[str, str], *, limit: int, json: bool) -> None:
    async with connect(server) as client:
        page = await client.get("/audit", Page[AuditEntry], **filters, limit=limit)
    if json:
        output.put_json(page.items)
        return
    now = datetime.now(UTC)
    output.put_table(
        (
            Column("When", shrink=False),
            Column("Action", style="bold"),
            Column("Target"),
            Column("Outcome", shrink=False),
            Column("Actor"),
            Column("Address"),
        ),
        [
            (
                ago(entry.at, now=now),
                entry.action,
                entry.target or "-",
                entry.outcome,
                entry.actor.id or entry.actor.kind,
                entry.actor.address or "-",
            )
            for entry in page.items
        ],
    )
    if page.next is not None:
        say("There are older ones: narrow it down, raise --limit, or use `longhouse audit export`.")


async def _export(server: str | None, filters: dict[str, str]) -> None:
    async with connect(server) as client:
        await _copy(client, filters)


async def _copy(client: Client, filters: dict[str, str]) -> None:
    async for chunk in client.chunks("/audit/export", **filters):
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def _filters(
    actor: str | None,
    action: str | None,
    target: str | None,
    outcome: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    of_server: bool,
) -> dict[str, str]:
    given = {
        "actor": actor,
        "action": action,
        "target": target,
        "outcome": outcome,
        "since": None if since is None else since.astimezone().isoformat(),
        "until": None if until is None else until.astimezone().isoformat(),
        "server": "true" if of_server else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _known_heads(path: Path) -> tuple[Head, ...]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Known).heads
    except OSError as error:
        raise BadOption(f"{path} cannot be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise BadOption(
            f"{path} is not what `audit verify --json` prints: {error}.",
            hint="Give the output of an earlier check as it was.",
        ) from error


class _Known(msgspec.Struct):
    """The part of an earlier check's output that counts."""

    heads: tuple[Head, ...]


def _tell(verified: Verified) -> None:
    output.put_table(
        (
            Column("Chain", style="bold"),
            Column("Entries", right=True, shrink=False),
            Column("Newest hash"),
        ),
        [(head.chain, str(head.seq), head.hash) for head in verified.heads],
    )
    for found in verified.findings:
        where = f"entry {found.entry_id}" if found.entry_id else "the end"
        say(f"{found.damage}: chain {found.chain}, number {found.seq} ({where})")
    if verified.findings:
        say(f"{plural(len(verified.findings), 'place')} in the audit cannot be trusted.")
    else:
        say(f"The audit is whole: {verified.entries} of its entries were checked.")
