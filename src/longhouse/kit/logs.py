"""Logs: structlog and the standard library's loggers through one door, with secrets masked.

A program calls `set_up` once when it starts; modules write with `logging.getLogger(__name__)` or
`structlog.get_logger()`, whichever they know. Whoever reads a secret into memory tells `hide`. The
agent library uses the standard library's loggers and leaves the set-up to the program around it.
"""

import json
import logging
import re
import sys
from typing import TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

MASK = "***"

TALKATIVE = ("alembic", "anthropic", "asyncio", "httpcore", "httpx", "mcp", "openai", "uvicorn")
"""Libraries that tell of every step; from them only warnings and worse."""

SHORTEST_SECRET = 6
"""Anything shorter is not looked for: masking "abc" everywhere would ruin the log."""

SECRET_FIELD = re.compile(
    r"(?:^|[_-])(?:key|token|password|passwd|secret|credential|authorization|cookie)s?$",
    re.IGNORECASE,
)
"""A field with such a name is masked when it is text; numbers (tokens counted) stay."""


class _Secrets:
    """The texts that must not appear in a log, as one pattern."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secret: str) -> None:
        if len(secret) < SHORTEST_SECRET or secret in self._known:
            return
        # As it is, and as it stands inside quotes of JSON or of Python.
        self._known |= {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]}
        # The longest first: one secret may begin with another.
        longest_first = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def mask(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(MASK, text)


_secrets = _Secrets()


def hide(secret: str) -> None:
    """Never let this text appear in a log of this process, wherever it would stand."""
    _secrets.add(secret)


def masked(text: str) -> str:
    """The text with every known secret replaced."""
    return _secrets.mask(text)


def set_up(
    *, log_level: str = "info", log_format: str = "console", stream: TextIO | None = None
) -> None:
    """Send everything that is logged to `stream` (standard error when None).

    `log_level`: debug, info, warning or error; `log_format`: console for people, json for programs.
    """
    stream = stream or sys.stderr
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        mask_fields,
    ]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        _MaskingFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *before],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(log_format, colors=stream.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log_level.upper())
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


def mask_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: mask text in fields that are named like secrets, at any depth."""
    return {name: _mask_value(name, value) for name, value in event.items()}


class _MaskingFormatter(structlog.stdlib.ProcessorFormatter):
    """Masks known secrets in the finished line, so that tracebacks are covered as well."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def _renderers(log_format: str, *, colors: bool) -> list[Processor]:
    if log_format == "json":
        return [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    return [
        # Plain: the pretty ones print local variables, and those hold secrets.
        structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _mask_value(name: str, value: object) -> object:
    if isinstance(value, dict):
        return {key: _mask_value(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_mask_value(name, inner) for inner in value]
    if isinstance(value, str | bytes) and SECRET_FIELD.search(name):
        return MASK
    return value
