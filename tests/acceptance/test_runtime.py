"""Acceptance: the agent runtime, by the numbers of its page.

Everything goes through the library's public face, on an SQLite file, with a scripted model.
"""

import asyncio
import dataclasses
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests import patience
from tests.patience import PATIENCE

from longhouse.kit.clock import ManualClock
from longhouse.kit.errors import InvalidInput
from longhouse.protocol.events import (
    AgentResumed,
    AgentState,
    ContextCompressed,
    Delta,
    Done,
    DoneReason,
    ErrorRaised,
    Event,
    FileChanged,
    MessageReceived,
    Outcome,
    PermissionDecided,
    PermissionRequired,
    PostFollowed,
    Severity,
    SkillDiscovered,
    StepComplete,
    StepStarted,
    Text,
    TodoChanged,
    ToolCall,
    ToolEnd,
    ToolExecuted,
    ToolStart,
    Usage,
)
from longhouse.runtime.agent import (
    Agent,
    AgentExists,
    AlreadyDecided,
    Unanswered,
)
from longhouse.runtime.delegation import DEEPEST, sub_agent_id
from longhouse.runtime.hooks import (
    BeforeModel,
    BeforeTool,
    Change,
    Deny,
    Hook,
    ModelUse,
    Supply,
    ToolUse,
)
from longhouse.runtime.journals.base import NoSuchPoint, UnknownAgent
from longhouse.runtime.journals.sqlite import SQLiteJournal
from longhouse.runtime.model import (
    AssistantMessage,
    ModelRefused,
    ModelRequest,
    ModelResponse,
    ModelUnavailable,
    ToolMessage,
    UserMessage,
)
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import (
    ScriptedModel,
    call,
    calls,
    hang,
    malformed,
    say,
    think,
)
from longhouse.runtime.moments import (
    NoSuchSnapshot,
    NotForkable,
    SnapshotExists,
)
from longhouse.runtime.posts import (
    DEFAULT_TOOLS,
    Limits,
    Mode,
    Permissions,
    Post,
    Rule,
    Verdict,
)
from longhouse.runtime.retry import ATTEMPTS
from longhouse.runtime.runtime import Runtime
from longhouse.runtime.sandbox.base import Sandbox
from longhouse.runtime.sandbox.choose import choose
from longhouse.runtime.sandbox.refuse import Refuse
from longhouse.runtime.tools.base import Tool, ToolFailed, ToolResult, tool

NO_SANDBOX = Refuse("this test runs no commands", hint="")
AUTO = Permissions(mode=Mode.AUTO)


class House:
    """A folder in which runtimes can be started, stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock: ManualClock | None = None
        self._stack = AsyncExitStack()

    async def runtime(
        self,
        steps: Any,
        *tools: Tool,
        permissions: Permissions = AUTO,
        limits: Limits | None = None,
        names: tuple[str, ...] = DEFAULT_TOOLS,
        prompt: str = "You are a test.",
        hooks: tuple[Hook, ...] = (),
        sandbox: Sandbox = NO_SANDBOX,
        record: bool = True,
        posts: list[Post] | None = None,
        pool_size: int = 1_000,
    ) -> tuple[Runtime, ScriptedModel]:
        """A runtime on the folder's journal whose only post is `worker`."""
        model = steps if isinstance(steps, ScriptedModel) else ScriptedModel(steps, record=record)
        post = Post(
            name="worker",
            prompt=prompt,
            tools=(*names, *(tool.name for tool in tools)),
            permissions=permissions,
            limits=limits or Limits(),
        )
        runtime = Runtime(
            journal=SQLiteJournal(self.folder / "agents.db"),
            models=FixedModels(model),
            posts=posts or [post],
            tools=tools,
            sandbox=sandbox,
            workspaces=self.folder / "workspaces",
            hooks=hooks,
            clock=self.clock,
            pool_size=pool_size,
            grace_seconds=0,  # what hangs here never comes to a safe point
        )
        return await self._stack.enter_async_context(runtime), model

    async def agent(self, steps: Any, *tools: Tool, **how: Any) -> tuple[Agent, ScriptedModel]:
        """The agent `a` on a new runtime."""
        runtime, model = await self.runtime(steps, *tools, **how)
        return await runtime.agent("a", post="worker"), model

    async def stop(self) -> None:
        """End every runtime, cutting off what runs."""
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    def workspace(self, agent_id: str = "a") -> Path:
        """Where the agent works."""
        path = self.folder / "workspaces" / hashlib.sha256(agent_id.encode()).hexdigest()[:32]
        path.mkdir(parents=True, exist_ok=True)
        return path


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    yield made
    await made.stop()


async def journal_of(agent: Agent) -> list[Event]:
    """All events so far."""
    last = (await agent.status()).seq
    events: list[Event] = []
    async with aclosing(agent.subscribe()) as stream:
        async for event in stream:
            assert isinstance(event, Event)
            events.append(event)
            if event.seq >= last:
                break
    return events


def bodies(events: list[Event], *kinds: type) -> list[Any]:
    return [event.body for event in events if isinstance(event.body, kinds)]


async def until(agent: Agent, kind: type, *, count: int = 1) -> Any:
    """The `count`-th event of a kind, as soon as it is there."""
    found = []
    async with asyncio.timeout(PATIENCE):
        async with aclosing(agent.subscribe()) as stream:
            async for event in stream:
                assert isinstance(event, Event)
                if isinstance(event.body, kind):
                    found.append(event.body)
                    if len(found) == count:
                        return event.body
    raise AssertionError("the stream ended")


def results(request: ModelRequest) -> list[ToolMessage]:
    return [message for message in request.messages if isinstance(message, ToolMessage)]


@tool(reads_only=True)
async def look(thing: str) -> str:
    """Look at a thing."""
    return f"a {thing}"


@tool(reads_only=False)
async def change(thing: str) -> str:
    """Change a thing."""
    return f"changed {thing}"


# 1
async def test_01_a_new_agent_is_ready_at_step_zero_with_its_metadata(house: House) -> None:
    runtime, _ = await house.runtime([])

    agent = await runtime.agent("a", post="worker", metadata={"team": "red"})

    status = await agent.status()
    assert (status.state, status.step, status.turn) == (AgentState.READY, 0, 0)
    assert (status.post, status.metadata) == ("worker", {"team": "red"})
    await house.stop()
    runtime, _ = await house.runtime([])
    assert (await (await runtime.agent("a")).status()).metadata == {"team": "red"}


# 2
async def test_02_the_second_model_call_sees_all_prior_messages_in_order(house: House) -> None:
    agent, model = await house.agent([say("one"), say("two")])

    await agent.send("first")
    await agent.rest()
    await agent.send("second")
    await agent.rest()

    seen = [
        message.text if isinstance(message, UserMessage) else message.blocks[0].text  # type: ignore[union-attr]
        for message in model.requests[1].messages
    ]
    assert seen == ["first", "one", "second"]


# 3
async def test_03_a_tool_call_is_told_from_start_to_one_done(house: House) -> None:
    agent, model = await house.agent([call("look", thing="house"), say("It is a house.")], look)

    await agent.send("what is it?")
    await agent.rest()

    events = await journal_of(agent)
    kinds = [event.type for event in events]
    order = ["message", "tool_call", "tool_start", "tool_end", "tool_executed", "text", "done"]
    assert [kind for kind in kinds if kind in order] == order
    assert kinds.count("done") == 1
    assert results(model.requests[1])[0].content == "a house"
    assert bodies(events, Done)[0].reason is DoneReason.COMPLETED
    assert bodies(events, ToolExecuted)[0].outcome is Outcome.OK


# 4
async def test_04_an_unknown_tool_is_a_failed_result_and_the_turn_goes_on(house: House) -> None:
    agent, model = await house.agent([call("fly", to="moon"), say("I cannot fly.")], look)

    await agent.send("fly")
    await agent.rest()

    result = results(model.requests[1])[0]
    assert result.outcome is Outcome.INVALID
    assert "fly" in result.content
    assert "look" in result.content
    assert bodies(await journal_of(agent), Done)[0].reason is DoneReason.COMPLETED


# 5
async def test_05_arguments_that_violate_the_schema_reach_the_model_and_not_the_tool(
    house: House,
) -> None:
    ran = []

    @tool
    async def count(number: int) -> str:
        """Count."""
        ran.append(number)
        return "counted"

    steps = [
        calls(call("count", number="many"), call("count"), malformed("count", "{not json")),
        say("I see."),
    ]
    agent, model = await house.agent(steps, count)

    await agent.send("count")
    await agent.rest()

    wrong, missing, broken = results(model.requests[1])
    assert ran == []
    assert "number" in wrong.content
    assert "integer" in wrong.content
    assert "required" in missing.content.lower()
    assert "JSON" in broken.content


# 6
async def test_06_a_list_of_strings_is_accepted_as_declared(house: House) -> None:
    got = []

    @tool
    async def tag(names: list[str]) -> str:
        """Tag."""
        got.append(names)
        return "tagged"

    agent, model = await house.agent([call("tag", names=["a", "b"]), say("ok")], tag)

    await agent.send("tag")
    await agent.rest()

    assert got == [["a", "b"]]
    assert results(model.requests[1])[0].outcome is Outcome.OK


# 7
async def test_07_a_tool_that_raises_is_an_error_result_and_a_warning(house: House) -> None:
    @tool
    async def shaky(how: str) -> str:
        """Fail."""
        if how == "politely":
            raise ToolFailed("try later", retryable=True)
        raise ZeroDivisionError("oh")

    steps = [calls(call("shaky", how="politely"), call("shaky", how="rudely")), say("hm"), say("x")]
    agent, model = await house.agent(steps, shaky)

    await agent.send("go")
    await agent.rest()

    events = await journal_of(agent)
    polite, rude = bodies(events, ToolEnd)
    assert (polite.outcome, polite.retryable) == (Outcome.ERROR, True)
    assert (rude.outcome, rude.retryable) == (Outcome.ERROR, False)
    assert "try later" in polite.content
    assert "ZeroDivisionError" in rude.content
    warnings = bodies(events, ErrorRaised)
    assert [(one.phase, one.severity) for one in warnings] == [("tool", Severity.WARNING)] * 2
    await agent.send("still there?")
    assert await agent.rest() is AgentState.READY
    assert model.calls == 3


# 8
async def test_08_four_calls_with_a_limit_of_three_run_three_at_once_and_answer_in_order(
    house: House,
) -> None:
    running, most = 0, 0
    gates = {name: asyncio.Event() for name in "abcd"}
    full = asyncio.Event()

    @tool(reads_only=True)
    async def wait(name: str) -> str:
        """Wait."""
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        await gates[name].wait()
        running -= 1
        return name

    agent, model = await house.agent(
        [calls(*(call("wait", name=name) for name in "abcd")), say("ok")],
        wait,
        limits=Limits(parallel_tools=3),
    )

    await agent.send("go")
    await asyncio.wait_for(full.wait(), PATIENCE)
    for name in "cba":  # the last that began ends first
        gates[name].set()
    gates["d"].set()
    await agent.rest()

    assert most == 3
    assert [result.content for result in results(model.requests[1])] == ["a", "b", "c", "d"]


# 9
async def test_09_nothing_runs_before_an_approval_and_a_denial_tells_the_note(
    house: House,
) -> None:
    ran = []

    @tool
    async def deploy(to: str) -> str:
        """Deploy."""
        ran.append(to)
        return f"deployed to {to}"

    steps = [
        calls(call("deploy", to="test", call_id="c1"), call("deploy", to="prod", call_id="c2")),
        say("done"),
    ]
    agent, model = await house.agent(steps, deploy, permissions=Permissions(mode=Mode.ASK))

    await agent.send("deploy")
    assert await agent.rest() is AgentState.WAITING
    assert ran == []
    waiting = (await agent.status()).approvals
    assert [(one.call_id, one.arguments) for one in waiting] == [
        ("c1", {"to": "test"}),
        ("c2", {"to": "prod"}),
    ]

    await agent.decide("c1", "allow")
    await agent.decide("c2", "deny", note="not on a Friday", by="ann")
    assert await agent.rest() is AgentState.READY

    assert ran == ["test"]
    allowed, denied = results(model.requests[1])
    assert allowed.content == "deployed to test"
    assert denied.outcome is Outcome.DENIED
    assert "not on a Friday" in denied.content


# 10
@pytest.mark.parametrize(
    ("rules", "mode", "outcome"),
    [
        (("deny", "allow", "ask"), Mode.AUTO, Verdict.DENY),
        (("ask", "allow", "deny"), Mode.AUTO, Verdict.DENY),
        (("ask", "allow"), Mode.READ_ONLY, Verdict.ALLOW),
        (("ask",), Mode.AUTO, Verdict.ASK),
        ((), Mode.AUTO, Verdict.ALLOW),
        ((), Mode.ASK, Verdict.ASK),
    ],
)
async def test_10_deny_beats_allow_beats_ask_beats_mode(
    house: House, rules: tuple[str, ...], mode: Mode, outcome: Verdict
) -> None:
    permissions = Permissions(
        mode=mode,
        rules=tuple(Rule(verdict=Verdict(verdict), pattern="change") for verdict in rules),
    )
    agent, _ = await house.agent(
        [call("change", thing="x"), say("ok")], change, permissions=permissions
    )

    await agent.send("go")
    state = await agent.rest()

    ends = bodies(await journal_of(agent), ToolEnd)
    match outcome:
        case Verdict.ASK:
            assert state is AgentState.WAITING
        case Verdict.DENY:
            assert ends[0].outcome is Outcome.DENIED
        case Verdict.ALLOW:
            assert ends[0].outcome is Outcome.OK


# 11
async def test_11_read_only_denies_writers_allows_readers_and_asks_about_the_rest(
    house: House,
) -> None:
    @tool
    async def unknown(thing: str) -> str:
        """Nobody said whether this reads or writes."""
        return thing

    steps = [
        calls(call("look", thing="a"), call("change", thing="b"), call("unknown", thing="c")),
        say("ok"),
    ]
    agent, _ = await house.agent(
        steps, look, change, unknown, permissions=Permissions(mode=Mode.READ_ONLY)
    )

    await agent.send("go")
    state = await agent.rest()

    events = await journal_of(agent)
    assert state is AgentState.WAITING
    assert {end.name: end.outcome for end in bodies(events, ToolEnd)} == {
        "look": Outcome.OK,
        "change": Outcome.DENIED,
    }
    assert [required.name for required in bodies(events, PermissionRequired)] == ["unknown"]


# 12
async def test_12_a_second_decision_on_the_same_call_is_an_error_and_runs_nothing(
    house: House,
) -> None:
    ran = []

    @tool
    async def once(thing: str) -> str:
        """Do it."""
        ran.append(thing)
        return "done"

    agent, _ = await house.agent(
        [call("once", thing="x", call_id="c1"), say("ok")],
        once,
        permissions=Permissions(mode=Mode.ASK),
    )
    await agent.send("go")
    await agent.rest()

    decisions = await asyncio.gather(
        *(agent.decide("c1", "allow") for _ in range(5)), return_exceptions=True
    )
    await agent.rest()
    with pytest.raises(AlreadyDecided):
        await agent.decide("c1", "deny")
    await agent.rest()

    assert sum(decision is None for decision in decisions) == 1
    assert sum(isinstance(decision, AlreadyDecided) for decision in decisions) == 4
    assert ran == ["x"]


# 13
async def test_13_a_before_hook_supplies_the_result_and_after_hooks_apply_in_order(
    house: House,
) -> None:
    ran = []

    @tool
    async def slow(thing: str) -> str:
        """Take long."""
        ran.append(thing)
        return thing

    class Cache(Hook):
        async def before_tool(self, call: ToolUse) -> BeforeTool:
            hit = call.arguments["thing"] == "known"
            return Supply(ToolResult(content="from the cache")) if hit else None

    class Suffix(Hook):
        def __init__(self, suffix: str) -> None:
            self.suffix = suffix

        async def after_tool(self, call: ToolUse, result: ToolResult) -> ToolResult:
            return ToolResult(content=result.content + self.suffix)

    agent, model = await house.agent(
        [calls(call("slow", thing="known"), call("slow", thing="new")), say("ok")],
        slow,
        hooks=(Cache(), Suffix("1"), Suffix("2")),
    )

    await agent.send("go")
    await agent.rest()

    assert ran == ["new"]
    assert [result.content for result in results(model.requests[1])] == ["from the cache", "new12"]


class Masked(Hook):
    """Takes a word out of every answer."""

    def __init__(self, word: str) -> None:
        self.word = word

    async def after_model(self, call: ModelUse, response: ModelResponse) -> ModelResponse:
        blocks = tuple(
            replace(block, text=block.text.replace(self.word, "…"))
            if isinstance(block, Text)
            else block
            for block in response.blocks
        )
        return ModelResponse(blocks=blocks, usage=Usage(), model="nobody", finish=response.finish)


async def test_13_a_hook_changes_what_the_model_is_asked_and_denies_by_failing_the_turn(
    house: House,
) -> None:
    class Guard(Hook):
        async def before_model(self, call: ModelUse) -> BeforeModel:
            last = call.request.messages[-1]
            assert isinstance(last, UserMessage)
            if "forbidden" in last.text:
                return Deny("not about that")
            return Change(dataclasses.replace(call.request, system="Be brief."))

    class Second(Hook):
        async def before_model(self, call: ModelUse) -> BeforeModel:
            seen.append((call.model, call.request.system))
            return None

    seen: list[tuple[str, str]] = []
    agent, model = await house.agent([say("ok"), say("still here")], hooks=(Guard(), Second()))

    assert await agent.ask("hello") == "ok"
    with pytest.raises(Unanswered, match="not about that"):
        await agent.ask("something forbidden")
    assert await agent.ask("and now?") == "still here"

    assert [request.system for request in model.requests] == ["Be brief."] * 2
    assert seen == [("scripted", "Be brief.")] * 2
    (problem,) = bodies(await journal_of(agent), ErrorRaised)
    assert (problem.phase, problem.severity) == ("model", Severity.ERROR)


async def test_13_a_hook_supplies_an_answer_and_the_model_is_not_called(house: House) -> None:
    class Cache(Hook):
        async def before_model(self, call: ModelUse) -> BeforeModel:
            known = (ToolCall(step=9, call_id="c", name="look", arguments={"thing": "x"}),)
            if len(call.request.messages) == 1:
                return Supply(ModelResponse(blocks=known, usage=Usage(), model="cache"))
            return None

    agent, model = await house.agent([say("seen")], look, hooks=(Cache(),))

    assert await agent.ask("look") == "seen"

    assert model.calls == 1
    events = await journal_of(agent)
    assert [one.step for one in bodies(events, ToolCall)] == [1]
    assert [one.model for one in bodies(events, StepComplete)] == ["cache", "scripted"]


async def test_13_what_a_hook_makes_of_an_answer_is_kept_and_the_original_is_not_shown(
    house: House,
) -> None:
    agent, model = await house.agent(
        [say("the secret word is plum"), say("bye")], hooks=(Masked("plum"), Masked("secret"))
    )
    shown: list[Event | Delta] = []
    async with asyncio.timeout(30), aclosing(agent.subscribe(deltas=True)) as items:
        shown.append(await anext(items))  # it has begun: from here on nothing escapes it
        assert await agent.ask("tell me") == "the … word is …"
        async for item in items:
            shown.append(item)
            if isinstance(item, Event) and isinstance(item.body, Done):
                break
    await agent.ask("bye")

    assert [item for item in shown if isinstance(item, Delta)] == []
    assert model.requests[1].messages[1] == AssistantMessage(
        (Text(step=1, text="the … word is …"),)
    )
    events = await journal_of(agent)
    assert "plum" not in str(events)
    assert bodies(events, StepComplete)[0].model == "scripted"
    assert (await agent.status()).usage == model._usage + model._usage


async def test_13_a_hook_on_the_model_that_fails_lets_nothing_pass(house: House) -> None:
    class Broken(Hook):
        async def before_model(self, call: ModelUse) -> BeforeModel:
            if self.before:
                raise ZeroDivisionError("oh")
            return None

        async def after_model(self, call: ModelUse, response: ModelResponse) -> ModelResponse:
            raise ZeroDivisionError("oh")

        before = True

    hook = Broken()
    agent, model = await house.agent([say("unheard")], hooks=(hook,))

    with pytest.raises(Unanswered, match="hook on the model call failed"):
        await agent.ask("hello")
    assert model.calls == 0
    hook.before = False
    with pytest.raises(Unanswered, match="hook on the model call failed"):
        await agent.ask("hello")

    assert model.calls == 1
    assert bodies(await journal_of(agent), Text) == []
    assert (await agent.status()).usage.input > 0  # it was used, and is told


# 14
async def test_14_a_subscription_has_only_its_kinds_and_each_event_after_its_bookmark_once(
    house: House,
) -> None:
    steps = [call("look", thing=str(place)) for place in range(30)]
    agent, _ = await house.agent([*steps, say("ok")], look, limits=Limits(identical_calls=99))
    await agent.send("go")
    bookmark = 12

    async def follow(*channels: str, types: list[str] | None = None) -> list[Event]:
        events = []
        stream = agent.subscribe(*channels, since=bookmark, types=types)
        async with aclosing(stream) as items:
            async for event in items:
                assert isinstance(event, Event)
                events.append(event)
                if event.type == "done":
                    return events
        raise AssertionError("the stream ended")

    everything, ends = await asyncio.wait_for(
        asyncio.gather(follow(), follow("progress", types=["tool_end", "done"])), PATIENCE
    )

    last = (await agent.status()).seq
    assert [event.seq for event in everything] == list(range(bookmark + 1, everything[-1].seq + 1))
    assert everything[-1].seq <= last
    assert {event.type for event in ends} == {"tool_end", "done"}
    assert [event for event in everything if event.type in {"tool_end", "done"}] == ends


# 15
async def test_15_a_fork_has_only_the_snapshots_past_and_outlives_its_parent(
    house: House,
) -> None:
    runtime, model = await house.runtime(
        [say("one"), say("two"), say("two, otherwise"), say("three")]
    )
    agent = await runtime.agent("a", post="worker", metadata={"team": "x"})
    await agent.ask("first")
    taken = await agent.snapshot("before-refactor")
    await agent.ask("second")
    before = await journal_of(agent)

    fork = await agent.fork(at="before-refactor", id="b")

    assert (await fork.status()).seq == taken.at + 1
    assert (await journal_of(fork))[: taken.at] == before[: taken.at]
    assert await fork.ask("second, otherwise") == "two, otherwise"
    assert [m.text for m in model.requests[2].messages if isinstance(m, UserMessage)] == [
        "first",
        "second, otherwise",
    ]
    status = await fork.status()
    (lineage,) = status.lineage
    assert (lineage.parent, lineage.at, lineage.snapshot) == ("a", taken.at, "before-refactor")
    assert status.metadata == {"team": "x"}
    assert await journal_of(agent) == before
    assert (await agent.status()).lineage == ()

    past = await journal_of(fork)
    await runtime.delete("a")
    with pytest.raises(UnknownAgent):
        await runtime.agent("a")
    assert await journal_of(fork) == past
    await house.stop()
    again, _ = await house.runtime([say("three")])
    assert await (await again.agent("b")).ask("third") == "three"


async def test_15_a_fork_begins_at_any_safe_point_and_is_refused_at_others(house: House) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    @tool
    async def work(thing: str) -> str:
        """Work."""
        began.set()
        await go_on.wait()
        return "worked"

    agent, model = await house.agent(
        [call("work", thing="x"), say("done"), say("another way")], work
    )
    await agent.send("go")
    await asyncio.wait_for(began.wait(), PATIENCE)

    with pytest.raises(NotForkable, match="tool call is open") as refused:
        await agent.fork(id="b")
    with pytest.raises(NotForkable):
        await agent.snapshot("in the middle")
    go_on.set()
    await agent.rest()
    events = await journal_of(agent)
    (asked,) = [event.seq for event in events if isinstance(event.body, ToolCall)]
    (ended,) = [event.seq for event in events if isinstance(event.body, ToolEnd)]
    assert refused.value.hint is not None
    assert f"event {asked - 1}," in refused.value.hint

    half_told = [event.seq for event in events if isinstance(event.body, Text)]
    forkable = [event.seq for event in events if (await agent.at(event.seq)).forkable]
    assert forkable == [
        *range(1, asked),
        *range(ended, half_told[0]),
        *range(half_told[-1] + 1, len(events) + 1),
    ]
    # In the middle of the turn, after the result: the fork does not go on with it by itself.
    fork = await agent.fork(at=ended, id="b")
    assert await asyncio.wait_for(fork.rest(), PATIENCE) is AgentState.READY
    assert model.calls == 2
    assert await fork.ask("try another way") == "another way"
    assert len(results(model.requests[2])) == 1
    dones = bodies(await journal_of(fork), Done)
    assert [done.reason for done in dones] == [DoneReason.INTERRUPTED, DoneReason.COMPLETED]


async def test_15_a_snapshots_or_forks_name_is_given_once_and_must_be_there(house: House) -> None:
    agent, _ = await house.agent([say("one")])
    await agent.ask("go")
    await agent.snapshot("s")
    fork = await agent.fork()

    with pytest.raises(SnapshotExists):
        await agent.snapshot("s")
    with pytest.raises(NoSuchSnapshot):
        await agent.fork(at="t")
    with pytest.raises(NoSuchPoint):
        await agent.fork(at=99)
    with pytest.raises(AgentExists):
        await agent.fork(id="a")
    for name in ("", " ", "x" * 129, "a\nb"):
        with pytest.raises(InvalidInput):
            await agent.snapshot(name)
    with pytest.raises(SnapshotExists):
        await fork.snapshot("s")  # its past has one


async def test_15_the_state_at_any_number_is_what_it_was(house: House) -> None:
    agent, _ = await house.agent([call("look", thing="cat"), say("a cat")], look)
    seen = []
    async with aclosing(agent.subscribe()) as stream:
        await agent.send("look")
        async for event in stream:
            assert isinstance(event, Event)
            seen.append(event.seq)
            if isinstance(event.body, Done):
                break
    await agent.rest()
    now = await agent.status()
    await agent.snapshot("end")

    for seq in seen:
        moment = await agent.at(seq)
        assert moment.status.seq == seq
    assert (await agent.at(now.seq)).status == now
    assert (await agent.at("end")).status == now
    assert (await agent.at(1)).messages == ()
    assert [type(message).__name__ for message in (await agent.at(now.seq)).messages] == [
        "UserMessage",
        "AssistantMessage",
        "ToolMessage",
        "AssistantMessage",
    ]
    with pytest.raises(NoSuchPoint):
        await agent.at(0)


async def test_15_deleting_an_agent_deletes_its_sub_agents(house: House) -> None:
    boss = Post(name="worker", tools=("task_run",), permissions=AUTO)
    helper = Post(name="helper", tools=(), permissions=AUTO)
    steps = [call("task_run", post="helper", prompt="help"), say("helped"), say("done")]
    runtime, _ = await house.runtime(steps, posts=[boss, helper])
    agent = await runtime.agent("a", post="worker")
    await agent.ask("go")
    (asked,) = bodies(await journal_of(agent), ToolCall)
    sub_agent = sub_agent_id("a", asked.call_id)
    await runtime.agent(sub_agent)
    await runtime.put_away(sub_agent)

    await runtime.delete("a")

    with pytest.raises(UnknownAgent):
        await runtime.agent(sub_agent)
    with pytest.raises(UnknownAgent):
        await runtime.delete("a")


# 16
async def test_16_a_restart_keeps_messages_todos_post_and_permissions_and_no_number_twice(
    house: House,
) -> None:
    todos = [{"id": "1", "title": "look"}, {"id": "2", "title": "change"}]
    asking = Permissions(mode=Mode.ASK)
    steps = [call("todo_write", todos=todos), say("planned")]
    agent, _ = await house.agent(steps, change, permissions=asking)
    await agent.send("plan")
    await agent.rest()
    before, seen = await agent.status(), await journal_of(agent)
    await house.stop()

    agent, model = await house.agent(
        [call("change", thing="x"), say("ok")], change, permissions=asking
    )
    after = await agent.status()
    await agent.send("go on")
    state = await agent.rest()

    assert (after.todos, after.post, after.seq) == (before.todos, before.post, before.seq)
    assert [todo.title for todo in after.todos] == ["look", "change"]
    assert [type(message).__name__ for message in model.requests[0].messages] == [
        "UserMessage",
        "AssistantMessage",
        "ToolMessage",
        "AssistantMessage",
        "UserMessage",
    ]
    assert state is AgentState.WAITING
    events = await journal_of(agent)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[: len(seen)] == seen


# 17
async def test_17_an_approval_outlives_the_process(house: House) -> None:
    ran = []

    @tool
    async def deploy(to: str) -> str:
        """Deploy."""
        ran.append(to)
        return "deployed"

    asking = Permissions(mode=Mode.ASK)
    agent, _ = await house.agent(
        [call("deploy", to="prod", call_id="c1")], deploy, permissions=asking
    )
    await agent.send("deploy")
    await agent.rest()
    await house.stop()

    agent, model = await house.agent([say("deployed it")], deploy, permissions=asking)
    assert await agent.rest() is AgentState.WAITING
    assert [one.call_id for one in (await agent.status()).approvals] == ["c1"]
    await agent.decide("c1", "allow")
    assert await agent.rest() is AgentState.READY

    assert ran == ["prod"]
    assert results(model.requests[0])[0].content == "deployed"


# 18: the processes that are really killed are in tests/runtime/test_crashes.py
async def test_18_a_call_that_was_cut_off_is_sealed_or_repeated_and_a_finished_one_keeps_its_result(
    house: House,
) -> None:
    ran: list[str] = []
    stuck = asyncio.Event()

    def tools() -> list[Tool]:
        async def work(name: str, *, first: bool) -> str:
            ran.append(name)
            if name.startswith("stuck") and first:
                if sum(one.startswith("stuck") for one in ran) == 2:
                    stuck.set()
                await asyncio.Event().wait()
            return f"did {name}"

        first = not ran

        @tool(repeatable=False, parallel=True)
        async def once(name: str) -> str:
            """Has an effect."""
            return await work(name, first=first)

        @tool(repeatable=True, parallel=True)
        async def again(name: str) -> str:
            """May run twice."""
            return await work(name, first=first)

        return [once, again]

    answer = calls(
        call("once", name="quick"), call("once", name="stuck once"), call("again", name="stuck")
    )
    agent, _ = await house.agent([answer], *tools())
    await agent.send("go")
    await asyncio.wait_for(stuck.wait(), PATIENCE)
    await until(agent, ToolEnd)
    await house.stop()

    agent, model = await house.agent([say("I see")], *tools())
    assert await agent.rest() is AgentState.READY

    quick, sealed, repeated = results(model.requests[0])
    assert quick.content == "did quick"
    assert sealed.outcome is Outcome.SEALED
    assert "may have happened" in sealed.content
    assert repeated.content == "did stuck"
    assert ran.count("quick") == 1
    assert ran.count("stuck once") == 1
    assert ran.count("stuck") == 2
    events = await journal_of(agent)
    resumed = bodies(events, AgentResumed)[0]
    assert (len(resumed.sealed), len(resumed.repeated)) == (1, 1)
    assert [start.attempt for start in bodies(events, ToolStart) if start.name == "again"] == [1, 2]


# 19
async def test_19_an_accepted_message_is_answered_after_a_crash_before_its_turn(
    house: House,
) -> None:
    agent, _ = await house.agent([hang])
    await agent.send("remember me")
    await house.stop()

    agent, model = await house.agent([say("I do")])
    await agent.rest()

    assert [message.text for message in model.requests[0].messages] == ["remember me"]  # type: ignore[union-attr]
    assert bodies(await journal_of(agent), Done)[0].reason is DoneReason.COMPLETED


# 20
async def test_20_an_interrupt_while_idle_changes_nothing(house: House) -> None:
    agent, _ = await house.agent([say("ok")])
    before = (await agent.status()).seq

    await agent.interrupt()

    assert (await agent.status()).seq == before
    await agent.send("go")
    assert await agent.rest() is AgentState.READY


async def test_20_an_interrupt_during_a_model_stream_aborts_it(house: House) -> None:
    asked = asyncio.Event()

    async def silence(request: ModelRequest) -> Any:
        asked.set()
        return await hang(request)

    agent, model = await house.agent([silence, say("ok")])
    await agent.send("go")
    await asyncio.wait_for(asked.wait(), PATIENCE)

    await agent.interrupt(by="ann")
    await agent.rest()

    assert bodies(await journal_of(agent), Done)[0].reason is DoneReason.INTERRUPTED
    await agent.send("and now?")
    assert await agent.rest() is AgentState.READY
    assert model.calls == 2


async def test_20_an_interrupt_during_a_tool_kills_its_whole_process_group(house: House) -> None:
    sandbox = await choose("off")
    mark = f"7{house.folder.stat().st_ino}"
    command = f"sleep {mark} & sleep {mark}; echo never"
    agent, _ = await house.agent([call("bash_run", command=command), say("ok")], sandbox=sandbox)
    await agent.send("go")
    await until(agent, ToolStart)
    await patience.until(lambda: _processes(mark) >= 2)

    await agent.interrupt()
    await agent.rest()

    assert _processes(mark) == 0
    events = await journal_of(agent)
    assert bodies(events, ToolEnd)[0].outcome is Outcome.INTERRUPTED
    assert bodies(events, Done)[0].reason is DoneReason.INTERRUPTED
    await agent.send("and now?")
    assert await agent.rest() is AgentState.READY


async def test_20_an_interrupt_ends_what_runs_in_the_background_too(house: House) -> None:
    mark = f"8{house.folder.stat().st_ino}"
    steps = [call("bash_run", command=f"sleep {mark} & sleep {mark}", background=True), hang]
    agent, _ = await house.agent(steps, sandbox=await choose("off"))
    await agent.send("go")
    await patience.until(lambda: _processes(mark) == 2)
    await until(agent, ToolEnd)

    await agent.interrupt()
    await agent.rest()

    assert _processes(mark) == 0


async def test_20_an_interrupt_during_a_pending_approval_closes_it(house: House) -> None:
    agent, model = await house.agent(
        [call("change", thing="x", call_id="c1"), say("ok")],
        change,
        permissions=Permissions(mode=Mode.ASK),
    )
    await agent.send("go")
    await agent.rest()

    await agent.interrupt()
    assert await agent.rest() is AgentState.READY

    events = await journal_of(agent)
    assert bodies(events, PermissionDecided)[0].decision == "cancelled"
    assert bodies(events, ToolEnd)[0].outcome is Outcome.INTERRUPTED
    with pytest.raises(AlreadyDecided):
        await agent.decide("c1", "allow")
    await agent.send("and now?")
    assert await agent.rest() is AgentState.READY
    assert results(model.requests[1])[0].outcome is Outcome.INTERRUPTED


def _processes(mark: str) -> int:
    """How many live processes have the mark on their command line."""
    count = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            count += words[:2] == [b"sleep", mark.encode()]
    return count


# 21
async def test_21_a_message_in_mid_turn_comes_after_the_tool_results_and_before_the_next_call(
    house: House,
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    @tool
    async def work(thing: str) -> str:
        """Work."""
        began.set()
        await go_on.wait()
        return "worked"

    agent, model = await house.agent([call("work", thing="x"), say("ok")], work)
    await agent.send("go")
    await asyncio.wait_for(began.wait(), PATIENCE)

    await agent.send("and be quick")
    go_on.set()
    await agent.rest()

    kinds = [type(message).__name__ for message in model.requests[1].messages]
    assert kinds == ["UserMessage", "AssistantMessage", "ToolMessage", "UserMessage"]
    assert model.requests[1].messages[-1] == UserMessage("and be quick")
    assert len(bodies(await journal_of(agent), Done)) == 1


# 22
@pytest.mark.parametrize(
    ("todos", "problem"),
    [
        ([{"id": "1", "title": "a"}, {"id": "1", "title": "b"}], "1"),
        ([{"id": "1", "title": "  "}], "title"),
        (
            [
                {"id": "1", "title": "a", "status": "in_progress"},
                {"id": "2", "title": "b", "status": "in_progress"},
            ],
            "in progress",
        ),
    ],
)
async def test_22_a_wrong_plan_is_refused(
    house: House, todos: list[dict[str, str]], problem: str
) -> None:
    agent, model = await house.agent([call("todo_write", todos=todos), say("ok")])

    await agent.send("plan")
    await agent.rest()

    result = results(model.requests[1])[0]
    assert result.outcome is not Outcome.OK
    assert problem in result.content
    assert await agent.todos() == ()


async def test_22_a_changed_plan_is_told_with_before_and_after(house: House) -> None:
    one = [{"id": "1", "title": "a"}]
    two = [{"id": "1", "title": "a", "status": "completed"}]
    agent, _ = await house.agent(
        [call("todo_write", todos=one), call("todo_write", todos=two), say("ok")]
    )

    await agent.send("plan")
    await agent.rest()

    first, second = bodies(await journal_of(agent), TodoChanged)
    assert (first.before, second.before) == ((), first.after)
    assert second.after[0].status == "completed"
    await house.stop()
    agent, _ = await house.agent([])
    assert await agent.todos() == second.after


# 23
async def test_23_a_file_changed_outside_after_it_was_read_is_not_overwritten(
    house: House,
) -> None:
    path = house.workspace() / "a.txt"
    path.write_text("one\n")

    def outside(request: ModelRequest) -> Any:
        path.write_text("someone else's\n")
        return call("fs_write", path="a.txt", content="mine\n")

    steps = [
        call("fs_read", path="a.txt"),
        outside,
        call("fs_read", path="a.txt"),
        call("fs_write", path="a.txt", content="mine\n"),
        say("ok"),
    ]
    agent, model = await house.agent(steps)

    await agent.send("write")
    await agent.rest()

    ends = bodies(await journal_of(agent), ToolEnd)
    assert [end.outcome for end in ends] == [Outcome.OK, Outcome.ERROR, Outcome.OK, Outcome.OK]
    assert "read" in ends[1].content
    assert path.read_text() == "mine\n"
    assert model.calls == 5


# 24
async def test_24_a_long_context_is_summarised_and_the_whole_history_is_kept(house: House) -> None:
    rounds = 12
    looked = 0

    def answer(request: ModelRequest) -> Any:
        nonlocal looked
        last = request.messages[-1]
        if isinstance(last, UserMessage) and "Write the summary" in last.text:
            return say(f"summary of {len(request.messages) - 1}")
        if looked == rounds:
            return say("finished")
        looked += 1
        return calls(call("look", thing="a" * 400), call("look", thing=f"{looked}" * 400))

    model = ScriptedModel(answer, record=True, usage=Usage())
    limits = Limits(context_tokens=2000)
    agent, _ = await house.agent(model, look, limits=limits, prompt="Look.")

    assert await agent.ask("look at many things") == "finished"

    events = await journal_of(agent)
    marks = bodies(events, ContextCompressed)
    assert len(marks) >= 4
    assert [mark.phase for mark in marks] == ["start", "end"] * (len(marks) // 2)
    assert all(mark.tokens < limits.context_tokens < marks[0].tokens for mark in marks[1::2])
    for request in model.requests:
        whole_pairs(request)
        assert request.tools  # the vendor needs them to read the calls
    assert "summary of" in str(model.requests[-1].messages[0])
    assert len(model.requests[-1].messages) < 10
    # Everything is in the journal, and can be had again.
    assert len(bodies(events, ToolEnd)) == 2 * rounds
    end = next(event for event in events if isinstance(event.body, ContextCompressed))
    before = await agent.at(end.seq)
    assert before.messages[0] == UserMessage("look at many things")
    fork = await agent.fork(at=end.seq, id="b")
    assert (await fork.at((await fork.status()).seq)).messages == before.messages
    # The same events give the same context in another process.
    now = await agent.at((await agent.status()).seq)
    await house.stop()
    again, _ = await house.agent([say("again")], look, limits=limits)
    assert (await again.at((await again.status()).seq)).messages == now.messages


def whole_pairs(request: ModelRequest) -> None:
    """Every call has its result right after it, and every result its call right before."""
    waiting: list[str] = []
    for message in request.messages:
        if isinstance(message, ToolMessage):
            assert waiting.pop(0) == message.call_id
        else:
            assert waiting == []
        if isinstance(message, AssistantMessage):
            waiting = [block.call_id for block in message.blocks if isinstance(block, ToolCall)]
    assert waiting == []


async def test_24_the_size_of_a_context_is_what_the_vendor_counted(house: House) -> None:
    model = ScriptedModel(
        [say("one"), say("two"), say("the summary"), say("three")],
        record=True,
        usage=Usage(input=5000, output=10),
    )
    agent, _ = await house.agent(model, limits=Limits(context_tokens=6000))
    for text in ("first", "second"):
        await agent.ask(text)
    assert bodies(await journal_of(agent), ContextCompressed) == []

    await agent.ask("third " + "x" * 3000)

    start, end = bodies(await journal_of(agent), ContextCompressed)
    assert start.tokens > 6000 > end.tokens
    assert (end.summary, end.summarised + end.kept) == ("the summary", 5)
    assert [type(message) for message in model.requests[-1].messages[-1:]] == [UserMessage]
    assert (await agent.status()).usage.input == 20_000


async def test_24_a_summary_that_fails_or_is_interrupted_changes_nothing(house: House) -> None:
    big = Usage(input=9000, output=10)
    steps: list[Any] = [say("one"), ModelRefused("no key"), hang, say("summary"), say("two")]
    model = ScriptedModel(steps, record=True, usage=big)
    agent, _ = await house.agent(model, limits=Limits(context_tokens=6000))
    await agent.ask("first " + "x" * 9000)

    with pytest.raises(Unanswered, match="no key"):
        await agent.ask("second")
    await agent.send("third")
    await until(agent, ContextCompressed, count=2)
    await agent.interrupt()
    await agent.rest()
    assert len((await agent.at((await agent.status()).seq)).messages) == 4

    assert await agent.ask("fourth") == "two"
    marks = [mark.phase for mark in bodies(await journal_of(agent), ContextCompressed)]
    assert marks == ["start", "start", "start", "end"]


async def test_24_a_single_message_over_the_limit_is_not_summarised(house: House) -> None:
    agent, model = await house.agent([say("long")], limits=Limits(context_tokens=1000))

    assert await agent.ask("x" * 9000) == "long"

    assert model.calls == 1


# 25
async def test_25_of_two_processes_one_is_fenced_and_every_message_is_in_the_journal_once(
    house: House,
) -> None:
    agent, _ = await house.agent([])
    await house.stop()
    openers = [await start_opener(house.folder, name) for name in ("one", "two")]
    for opener in openers:  # opened by both before either sends
        assert await said(opener) == "open"

    for opener in openers:
        tell(opener, "send")
    for opener in openers:
        assert await said(opener) == "sent"
    ends = set()
    for opener in openers:  # the one that was taken over can do nothing more
        tell(opener, "send one more")
        ends.add(await said(opener))
    for opener in openers:
        assert await opener.wait() == 0

    agent, _ = await house.agent(lambda request: say("ok"))
    await agent.rest()
    events = await journal_of(agent)
    assert ends == {"fenced", "rested"}
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    sent = [body.message_id for body in bodies(events, MessageReceived)]
    assert len(sent) == len(set(sent)) == 40
    read = [name for body in bodies(events, StepStarted) for name in body.messages]
    assert sorted(read) == sorted(sent)


async def start_opener(folder: Path, name: str) -> asyncio.subprocess.Process:
    """Another process that opens the agent `a`."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parent / "opener.py"),
        str(folder),
        name,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


def tell(process: asyncio.subprocess.Process, word: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{word}\n".encode())


async def said(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode().strip()


# 26
async def test_26_a_step_of_six_minutes_and_a_message_meanwhile_stall_nothing(
    house: House,
) -> None:
    house.clock = ManualClock()
    began, go_on = asyncio.Event(), asyncio.Event()

    async def think_long(request: ModelRequest) -> ToolCall:
        began.set()
        await go_on.wait()
        return call("fs_glob", pattern="*")

    agent, model = await house.agent([think_long, say("both done")])
    await agent.send("think about it")
    await asyncio.wait_for(began.wait(), PATIENCE)

    house.clock.advance(360)
    await agent.send("and about this")
    go_on.set()

    assert await asyncio.wait_for(agent.rest(), PATIENCE) is AgentState.READY
    assert model.requests[1].messages[-1] == UserMessage("and about this")
    (done,) = bodies(await journal_of(agent), Done)
    assert done.reason is DoneReason.COMPLETED
    assert agent.last_words() == "both done"


# 27
async def test_27_of_three_who_ask_at_once_each_gets_the_answer_to_their_own_message(
    house: House,
) -> None:
    def answer(request: ModelRequest) -> Any:
        last = request.messages[-1]
        if isinstance(last, UserMessage):
            return calls(say(f"looking for {last.text}"), call("fs_glob", pattern=last.text))
        asked = [m.text for m in request.messages if isinstance(m, UserMessage)]
        return say(f"answer to {asked[-1]}")

    agent, _ = await house.agent(answer)

    answers = await asyncio.gather(*(agent.ask(name) for name in ("one", "two", "three")))

    assert answers == ["answer to one", "answer to two", "answer to three"]
    assert len(bodies(await journal_of(agent), Done)) == 3


async def test_27_a_question_during_the_turn_of_another_waits_and_the_same_one_is_asked_once(
    house: House,
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def first(request: ModelRequest) -> Any:
        began.set()
        await go_on.wait()
        return say("first")

    agent, model = await house.agent([first, say("second")])
    asked = asyncio.create_task(agent.ask("one"))
    await asyncio.wait_for(began.wait(), PATIENCE)
    again = asyncio.create_task(agent.ask("two", message_id="m2"))
    await until(agent, MessageReceived, count=2)
    go_on.set()

    assert (await asked, await again) == ("first", "second")
    assert await agent.ask("two", message_id="m2") == "second"
    assert model.calls == 2


async def test_27_whoever_asks_is_told_when_there_will_be_no_answer(house: House) -> None:
    agent, _ = await house.agent([ModelRefused("no key"), hang])

    with pytest.raises(Unanswered, match="no key"):
        await agent.ask("one")
    asking = [asyncio.create_task(agent.ask(name)) for name in ("two", "three")]
    await until(agent, MessageReceived, count=3)
    await until(agent, StepStarted, count=2)
    await agent.interrupt()

    for asked in asking:
        with pytest.raises(Unanswered):
            await asyncio.wait_for(asked, PATIENCE)


async def test_23_a_file_changed_outside_is_told_once_and_again_when_it_changes_again(
    house: House,
) -> None:
    file = house.workspace() / "a.txt"
    file.write_text("first\n")
    steps = [call("fs_read", path="a.txt"), *(say(word) for word in ("1", "2", "3", "4", "5"))]
    agent, _ = await house.agent(steps)
    seen = [hashlib.blake2b(b"first\n", digest_size=16).hexdigest()]

    async def after(content: str | None) -> list[tuple[str, str, str]]:
        if content is None:
            file.unlink()
        else:
            file.write_text(content)
        await agent.send("go on")
        await agent.rest()
        told = bodies(await journal_of(agent), FileChanged)
        return [(body.path, body.before, body.after) for body in told]

    assert await after("first\n") == []
    told = await after("second!\n")
    assert told == [("a.txt", seen[0], told[0][2])]
    assert await after("second!\n") == told
    gone = await after(None)
    assert gone == [*told, ("a.txt", told[0][2], "")]
    assert await after("first\n") == [*gone, ("a.txt", "", seen[0])]


# 28
async def test_28_a_provider_error_is_retried_and_then_a_failed_turn(house: House) -> None:
    waits: list[float] = []

    class Impatient(ManualClock):
        async def sleep(self, seconds: float) -> None:
            waits.append(seconds)

    house.clock = Impatient()
    busy = ModelUnavailable("The model is busy.", retry_after=7)
    agent, model = await house.agent([busy, say("at last"), *[busy] * ATTEMPTS])

    await agent.send("go")
    await agent.rest()
    assert waits == [7]
    await agent.send("again")
    await agent.rest()

    good, bad = bodies(await journal_of(agent), Done)
    assert good.reason is DoneReason.COMPLETED
    assert bad.reason is DoneReason.FAILED
    assert "busy" in bad.detail
    assert model.calls == 2 + ATTEMPTS


async def test_28_an_error_that_no_retry_can_mend_fails_at_once_and_says_what_to_do(
    house: House,
) -> None:
    refused = ModelRefused("The key was refused.", hint="Check OPENAI_API_KEY.")
    agent, model = await house.agent([refused, say("ok")])

    await agent.send("go")
    assert await agent.rest() is AgentState.READY

    events = await journal_of(agent)
    assert bodies(events, Done)[0].reason is DoneReason.FAILED
    assert bodies(events, Done)[0].detail == "The key was refused. Check OPENAI_API_KEY."
    assert bodies(events, ErrorRaised)[0].severity is Severity.ERROR
    assert model.calls == 1
    await agent.send("and now?")
    await agent.rest()
    assert bodies(await journal_of(agent), Done)[1].reason is DoneReason.COMPLETED


# 29
SECRET = "a-secret-of-the-host-0123456789"


async def _attempt(house: House, sandbox: Sandbox, *attempts: ToolCall) -> list[ToolEnd]:
    """What the tools of agent `a` give for each attempt."""
    agent, _ = await house.agent([calls(*attempts), say("ok")], sandbox=sandbox)
    await agent.send("try")
    await agent.rest()
    return bodies(await journal_of(agent), ToolEnd)


def _bash(command: str) -> ToolCall:
    return call("bash_run", command=command)


@pytest.mark.sandbox
async def test_29_nothing_outside_the_workspace_is_read_by_any_tool(
    house: House, protection: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGHOUSE_JWT_SECRET", SECRET)
    host = house.folder / "host.txt"
    host.write_text(SECRET)
    (house.workspace("b") / "private.txt").write_text(SECRET)
    other = house.workspace("b").name
    mine = house.workspace()
    (mine / "link").symlink_to(host)
    (mine / "folder").symlink_to(house.folder)
    (mine / "dangling").symlink_to(house.folder / "made-by-an-escape.txt")
    (mine / "root").symlink_to("/proc/1/root")

    paths = [
        str(host),
        f"../{other}/private.txt",
        "link",
        "folder/host.txt",
        f"root{host}",
        f"/proc/1/root{host}",
        f"/proc/self/cwd/../{other}/private.txt",
        "/etc/passwd",
    ]
    ends = await _attempt(
        house,
        protection,
        *(call("fs_read", path=path) for path in paths),
        *(call("fs_edit", path=path, old="a", new="b") for path in paths),
        *(call("fs_multi_edit", path=path, edits=[{"old": "a", "new": "b"}]) for path in paths),
        *(call("fs_glob", pattern="*", path=path) for path in ["..", "/", "folder", "root"]),
        *(call("fs_grep", pattern="secret", path=path) for path in ["..", "/", "folder", "root"]),
        call("fs_glob", pattern="../*/*"),
        call("fs_grep", pattern="secret", glob="../**"),
        *(_bash(f"cat '{path}'") for path in paths),
        _bash(f"cd ..; cat {other}/private.txt"),
        _bash("cat /etc/shadow; cat /proc/1/environ; env"),
        _bash(f"grep -r {SECRET[:12]} / --include=*.txt 2>/dev/null | head"),
        _bash("cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'"),
    )

    assert all(SECRET not in end.content for end in ends)
    files = [end for end in ends if end.name in {"fs_read", "fs_edit", "fs_multi_edit"}]
    assert {end.outcome for end in files} == {Outcome.ERROR}
    assert all("root:x:0:0" not in end.content for end in ends)


@pytest.mark.sandbox
async def test_29_nothing_outside_the_workspace_is_written_by_any_tool(
    house: House, protection: Sandbox
) -> None:
    mine, outside = house.workspace(), house.folder / "outside"
    outside.mkdir()
    (mine / "dangling").symlink_to(outside / "dangling.txt")
    (mine / "folder").symlink_to(outside)
    paths = [str(outside / "a.txt"), "../../outside/b.txt", "dangling", "folder/c.txt"]

    ends = await _attempt(
        house,
        protection,
        *(call("fs_write", path=path, content="x") for path in paths),
        *(_bash(f"echo x > '{path}'") for path in paths),
    )

    assert list(outside.iterdir()) == []
    assert {end.outcome for end in ends if end.name == "fs_write"} == {Outcome.ERROR}


@pytest.mark.sandbox
async def test_29_a_background_process_is_gone_with_its_call_and_after_a_time_out(
    house: House, protection: Sandbox
) -> None:
    mark = f"8{house.folder.stat().st_ino}"

    ended, late = await _attempt(
        house,
        protection,
        _bash(f"nohup setsid sleep {mark} >/dev/null 2>&1 & echo started"),
        call("bash_run", command=f"sleep {mark} & sleep {mark}", timeout=0.2),
    )

    assert "started" in ended.content
    assert late.outcome is Outcome.ERROR
    assert _processes(mark) == 0


# 30
@pytest.mark.sandbox
async def test_29_another_agents_background_output_is_unknown(
    house: House, protection: Sandbox
) -> None:
    theirs = call("bash_run", command=f"echo {SECRET}; sleep 600", background=True, call_id="bg")
    mine = calls(
        call("bash_logs", shell="bg", call_id="1"), call("bash_kill", shell="bg", call_id="2")
    )
    steps = [theirs, call("bash_logs", shell="bg", wait=60.0), say("it runs"), mine, say("no")]
    runtime, _ = await house.runtime(steps, sandbox=protection)
    other = await runtime.agent("other", post="worker")
    await other.send("start")
    await other.rest()

    agent = await runtime.agent("a", post="worker")
    await agent.send("read it")
    await agent.rest()

    assert SECRET in bodies(await journal_of(other), ToolEnd)[1].content
    ends = bodies(await journal_of(agent), ToolEnd)
    assert [end.outcome for end in ends] == [Outcome.ERROR, Outcome.ERROR]
    assert all("There is no shell 'bg'" in end.content for end in ends)


async def test_29_no_background_process_outlives_its_agents_place_or_the_process(
    house: House,
) -> None:
    mark = f"9{house.folder.stat().st_ino}"
    off = await choose("off")
    command = f"echo begun; (setsid sleep {mark} &); sleep {mark}"
    start = call("bash_run", command=command, background=True, call_id="bg")
    runtime, _ = await house.runtime([start, say("it runs")], sandbox=off)
    agent = await runtime.agent("a", post="worker")
    await agent.send("start")
    await agent.rest()
    await patience.until(lambda: _processes(mark) == 2)

    await runtime.put_away("a")
    assert _processes(mark) == 0

    await house.stop()
    agent, _ = await house.agent([call("bash_logs", shell="bg"), say("gone")], sandbox=off)
    await agent.send("read")
    await agent.rest()

    last = bodies(await journal_of(agent), ToolEnd)[-1]
    assert last.outcome is Outcome.ERROR
    assert "Shell bg is gone" in last.content


async def test_29_a_long_output_can_be_read_on_after_a_restart_and_by_its_own_agent_only(
    house: House,
) -> None:
    off = await choose("off")
    long = call("bash_run", command="seq 1 30000", call_id="long")
    agent, model = await house.agent([long, say("much")], sandbox=off)
    await agent.send("count")
    await agent.rest()

    (shown,) = results(model.requests[1])
    assert len(shown.content) < 31_000
    assert "path=output:long" in shown.content
    assert shown.content.endswith("30000\n[exit code 0]")
    assert list(house.workspace().iterdir()) == []

    await house.stop()
    on = call("fs_read", path="output:long", offset=15_000, limit=1)
    runtime, _ = await house.runtime([on, say("read"), on, say("not mine")], sandbox=off)
    agent = await runtime.agent("a")
    other = await runtime.agent("other", post="worker")
    for each in (agent, other):
        await each.send("read on")
        await each.rest()

    assert bodies(await journal_of(agent), ToolEnd)[-1].content.startswith(" 15000\t15000\n")
    assert bodies(await journal_of(other), ToolEnd)[-1].outcome is Outcome.ERROR


async def test_29_no_skill_of_a_workspace_reaches_outside_and_each_is_told_once(
    house: House,
) -> None:
    (house.folder / "private").mkdir()
    (house.folder / "private/SKILL.md").write_text(f"---\ndescription: {SECRET}\n---\n")
    folder = house.workspace() / ".skills"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes/SKILL.md").write_text("---\ndescription: How to note.\n---\nNote.\n")
    (folder / "out").symlink_to(house.folder / "private")
    steps = [call("skills"), call("skills", name="notes"), say("noted"), say("again")]
    agent, _ = await house.agent(steps)
    for words in ("note", "once more"):
        await agent.send(words)
        await agent.rest()

    events = await journal_of(agent)
    (told,) = bodies(events, SkillDiscovered)
    assert (told.name, told.description, told.source) == ("notes", "How to note.", "workspace")
    assert [SECRET in end.content for end in bodies(events, ToolEnd)] == [False, False]
    assert bodies(events, ToolEnd)[1].content.endswith("Note.")


def _delegating(*steps: Any) -> Callable[[ModelRequest], Any]:
    """A model of two posts: the boss delegates once, its sub-agents play `steps`."""

    def answer(request: ModelRequest) -> Any:
        if request.system == "boss":
            told = [m for m in request.messages if isinstance(m, ToolMessage)]
            errand = call("task_run", post="helper", prompt="help", call_id="errand")
            return say(f"boss heard: {told[0].content}") if told else errand
        done = sum(isinstance(message, AssistantMessage) for message in request.messages)
        return steps[min(done, len(steps) - 1)]

    return answer


async def _boss(house: House, model: Any, *tools: Tool, **boss: Any) -> Agent:
    every = (*DEFAULT_TOOLS, "task_run", *(tool.name for tool in tools))
    own: dict[str, Any] = {"tools": every, "permissions": AUTO} | boss
    posts = [
        Post(name="worker", prompt="boss", **own),
        Post(name="helper", prompt="helper", tools=every, permissions=AUTO),
    ]
    runtime, _ = await house.runtime(ScriptedModel(model), *tools, posts=posts)
    return await runtime.agent("a", post="worker")


async def test_30_a_sub_agent_never_has_more_permission_than_its_parent(house: House) -> None:
    steps = calls(call("change", thing="x", call_id="1"), call("look", thing="y", call_id="2"))
    permissions = Permissions(rules=(Rule(verdict=Verdict.DENY, pattern="change"),))
    tools = ("task_run", "change", "look")
    agent = await _boss(
        house, _delegating(steps, say("ok")), change, look, tools=tools, permissions=permissions
    )

    await agent.send("go")
    await agent.rest()

    child = await journal_of(await _child(house, sub_agent_id("a", "errand")))
    assert {end.name: end.outcome for end in bodies(child, ToolEnd)} == {
        "change": Outcome.DENIED,
        "look": Outcome.OK,
    }


async def test_30_a_sub_agent_has_no_tool_that_its_parent_lacks(house: House) -> None:
    model = _delegating(call("change", thing="x"), say("ok"))
    agent = await _boss(house, model, change, tools=("task_run",))

    await agent.send("go")
    await agent.rest()

    child = await journal_of(await _child(house, sub_agent_id("a", "errand")))
    assert [end.outcome for end in bodies(child, ToolEnd)] == [Outcome.INVALID]


async def test_30_a_sub_agents_approvals_reach_the_parents_subscribers(house: House) -> None:
    model = _delegating(call("change", thing="x", call_id="c1"), say("it is changed"))
    agent = await _boss(house, model, change, permissions=Permissions(mode=Mode.ASK))
    await agent.send("go")
    required = await until(agent, PermissionRequired)

    assert (required.name, required.arguments) == ("change", {"thing": "x"})
    assert required.delegated_by == "errand"
    assert [one.call_id for one in (await agent.status()).approvals] == [required.call_id]
    await agent.decide(required.call_id, "allow")
    assert await agent.rest() is AgentState.READY

    ends = bodies(await journal_of(agent), ToolEnd)
    assert [(end.name, end.content) for end in ends] == [("task_run", "it is changed")]


async def test_30_a_sub_agent_that_waits_for_a_person_outlives_the_process(house: House) -> None:
    model = _delegating(call("change", thing="x", call_id="c1"), say("it is changed"))
    asking = Permissions(mode=Mode.ASK)
    agent = await _boss(house, model, change, permissions=asking)
    await agent.send("go")
    required = await until(agent, PermissionRequired)
    await house.stop()

    agent = await _boss(house, model, change, permissions=asking)
    await agent.decide(required.call_id, "deny", note="no")
    assert await agent.rest() is AgentState.READY

    child = await journal_of(await _child(house, sub_agent_id("a", "errand")))
    assert [end.outcome for end in bodies(child, ToolEnd)] == [Outcome.DENIED]
    assert len(bodies(await journal_of(agent), PermissionRequired)) == 1


async def test_30_an_interrupt_stops_the_sub_agent_too(house: House) -> None:
    model = _delegating(call("change", thing="x", call_id="c1"), say("never"))
    agent = await _boss(house, model, change, permissions=Permissions(mode=Mode.ASK))
    await agent.send("go")
    required = await until(agent, PermissionRequired)

    await agent.interrupt()
    assert await agent.rest() is AgentState.READY

    with pytest.raises(AlreadyDecided):
        await agent.decide(required.call_id, "allow")
    child = await journal_of(await _child(house, sub_agent_id("a", "errand")))
    assert bodies(child, Done)[0].reason is DoneReason.INTERRUPTED


async def test_30_what_a_sub_agents_sub_agent_asks_reaches_the_people_of_the_first(
    house: House,
) -> None:
    def answer(request: ModelRequest) -> Any:
        told = [m for m in request.messages if isinstance(m, ToolMessage)]
        if told:
            return say(told[0].content)
        match request.messages[0]:
            case UserMessage(text="change it"):
                return call("change", thing="x", call_id="c1")
            case UserMessage(text="deeper"):
                return call("task_run", post="helper", prompt="change it", call_id="second")
            case _:
                return call("task_run", post="helper", prompt="deeper", call_id="first")

    asking = Permissions(mode=Mode.ASK, rules=(Rule(verdict=Verdict.ALLOW, pattern="task_run"),))
    agent = await _boss(house, answer, change, permissions=asking)
    await agent.send("go")
    required = await until(agent, PermissionRequired)
    await house.stop()

    agent = await _boss(house, answer, change, permissions=asking)
    assert (required.name, required.arguments) == ("change", {"thing": "x"})
    assert (required.call_id, required.delegated_by) == ("first/second/c1", "first")
    assert [one.call_id for one in (await agent.status()).approvals] == [required.call_id]
    await agent.decide(required.call_id, "allow")
    assert await agent.rest() is AgentState.READY

    assert bodies(await journal_of(agent), ToolEnd)[0].content == "changed x"
    assert len(bodies(await journal_of(agent), PermissionRequired)) == 1


async def test_30_the_depth_of_sub_agents_is_bounded(house: House) -> None:
    def answer(request: ModelRequest) -> Any:
        told = [m for m in request.messages if isinstance(m, ToolMessage)]
        return say(told[0].content) if told else call("task_run", post="worker", prompt="deeper")

    agent = await _boss(house, answer)

    await agent.send("go")
    await agent.rest()

    assert f"{DEEPEST} deep" in bodies(await journal_of(agent), ToolEnd)[0].content


async def _child(house: House, agent_id: str) -> Agent:
    """A sub-agent, opened to be read."""
    runtime, _ = await house.runtime([], posts=[Post(name="helper")])
    return await runtime.agent(agent_id)


async def test_30_a_post_without_a_tool_cannot_use_it_whatever_the_model_says(
    house: House,
) -> None:
    agent, model = await house.agent(
        [call("fs_write", path="a.txt", content="x"), say("ok")], names=("fs_read",)
    )

    await agent.send("write")
    await agent.rest()

    assert results(model.requests[1])[0].outcome is Outcome.INVALID
    assert not (house.workspace() / "a.txt").exists()
    assert [tool.name for tool in model.requests[0].tools] == ["fs_read"]


# 31
@pytest.mark.parametrize("agent_id", ["../../x", ".", "..", "用户:一:会话", "a/b/c", "~root"])
async def test_31_a_strange_agent_id_is_stored_safely_and_never_a_path(
    house: House, agent_id: str
) -> None:
    runtime, _ = await house.runtime([call("fs_write", path="a.txt", content="x"), say("ok")])

    agent = await runtime.agent(agent_id, post="worker")
    await agent.send("write")
    await agent.rest()

    assert (house.workspace(agent_id) / "a.txt").read_text() == "x"
    assert [path.name for path in (house.folder / "workspaces").iterdir()] == [
        house.workspace(agent_id).name
    ]
    assert {path.name.partition(".")[0] for path in house.folder.iterdir()} == {
        "agents",
        "workspaces",
    }
    assert (await runtime.agent(agent_id)) is agent


@pytest.mark.parametrize("agent_id", ["", "   ", "x" * 10_000, "a\0b", "a\nb"])
async def test_31_an_impossible_agent_id_is_refused(house: House, agent_id: str) -> None:
    runtime, _ = await house.runtime([])

    with pytest.raises(InvalidInput, match="cannot be an agent's id"):
        await runtime.agent(agent_id, post="worker")


# 32
async def _asked_for_a_change(house: House, ran: list[str]) -> Tool:
    """An agent that waits for a person's word on the call `c1` of the tool `deploy`, put away."""

    @tool
    async def deploy(to: str) -> str:
        """Deploy."""
        ran.append(to)
        return "deployed"

    asking = Permissions(mode=Mode.ASK)
    steps = [call("deploy", to="prod", call_id="c1")]
    agent, _ = await house.agent(steps, deploy, permissions=asking)
    await agent.send("deploy")
    await agent.rest()
    await house.stop()
    return deploy


async def test_32_a_tool_taken_from_the_registry_does_not_destroy_the_agent(house: House) -> None:
    ran: list[str] = []
    await _asked_for_a_change(house, ran)

    agent, model = await house.agent([say("I see")])
    await agent.decide("c1", "allow")
    assert await agent.rest() is AgentState.READY

    assert ran == []
    assert results(model.requests[0])[0].outcome is Outcome.INVALID


async def test_32_a_post_that_lost_a_tool_does_not_run_what_was_asked_before(house: House) -> None:
    ran: list[str] = []
    deploy = await _asked_for_a_change(house, ran)
    posts = [Post(name="worker", tools=("fs_read",), permissions=AUTO)]

    agent, model = await house.agent([say("I see")], deploy, posts=posts)
    await agent.decide("c1", "allow")
    assert await agent.rest() is AgentState.READY

    assert ran == []
    assert results(model.requests[0])[0].outcome is Outcome.INVALID


async def test_32_a_rule_made_while_a_person_thought_is_stronger_than_their_word(
    house: House,
) -> None:
    ran: list[str] = []
    deploy = await _asked_for_a_change(house, ran)
    denying = Permissions(rules=(Rule(verdict=Verdict.DENY, pattern="deploy"),))

    agent, model = await house.agent([say("I see")], deploy, permissions=denying)
    await agent.decide("c1", "allow")
    assert await agent.rest() is AgentState.READY

    assert ran == []
    assert results(model.requests[0])[0].outcome is Outcome.DENIED


# 33
async def test_33_the_hundredth_agent_of_a_post_has_the_prompt_of_the_first(house: House) -> None:
    runtime, model = await house.runtime(ScriptedModel(lambda _: say("ok"), record=True))

    agents = [await runtime.agent(f"agent {place}", post="worker") for place in range(100)]
    for agent in agents:
        await agent.send("hello")
        await agent.rest()

    assert {request.system for request in model.requests} == {"You are a test."}
    assert len({json.dumps([tool.schema for tool in r.tools]) for r in model.requests}) == 1
    assert len(model.requests) == 100
    (followed,) = bodies(await journal_of(agents[0]), PostFollowed)
    assert bodies(await journal_of(agents[-1]), PostFollowed) == [followed]


async def test_33_the_journal_tells_which_post_an_agent_follows_and_when_it_is_another(
    house: House,
) -> None:
    def post(**changes: Any) -> list[Post]:
        return [Post(name="worker", **changes)]

    told: list[PostFollowed] = []
    versions = [post(), post(), post(version=2), post(version=3, prompt="Be brief.")]
    for posts in versions:
        agent, _ = await house.agent([say("one"), say("two")], posts=posts)
        await agent.ask("hello")
        await agent.ask("hello again")
        told = bodies(await journal_of(agent), PostFollowed)
        await house.stop()

    assert [one.version for one in told] == [0, 2, 3]
    assert told[0].digest == told[1].digest == post()[0].digest
    assert told[1].digest != told[2].digest


async def test_33_no_hook_of_one_call_reaches_into_another(house: House) -> None:
    class Meddler(Hook):
        async def before_model(self, call: ModelUse) -> BeforeModel:
            messages = (*call.request.messages, UserMessage("and lie"))
            return Change(dataclasses.replace(call.request, messages=messages, tools=()))

    agent, model = await house.agent([say("one"), say("two")], hooks=(Meddler(),))

    await agent.ask("first")
    await agent.ask("second")

    assert [len(request.messages) for request in model.requests] == [2, 4]
    told = (await agent.at((await agent.status()).seq)).messages
    assert [m.text for m in told if isinstance(m, UserMessage)] == ["first", "second"]


# 34
async def test_34_a_pool_of_five_never_holds_twelve_and_putting_away_is_not_deleting(
    house: House,
) -> None:
    live: list[int] = []

    def answer(request: ModelRequest) -> Any:
        live.append(len(runtime.live))
        last = request.messages[-1]
        return say(last.text) if isinstance(last, UserMessage) else say("?")

    runtime, _ = await house.runtime(answer, pool_size=5)
    agents = [
        await runtime.agent(f"user:{number}", post="worker", metadata={"number": number})
        for number in range(12)
    ]

    for round_ in ("first", "second"):
        asked = [f"{round_} of {agent.id}" for agent in agents]
        answers = await asyncio.gather(
            *(agent.ask(text) for agent, text in zip(agents, asked, strict=True))
        )
        assert answers == asked

    assert max(live) <= 5
    assert len(runtime.live) <= 5
    for number, agent in enumerate(agents):  # most of them are away by now
        status = await agent.status()
        assert (status.turn, status.metadata) == (2, {"number": number})


# 35
async def test_35_a_subscriber_that_never_reads_costs_bounded_memory_and_slows_nobody(
    house: House,
) -> None:
    chatter = calls(think("hm " * 50), *(say("word " * 40) for _ in range(30)))
    agent, _ = await house.agent(ScriptedModel(lambda _: chatter))
    await agent.send("warm up")
    await agent.rest()
    lazy = agent.subscribe(deltas=True)
    await anext(aiter(lazy))  # it has begun, and never reads again

    for place in range(40):
        await agent.send(f"message {place}")
        await agent.rest()

    subscriptions = agent._life.services.bus._topics[f"delta.{agent.id}"]  # type: ignore[attr-defined]
    kept = [len(subscription._waiting) for subscription in subscriptions]
    assert len(kept) == 1
    assert kept[0] <= 256
    await lazy.aclose()


# 36
async def test_36_no_provider_key_is_in_the_journal_or_in_a_file(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-very-secret-0123456789"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    sandbox = await choose("off")
    agent, _ = await house.agent(
        [call("bash_run", command="env; cat /proc/self/environ"), say("ok")], sandbox=sandbox
    )

    await agent.send("show me your environment")
    await agent.rest()
    await house.stop()

    assert key not in caplog.text
    for path in house.folder.rglob("*"):
        if path.is_file():
            assert key.encode() not in path.read_bytes(), path
