"""`kill -9` of the real server at fifty random moments: what was promised holds all the same.

Several agents work at once, each on turns of twenty tool calls, for a scripted vendor that is a
process of its own. A moment is seeded: so many events after the server answers, and then so many
microseconds of doing nothing. The people at their agents are `bosses`.
"""

import asyncio
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import aiohttp
import pytest
from tests.e2e import lives
from tests.e2e.bosses import EFFECTS, TOOLS_PER_TURN, Boss, hire, vendor_process
from tests.e2e.people import Event
from tests.e2e.servers import environment

from longhouse.runtime.calls import SEALED
from longhouse.runtime.sandbox.base import Sandbox

SEED = 50
KILLS = 50
NAMES = "abcd"  # of the agents
LONGEST_LIFE = 40  # events of all agents together
LONGEST_SPIN = 30_000  # microseconds from the event to the kill
PATIENCE = 300.0  # seconds for one life, on a machine that has other things to do

REPEATABLE = {"fs_read"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("kill"),
    pytest.mark.timeout(1800),
    pytest.mark.usefixtures("anyio_backend"),  # the loop of the story, which these tests only judge
]


# --- the server that is killed --------------------------------------------------------------------


@dataclass(slots=True)
class Mortal:
    """The server, its lives, and how far the present one may go. See `lives`."""

    program: asyncio.subprocess.Process
    turns_open: Callable[[], int] = lambda: 0
    moments: random.Random = field(default_factory=lambda: random.Random(SEED))
    pid: int = 0
    address: str = ""
    up: asyncio.Event = field(default_factory=asyncio.Event)
    events_left: int | None = None  # None: it may live
    turns_hit: list[int] = field(default_factory=list)  # open ones, at each kill

    async def begin(self, *, mortal: bool) -> None:
        """Start the next life; a mortal one ends a random number of events later."""
        self.events_left = self.moments.randint(0, LONGEST_LIFE) if mortal else None
        assert self.program.stdin is not None
        self.program.stdin.write(b"live\n")
        self.pid = int(await self._told("life "))
        self.address = await self._told("Longhouse is at ")
        self.up.set()
        if self.events_left == 0:
            self._kill()

    async def died(self) -> None:
        """Wait for the end of this life."""
        assert int(await self._told("over ")) == -signal.SIGKILL

    async def reached(self) -> str:
        """The address of the present life, once there is one."""
        await self.up.wait()
        return self.address

    def saw_event(self) -> None:
        """Somebody saw another event of this life."""
        if self.events_left:
            self.events_left -= 1
            if self.events_left == 0:
                self._kill()

    def kill(self) -> None:
        """End this life at once, if there is one."""
        if self.up.is_set():
            self.up.clear()
            os.kill(self.pid, signal.SIGKILL)

    def _kill(self) -> None:
        _spin(self.moments.randint(0, LONGEST_SPIN))
        self.kill()
        self.turns_hit.append(self.turns_open())

    async def _told(self, word: str) -> str:
        """What follows this word in the next line that begins with it."""
        assert self.program.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while line := (await self.program.stdout.readline()).decode():
                if line.startswith(word):
                    return line.removeprefix(word).strip()
        raise AssertionError("the program ended")


def _spin(microseconds: int) -> None:
    """Pass time without giving it away: the moment is exact."""
    until = time.perf_counter_ns() + microseconds * 1000
    while time.perf_counter_ns() < until:
        pass


# --- the story ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Session:
    """What is left of one session in the end."""

    streamed: list[Event]  # as its person collected it, over all lives
    journal: list[Event]  # as the server tells it
    accepted: list[str]  # messages that got their 202
    lines: Counter[str]  # that commands left
    files: dict[str, str]  # that were written: name -> content

    def of(self, kind: str) -> list[Event]:
        """The events of this type."""
        return [event for event in self.journal if event["type"] == kind]

    def effect_of(self, call: Event) -> int:
        """How often the call left its trace."""
        if call["name"] == "bash_run":
            return self.lines[_trace(call["arguments"]["command"])]
        name = Path(call["arguments"]["path"]).name
        return int(self.files.get(name) == call["arguments"]["content"])


@dataclass(slots=True)
class Aftermath:
    """What is left of everything."""

    turns_hit: list[int]  # how many each kill has hit
    sessions: list[Session]
    log: str


def _trace(command: str) -> str:
    return command.split()[1]


@pytest.fixture(scope="module")
async def aftermath(
    protection: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Aftermath]:
    """A house that was killed fifty times, when all its work was done all the same."""
    del protection  # without one, commands would not run
    folder = tmp_path_factory.mktemp("kill")
    async with vendor_process() as vendor, aiohttp.ClientSession() as session:
        settings = {
            "LONGHOUSE_MODEL": "openai:fake-1",
            "OPENAI_BASE_URL": f"{vendor}/v1",
            "OPENAI_API_KEY": "sk-test",
            "LONGHOUSE_WORKER_SLOTS": str(len(NAMES)),
        }
        hired = await hire(len(NAMES), folder / "house", settings, session)
        with (folder / "log").open("wb") as log:
            async with mortal(folder / "house", settings, log) as house:
                bosses = [Boss(name, house, *who) for name, who in zip(NAMES, hired, strict=True)]
                house.turns_open = lambda: sum(boss.turn_open for boss in bosses)
                journals = await live(house, bosses)
        yield Aftermath(
            turns_hit=house.turns_hit,
            sessions=[
                remains(boss, journal, folder / "house")
                for boss, journal in zip(bosses, journals, strict=True)
            ],
            log=(folder / "log").read_text("utf-8", "replace"),
        )


@asynccontextmanager
async def mortal(data_dir: Path, settings: dict[str, str], log: BinaryIO) -> AsyncIterator[Mortal]:
    """A server without a life so far, on this directory."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, lives.__file__),
        env=environment({"LONGHOUSE_DATA_DIR": str(data_dir), **settings}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
    )
    house = Mortal(program)
    try:
        yield house
    finally:
        house.kill()
        program.kill()
        await program.communicate()


async def live(house: Mortal, bosses: list[Boss]) -> list[list[Event]]:
    """Fifty lives that are cut off, and one in which everything comes to rest; the journals."""
    async with asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(boss.read_along()) for boss in bosses]
        talking = [tasks.create_task(boss.give_errands()) for boss in bosses]
        talking += [tasks.create_task(boss.make_remarks()) for boss in bosses]
        while len(house.turns_hit) < KILLS:
            await house.begin(mortal=True)
            await house.died()
        await house.begin(mortal=False)
        for boss in bosses:
            boss.finish()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*talking)
            await asyncio.gather(*(boss.rest() for boss in bosses))
        journals = [await boss.caller.events(boss.session) for boss in bosses]
        for boss, journal in zip(bosses, journals, strict=True):
            await boss.read_to(len(journal))
        for task in reading:
            task.cancel()
    return journals


def remains(boss: Boss, journal: list[Event], data_dir: Path) -> Session:
    """What the boss and the workspace have kept."""
    workspace = data_dir / "agents" / boss.agent_id / "workspace"
    lines = (workspace / EFFECTS).read_text("utf-8").splitlines()
    files = {path.name: path.read_text("utf-8") for path in (workspace / "notes").iterdir()}
    return Session(boss.seen, journal, boss.accepted, Counter(lines), files)


class TestKilledFiftyTimes:
    def test_the_work_is_done_in_the_end(self, aftermath: Aftermath) -> None:
        assert len(aftermath.turns_hit) == KILLS
        assert statistics.mean(aftermath.turns_hit) > len(NAMES) / 2, "a kill hits several turns"
        for session in aftermath.sessions:
            assert len(session.of("tool_call")) >= TOOLS_PER_TURN
            assert session.of("state_changed")[-1]["after"] == "ready"

    def test_whoever_reconnects_has_every_event_exactly_once(self, aftermath: Aftermath) -> None:
        for session in aftermath.sessions:
            numbers = [event["seq"] for event in session.streamed]
            assert numbers == list(range(1, len(session.journal) + 1))
            assert session.streamed == session.journal

    def test_a_tool_with_an_effect_ran_exactly_once_or_is_sealed_and_says_so(
        self, aftermath: Aftermath
    ) -> None:
        for session in aftermath.sessions:
            starts = Counter(event["call_id"] for event in session.of("tool_start"))
            for call, ending in effects(session):
                if ending["outcome"] == "sealed":
                    assert ending["content"] == SEALED
                    assert session.effect_of(call) <= 1
                else:
                    assert ending["outcome"] == "ok", ending
                    assert session.effect_of(call) == 1, call
                assert starts[call["call_id"]] == 1
            told = {
                call for event in session.of("agent_resumed") for call in event.get("sealed", ())
            }
            assert told == {
                ending["call_id"] for _, ending in effects(session) if ending["outcome"] == "sealed"
            }

    def test_nothing_ran_that_the_journal_does_not_tell(self, aftermath: Aftermath) -> None:
        for session in aftermath.sessions:
            commands = [call for call, _ in effects(session) if call["name"] == "bash_run"]
            writes = [call for call, _ in effects(session) if call["name"] == "fs_write"]
            assert set(session.lines) <= {_trace(call["arguments"]["command"]) for call in commands}
            assert set(session.files) <= {Path(call["arguments"]["path"]).name for call in writes}

    def test_some_kills_hit_a_tool_at_work(self, aftermath: Aftermath) -> None:
        sealed = [
            ending
            for session in aftermath.sessions
            for _, ending in effects(session)
            if ending["outcome"] == "sealed"
        ]

        assert sealed, "otherwise this test shows nothing"

    def test_a_repeatable_tool_always_has_its_result(self, aftermath: Aftermath) -> None:
        for session in aftermath.sessions:
            ends = [event for event in session.of("tool_end") if event["name"] in REPEATABLE]
            assert {event["outcome"] for event in ends} == {"ok"}

    def test_every_call_has_exactly_one_result(self, aftermath: Aftermath) -> None:
        for session in aftermath.sessions:
            asked = [event["call_id"] for event in session.of("tool_call")]
            assert sorted(asked) == sorted(event["call_id"] for event in session.of("tool_end"))

    def test_every_turn_has_exactly_one_done(self, aftermath: Aftermath) -> None:
        for session in aftermath.sessions:
            begun = {event["turn"] for event in session.of("step_started")}
            assert [event["turn"] for event in session.of("done")] == sorted(begun)
            assert {event["reason"] for event in session.of("done")} == {"completed"}

    def test_no_accepted_message_is_lost_or_doubled(self, aftermath: Aftermath) -> None:
        for session in aftermath.sessions:
            received = [event["message_id"] for event in session.of("message")]
            delivered = [
                message
                for event in session.of("step_started")
                for message in event.get("messages", ())
            ]
            assert sorted(received) == sorted(session.accepted)
            assert sorted(delivered) == sorted(session.accepted)

    def test_the_server_saw_nothing_unexpected(self, aftermath: Aftermath) -> None:
        assert "Traceback" not in aftermath.log


def effects(session: Session) -> Iterator[tuple[Event, Event]]:
    """The calls that change something, each with its result."""
    ends = {event["call_id"]: event for event in session.of("tool_end")}
    for call in session.of("tool_call"):
        if call["name"] not in REPEATABLE:
            yield call, ends[call["call_id"]]
