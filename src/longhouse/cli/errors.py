"""What can go wrong between a person's shell and a server, and the one line that says so.

`client` and the commands raise these; `main` prints `one_line` and exits with the error's code.
Errors of other rooms (`LonghouseError`) are told in the same words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from longhouse.kit import errors
from longhouse.kit.errors import (
    TYPE_PREFIX,
    InvalidInput,
    LonghouseError,
    Misconfigured,
    Unauthenticated,
    Unavailable,
    UpstreamFailed,
)

EXIT_CODES: Mapping[int, int] = {
    kind.status: kind.exit_code
    for kind in (
        errors.BadRequest,
        errors.Unauthenticated,
        errors.Forbidden,
        errors.NotFound,
        errors.Conflict,
        errors.TooLarge,
        errors.InvalidInput,
        errors.TooManyRequests,
        errors.UpstreamFailed,
        errors.Unavailable,
    )
}
"""What the command line exits with when the server answers with this status."""

EX_SOFTWARE = LonghouseError.exit_code


class FieldProblem(msgspec.Struct, frozen=True):
    """One value that is wrong, and why."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem document (RFC 9457) as the server writes it; every member may be missing."""

    type: str = ""
    title: str = ""
    detail: str = ""
    hint: str = ""
    request_id: str = ""
    retry_after: float | None = None
    errors: tuple[FieldProblem, ...] = ()


class ServerSaidNo(LonghouseError):
    """The server answered with a problem; its words are passed on."""

    def __init__(self, status: int, problem: Problem) -> None:
        detail = problem.detail or problem.title or f"The server answered with status {status}."
        super().__init__(detail, hint=problem.hint or None)
        self.request_id = problem.request_id
        self.errors = problem.errors
        self.retry_after = problem.retry_after  # seconds
        # Of this one error, not of the class.
        self.status = status  # type: ignore[misc]
        self.code = problem.type.removeprefix(TYPE_PREFIX)  # type: ignore[misc]
        self.exit_code = EXIT_CODES.get(status, EX_SOFTWARE)  # type: ignore[misc]


class ServerUnreachable(Unavailable):
    """Nothing answers at the server's address."""

    code = "server-unreachable"

    def __init__(self, server: str, reason: str = "") -> None:
        because = f" ({reason})" if reason else ""
        super().__init__(
            f"No Longhouse server answers at {server}{because}.",
            hint="Start one with `longhouse serve`, or name another with LONGHOUSE_SERVER.",
        )


class NotOurServer(UpstreamFailed):
    """Something answers, but not in Longhouse's words: a proxy, another program or version."""

    code = "not-our-server"

    def __init__(self, server: str, what: str) -> None:
        super().__init__(
            f"What answers at {server} is no Longhouse server of this version: {what}.",
            hint="Check LONGHOUSE_SERVER and `longhouse version`.",
        )


class NotSignedIn(Unauthenticated):
    """There is no login for this server, or it has ended."""

    code = "not-signed-in"

    def __init__(self, server: str, *, ended: bool = False) -> None:
        what = "Your login at {} has ended." if ended else "You are not signed in at {}."
        super().__init__(
            what.format(server), hint="Sign in with `longhouse login --username NAME`."
        )


class TokenRefused(Unauthenticated):
    """The server does not take the token of the environment."""

    code = "token-refused"

    def __init__(self) -> None:
        super().__init__(
            "The server does not accept the token in LONGHOUSE_TOKEN.",
            hint="Set a fresh one, or unset it to use the login of `longhouse login`.",
        )


class BadOption(InvalidInput):
    """What was typed cannot be meant."""

    code = "bad-option"
    exit_code = 2  # as the parser of the command line has it


class NeedsTerminal(InvalidInput):
    """A person has to answer something, and there is no terminal to ask at."""

    code = "needs-terminal"
    exit_code = 2


class BrokenCredentials(Misconfigured):
    """The file of the logins cannot be read, understood or written."""

    code = "broken-credentials"


class NotInstalled(Misconfigured):
    """The library is installed, and not the packages that a command needs besides."""

    code = "not-installed"
    title = "This is not installed"

    def __init__(self, what: str, missing: ModuleNotFoundError) -> None:
        super().__init__(
            f"{what} needs packages that the library does without ({missing.name}).",
            hint="Install the server with its commands: pip install 'longhouse[server]'",
        )


@dataclass(frozen=True, slots=True)
class Unexpected:
    """An error nobody foresaw, in words."""

    error: BaseException

    def __str__(self) -> str:
        said = f"{type(self.error).__name__}: {self.error}".rstrip(": ")
        return f"something unexpected happened ({said}) — set LONGHOUSE_DEBUG=1 to see where"


def one_line(error: LonghouseError) -> str:
    """What happened and what to do, on one line: `what — what to do (request id)`."""
    line = error.detail
    fields = [one for one in _fields(error) if one.message not in line]
    if fields:
        head, _, names = line.partition(": ")
        if not all(one.field in names for one in fields):  # else they would be named twice
            head = line
        told = "; ".join(f"{one.field}: {one.message.rstrip('.')}" for one in fields)
        line = f"{head.rstrip('.')}: {told}."
    if error.hint:
        line = f"{line.rstrip('.')} — {error.hint}"
    request_id = getattr(error, "request_id", "")
    if request_id:
        line = f"{line.rstrip('.')} ({request_id})"
    return " ".join(line.split())


def _fields(error: LonghouseError) -> Sequence[FieldProblem]:
    if isinstance(error, ServerSaidNo):
        return error.errors
    found = error.fields.get("errors")
    return () if found is None else msgspec.convert(found, tuple[FieldProblem, ...])
