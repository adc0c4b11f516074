"""Every router of the house and where it answers: one table.

`app` includes them; nothing else knows all the rooms.
"""

from fastapi import APIRouter

from longhouse.agents.api import agents, forks, overview, posts, sessions
from longhouse.identity.api import (
    audit,
    first_run,
    keys,
    logins,
    own_account,
    people,
    permissions,
    tenants,
)
from longhouse.server import health, scrape
from longhouse.server.alias import alias_router
from longhouse.server.aliases import ALIASES

API = "/api/v1"

OF_EVERY_PROCESS: tuple[tuple[str, APIRouter], ...] = (
    ("", health.router),
    ("", scrape.router),
)
"""What a process answers that has another duty than answering."""

ROUTERS: tuple[tuple[str, APIRouter], ...] = (
    *OF_EVERY_PROCESS,
    (API, first_run.router),
    (API, logins.router),
    (API, audit.router),
    (API, tenants.router),
    (API, keys.router),
    (API, own_account.router),
    (API, people.router),
    (API, permissions.router),
    (API, posts.router),
    (API, agents.router),
    (API, sessions.router),
    (API, forks.router),
    (API, overview.router),
)
"""(prefix, router)."""

CLIENTS = alias_router(ALIASES, [router for _, router in ROUTERS], tag="existing clients")
"""The same operations at other addresses; see `aliases`."""
