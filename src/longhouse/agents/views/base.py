"""What all bodies of the room share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from longhouse.agents.models import NAME_CHARACTERS

SOME_CHARACTERS = 4000

Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS, examples=["Ada"])]
Words = Annotated[str, Field(max_length=SOME_CHARACTERS)]


class Body(BaseModel):
    """What a client sends: a field it does not have is an error and not ignored."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _can_be_stored(cls, value: object) -> object:
        if _has_nul(value):
            raise ValueError("the character NUL cannot be stored")
        return value


def _has_nul(value: object) -> bool:
    """Whether there is a NUL anywhere in a JSON value: PostgreSQL stores none."""
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(_has_nul(part) for pair in value.items() for part in pair)
        case list():
            return any(_has_nul(part) for part in value)
        case _:
            return False
