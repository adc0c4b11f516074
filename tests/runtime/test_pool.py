"""The pool: who has a place, who comes next, and that whoever was put away comes back."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.patience import PATIENCE, until

from longhouse.kit.bus.memory import MemoryBus
from longhouse.kit.clock import ManualClock
from longhouse.kit.errors import InvalidInput
from longhouse.protocol.events import (
    AgentResumed,
    AgentState,
    Done,
    DoneReason,
    ErrorRaised,
    Event,
    MessageReceived,
    Outcome,
    Severity,
    ToolEnd,
)
from longhouse.runtime.agent import Agent, Unanswered
from longhouse.runtime.journals.base import DELETED_TOPIC, Fenced, UnknownAgent
from longhouse.runtime.journals.memory import MemoryJournal
from longhouse.runtime.journals.sqlite import SQLiteJournal
from longhouse.runtime.model import ModelRequest, UserMessage
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import ScriptedModel, call, say
from longhouse.runtime.pool import Entry, Phase, next_step
from longhouse.runtime.posts import Mode, Permissions, Post
from longhouse.runtime.runtime import Runtime
from longhouse.runtime.sandbox.base import Sandbox
from longhouse.runtime.sandbox.off import Unprotected
from longhouse.runtime.sandbox.refuse import Refuse
from longhouse.runtime.tools.base import Tool, tool

HALF_AN_HOUR = 1800.0

idle, busy, leaving, empty = Phase.IDLE, Phase.BUSY, Phase.LEAVING, Phase.EMPTY


def entry(agent_id: str, phase: Phase, used_at: float = 0.0, *, tethered: bool = False) -> Entry:
    return Entry(agent_id=agent_id, phase=phase, used_at=used_at, tethered=tethered)


def decide(
    *entries: Entry, waiting: Sequence[str] = (), size: int = 3, now: float = 100.0
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Who is admitted and who is put away, when thirty seconds without use are enough."""
    step = next_step(entries, waiting, size=size, idle_seconds=30.0, now=now)
    return step.admit, step.put_away


class TestWhoMayStay:
    def test_whoever_was_not_used_for_a_while_is_put_away(self) -> None:
        old, new = entry("old", idle, 70.0), entry("new", idle, 71.0)

        assert decide(old, new) == ((), ("old",))

    def test_whoever_is_at_work_stays_however_long_it_takes(self) -> None:
        assert decide(entry("a", busy), waiting=["b"], size=1) == ((), ())

    def test_to_one_who_waits_the_longest_unused_gives_way(self) -> None:
        entries = [entry("a", idle, 90.0), entry("b", idle, 80.0), entry("c", busy)]

        assert decide(*entries, waiting=["d"]) == ((), ("b",))

    def test_nobody_gives_way_for_a_place_that_is_being_left_already(self) -> None:
        entries = [entry("a", idle, 90.0), entry("b", leaving), entry("c", busy)]

        assert decide(*entries, waiting=["d"]) == ((), ())
        assert decide(*entries, waiting=["d", "e"]) == ((), ("a",))

    def test_whoever_comes_back_while_it_is_put_away_waits_for_the_end_of_that(self) -> None:
        assert decide(entry("a", leaving), waiting=["a"]) == ((), ())

    def test_free_places_go_to_those_who_came_first(self) -> None:
        assert decide(entry("a", busy), waiting=["c", "b", "d"]) == (("c", "b"), ())

    def test_a_place_with_nothing_in_it_is_given_up(self) -> None:
        assert decide(entry("a", empty, 100.0)) == ((), ("a",))

    def test_background_commands_keep_a_place_while_nobody_needs_it(self) -> None:
        assert decide(entry("a", idle, tethered=True)) == ((), ())

    def test_background_commands_keep_a_place_from_others_for_a_while_only(self) -> None:
        recent, long_ago = entry("a", idle, 80.0, tethered=True), entry("a", idle, tethered=True)

        assert decide(recent, waiting=["b"], size=1) == ((), ())
        assert decide(long_ago, waiting=["b"], size=1) == ((), ("a",))

    def test_whoever_has_no_background_commands_gives_way_first(self) -> None:
        entries = [entry("a", idle, tethered=True), entry("b", idle, 99.0)]

        assert decide(*entries, waiting=["c"], size=2) == ((), ("b",))

    @given(
        phases=st.lists(st.sampled_from(Phase), max_size=8),
        waiting=st.integers(0, 8),
        size=st.integers(1, 8),
        data=st.data(),
    )
    def test_there_are_never_more_than_there_are_places_and_nobody_waits_in_vain(
        self, phases: list[Phase], waiting: int, size: int, data: st.DataObject
    ) -> None:
        entries = [
            entry(f"a{n}", phase, data.draw(st.floats(0, 100)), tethered=data.draw(st.booleans()))
            for n, phase in enumerate(phases[:size])
        ]
        queue = [f"w{n}" for n in range(waiting)]

        step = next_step(entries, queue, size=size, idle_seconds=30.0, now=100.0)

        assert len(entries) + len(step.admit) <= size
        assert list(step.admit) == queue[: len(step.admit)]
        assert len(set(step.put_away)) == len(step.put_away)
        phase = {each.agent_id: each.phase for each in entries}
        assert all(phase[agent_id] in {idle, empty} for agent_id in step.put_away)
        coming = list(phase.values()).count(leaving) + len(step.put_away)
        left = [
            each
            for each in entries
            if each.phase is idle and each.agent_id not in step.put_away and not each.tethered
        ]
        assert not left or waiting <= len(step.admit) + coming


class House:
    """Runtimes over one journal; the models answer when the test says so."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.bus = MemoryBus()
        self.clock = ManualClock()
        self.journal: Any = MemoryJournal()
        self.gate = asyncio.Event()  # what `held` waits for
        self.asked: list[str] = []  # what the model was last told, by each of its calls
        self.most_live = 0
        self._folder = folder
        self._stack = stack

    async def runtime(
        self,
        model: Callable[[ModelRequest], Any] | Sequence[Any] | None = None,
        *,
        tools: Sequence[Tool] = (),
        mode: Mode = Mode.AUTO,
        sandbox: Sandbox | None = None,
        journal: Any = None,
        **how: Any,
    ) -> Runtime:
        """A process. Without a model it says what it was told."""
        names = ("task_run", "bash_run", *(each.name for each in tools))
        posts = [
            Post(name=name, tools=names, permissions=Permissions(mode=mode))
            for name in ("worker", "helper")
        ]
        runtime = Runtime(
            journal=journal or self.journal,
            models=FixedModels(ScriptedModel(self._echo if model is None else model)),
            posts=posts,
            tools=tools,
            sandbox=sandbox or Refuse("nothing runs here", hint=""),
            workspaces=self._folder / "workspaces",
            bus=self.bus,
            clock=self.clock,
            **({"grace_seconds": 0} | how),
        )
        self._runtime = runtime
        return await self._stack.enter_async_context(runtime)

    async def held(self, request: ModelRequest) -> Any:
        """A model that waits for the gate."""
        self._note(request)
        await self.gate.wait()
        return say("done")

    def _echo(self, request: ModelRequest) -> Any:
        self._note(request)
        return say(self.asked[-1])

    def _note(self, request: ModelRequest) -> None:
        last = request.messages[-1]
        assert isinstance(last, UserMessage)
        self.asked.append(last.text)
        self.most_live = max(self.most_live, len(self._runtime.live))

    async def bodies(self, agent_id: str, *kinds: type) -> list[Any]:
        events = await self.journal.read(agent_id)
        return [event.body for event in events if isinstance(event.body, kinds)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        yield House(tmp_path, stack)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool looks around all the time."""
    monkeypatch.setattr("longhouse.runtime.pool.LOOK_SECONDS", 0.01)


async def a_while() -> None:
    """Enough for everything that does not wait."""
    for _ in range(100):
        await asyncio.sleep(0)


class CountingJournal(MemoryJournal):
    """Takes a note of how many agents are live, whenever it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.runtime: Runtime | None = None
        self.seen: Counter[int] = Counter()

    async def acquire(self, agent_id: str) -> Any:
        self._note()
        return await super().acquire(agent_id)

    async def append(
        self, agent_id: str, drafts: Any, *, epoch: int, at: int | None = None
    ) -> list[Event]:
        self._note()
        return await super().append(agent_id, drafts, epoch=epoch, at=at)

    async def read(self, agent_id: str, **how: Any) -> list[Event]:
        self._note()
        await asyncio.sleep(0)  # so that others come in between
        self._note()
        return await super().read(agent_id, **how)

    def _note(self) -> None:
        if self.runtime is not None:
            self.seen[len(self.runtime.live)] += 1


class TestPlaces:
    async def test_twelve_agents_on_five_places_all_get_their_answers(self, house: House) -> None:
        journal = house.journal = CountingJournal()
        runtime = journal.runtime = await house.runtime(pool_size=5)
        agents = [await runtime.agent(f"a{n}", post="worker") for n in range(12)]

        answers = await asyncio.gather(
            *(agent.ask(f"{agent.id} {n}") for n in range(5) for agent in agents)
        )

        assert answers == [f"{agent.id} {n}" for n in range(5) for agent in agents]
        assert max(journal.seen) == house.most_live == 5

    async def test_whoever_needs_a_place_waits_in_the_order_they_came(self, house: House) -> None:
        runtime = await house.runtime(house.held, pool_size=1)
        agents = [await runtime.agent(name, post="worker") for name in ("a", "b", "c", "d")]
        await asyncio.gather(*(agent.rest() for agent in agents))
        await agents[2].send("first")
        await until(lambda: house.asked == ["first"])

        for agent in (agents[3], agents[0], agents[1], agents[0]):
            await agent.send(f"to {agent.id}")
            await a_while()
        assert runtime.live == ("c",)
        house.gate.set()
        await asyncio.gather(*(agent.rest() for agent in agents))

        assert house.asked[:2] == ["first", "to d"]
        assert house.asked[2:] == ["to a", "to b"]
        assert len(await house.bodies("a", MessageReceived)) == 2

    async def test_who_only_asks_or_tells_does_not_wait_for_those_at_work(
        self, house: House
    ) -> None:
        runtime = await house.runtime(house.held, pool_size=1)
        other = await runtime.agent("other", post="worker")
        await other.rest()
        agent = await runtime.agent("a", post="worker")
        await agent.send("go")
        await until(lambda: bool(house.asked))

        await other.send("later", message_id="m")
        status = await other.status()
        snapshot = await other.snapshot("now")
        await other.interrupt()

        assert (status.state, status.seq, snapshot.at) == (AgentState.READY, 2, 2)
        assert runtime.live == ("a",)

    async def test_a_sub_agent_works_within_the_place_of_its_parent(self, house: House) -> None:
        def model(request: ModelRequest) -> Any:
            if len(request.messages) == 1 and request.messages[0] == UserMessage("go"):
                return call("task_run", post="helper", prompt="help")
            house.most_live = max(house.most_live, len(runtime.live))
            return say("helped")

        runtime = await house.runtime(model, pool_size=1)
        agent = await runtime.agent("a", post="worker")

        assert await agent.ask("go") == "helped"
        assert house.most_live == 1

    async def test_somebody_who_no_longer_waits_leaves_the_queue(self, house: House) -> None:
        runtime = await house.runtime(house.held, pool_size=1, drive=False)
        first, second, third = [
            await runtime.agent(name, post="worker") for name in ("a", "b", "c")
        ]
        for agent in (first, second, third):
            await agent.send(agent.id)
        working = asyncio.create_task(first.run())
        await until(lambda: house.asked == ["a"])
        gone = asyncio.create_task(second.run())
        waiting = asyncio.create_task(third.run())
        await a_while()

        gone.cancel()
        house.gate.set()

        assert await working is await waiting is AgentState.READY
        assert house.asked == ["a", "c"]

    async def test_a_pool_needs_a_place(self) -> None:
        with pytest.raises(InvalidInput, match="no place"):
            Runtime(models=FixedModels(ScriptedModel([])), posts=[], pool_size=0)


class TestComingBack:
    async def test_an_agent_that_is_not_used_is_put_away_and_comes_back(
        self, house: House, often: None
    ) -> None:
        runtime = await house.runtime()
        agent = await runtime.agent("a", post="worker")
        await agent.ask("one")
        await agent.rest()
        house.clock.advance(HALF_AN_HOUR - 1)
        await a_while()
        assert runtime.live == ("a",)

        house.clock.advance(1)
        await until(lambda: not runtime.live)
        assert agent.last_words() == "one"

        assert await agent.ask("two") == "two"
        assert runtime.live == ("a",)
        assert (await agent.status()).turn == 2

    async def test_an_agent_that_is_asked_now_and_then_is_used(
        self, house: House, often: None
    ) -> None:
        runtime = await house.runtime(idle_seconds=60)
        used, unused = [await runtime.agent(name, post="worker") for name in ("a", "b")]
        await unused.rest()

        for _ in range(3):
            house.clock.advance(30)
            await used.status()
        await until(lambda: runtime.live == ("a",))

    async def test_an_agent_that_is_away_comes_back_for_a_question_if_there_is_room(
        self, house: House
    ) -> None:
        runtime = await house.runtime()
        agent = await runtime.agent("a", post="worker")
        await agent.ask("one")
        await runtime.put_away("a")

        assert (await agent.status()).turn == 1
        assert runtime.live == ("a",)

    async def test_an_approval_is_decided_while_its_agent_is_away(
        self, house: House, often: None
    ) -> None:
        @tool(reads_only=False)
        async def act() -> str:
            """Do something."""
            return "done"

        steps = [call("act", call_id="x"), say("finished")]
        runtime = await house.runtime(steps, tools=[act], mode=Mode.ASK)
        agent = await runtime.agent("a", post="worker")
        await agent.send("go")
        assert await agent.rest() is AgentState.WAITING
        house.clock.advance(HALF_AN_HOUR)
        await until(lambda: not runtime.live)

        await agent.decide("x", "allow")

        assert await agent.rest() is AgentState.READY
        assert agent.last_words() == "finished"
        assert await house.bodies("a", AgentResumed) == []

    async def test_listeners_hear_of_what_happened_while_the_agent_was_away(
        self, house: House
    ) -> None:
        runtime = await house.runtime(pool_size=1)
        heard: list[int] = []
        agent = await runtime.agent("a", post="worker")
        await agent.ask("before")
        await agent.rest()
        agent.on("token_usage", lambda event: heard.append(event.seq))
        del agent  # nobody holds its handle, and it is listened to all the same
        await runtime.put_away("a")
        gc.collect()

        await (await runtime.agent("a")).ask("go")

        await until(lambda: len(heard) == 1)

    async def test_a_fork_of_an_agent_that_is_away_has_its_past(self, house: House) -> None:
        runtime = await house.runtime(pool_size=1)
        agent = await runtime.agent("a", post="worker")
        await agent.ask("one")
        await runtime.put_away("a")

        fork = await agent.fork(id="b")

        assert await fork.ask("two") == "two"
        assert len((await fork.at((await fork.status()).seq)).messages) == 4

    async def test_a_message_that_comes_while_the_agent_is_put_away_is_answered(
        self, house: House
    ) -> None:
        runtime = await house.runtime()
        agent = await runtime.agent("a", post="worker")
        await agent.rest()

        putting = asyncio.create_task(runtime.put_away("a"))
        await asyncio.sleep(0)
        answer = await agent.ask("still there?")
        await putting

        assert answer == "still there?"


class TestBackgroundCommands:
    async def test_an_agent_with_background_commands_is_not_idle(
        self, house: House, often: None
    ) -> None:
        runtime, agent = await self._with_a_command(house, "sleep 600")
        house.clock.advance(10 * HALF_AN_HOUR)

        other = await runtime.agent("b", post="worker")
        await other.ask("hello")
        await other.rest()
        house.clock.advance(HALF_AN_HOUR)
        await until(lambda: runtime.live == ("a",))

        await runtime.put_away(agent.id)
        assert not runtime.live

    async def test_it_gives_way_to_others_once_it_was_not_used_for_a_while(
        self, house: House, often: None
    ) -> None:
        runtime, _ = await self._with_a_command(house, "sleep 600", pool_size=1)
        other = await runtime.agent("b", post="worker")
        asking = asyncio.create_task(other.ask("hello"))
        await a_while()
        assert runtime.live == ("a",)

        house.clock.advance(HALF_AN_HOUR)

        assert await asking == "hello"
        assert runtime.live == ("b",)

    async def test_its_time_begins_when_the_last_command_has_ended(
        self, house: House, often: None
    ) -> None:
        runtime, agent = await self._with_a_command(house, "true")
        assert runtime.live == ("a",)

        await until(lambda: not agent._life.tethered)
        house.clock.advance(HALF_AN_HOUR)
        await until(lambda: not runtime.live)

    async def _with_a_command(
        self, house: House, command: str, **how: Any
    ) -> tuple[Runtime, Agent]:
        def model(request: ModelRequest) -> Any:
            if request.messages == (UserMessage("start"),):
                return call("bash_run", command=command, background=True)
            return say("hello")

        runtime = await house.runtime(model, sandbox=Unprotected(), **how)
        agent = await runtime.agent("a", post="worker")
        await agent.ask("start")
        await agent.rest()
        return runtime, agent


class TestOtherProcesses:
    async def test_an_agent_that_was_taken_over_is_opened_anew_when_somebody_asks_for_it(
        self, house: House, tmp_path: Path
    ) -> None:
        house.journal = SQLiteJournal(tmp_path / "agents.db")
        here = await house.runtime()
        agent = await here.agent("a", post="worker")
        await agent.ask("one")
        there = await house.runtime(journal=SQLiteJournal(tmp_path / "agents.db"))
        assert await (await there.agent("a")).ask("two") == "two"

        again = await here.agent("a")

        assert await again.ask("three") == "three"
        assert await agent.ask("four") == "four"
        assert (await again.status()).turn == 4

    async def test_coming_back_is_not_taking_over(self, house: House) -> None:
        here, there = await house.runtime(), await house.runtime()
        agent = await here.agent("a", post="worker")
        await agent.ask("one")
        await here.put_away("a")
        other = await there.agent("a")
        await other.rest()

        await agent.send("two", message_id="m2")

        with pytest.raises(Fenced):
            await agent.rest()
        assert await other.ask("two", message_id="m3") == "two"
        assert (await agent.status()).seq == (await other.status()).seq

    async def test_an_agent_that_was_taken_over_gives_up_its_place(
        self, house: House, often: None
    ) -> None:
        here, there = await house.runtime(), await house.runtime()
        agent = await here.agent("a", post="worker")
        await agent.rest()

        await (await there.agent("a")).rest()

        await until(lambda: not here.live)

    async def test_an_agent_that_was_deleted_elsewhere_is_put_away_at_once(
        self, house: House
    ) -> None:
        runtime = await house.runtime()
        agent = await runtime.agent("a", post="worker")
        await agent.rest()
        await house.journal.delete("a")

        house.bus.publish(DELETED_TOPIC, b"a")

        await until(lambda: not runtime.live)
        with pytest.raises(UnknownAgent):
            await agent.status()

    async def test_another_agent_of_a_deleted_ones_name_has_listeners_from_its_beginning(
        self, house: House
    ) -> None:
        runtime = await house.runtime()
        agent = await runtime.agent("a", post="worker")
        await agent.ask("one")
        await runtime.delete("a")

        heard: list[str] = []
        agent.on("step_complete", lambda event: heard.append(event.type))
        assert await (await runtime.agent("a", post="worker")).ask("new") == "new"

        await until(lambda: heard == ["step_complete"])


class TestLeaving:
    async def test_leaving_lets_what_runs_come_to_a_safe_point(self, house: House) -> None:
        began, go_on = asyncio.Event(), asyncio.Event()

        @tool(reads_only=False)
        async def act() -> str:
            """Do something."""
            began.set()
            await go_on.wait()
            return "done"

        async with AsyncExitStack() as stack:
            house._stack = stack
            runtime = await house.runtime(
                [call("act"), say("never")], tools=[act], grace_seconds=PATIENCE
            )
            agent = await runtime.agent("a", post="worker")
            await agent.send("go")
            await began.wait()
            asyncio.get_running_loop().call_soon(go_on.set)

        (end,) = await house.bodies("a", ToolEnd)
        assert end.outcome is Outcome.OK
        assert await house.bodies("a", Done) == []

    async def test_what_takes_too_long_is_cut_off(self, house: House) -> None:
        async with AsyncExitStack() as stack:
            house._stack = stack
            runtime = await house.runtime(house.held, grace_seconds=0.01)
            agent = await runtime.agent("a", post="worker")
            await agent.send("go")
            await until(lambda: bool(house.asked))

        assert await house.bodies("a", Done) == []
        assert not runtime.live

    async def test_whoever_waits_for_a_place_is_told_that_there_will_be_none(
        self, house: House
    ) -> None:
        async with AsyncExitStack() as stack:
            house._stack = stack
            runtime = await house.runtime(house.held, pool_size=1)
            first, second = [await runtime.agent(name, post="worker") for name in ("a", "b")]
            await second.rest()
            await first.send("go")
            await until(lambda: bool(house.asked))
            asking = asyncio.create_task(second.ask("and I?"))
            await a_while()

        with pytest.raises(Unanswered, match="put away"):
            await asking
        assert len(await house.bodies("b", MessageReceived)) == 1


class TestParking:
    async def test_an_agent_that_is_parked_before_it_has_begun_does_not_begin(
        self, house: House
    ) -> None:
        runtime = await house.runtime()
        agent = await runtime.agent("a", post="worker")
        await agent.rest()

        await agent.send("go")
        await agent.park()
        await agent.rest()
        assert house.asked == []

        await agent.send("go on")
        assert await agent.rest() is AgentState.READY
        assert len(await house.bodies("a", Done)) == 1

    async def test_a_run_that_was_asked_for_before_is_parked_and_a_later_one_goes_on(
        self, house: House
    ) -> None:
        runtime = await house.runtime(drive=False)
        agent = await runtime.agent("a", post="worker")
        await agent.send("go")

        before = agent.run()
        await agent.park()

        assert await before is AgentState.READY
        assert house.asked == []
        assert await agent.run() is AgentState.READY
        assert house.asked == ["go"]

    async def test_a_parked_agent_stays_parked_until_somebody_says_something(
        self, house: House
    ) -> None:
        runtime = await house.runtime()
        agent = await runtime.agent("a", post="worker")
        await agent.rest()
        await agent.send("go")
        await agent.park()
        await agent.rest()

        await runtime._pool.look("a")
        await agent.rest()
        assert house.asked == []

        assert await agent.ask("now") == "now"


class TestGivingUp:
    async def test_a_turn_that_is_given_up_has_failed_and_its_calls_have_results(
        self, house: House
    ) -> None:
        @tool(reads_only=False)
        async def act() -> str:
            """Do something."""
            return "done"

        runtime = await house.runtime([call("act", call_id="x")], tools=[act], mode=Mode.ASK)
        agent = await runtime.agent("a", post="worker")
        await agent.send("go")
        assert await agent.rest() is AgentState.WAITING

        await agent.give_up(
            ErrorRaised(phase="loop", severity=Severity.ERROR, message="No more.", hint="")
        )

        assert (await agent.status()).state is AgentState.READY
        (end,) = await house.bodies("a", ToolEnd)
        assert end.outcome is Outcome.INTERRUPTED
        (done,) = await house.bodies("a", Done)
        assert (done.reason, done.detail) == (DoneReason.FAILED, "No more.")
