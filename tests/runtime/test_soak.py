"""Two hundred agents through everything that can happen to them, and their journals in the end.

People send messages, ask, interrupt, decide, name moments, fork and delete; models call tools side
by side, ask for approvals, fail and take their time; processes are killed at any instant, started
beside each other, and take each other's agents. It happens in a simulated world, so a seed tells
the same story again, and it takes as long as the work alone. When everybody has gone home, every
journal has to be whole.

LONGHOUSE_TEST_SOAK is how many stories are told, LONGHOUSE_TEST_SOAK_SEED the first one's seed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import pytest
from tests.agents.rows import JournalOfSessions, journal_of_sessions
from tests.fixtures_db import copied_file
from tests.runtime import whole
from tests.runtime.mortal import Died, Process, Pulse
from tests.simulation import SimulatedClock, simulate

from longhouse.kit.bus.memory import MemoryBus
from longhouse.kit.errors import Unavailable
from longhouse.protocol.events import AgentState, Event, ToolCall, ToolStart, Usage
from longhouse.runtime.agent import (
    Agent,
    AgentExists,
    AlreadyDecided,
    NoSuchApproval,
    Unanswered,
)
from longhouse.runtime.context import Context
from longhouse.runtime.delegation import sub_agent_id
from longhouse.runtime.journals.base import Fenced, Journal, UnknownAgent
from longhouse.runtime.journals.sqlite import SQLiteJournal
from longhouse.runtime.model import ModelRequest, ModelUnavailable, ToolMessage, UserMessage
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import Answer, ScriptedModel, call, calls, say
from longhouse.runtime.moments import (
    NotForkable,
    SnapshotExists,
)
from longhouse.runtime.posts import Limits, Mode, Permissions, Post, Rule, Verdict
from longhouse.runtime.runtime import Runtime
from longhouse.runtime.sandbox.refuse import Refuse
from longhouse.runtime.tools.base import Tool, ToolContext, ToolFailed, tool

T = TypeVar("T")
Opener: TypeAlias = Callable[[], Awaitable[Journal]]
"""What a process gets its journal by."""

Place: TypeAlias = Callable[[Path, AsyncExitStack], Awaitable[Opener]]
"""A kind of journal: in this folder, until the end of the story."""

Decision: TypeAlias = Literal["allow", "deny"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)

STORIES = int(os.environ.get("LONGHOUSE_TEST_SOAK", "1"))
FIRST_SEED = int(os.environ.get("LONGHOUSE_TEST_SOAK_SEED", "1"))

ERRAND = "task_run"
REPEATABLE = ("look", ERRAND)
POST = Post(
    name="worker",
    tools=("pay", "post", "look", "sign", ERRAND),
    permissions=Permissions(mode=Mode.AUTO, rules=(Rule(verdict=Verdict.ASK, pattern="sign"),)),
    limits=Limits(steps=6, parallel_tools=3, context_tokens=1500),
)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much happens."""

    agents: int
    deeds: int = 4  # of each agent's person; of a fork's, half as many
    kills: int = 12  # and other ends and beginnings of processes
    live: int  # agents that a process keeps live


# --- the world ------------------------------------------------------------------------------------


@dataclass
class World:
    """Processes that come and go over the same journals, and the people of their agents."""

    size: Size
    open_journal: Opener
    folder: Path
    chance: random.Random
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    bus: MemoryBus = field(default_factory=MemoryBus)  # that some of the processes share
    effects: Counter[str] = field(default_factory=Counter)  # call id -> how often its tool ran
    processes: list[Process] = field(default_factory=list)  # that live
    former: list[Process] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    work: list[asyncio.Task[None]] = field(default_factory=list)
    numbers: count[int] = field(default_factory=lambda: count(1))

    async def begin(self) -> Process:
        """One more process."""
        journal = await self.open_journal()
        process = await Process.started(self._runtime, journal, self.chance)
        self.processes.append(process)
        return process

    def kill(self, process: Process) -> None:
        """End a process as a power cut would."""
        process.kill()
        self.processes.remove(process)
        self.former.append(process)

    async def leave(self, process: Process) -> None:
        """End a process in order."""
        self.processes.remove(process)
        self.former.append(process)
        await process.leave()

    def somebody(self) -> Process:
        """A process that lives."""
        return self.chance.choice(self.processes)

    def add(self, person: Person) -> None:
        """Somebody comes, and begins to live."""
        self.people.append(person)
        self.work.append(asyncio.create_task(person.live()))

    async def cut_off(self) -> None:
        """The story is over: what still hangs need not."""
        for process in (*self.processes, *self.former):
            process.pulse.cut_off = True
        while hanging := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in hanging:
                task.cancel()
            await asyncio.wait(hanging, timeout=1)
            for task in hanging:
                if task.done() and not task.cancelled():
                    task.exception()  # it was told

    def _runtime(self, journal: Journal, pulse: Pulse) -> Runtime:
        return Runtime(
            journal=journal,
            models=FixedModels(ScriptedModel(self._answer, usage=Usage())),
            posts=[POST],
            tools=self._tools(pulse),
            sandbox=Refuse("nothing runs here", hint=""),
            workspaces=self.folder / "workspaces",
            bus=self.bus if self.chance.random() < 0.5 else MemoryBus(),
            clock=self.clock,
            pool_size=self.size.live,
        )

    async def _answer(self, request: ModelRequest) -> Answer:
        chance = self.chance
        await self.clock.sleep(chance.choice((0, 0, 0.1, 2, 30)))
        last = request.messages[-1]
        if isinstance(last, UserMessage) and "Write the summary" in last.text:
            return say("What was said so far.")
        if chance.random() < 0.05:
            return ModelUnavailable("The model is busy.", retry_after=1)
        if isinstance(last, ToolMessage) and chance.random() < 0.4:
            return say(f"That is done. {'It was hard. ' * chance.randrange(60)}")
        if chance.random() < 0.2:
            return say("There is nothing to do.")
        return calls(say("Now these."), *(self._call() for _ in range(chance.randint(1, 4))))

    def _call(self) -> ToolCall:
        number = next(self.numbers)
        call_id = f"call-{number}"
        if self.chance.random() < 0.05:
            return call(ERRAND, call_id=call_id, post=POST.name, prompt=f"{call_id}: help.")
        name = self.chance.choice(("pay", "post", "post", "look", "look", "sign", "fly"))
        return call(name, call_id=call_id, number=number)

    def _tools(self, pulse: Pulse) -> tuple[Tool, ...]:
        async def do(context: ToolContext) -> str:
            await self.clock.sleep(self.chance.choice((0, 0, 0.1, 3)))
            await pulse.hold()
            self.effects[context.call_id] += 1
            await self.clock.sleep(self.chance.choice((0, 0, 0.1, 3)))
            if self.chance.random() < 0.1:
                raise ToolFailed("It did not work.")
            return "It worked."

        @tool(reads_only=False)
        async def pay(number: int, context: ToolContext) -> str:
            """Something that must not happen twice."""
            return await do(context)

        @tool(reads_only=False, parallel=True)
        async def post(number: int, context: ToolContext) -> str:
            """Something that must not happen twice, and may happen beside others."""
            return await do(context)

        @tool(reads_only=True)
        async def look(number: int, context: ToolContext) -> str:
            """Something that may happen again."""
            return await do(context)

        @tool(reads_only=False)
        async def sign(number: int, context: ToolContext) -> str:
            """Something that a person has to allow."""
            return await do(context)

        return pay, post, look, sign


async def processes_come_and_go(world: World) -> None:
    """Kill some, start some, have two at once, for as long as the story says; one always lives."""
    for _ in range(world.size.kills):
        await world.clock.sleep(world.chance.uniform(0.1, 8))
        match world.chance.choice(("kill", "kill", "take over", "leave")):
            case "kill":
                world.kill(world.somebody())
            case "leave":
                leaving = world.somebody()
                await world.begin()
                await world.leave(leaving)
            case _ if len(world.processes) < 3:
                await world.begin()
        if not world.processes:
            await world.begin()


# --- people ---------------------------------------------------------------------------------------


@dataclass
class Person:
    """Whoever talks to one agent, by any process, and again until there is an answer."""

    world: World
    agent_id: str
    deeds: int
    past: list[Event] = field(default_factory=list)  # that a fork shares with its parent
    accepted: set[str] = field(default_factory=set)
    snapshots: list[str] = field(default_factory=list)
    names: int = 0  # given so far
    gone: bool = False  # the agent was deleted

    async def live(self) -> None:
        """Do this and that."""
        chance, clerk = self.world.chance, asyncio.create_task(self.decide_for_ever())
        deeds = [self.send, self.send, self.send, self.ask, self.interrupt]
        deeds += [self.snapshot, self.fork, self.look_back]
        try:
            await self.send()
            for _ in range(self.deeds):
                await self.world.clock.sleep(chance.expovariate(0.3))
                await chance.choice(deeds)()
            if chance.random() < 0.1:
                await self.delete()
        finally:
            clerk.cancel()

    async def do(self, deed: Callable[[Agent], Coroutine[Any, Any, T]]) -> T:
        """What comes of it, by whichever process answers."""
        while True:
            process = self.world.somebody()
            with suppress(Died, Fenced, Unavailable):
                agent = await process.do(process.runtime.agent(self.agent_id))
                return await process.do(deed(agent))
            await self.world.clock.sleep(0.5)

    async def create(self) -> None:
        """Have the agent made."""
        while True:
            process = self.world.somebody()
            with suppress(Died):
                await process.do(process.runtime.agent(self.agent_id, post=POST.name))
                return

    async def send(self) -> None:
        """Say something."""
        name = self._name("message")
        await self.do(lambda agent: agent.send(f"{name}: go on.", message_id=name))
        self.accepted.add(name)

    async def ask(self) -> None:
        """Say something and wait for the answer to it."""
        name = self._name("question")
        with suppress(Unanswered):
            await self.do(lambda agent: agent.ask(f"{name}: is it done?", message_id=name))
        self.accepted.add(name)

    async def interrupt(self) -> None:
        """Stop what it does."""
        await self.do(lambda agent: agent.interrupt())

    async def snapshot(self) -> None:
        """Name the moment, if it can be named."""
        name = self._name("moment")
        with suppress(NotForkable):
            with suppress(SnapshotExists):  # by an attempt that nobody answered
                await self.do(lambda agent: agent.snapshot(name))
            self.snapshots.append(name)

    async def fork(self) -> None:
        """Have a fork made, now or at a moment of the past, with a person of its own."""
        status = await self.do(lambda agent: agent.status())
        points = [None, self.world.chance.randint(1, status.seq), *self.snapshots]
        point, child = self.world.chance.choice(points), self._name("fork")
        with suppress(NotForkable):
            with suppress(AgentExists):  # by an attempt that nobody answered
                await self.do(lambda agent: agent.fork(at=point, id=child))
            events = await self.do(everything)
            person = Person(self.world, child, self.deeds // 2)
            status = await person.do(lambda agent: agent.status())
            person.past = events[: status.lineage[-1].at]
            self.world.add(person)

    async def look_back(self) -> None:
        """See how it was, and that it is the same when looked at again."""
        status = await self.do(lambda agent: agent.status())
        seq = self.world.chance.randint(1, status.seq)
        before = await self.do(lambda agent: agent.at(seq))
        assert before.status.seq == seq
        assert before == await self.do(lambda agent: agent.at(seq))

    async def delete(self) -> None:
        """Have the agent deleted."""
        self.gone = True
        while True:
            process = self.world.somebody()
            with suppress(Died):
                with suppress(UnknownAgent):  # by an attempt that nobody answered
                    await process.do(process.runtime.delete(self.agent_id))
                return

    async def decide_all(self) -> None:
        """Allow or deny whatever waits."""
        status = await self.do(lambda agent: agent.status())
        for approval in status.approvals:
            decision: Decision = self.world.chance.choice(DECISIONS)
            with suppress(AlreadyDecided, NoSuchApproval):  # before, by itself or an interrupt
                await self.do(decide(approval.call_id, decision))

    async def decide_for_ever(self) -> None:
        """Look now and then at what waits."""
        while True:
            await self.world.clock.sleep(self.world.chance.uniform(1, 10))
            with suppress(UnknownAgent):
                await self.decide_all()

    def _name(self, kind: str) -> str:
        self.names += 1
        return f"{self.agent_id}.{kind}{self.names}"


def decide(call_id: str, decision: Decision) -> Callable[[Agent], Coroutine[Any, Any, None]]:
    """The deed of deciding one call."""
    return lambda agent: agent.decide(call_id, decision)


async def everything(agent: Agent) -> list[Event]:
    """The agent's whole journal."""
    last = (await agent.status()).seq
    events: list[Event] = []
    stream = agent.subscribe()
    async for event in stream:
        assert isinstance(event, Event)
        events.append(event)
        if event.seq == last:
            break
    await stream.aclose()
    return events


# --- the story ------------------------------------------------------------------------------------


async def tell(world: World) -> dict[str, list[Event]]:
    """Everything that happens, and the journals that are left."""
    await world.begin()
    try:
        names = [f"agent-{number}" for number in range(world.size.agents)]
        first = [Person(world, name, world.size.deeds) for name in names]
        await asyncio.gather(*(person.create() for person in first))
        for person in first:
            world.add(person)
        chaos = asyncio.create_task(processes_come_and_go(world))
        for each in world.work:  # forks bring more
            await each
        await chaos
        return await go_home(world)
    finally:
        await world.cut_off()


async def go_home(world: World) -> dict[str, list[Event]]:
    """Kill what lives; in a last process, let everybody come to rest and look at what is left."""
    for process in list(world.processes):
        world.kill(process)
    last = await world.begin()
    here = [person for person in world.people if not person.gone]
    journals = dict(await asyncio.gather(*(settle(person) for person in here)))
    for person in world.people:
        if person.gone:
            with pytest.raises(UnknownAgent):
                await last.runtime.agent(person.agent_id)
    await world.leave(last)
    return journals


async def settle(person: Person) -> tuple[str, list[Event]]:
    """Say good-bye, decide what waits, and hold what is left to be whole."""
    await person.send()
    agent = await person.world.somebody().runtime.agent(person.agent_id)
    clerk = asyncio.create_task(person.decide_for_ever())
    while await agent.rest() is AgentState.WAITING:
        await person.world.clock.sleep(1)
    clerk.cancel()
    events = await everything(agent)
    context = whole.fold(events)
    status = await agent.status()
    assert status == (await agent.at(status.seq)).status, "replayed, it is as it is"
    assert status.state is context.state is AgentState.READY
    whole.check_rest(context)
    whole.check_messages(events, context, person.accepted)
    assert context.queued == {}, "every message was told"
    assert events[: len(person.past)] == person.past, "a fork has the past it was made with"
    check(person.world, events, context)
    await check_errands(person, events)
    return person.agent_id, events


def check(world: World, events: list[Event], context: Context) -> None:
    """Hold any journal to what is true of all of them."""
    whole.check_calls(events, context, world.effects, repeatable=REPEATABLE, uncounted=(ERRAND,))
    whole.check_turns(events, context)
    whole.check_conversation(context)


async def check_errands(person: Person, events: list[Event]) -> None:
    """The same for the sub-agents, which may have been cut off for good."""
    journal = await person.world.open_journal()
    for body in whole.bodies(events[len(person.past) :], ToolStart):
        if body.name == ERRAND:
            theirs = await journal.read(sub_agent_id(person.agent_id, body.call_id))
            check(person.world, theirs, whole.fold(theirs))
    await journal.close()


def soak(seed: int, size: Size, folder: Path, place: Place) -> dict[str, list[Event]]:
    """The story of this seed; the journals in the end."""

    async def story() -> dict[str, list[Event]]:
        async with AsyncExitStack() as stack:
            open_journal = await place(folder, stack)
            return await tell(World(size, open_journal, folder, random.Random(seed)))

    random.seed(seed)  # for the product's own, such as the jitter of retries
    try:
        return simulate(story())
    except BaseException as error:
        error.add_note(f"LONGHOUSE_TEST_SOAK_SEED={seed} tells this story again.")
        raise


async def in_a_file(folder: Path, stack: AsyncExitStack) -> Opener:
    """Each process opens the file itself."""

    async def open_journal() -> Journal:
        return SQLiteJournal(folder / "agents.db", clock=SimulatedClock())

    return open_journal


def in_the_servers_database(template: Path) -> Place:
    """All processes have the server's journal, on one database."""

    async def begin(folder: Path, stack: AsyncExitStack) -> Opener:
        database = await stack.enter_async_context(copied_file(template, folder))
        await journal_of_sessions(database, SimulatedClock())

        async def open_journal() -> Journal:
            return JournalOfSessions(database, clock=SimulatedClock())

        return open_journal

    return begin


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Tools that fail and processes that die are what this is about."""
    caplog.set_level(logging.CRITICAL)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + STORIES))
def test_whatever_happens_to_two_hundred_agents_their_journals_are_whole(
    seed: int, tmp_path: Path
) -> None:
    journals = soak(seed, Size(agents=200, live=60), tmp_path, in_a_file)

    assert len(journals) > 100


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + STORIES))
def test_whatever_happens_to_agents_of_a_server_their_journals_are_whole(
    seed: int, tmp_path: Path, sqlite_template: Path
) -> None:
    place = in_the_servers_database(sqlite_template)

    assert soak(seed, Size(agents=15, live=5), tmp_path, place)


def test_a_seed_tells_the_same_story_again(tmp_path: Path) -> None:
    one, other = (
        soak(FIRST_SEED, Size(agents=4, live=2), tmp_path / name, in_a_file) for name in "ab"
    )

    assert one == other
