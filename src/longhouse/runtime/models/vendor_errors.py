"""What went wrong at a vendor, in words a person can act on. Used by `vendor_wire` alone.

Each failure becomes `ModelUnavailable` (the loop may try again) or `ModelRefused` (somebody has to
change a setting), names the setting and the base URL, and never holds the key: a vendor that
repeats the key in its answer has it blacked out here, and the original exception is not chained.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from pydantic_ai import exceptions as vendor

from longhouse.runtime.model import FilesRefused, ModelError, ModelRefused, ModelUnavailable
from longhouse.runtime.models.endpoint import Endpoint, WireProtocol

MAX_QUOTE = 300
"""Characters of a vendor's own words in our message."""

AGAIN = frozenset({408, 409, 425, 429})
"""Client errors that pass by themselves (409: a vendor's lock), beside all of 5xx."""

PERHAPS_FILES = frozenset({400, 404, 413, 415, 422})
"""How vendors refuse a picture: as a bad request, a body too large, or a model that has no eyes."""

ELSEWHERE = (301, 302, 303, 307, 308)

WRONG_PLACE = (404, 405)

_VERSION = re.compile(r"/v\d+[a-z]*\d*(/|$)")


class WebPage(Exception):
    """The answer was a web page, not a model's."""

    def __init__(self, status: int) -> None:
        super().__init__(f"a web page with status {status}")
        self.status = status


def explain(error: BaseException, endpoint: Endpoint, *, with_files: bool = False) -> ModelError:
    """The error for the loop and the person behind it. `with_files`: some went with the call."""
    found = _Explainer(endpoint).explain(error)
    if with_files and isinstance(found, ModelRefused) and _status(error) in PERHAPS_FILES:
        return FilesRefused(found.detail, hint=found.hint)
    return found


class _Explainer:
    def __init__(self, endpoint: Endpoint) -> None:
        self._at = endpoint

    def explain(self, error: BaseException) -> ModelError:
        """From the most telling cause to the least."""
        for cause in _chain(error):
            if isinstance(cause, WebPage):
                return self._wrong_place(cause.status, "a web page")
            if isinstance(cause, ssl.SSLCertVerificationError):
                return self._certificate(cause)
        status = _status(error)
        if status is not None:
            return self._by_status(status, error)
        match error:
            case vendor.ModelTimeoutError():
                return self._timeout(error)
            case vendor.ModelConnectionError(phase="connect" | "pool"):
                return self._unreachable(error)
            case vendor.ModelQuotaExceededError():
                return self._quota(error)
            case vendor.ModelContextWindowExceededError():
                return self._too_long(error)
            case vendor.ModelRequestRejectedError():
                return self._rejected(None, error)
            case vendor.ModelRateLimitError() | vendor.ModelAPIError(in_stream=True):
                return self._try_again(None, error)
            case vendor.UserError():
                return ModelRefused(f"The {self._who} cannot be called: {self._quote(str(error))}.")
            case _:
                return self._lost(error)

    # --- by HTTP status ---------------------------------------------------------------------------

    def _by_status(self, status: int, error: BaseException) -> ModelError:
        if isinstance(error, vendor.ModelQuotaExceededError):
            return self._quota(error)
        if isinstance(error, vendor.ModelContextWindowExceededError) or status == 413:
            return self._too_long(error)
        if status in (401, 403):
            return self._key(status, error)
        if status in WRONG_PLACE:
            return self._not_found(status, error)
        if status in ELSEWHERE:
            return ModelRefused(
                f"{self._at.base_url} only points to another address (HTTP {status}).",
                hint=f"Set {self._at.base_url_setting} ({self._at.scope}) to the final address.",
            )
        if status in AGAIN or status >= 500:
            return self._try_again(status, error)
        return self._rejected(status, error)

    def _key(self, status: int, error: BaseException) -> ModelError:
        if not self._at.api_key:
            detail = f"{self._at.base_url} wants a key, and none is set."
            return ModelRefused(
                detail, hint=f"Set {self._at.key_setting} ({self._at.scope}) and try again."
            )
        said = self._said(error)
        if status == 401:
            return ModelRefused(
                f"The key was refused by {self._at.base_url} (HTTP 401{said}).",
                hint=f"Check {self._at.key_setting} ({self._at.scope}).",
            )
        return ModelRefused(
            f"The key may not use {self._who} (HTTP {status}{said}).",
            hint=f"Check what {self._at.key_setting} ({self._at.scope}) gives access to.",
        )

    def _not_found(self, status: int, error: BaseException) -> ModelError:
        body = _body(error)
        if isinstance(body, str) and body.lstrip().startswith("<"):
            return self._wrong_place(status, "a web page")
        words = f"{_code(error)} {_words(error)}".lower()
        if status == 404 and ("model" in words or self._at.model.lower() in words):
            return ModelRefused(
                f"There is no model {self._at.model!r} at {self._at.base_url}"
                f" (HTTP 404{self._said(error)}).",
                hint=f"Check {self._at.model_setting} ({self._at.scope}).",
            )
        return self._wrong_place(status, f"HTTP {status}")

    def _wrong_place(self, status: int, what: str) -> ModelError:
        """Nothing that speaks the protocol is there; most often the version path is missing."""
        url, setting = self._at.base_url, f"{self._at.base_url_setting} ({self._at.scope})"
        if status >= 500:
            return ModelUnavailable(f"{url} answered {what} with status {status}.")
        if self._at.protocol is WireProtocol.OPENAI and not _VERSION.search(urlsplit(url).path):
            return ModelRefused(
                f"{url} answered {what}: the base URL probably lacks /v1.",
                hint=f"Set {setting} to {url}/v1.",
            )
        path = "chat/completions" if self._at.protocol is WireProtocol.OPENAI else "v1/messages"
        return ModelRefused(
            f"{url}/{path} answered {what}: no {self._at.protocol} endpoint is there.",
            hint=f"Check {setting}.",
        )

    def _quota(self, error: BaseException) -> ModelRefused:
        return ModelRefused(
            f"The account of {self._at.key_setting} ({self._at.scope}) has no quota left"
            f" at {self._at.base_url}{self._said(error, '; ')}.",
            hint="Top it up or raise its limit at the vendor.",
        )

    def _too_long(self, error: BaseException) -> ModelRefused:
        return ModelRefused(
            f"The conversation is too long for {self._who}{self._said(error, ': ')}.",
            hint="Start a new session, or choose a model with a larger context"
            f" in {self._at.model_setting} ({self._at.scope}).",
        )

    def _rejected(self, status: int | None, error: BaseException) -> ModelRefused:
        code = f"HTTP {status}" if status is not None else "in its stream"
        return ModelRefused(
            f"The {self._who} rejected the request ({code}{self._said(error)}).",
            hint=f"Check {self._at.model_setting} and {self._at.base_url_setting}"
            f" ({self._at.scope}).",
        )

    def _try_again(self, status: int | None, error: BaseException) -> ModelUnavailable:
        retry_after = error.retry_after if isinstance(error, vendor.ModelAPIError) else None
        busy = status == 429 or isinstance(error, vendor.ModelRateLimitError)
        what = "takes no more requests for now" if busy else "failed"
        code = f"HTTP {status}" if status is not None else "in its stream"
        return ModelUnavailable(
            f"The {self._who} {what} ({code}{self._said(error)}).", retry_after=retry_after
        )

    # --- without a status -------------------------------------------------------------------------

    def _timeout(self, error: vendor.ModelTimeoutError) -> ModelUnavailable:
        if error.phase in ("connect", "pool"):
            return ModelUnavailable(
                f"No connection to {self._at.base_url} within {self._at.connect_seconds:g} s.",
                hint=f"Check {self._at.base_url_setting} ({self._at.scope}) and the network.",
            )
        return ModelUnavailable(f"The {self._who} sent nothing for {self._at.idle_seconds:g} s.")

    def _unreachable(self, error: BaseException) -> ModelUnavailable:
        names = any(isinstance(cause, socket.gaierror) for cause in _chain(error))
        reason = "its host name is not known" if names else "nothing accepts the connection"
        return ModelUnavailable(
            f"{self._at.base_url} cannot be reached: {reason}.",
            hint=f"Check {self._at.base_url_setting} ({self._at.scope}) and the network.",
        )

    def _certificate(self, error: ssl.SSLCertVerificationError) -> ModelRefused:
        return ModelRefused(
            f"The certificate of {self._at.base_url} is not valid: {error.verify_message}.",
            hint=f"Check {self._at.base_url_setting} ({self._at.scope}), or trust its authority"
            " on this machine (SSL_CERT_FILE).",
        )

    def _lost(self, error: BaseException) -> ModelUnavailable:
        reason = self._quote(_words(error) or type(error).__name__)
        return ModelUnavailable(
            f"The answer of {self._who} broke off before it was complete: {reason}."
        )

    # --- words ------------------------------------------------------------------------------------

    @property
    def _who(self) -> str:
        return f"model {self._at.model!r} at {self._at.base_url}"

    def _said(self, error: BaseException, before: str = ": ") -> str:
        words = self._quote(_words(error))
        return f"{before}{words}" if words else ""

    def _quote(self, text: str) -> str:
        if self._at.api_key:
            text = text.replace(self._at.api_key, "***")
        text = " ".join(text.split()).rstrip(".")
        return text if len(text) <= MAX_QUOTE else text[: MAX_QUOTE - 1] + "…"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _status(error: BaseException) -> int | None:
    """The vendor's HTTP status, if it answered. A redirect reaches us as some other error."""
    for cause in _chain(error):
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if status in ELSEWHERE:
            return int(status)
    return error.status_code if isinstance(error, vendor.ModelHTTPError) else None


def _body(error: BaseException) -> object:
    return error.body if isinstance(error, vendor.ModelAPIError) else None


def _code(error: BaseException) -> str:
    if not isinstance(error, vendor.ModelAPIError):
        return ""
    return error.provider_error_code or ""


def _words(error: BaseException) -> str:
    """What the vendor said, without the status and names pydantic-ai puts around it."""
    body = _body(error)
    if isinstance(body, dict):
        inner = body.get("error", body)
        message = inner.get("message") if isinstance(inner, dict) else inner
        return message if isinstance(message, str) else ""
    if isinstance(body, str):
        return body
    if isinstance(error, vendor.ModelHTTPError):
        return ""
    return str(error)
