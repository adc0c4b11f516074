"""Which MCP server, how to reach it, and how long to wait for it: a value, checked when made.

Embedders make it and hand it to `Runtime`. Nothing is started here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

PREFIX = "mcp__"
SHORTEST_SECRET = 6  # characters

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]|_(?!_)){0,30}(?<!_)\Z")
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, kw_only=True)
class _Ways:
    """What an MCP server may be told besides its name."""

    command: Sequence[str] = ()
    """Program and arguments of a server that speaks over stdin and stdout."""
    url: str = ""
    """The address of a server that speaks streamable HTTP."""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """All that the program gets of an environment, besides PATH."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with every request to `url`: a token, for example."""
    cwd: Path | None = None
    """Where the program starts; None: where this process is."""
    allow_tools: Sequence[str] | None = None
    """Which of its tools there are, by their own names or globs; None: all."""
    trust_hints: bool = True
    """Whether its word counts that a tool only reads, or may be repeated."""
    start_seconds: float = 30.0
    """How long starting it and listing its tools may take."""
    call_seconds: float = 120.0
    """How long one call may take."""


@dataclass(frozen=True)
class McpServer(_Ways):
    """An MCP server: `McpServer("github", command=("github-mcp", "stdio"), env={…})`.

    Its tools are called `mcp__<name>__<tool>`; posts name them so, or `mcp__<name>__*` for all.
    Raises `ValueError` for a name that cannot be part of a tool's, and unless there is either a
    command or an address.
    """

    name: str

    def __post_init__(self) -> None:
        if _NAME.match(self.name) is None:
            raise ValueError(
                f"{self.name!r} cannot be an MCP server's name: use up to 31 small letters, "
                "digits, hyphens and single underscores"
            )
        if isinstance(self.command, str) or isinstance(self.allow_tools, str):
            raise TypeError(f"MCP server {self.name}: give a list of words, not one text")
        if bool(self.command) == bool(self.url):
            raise ValueError(f"MCP server {self.name}: give a command or a url, one of them")
        # Whoever keeps the lists and dictionaries may change them; a server stays what it was.
        object.__setattr__(self, "command", tuple(self.command))
        if self.allow_tools is not None:
            object.__setattr__(self, "allow_tools", tuple(self.allow_tools))
        object.__setattr__(self, "env", dict(self.env))
        object.__setattr__(self, "headers", dict(self.headers))

    @property
    def prefix(self) -> str:
        """What the names of all its tools begin with."""
        return f"{PREFIX}{self.name}__"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What it is told that nobody else should read. Flags and levels are shorter."""
        told = (*self.env.values(), *self.headers.values())
        return tuple(value for value in told if len(value) >= SHORTEST_SECRET)

    def allows(self, tool: str) -> bool:
        """Whether its tool of this name is offered."""
        return self.allow_tools is None or any(fnmatchcase(tool, one) for one in self.allow_tools)

    def is_meant_by(self, name: str) -> bool:
        """Whether a name or glob in a post's list of tools can mean a tool of this server."""
        fixed = _WILD.split(name, maxsplit=1)[0]
        if fixed != name and not fixed.startswith(PREFIX):
            return False
        return fixed.startswith(self.prefix) or (fixed != name and self.prefix.startswith(fixed))


def is_glob(name: str) -> bool:
    """Whether an entry of a post's list of tools stands for several tools of MCP servers."""
    return name.startswith(PREFIX) and _WILD.search(name) is not None
