"""Errors and the problem documents made of them."""

import json

import pytest

from longhouse.kit import errors
from longhouse.kit.errors import (
    InvalidInput,
    LonghouseError,
    NotFound,
    TooManyRequests,
    Unavailable,
)


def tree(kind: type[LonghouseError] = LonghouseError) -> list[type[LonghouseError]]:
    """The class and all that descend from it, as far as they are loaded."""
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in tree(child))]


def test_a_problem_names_type_status_detail_hint_and_request() -> None:
    error = NotFound("There is no agent agt_1.", hint="List them with GET /agents.", agent="agt_1")

    assert error.problem(instance="/api/v1/agents/agt_1", request_id="req_1") == {
        "type": "urn:longhouse:problem:not-found",
        "title": "Not found",
        "status": 404,
        "detail": "There is no agent agt_1.",
        "code": "not-found",
        "hint": "List them with GET /agents.",
        "instance": "/api/v1/agents/agt_1",
        "request_id": "req_1",
        "agent": "agt_1",
    }


def test_a_problem_without_hint_and_instance_leaves_them_out() -> None:
    assert set(InvalidInput("Empty name.").problem()) == {
        "type",
        "title",
        "status",
        "detail",
        "code",
    }


def test_a_field_cannot_take_the_place_of_a_member_of_the_problem() -> None:
    with pytest.raises(TypeError, match="status"):
        InvalidInput("Empty name.", status=200)


def test_a_limit_says_when_to_come_back() -> None:
    error = TooManyRequests("Ten sign-ins a minute.", retry_after=12.5)

    assert error.retry_after == 12.5
    assert error.problem()["retry_after"] == 12.5


def test_unavailable_may_not_know_when_to_come_back() -> None:
    assert "retry_after" not in Unavailable("Stopping.").problem()
    assert Unavailable("Stopping.", retry_after=1).problem()["retry_after"] == 1


def test_the_text_of_an_error_says_what_and_what_to_do() -> None:
    assert str(NotFound("No such post.", hint="See `longhouse posts`.")) == (
        "No such post. See `longhouse posts`."
    )


def test_every_error_stands_in_the_tree_at_the_top_and_can_be_written_as_json() -> None:
    drawn = errors.__doc__ or ""

    for kind in tree():
        if kind.__module__ != errors.__name__:
            continue
        assert kind.__name__ in drawn
        assert 0 < kind.exit_code < 126
        assert kind.code == kind.code.lower().replace("_", "-")
    json.dumps(Unavailable("x", retry_after=1, nested={"a": [1, None]}).problem())
