"""Answers that have a shape: a message says which, and the turn ends once one fits.

    invoice = await agent.ask("What does the letter say?", output=Invoice)

The model gives such an answer by calling the tool `final_answer`, whose arguments it is: every
vendor has tools, and an answer that does not fit is told to the model like any other bad call. An
answer in words is taken as well, if it is JSON that fits. The message's event holds the schema, so
that a turn which is taken up in another process knows what it is to come to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from pydantic import BaseModel, ValidationError

from longhouse.kit.errors import InvalidInput
from longhouse.protocol.events import JsonObject
from longhouse.runtime.schemas import NoSchema, validator
from longhouse.runtime.tools.base import (
    InvalidArguments,
    Tool,
    ToolContext,
    ToolResult,
    explain,
    untitled,
)

FINAL_ANSWER = "final_answer"
"""The tool by which the model gives an answer that has a shape. No tool of yours can have it."""

MOST_ATTEMPTS = 5  # answers that do not fit, before the turn fails: a sixth would not either

TAKEN = "The answer was taken."

Output: TypeAlias = type[BaseModel] | JsonObject
"""What an answer has to be: a pydantic model, or the JSON Schema of an object."""

Fits: TypeAlias = Callable[[JsonObject], object]
"""Checks an answer. Raises `InvalidArguments` with words for the model."""

_FENCED = re.compile(r"```(?:json)?\s*\n(?P<inside>.*?)\n```", re.DOTALL)


def schema_of(output: Output) -> JsonObject:
    """The schema that the journal holds. Raises `InvalidInput` for what no answer could fit."""
    schema = output if isinstance(output, dict) else untitled(output.model_json_schema())
    try:
        validator(schema)
    except NoSchema as error:
        raise InvalidInput(
            f"The output is no JSON Schema of an object: {error}.",
            hint="Give a pydantic model, or a schema with type object.",
        ) from None
    return schema


def fits_of(output: Output) -> Fits:
    """The check of an answer, with all that a pydantic model asks for besides its schema."""
    if isinstance(output, dict):
        return fits_schema(output)

    def check(answer: JsonObject) -> object:
        try:
            return output.model_validate(answer)
        except ValidationError as error:
            raise InvalidArguments(explain(error, "The answer does not fit")) from None

    return check


def fits_schema(schema: JsonObject) -> Fits:
    """The check by a schema alone, as a process knows it that did not ask."""
    check = validator(schema)

    def fits(answer: JsonObject) -> object:
        if problems := check(answer):
            raise InvalidArguments("\n".join(["The answer does not fit:", *problems]))
        return answer

    return fits


def answer_tool(schema: JsonObject, fits: Fits) -> Tool:
    """The tool as the model sees it. It never runs: its arguments are what it is for."""

    def validate(arguments: JsonObject) -> JsonObject:
        fits(arguments)
        return arguments

    async def invoke(context: ToolContext, arguments: JsonObject) -> ToolResult:
        return ToolResult(content=TAKEN)

    return Tool(
        name=FINAL_ANSWER,
        description="Give your final answer, once the work is done. It ends the turn: nothing "
        "that you say in words is read.",
        schema=schema,
        validate=validate,
        invoke=invoke,
        reads_only=True,
    )


def from_words(text: str, tool: Tool) -> JsonObject:
    """The answer that is given in words. Raises `InvalidArguments`, with words for the model."""
    answer = _json_in(text)
    try:
        if answer is None:
            raise InvalidArguments("The answer is no JSON object.")
        return tool.validate(answer)
    except InvalidArguments as error:
        raise InvalidArguments(f"{error}\nGive it by calling the tool {tool.name}.") from None


def _json_in(text: str) -> JsonObject | None:
    """The JSON object that an answer in words is, alone or in one fenced block; else None."""
    fenced = _FENCED.findall(text)
    for candidate in (text, *(fenced if len(fenced) == 1 else ())):
        try:
            found: Any = msgspec.json.decode(candidate.strip())
        except msgspec.DecodeError:
            continue
        if isinstance(found, dict):
            return found
    return None
