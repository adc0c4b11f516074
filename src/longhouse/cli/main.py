"""The `longhouse` command: which commands there are, and how everything ends.

A command's module is imported when it is typed and not before: `longhouse --help` loads neither the
server nor a model. Errors end here, as one line and an exit code; LONGHOUSE_DEBUG=1 shows where
they come from.
"""

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import typer

from longhouse import __version__
from longhouse.cli import output
from longhouse.cli.errors import EX_SOFTWARE, NotInstalled, Unexpected
from longhouse.kit.errors import LonghouseError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
DEBUG = "LONGHOUSE_DEBUG"
COMPLETING = "_LONGHOUSE_COMPLETE"  # set by a shell that wants to know what may follow


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and where it is defined."""

    name: str
    place: str  # module:function, or module:app for a group of commands
    help: str


COMMANDS = (
    Command("serve", "serve:serve", "Start the server: console, API, agents at work."),
    Command("create-admin", "serve:create_admin", "Add an admin, straight in the database."),
    Command("backup", "backup:backup", "Write the whole house into one file, while it runs."),
    Command("restore", "backup:restore", "Make a house of a backup."),
    Command("keys", "secrets:app", "Keys: what signs tokens and encrypts stored secrets."),
    Command("doctor", "doctor:doctor", "See what is missing on this machine, and how to get it."),
    Command("login", "login:login", "Sign in at a server."),
    Command("logout", "login:logout", "End the login at a server."),
    Command("agents", "agents:app", "Agents: who works here, what they changed."),
    Command("posts", "posts:app", "Posts: the roles that agents follow."),
    Command("chat", "chat:chat", "Talk with an agent, watch it work, decide what it may do."),
    Command("audit", "audit:app", "Audit: who did what, and whether it still says so."),
    Command("mcp", "mcp:mcp", "Offer your agents to another program, as an MCP server."),
    Command("version", "main:version", "Print the version."),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was typed. Returns the exit code; prints, but raises nothing."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character shows a question mark and no traceback.
        with contextlib.suppress(AttributeError, OSError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        build(arguments)(arguments, prog_name="longhouse")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_left()
    except LonghouseError as error:
        _trace()
        output.report(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the program's edge: nobody sees a traceback
        _trace()
        output.report_text(str(Unexpected(error)))
        return EX_SOFTWARE
    return 0


def build(arguments: Sequence[str]) -> typer.Typer:
    """The command line, with the module of the command that was typed, and all when completing."""
    wanted = next((word for word in arguments if not word.startswith("-")), "")
    everything = COMPLETING in os.environ
    app = typer.Typer(
        help="Longhouse: give agents work in real repositories, watch them, decide.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for command in COMMANDS:
        if everything or command.name == wanted:
            _add(app, command)
        else:
            # Only named here: its real self is built when it is typed.
            app.command(command.name, help=command.help)(_named_only)
    return app


def version() -> None:
    """Print the version."""
    output.put(f"longhouse {__version__}")


def _show_version(value: bool) -> None:
    if value:
        version()
        raise typer.Exit


def _options(
    _: bool = typer.Option(
        False, "--version", help="Print the version.", callback=_show_version, is_eager=True
    ),
) -> None:
    """What may stand before the command."""


def _add(app: typer.Typer, command: Command) -> None:
    module, _, attribute = command.place.partition(":")
    try:
        # Imported here, not above: the server alone takes longer to load than most commands to run.
        defined = getattr(importlib.import_module(f"longhouse.cli.{module}"), attribute)
    except ModuleNotFoundError as missing:
        raise NotInstalled(f"`longhouse {command.name}`", missing) from missing
    if isinstance(defined, typer.Typer):
        app.add_typer(defined, name=command.name, help=command.help)
    else:
        app.command(command.name)(cast("Callable[..., None]", defined))


def _named_only() -> None:
    """Stands for a command that was not typed."""


def _trace() -> None:
    if os.environ.get(DEBUG, "") not in {"", "0"}:
        traceback.print_exc()


def _reader_left() -> int:
    """Whoever read our output has enough, as `head` does."""
    # What is still buffered would be written when Python ends, and fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
