"""MCP servers at work: a real one over both transports, and what happens when it misbehaves."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.patience import LONGER, PATIENCE, until, wait_until
from tests.ports import kept_port

from longhouse.kit.clock import Clock, ManualClock, SystemClock
from longhouse.protocol.events import AgentResumed, AgentState, Event, JsonObject, Outcome, ToolEnd
from longhouse.runtime.agent import Agent
from longhouse.runtime.journals.base import Journal
from longhouse.runtime.journals.sqlite import SQLiteJournal
from longhouse.runtime.mcp.connection import LISTING_SECONDS
from longhouse.runtime.mcp.server import McpServer
from longhouse.runtime.mcp.toolbox import Toolbox
from longhouse.runtime.mcp.translate import LONGEST_RESULT
from longhouse.runtime.model import ModelRequest
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import ScriptedModel, Step, call, calls, say
from longhouse.runtime.posts import Mode, Permissions, Post, Rule, Verdict
from longhouse.runtime.runtime import Runtime
from longhouse.runtime.sandbox.refuse import Refuse
from longhouse.runtime.tools.base import ToolContext, ToolFailed

PEER = Path(__file__).parents[2] / "peers" / "mcp_peer.py"
AUTO = Permissions(mode=Mode.AUTO)
NOBODY = Refuse("this test runs no commands", hint="")

Start = Callable[..., Any]


def peer(*arguments: str, name: str = "peer", **settings: Any) -> McpServer:
    return McpServer(name, command=(sys.executable, str(PEER), *arguments), **settings)


@pytest.fixture
def port() -> Iterator[int]:
    """Where a peer listens, dies, and listens again."""
    with kept_port() as port:
        yield port


@contextmanager
def answering(directory: Path, port: int) -> Iterator[None]:
    """A peer that speaks HTTP at this port while in the block."""
    note = directory / secrets.token_hex(8)
    command = [sys.executable, str(PEER), "--port", str(port), "--ready-file", str(note)]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: note.exists() or process.poll() is not None)
            assert process.poll() is None, "the peer ended"
            yield
        finally:
            process.kill()


def at(port: int) -> McpServer:
    return McpServer("peer", url=f"http://127.0.0.1:{port}/mcp")


@pytest.fixture
async def toolbox() -> AsyncIterator[Callable[..., Toolbox]]:
    """Makes a box of tools with these servers, closed at the end."""
    async with AsyncExitStack() as stack:

        def make(*servers: McpServer, clock: Clock | None = None) -> Toolbox:
            box = Toolbox((), servers, clock or SystemClock())
            stack.push_async_callback(box.close)
            return box

        yield make


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Enters a runtime with these servers, posts and model steps; ended at the end."""
    async with AsyncExitStack() as stack:

        async def enter(
            *steps: Step,
            servers: Sequence[McpServer],
            posts: Sequence[Post],
            journal: Journal | None = None,
        ) -> Runtime:
            return await stack.enter_async_context(
                Runtime(
                    models=FixedModels(ScriptedModel(steps)),
                    posts=posts,
                    mcp=servers,
                    journal=journal,
                    sandbox=NOBODY,
                    workspaces=tmp_path / "workspaces",
                )
            )

        yield enter


def post(*tools: str, permissions: Permissions = AUTO, name: str = "worker") -> Post:
    return Post(name=name, tools=tools or ("mcp__peer__*",), permissions=permissions)


async def events_of(agent: Agent) -> list[Event]:
    last = (await agent.status()).seq
    found: list[Event] = []
    async with aclosing(agent.subscribe()) as stream:
        async for event in stream:
            assert isinstance(event, Event)
            found.append(event)
            if event.seq == last:
                return found
    raise AssertionError("the stream ended")


async def results_of(agent: Agent) -> list[ToolEnd]:
    return [event.body for event in await events_of(agent) if isinstance(event.body, ToolEnd)]


async def at_work(agent: Agent, text: str = "go") -> list[ToolEnd]:
    """The results of all calls, once the agent rests."""
    await agent.send(text)
    async with asyncio.timeout(PATIENCE):
        await agent.rest()
    return await results_of(agent)


async def invoke(box: Toolbox, name: str, /, **arguments: object) -> str:
    tool = box.tools[f"mcp__peer__{name}"]
    context: ToolContext | None = None  # the tools of a server need none
    result = await tool.invoke(context, tool.validate(arguments))  # type: ignore[arg-type]
    return result.content


USES: list[Step] = [
    calls(
        call("mcp__peer__add", call_id="add", a=2, b=3),
        call("mcp__peer__fail", call_id="fail", reason="not today"),
        call("mcp__peer__picture", call_id="picture"),
        call("mcp__peer__add", call_id="bad", a="two"),
    ),
    say("Done."),
]


async def check_use(start: Start, server: McpServer) -> None:
    runtime: Runtime = await start(*USES, servers=[server], posts=[post()])
    agent = await runtime.agent("a", post="worker")
    ends = {end.call_id: end for end in await at_work(agent)}
    added, failed, picture, invalid = (ends[one] for one in ("add", "fail", "picture", "bad"))
    assert (added.outcome, added.content) == (Outcome.OK, "5")
    assert failed.outcome is Outcome.ERROR
    assert failed.content.endswith("not today")
    assert picture.content == "here it is\n[image of type image/png, 3 bytes: not shown]"
    assert invalid.outcome is Outcome.INVALID
    assert "- a: 'two' is not of type 'integer'" in invalid.content
    assert "mcp__peer__add" in {tool.name for tool in runtime.tools}


async def test_an_agent_uses_the_tools_of_a_program(start: Start) -> None:
    await check_use(start, peer())


async def test_an_agent_uses_the_tools_of_an_address(
    start: Start, port: int, tmp_path: Path
) -> None:
    with answering(tmp_path, port):
        await check_use(start, at(port))


async def test_an_address_where_nobody_answers_any_more_is_tried_again(
    toolbox: Start, port: int, tmp_path: Path
) -> None:
    clock = ManualClock()
    with answering(tmp_path, port):
        box: Toolbox = toolbox(at(port), clock=clock)
        equipped = await box.equip(post())
        assert await invoke(box, "add", a=1) == "2"
    for words in ("connection broke", "could not be started", "tried again in 1 s"):
        with pytest.raises(ToolFailed, match=words):
            await invoke(box, "add", a=1)
    assert await box.equip(post()) == equipped  # a model keeps the tools it has seen
    with answering(tmp_path, port):
        clock.advance(1)
        assert await invoke(box, "add", a=1) == "2"


async def test_a_tool_that_a_server_learns_is_there_before_long(toolbox: Start) -> None:
    clock = ManualClock()
    box: Toolbox = toolbox(peer(), clock=clock)
    await box.equip(post())
    await invoke(box, "learn", name="trick")
    clock.advance(LISTING_SECONDS)
    assert "mcp__peer__trick" in (await box.equip(post())).tools
    await invoke(box, "trick")


async def test_a_glob_offers_what_the_server_lists_and_allows(toolbox: Start) -> None:
    box: Toolbox = toolbox(peer(allow_tools=("add", "p*")))
    equipped = await box.equip(post("fs_read", "mcp__peer__*", "mcp__peer__add"))
    assert equipped.tools == (
        "fs_read",
        *(f"mcp__peer__{name}" for name in ("add", "picture", "process", "put")),
    )
    assert box.parallel == {f"mcp__peer__{name}" for name in ("add", "picture", "process")}


async def test_a_server_that_no_post_names_is_not_started(toolbox: Start) -> None:
    box: Toolbox = toolbox(peer(name="other"), McpServer("peer", command=("no-such-program",)))
    plain = post("fs_read", "mcp__third__*")
    assert await box.equip(plain) is plain
    assert not box.tools


async def test_a_program_gets_the_environment_it_is_given_and_nothing_else(
    toolbox: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-ours")
    monkeypatch.setenv("HOME", "/home/somebody")
    box: Toolbox = toolbox(peer(env={"ITS_OWN": "value"}))
    await box.equip(post())
    told = await invoke(box, "environment")
    assert '"ITS_OWN": "value"' in told
    assert "sk-of-ours" not in told
    assert "HOME" not in told


async def test_a_server_that_dies_is_started_again_and_later_each_time(toolbox: Start) -> None:
    clock = ManualClock()
    box: Toolbox = toolbox(peer(env={"TOKEN": "s3cret-token"}), clock=clock)
    await box.equip(post())
    first = await invoke(box, "process")
    with pytest.raises(ToolFailed, match=r"printed last: I give up.*may have happened") as failed:
        await invoke(box, "die", words="I give up")
    assert failed.value.retryable
    assert await invoke(box, "process") != first  # at once, the first time
    for _ in range(2):
        with pytest.raises(ToolFailed, match="its token is …"):
            await invoke(box, "die", words="its token is s3cret-token")
    with pytest.raises(ToolFailed, match="tried again in 1 s"):
        await invoke(box, "process")
    clock.advance(1)
    assert await invoke(box, "add", a=1) == "2"


async def test_a_server_that_ended_between_two_calls_is_not_noticed_by_the_second(
    toolbox: Start,
) -> None:
    box: Toolbox = toolbox(peer())
    await box.equip(post())
    link = box._connections[0]._link
    assert link is not None
    os.kill(int(await invoke(box, "process")), signal.SIGKILL)
    await asyncio.wait_for(link.over.wait(), PATIENCE)
    assert await invoke(box, "add", a=1) == "2"


async def test_an_agent_is_told_of_a_server_that_is_down_and_stays_usable(
    start: Start, tmp_path: Path
) -> None:
    seen: list[tuple[str, ...]] = []

    def look(request: ModelRequest) -> Any:
        seen.append(tuple(tool.name for tool in request.tools))
        return say("I see.")

    gone = tmp_path / "ready"
    steps = [calls(call("mcp__peer__unavailable")), look, look]
    runtime = await start(*steps, servers=[peer("--gone", str(gone))], posts=[post()])
    agent = await runtime.agent("a", post="worker")
    (failed,) = await at_work(agent)
    assert failed.outcome is Outcome.ERROR
    assert "MCP server peer is not available" in failed.content
    assert "the peer is not ready yet" in failed.content
    gone.touch()
    runtime._toolbox._connections[0]._not_before = 0.0  # as if time had passed
    await at_work(agent, "again")
    assert seen[0] == ("mcp__peer__unavailable",)
    assert "mcp__peer__add" in seen[1]
    assert "mcp__peer__unavailable" not in seen[1]


@pytest.mark.parametrize(
    "server",
    [
        McpServer("peer", command=("no-such-program",)),
        McpServer("peer", url="http://127.0.0.1:9/mcp", start_seconds=10),
        peer("--broken", start_seconds=4),
    ],
    ids=["no program", "nobody there", "no MCP"],
)
async def test_a_server_that_cannot_be_reached_is_a_clear_error(
    toolbox: Start, server: McpServer
) -> None:
    box: Toolbox = toolbox(server)
    async with asyncio.timeout(PATIENCE):
        equipped = await box.equip(post())
    assert equipped.tools == ("mcp__peer__unavailable",)
    description = box.tools["mcp__peer__unavailable"].description
    assert "MCP server peer is not available: it could not be started: " in description


async def test_a_server_that_answers_against_its_word_fails_the_call_alone(toolbox: Start) -> None:
    box: Toolbox = toolbox(peer())
    await box.equip(post())
    process = await invoke(box, "process")
    with pytest.raises(ToolFailed, match="answered against its own word"):
        await invoke(box, "lie")
    assert await invoke(box, "process") == process


async def test_a_call_that_takes_too_long_is_cancelled_at_the_server(
    toolbox: Start, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    box: Toolbox = toolbox(peer(call_seconds=PATIENCE))
    await box.equip(post())
    process = await invoke(box, "process")
    (connection,) = box._connections
    for seconds in LONGER:
        connection.server = replace(connection.server, call_seconds=seconds)
        with pytest.raises(ToolFailed, match=rf"did not answer within {seconds:g} seconds"):
            await invoke(box, "wait", path=str(note))
        if note.exists():
            break
    await until(lambda: note.read_text(encoding="utf-8") == "cancelled")
    connection.server = replace(connection.server, call_seconds=PATIENCE)
    assert await invoke(box, "process") == process


async def test_an_interrupt_cancels_the_call_at_the_server(start: Start, tmp_path: Path) -> None:
    note = tmp_path / "note"
    steps = [calls(call("mcp__peer__wait", path=str(note))), say("Still here.")]
    runtime: Runtime = await start(*steps, servers=[peer()], posts=[post()])
    agent = await runtime.agent("a", post="worker")
    await agent.send("go")
    await until(note.exists)
    await agent.interrupt()
    async with asyncio.timeout(PATIENCE):
        assert await agent.rest() is AgentState.READY
    (result,) = await results_of(agent)
    assert result.outcome is Outcome.INTERRUPTED
    await until(lambda: note.read_text(encoding="utf-8") == "cancelled")


async def test_a_huge_result_is_cut(toolbox: Start) -> None:
    box: Toolbox = toolbox(peer())
    await box.equip(post())
    told = await invoke(box, "flood", characters=3_000_000)
    assert len(told) < LONGEST_RESULT + 200
    assert "characters were cut here" in told
    assert told.endswith("the end")


async def test_a_name_no_vendor_takes_can_be_called_all_the_same(toolbox: Start) -> None:
    box: Toolbox = toolbox(peer())
    equipped = await box.equip(post("mcp__peer__weird*"))
    (name,) = equipped.tools
    assert await invoke(box, name.removeprefix("mcp__peer__")) == "called"


async def test_rules_and_modes_hold_for_the_tools_of_servers(start: Start, tmp_path: Path) -> None:
    put: JsonObject = {"path": str(tmp_path / "out"), "line": "x"}
    steps = [
        calls(
            call("mcp__peer__put", **put),
            call("mcp__peer__add", a=1),
            call("mcp__peer__process"),
            call("mcp__peer__environment", call_id="env"),
        ),
        say("Done."),
    ]
    rules = (Rule(verdict=Verdict.DENY, pattern="mcp__peer__pro*"),)
    careful = post(permissions=Permissions(mode=Mode.READ_ONLY, rules=rules))
    runtime: Runtime = await start(*steps, servers=[peer()], posts=[careful])
    agent = await runtime.agent("a", post="worker")
    await agent.send("go")
    async with asyncio.timeout(PATIENCE):
        assert await agent.rest() is AgentState.WAITING
    assert [one.call_id for one in (await agent.status()).approvals] == ["env"]
    await agent.decide("env", "deny")
    async with asyncio.timeout(PATIENCE):
        await agent.rest()
    outcomes = {
        end.name.removeprefix("mcp__peer__"): end.outcome for end in await results_of(agent)
    }
    assert outcomes == {
        "put": Outcome.DENIED,
        "add": Outcome.OK,
        "process": Outcome.DENIED,
        "environment": Outcome.DENIED,
    }
    assert not (tmp_path / "out").exists()


async def test_a_sub_agent_has_no_tool_of_a_server_that_its_parent_has_not(start: Start) -> None:
    seen: list[tuple[str, ...]] = []

    def look(request: ModelRequest) -> Any:
        seen.append(tuple(tool.name for tool in request.tools))
        return say("Seen.")

    steps = [calls(call("task_run", post="helper", prompt="look")), look, say("Done.")]
    posts = [post("task_run", "mcp__peer__add"), post("mcp__peer__*", name="helper")]
    runtime: Runtime = await start(*steps, servers=[peer()], posts=posts)
    await at_work(await runtime.agent("a", post="worker"))
    assert seen == [("mcp__peer__add",)]


async def test_a_call_that_may_be_repeated_is_repeated_after_a_crash(
    start: Start, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    steps: list[Step] = [calls(call("mcp__peer__wait", call_id="w", path=str(note)))]
    async with Runtime(
        models=FixedModels(ScriptedModel(steps)),
        posts=[post()],
        mcp=[peer()],
        journal=SQLiteJournal(tmp_path / "agents.db"),
        sandbox=NOBODY,
        workspaces=tmp_path / "workspaces",
    ) as first:
        agent = await first.agent("a", post="worker")
        await agent.send("go")
        await until(note.exists)
    await until(lambda: note.read_text(encoding="utf-8") == "cancelled")
    journal = SQLiteJournal(tmp_path / "agents.db")
    second: Runtime = await start(say("Done."), servers=[peer()], posts=[post()], journal=journal)
    agent = await second.agent("a")
    await until(lambda: note.read_text(encoding="utf-8") == "waiting")
    bodies = [event.body for event in await events_of(agent)]
    (resumed,) = [body for body in bodies if isinstance(body, AgentResumed)]
    assert (resumed.repeated, resumed.sealed) == (("w",), ())


def test_two_servers_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two MCP servers have one name"):
        Toolbox((), [peer(), peer()], SystemClock())
