"""Puts the HTTP application together.

`build_api` knows the routes and no house: the OpenAPI document needs no more. `build_app` adds the
house and what goes around each request; `serve` and tests call it. There is no lifespan: whoever
opened the house starts and stops what runs in it.
"""

from collections.abc import Iterable

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Route
from starlette.types import ASGIApp

from longhouse import __version__
from longhouse.server import errors, mcp
from longhouse.server.console import Console
from longhouse.server.errors import PROBLEM_JSON, Problem
from longhouse.server.house import House
from longhouse.server.middleware import BodyLimit, RequestEnvelope
from longhouse.server.routes import API, CLIENTS, OF_EVERY_PROCESS, ROUTERS

DESCRIPTION = """\
People and forges ask for work, agents do it, and the journal remembers it.

Sign in with `POST /api/v1/auth/login` and send the access token as `Authorization: Bearer …`.
Requests act in your first tenant, or in the one the header `X-Longhouse-Tenant` names. Every
answer carries `X-Request-Id`; every failure is a problem document (RFC 9457).
"""


def build_app(house: House) -> ASGIApp:
    """The application of this house. One that only works tells how it is, and nothing else."""
    api = build_api() if house.answers else build_status()
    api.state.house = house
    api.state.identity = house.identity
    api.state.posts = house.posts
    api.state.agents = house.agents
    api.state.sessions = house.sessions
    api.state.forks = house.forks
    api.state.clients = house.clients
    api.state.overview = house.overview
    api.state.runtime = house.runtime
    api.state.streams = house.streams
    api.state.models = house.models
    api.state.secure_cookies = (house.settings.public_url or "").startswith("https://")
    if house.answers:
        api.router.routes.append(Route(mcp.PATH, mcp.McpEndpoint(house), methods=["POST"]))
        # What is no route is the console's: it has no route of its own, so that a wrong method on
        # an address of the API is told as such.
        api.router.default = Console()
    app: ASGIApp = BodyLimit(api, most_bytes=house.settings.max_body_bytes)
    for observer in house.observers:
        app = observer.around_requests(app)
    return RequestEnvelope(app)


def build_api() -> FastAPI:
    """The routes of all rooms, with every failure answered as a problem."""
    api = _without_routes()
    _include(api, ROUTERS)
    api.include_router(CLIENTS)
    return api


def build_status() -> FastAPI:
    """The routes of a process that answers nobody's requests: how it is."""
    api = _without_routes()
    _include(api, OF_EVERY_PROCESS)
    return api


def _without_routes() -> FastAPI:
    api = FastAPI(
        title="Longhouse",
        version=__version__,
        description=DESCRIPTION,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # they load scripts from elsewhere, which the policy forbids
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        responses={
            "4XX": {
                "description": "What is wrong with the request, and what to do.",
                "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                "model": Problem,
            }
        },
    )
    errors.install(api)
    return api


def _include(api: FastAPI, routers: Iterable[tuple[str, APIRouter]]) -> None:
    for prefix, router in routers:
        api.include_router(router, prefix=prefix)


def _operation_id(route: APIRoute) -> str:
    """The function's name: what a generated client calls the operation."""
    return route.name
