"""`longhouse chat`: talk with an agent, watch it work, decide what it may do.

In a terminal it is a conversation; with a message given it sends that, waits for the turn's end and
exits with a code that says how it ended (`turn.End`). Ctrl-C once interrupts, twice leaves.
"""

import asyncio
import base64
import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from longhouse.cli import lookup, output, render, screen
from longhouse.cli.agents import put_stat, show_patch
from longhouse.cli.client import connect, segment
from longhouse.cli.errors import BadOption, NeedsTerminal, ServerUnreachable
from longhouse.cli.keys import Keyboard
from longhouse.cli.models import Accepted, Agent, Page, Session, WorkspaceDiff
from longhouse.cli.options import Server, run
from longhouse.cli.transcript import Transcript
from longhouse.cli.turn import Approve, End, Place, Turn
from longhouse.kit.errors import LonghouseError
from longhouse.kit.ids import new_id
from longhouse.protocol.events import (
    AgentState,
    Channel,
    JsonObject,
    PermissionRequired,
    ToolCall,
)

try:
    import readline  # noqa: F401 - it makes `input` edit lines and remember them
except ImportError:  # a Python without it
    EDITS_LINES = False
else:
    EDITS_LINES = True

T = TypeVar("T")

SEND_ATTEMPTS = 4
SEND_AGAIN_SECONDS = 0.5
EVENTS_PAGE = 500
FROM_STDIN = "-"

HELP = """\
/diff    what the agent changed so far
/todos   its plan
/new     begin another session
/attach  a picture or PDF that goes with your next message: /attach shot.png
/quit    leave (so do Ctrl-D, and Ctrl-C twice)
While it works: Ctrl-C interrupts. When it asks: y allow, n deny with a note,
a always allow this tool in this chat, d details, i interrupt."""


def chat(
    agent: Annotated[str, typer.Argument(help="Its name or id.")],
    message: Annotated[
        str | None,
        typer.Argument(help="Send this, wait for the answer, and exit; - reads standard input."),
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", "-s", metavar="ID", help="Go on in this session.")
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Begin a new session.")] = False,
    attach: Annotated[
        list[Path] | None,
        typer.Option(
            "--attach",
            "-a",
            metavar="FILE",
            help="A picture or PDF that goes with the message; may be given several times.",
        ),
    ] = None,
    approve: Annotated[
        Approve,
        typer.Option(help="Tool calls that need approval: ask you, allow all, or deny all."),
    ] = Approve.ASK,
    json: Annotated[
        bool, typer.Option("--json", help="Print every event as one line of JSON.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show all thinking and what tools return.")
    ] = False,
    server: Server = None,
) -> None:
    """Talk with an agent, watch it work, decide what it may do.

    Goes on in the agent's present session unless told otherwise. With a MESSAGE, or with standard
    input that is no terminal, it prints the answer and exits: 0 done, 1 failed, 3 a limit was
    reached, 4 interrupted, 5 waiting for an approval that nobody here can give.
    """
    if session is not None and new:
        raise BadOption("--session and --new exclude each other.")
    talk = Talk(
        server=server,
        name=agent,
        session=session,
        new=new,
        approve=approve,
        json=json,
        verbose=verbose,
        attach=attach or [],
    )
    text = _given(message)
    if text is None:
        talk.converse()
        return
    raise typer.Exit(run(talk.once(text)).value)


def _given(message: str | None) -> str | None:
    """The message to send; None when a person will type it."""
    if message == FROM_STDIN or (message is None and not sys.stdin.isatty()):
        message = sys.stdin.buffer.read().decode(errors="replace")
    if message is None:
        if not sys.stdout.isatty():
            raise NeedsTerminal(
                "There is no terminal to talk at.", hint="Give a message: longhouse chat AGENT TEXT"
            )
        return None
    if not message.strip():
        raise BadOption("The message is empty.")
    return message


class Talk:
    """One call of the command."""

    def __init__(
        self,
        *,
        server: str | None,
        name: str,
        session: str | None,
        new: bool,
        approve: Approve,
        json: bool,
        verbose: bool,
        attach: Sequence[Path],
    ) -> None:
        self._server = server
        self._name = name
        self._session = session
        self._new = new
        self._approve = approve
        self._json = json
        self._verbose = verbose
        self._always: set[str] = set()
        self._attached = [_attachment(path) for path in attach]  # to the next message

    # --- one message --------------------------------------------------------------------------

    async def once(self, text: str) -> End:
        """Send a message and follow its turn. How it ended."""
        async with connect(self._server) as client:
            agent = await lookup.find_agent(client, self._name)
            place, session = await self._enter(Place(client, agent, ""), new=self._new)
            end = await self._say(place, session, text)
        if end is End.WAITING:
            at = f"longhouse chat {shlex.quote(agent.name)} --session {place.session_id}"
            output.say(f"The agent waits for an approval. Decide with: {at}")
        return end

    async def _say(self, place: Place, session: Session, text: str) -> End:
        accepted = await _send(place, text, self._attached)
        self._attached = []
        transcript = Transcript(message_id=accepted.message_id)
        _seed(transcript, session)
        return await self._follow(place, transcript, after=accepted.seq - 1)

    async def _follow(self, place: Place, transcript: Transcript, *, after: int) -> End:
        """Follow a turn to its end. How it ended."""
        terminal = sys.stdout.isatty()
        shown = screen.choose(transcript, json=self._json, verbose=self._verbose, terminal=terminal)
        with _keyboard(wanted=terminal and not self._json) as keyboard, shown:
            turn = Turn(
                place,
                shown,
                transcript,
                approve=self._approve,
                keyboard=keyboard,
                always=self._always,
            )
            return await turn.follow(after=after)

    # --- a conversation -----------------------------------------------------------------------

    def converse(self) -> None:
        """Read messages from the terminal and follow their turns until the person leaves."""
        with asyncio.Runner() as runner, _opened(runner, connect(self._server)) as client:
            agent = runner.run(lookup.find_agent(client, self._name))
            place, session = runner.run(self._enter(Place(client, agent, ""), new=self._new))
            _greet(agent, session)
            if session.last_seq and not runner.run(self._catch_up(place, session)):
                return
            # Ctrl-C leaves from wherever nothing else has a use for it.
            with contextlib.suppress(KeyboardInterrupt):
                self._talk(runner, place)
            output.say(f"Left. longhouse chat {shlex.quote(agent.name)} comes back here.")

    def _talk(self, runner: asyncio.Runner, place: Place) -> None:
        """One message or command after the other."""
        while (text := _prompt(place.agent)) is not None:
            with _told():
                match text.split():
                    case ["/quit" | "/exit" | "/q"]:
                        break
                    case ["/help" | "/h" | "/?"]:
                        output.say(HELP)
                    case ["/diff"]:
                        runner.run(_show_diff(place))
                    case ["/todos"]:
                        runner.run(_show_todos(place))
                    case ["/attach", *_]:
                        self._attach(text.removeprefix("/attach").strip())
                    case ["/new"]:
                        place, _ = runner.run(self._enter(place, new=True))
                        output.say("A new session.")
                    case [word] if word.startswith("/") and word.count("/") == 1:
                        output.say(f"There is no {word}. {HELP}")
                    case _:
                        session = runner.run(_session(place))
                        if runner.run(self._say(place, session, text)) is End.LEFT:
                            break

    def _attach(self, path: str) -> None:
        if not path:
            raise BadOption("Say which file: /attach shot.png")
        attachment = _attachment(Path(path).expanduser())
        self._attached.append(attachment)
        output.say(f"{attachment['name']} goes with your next message.")

    async def _catch_up(self, place: Place, session: Session) -> bool:
        """Show the last turn of a session, to its end if it still goes on; False: they left."""
        message = await _last_message(place, session)
        if message is None:
            return True
        seq, message_id = message
        transcript = Transcript(message_id=message_id, own=False)
        _seed(transcript, session)
        return await self._follow(place, transcript, after=seq - 1) is not End.LEFT

    async def _enter(self, place: Place, *, new: bool) -> tuple[Place, Session]:
        """The session named, a new one, or the one that moved last."""
        wanted = self._session or place.agent.current_session_id
        client, sessions = place.client, f"/agents/{segment(place.agent.id)}/sessions"
        if new or wanted is None:
            session = await client.post(sessions, {}, Session)
        else:
            session = await client.get(f"{sessions}/{segment(wanted)}", Session)
        return Place(client, place.agent, session.id), session


# --- steps ----------------------------------------------------------------------------------------


def _attachment(path: Path) -> JsonObject:
    """A file as it goes with a message; whether it can, the server says. Raises `BadOption`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadOption(f"{path} cannot be read: {error.strerror}.") from None
    return {"name": path.name, "data": base64.b64encode(data).decode()}


async def _send(place: Place, text: str, attachments: Sequence[JsonObject]) -> Accepted:
    """Send a message once, however often that takes: its id makes repeating it harmless."""
    body: JsonObject = {"text": text, "message_id": new_id("msg")}
    if attachments:
        body["attachments"] = list(attachments)
    for left in reversed(range(SEND_ATTEMPTS)):
        try:
            return await place.client.post(f"{place.path}/messages", body, Accepted)
        except ServerUnreachable:
            if left == 0:
                raise
            await asyncio.sleep(SEND_AGAIN_SECONDS)
    raise AssertionError("the last attempt returns or raises")


def _seed(transcript: Transcript, session: Session) -> None:
    """What was open in the session before the transcript begins."""
    transcript.state, transcript.todos = session.state, session.todos
    transcript.turn_open = session.state is not AgentState.READY
    for approval in session.approvals:
        transcript.expect(
            ToolCall(
                step=session.step,
                call_id=approval.call_id,
                name=approval.name,
                arguments=approval.arguments,
            ),
            PermissionRequired(
                call_id=approval.call_id,
                name=approval.name,
                arguments=approval.arguments,
                reason=approval.reason,
                preview=approval.preview,
            ),
        )


async def _session(place: Place) -> Session:
    return await place.client.get(place.path, Session)


async def _last_message(place: Place, session: Session) -> tuple[int, str] | None:
    """Number and id of the last message of a session."""
    before = session.last_seq + 1
    while True:
        page: Page[JsonObject] = await place.client.get(
            f"{place.path}/events",
            Page[JsonObject],
            before=before,
            limit=EVENTS_PAGE,
            channel=Channel.PROGRESS.value,
        )
        for event in reversed(page.items):
            if event.get("type") == "message":
                return int(event["seq"]), str(event["message_id"])
        if not isinstance(page.next, int):
            return None
        before = page.next


async def _show_diff(place: Place) -> None:
    path = f"/agents/{segment(place.agent.id)}/workspace/diff"
    found = await place.client.get(path, WorkspaceDiff)
    show_patch(found.patch)
    put_stat(found.files)


async def _show_todos(place: Place) -> None:
    todos = (await _session(place)).todos
    if todos:
        output.show(render.plan(todos))
    else:
        output.say("It has no plan.")


def _greet(agent: Agent, session: Session) -> None:
    where = agent.repository.branch if agent.repository else "no repository"
    title = f" · {session.title}" if session.title else ""
    output.say(f"{agent.name} · {agent.post.name} · {agent.model} · {where}{title}")
    output.say("/help tells what you can do here.")


def _prompt(agent: Agent) -> str | None:
    """A message or command that a person typed; None when they leave."""
    pressed = False
    while True:
        try:
            text = input(_prompt_text(agent)).strip()
        except EOFError:
            output.say("")
            return None
        except KeyboardInterrupt:
            output.say("" if pressed else "\nCtrl-C again, or Ctrl-D, leaves.")
            if pressed:
                return None
            pressed = True
            continue
        if text:
            return text


def _prompt_text(agent: Agent) -> str:
    plain = f"{output.clean(agent.name)} > "
    console = output.data_console()
    if not EDITS_LINES or console.color_system is None or console.no_color:
        return f"\n{plain}"
    # readline has to know which characters take no room: they are between \1 and \2.
    return f"\n\1\x1b[1;36m\2{plain}\1\x1b[0m\2"


@contextlib.contextmanager
def _opened(runner: asyncio.Runner, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Something that lives as long as the conversation, whose loop stops at each prompt."""
    value = runner.run(_entered(manager))
    try:
        yield value
    finally:
        runner.run(_left(manager))


async def _entered(manager: AbstractAsyncContextManager[T]) -> T:
    return await manager.__aenter__()


async def _left(manager: AbstractAsyncContextManager[T]) -> None:
    await manager.__aexit__(None, None, None)


@contextlib.contextmanager
def _keyboard(*, wanted: bool) -> Iterator[Keyboard | None]:
    """The keys of the terminal, when there is one to answer at."""
    if not wanted or not sys.stdin.isatty():
        yield None
        return
    with Keyboard() as keyboard:
        yield keyboard


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tell an error of one message and go on: a conversation does not end by it."""
    try:
        yield
    except LonghouseError as error:
        output.report(error)
