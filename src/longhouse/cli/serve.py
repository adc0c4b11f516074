"""`longhouse serve` and `longhouse create-admin`: what works on this machine's own house.

Options are settings by another name: they are written over the environment before it is read, so
that every message names the setting and every process started from here agrees.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from longhouse.cli import output
from longhouse.cli.login import read_password
from longhouse.cli.options import run
from longhouse.identity.accounts import NewUser
from longhouse.kit.settings import PREFIX, Settings, load_settings
from longhouse.server import house
from longhouse.server import serve as server

Text: TypeAlias = str | None

DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Directory of the database, workspaces and secrets."),
]
DatabaseUrl: TypeAlias = Annotated[
    Text,
    typer.Option(
        "--database-url", metavar="URL", help="sqlite:///<file> or postgresql://user:…@host/name."
    ),
]


def serve(
    host: Annotated[Text, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", help="Port to listen on; 0 takes a free one.")
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    public_url: Annotated[
        Text, typer.Option(metavar="URL", help="Address people reach the server at.")
    ] = None,
    model: Annotated[
        Text, typer.Option(help="Model of agents whose post names none: auto, demo, …")
    ] = None,
    sandbox: Annotated[Text, typer.Option(help="auto, bubblewrap, landlock or off.")] = None,
    worker_slots: Annotated[
        int | None, typer.Option(help="Turns this process runs at once.")
    ] = None,
    only: Annotated[
        Text, typer.Option(metavar="DUTY", help="Do one thing: api or worker; without it both.")
    ] = None,
    log_level: Annotated[Text, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[Text, typer.Option(help="console or json.")] = None,
) -> None:
    """Start the server: the console, the API, and agents at work.

    What is not given here comes from LONGHOUSE_… variables; `longhouse doctor` lists what is set.
    """
    given = {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "database_url": database_url,
        "public_url": public_url,
        "model": model,
        "sandbox": sandbox,
        "worker_slots": worker_slots,
        "only": only,
        "log_level": log_level,
        "log_format": log_format,
    }
    server.run(settings_with(given))


def create_admin(
    username: Annotated[str, typer.Option(help="Name to sign in with.")],
    password: Annotated[
        Text, typer.Option(help="Visible to other users of this machine; better not given.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    email: Annotated[
        Text, typer.Option(help="E-mail address; NAME@localhost if not given.")
    ] = None,
    display_name: Annotated[Text, typer.Option(help="How people call them.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Add an admin, straight in the database; the server may run or not.

    Without --password it asks for one, or reads a line of standard input.
    """
    settings = settings_with({"data_dir": data_dir, "database_url": database_url})
    new = NewUser(
        username=username,
        password=password or read_password(from_stdin=password_stdin, twice=True),
        email=email or f"{username}@localhost",
        display_name=display_name or username,
    )
    user = run(house.create_admin(settings, new))
    output.put(user.id)
    output.say(f"{user.username} is an admin now. Sign in: longhouse login -u {user.username}")


def settings_with(given: Mapping[str, object]) -> Settings:
    """The settings of the environment, with the options that were given in their place."""
    for name, value in given.items():
        if value is not None:
            os.environ[f"{PREFIX}{name.upper()}"] = str(value)
    return load_settings()
