"""Every router of the house and where it answers: one table.

`app` includes them; nothing else knows all the rooms.
"""

from fastapi import APIRouter

from longhouse.agents.api import agents, posts, sessions
from longhouse.identity import api as identity_api
from longhouse.server import health

API = "/api/v1"

ROUTERS: tuple[tuple[str, APIRouter], ...] = (
    ("", health.router),
    (API, identity_api.router),
    (API, posts.router),
    (API, agents.router),
    (API, sessions.router),
)
"""(prefix, router)."""
