"""A post: what an agent is told, may do, and may spend. Immutable.

Built by an embedder or a server; read by the turn loop at each model call and by the permission
rules at each tool call. It holds no state of an agent: a hundred agents share one post.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

import msgspec

from longhouse.runtime.sandbox import egress_hosts

DIGEST_CHARACTERS = 16  # of SHA-256: enough to tell the versions of one post apart


class Mode(StrEnum):
    """What happens to a tool call that no rule names."""

    AUTO = "auto"  # runs
    ASK = "ask"  # tools that only read run; all others wait for a person
    READ_ONLY = "read_only"  # known readers run, known writers are denied, unknown ones ask


class Verdict(StrEnum):
    """What a rule says of a call."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of a post's permissions.

    `pattern` is a tool name, or a tool name with a glob over its main argument:
    `bash_run(git *)`, `fs_write(/etc/**)`, `fs_*`.
    """

    verdict: Verdict
    pattern: str


@dataclass(frozen=True, kw_only=True)
class Permissions:
    """Mode and rules. Deny beats allow beats ask beats mode, whatever their order in the list."""

    mode: Mode = Mode.ASK
    rules: tuple[Rule, ...] = ()
    within: Permissions | None = None  # those of who delegated: the stricter word counts


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one turn may use.

    Reaching `steps`, `tokens`, `wall_seconds` or `identical_calls` ends it with reason `limit`.
    """

    steps: int = 100  # model calls
    tokens: int = 2_000_000  # input and output of all its calls
    wall_seconds: float = 3600.0  # time at work; waiting for a person does not count
    identical_calls: int = 5  # the same tool with the same arguments, in a row
    parallel_tools: int = 4  # tool calls at once
    output_tokens: int = 16_384  # of one model call
    context_tokens: int = 100_000  # of one model call's input; a longer context is summarised


DEFAULT_TOOLS = (
    "fs_read",
    "fs_write",
    "fs_edit",
    "fs_multi_edit",
    "fs_glob",
    "fs_grep",
    "bash_run",
    "bash_logs",
    "bash_kill",
    "todo_read",
    "todo_write",
    "skills",
)


@dataclass(frozen=True, kw_only=True)
class Post:
    """A role template."""

    name: str
    prompt: str = ""
    description: str = ""
    model: str = "auto"
    tools: tuple[str, ...] = DEFAULT_TOOLS
    permissions: Permissions = field(default_factory=Permissions)
    limits: Limits = field(default_factory=Limits)
    hosts: tuple[str, ...] = ()  # that commands reach: `example.org`, `*.example.org:8443`
    version: int = 0  # for the journal, where you count the versions of a post

    def __post_init__(self) -> None:
        """Raises `InvalidHost`, a `ValueError`, for hosts that mean nothing."""
        for host in self.hosts:
            egress_hosts.pattern(host)

    @cached_property
    def digest(self) -> str:
        """Of everything but the version: two posts with the same one say the same."""
        said = msgspec.json.encode(replace(self, version=0))
        return hashlib.sha256(said).hexdigest()[:DIGEST_CHARACTERS]
