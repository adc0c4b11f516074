"""Errors of ours, reported to Sentry: what the log has as an error, with its traceback.

Imported when SENTRY_DSN is set and not before: it needs the extra `sentry`. It listens to the log
and nothing else; the package patches nothing, and what it sends is masked as the log is. No body,
header, local variable or person goes out.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, TypeAlias

import sentry_sdk
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception

from longhouse import __version__
from longhouse.kit import logs

FAREWELL_SECONDS = 2.0  # for the last reports when the process stops

Raised: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]


@contextlib.asynccontextmanager
async def reporting(dsn: str) -> AsyncIterator[None]:
    """Report what is logged as an error while in the block."""
    client = sentry_sdk.Client(
        dsn=dsn,
        release=__version__,
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
        before_send=_masked,
    )
    handler = _Reporter(client)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        await asyncio.to_thread(client.close, FAREWELL_SECONDS)


class _Reporter(logging.Handler):
    """Sends a record's exception; a record without one as a message."""

    def __init__(self, client: sentry_sdk.Client) -> None:
        super().__init__(logging.ERROR)
        self._client = client

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("sentry_sdk"):
            return
        # structlog's records carry a dictionary; the standard library's a text.
        told: dict[str, Any] = record.msg if isinstance(record.msg, dict) else {}
        event: Event = {"level": "error", "logger": record.name}
        hint: Hint = {}
        raised = _raised(record, told)
        if raised is not None:
            found, hint = event_from_exception(raised, self._client.options)
            event.update(found)
        event["message"] = str(told.get("event", "")) or record.getMessage()
        if "request_id" in told:
            event["tags"] = {"request_id": str(told["request_id"])}
        self._client.capture_event(event, hint)


def _raised(record: logging.LogRecord, told: dict[str, Any]) -> Raised | None:
    found = told.get("exc_info") or record.exc_info
    if found is True:  # "what is being handled right now"
        found = sys.exc_info()
    if isinstance(found, BaseException):
        return type(found), found, found.__traceback__
    if isinstance(found, tuple) and found[0] is not None:
        return found
    return None


def _masked(event: Event, _hint: Hint) -> Event:
    masked: Event = _mask(event)
    return masked


def _mask(value: Any) -> Any:
    if isinstance(value, str):
        return logs.masked(value)
    if isinstance(value, dict):
        return {name: _mask(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_mask(inner) for inner in value]
    return value
