"""Finds what a person means by a name or an id, and lists whole lists page by page.

Used by every command that talks about agents or posts. What is not there is an error that says what
is.
"""

from collections.abc import AsyncIterator
from difflib import get_close_matches
from typing import TypeVar

from longhouse.cli.client import Client, segment
from longhouse.cli.errors import ServerSaidNo
from longhouse.cli.models import Agent, Page, Post
from longhouse.kit.errors import NotFound
from longhouse.kit.ids import is_id

T = TypeVar("T")

PAGE_SIZE = 200
MOST_SUGGESTIONS = 3
NOT_FOUND = 404


class NothingCalled(NotFound):
    """There is no such thing for this person."""

    code = "nothing-called"

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        close = get_close_matches(name, known, n=MOST_SUGGESTIONS)
        meant = f"Did you mean {' or '.join(close)}? " if close else ""
        super().__init__(
            f"There is no {kind} {name!r}.", hint=f"{meant}`longhouse {kind}s` lists yours."
        )


async def pages(client: Client, path: str, kind: type[T], **params: str | int) -> AsyncIterator[T]:
    """Every item of a list."""
    after: str | int | None = None
    while True:
        asked = {**params, "limit": PAGE_SIZE} | ({} if after is None else {"after": after})
        page: Page[T] = await client.get(path, Page[kind], **asked)  # type: ignore[valid-type]
        for item in page.items:
            yield item
        if page.next is None:
            return
        after = page.next


async def find_agent(client: Client, name: str) -> Agent:
    """The agent of this name or id. Raises `NothingCalled`."""
    if is_id(name, "agent"):
        try:
            return await client.get(f"/agents/{segment(name)}", Agent)
        except ServerSaidNo as problem:
            if problem.status != NOT_FOUND:
                raise
    known = [agent async for agent in pages(client, "/agents", Agent)]
    found = _named(known, name)
    if found is None:
        raise NothingCalled("agent", name, [agent.name for agent in known])
    return found


async def find_post(client: Client, name: str) -> Post:
    """The post of this name or id. Raises `NothingCalled`."""
    known = [post async for post in pages(client, "/posts", Post)]
    found = _named(known, name)
    if found is None:
        raise NothingCalled("post", name, [post.name for post in known])
    return found


N = TypeVar("N", Agent, Post)


def _named(known: list[N], name: str) -> N | None:
    """The one of this id or exact name, else the only one that differs in case alone."""
    for one in known:
        if name in {one.id, one.name}:
            return one
    alike = [one for one in known if one.name.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else None
