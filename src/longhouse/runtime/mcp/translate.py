"""Between the words of MCP and those of tools: names, schemas, hints, results.

Pure functions, called by `connection` and `toolbox`. What a server says is foreign: names are made
fit, texts are cut, a schema that is none takes its tool away.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from longhouse.protocol.events import JsonObject
from longhouse.runtime.mcp.server import McpServer
from longhouse.runtime.schemas import NoSchema, validator
from longhouse.runtime.tools.base import (
    InvalidArguments,
    Tool,
    ToolContext,
    ToolResult,
    printable,
)

if TYPE_CHECKING:
    import mcp_types

LONGEST_NAME = 64  # characters: what every vendor of models takes as a tool's name
LONGEST_DESCRIPTION = 8000  # characters: it is sent with each model call
LONGEST_RESULT = 1_000_000  # characters: what the loop keeps of it; models see less

Call = Callable[[str, JsonObject], Awaitable[ToolResult]]
"""(the server's name of the tool, arguments) -> its result. Raises `ToolFailed`."""

_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


class UnusableTool(Exception):
    """A server lists a tool that no model could call; the text says why."""


def tool_name(server: McpServer, name: str) -> str:
    """What a server's tool is called here; one name for one tool, in letters that vendors take."""
    full = server.prefix + name
    fit = _UNFIT.sub("_", full)
    if fit == full and len(full) <= LONGEST_NAME:
        return full
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{fit[: LONGEST_NAME - len(digest) - 1]}_{digest}"


def make_tool(server: McpServer, listed: mcp_types.Tool, call: Call) -> Tool:
    """A server's tool as the loop sees it. Raises `UnusableTool`."""
    hints = listed.annotations if server.trust_hints else None
    reads_only = None if hints is None else hints.read_only_hint
    idempotent = hints is not None and hints.idempotent_hint is True

    async def invoke(context: ToolContext, arguments: JsonObject) -> ToolResult:
        return await call(listed.name, arguments)

    return Tool(
        name=tool_name(server, listed.name),
        description=printable(listed.description or listed.title or "")[:LONGEST_DESCRIPTION],
        schema=listed.input_schema,
        validate=_validator(listed.input_schema),
        invoke=invoke,
        reads_only=reads_only,
        repeatable=reads_only is True or idempotent,
        network=bool(server.url),
        parallel=reads_only is True,
        timeout=None,  # the connection knows the server's
    )


def text_of(result: mcp_types.CallToolResult) -> str:
    """A result as text for a model: what is no text is noted, what is too long is cut."""
    parts = [_block(block) for block in result.content]
    if not parts and result.structured_content is not None:
        parts = [json.dumps(result.structured_content, ensure_ascii=False)]
    return cut(printable("\n".join(parts)))


def cut(text: str) -> str:
    """`text` with its middle left out where it is too long for a result, saying how much."""
    if len(text) <= LONGEST_RESULT:
        return text
    head = LONGEST_RESULT * 2 // 3
    tail = LONGEST_RESULT - head
    dropped = len(text) - LONGEST_RESULT
    note = f"\n[{dropped:,} characters were cut here; ask for less at a time]\n"
    return f"{text[:head]}{note}{text[-tail:]}"


def _block(block: Any) -> str:
    """One part of a result. By its `type`: a server may be newer than this."""
    match block.type:
        case "text":
            return str(block.text)
        case "image" | "audio":
            size = len(block.data) * 3 // 4
            return f"[{block.type} of type {block.mime_type}, {size:,} bytes: not shown]"
        case "resource_link":
            return f"[resource {block.name}: {block.uri}]"
        case "resource":
            inner = block.resource
            text = getattr(inner, "text", None)
            return f"[resource {inner.uri}{'' if text is not None else ', binary: not shown'}]" + (
                f"\n{text}" if text is not None else ""
            )
        case other:
            return f"[{other}: not shown]"


def _validator(schema: JsonObject) -> Callable[[JsonObject], JsonObject]:
    """A check of arguments by a server's schema. Raises `UnusableTool` where it is none."""
    try:
        check = validator(schema)
    except NoSchema as error:
        raise UnusableTool(f"the schema of its arguments is none: {error}") from None

    def validate(arguments: JsonObject) -> JsonObject:
        if problems := check(arguments):
            shown = "\n".join(problems)
            raise InvalidArguments(
                printable(f"The arguments do not fit the tool's schema:\n{shown}")
            )
        return arguments

    return validate
