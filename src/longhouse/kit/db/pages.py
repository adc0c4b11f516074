"""Pages of a list: items, and where the next one begins."""

from typing import TypeAlias, TypeVar

T = TypeVar("T")
Page: TypeAlias = tuple[list[T], str | None]
"""Items, and the cursor of the next page if there is one."""


def page(found: list[T], limit: int) -> Page[T]:
    """One row more than asked for says that there is a next page."""
    if len(found) <= limit:
        return found, None
    return found[:limit], str(found[limit - 1].id)  # type: ignore[attr-defined]
