"""The commands that an agent has running in the background, and what they printed.

Each agent has one `Shells` for as long as it is open in this process: made by `agent`, used by the
tools of `shell` through their context. A shell's name is the id of the call that started it. It
ends by itself, when its time is over, when its agent is interrupted, put away or taken over, and
with the process; nothing of it is stored.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from longhouse.kit.clock import Clock
from longhouse.kit.errors import Conflict, NotFound
from longhouse.runtime.sandbox.base import Command, Completed, Running, Sandbox, SandboxRefused
from longhouse.runtime.tasks import ended

MOST_RUNNING = 8
"""Commands of one agent that run in the background at once."""

_MOST_ENDED = 8  # whose output can still be read
_RING_BYTES = 128 << 10  # kept of each command's output


class NoSuchShell(NotFound):
    """The agent has no such shell here."""

    code = "no-such-shell"
    title = "No such background command"


class TooManyShells(Conflict):
    """The agent has as many as it may have."""

    code = "too-many-shells"
    title = "Too many background commands"


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A part of what a shell printed, and how it stands."""

    text: str
    first: int  # offset of the first byte of `text` in all that was printed
    next: int  # where to go on
    total: int  # bytes printed so far
    state: str  # how it ended; empty while it runs
    seconds: float  # since it began, or until it ended


class Ring:
    """The last bytes of an output of any length, by their offsets."""

    def __init__(self, limit: int) -> None:
        self.total = 0
        self._limit = limit
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self.total += len(data)
        self._kept += data[-self._limit :]
        # Cut only when it has doubled, so that many small pieces cost one copy each.
        if len(self._kept) > 2 * self._limit:
            self._cut()

    def seal(self) -> None:
        """Nothing more will come: keep no byte over the limit."""
        self._cut()

    def read(self, since: int, limit: int) -> tuple[int, bytes]:
        """Their offset, and at most `limit` bytes from `since` on, or from the first one kept."""
        oldest = self.total - len(self._kept)
        first = max(since, oldest)
        return first, bytes(self._kept[first - oldest : first - oldest + limit])

    def _cut(self) -> None:
        del self._kept[: max(len(self._kept) - self._limit, 0)]


def _nothing() -> None: ...


@dataclass(slots=True)
class _Shell:
    began: float  # monotonic seconds
    ring: Ring = field(default_factory=lambda: Ring(_RING_BYTES))
    grown: asyncio.Event = field(default_factory=asyncio.Event)  # more output, or the end
    running: Running | None = None
    watch: asyncio.Task[None] | None = None
    why: str = ""  # it was ended, in words; empty: it ended by itself
    state: str = ""
    finished: float = 0.0

    def hear(self, data: bytes) -> None:
        self.ring.feed(data)
        self.grown.set()


class Shells:
    """One agent's background commands."""

    def __init__(self, clock: Clock, *, on_end: Callable[[], None] = _nothing) -> None:
        """`on_end` is called when one has ended, however."""
        self._clock = clock
        self._on_end = on_end
        self._shells: dict[str, _Shell] = {}

    @property
    def running(self) -> int:
        """How many run."""
        return sum(not shell.state for shell in self._shells.values())

    async def start(self, shell_id: str, command: Command, *, sandbox: Sandbox) -> None:
        """Run a command in the background. Raises `TooManyShells` and `SandboxRefused`."""
        running = [name for name, shell in self._shells.items() if not shell.state]
        if len(running) >= MOST_RUNNING:
            raise TooManyShells(
                f"{len(running)} commands run in the background already: {', '.join(running)}.",
                hint="End one with bash_kill.",
            )
        shell = _Shell(began=self._clock.monotonic())
        shell.running = await sandbox.start(command, shell.hear)
        shell.watch = asyncio.create_task(self._watch(shell, shell.running))
        self._shells[shell_id] = shell
        self._forget_the_oldest()

    async def read(self, shell_id: str, *, since: int, limit: int, wait: float) -> Piece:
        """What it printed from byte `since` on, after at most `wait` seconds for something new.

        A character that is not complete yet is left for the next piece. Raises `NoSuchShell`.
        """
        shell = self._find(shell_id)
        if since >= shell.ring.total and not shell.state:
            shell.grown.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(shell.grown.wait(), wait)
        first, data = shell.ring.read(since, limit)
        is_last = bool(shell.state) and first + len(data) == shell.ring.total
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(data, final=is_last)
        left = len(decoder.getstate()[0])
        end = shell.finished if shell.state else self._clock.monotonic()
        return Piece(
            text=text,
            first=first,
            next=first + len(data) - left,
            total=shell.ring.total,
            state=shell.state,
            seconds=end - shell.began,
        )

    async def end(self, shell_id: str, why: str) -> str:
        """End it with all that it started; how it ended. Raises `NoSuchShell`."""
        shell = self._find(shell_id)
        await self._end(shell, why)
        return shell.state

    async def end_all(self, why: str) -> None:
        """End every one; no process of them is left when this returns."""
        await asyncio.gather(*(self._end(shell, why) for shell in self._shells.values()))

    # --- how it is done ---------------------------------------------------------------------------

    def _find(self, shell_id: str) -> _Shell:
        try:
            return self._shells[shell_id]
        except KeyError:
            raise NoSuchShell(f"There is no shell {shell_id!r}.") from None

    async def _end(self, shell: _Shell, why: str) -> None:
        if shell.state or shell.running is None or shell.watch is None:
            return
        shell.why = shell.why or why
        with suppress(SandboxRefused):
            await shell.running.end()
        await ended(shell.watch)

    async def _watch(self, shell: _Shell, running: Running) -> None:
        try:
            state = _words(await running.wait())
        except SandboxRefused as refused:
            state = f"it could not run: {refused.detail}"
        shell.state = shell.why or state
        shell.finished = self._clock.monotonic()
        shell.ring.seal()
        shell.grown.set()
        self._on_end()

    def _forget_the_oldest(self) -> None:
        past = [name for name, shell in self._shells.items() if shell.state]
        for name in past[: max(len(past) - _MOST_ENDED, 0)]:
            del self._shells[name]


def _words(done: Completed) -> str:
    return "stopped, its time was over" if done.timed_out else f"exit code {done.exit_code}"
