"""MCP servers by a file, in the form that other programs have for it: `{"mcpServers": {…}}`.

The server reads it at start; embedders may. What is in the file is the operator's: it can hold
tokens, and names programs that run with the rights of this process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from longhouse.kit.errors import Misconfigured
from longhouse.runtime.mcp.server import McpServer


class _Entry(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """One server; `type` is what other programs write and the rest says already."""

    command: str = ""
    args: tuple[str, ...] = ()
    url: str = ""
    env: dict[str, str] = {}
    headers: dict[str, str] = {}
    cwd: str | None = None
    allow_tools: tuple[str, ...] | None = None
    trust_hints: bool = True
    start_seconds: float = 30.0
    call_seconds: float = 120.0
    type: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    servers: dict[str, _Entry] = msgspec.field(name="mcpServers")


def read_servers(path: Path) -> tuple[McpServer, ...]:
    """The servers that the file names. Raises `Misconfigured`."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File)
        return tuple(_server(name, entry) for name, entry in found.servers.items())
    except OSError as error:
        reason = error.strerror or str(error)
    except (msgspec.DecodeError, ValueError) as error:
        reason = str(error)
    raise Misconfigured(
        f"The MCP servers of {path} cannot be used: {reason}.",
        hint='Write {"mcpServers": {"name": {"command": "program", "args": []}}}, or "url".',
    )


def _server(name: str, entry: _Entry) -> McpServer:
    settings: dict[str, Any] = msgspec.structs.asdict(entry)
    del settings["type"]
    program, arguments = settings.pop("command"), settings.pop("args")
    directory = settings.pop("cwd")
    return McpServer(
        name,
        command=(program, *arguments) if program else (),
        cwd=None if directory is None else Path(directory).expanduser(),
        **settings,
    )
