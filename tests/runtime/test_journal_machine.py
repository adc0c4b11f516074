"""An agent under every order of events that hypothesis can think of.

Messages, decisions, interrupts, parking, other processes that take over, models and tools that
fail or hang, a journal that answers late or refuses: whatever came, once the agent rests its
journal tells a story that holds together.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from tests.runtime import whole

from longhouse.kit.bus.memory import MemoryBus
from longhouse.kit.clock import ManualClock
from longhouse.kit.errors import Unavailable
from longhouse.protocol.events import AgentResumed, AgentState, Draft, Event, Todo, Usage
from longhouse.runtime.agent import AlreadyDecided
from longhouse.runtime.journals.memory import MemoryJournal
from longhouse.runtime.model import ModelRefused, ModelRequest, ModelUnavailable
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import (
    Answer,
    Broken,
    ScriptedModel,
    call,
    calls,
    malformed,
    say,
)
from longhouse.runtime.posts import Limits, Mode, Permissions, Post
from longhouse.runtime.runtime import Runtime
from longhouse.runtime.sandbox.refuse import Refuse
from longhouse.runtime.tools.base import Tool, ToolContext, ToolFailed, ToolResult, tool

T = TypeVar("T")

AGENT = "a"
MOST_SPINS = 2_000  # rounds of the event loop after which an agent that was to rest hangs
LONGEST_WAIT = 60.0  # seconds: nothing here takes as many milliseconds
POST = Post(
    name="worker",
    tools=("act", "beside", "look", "plan"),
    permissions=Permissions(mode=Mode.AUTO),
    limits=Limits(steps=5, identical_calls=3, parallel_tools=2, context_tokens=120),
)

SETTINGS = settings(
    max_examples=150,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class How(StrEnum):
    """What a tool does when it is called."""

    WORKS = "works"
    FAILS = "fails"
    RAISES = "raises"
    CANCELS = "cancels"  # lets a cancellation out that nobody asked for
    HANGS = "hangs"  # until the machine opens the gate


class Fault(StrEnum):
    """How a journal refuses."""

    BEFORE = "before"  # nothing was written
    AFTER = "after"  # it was written, and the answer was lost


class HangingAnswer:
    """An answer that waits for the gate."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __repr__(self) -> str:
        return f"hanging {self.answer!r}"


call_ids = st.sampled_from(["", "", "", "x", "y", "x-2"])  # some vendors count anew each time
tool_calls = st.builds(
    lambda name, how, call_id: call(name, how=how, call_id=call_id),
    st.sampled_from(["act", "act", "beside", "beside", "look", "plan", "unknown"]),
    st.sampled_from([How.WORKS, How.WORKS, *How]),
    call_ids,
)
plain_answers: st.SearchStrategy[Any] = st.one_of(
    st.just(say("hm")),
    st.lists(tool_calls, min_size=1, max_size=4),
    st.lists(tool_calls, min_size=1, max_size=4),
    st.sampled_from(
        [
            malformed("act", "{"),
            ModelRefused("no"),
            ModelUnavailable("busy"),
            ModelUnavailable("busy", retry_after=3),
            ModelUnavailable("busy", retry_after=1000),
            Broken([say("half")], ModelUnavailable("cut")),
        ]
    ),
)
answers: st.SearchStrategy[Any] = plain_answers | plain_answers.map(HangingAnswer)


USUAL_ANSWERS: tuple[Answer, ...] = (
    say("ok"),
    call("act", how=How.WORKS),
    calls(
        call("beside", how=How.WORKS), call("beside", how=How.HANGS), call("look", how=How.WORKS)
    ),
)
"""What the model says when nobody told it what to say."""


class LateJournal(MemoryJournal):
    """Answers some rounds of the event loop later, as a disk does, and refuses when told to."""

    def __init__(self, clock: ManualClock, chance: random.Random) -> None:
        super().__init__(clock=clock)
        self.faults: list[Fault] = []  # of the next writes
        self.refusing = 0  # writes that are about to be refused
        self._chance = chance

    async def append(
        self, agent_id: str, drafts: Sequence[Draft], *, epoch: int, at: int | None = None
    ) -> list[Event]:
        work = super().append(agent_id, drafts, epoch=epoch, at=at)
        return await self._late(work, self._fault())

    async def post(self, agent_id: str, drafts: Sequence[Draft]) -> list[Event]:
        return await self._late(super().post(agent_id, drafts), self._fault())

    async def read(
        self,
        agent_id: str,
        *,
        after: int = 0,
        limit: int | None = None,
        types: Sequence[str] | None = None,
    ) -> list[Event]:
        return await self._late(super().read(agent_id, after=after, limit=limit, types=types))

    def _fault(self) -> Fault | None:
        return self.faults.pop() if self.faults else None

    async def _late(self, work: Coroutine[Any, Any, T], fault: Fault | None = None) -> T:
        self.refusing += fault is not None
        try:
            await spin(self._chance.randrange(3))
            if fault is Fault.BEFORE:
                raise Unavailable("The disk is full.")
            result = await work
            await spin(self._chance.randrange(3))
            if fault is Fault.AFTER:
                raise Unavailable("The connection was lost.")
            return result
        finally:
            self.refusing -= fault is not None
            work.close()

    async def calm(self) -> None:
        """Refuse nothing more: what was to be refused is."""
        self.faults.clear()
        while self.refusing:  # noqa: ASYNC110 - the loop goes round until it is, as everywhere here
            await asyncio.sleep(0)


class House:
    """One agent with everything around it, as several processes would see it one after another."""

    def __init__(self, seed: int, workspaces: Path) -> None:
        self.clock = ManualClock()
        self.bus = MemoryBus()
        self._chance = random.Random(seed)
        self.journal = LateJournal(self.clock, self._chance)
        self.post = POST
        self.script: list[Any] = []
        self.gate = asyncio.Event()
        self.effects: Counter[str] = Counter()  # call id -> how often its tool ran
        self.accepted: set[str] = set()
        self.tasks: list[asyncio.Task[None]] = []
        self.former: list[Runtime] = []  # processes that do not know yet that they were replaced
        self.parked = False
        self.disturbed = False  # by what may cut a call off
        self._workspaces = workspaces

    async def open(self) -> None:
        """A process takes the agent up."""
        self.runtime = Runtime(
            journal=self.journal,
            models=FixedModels(ScriptedModel(self._answer, usage=Usage())),
            posts=self._post,
            tools=self._tools(),
            sandbox=Refuse("nothing runs here", hint=""),
            workspaces=self._workspaces,
            bus=self.bus,
            clock=self.clock,
        )
        await self.runtime.__aenter__()
        self.agent = await self.runtime.agent(AGENT, post=POST.name)

    async def send(self, message_id: str) -> None:
        await persist(lambda: self.agent.send(message_id, message_id=message_id))
        self.accepted.add(message_id)

    async def rest(self) -> AgentState:
        """Let everything that hangs go on until the agent rests."""
        await self.settle(asyncio.gather(*self.tasks))
        self.tasks.clear()
        while True:
            try:
                return await self.rest_once()
            except Unavailable:
                # A server would try the run again; here the next message does.
                await self.send(f"again-{len(self.accepted)}")

    async def rest_once(self) -> AgentState:
        """The state it comes to rest in. Raises what stopped it."""
        if self.parked:
            await self.settle(self.agent.run())
            self.parked = False
        return await self.settle(self.agent.rest())

    async def events(self) -> list[Event]:
        return await self.journal.read(AGENT)

    async def close(self) -> None:
        for runtime in (*self.former, self.runtime):
            await runtime.__aexit__(None, None, None)

    def open_gate(self) -> None:
        gate, self.gate = self.gate, asyncio.Event()
        gate.set()

    async def settle(self, waiting: Awaitable[T]) -> T:
        """Wait for it while nothing else hangs."""
        task = asyncio.ensure_future(waiting)
        for _ in range(MOST_SPINS):
            if task.done():
                return await task
            self.open_gate()
            if self.clock.sleepers:
                self.clock.advance(1)
            await asyncio.sleep(0)
        raise AssertionError("the agent never rests")

    async def _post(self, agent_id: str, name: str) -> Post:
        return self.post

    async def _answer(self, request: ModelRequest) -> Answer:
        answer = self.script.pop(0) if self.script else self._chance.choice(USUAL_ANSWERS)
        if isinstance(answer, HangingAnswer):
            await self.gate.wait()
            answer = answer.answer
        return answer

    def _tools(self) -> Sequence[Tool]:
        async def do(how: How, context: ToolContext) -> str:
            self.effects[context.call_id] += 1
            match how:
                case How.FAILS:
                    raise ToolFailed("it did not work")
                case How.RAISES:
                    raise ValueError("it broke")
                case How.CANCELS:
                    raise asyncio.CancelledError
                case How.HANGS:
                    await self.gate.wait()
                case How.WORKS:
                    await asyncio.sleep(0)
            return "done"

        @tool(reads_only=False)
        async def act(how: How, context: ToolContext) -> str:
            return await do(how, context)

        @tool(reads_only=False, parallel=True)
        async def beside(how: How, context: ToolContext) -> str:
            return await do(how, context)

        @tool(reads_only=True)
        async def look(how: How, context: ToolContext) -> str:
            return await do(how, context)

        @tool(reads_only=True, repeatable=False, parallel=False)
        async def plan(how: How, context: ToolContext) -> ToolResult:
            return ToolResult(content=await do(how, context), todos=(Todo(id="1", title="it"),))

        return act, beside, look, plan


async def persist(ask: Callable[[], Awaitable[object]]) -> None:
    """Ask again as long as the journal refuses: whoever got no answer does so."""
    while True:
        with suppress(Unavailable):
            await ask()
            return


async def spin(rounds: int) -> None:
    """Let the event loop go round so often."""
    for _ in range(rounds):
        await asyncio.sleep(0)


class AgentMachine(RuleBasedStateMachine):
    """Things happen to an agent in any order; now and then it is left alone until it rests."""

    workspaces = Path()

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.sent = 0

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        async def start() -> House:
            house = House(seed, self.workspaces)
            await house.open()
            return house

        self.house = self.loop.run(start())

    def teardown(self) -> None:
        try:
            if hasattr(self, "house"):
                self.everybody_leaves_it_alone()
                self.loop.run(self.house.close())
        finally:
            self.loop.close()

    # --- what happens ----------------------------------------------------------------------------

    @rule(script=st.lists(answers, min_size=1, max_size=4))
    def the_model_will_answer(self, script: list[Any]) -> None:
        self.house.script += script

    @rule(rounds=st.integers(0, 40))
    def a_while_passes(self, rounds: int) -> None:
        self._do(spin(rounds))

    @rule(rounds=st.integers(0, 10))
    def a_message_comes(self, rounds: int) -> None:
        self.sent += 1
        self._start(self.house.send(f"m{self.sent}"), rounds)

    @rule(rounds=st.integers(0, 10))
    def a_message_comes_again(self, rounds: int) -> None:
        if self.sent:
            self._start(self.house.send(f"m{self.sent}"), rounds)

    @rule(rounds=st.integers(0, 10))
    def somebody_interrupts(self, rounds: int) -> None:
        self._start(persist(self.house.agent.interrupt), rounds)

    @rule(decision=st.sampled_from(["allow", "deny"]), twice=st.booleans())
    def somebody_decides(self, decision: Any, twice: bool) -> None:
        async def decide(call_id: str) -> bool:
            try:
                await persist(lambda: self.house.agent.decide(call_id, decision))
            except AlreadyDecided:
                return False
            return True

        async def decide_together() -> None:
            for approval in (await self.house.agent.status()).approvals[:2]:
                times = 2 if twice else 1
                took = await asyncio.gather(*(decide(approval.call_id) for _ in range(times)))
                assert sum(took) <= 1

        self._do(decide_together())

    @rule()
    def what_hangs_goes_on(self) -> None:
        self.house.open_gate()

    @rule(seconds=st.sampled_from([1, 60, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.house.clock.advance(seconds)

    @rule(
        mode=st.sampled_from(Mode),
        tools=st.sampled_from([POST.tools, POST.tools[1:]]),
    )
    def the_post_is_changed(self, mode: Mode, tools: tuple[str, ...]) -> None:
        self.house.post = replace(POST, tools=tools, permissions=Permissions(mode=mode))

    @rule(fault=st.sampled_from(Fault))
    def the_journal_will_refuse(self, fault: Fault) -> None:
        self.house.disturbed = True
        self.house.journal.faults.append(fault)

    @rule(rounds=st.integers(0, 20))
    def it_is_parked(self, rounds: int) -> None:
        self._do(spin(rounds))
        self._do(self.house.settle(self.house.agent.park()))
        self.house.parked = True

    @rule()
    def the_pool_looks_around(self) -> None:
        """Who was not used for long is put away, and that cuts nothing off."""
        self._do(self.house.runtime._pool.look(AGENT))

    @rule()
    def it_is_put_away(self) -> None:
        async def put_away() -> None:
            self.house.disturbed = True
            await self.house.runtime.put_away(AGENT)
            self.house.agent = await self.house.runtime.agent(AGENT)

        self._do(put_away())

    @rule()
    def another_process_takes_over(self) -> None:
        async def take_over() -> None:
            self.house.disturbed = True
            self.house.former.append(self.house.runtime)
            await self.house.open()

        self._do(take_over())

    @rule()
    def the_former_process_ends(self) -> None:
        async def end() -> None:
            await self.house.former.pop().__aexit__(None, None, None)

        if self.house.former:
            self._do(end())

    # --- what must hold --------------------------------------------------------------------------

    @rule()
    def everybody_leaves_it_alone(self) -> None:
        state = self._do(self.house.rest())
        events = self._do(self.house.events())
        status = self._do(self.house.agent.status())
        context = whole.fold(events)
        assert self._do(self.house.agent._life.ledger()).context == context
        assert status.state is state is context.state
        whole.check_rest(context)
        whole.check_calls(events, context, self.house.effects, repeatable=("look",))
        whole.check_turns(events, context)
        whole.check_messages(events, context, self.house.accepted)
        whole.check_conversation(context)
        whole.check_points(events, context)
        if not self.house.disturbed:
            assert not whole.bodies(events, AgentResumed), "parking cuts nothing off"

    @rule()
    def an_interrupt_brings_it_to_rest(self) -> None:
        async def interrupt() -> AgentState:
            await self.house.settle(self.house.journal.calm())
            await self.house.settle(asyncio.gather(*self.house.tasks))
            self.house.tasks.clear()
            await self.house.settle(self.house.agent.interrupt())
            try:
                return await self.house.rest_once()
            except Unavailable:  # of a write that failed before, when nothing was open any more
                return (await self.house.agent.status()).state

        assert self._do(interrupt()) is AgentState.READY

    def _start(self, work: Coroutine[Any, Any, None], rounds: int) -> None:
        async def start() -> None:
            self.house.tasks.append(asyncio.create_task(work))
            await spin(rounds)

        self._do(start())

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(asyncio.wait_for(work, LONGEST_WAIT))


async def test_whatever_happens_the_journal_tells_a_story_that_holds_together(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # tools and journals that fail are what this is about
    machine = type("Machine", (AgentMachine,), {"workspaces": tmp_path})
    # In a thread: the machine has an event loop of its own.
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=SETTINGS)
