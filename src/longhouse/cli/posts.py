"""`longhouse posts`: the roles that agents follow.

A post is written as options, or as JSON in the form that `posts show --json` prints; options win.
"""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
import typer

from longhouse.cli import lookup, output
from longhouse.cli.client import connect, segment
from longhouse.cli.errors import BadOption
from longhouse.cli.models import Post
from longhouse.cli.options import Json, Server, Yes, confirm, run, unless_command
from longhouse.cli.output import Column, ago, number, say
from longhouse.protocol.events import JsonObject

READ_ONLY_MEMBERS = frozenset({"id", "version", "created_at", "updated_at"})
"""What the server adds to a post: ignored in a file, so that a shown post can be given back."""

VERDICTS = ("allow", "deny", "ask")

Name = Annotated[str, typer.Argument(metavar="POST", help="Its name or id.")]
File: TypeAlias = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="JSON with any of a post's members; - reads standard input."),
]
Description: TypeAlias = Annotated[str | None, typer.Option(help="What the post is for.")]
Prompt: TypeAlias = Annotated[
    str | None, typer.Option(help="The system prompt; @FILE takes it from a file.")
]
Model: TypeAlias = Annotated[
    str | None, typer.Option(help="auto, demo, or <provider>:<model>.", metavar="MODEL")
]
Mode: TypeAlias = Annotated[
    str | None, typer.Option(help="auto, ask or read_only: for calls that no rule names.")
]
Tools: TypeAlias = Annotated[
    list[str] | None, typer.Option("--tool", help="A tool it may use; several times for several.")
]
Allow: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="PATTERN", help="Calls that run unasked: 'bash_run(git *)'."),
]
Deny: TypeAlias = Annotated[
    list[str] | None, typer.Option("--deny", metavar="PATTERN", help="Calls that never run.")
]
Ask: TypeAlias = Annotated[
    list[str] | None, typer.Option("--ask", metavar="PATTERN", help="Calls a person decides.")
]
Limits: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="NAME=NUMBER", help="steps, tokens, wall_seconds, …"),
]

app = typer.Typer(help="Posts: the roles that agents follow.", add_completion=False)


@app.callback(invoke_without_command=True)
def posts(context: typer.Context, server: Server = None, json: Json = False) -> None:
    """Posts: the roles that agents follow. Without a command, list them."""
    if unless_command(context, server, json=json):
        run(_list(server, json=json))


@app.command("list")
def list_posts(server: Server = None, json: Json = False) -> None:
    """List the posts."""
    run(_list(server, json=json))


@app.command()
def show(name: Name, server: Server = None, json: Json = False) -> None:
    """Show a post with its prompt, tools, permissions and limits."""
    run(_show(server, name, json=json))


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    file: File = None,
    description: Description = None,
    prompt: Prompt = None,
    model: Model = None,
    mode: Mode = None,
    tools: Tools = None,
    allow: Allow = None,
    deny: Deny = None,
    ask: Ask = None,
    limits: Limits = None,
    server: Server = None,
    json: Json = False,
) -> None:
    """Make a post."""
    body = _read(file) | _plain(
        name=name, description=description, prompt=prompt, model=model, tools=tools
    )
    rules = _rules(allow, deny, ask)
    body |= _permissions(_object(body, "permissions"), mode=mode, rules=rules)
    body |= _limits(_object(body, "limits"), limits)
    run(_create(server, body, json=json))


@app.command()
def edit(
    name: Name,
    file: File = None,
    rename: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    description: Description = None,
    prompt: Prompt = None,
    model: Model = None,
    mode: Mode = None,
    tools: Tools = None,
    allow: Allow = None,
    deny: Deny = None,
    ask: Ask = None,
    limits: Limits = None,
    server: Server = None,
    json: Json = False,
) -> None:
    """Change a post; its agents follow at their next turn. Rules given here replace all rules."""
    body = _read(file) | _plain(
        name=rename, description=description, prompt=prompt, model=model, tools=tools
    )
    body |= _limits(_object(body, "limits"), limits)
    run(_edit(server, name, body, mode=mode, rules=_rules(allow, deny, ask), json=json))


@app.command()
def delete(name: Name, yes: Yes = False, server: Server = None) -> None:
    """Delete a post that no agent follows."""
    run(_delete(server, name, yes=yes))


async def _list(server: str | None, *, json: bool) -> None:
    async with connect(server) as client:
        found = [post async for post in lookup.pages(client, "/posts", Post)]
    if json:
        output.put_json(found)
        return
    now = datetime.now(UTC)
    output.put_table(
        (
            Column("Name", style="bold"),
            Column("Mode", shrink=False),
            Column("Model"),
            Column("Tools", right=True, shrink=False),
            Column("Description"),
            Column("Changed", right=True, shrink=False),
        ),
        [
            (
                post.name,
                post.permissions.mode,
                post.model,
                str(len(post.tools)),
                post.description or "-",
                ago(post.updated_at, now=now),
            )
            for post in found
        ],
    )


async def _show(server: str | None, name: str, *, json: bool) -> None:
    async with connect(server) as client:
        _put(await lookup.find_post(client, name), json=json)


async def _create(server: str | None, body: JsonObject, *, json: bool) -> None:
    async with connect(server) as client:
        _put(await client.post("/posts", body, Post), json=json)


async def _edit(
    server: str | None,
    name: str,
    body: JsonObject,
    *,
    mode: str | None,
    rules: list[dict[str, str]],
    json: bool,
) -> None:
    async with connect(server) as client:
        post = await lookup.find_post(client, name)
        present = _object(body, "permissions") or msgspec.to_builtins(post.permissions)
        body |= _permissions(present, mode=mode, rules=rules)
        if not body:
            raise BadOption("Nothing to change was given.", hint="See: longhouse posts edit --help")
        _put(await client.patch(f"/posts/{segment(post.id)}", body, Post), json=json)


async def _delete(server: str | None, name: str, *, yes: bool) -> None:
    async with connect(server) as client:
        post = await lookup.find_post(client, name)
        confirm(f"This deletes the post {post.name}.", word=post.name, yes=yes)
        await client.delete(f"/posts/{segment(post.id)}")
    say(f"Deleted {post.name}.")


def _put(post: Post, *, json: bool) -> None:
    if json:
        output.put_json(post)
        return
    rules = [f"{rule.verdict} {rule.pattern}" for rule in post.permissions.rules]
    output.put_facts(
        [
            ("name", post.name),
            ("id", post.id),
            ("version", str(post.version)),
            ("description", post.description),
            ("model", post.model),
            ("tools", " ".join(post.tools)),
            ("mode", post.permissions.mode),
            ("rules", "\n".join(rules)),
            ("limits", "\n".join(f"{name} {number(value)}" for name, value in post.limits.items())),
            ("hosts", " ".join(post.hosts)),
            ("prompt", post.prompt),
        ]
    )


# --- a post as it is typed ------------------------------------------------------------------------


def _read(file: Path | None) -> JsonObject:
    """The members of a file. Raises `BadOption`."""
    if file is None:
        return {}
    try:
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise BadOption(f"{file} cannot be read: {error.strerror}.") from error
    try:
        body = msgspec.json.decode(text, type=JsonObject)
    except msgspec.DecodeError as error:
        raise BadOption(
            f"{file} does not hold a post: {error}.",
            hint="`longhouse posts show POST --json` prints the form.",
        ) from error
    return {name: value for name, value in body.items() if name not in READ_ONLY_MEMBERS}


def _plain(
    *,
    name: str | None,
    description: str | None,
    prompt: str | None,
    model: str | None,
    tools: Sequence[str] | None,
) -> JsonObject:
    given: Mapping[str, object] = {
        "name": name,
        "description": description,
        "prompt": _from_file(prompt),
        "model": model,
        "tools": tools or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _from_file(text: str | None) -> str | None:
    if text is None or not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"The prompt cannot be read from {text[1:]}: {error}.") from error


def _rules(*patterns: Sequence[str] | None) -> list[dict[str, str]]:
    """Rules in the order of `VERDICTS`: their order has no meaning."""
    return [
        {"verdict": verdict, "pattern": pattern}
        for verdict, given in zip(VERDICTS, patterns, strict=True)
        for pattern in given or ()
    ]


def _permissions(
    present: JsonObject, *, mode: str | None, rules: list[dict[str, str]]
) -> JsonObject:
    """The member `permissions` with what was given in place of what is; nothing if nothing was."""
    if mode is None and not rules:
        return {}
    changed = dict(present)
    if mode is not None:
        changed["mode"] = mode
    if rules:
        changed["rules"] = rules
    return {"permissions": changed}


def _limits(present: JsonObject, given: Sequence[str] | None) -> JsonObject:
    """The member `limits` with `NAME=NUMBER` taken in; nothing if nothing was given."""
    if not given:
        return {}
    return {"limits": present | dict(_limit(text) for text in given)}


def _limit(text: str) -> tuple[str, int | float]:
    name, equals, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        equals, number = "", 0.0
    if not equals or not name.strip():
        raise BadOption(f"--limit {text!r} is not NAME=NUMBER.", hint="Such as: --limit steps=50")
    return name.strip(), int(number) if number.is_integer() else number


def _object(body: JsonObject, name: str) -> JsonObject:
    value = body.get(name)
    return value if isinstance(value, dict) else {}
