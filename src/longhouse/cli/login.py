"""`longhouse login` and `longhouse logout`: the one place that sees a password.

The password comes from a prompt that does not echo, or from standard input; the tokens go into the
file of `credentials`.
"""

import getpass
import sys
from typing import Annotated

import typer

from longhouse.cli import output
from longhouse.cli.client import Client, connect, login_of, stored_credentials
from longhouse.cli.credentials import Credentials
from longhouse.cli.errors import NeedsTerminal
from longhouse.cli.models import Tokens
from longhouse.cli.options import Server, run
from longhouse.kit.errors import LonghouseError, Unauthenticated

KNOCK_SECONDS = 10.0


def login(
    username: Annotated[
        str | None, typer.Option("--username", "-u", help="Username or e-mail address.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    server: Server = None,
) -> None:
    """Sign in at a server; the commands after this act as you."""
    run(_knock(server))
    run(_login(server, username or _ask_username(), read_password(from_stdin=password_stdin)))


def logout(server: Server = None) -> None:
    """End the login at a server: its tokens stop at once."""
    run(_logout(server))


def read_password(*, from_stdin: bool, twice: bool = False) -> str:
    """A password that is never echoed. Raises `NeedsTerminal` when there is nobody to type it."""
    if from_stdin or not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise NeedsTerminal(
                "There is no password on standard input.",
                hint="Pipe one line into --password-stdin, or run this in a terminal.",
            )
        return password
    while True:
        password = getpass.getpass("Password: ")
        if not twice or getpass.getpass("Again: ") == password:
            return password
        output.say("They differ; once more.")


def _ask_username() -> str:
    if not sys.stdin.isatty():
        raise NeedsTerminal("Who signs in?", hint="Give --username.")
    answer: str = typer.prompt("Username", err=True)
    return answer


async def _knock(server: str | None) -> None:
    """See that a server is there, before somebody types a password for nothing."""
    async with connect(server, signed_in=False) as client:
        await client.info(within=KNOCK_SECONDS)


async def _login(server: str | None, username: str, password: str) -> None:
    credentials = stored_credentials()
    async with connect(server, signed_in=False) as client:
        body = {"username": username, "password": password}
        tokens = await client.post("/auth/login", body, Tokens)
        with credentials.locked():
            earlier = credentials.find(client.server)
            credentials.put(client.server, login_of(tokens), current=True)
        if earlier is not None:
            await _end(client, earlier.access_token)
    tenant = f" ({tokens.tenants[0].name})" if tokens.tenants else ""
    output.say(f"Signed in at {client.server} as {tokens.user.username}{tenant}.")


async def _logout(server: str | None) -> None:
    credentials = stored_credentials()
    # The login of the file is meant, whatever token the environment has.
    async with connect(server, environ={}, credentials=credentials) as client:
        if credentials.find(client.server) is None:
            output.say(f"You are not signed in at {client.server}.")
            return
        try:
            await client.tell("/auth/logout")
        except Unauthenticated:
            pass  # it had ended already
        except LonghouseError:
            _forget(credentials, client.server)
            output.say("The login is forgotten here; the server could not be told to end it:")
            raise
        _forget(credentials, client.server)
        output.say(f"Signed out at {client.server}.")


async def _end(client: Client, access_token: str) -> None:
    """End the login that was replaced, so that none is left behind."""
    try:
        await client.acting(access_token).tell("/auth/logout")
    except LonghouseError:
        return  # it had ended, or ends by itself


def _forget(credentials: Credentials, server: str) -> None:
    with credentials.locked():
        credentials.remove(server)
