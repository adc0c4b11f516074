"""The port of whoever watches a process at work: `metrics` counts, `tracing` makes spans.

An observer puts something around each port of the house and changes nothing that passes. `house`
and `app` ask all observers, one after the other; no room knows of them.
"""

from typing import Protocol

from starlette.types import ASGIApp, Scope

from longhouse.fleet.service import Handler
from longhouse.kit.db.database import Runner
from longhouse.runtime.model import Models

OTHER = "other"
"""The route of a request that none was found for: pages of the console, and what is not there."""


class Observer(Protocol):
    """Watches requests, runs, model calls and the database."""

    def around_requests(self, app: ASGIApp) -> ASGIApp:
        """The application, with each request observed."""
        ...

    def around_handler(self, handler: Handler) -> Handler:
        """The handler of a kind of run, with each execution observed."""
        ...

    def around_models(self, models: Models) -> Models:
        """The models, with each call observed."""
        ...

    def around_database(self, runner: Runner) -> Runner:
        """What runs store functions, with each one observed."""
        ...


def route_of(scope: Scope) -> str:
    """A request's address with names in the place of ids, as documentation has it."""
    found: str | None = getattr(scope.get("route"), "path", None)
    if found is None:
        return OTHER
    # A route knows the part below its router's prefix; in that there is nothing but names.
    prefix = scope["path"].split("/")[: -found.count("/")]
    return "/".join(prefix) + found
