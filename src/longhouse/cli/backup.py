"""`longhouse backup` and `longhouse restore`: this machine's own house in one file, and back."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from longhouse.cli import output
from longhouse.cli.options import run
from longhouse.cli.serve import DatabaseUrl, DataDir, settings_with
from longhouse.kit.clock import SystemClock
from longhouse.server import backup as server
from longhouse.server.backup import Manifest

File: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FILE", help="The backup: a tar file, packed when it ends in .gz.")
]


def backup(
    file: File,
    without_workspaces: Annotated[
        bool,
        typer.Option("--without-workspaces", help="Leave workspaces and long results out."),
    ] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Write the whole house into one file, while its servers run.

    It holds the database at one moment, generated keys and workspaces, readable by you only. Keys
    that are set in the environment are not in it.
    """
    settings = settings_with({"data_dir": data_dir, "database_url": database_url})
    work = server.back_up(
        settings, file, clock=SystemClock(), workspaces=not without_workspaces, told=_tell
    )
    _summarise(run(work), f"{file}: {output.count(file.stat().st_size)}B")
    output.put(str(file))


def restore(file: File, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Make a house of a backup: in an empty data directory and an empty database.

    No server may run there yet. The tables are brought up to date at the next start.
    """
    settings = settings_with({"data_dir": data_dir, "database_url": database_url})
    _summarise(run(server.restore(settings, file, told=_tell)), f"restored to {settings.data_dir}")


def _tell(step: str) -> None:
    output.say(f"{step} …")


def _summarise(manifest: Manifest, what: str) -> None:
    made = manifest.made_at.strftime("%Y-%m-%d %H:%M UTC")
    kept = "" if manifest.workspaces else ", without workspaces"
    output.say(f"{what}, made {made} by Longhouse {manifest.version}{kept}")
