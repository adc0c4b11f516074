"""`longhouse mcp` as another program uses it: the real command, by the package's own client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult
from tests.cli.conftest import LONGHOUSE, Shell
from tests.docs.pages import code, codes, page, rows, section

PATIENCE = 240.0  # seconds for a whole turn, on a machine that has other things to do


@asynccontextmanager
async def speaking(shell: Shell) -> AsyncIterator[Client]:
    """A client of `longhouse mcp` in this shell."""
    parameters = StdioServerParameters(
        command=LONGHOUSE[0], args=[*LONGHOUSE[3:], "mcp"], env=dict(shell.environment)
    )
    async with asyncio.timeout(PATIENCE), Client(parameters) as client:
        yield client


async def call(client: Client, tool: str, /, **arguments: Any) -> Any:
    """What a tool gives; a tool that fails fails the test."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, words(result)
    found = result.structured_content
    return found["result"] if isinstance(found, dict) and set(found) == {"result"} else found


def words(result: CallToolResult) -> str:
    """The text of a result."""
    return "".join(block.text for block in result.content if block.type == "text")


def made(shell: Shell, name: str) -> None:
    done = shell.run("agents", "create", name, "--repository", "sample")
    assert done.code == 0, done.err


async def test_it_lists_its_tools_with_hints(ada: Shell) -> None:
    async with speaking(ada) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert list(tools) == [
        "list_agents",
        "send_message",
        "get_status",
        "list_approvals",
        "decide",
    ]
    hints = {name: tool.annotations for name, tool in tools.items()}
    reading = [name for name, hint in hints.items() if hint and hint.read_only_hint]
    assert reading == ["list_agents", "get_status", "list_approvals"]
    assert tools["send_message"].input_schema["required"] == ["agent", "message"]


async def test_every_tool_is_documented_with_its_arguments(ada: Shell) -> None:
    text = section(page("docs/mcp.md"), "Longhouse as an MCP server")
    async with speaking(ada) as client:
        tools = (await client.list_tools()).tools
    assert {code(row[0]): codes(row[1]) for row in rows(text)} == {
        tool.name: list(tool.input_schema.get("properties", {})) for tool in tools
    }


async def test_a_program_gives_an_agent_work_decides_and_reads_the_answer(ada: Shell) -> None:
    await asyncio.to_thread(made, ada, "Grace")
    async with speaking(ada) as client:
        listed = await call(client, "list_agents")
        assert [one["status"] for one in listed if one["name"] == "Grace"] == ["idle"]
        before = await call(client, "get_status", agent="Grace")
        assert (before["state"], before["waiting"]) == ("ready", [])

        answer = await call(client, "send_message", agent="grace", message="fix the failing test")
        decided = 0
        while answer.get("state") != "ready":
            if answer["state"] == "waiting":
                (waiting, *_) = await call(client, "list_approvals")
                assert waiting["agent"] == "Grace"
                assert waiting["session"] == answer["session"]
                await call(
                    client, "decide", agent="Grace", call_id=waiting["call_id"], decision="allow"
                )
                decided += 1
            await asyncio.sleep(0.05)
            answer = await call(client, "get_status", agent="Grace")
        assert decided > 0

        thanks = await call(client, "send_message", agent="Grace", message="hello")
        assert (thanks["state"], thanks["session"]) == ("done", answer["session"])
        assert thanks["text"]


async def test_a_program_need_not_wait(ada: Shell) -> None:
    await asyncio.to_thread(made, ada, "Joan")
    async with speaking(ada) as client:
        sent = await call(client, "send_message", agent="Joan", message="hello", wait=False)
        assert sent["state"] == "queued"
        other = await call(client, "send_message", agent="Joan", message="hello", new_session=True)
        assert other["state"] == "done"
        assert other["session"] != sent["session"]


async def test_what_goes_wrong_is_said_with_what_to_do(ada: Shell) -> None:
    await asyncio.to_thread(made, ada, "Mary")
    async with speaking(ada) as client:
        missing = await client.call_tool("get_status", {"agent": "Marry"})
        assert missing.is_error
        assert "There is no agent 'Marry'. Did you mean Mary?" in words(missing)
        early = await client.call_tool(
            "decide", {"agent": "Mary", "call_id": "call_none", "decision": "allow"}
        )
        assert early.is_error
        assert "No call 'call_none' of Mary waits. See list_approvals." in words(early)
        wrong = await client.call_tool("decide", {"agent": "Mary", "decision": "perhaps"})
        assert wrong.is_error


async def test_somebody_who_has_not_signed_in_is_told_so(nobody: Shell) -> None:
    async with speaking(nobody) as client:
        refused = await client.call_tool("list_agents", {})
    assert refused.is_error
    assert "longhouse login" in words(refused)
