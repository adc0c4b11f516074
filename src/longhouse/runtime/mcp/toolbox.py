"""The tools of a runtime, with those of its MCP servers, and what a post's list of names means.

`Runtime` makes one. `equip` is the one place where servers are started and where `mcp__server__*`
becomes names: everything after it sees a post with plain names, and tools that are there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from longhouse.kit.clock import Clock
from longhouse.protocol.events import JsonObject
from longhouse.runtime.mcp.connection import Connection, ServerDown
from longhouse.runtime.mcp.server import McpServer, is_glob
from longhouse.runtime.mcp.translate import UnusableTool, make_tool
from longhouse.runtime.posts import Post
from longhouse.runtime.tools.base import InvalidArguments, Tool, ToolContext, ToolFailed, ToolResult

logger = logging.getLogger(__name__)

UNAVAILABLE = "unavailable"  # the tool that stands for a server whose tools are not known


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """What an MCP server offers."""

    server: str
    tools: tuple[Tool, ...]  # as it said at last
    reason: str  # why it did not say so now; empty: it did


class Toolbox:
    """All tools by name; it grows when a server is first used."""

    def __init__(self, tools: Iterable[Tool], servers: Sequence[McpServer], clock: Clock) -> None:
        names = [server.name for server in servers]
        if len(set(names)) < len(names):
            raise ValueError(f"two MCP servers have one name: {', '.join(sorted(names))}")
        self._own = {tool.name: tool for tool in tools}
        self._listed: dict[str, dict[str, Tool]] = {}  # server -> its tools by name
        self._down: dict[str, str] = {}  # server -> why it did not list its tools at last
        self._connections = [Connection(server, clock) for server in servers]
        self._asked: set[asyncio.Task[None]] = set()  # by `look`
        self._updating = asyncio.Lock()
        self._tools: dict[str, Tool] = {}
        self._parallel: set[str] = set()
        self._put_together()

    @property
    def tools(self) -> Mapping[str, Tool]:
        """Every tool that is known now: one mapping, which changes."""
        return self._tools

    @property
    def parallel(self) -> Set[str]:
        """The names of the tools that may run beside others: one set, which changes."""
        return self._parallel

    async def equip(self, post: Post) -> Post:
        """The post with plain names of tools; the MCP servers it means are up, or stood in for."""
        meant = [one for one in self._connections if any(map(one.server.is_meant_by, post.tools))]
        if not meant:
            return post
        async with asyncio.TaskGroup() as starting:
            for connection in meant:
                starting.create_task(self._refresh(connection))
        names = [plain for name in post.tools for plain in self._plain(name)]
        stand_ins = [f"{one.server.prefix}{UNAVAILABLE}" for one in meant]
        names += [name for name in stand_ins if name in self._tools]
        return replace(post, tools=tuple(dict.fromkeys(names)))

    async def look(self, *, within: float) -> list[Listing]:
        """What each MCP server offers, asked now and for so many seconds.

        A server that needs longer goes on starting: the next one who looks may find its tools.
        """
        asked = [asyncio.create_task(self._refresh(one)) for one in self._connections]
        self._asked.update(asked)
        for task in asked:
            task.add_done_callback(self._asked.discard)
        if asked:
            await asyncio.wait(asked, timeout=within)
        return [
            self._listing(one.server, task.done(), within=within)
            for one, task in zip(self._connections, asked, strict=True)
        ]

    def _listing(self, server: McpServer, answered: bool, *, within: float) -> Listing:
        stand_in = f"{server.prefix}{UNAVAILABLE}"
        known = self._listed.get(server.name, {})
        tools = tuple(tool for name, tool in known.items() if name != stand_in)
        reason = self._down.get(server.name, "")
        if not answered:
            reason = f"It did not answer within {within:g} seconds."
        return Listing(server=server.name, tools=tools, reason=reason)

    async def close(self) -> None:
        """End every connection."""
        for task in self._asked:
            task.cancel()
        await asyncio.gather(*self._asked, return_exceptions=True)
        await asyncio.gather(*(connection.close() for connection in self._connections))

    def _plain(self, name: str) -> list[str]:
        if not is_glob(name):
            return [name]
        return sorted(tool for tool in self._tools if fnmatchcase(tool, name))

    async def _refresh(self, connection: Connection) -> None:
        """Have the server's tools as they are now; those of before, while it is down."""
        server = connection.server
        try:
            found = await connection.list_tools()
        except ServerDown as error:
            self._down[server.name] = str(error)
            known = self._listed.get(server.name)
            if known is None or f"{server.prefix}{UNAVAILABLE}" in known:
                self._take(server, [_stand_in(connection, str(error))])
            return
        self._down.pop(server.name, None)
        if found is None:
            return
        tools: dict[str, Tool] = {}
        for listed in found:
            if not server.allows(listed.name):
                continue
            try:
                made = make_tool(server, listed, connection.call)
            except UnusableTool as error:
                logger.warning("tool %.80r of MCP server %s: %s", listed.name, server.name, error)
                continue
            tools.setdefault(made.name, made)
        self._take(server, tools.values())

    def _take(self, server: McpServer, tools: Iterable[Tool]) -> None:
        self._listed[server.name] = {tool.name: tool for tool in tools}
        self._put_together()

    def _put_together(self) -> None:
        """Without a pause in between: others read the two while they change."""
        self._tools.clear()
        for tools in self._listed.values():
            self._tools.update(tools)
        self._tools.update(self._own)
        self._parallel.clear()
        self._parallel.update(tool.name for tool in self._tools.values() if tool.parallel)


def _stand_in(connection: Connection, reason: str) -> Tool:
    """What a model sees of a server that never came up: that it is down, and a way to look again.

    Without it the tools would be missing and nobody told.
    """
    server = connection.server

    async def look_again(context: ToolContext, arguments: JsonObject) -> ToolResult:
        try:
            await connection.reach()
        except ServerDown as error:
            raise ToolFailed(str(error), retryable=True) from error
        return ToolResult(content="It is up now. Its tools are there from your next turn on.")

    return Tool(
        name=f"{server.prefix}{UNAVAILABLE}",
        description=f"The tools of MCP server {server.name} are missing. {reason}"
        " Call this to try again; else do without, and tell the person.",
        schema={"type": "object", "properties": {}, "additionalProperties": False},
        validate=_nothing,
        invoke=look_again,
        reads_only=True,
        timeout=None,
    )


def _nothing(arguments: JsonObject) -> JsonObject:
    if arguments:
        raise InvalidArguments("This tool takes no arguments.")
    return {}
