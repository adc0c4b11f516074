"""Options and answers that several commands share, and the one way to run their work.

No command of its own.
"""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, TypeAlias, TypeVar

import typer

from longhouse.cli.errors import BadOption, NeedsTerminal
from longhouse.cli.output import clean

T = TypeVar("T")

Server: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="LONGHOUSE_SERVER",
        metavar="URL",
        help="The server; without it the one of the last sign-in, else this machine's.",
    ),
]
"""Which server a command talks to."""

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
"""Whether a program reads the answer."""

Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
"""Whether a command that cannot be undone may go on without asking."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end."""
    return asyncio.run(work)


def unless_command(context: typer.Context, server: str | None, *, json: bool) -> bool:
    """Whether a group was called without a command. Raises `BadOption` for options before one."""
    if context.invoked_subcommand is None:
        return True
    given = context.get_parameter_source("server")
    if json or (server is not None and given is not None and given.name == "COMMANDLINE"):
        raise BadOption(
            "Options come after the command.",
            hint=f"Write: longhouse {context.info_name} {context.invoked_subcommand} --json …",
        )
    return False


def confirm(loss: str, *, word: str, yes: bool) -> None:
    """Have a person type a word before something is lost for good.

    Raises `NeedsTerminal` where nobody can be asked, and ends the program on another word.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise NeedsTerminal(f"{loss} Nobody is here to confirm it.", hint="Give --yes.")
    typer.echo(clean(loss), err=True)
    typed = typer.prompt(f"Type {clean(word)} to go on", default="", show_default=False, err=True)
    if typed != word:
        typer.echo("Nothing was done.", err=True)
        raise typer.Exit(1)
