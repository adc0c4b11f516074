"""Logs and what must not be in them."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from longhouse.kit import logs


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Other tests get the loggers back as they were, and no secret of these tests."""
    monkeypatch.setattr(logs, "_secrets", logs._Secrets())
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in logs.TALKATIVE}
    yield
    for name, its_level in levels.items():
        logging.getLogger(name).setLevel(its_level)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def written() -> io.StringIO:
    return io.StringIO()


def test_both_kinds_of_logger_come_out_as_one_json_object_a_line(written: io.StringIO) -> None:
    logs.set_up(log_format="json", stream=written)

    structlog.get_logger("ours").info("turn ended", agent="agt_1", 名="é")
    logging.getLogger("theirs").warning("port %d is taken", 80, extra={"host": "h"})

    ours, theirs = (json.loads(line) for line in written.getvalue().splitlines())
    assert (ours["message"], ours["agent"], ours["level"]) == ("turn ended", "agt_1", "info")
    assert (theirs["message"], theirs["host"], theirs["logger"]) == (
        "port 80 is taken",
        "h",
        "theirs",
    )
    assert ours["timestamp"].endswith("Z")


def test_the_console_gets_lines_for_people(written: io.StringIO) -> None:
    logs.set_up(stream=written)

    structlog.get_logger("ours").info("turn ended", agent="agt_1")

    assert "turn ended" in written.getvalue()
    assert "agent=agt_1" in written.getvalue()


def test_less_serious_entries_are_left_out(written: io.StringIO) -> None:
    logs.set_up(log_level="warning", stream=written)

    structlog.get_logger("ours").info("small talk")
    logging.getLogger("theirs").info("small talk")

    assert written.getvalue() == ""


def test_talkative_libraries_are_heard_only_when_something_is_wrong(written: io.StringIO) -> None:
    logs.set_up(log_level="debug", stream=written)

    logging.getLogger("httpx").info("HTTP Request: GET /")
    logging.getLogger("uvicorn.error").warning("odd request")

    assert "HTTP Request" not in written.getvalue()
    assert "odd request" in written.getvalue()


def test_what_is_bound_to_the_context_is_in_every_entry(written: io.StringIO) -> None:
    logs.set_up(log_format="json", stream=written)
    structlog.contextvars.bind_contextvars(request_id="req_1")

    logging.getLogger("theirs").info("hello")

    assert json.loads(written.getvalue())["request_id"] == "req_1"


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("secret", ["sk-live-0123456789", 'quote"and\\slash', "geheim-ß-ключ"])
def test_a_hidden_secret_appears_nowhere(
    written: io.StringIO,
    log_format: str,
    secret: str,
) -> None:
    logs.set_up(log_format=log_format, stream=written)
    logs.hide(secret)

    structlog.get_logger("ours").info(f"called with {secret}", body={"deep": [f"Bearer {secret}"]})
    try:
        raise ValueError(f"refused {secret}")
    except ValueError:
        logging.getLogger("theirs").exception("it failed for %s", secret)

    assert secret not in written.getvalue()
    assert json.dumps(secret)[1:-1] not in written.getvalue()
    assert repr(secret)[1:-1] not in written.getvalue()
    assert "ValueError" in written.getvalue()


def test_fields_named_like_secrets_are_masked_and_counts_are_not(written: io.StringIO) -> None:
    logs.set_up(log_format="json", stream=written)

    structlog.get_logger("ours").info(
        "signing in",
        password="hunter2",
        headers={"Authorization": "Bearer x", "X-Api-Key": "k", "Cookie": "c"},
        refresh_tokens=["a", "b"],
        input_tokens=17,
        monkey="fine",
    )

    entry = json.loads(written.getvalue())
    assert entry["password"] == "***"
    assert entry["headers"] == {"Authorization": "***", "X-Api-Key": "***", "Cookie": "***"}
    assert entry["refresh_tokens"] == ["***", "***"]
    assert entry["input_tokens"] == 17
    assert entry["monkey"] == "fine"


def test_one_secret_that_begins_with_another_is_masked_whole() -> None:
    logs.hide("abcdef")
    logs.hide("abcdefghij")

    assert logs.masked("x abcdefghij y abcdef") == "x *** y ***"


def test_a_text_too_short_to_be_a_secret_is_not_looked_for() -> None:
    logs.hide("a")
    logs.hide("")

    assert logs.masked("a banana") == "a banana"


def test_setting_up_twice_writes_every_entry_once(written: io.StringIO) -> None:
    logs.set_up(stream=written)
    logs.set_up(stream=written)

    logging.getLogger("theirs").info("hello")

    assert written.getvalue().count("hello") == 1
