"""What a scripted vendor answers: the prompt is the script.

The last user message that holds `FAKE:[ …JSON steps… ]` is used. Which step comes next is a fold of
the conversation alone: the number of assistant turns after that message. So a restarted client, a
retry and a second server all get the same answer.

Steps (abstract ones are mapped onto whatever tools the client offered):

    {"say": "text", "chunks": 5, "delay": 0.05}    {"think": "text"}
    {"redact": "text"}                             thinking that comes back sealed only
    {"write": ["path", "content"]}  {"read": "path"}  {"bash": "command"}
    {"edit": ["path", "old", "new"]}
    {"tool": ["exact_tool_name", {arguments}]}     {"raw": ["tool_name", "not JSON"]}
    {"id": "call_0"}                               of this answer's calls, instead of a new one
    {"mcp": ["name", {arguments}]}                 the first offered tool whose name ends so
    {"error": 429, "headers": {…}, "times": 1}     then `say` or "recovered"
    {"error": 429, "kind": "code", "message": "…"} in the vendor's own words
    {"html": 404}                                  a web page with that status
    {"cut": 3}                                     drop the connection after 3 chunks
    {"stop_short": 3}                              end the stream in good order after 3 chunks
    {"hang": 30}                                   seconds before answering; true: for ever
    {"hang_after": 2}                              for ever, after that many chunks
    {"usage": {"cached": 5, "reasoning": 3}}       what the answer claims besides its size

A list instead of an object is several steps in one answer: parallel tool calls. After the last step
comes "DONE". A request without a script, or without tools (titles, summaries), gets "ok". The
dialects turn a `Turn` into bytes; nothing here knows HTTP or a vendor.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A JSON object in a vendor's shape."""

Tools: TypeAlias = Mapping[str, Json | None]
"""The tools a client offered: name -> schema; None for free-form ones."""

MARK = "FAKE:"

_decoder = json.JSONDecoder()
_directories = [
    re.compile(pattern)
    for pattern in (
        r"(?:Primary working directory|[Ww]orking directory|Working Directory|<cwd>)"
        r"\s*:?\s*`?([^\s<`]+)",
        r"current working directory(?: is)?:? `?([^\s`<]+)",
        r"working in the directory: ?`?([^\s`<]+)",
    )
]


@dataclass(frozen=True)
class Script:
    """The steps of one prompt; `key` tells scripts apart."""

    steps: Sequence[Any]
    key: str


@dataclass
class Turn:
    """One answer, neutral of any protocol."""

    text: str = ""
    thinking: str = ""
    redacted: str = ""  # thinking that the vendor shows nobody
    calls: list[tuple[str, Json | str]] = field(default_factory=list)
    chunks: int = 4  # into how many deltas a text is split
    delay: float = 0.0  # seconds between two chunks
    cut: int | None = None
    stop_short: int | None = None
    hang: float | bool = False
    hang_after: int | None = None
    error: int | None = None
    html: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    kind: str | None = None  # of the error, where the vendor has codes
    message: str = ""  # of the error; empty: "scripted <status>"
    cached: int = 0
    reasoning: int = 0
    id: str = ""  # of the calls, when a step names one


@dataclass
class Ask:
    """What a dialect found in a request body."""

    users: list[tuple[int, str]]  # index among the messages, text
    turns_after: list[bool]  # for each message: is it the assistant's
    tools: Tools
    texts: list[str]  # where a working directory may be named
    schema: Json | None = None  # of the answer, when a structured one is asked for


class Player:
    """Chooses the turn for a request. Remembers only how often a step has failed."""

    def __init__(self) -> None:
        self._failures: dict[tuple[str, int], int] = {}

    def turn(self, ask: Ask) -> Turn:
        """The turn that answers this request."""
        index, script = find_script(ask.users)
        if script is None or not ask.tools:
            text = "ok" if ask.schema is None else json.dumps(smallest(ask.schema))
            return Turn(text=text)
        done = sum(ask.turns_after[index + 1 :])
        step: Json | list[Json] = (
            script.steps[done] if done < len(script.steps) else {"say": "DONE"}
        )
        turn = Turn()
        for part in step if isinstance(step, list) else [step]:
            if "error" in part and self._fails(script.key, done, part):
                return Turn(
                    error=part["error"],
                    headers=part.get("headers", {}),
                    kind=part.get("kind"),
                    message=part.get("message", ""),
                )
            _add(turn, part, ask)
        return turn

    def _fails(self, key: str, step: int, part: Json) -> bool:
        seen = self._failures.get((key, step), 0) + 1
        self._failures[key, step] = seen
        return seen <= int(part.get("times", 1))


def find_script(users: Sequence[tuple[int, str]]) -> tuple[int, Script | None]:
    """The last user message with a script that can be read, and the script."""
    for index, text in reversed(users):
        at = text.rfind(MARK + "[")
        if at < 0:
            continue
        try:
            steps, _ = _decoder.raw_decode(text, at + len(MARK))
        except ValueError:
            continue
        return index, Script(steps, hashlib.sha256(text.encode()).hexdigest())
    return -1, None


def join(value: Any) -> str:
    """All text in a vendor's message content, whatever its nesting."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return value.get("text") or join(value.get("parts")) or ""
    return "\n".join(join(part) for part in value)


def split(text: str, parts: int) -> list[str]:
    """The text in about so many pieces; none for an empty text."""
    if not text:
        return []
    size = -(-len(text) // max(1, min(parts, len(text))))
    return [text[at : at + size] for at in range(0, len(text), size)]


def smallest(schema: Any) -> Any:
    """The smallest JSON value that fits a schema."""
    if not isinstance(schema, dict):
        return "x"
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return smallest(schema[key][0])
    kind = schema.get("type", "object")
    kind = (kind[0] if isinstance(kind, list) else kind).lower()
    if kind == "object":
        return {key: smallest(value) for key, value in schema.get("properties", {}).items()}
    return {"array": [], "string": "ok", "number": 1, "integer": 1, "boolean": True}.get(kind)


def arguments_text(arguments: Json | str) -> str:
    """The arguments of a call as they stream: JSON, or the raw text of a `raw` step."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


SETTINGS = (
    "chunks", "delay", "cut", "stop_short", "hang", "hang_after", "html",
    "cached", "reasoning", "id",
)  # fmt: skip


def _add(turn: Turn, part: Json, ask: Ask) -> None:
    for name, value in {**part, **part.get("usage", {})}.items():
        if name in SETTINGS:
            setattr(turn, name, value)
    turn.thinking += part.get("think", "")
    turn.redacted += part.get("redact", "")
    turn.text += part.get("say", "recovered" if "error" in part else "")
    for step in ("write", "edit", "bash", "read", "tool", "mcp", "raw"):
        if step in part:
            turn.calls.append(_call(step, part[step], ask))


def _call(step: str, value: Any, ask: Ask) -> tuple[str, Json | str]:
    """An abstract step as a call of a tool the client has."""
    match step:
        case "tool" | "raw":
            return value[0], value[1]
        case "mcp":
            found = next((name for name in ask.tools if name.endswith(value[0])), None)
            return found or f"missing_mcp_{value[0]}", value[1]
        case "write":
            return _write(value[0], value[1], ask)
        case "edit":
            return _edit(value[0], value[1], value[2], ask)
        case "read":
            return _read(value, ask)
        case _:
            return _bash(value, ask.tools)


def _write(path: str, content: str, ask: Ask) -> tuple[str, Json | str]:
    name = _offered(ask.tools, "fs_write", "Write", "write_file", "write", "create_file")
    if name:
        key = _key(ask.tools[name], "file_path", "filePath", "path", "absolute_path")
        return name, {key: _absolute(path, name, ask), "content": content}
    if "apply_patch" in ask.tools:
        added = "".join(f"+{line}\n" for line in content.splitlines())
        patch = f"*** Begin Patch\n*** Add File: {path}\n{added}*** End Patch\n"
        return "apply_patch", patch if ask.tools["apply_patch"] is None else {"input": patch}
    return _bash(f"printf %s {shlex.quote(content)} > {shlex.quote(path)}", ask.tools)


def _edit(path: str, old: str, new: str, ask: Ask) -> tuple[str, Json | str]:
    name = _offered(ask.tools, "fs_edit", "Edit", "edit", "replace")
    if not name:
        return "missing_tool", {"wanted": "edit", "have": sorted(ask.tools)}
    schema = ask.tools[name]
    return name, {
        _key(schema, "file_path", "filePath", "path"): _absolute(path, name, ask),
        _key(schema, "old_string", "oldString", "old", "old_text", "find"): old,
        _key(schema, "new_string", "newString", "new", "new_text", "replace"): new,
    }


def _read(path: str, ask: Ask) -> tuple[str, Json | str]:
    name = _offered(ask.tools, "fs_read", "Read", "read_file", "read")
    if name:
        key = _key(ask.tools[name], "file_path", "filePath", "path", "absolute_path")
        return name, {key: _absolute(path, name, ask)}
    return _bash(f"cat {shlex.quote(path)}", ask.tools)


SHELLS = (
    "bash_run", "Bash", "bash", "run_shell_command", "exec_command", "shell_command", "shell",
    "local_shell",
)  # fmt: skip


def _bash(command: str, tools: Tools) -> tuple[str, Json | str]:
    name = _offered(tools, *SHELLS)
    if not name:
        return "missing_tool", {"wanted": "bash", "have": sorted(tools)}
    properties = (tools[name] or {}).get("properties", {})
    key = "cmd" if "cmd" in properties else "command"
    takes_list = properties.get(key, {}).get("type") == "array"
    arguments: Json = {key: ["bash", "-lc", command] if takes_list else command}
    if "description" in properties:
        arguments["description"] = "scripted"
    return name, arguments


def _offered(tools: Tools, *names: str) -> str | None:
    return next((name for name in names if name in tools), None)


def _key(schema: Json | None, *names: str) -> str:
    properties = (schema or {}).get("properties", {})
    return next((name for name in names if name in properties), names[0])


def _absolute(path: str, tool: str, ask: Ask) -> str:
    """Other clients want absolute paths; our own tools take them relative to the workspace."""
    if path.startswith("/") or tool.startswith("fs_"):
        return path
    directory = _directory(ask.texts)
    return f"{directory.rstrip('/')}/{path}" if directory else path


def _directory(texts: Iterable[str]) -> str:
    for text in texts:
        for pattern in _directories:
            found = pattern.search(text)
            if found and found.group(1).startswith("/"):
                return found.group(1).rstrip(".,")
    return ""
