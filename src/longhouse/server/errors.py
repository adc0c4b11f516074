"""Every error of a request becomes a problem document (RFC 9457) here.

`app` installs these handlers. Errors of ours carry their status, title and hint themselves; what
the framework raises is put into the same words. An unexpected exception says nothing of itself to
the client: `middleware` logs it under the request's id.
"""

import math
from collections.abc import Sequence
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from longhouse.identity.api.base import identity_of
from longhouse.identity.auth import NotAllowed
from longhouse.kit.errors import (
    TYPE_PREFIX,
    BadRequest,
    InvalidInput,
    Json,
    LonghouseError,
    NotFound,
    TooLarge,
    Unauthenticated,
)

READING = ("GET", "HEAD")
METHODS = (*READING, "POST", "PUT", "PATCH", "DELETE")

UNSTORABLE = frozenset({"22021", "22P05"})
"""PostgreSQL's SQLSTATEs for a NUL character in text or in JSON; SQLite stores it."""

PROBLEM_JSON = "application/problem+json"


class FieldError(BaseModel):
    """One value that is wrong."""

    field: str
    message: str


class Problem(BaseModel):
    """Any answer that is not a success, as RFC 9457 has it; a code may add members."""

    type: str = Field(description=f"`{TYPE_PREFIX}<code>`")
    title: str
    status: int
    detail: str
    code: str
    hint: str | None = None
    request_id: str | None = None
    errors: list[FieldError] | None = None


class MethodNotAllowed(LonghouseError):
    """There is something at this address, but not for this method."""

    status = 405
    code = "method-not-allowed"
    title = "Not a method of this address"


class Internal(LonghouseError):
    """Something unexpected; the log has it under the request's id."""

    def __init__(self) -> None:
        super().__init__(
            "The server met an error it did not expect.",
            hint="Try again. The server's log tells more under this request id.",
        )


def install(app: FastAPI) -> None:
    """Answer every error of this application with a problem."""
    app.exception_handler(LonghouseError)(_answer_own)
    app.exception_handler(RequestValidationError)(_answer_invalid)
    app.exception_handler(HTTPException)(_answer_http)
    app.exception_handler(DBAPIError)(_answer_database)
    app.exception_handler(Exception)(_answer_unexpected)


def problem_response(error: LonghouseError, *, request_id: str | None) -> Response:
    """The answer to a request that ended with this error."""
    return JSONResponse(
        error.problem(request_id=request_id),
        status_code=error.status,
        media_type=PROBLEM_JSON,
        headers=_headers(error),
    )


async def _answer_own(request: Request, error: Exception) -> Response:
    assert isinstance(error, LonghouseError)
    if isinstance(error, NotAllowed):
        await identity_of(request).refusals.record_refused(error)
    return problem_response(error, request_id=_request_id(request))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(_explain(error), request_id=_request_id(request))


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = problem_response(_in_our_words(request, error), request_id=_request_id(request))
    answer.headers.update(error.headers or {})
    if error.status_code == 405:
        answer.headers["Allow"] = _methods_at(request)
    return answer


async def _answer_database(request: Request, error: Exception) -> Response:
    """What PostgreSQL refuses in a value is the client's; all else goes on as unexpected."""
    assert isinstance(error, DBAPIError)
    if getattr(error.orig, "sqlstate", None) not in UNSTORABLE:
        raise error
    refused = InvalidInput(
        "A text holds a NUL character, which cannot be stored.", hint="Send it without."
    )
    return problem_response(refused, request_id=_request_id(request))


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    return problem_response(Internal(), request_id=_request_id(request))


def _headers(error: LonghouseError) -> dict[str, str]:
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    retry_after = error.fields.get("retry_after")
    if isinstance(retry_after, int | float):
        headers["Retry-After"] = str(math.ceil(retry_after))
    return headers


def _request_id(request: Request) -> str | None:
    state: dict[str, str] = request.scope.get("state", {})
    return state.get("request_id")


def _explain(error: RequestValidationError) -> LonghouseError:
    problems = error.errors()
    broken = next((problem for problem in problems if problem["type"] == "json_invalid"), None)
    if broken is not None:
        return _broken_json(str(error.body), int(broken["loc"][-1]), broken["ctx"]["error"])
    # Once each, though two parameters may be made of one body.
    told = dict.fromkeys(
        (_field(problem["loc"]), problem["msg"].removeprefix("Value error, "))
        for problem in problems
    )
    errors: list[Json] = [{"field": field, "message": message} for field, message in told]
    fields = ", ".join(sorted({field for field, _ in told}))
    return InvalidInput(f"Not valid: {fields}.", errors=errors)


def _broken_json(body: str, position: int, reason: str) -> BadRequest:
    before = body[:position]
    line, column = before.count("\n") + 1, position - before.rfind("\n")
    return BadRequest(
        f"The body is no valid JSON: at line {line}, column {column}: {reason}.",
        line=line,
        column=column,
    )


def _field(location: Sequence[str | int]) -> str:
    """`repository.source` for a place in the body; where it is a parameter, its name."""
    return ".".join(str(part) for part in location[1:]) or str(location[0])


def _in_our_words(request: Request, error: HTTPException) -> LonghouseError:
    path = request.url.path
    match error.status_code:
        case 400:
            return BadRequest("The body cannot be read: it has to be JSON in UTF-8.")
        case 404:
            return NotFound(
                f"There is nothing at {path}.", hint="GET /api/v1/openapi.json lists every address."
            )
        case 405:
            return MethodNotAllowed(
                f"{request.method} is not possible at {path}.",
                hint=f"It answers to: {_methods_at(request)}.",
            )
        case 413:
            return TooLarge("The body is too large.")
        case 422:
            return InvalidInput(error.detail)
        case status:
            return _Other(status, error.detail)


def _methods_at(request: Request) -> str:
    """What this address answers to; the framework names the first of its routes only."""
    routes = request.app.router.routes
    found = [
        method
        for method in METHODS
        for scope in [{**request.scope, "method": method}]
        if any(route.matches(scope)[0] is Match.FULL for route in routes)
    ]
    return ", ".join(found or READING)  # no route: it is the console's


class _Other(LonghouseError):
    """A status of the framework for which there is no class of ours."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        phrase = HTTPStatus(status).phrase
        # Of this one error, not of the class.
        self.status = status  # type: ignore[misc]
        self.title = phrase  # type: ignore[misc]
        self.code = phrase.lower().replace(" ", "-")  # type: ignore[misc]
