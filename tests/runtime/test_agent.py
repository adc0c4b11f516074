"""Moments in an agent's life that are hard to hit: each was once got wrong."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.patience import PATIENCE

from longhouse.kit.bus.memory import MemoryBus
from longhouse.kit.errors import Unavailable
from longhouse.protocol.events import (
    AgentResumed,
    AgentState,
    Body,
    Done,
    DoneReason,
    Draft,
    Event,
    InterruptRequested,
    MessageReceived,
    Outcome,
    PermissionDecided,
    StateChanged,
    StepComplete,
    StepStarted,
    Todo,
    TodoReminder,
    ToolCall,
    ToolEnd,
)
from longhouse.runtime.agent import Agent, AlreadyDecided
from longhouse.runtime.journals.base import Fenced
from longhouse.runtime.journals.memory import MemoryJournal
from longhouse.runtime.journals.sqlite import SQLiteJournal
from longhouse.runtime.loop import REMIND_AFTER_STEPS
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import ScriptedModel, call, calls, say
from longhouse.runtime.posts import Mode, Permissions, Post
from longhouse.runtime.runtime import Runtime
from longhouse.runtime.sandbox.refuse import Refuse
from longhouse.runtime.tools.base import ToolResult, tool

A_WHILE = 100  # rounds of the event loop: enough for everything that does not wait


class HeldJournal(MemoryJournal):
    """A journal whose answers a test can hold back, by what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.hold: type[Body] | None = None
        self.lose: type[Body] | None = None  # written, and then the connection is lost
        self.unreadable = 0  # reads that fail from now on
        self.writes: list[list[type[Body]]] = []
        self.held = asyncio.Event()
        self.go_on = asyncio.Event()

    async def append(
        self, agent_id: str, drafts: Sequence[Draft], *, epoch: int, at: int | None = None
    ) -> list[Event]:
        return await self._answer(await super().append(agent_id, drafts, epoch=epoch, at=at))

    async def post(self, agent_id: str, drafts: Sequence[Draft]) -> list[Event]:
        return await self._answer(await super().post(agent_id, drafts))

    async def read(
        self,
        agent_id: str,
        *,
        after: int = 0,
        limit: int | None = None,
        types: Sequence[str] | None = None,
    ) -> list[Event]:
        if self.unreadable:
            self.unreadable -= 1
            raise Unavailable("The connection was lost.")
        return await super().read(agent_id, after=after, limit=limit, types=types)

    async def _answer(self, events: list[Event]) -> list[Event]:
        bodies = [event.body for event in events]
        self.writes.append([type(body) for body in bodies])
        if self.hold is not None and any(isinstance(body, self.hold) for body in bodies):
            self.held.set()
            await self.go_on.wait()
        if self.lose is not None and any(isinstance(body, self.lose) for body in bodies):
            self.lose = None
            raise Unavailable("The connection was lost.")
        return events


class House:
    """Runtimes over one journal."""

    def __init__(self, folder: Path) -> None:
        self.journal = HeldJournal()
        self.stack = AsyncExitStack()
        self._bus = MemoryBus()
        self._folder = folder

    async def agent(self, *steps: Any, mode: Mode = Mode.AUTO) -> Agent:
        """The agent `a` in a process of its own."""
        post = Post(
            name="worker",
            tools=("act", "cancelled", "plan"),
            permissions=Permissions(mode=mode),
        )
        runtime = Runtime(
            journal=self.journal,
            models=FixedModels(ScriptedModel(steps)),
            posts=[post],
            tools=(act, cancelled, plan),
            sandbox=Refuse("nothing runs here", hint=""),
            workspaces=self._folder,
            bus=self._bus,
        )
        return await (await self.stack.enter_async_context(runtime)).agent("a", post="worker")

    async def bodies(self, *kinds: type[Body]) -> list[Any]:
        events = await self.journal.read("a")
        return [event.body for event in events if isinstance(event.body, kinds)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    await house.stack.aclose()


@tool(reads_only=False)
async def act(number: int = 0) -> str:
    """Do something."""
    return "done"


@tool(reads_only=False)
async def cancelled() -> str:
    """Let out a cancellation of one's own."""
    raise asyncio.CancelledError


@tool(reads_only=True)
async def plan() -> ToolResult:
    """Make a plan."""
    return ToolResult(content="planned", todos=(Todo(id="1", title="it"),))


async def rest(agent: Agent) -> AgentState:
    async with asyncio.timeout(PATIENCE):
        return await agent.rest()


async def a_while() -> None:
    for _ in range(A_WHILE):
        await asyncio.sleep(0)


async def test_an_interrupt_at_the_very_end_of_a_turn_leaves_the_agent_alive(
    house: House,
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def model(request: object) -> Any:
        asked.set()
        await answer.wait()
        return say("done")

    agent = await house.agent(model, say("again"))
    await agent.send("go")
    await asked.wait()
    house.journal.hold = InterruptRequested
    interrupting = asyncio.create_task(agent.interrupt())
    await house.journal.held.wait()
    answer.set()  # the answer waits behind the interrupt, and so does the cut
    await a_while()
    house.journal.go_on.set()
    await interrupting

    assert await rest(agent) is AgentState.READY
    await agent.send("still there?")
    assert await rest(agent) is AgentState.READY
    assert len(await house.bodies(Done)) == 2


async def test_an_interrupted_turn_ends_once_even_when_its_last_write_seemed_to_fail(
    house: House,
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def model(request: object) -> Any:
        asked.set()
        await answer.wait()
        return say("done")

    agent = await house.agent(model)
    await agent.send("go")
    await asked.wait()
    house.journal.hold, house.journal.lose = InterruptRequested, StepComplete
    interrupting = asyncio.create_task(agent.interrupt())
    await house.journal.held.wait()
    answer.set()
    await a_while()
    house.journal.go_on.set()
    await interrupting

    assert await rest(agent) is AgentState.READY
    assert len(await house.bodies(Done)) == 1


async def test_an_interrupt_is_heard_although_the_journal_could_not_be_read_at_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longhouse.runtime.turn.LISTEN_AGAIN_SECONDS", 0.01)
    asked = asyncio.Event()

    async def model(request: object) -> Any:
        asked.set()
        await asyncio.Event().wait()

    agent = await house.agent(model)
    await agent.send("go")
    await asked.wait()
    house.journal.unreadable = 3
    await house.journal.post("a", [Draft(InterruptRequested(by="somebody elsewhere"))])

    assert await rest(agent) is AgentState.READY
    assert [body.reason for body in await house.bodies(Done)] == [DoneReason.INTERRUPTED]


async def test_a_message_and_the_beginning_of_its_turn_are_one_write(house: House) -> None:
    agent = await house.agent(say("one"), say("two"))
    await agent.send("first")
    await rest(agent)
    house.journal.writes.clear()

    await agent.send("second")

    assert house.journal.writes[0] == [MessageReceived, StateChanged, StepStarted]
    assert await rest(agent) is AgentState.READY
    assert agent.last_words() == "two"


async def test_a_message_that_another_process_has_written_before_is_told_before(
    house: House,
) -> None:
    agent = await house.agent(say("one"), say("both"))
    await agent.send("first")
    await rest(agent)
    await house.journal.post("a", [Draft(MessageReceived(message_id="m2", text="second"))])

    await agent.send("third", message_id="m3")

    await rest(agent)
    assert [body.messages for body in await house.bodies(StepStarted)][1:] == [("m2", "m3")]


async def test_a_message_whose_write_seemed_to_fail_is_answered_once_it_is_sent_again(
    house: House,
) -> None:
    agent = await house.agent(say("one"), say("two"))
    await agent.send("first")
    await rest(agent)
    house.journal.lose = MessageReceived
    with pytest.raises(Unavailable):
        await agent.send("second", message_id="m2")

    await agent.send("second", message_id="m2")

    assert await rest(agent) is AgentState.READY
    assert len(await house.bodies(MessageReceived)) == len(await house.bodies(Done)) == 2


async def test_two_calls_of_one_answer_with_the_same_id_are_two_calls(house: House) -> None:
    agent = await house.agent(
        calls(call("act", call_id="x", number=1), call("act", call_id="x", number=2)),
        call("act", call_id="x-1"),
        say("done"),
    )

    await agent.send("go")
    await rest(agent)

    asked = [body.call_id for body in await house.bodies(ToolCall)]
    assert asked == ["x", "x-1", "x-1-2"]
    assert [body.call_id for body in await house.bodies(ToolEnd)] == asked


async def test_a_tool_that_lets_out_a_cancellation_of_its_own_has_failed(house: House) -> None:
    agent = await house.agent(call("cancelled"), say("I see."))

    await agent.send("go")

    assert await rest(agent) is AgentState.READY
    (end,) = await house.bodies(ToolEnd)
    assert end.outcome is Outcome.ERROR
    assert (await house.bodies(Done))[0].reason is DoneReason.COMPLETED


async def test_parking_right_after_an_answer_does_not_seal_its_call(house: House) -> None:
    agent = await house.agent(call("act"), say("done"))
    house.journal.hold = ToolCall
    await agent.send("go")
    await house.journal.held.wait()
    parking = asyncio.create_task(agent.park())
    await a_while()
    house.journal.go_on.set()
    await parking

    assert await agent.run() is AgentState.READY

    assert [body.outcome for body in await house.bodies(ToolEnd)] == [Outcome.OK]
    assert await house.bodies(AgentResumed) == []


async def test_an_agent_that_was_taken_over_says_so_also_after_another_message(
    house: House,
) -> None:
    former = await house.agent()
    agent = await house.agent(say("mine"), say("mine"))
    await agent.send("go")
    await rest(agent)
    await former.send("go on")
    with pytest.raises(Fenced):
        await rest(former)

    await former.send("go on")

    with pytest.raises(Fenced):
        await rest(former)


async def test_deciding_again_after_a_lost_answer_lets_the_call_run(house: House) -> None:
    agent = await house.agent(call("act", call_id="x"), say("done"), mode=Mode.ASK)
    await agent.send("go")
    assert await rest(agent) is AgentState.WAITING
    house.journal.lose = PermissionDecided
    with pytest.raises(Unavailable):
        await agent.decide("x", "allow")

    with pytest.raises(AlreadyDecided):
        await agent.decide("x", "allow")

    assert await rest(agent) is AgentState.READY
    assert [body.outcome for body in await house.bodies(ToolEnd)] == [Outcome.OK]


async def test_nobody_is_reminded_of_a_plan_that_was_just_made(house: House) -> None:
    steps = [call("act", number=number) for number in range(REMIND_AFTER_STEPS - 1)]
    agent = await house.agent(call("plan"), *steps, call("plan"), say("done"))

    await agent.send("go")
    await rest(agent)

    assert await house.bodies(TodoReminder) == []


async def test_an_agent_at_rest_answers_what_another_process_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longhouse.runtime.pool.LOOK_SECONDS", 0.01)
    path = tmp_path / "agents.db"
    async with Runtime(
        journal=SQLiteJournal(path),
        models=FixedModels(ScriptedModel([say("heard")])),
        posts=[Post(name="worker")],
        sandbox=Refuse("this test runs no commands", hint=""),
        workspaces=tmp_path / "workspaces",
    ) as runtime:
        agent = await runtime.agent("a", post="worker")
        await agent.rest()
        other = SQLiteJournal(path)  # with a bus of its own: nothing rings here
        await other.post("a", [Draft(MessageReceived(message_id="m", text="hello"))])
        await other.close()

        async with asyncio.timeout(PATIENCE):
            while agent.last_words() != "heard":
                await agent.status()


async def test_an_agent_at_rest_learns_that_it_was_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longhouse.runtime.pool.LOOK_SECONDS", 0.01)
    journal = MemoryJournal()
    model = ScriptedModel([])
    async with Runtime(
        journal=journal,
        models=FixedModels(model),
        posts=[Post(name="worker")],
        sandbox=Refuse("this test runs no commands", hint=""),
        workspaces=tmp_path / "workspaces",
    ) as runtime:
        agent = await runtime.agent("a", post="worker")
        await agent.rest()
        await journal.acquire("a")

        async with asyncio.timeout(PATIENCE):
            with pytest.raises(Fenced):
                await rest_again_and_again(agent)
        with pytest.raises(Fenced):
            await agent.ask("hello")
        assert model.calls == 0


async def rest_again_and_again(agent: Agent) -> None:
    while True:
        await agent.rest()
        await asyncio.sleep(0)
