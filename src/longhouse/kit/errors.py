"""The errors people and programs meet, each with an HTTP status, a code and a way out.

LonghouseError
├── BadRequest          400  the request cannot be understood
├── Unauthenticated     401  no valid credential
├── Forbidden           403  a valid credential that may not do this
├── NotFound            404  no such thing, or none that the caller may see
├── Conflict            409  the thing is in another state than the request supposes
│   └── IllegalTransition    (kit.states) no such step between two states
├── TooLarge            413  the body or file is over its limit
├── InvalidInput        422  understood, but a value is wrong
├── TooManyRequests     429  a limit is reached; `retry_after` says when it is not
├── Misconfigured       500  start-up or a setting: someone has to change something
├── UpstreamFailed      502  a model, forge or device answered wrongly
└── Unavailable         503  not now; `retry_after` says when to try again

Rooms raise these or subclasses of their own; the server turns them into problem+json (RFC 9457)
and the command line into one line and an exit code. Nothing here logs or knows HTTP libraries.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeAlias

TYPE_PREFIX = "urn:longhouse:problem:"
"""What the `type` of every problem begins with; the code follows."""

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
"""A value `json.dumps` can write."""

RESERVED_MEMBERS = frozenset(
    {"type", "title", "status", "detail", "code", "hint", "instance", "request_id"}
)
"""Members of a problem that this module writes; no field may take their place."""


class LonghouseError(Exception):
    """Something a person or program can act on; `detail` says what and where, `hint` what to do.

    Fields are extra members of the problem: JSON values, never secrets.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong"
    # What the command line exits with, after BSD's sysexits(3).
    exit_code: ClassVar[int] = 70  # EX_SOFTWARE

    def __init__(self, detail: str, *, hint: str | None = None, **fields: Json) -> None:
        taken = RESERVED_MEMBERS & fields.keys()
        if taken:
            raise TypeError(f"a problem writes these members itself: {', '.join(sorted(taken))}")
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.fields = fields

    def problem(
        self, *, instance: str | None = None, request_id: str | None = None
    ) -> dict[str, Json]:
        """The body of an `application/problem+json` answer (RFC 9457)."""
        body: dict[str, Json] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.hint is not None:
            body["hint"] = self.hint
        if instance is not None:
            body["instance"] = instance
        if request_id is not None:
            body["request_id"] = request_id
        return body | self.fields

    def __str__(self) -> str:
        return self.detail if self.hint is None else f"{self.detail} {self.hint}"


class BadRequest(LonghouseError):
    """The request cannot be understood: broken JSON, a header that is no number."""

    status = 400
    code = "bad-request"
    title = "The request cannot be understood"
    exit_code = 64  # EX_USAGE


class Unauthenticated(LonghouseError):
    """No credential, or one that is wrong, expired or revoked."""

    status = 401
    code = "unauthenticated"
    title = "Sign in first"
    exit_code = 77  # EX_NOPERM


class Forbidden(LonghouseError):
    """A valid credential that may not do this."""

    status = 403
    code = "forbidden"
    title = "Not allowed"
    exit_code = 77  # EX_NOPERM


class NotFound(LonghouseError):
    """There is no such thing, or none the caller may see; which of the two is not told."""

    status = 404
    code = "not-found"
    title = "Not found"
    exit_code = 66  # EX_NOINPUT


class Conflict(LonghouseError):
    """The thing is in another state than the request supposes."""

    status = 409
    code = "conflict"
    title = "Not possible in the present state"
    exit_code = 75  # EX_TEMPFAIL


class TooLarge(LonghouseError):
    """A body or file over its limit."""

    status = 413
    code = "too-large"
    title = "Too large"
    exit_code = 65  # EX_DATAERR


class InvalidInput(LonghouseError):
    """Understood, but a value is wrong."""

    status = 422
    code = "invalid-input"
    title = "A value is not valid"
    exit_code = 65  # EX_DATAERR


class TooManyRequests(LonghouseError):
    """A limit is reached."""

    status = 429
    code = "too-many-requests"
    title = "Too many requests"
    exit_code = 75  # EX_TEMPFAIL

    def __init__(
        self, detail: str, *, retry_after: float, hint: str | None = None, **fields: Json
    ) -> None:
        super().__init__(detail, hint=hint, retry_after=retry_after, **fields)
        self.retry_after = retry_after  # seconds


class Misconfigured(LonghouseError):
    """Someone has to change something: a setting, a taken port, an unwritable file."""

    status = 500
    code = "misconfigured"
    title = "The set-up needs a change"
    exit_code = 78  # EX_CONFIG


class UpstreamFailed(LonghouseError):
    """A model, forge or device that we called answered wrongly or not at all."""

    status = 502
    code = "upstream-failed"
    title = "A service we depend on failed"
    exit_code = 76  # EX_PROTOCOL


class Unavailable(LonghouseError):
    """Not now, though nothing is wrong with the request."""

    status = 503
    code = "unavailable"
    title = "Not available at the moment"
    exit_code = 69  # EX_UNAVAILABLE

    def __init__(
        self,
        detail: str,
        *,
        retry_after: float | None = None,
        hint: str | None = None,
        **fields: Json,
    ) -> None:
        if retry_after is not None:
            fields["retry_after"] = retry_after
        super().__init__(detail, hint=hint, **fields)
        self.retry_after = retry_after  # seconds; None when nobody can tell
