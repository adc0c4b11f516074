"""Answers that have a shape: asked for with a pydantic model or a JSON Schema."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator

from longhouse.kit.errors import InvalidInput
from longhouse.protocol.events import DoneReason, JsonObject
from longhouse.runtime.agent import Agent, Unanswered
from longhouse.runtime.answers import FINAL_ANSWER, MOST_ATTEMPTS, fits_of, from_words, schema_of
from longhouse.runtime.answers import answer_tool as tool_of
from longhouse.runtime.journals.sqlite import SQLiteJournal
from longhouse.runtime.model import ModelRequest, ToolMessage, UserMessage
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import (
    ScriptedModel,
    call,
    calls,
    hang,
    malformed,
    say,
)
from longhouse.runtime.posts import Limits, Mode, Permissions, Post
from longhouse.runtime.runtime import Runtime
from longhouse.runtime.sandbox.refuse import Refuse
from longhouse.runtime.tools.base import InvalidArguments, tool


class Line(BaseModel):
    article: str
    price: Decimal


class Invoice(BaseModel):
    number: str = Field(description="As printed on it")
    lines: list[Line]

    @field_validator("lines")
    @classmethod
    def _is_not_empty(cls, value: list[Line]) -> list[Line]:
        if not value:
            raise ValueError("an invoice has lines")
        return value


GOOD = {"number": "7", "lines": [{"article": "lamp", "price": "9.50"}]}
SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "number"}},
    "required": ["city"],
    "additionalProperties": False,
}


@tool(reads_only=True)
async def look(thing: str) -> str:
    """Look at a thing."""
    return f"a {thing}"


class Place:
    """A folder in which runtimes can be started, stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = AsyncExitStack()

    async def agent(self, *steps: Any, **limits: Any) -> tuple[Agent, ScriptedModel]:
        model = ScriptedModel(list(steps), record=True)
        post = Post(
            name="worker",
            tools=("look",),
            permissions=Permissions(mode=Mode.READ_ONLY),
            limits=Limits(**limits),
        )
        runtime = Runtime(
            journal=SQLiteJournal(self.folder / "agents.db"),
            models=FixedModels(model),
            posts=[post],
            tools=[look],
            sandbox=Refuse("these tests run no commands", hint=""),
            workspaces=self.folder / "workspaces",
            grace_seconds=0,
        )
        await self._stack.enter_async_context(runtime)
        return await runtime.agent("a", post="worker"), model

    async def stop(self) -> None:
        await self._stack.aclose()
        self._stack = AsyncExitStack()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    yield made
    await made.stop()


def answer(**arguments: Any) -> Any:
    return call(FINAL_ANSWER, **arguments)


def results(request: ModelRequest) -> list[str]:
    return [message.content for message in request.messages if isinstance(message, ToolMessage)]


async def test_the_answer_is_an_instance_of_what_was_asked_for(place: Place) -> None:
    agent, model = await place.agent(call("look", thing="letter"), answer(**GOOD))

    invoice = await agent.ask("What does the letter say?", output=Invoice)

    assert invoice == Invoice(number="7", lines=[Line(article="lamp", price=Decimal("9.50"))])
    assert [tool.name for tool in model.requests[0].tools] == ["look", FINAL_ANSWER]
    assert "As printed on it" in str(model.requests[0].tools[-1].schema)
    done = (await agent.status()).done
    assert done is not None
    assert (done.reason, done.answer) == (DoneReason.COMPLETED, GOOD)


async def test_the_answer_to_a_schema_is_an_object_that_fits(place: Place) -> None:
    agent, _ = await place.agent(answer(city="Rome", degrees=31))

    assert await agent.ask("How is it?", output=SCHEMA) == {"city": "Rome", "degrees": 31}


async def test_the_model_is_told_what_does_not_fit_and_tries_again(place: Place) -> None:
    agent, model = await place.agent(
        answer(number="7"),
        answer(number="7", lines=[]),
        malformed(FINAL_ANSWER, "{number"),
        answer(**GOOD),
    )

    assert (await agent.ask("What does it say?", output=Invoice)).number == "7"

    missing, empty, broken = results(model.requests[-1])
    assert "lines: Field required" in missing
    assert "an invoice has lines" in empty  # which no schema says
    assert "not a JSON object" in broken


async def test_an_answer_in_words_is_taken_if_it_fits_and_else_refused(place: Place) -> None:
    agent, model = await place.agent(
        say("It is warm."), say('Here it is:\n```json\n{"city": "Rome"}\n```')
    )

    assert await agent.ask("How is it?", output=SCHEMA) == {"city": "Rome"}

    last = model.requests[1].messages[-1]
    assert isinstance(last, UserMessage)
    assert "Give it by calling the tool final_answer" in last.text


async def test_after_some_answers_that_do_not_fit_the_turn_fails_and_says_why(
    place: Place,
) -> None:
    wrong = [answer(city=place) for place in range(MOST_ATTEMPTS - 1)]
    agent, model = await place.agent(*wrong, say("I give up."), say("It is warm."))

    with pytest.raises(Unanswered, match=f"{MOST_ATTEMPTS} answers that do not fit"):
        await agent.ask("How is it?", output=SCHEMA)

    assert model.calls == MOST_ATTEMPTS
    assert await agent.ask("How is it, in a word?") == "It is warm."
    assert [tool.name for tool in model.requests[-1].tools] == ["look"]


async def test_the_limits_of_the_post_hold_for_answers_too(place: Place) -> None:
    agent, model = await place.agent(say("hm"), say("hm"), steps=2)

    with pytest.raises(Unanswered, match="used its 2 steps"):
        await agent.ask("How is it?", output=SCHEMA)

    assert model.calls == 2


async def test_an_answer_beside_other_calls_ends_the_turn_when_all_have_ended(
    place: Place,
) -> None:
    agent, model = await place.agent(calls(answer(city="Rome"), call("look", thing="x")))

    assert await agent.ask("How is it?", output=SCHEMA) == {"city": "Rome"}

    assert model.calls == 1


async def test_the_shape_is_known_to_the_process_that_goes_on_with_the_turn(place: Place) -> None:
    agent, _ = await place.agent(hang)
    message_id = await _asked_and_left(agent, place)

    agent, model = await place.agent(answer(town="Rome"), answer(city="Rome"))

    again = await agent.ask("How is it?", output=SCHEMA, message_id=message_id)
    assert again == {"city": "Rome"}
    assert "'town' was unexpected" in results(model.requests[1])[0]


async def test_what_only_the_asking_process_knows_is_checked_again(place: Place) -> None:
    agent, _ = await place.agent(hang)
    message_id = await _asked_and_left(agent, place, output=Invoice)

    agent, _ = await place.agent(answer(number="7", lines=[]))
    await agent.rest()

    with pytest.raises(Unanswered, match="an invoice has lines"):
        await agent.ask("How is it?", output=Invoice, message_id=message_id)


async def _asked_and_left(agent: Agent, place: Place, output: Any = SCHEMA) -> str:
    """Ask, and end the process before there is an answer. The message's id."""
    asking = asyncio.create_task(agent.ask("How is it?", output=output, message_id="m"))
    async with asyncio.timeout(30), aclosing(agent.subscribe(types=["step_started"])) as steps:
        await anext(steps)
    await place.stop()
    with pytest.raises(Unanswered):
        await asking
    return "m"


@pytest.mark.parametrize(
    "schema",
    [{"type": "array"}, {"type": "object", "properties": 5}, {}, {"type": "object", "x": {1, 2}}],
)
async def test_a_schema_that_no_answer_could_fit_is_refused(
    place: Place, schema: JsonObject
) -> None:
    agent, _ = await place.agent()

    with pytest.raises(InvalidInput, match="no JSON Schema of an object"):
        await agent.ask("How is it?", output=schema)

    assert (await agent.status()).seq == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"city": "Rome"}',
        ' {"city": "Rome"}\n',
        '```\n{"city": "Rome"}\n```',
        'So:\n```json\n{"city":\n "Rome"}\n```\nas asked.',
    ],
)
def test_words_that_are_json_are_read(text: str) -> None:
    assert from_words(text, tool_of(SCHEMA, fits_of(SCHEMA))) == {"city": "Rome"}


@pytest.mark.parametrize(
    "text",
    ["", "Rome", '["Rome"]', '{"city": 5}', '```\n{"city": "A"}\n```\n```\n{"city": "B"}\n```'],
)
def test_words_that_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(InvalidArguments, match="final_answer"):
        from_words(text, tool_of(SCHEMA, fits_of(SCHEMA)))


def test_the_schema_of_a_model_has_no_titles_that_only_repeat_names() -> None:
    assert "title" not in str(schema_of(Line))
