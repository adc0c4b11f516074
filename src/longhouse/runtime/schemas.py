"""JSON Schemas that come from outside: a check of values by one, made with care.

Used for the tools of MCP servers and for answers that have a shape. A schema is foreign: no
reference in it is fetched, and no regular expression of it is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

from longhouse.protocol.events import JsonObject

MOST_PROBLEMS = 5  # told of a value that does not fit
LONGEST_PROBLEM = 300  # characters of one

Check: TypeAlias = Callable[[JsonObject], list[str]]
"""What is wrong with an object, one line for each; nothing: it fits."""


class NoSchema(Exception):
    """It is none, or none of an object; the text says why."""


def validator(schema: JsonObject) -> Check:
    """A check of objects by a schema. Raises `NoSchema`."""
    try:
        return _validator(json.dumps(schema, sort_keys=True))
    except (TypeError, ValueError, RecursionError):
        raise NoSchema("it is no JSON") from None


@lru_cache(maxsize=128)
def _validator(text: str) -> Check:
    # They take a tenth of a second to import, and few need them.
    import jsonschema  # type: ignore[import-untyped]  # noqa: PLC0415
    import referencing  # noqa: PLC0415

    schema = json.loads(text)
    if schema.get("type") != "object":
        raise NoSchema("it is of no JSON object")
    try:
        kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
        kind.check_schema(schema)
    except (jsonschema.SchemaError, RecursionError) as error:
        raise NoSchema(str(error)[:200]) from None
    # With a registry of its own, so that no reference is fetched from anywhere.
    judge = kind(schema, registry=referencing.Registry())
    # A foreign regular expression could take for ever: whoever wrote it checks those.
    judged = not _has_expressions(schema)

    def check(value: JsonObject) -> list[str]:
        if not judged:
            return []
        try:
            return [_problem(error) for error in islice(judge.iter_errors(value), MOST_PROBLEMS)]
        except (referencing.exceptions.Unresolvable, RecursionError):
            return []  # a schema that points nowhere: whoever wrote it knows what it means

    return check


def _has_expressions(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_has_expressions, schema))
    if not isinstance(schema, dict):
        return False
    # A property may be called so, too: its schema is no text.
    own = isinstance(schema.get("pattern"), str) or "patternProperties" in schema
    return own or any(map(_has_expressions, schema.values()))


def _problem(error: Any) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "it"
    return f"- {where}: {str(error.message)[:LONGEST_PROBLEM]}"
