"""A real MCP server, small, with tools that behave well and tools that do not.

    python tests/peers/mcp_peer.py            speaks over stdin and stdout
    python tests/peers/mcp_peer.py --port N   speaks streamable HTTP, once it made the --ready-file

Tests run it as a program of its own: some of its tools end it.
"""

import argparse
import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import (
    CallToolResult,
    ImageContent,
    TextContent,
    ToolAnnotations,
)
from pydantic import Field

peer = MCPServer("peer", instructions="For tests.", log_level="CRITICAL")
READS = ToolAnnotations(read_only_hint=True)


@peer.tool(annotations=READS)
def add(a: int, b: Annotated[int, Field(description="The other one")] = 1) -> str:
    """Add two numbers."""
    return str(a + b)


@peer.tool(annotations=ToolAnnotations(read_only_hint=False, idempotent_hint=True))
def put(path: str, line: str) -> str:
    """Append a line to a file."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    return "done"


@peer.tool()
def environment() -> dict[str, str]:
    """All variables of the server's environment."""
    return dict(os.environ)


@peer.tool(annotations=READS)
def fail(reason: str) -> str:
    """Fail."""
    raise ToolError(reason)


@peer.tool(annotations=READS)
def flood(characters: int) -> str:
    """Answer with much text."""
    return "a" * characters + "the end"


@peer.tool(name="weird.name/with a space", annotations=READS)
def weird() -> str:
    """A name that no vendor of models takes."""
    return "called"


@peer.tool(annotations=READS)
def picture() -> CallToolResult:
    """Text and an image."""
    return CallToolResult(
        content=[
            TextContent(type="text", text="here it is"),
            ImageContent(type="image", data="AAAA", mime_type="image/png"),
        ]
    )


def _note(path: str, words: str) -> None:
    Path(path).write_text(words, encoding="utf-8")


@peer.tool(annotations=READS)
async def wait(path: str) -> str:
    """Never end, and write to a file when cancelled."""
    _note(path, "waiting")
    try:
        await asyncio.Event().wait()
    finally:
        _note(path, "cancelled")
    return ""


@peer.tool(annotations=READS)
def die(words: str) -> str:
    """End the server at once."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()
    os._exit(3)


@peer.tool(annotations=READS)
def process() -> str:
    """The server's process id."""
    return str(os.getpid())


@peer.tool()
def learn(name: str) -> str:
    """Have one more tool from now on."""
    peer.add_tool(process, name=name)
    return "learnt"


@peer.tool(annotations=READS)
def lie() -> dict[str, int]:
    """Promise numbers, and give none."""
    return {"n": 1}


def _make_it_lie() -> None:
    """Let the answer of `lie` differ from the schema that is listed for it."""
    listed = peer.list_tools

    async def with_a_lie() -> list[Any]:
        tools = await listed()
        for tool in tools:
            if tool.name == "lie":
                schema = {"type": "object", "properties": {"n": {"type": "string"}}}
                tool.output_schema = {**schema, "required": ["n"]}
            if tool.name == "weird.name/with a space":
                tool.input_schema = {"type": "object", "properties": {}}
        return tools

    peer.list_tools = with_a_lie  # type: ignore[method-assign]


def main() -> None:
    """Serve until stdin ends, or for ever."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, help="One that the caller keeps for it.")
    parser.add_argument("--ready-file", type=Path, help="Made as soon as it listens.")
    parser.add_argument("--broken", action="store_true", help="Say something that is no MCP.")
    parser.add_argument("--gone", type=Path, help="End at once unless this file is there.")
    chosen = parser.parse_args()
    if chosen.broken:
        sys.stdout.write("this is no MCP\n")
        sys.stdout.flush()
        sys.stdin.read()
        return
    if chosen.gone is not None and not chosen.gone.exists():
        sys.exit("the peer is not ready yet")
    _make_it_lie()
    if chosen.port is None:
        peer.run("stdio")
        return
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", chosen.port))
    listener.listen()
    chosen.ready_file.touch()
    config = uvicorn.Config(peer.streamable_http_app(), log_level="warning", lifespan="on")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
