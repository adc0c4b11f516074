"""What a tool is: a Python function with type hints, made into something a model can call.

    @tool(reads_only=True)
    async def weather(city: str, days: int = 1) -> str:
        "The weather in a city."

The schema comes from the hints, the description from the docstring; a parameter annotated
`ToolContext` is filled by the runtime and hidden from the model. Called by the turn loop. A tool
does not know about approvals, journals or channels.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias, get_type_hints, overload

from pydantic import ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails, to_json

from longhouse.kit.clock import Clock
from longhouse.protocol.events import Attached, JsonObject, Todo
from longhouse.runtime.attachments import MOST_BYTES, Attachment
from longhouse.runtime.sandbox.base import Sandbox
from longhouse.runtime.tools.outputs import Outputs
from longhouse.runtime.tools.shells import Shells

Delegate: TypeAlias = Callable[[str, str], Awaitable[str]]
"""(post, prompt) -> what the sub-agent answered. Raises `ToolFailed`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolContext:
    """What a tool may know of the agent that calls it."""

    agent_id: str
    call_id: str
    workspace: Path  # absolute, exists
    sandbox: Sandbox
    clock: Clock
    seen: Mapping[str, str]  # workspace path -> digest when this agent last read or wrote it
    todos: tuple[Todo, ...]
    delegate: Delegate  # give work to a sub-agent and wait for its answer
    shells: Shells  # the agent's background commands in this process
    outputs: Outputs  # what was cut from results
    skills: Sequence[Path] = ()  # folders with skills that the house names
    attachments: Mapping[str, Attached] = field(default_factory=dict)  # digest -> what came so far
    most_attachment_bytes: int = MOST_BYTES
    background: Set[str] = frozenset()  # calls that started one, in this process or before


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolResult:
    """What a tool gives back. A plain `str` (or anything JSON) is a result with only content."""

    content: str
    diff: str = ""  # unified diff of what changed, for people
    files: Mapping[str, str] = field(default_factory=dict)  # path -> digest, newly read or written
    todos: tuple[Todo, ...] | None = None  # the new plan, when the tool changed it
    # What the model is shown besides, where it can be: new, or attached before.
    attachments: Sequence[Attachment | Attached] = ()


class ToolFailed(Exception):
    """Raise it to give the model a failed result with your words. Anything else raised does too."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(printable(message))
        self.retryable = retryable


class InvalidArguments(Exception):
    """The arguments do not fit the tool's schema. The text is for the model."""


Invoke: TypeAlias = Callable[[ToolContext, JsonObject], Awaitable[ToolResult]]
Preview: TypeAlias = Callable[[ToolContext, JsonObject], Awaitable[str]]


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool as the loop and the models see it."""

    name: str
    description: str
    schema: JsonObject  # JSON Schema of the arguments
    validate: Callable[[JsonObject], JsonObject]  # raises InvalidArguments
    invoke: Invoke
    reads_only: bool | None = None  # None: nobody said; `read_only` mode asks
    repeatable: bool = False  # may run again after a crash cut it off
    network: bool = False
    parallel: bool = False  # may run beside others of the same answer
    timeout: float | None = 120.0  # seconds; None: it knows its own
    subject: str | None = None  # the argument that permission patterns match
    preview: Preview | None = None  # what it would change, for the person who decides


ToolFunction: TypeAlias = Callable[..., Any]

_SURROGATE = re.compile("[\ud800-\udfff]")  # what `surrogateescape` makes of foreign bytes


class _Decorator(Protocol):
    def __call__(self, function: ToolFunction, /) -> Tool: ...


@overload
def tool(function: ToolFunction, /) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    reads_only: bool | None = None,
    repeatable: bool | None = None,
    network: bool = False,
    parallel: bool | None = None,
    timeout: float | None = 120.0,
    subject: str | None = None,
    preview: Preview | None = None,
) -> _Decorator: ...


def tool(
    function: ToolFunction | None = None,
    /,
    *,
    name: str | None = None,
    reads_only: bool | None = None,
    repeatable: bool | None = None,
    network: bool = False,
    parallel: bool | None = None,
    timeout: float | None = 120.0,
    subject: str | None = None,
    preview: Preview | None = None,
) -> Tool | _Decorator:
    """Make a function into a tool.

    What only reads is repeatable and parallel unless you say not. Raises `TypeError` for a
    parameter that a model could not fill.
    """

    def make(function: ToolFunction) -> Tool:
        signature = _Signature(function)
        reads = reads_only is True
        return Tool(
            name=name or function.__name__,
            description=inspect.getdoc(function) or "",
            schema=signature.schema,
            validate=signature.validate,
            invoke=signature.invoke,
            reads_only=reads_only,
            repeatable=reads if repeatable is None else repeatable,
            network=network,
            parallel=reads if parallel is None else parallel,
            timeout=timeout,
            subject=subject,
            preview=preview,
        )

    return make if function is None else make(function)


class _Signature:
    """A function's parameters as a schema, and the call that fits them. Made once for each tool."""

    def __init__(self, function: ToolFunction) -> None:
        self._function = function
        self._async = inspect.iscoroutinefunction(function)
        hints = get_type_hints(function, include_extras=True)
        parameters = inspect.signature(function).parameters.values()
        self._context = next((p.name for p in parameters if hints.get(p.name) is ToolContext), None)
        shown = [parameter for parameter in parameters if parameter.name != self._context]
        for parameter in shown:
            _check(function, parameter, hints)
        # Fields have names of their own: a parameter may be called what a model's method is.
        self._names = {f"argument_{index}": shown[index].name for index in range(len(shown))}
        fields: dict[str, Any] = {
            key: (hints[parameter.name], Field(_default(parameter), alias=parameter.name))
            for key, parameter in zip(self._names, shown, strict=True)
        }
        self._model = create_model(
            function.__name__, __config__=ConfigDict(extra="forbid"), **fields
        )
        self.schema: JsonObject = untitled(self._model.model_json_schema())

    def validate(self, arguments: JsonObject) -> JsonObject:
        try:
            values = self._model.model_validate(arguments).__dict__
        except ValidationError as error:
            raise InvalidArguments(
                explain(
                    error, "The arguments do not fit the tool's schema", tuple(self._names.values())
                )
            ) from None
        return {name: values[key] for key, name in self._names.items()}

    async def invoke(self, context: ToolContext, arguments: JsonObject) -> ToolResult:
        if self._context is not None:
            arguments = {**arguments, self._context: context}
        if self._async:
            result = await self._function(**arguments)
        else:
            result = await asyncio.to_thread(self._function, **arguments)
        return _result(result)


def printable(text: str) -> str:
    """`text` as every journal can hold it: no NUL, no bytes that were never UTF-8."""
    text = text.replace("\x00", "\N{SYMBOL FOR NULL}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    return text


def _check(function: ToolFunction, parameter: inspect.Parameter, hints: JsonObject) -> None:
    """Raise `TypeError` for a parameter that no model could fill."""
    where = f"tool {function.__name__}: parameter {parameter.name!r}"
    if parameter.name not in hints:
        raise TypeError(f"{where} needs a type hint")
    if parameter.kind not in (
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    ):
        raise TypeError(f"{where} must be an ordinary parameter, with a name a model can give")


def _default(parameter: inspect.Parameter) -> Any:
    return ... if parameter.default is inspect.Parameter.empty else parameter.default


def untitled(schema: JsonObject) -> JsonObject:
    """A schema without the titles that only repeat names: they cost tokens in every model call.

    Walks schemas only, so that a property which is called `title` stays.
    """
    slim = {key: value for key, value in schema.items() if key != "title"}
    for key in ("properties", "$defs"):
        if key in slim:
            slim[key] = {name: untitled(inner) for name, inner in slim[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(slim.get(key), dict):
            slim[key] = untitled(slim[key])
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if key in slim:
            slim[key] = [untitled(inner) for inner in slim[key]]
    return slim


def explain(error: ValidationError, what: str, names: tuple[str, ...] = ()) -> str:
    """What does not fit, in words for a model. `names`: of the fields there are."""
    lines = [_problem(problem, names) for problem in error.errors(include_url=False)]
    return printable("\n".join([f"{what}:", *lines]))


def _problem(problem: ErrorDetails, names: tuple[str, ...]) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "all of it"
    if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
        return f"- {where}: there is no such argument; there are {', '.join(names) or 'none'}"
    return f"- {where}: {problem['msg']}"


def _result(value: object) -> ToolResult:
    if isinstance(value, ToolResult):
        return replace(value, content=printable(value.content), diff=printable(value.diff))
    if isinstance(value, str):
        return ToolResult(content=printable(value))
    return ToolResult(content="" if value is None else printable(_json(value)))


def _json(value: object) -> str:
    return to_json(value, fallback=str).decode()
