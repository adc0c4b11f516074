"""What the routes of every room share: strict bodies, and the parameters of lists.

It knows FastAPI and no route.
"""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, field_validator

BIGGEST_PAGE = 200

Limit = Annotated[int, Query(ge=1, le=BIGGEST_PAGE, description="Items at most.")]
After = Annotated[
    str | None, Query(max_length=100, description="`next` of the page before.", examples=[None])
]


class Body(BaseModel):
    """What a client sends: a field it does not have is an error and not ignored."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _can_be_stored(cls, value: object) -> object:
        if has_nul(value):
            raise ValueError("the character NUL cannot be stored")
        return value


def has_nul(value: object) -> bool:
    """Whether there is a NUL anywhere in a JSON value: PostgreSQL stores none."""
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(has_nul(part) for pair in value.items() for part in pair)
        case list():
            return any(has_nul(part) for part in value)
        case _:
            return False
