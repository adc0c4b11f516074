"""What the bodies of the room share."""

from typing import Annotated

from pydantic import Field

from longhouse.agents.models import NAME_CHARACTERS

SOME_CHARACTERS = 4000

Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS, examples=["Ada"])]
Words = Annotated[str, Field(max_length=SOME_CHARACTERS)]
