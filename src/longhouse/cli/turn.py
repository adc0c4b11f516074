"""Follows one turn of an agent to its end: shows it, asks the person, passes on what they say.

`chat` makes a `Turn` for each message. It ends when the transcript says that the message's turn is
over, when nobody here can decide what waits, or when the person leaves.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
from rich.text import Text

from longhouse.cli import render
from longhouse.cli.client import Client, Connection, segment
from longhouse.cli.errors import NotOurServer, ServerSaidNo, ServerUnreachable, one_line
from longhouse.cli.keys import Keyboard
from longhouse.cli.models import Agent
from longhouse.cli.output import clean
from longhouse.cli.screen import Screen
from longhouse.cli.sse import Frame
from longhouse.cli.transcript import Asks, Decided, Transcript, decode_event
from longhouse.kit.errors import LonghouseError
from longhouse.protocol.events import AgentState, DoneReason, PermissionRequired, decode_delta

REDRAW_SECONDS = 0.1
AGAIN_SECONDS = 1.0  # before a decision is told again to a server that did not answer
PATIENCE_SECONDS = 300.0
"""How long a program waits for a server that went away; a person decides for themselves."""

SETTLED = frozenset({404, 409})  # somebody else decided, or the turn is over

DELTA = "delta"


class Approve(Enum):
    """Who decides about tool calls."""

    ASK = "ask"  # the person at this terminal, if there is one
    ALLOW = "allow"  # nobody: everything may run
    DENY = "deny"  # nobody: nothing that asks may run


class End(Enum):
    """How following a turn ended; the value is the exit code of a program that waited for it."""

    COMPLETED = 0
    FAILED = 1
    LIMIT = 3  # steps, tokens, time or repetition ran out
    INTERRUPTED = 4
    WAITING = 5  # a person has to decide, and nobody here can
    LEFT = 130  # the person left; the agent goes on


ENDS = {
    DoneReason.COMPLETED: End.COMPLETED,
    DoneReason.FAILED: End.FAILED,
    DoneReason.LIMIT: End.LIMIT,
    DoneReason.INTERRUPTED: End.INTERRUPTED,
}


@dataclass(frozen=True, slots=True)
class Place:
    """One session of one agent at one server."""

    client: Client
    agent: Agent
    session_id: str

    @property
    def path(self) -> str:
        """Where the session is."""
        return f"/agents/{segment(self.agent.id)}/sessions/{segment(self.session_id)}"


class Turn:
    """One turn as a person at this terminal, or a program, follows it."""

    def __init__(
        self,
        place: Place,
        screen: Screen,
        transcript: Transcript,
        *,
        approve: Approve,
        keyboard: Keyboard | None = None,
        always: set[str] | None = None,
    ) -> None:
        """`keyboard`: where the person answers. `always`: tools they allowed for good, kept."""
        self._place = place
        self._screen = screen
        self._transcript = transcript
        self._approve = approve
        self._keyboard = keyboard
        self._always = set() if always is None else always
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: asyncio.Task[None] | None = None
        self._asked = ""  # the call that a person is being asked about
        self._interrupts = 0
        self._leave = asyncio.Event()
        self._trouble: BaseException | None = None  # what a task of ours died of

    async def follow(self, *, after: int) -> End:
        """Show everything after this event until the turn is over. Raises `LonghouseError`."""
        with _on_interrupt(self._interrupted):
            leaving = asyncio.create_task(self._leave.wait())
            following = asyncio.create_task(self._follow(after))
            ticking = asyncio.create_task(self._tick())
            try:
                await asyncio.wait({leaving, following}, return_when=asyncio.FIRST_COMPLETED)
                if self._trouble is not None:
                    raise self._trouble
                return following.result() if following.done() else End.LEFT
            finally:
                await _cancel(leaving, following, ticking, *self._tasks)

    async def _follow(self, after: int) -> End:
        self._consider()  # what waited before
        stream = self._place.client.follow(
            f"{self._place.path}/stream",
            after=after,
            tell=self._connection,
            patience=PATIENCE_SECONDS if self._keyboard is None else None,
        )
        async with contextlib.aclosing(stream) as frames:
            async for frame in frames:
                if frame.event == DELTA:
                    self._transcript.hear(decode_delta(frame.data))
                    continue
                self._take(frame)
                if self._transcript.over:
                    break
                if self._is_stuck():
                    return End.WAITING
        self._screen.ask(None)
        self._screen.refresh(self._transcript)
        ended = self._transcript.ended
        assert ended is not None, "a transcript that is over knows how"
        return ENDS[ended.reason]

    def _take(self, frame: Frame) -> None:
        self._screen.event(frame.data)
        try:
            event = decode_event(frame.data)
        except msgspec.DecodeError as error:
            raise NotOurServer(self._place.client.server, str(error)) from error
        if event is None:  # of a newer server
            return
        for item in self._transcript.take(event):
            if isinstance(item, Asks) and self._person_decides:
                continue  # shown when its turn to be asked comes
            if isinstance(item, Decided) and item.call_id == self._asked:
                self._stop_asking()
            self._screen.show(item)
        self._screen.refresh(self._transcript)
        self._consider()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(REDRAW_SECONDS)
            self._screen.refresh(self._transcript)

    def _connection(self, change: Connection) -> None:
        match change:
            case Connection.BROKEN:
                self._transcript.forget_streamed()
            case Connection.LOST:
                self._transcript.connected = False
                self._screen.remark("The connection is lost; trying to get it back …")
            case Connection.BACK:
                self._transcript.connected = True
                self._screen.remark("The connection is back; nothing was missed.")

    # --- deciding -----------------------------------------------------------------------------

    @property
    def _person_decides(self) -> bool:
        return self._approve is Approve.ASK and self._keyboard is not None

    def _is_stuck(self) -> bool:
        """Whether the turn rests until somebody decides, and nobody here can."""
        waits = self._transcript.state is AgentState.WAITING and bool(self._transcript.waiting)
        return waits and self._approve is Approve.ASK and self._keyboard is None

    def _consider(self) -> None:
        """See to what waits for a decision."""
        if not self._transcript.waiting or self._interrupts:
            return
        if self._approve is not Approve.ASK:
            for required in list(self._transcript.waiting.values()):
                self._transcript.waiting.pop(required.call_id)
                self._later(self._decide_by_option(required))
        elif self._keyboard is not None and self._asking is None:
            self._asking = self._later(self._ask_all(self._keyboard))

    async def _decide_by_option(self, required: PermissionRequired) -> None:
        if self._approve is Approve.ALLOW:
            await self._decide(required, "allow", "")
        else:
            await self._decide(required, "deny", "Denied by --approve deny.")

    async def _ask_all(self, keyboard: Keyboard) -> None:
        try:
            while self._transcript.waiting and not self._interrupts:
                required = next(iter(self._transcript.waiting.values()))
                if required.name in self._always:
                    await self._decide(required, "allow", "")
                else:
                    await self._ask(required, keyboard)
        finally:
            self._asking, self._asked = None, ""
            self._screen.ask(None)
            # Cancelled because one call was decided elsewhere: others may wait still.
            asyncio.get_running_loop().call_soon(self._consider)

    async def _ask(self, required: PermissionRequired, keyboard: Keyboard) -> None:
        self._asked = required.call_id
        self._screen.show(Asks(required))
        keyboard.forget()
        while True:
            self._screen.ask(question(required))
            match (await keyboard.key()).lower():
                case "y" | "\r" | "\n":
                    return await self._decide(required, "allow", "")
                case "a":
                    self._always.add(required.name)
                    return await self._decide(required, "allow", "")
                case "n" | "\x1b":
                    note = await keyboard.line(self._show_note)
                    if note is not None:
                        return await self._decide(required, "deny", note)
                case "d":
                    self._screen.reveal(render.wanted(required, most=None))
                case "i":
                    return self._interrupted()
                case "\x04":  # Ctrl-D, or the terminal is gone
                    return self._leave.set()
                case _:
                    pass  # the question stands

    def _show_note(self, text: str) -> None:
        note = Text.assemble(("  why not? ", "bold yellow"), clean(text), ("▏", "dim"))
        self._screen.ask(note.append("  Enter denies, Esc goes back", style="dim"))

    def _stop_asking(self) -> None:
        """Somebody else decided."""
        if self._asking is not None:
            self._asking.cancel()
            self._screen.remark("Somebody else decided:")

    async def _decide(self, required: PermissionRequired, decision: str, note: str) -> None:
        """Tell the server, for as long as it takes; the first decision counts, whoever made it."""
        self._asked = ""
        self._screen.ask(None)
        self._transcript.waiting.pop(required.call_id, None)
        path = f"{self._place.path}/approvals/{segment(required.call_id)}"
        while True:
            try:
                return await self._place.client.tell(path, {"decision": decision, "note": note})
            except ServerUnreachable:
                await asyncio.sleep(AGAIN_SECONDS)
            except ServerSaidNo as problem:
                if problem.status not in SETTLED:
                    self._screen.remark(f"error: {one_line(problem)}")
                return None

    # --- interrupting -------------------------------------------------------------------------

    def _interrupted(self) -> None:
        """Ctrl-C: once stops the turn, twice leaves."""
        self._interrupts += 1
        if self._interrupts > 1:
            self._leave.set()
            return
        if self._asking is not None:
            self._asking.cancel()
        self._screen.remark("Interrupting … Ctrl-C again leaves and lets the agent go on.")
        self._later(self._interrupt())

    async def _interrupt(self) -> None:
        try:
            await self._place.client.tell(f"{self._place.path}/interrupt")
        except LonghouseError as error:
            self._screen.remark(f"error: {one_line(error)}")
            self._interrupts = 0
            self._consider()

    def _later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._trouble = error
            self._leave.set()


def question(required: PermissionRequired) -> Text:
    """What the keys mean."""
    parts: list[tuple[str, str]] = [("  ", "")]
    for key, meaning in (
        ("y", "allow"),
        ("n", "deny"),
        ("a", f"always {clean(required.name)}"),
        ("d", "details"),
        ("i", "interrupt"),
    ):
        parts += [(key, "bold yellow"), (f" {meaning}   ", "")]
    return Text.assemble(*parts)


@contextlib.contextmanager
def _on_interrupt(call: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, call)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def _cancel(*tasks: asyncio.Task[None] | asyncio.Task[bool] | asyncio.Task[End]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
