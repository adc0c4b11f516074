"""How a function becomes a tool."""

import threading
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field
from tests.runtime.tools.conftest import TOOLS, Hand

from longhouse.runtime.tools.base import (
    InvalidArguments,
    Tool,
    ToolContext,
    ToolFailed,
    ToolResult,
    printable,
    tool,
)


class Place(BaseModel):
    title: str
    rank: int = 0


@tool(reads_only=True)
async def weather(city: str, days: Annotated[int, Field(description="How many", ge=1)] = 1) -> str:
    """The weather in a city.

    In words.
    """
    return f"{city}: rain for {days} days"


class TestSchema:
    def test_it_comes_from_the_hints(self) -> None:
        assert weather.name == "weather"
        assert weather.description == "The weather in a city.\n\nIn words."
        assert weather.schema == {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 1, "default": 1, "description": "How many"},
            },
            "required": ["city"],
            "additionalProperties": False,
        }

    def test_the_context_is_hidden_from_the_model(self) -> None:
        @tool
        def look(ctx: ToolContext, depth: int) -> str:
            return ""

        assert list(look.schema["properties"]) == ["depth"]

    def test_titles_are_left_out_but_a_property_called_title_stays(self) -> None:
        @tool
        def visit(places: list[Place]) -> str:
            return ""

        place = visit.schema["$defs"]["Place"]

        assert "title" not in visit.schema["properties"]["places"]
        assert "title" not in place
        assert place["properties"] == {
            "title": {"type": "string"},
            "rank": {"type": "integer", "default": 0},
        }

    def test_a_parameter_may_be_called_anything(self) -> None:
        @tool
        def odd(copy: str, json: str, model_dump: str, _private: int, schema: int = 0) -> str:
            return ""

        values = {"copy": "a", "json": "b", "model_dump": "c", "_private": 1}

        assert set(odd.schema["properties"]) == {*values, "schema"}
        assert odd.validate(values) == {**values, "schema": 0}

    def test_a_parameter_without_a_hint_is_refused(self) -> None:
        with pytest.raises(TypeError, match="'x' needs a type hint"):

            @tool
            def unhinted(x) -> str:  # type: ignore[no-untyped-def]
                return ""

    def test_a_parameter_no_model_can_name_is_refused(self) -> None:
        with pytest.raises(TypeError, match="ordinary parameter"):

            @tool
            def many(*names: str) -> str:
                return ""


class TestAttributes:
    def test_what_only_reads_is_repeatable_and_parallel(self) -> None:
        assert weather.reads_only
        assert weather.repeatable
        assert weather.parallel

    def test_of_what_nobody_said_nothing_is_assumed(self) -> None:
        @tool
        def unknown() -> str:
            return ""

        assert unknown.reads_only is None
        assert not unknown.repeatable
        assert not unknown.parallel

    def test_what_is_said_stands(self) -> None:
        @tool(name="other", reads_only=True, parallel=False, timeout=5.0, subject="city")
        def named(city: str) -> str:
            return ""

        assert (named.name, named.parallel, named.timeout, named.subject) == (
            *("other", False, 5.0),
            "city",
        )


class TestValidation:
    def test_a_list_of_strings_as_declared_is_accepted(self) -> None:
        @tool
        def join(words: list[str]) -> str:
            return " ".join(words)

        assert join.validate({"words": ["a", "b"]}) == {"words": ["a", "b"]}

    def test_defaults_are_filled_in(self) -> None:
        assert weather.validate({"city": "Aachen"}) == {"city": "Aachen", "days": 1}

    def test_every_problem_is_told_in_one_go(self) -> None:
        with pytest.raises(InvalidArguments) as error:
            weather.validate({"days": 0, "when": "now"})

        assert str(error.value).splitlines() == [
            "The arguments do not fit the tool's schema:",
            "- city: Field required",
            "- days: Input should be greater than or equal to 1",
            "- when: there is no such argument; there are city, days",
        ]

    def test_a_problem_inside_a_list_is_placed(self) -> None:
        @tool
        def visit(places: list[Place]) -> str:
            return ""

        with pytest.raises(InvalidArguments, match=r"- places\.1\.title: Field required"):
            visit.validate({"places": [{"title": "a"}, {}]})

    def test_a_choice_is_held_to(self) -> None:
        @tool
        def paint(colour: Literal["red", "blue"]) -> str:
            return ""

        with pytest.raises(InvalidArguments, match="'red' or 'blue'"):
            paint.validate({"colour": "green"})


class TestInvocation:
    async def test_an_asynchronous_function_is_awaited(self, hand: Hand) -> None:
        assert await hand.use(weather, city="Aachen", days=2) == "Aachen: rain for 2 days"

    async def test_an_ordinary_function_runs_in_a_thread(self, hand: Hand) -> None:
        @tool
        def where() -> str:
            return threading.current_thread().name

        assert await hand.use(where) != threading.current_thread().name

    async def test_the_context_is_given(self, hand: Hand) -> None:
        @tool
        async def who(name: str, ctx: ToolContext) -> str:
            return f"{name} {ctx.agent_id}"

        assert await hand.use(who, name="it is") == "it is agent"

    @pytest.mark.parametrize(
        ("value", "content"),
        [
            (None, ""),
            ("words", "words"),
            ({"a": [1, 2]}, '{"a":[1,2]}'),
            (Place(title="x"), '{"title":"x","rank":0}'),
            (ToolResult(content="c", diff="d"), "c"),
        ],
    )
    async def test_anything_json_is_a_result(self, hand: Hand, value: object, content: str) -> None:
        @tool
        async def give() -> object:
            return value

        assert await hand.use(give) == content

    async def test_a_result_can_always_be_journaled(self, hand: Hand) -> None:
        @tool
        async def odd() -> ToolResult:
            return ToolResult(content="a\x00b\udcff", diff="+\udc80\n")

        result = await hand.result(odd)

        assert result.content == "a\N{SYMBOL FOR NULL}b\N{REPLACEMENT CHARACTER}"
        assert result.diff == "+\N{REPLACEMENT CHARACTER}\n"

    async def test_a_failure_keeps_its_words(self, hand: Hand) -> None:
        @tool
        async def fail() -> str:
            raise ToolFailed("not today\x00", retryable=True)

        with pytest.raises(ToolFailed, match="not today") as failed:
            await hand.use(fail)

        assert failed.value.retryable
        assert "\x00" not in str(failed.value)


def test_ordinary_text_is_printable_as_it_is() -> None:
    assert printable("ünï\r\n\t汉") == "ünï\r\n\t汉"


def test_the_builtin_tools_say_what_they_are() -> None:
    assert set(TOOLS) == {
        *("fs_read", "fs_write", "fs_edit", "fs_multi_edit"),
        *("fs_glob", "fs_grep", "bash_run", "bash_logs", "bash_kill"),
        *("todo_read", "todo_write", "skills", "task_run"),
    }
    for found in TOOLS.values():
        assert isinstance(found, Tool)
        assert found.description
        assert found.reads_only is not None
        assert found.subject is None or found.subject in found.schema["properties"]
