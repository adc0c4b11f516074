"""`longhouse agents`: who works here, and what they did.

Each command is one or two requests and a way to show the answer. `chat` talks to them.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from longhouse.cli import lookup, output, render
from longhouse.cli.client import PATIENT_SECONDS, Client, connect, segment
from longhouse.cli.models import Agent, ChangedFile, Committed, Session, WorkspaceDiff
from longhouse.cli.options import Json, Server, Yes, confirm, run, unless_command
from longhouse.cli.output import Column, ago, count, plural, say

DEFAULT_POST = "Engineer"
SAMPLE = "sample"
SHOWN_SESSIONS = 5

Name = Annotated[str, typer.Argument(metavar="AGENT", help="Its name or id.")]

app = typer.Typer(
    help="Agents: who works here, what they changed.", no_args_is_help=False, add_completion=False
)


@app.callback(invoke_without_command=True)
def agents(context: typer.Context, server: Server = None, json: Json = False) -> None:
    """Agents: who works here, what they changed. Without a command, list them."""
    if unless_command(context, server, json=json):
        run(_list(server, status=None, search=None, json=json))


@app.command("list")
def list_agents(
    status: Annotated[str | None, typer.Option(help="idle, busy or waiting.")] = None,
    search: Annotated[str | None, typer.Option(help="A part of the name.")] = None,
    server: Server = None,
    json: Json = False,
) -> None:
    """List the agents."""
    run(_list(server, status=status, search=search, json=json))


@app.command()
def show(name: Name, server: Server = None, json: Json = False) -> None:
    """Show an agent, its sessions and what waits for a decision."""
    run(_show(server, name, json=json))


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    post: Annotated[str, typer.Option(help="Its post, by name or id.")] = DEFAULT_POST,
    repository: Annotated[
        str | None,
        typer.Option(
            "--repository",
            "-r",
            metavar="PATH|URL|sample",
            help="The git repository it works in; `sample` makes one with a failing test.",
        ),
    ] = None,
    ref: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of the repository to begin with.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Another model than its post's.")] = None,
    server: Server = None,
    json: Json = False,
) -> None:
    """Make an agent, with a workspace of its own."""
    run(_create(server, name, post=post, repository=repository, ref=ref, model=model, json=json))


@app.command()
def diff(
    name: Name,
    stat: Annotated[bool, typer.Option("--stat", help="Only the files and counts.")] = False,
    server: Server = None,
    json: Json = False,
) -> None:
    """Show what an agent changed; without a terminal, as a patch that `git apply` takes."""
    run(_diff(server, name, stat=stat, json=json))


@app.command()
def commit(
    name: Name,
    branch: Annotated[str, typer.Option("--branch", "-b", help="The branch to commit to.")],
    message: Annotated[str, typer.Option("--message", "-m", help="The commit's message.")],
    server: Server = None,
    json: Json = False,
) -> None:
    """Commit everything an agent changed to a branch."""
    run(_commit(server, name, branch=branch, message=message, json=json))


@app.command()
def delete(name: Name, yes: Yes = False, server: Server = None) -> None:
    """Delete an agent with its sessions and its workspace."""
    run(_delete(server, name, yes=yes))


async def _list(server: str | None, *, status: str | None, search: str | None, json: bool) -> None:
    wanted = {"status": status or "", "search": search or ""}
    async with connect(server) as client:
        given = {name: value for name, value in wanted.items() if value}
        found = [agent async for agent in lookup.pages(client, "/agents", Agent, **given)]
    if json:
        output.put_json(found)
        return
    if not found and not given:
        say("There are no agents yet. Make one: longhouse agents create NAME --repository sample")
    now = datetime.now(UTC)
    output.put_table(
        (
            Column("Name", style="bold"),
            Column("Status", shrink=False),
            Column("Post"),
            Column("Model"),
            Column("Repository"),
            Column("Tokens", right=True, shrink=False),
            Column("Moved", right=True, shrink=False),
        ),
        [_row(agent, now) for agent in found],
    )


def _row(agent: Agent, now: datetime) -> tuple[str, ...]:
    repository = agent.repository.source if agent.repository else "-"
    return (
        agent.name,
        agent.status,
        agent.post.name,
        agent.model,
        repository if repository == SAMPLE else repository.rstrip("/").rpartition("/")[2],
        count(agent.tokens.input + agent.tokens.output),
        ago(agent.updated_at, now=now),
    )


async def _show(server: str | None, name: str, *, json: bool) -> None:
    async with connect(server) as client:
        agent = await lookup.find_agent(client, name)
        path = f"/agents/{segment(agent.id)}/sessions"
        sessions = [session async for session in lookup.pages(client, path, Session)]
    if json:
        output.put_json({"agent": agent, "sessions": sessions})
        return
    now = datetime.now(UTC)
    output.put_facts(_facts(agent))
    if sessions:
        output.put("")
        output.put_table(
            (
                Column("Session", shrink=False),
                Column("State", shrink=False),
                Column("Title"),
                Column("Moved", right=True, shrink=False),
            ),
            [
                (one.id, one.state.value, one.title or "-", ago(one.updated_at, now=now))
                for one in sessions[:SHOWN_SESSIONS]
            ],
        )
    if len(sessions) > SHOWN_SESSIONS:
        say(f"… and {plural(len(sessions) - SHOWN_SESSIONS, 'older session')}")
    _show_waiting(agent, sessions)


def _show_waiting(agent: Agent, sessions: list[Session]) -> None:
    for session in sessions:
        for approval in session.approvals:
            about = render.subject_of(approval.arguments)
            say(f"Waits for you: {approval.name} {about} ({approval.reason})")
            say(f"  decide with: longhouse chat {quote(agent.name)} --session {session.id}")


def _facts(agent: Agent) -> list[tuple[str, str]]:
    repository = agent.repository
    return [
        ("name", agent.name),
        ("id", agent.id),
        ("status", agent.status),
        ("post", f"{agent.post.name} (version {agent.post.version})"),
        ("model", agent.model),
        ("repository", repository.source if repository else ""),
        ("from", (repository.ref or "") if repository else ""),
        ("branch", repository.branch if repository else ""),
        ("tokens", f"{count(agent.tokens.input)} in, {count(agent.tokens.output)} out"),
        ("made", agent.created_at.astimezone().strftime("%Y-%m-%d %H:%M")),
    ]


async def _create(
    server: str | None,
    name: str,
    *,
    post: str,
    repository: str | None,
    ref: str | None,
    model: str | None,
    json: bool,
) -> None:
    async with connect(server) as client:
        found = await lookup.find_post(client, post)
        body: dict[str, object] = {"name": name, "post_id": found.id}
        if model:
            body["overrides"] = {"model": model}
        if repository:
            body["repository"] = {"source": source_of(repository)} | ({"ref": ref} if ref else {})
        agent = await client.post("/agents", body, Agent, within=PATIENT_SECONDS)
    if json:
        output.put_json(agent)
        return
    output.put_facts(_facts(agent))
    say(f"Give it work: longhouse chat {quote(agent.name)}")


def source_of(repository: str) -> str:
    """A repository as the server finds it: a path of this machine becomes absolute."""
    if repository == SAMPLE or "://" in repository or not Path(repository).expanduser().exists():
        return repository
    return str(Path(repository).expanduser().resolve())


async def _diff(server: str | None, name: str, *, stat: bool, json: bool) -> None:
    async with connect(server) as client:
        agent = await lookup.find_agent(client, name)
        path = f"/agents/{segment(agent.id)}/workspace/diff"
        if not (stat or json or sys.stdout.isatty()):
            # Byte for byte: names and lines need not be UTF-8.
            sys.stdout.buffer.write(await client.get_text(path, format="patch"))
            sys.stdout.buffer.flush()
            return
        found = await client.get(path, WorkspaceDiff)
    if json:
        output.put_json(found)
        return
    if not stat:
        show_patch(found.patch)
    put_stat(found.files)


def show_patch(patch: str) -> None:
    """A patch in colour."""
    console = output.data_console()
    for line in render.whole_diff(patch):
        console.print(line, soft_wrap=True)


def put_stat(files: tuple[ChangedFile, ...]) -> None:
    """The changed files and how much, as talk: the diff itself is the data."""
    if not files:
        say("Nothing was changed.")
        return
    width = max(len(file.path) for file in files)
    for file in files:
        counts = "binary" if file.additions is None else f"+{file.additions} -{file.deletions}"
        say(f"{file.status:<8} {file.path:<{width}}  {counts}")


async def _commit(server: str | None, name: str, *, branch: str, message: str, json: bool) -> None:
    async with connect(server) as client:
        agent = await lookup.find_agent(client, name)
        done = await _commit_work(client, agent, branch=branch, message=message)
    if json:
        output.put_json(done)
        return
    output.put(done.commit)
    say(f"Committed {plural(done.files, 'file')} to {done.branch}.")


async def _commit_work(client: Client, agent: Agent, *, branch: str, message: str) -> Committed:
    return await client.post(
        f"/agents/{segment(agent.id)}/workspace/commit",
        {"branch": branch, "message": message},
        Committed,
        within=PATIENT_SECONDS,
    )


async def _delete(server: str | None, name: str, *, yes: bool) -> None:
    async with connect(server) as client:
        agent = await lookup.find_agent(client, name)
        confirm(
            f"This deletes {agent.name} with all its sessions and its workspace;"
            " what is not committed is lost.",
            word=agent.name,
            yes=yes,
        )
        await client.delete(f"/agents/{segment(agent.id)}")
    say(f"Deleted {agent.name}.")
