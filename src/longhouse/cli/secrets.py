"""`longhouse keys`: what signs tokens and encrypts stored secrets, and how it is replaced.

It works on this machine's own house, while its servers run.
"""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer
from rich.progress import Progress

from longhouse.cli import output
from longhouse.cli.options import Json, run
from longhouse.cli.output import Column, plural, say
from longhouse.cli.serve import DatabaseUrl, DataDir, settings_with
from longhouse.kit.clock import SystemClock
from longhouse.kit.db.database import Database
from longhouse.kit.settings import Settings
from longhouse.server import house, keys
from longhouse.server.keys import KeyRow, Rotated

T = TypeVar("T")

app = typer.Typer(
    help="Keys: what signs tokens and encrypts stored secrets.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command("list")
def list_keys(
    data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False
) -> None:
    """List the keys that are valid, by their names; a name tells nothing of the key."""
    settings = settings_with({"data_dir": data_dir, "database_url": database_url})
    found = run(_with_database(settings, lambda database: keys.list_keys(settings, database)))
    if json:
        output.put_json([_as_object(row) for row in found])
        return
    columns = [Column("PURPOSE"), Column("KEY"), Column("USED FOR"), Column("KEPT IN")]
    output.put_table(columns, [_cells(row) for row in found])


@app.command("rotate")
def rotate(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Take new keys and put all stored secrets under them, while the servers run.

    Keys in files are made anew; keys that are set as JWT_SECRET and CONFIG_ENCRYPTION_KEY are
    changed where they are set. If it breaks off, call it again.
    """
    settings = settings_with({"data_dir": data_dir, "database_url": database_url})
    with Progress(console=output.talk_console(), transient=True) as progress:
        bar = progress.add_task("moving secrets", total=None)

        def moved(count: int, todo: int) -> None:
            progress.update(bar, total=todo, advance=count)

        done = run(
            _with_database(
                settings,
                lambda database: keys.rotate(settings, database, clock=SystemClock(), moved=moved),
            )
        )
    _tell(done)


def _tell(done: Rotated) -> None:
    if done.signing is None:
        say("Access tokens: JWT_SECRET is set, so change it there.")
    else:
        say(f"Access tokens are signed with {done.signing} now; the key before stays valid.")
    if done.encryption is None:
        say(f"Stored secrets: {plural(done.moved, 'secret')} moved to the current key.")
    else:
        say(
            f"Stored secrets are under {done.encryption} now: {plural(done.moved, 'secret')} moved;"
            " the key before stays valid."
        )


async def _with_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    async with house.opened_database(settings, SystemClock()) as database:
        return await work(database)


def _cells(row: KeyRow) -> list[str]:
    if row.secrets is None:
        used = "new tokens" if row.current else "older tokens"
    else:
        used = plural(row.secrets, "secret") + (", and new ones" if row.current else "")
    return [row.purpose, row.id, used, str(row.file or "settings")]


def _as_object(row: KeyRow) -> dict[str, object]:
    return dataclasses.asdict(row) | {"file": None if row.file is None else str(row.file)}
