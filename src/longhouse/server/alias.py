"""What an alias is: a canonical operation at an address, and in the words, of existing clients.

`aliases` is the one table of them. An alias implements nothing: it says which of the operation's
parameters come from elsewhere than under their own names, and how its answer is told. Everything
else (status, errors, authorisation, documentation) is the canonical route's.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """One address that existing clients call."""

    method: str
    path: str
    operation: Callable[..., Any]
    """The function of the canonical route."""
    name: str
    """Of this address in the OpenAPI document."""
    given: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """Parameters of the operation, and the dependency that gives each. The others stay."""
    answer: Callable[[Any], Any] | None = None
    """The operation's answer in the client's words; None: as it is. Its annotation is the model."""
    status: int | None = None
    """Of a success; None: as the operation has it."""
    route_class: type[APIRoute] = APIRoute
    """What goes around the operation, and around its refusals: an envelope, for example."""


def alias_router(
    aliases: Iterable[Alias], canonical: Iterable[APIRouter], *, tag: str
) -> APIRouter:
    """A route for each alias. Raises `LookupError` for an operation of no canonical route."""
    routes = {
        route.endpoint: route
        for router in canonical
        for route in router.routes
        if isinstance(route, APIRoute)
    }
    router = APIRouter(tags=[tag])
    for alias in aliases:
        if alias.operation not in routes:
            raise LookupError(f"{alias.path}: {alias.operation.__name__} is no canonical operation")
        _add(router, alias, routes[alias.operation])
    return router


def _add(router: APIRouter, alias: Alias, route: APIRoute) -> None:
    told = alias.answer is None
    router.add_api_route(
        alias.path,
        _endpoint(alias),
        methods=[alias.method],
        name=alias.name,
        description=f"{route.description} As `{route.name}`.",
        status_code=alias.status or route.status_code,
        response_model=route.response_model if told else _annotated(alias.answer),
        response_class=route.response_class,
        responses=route.responses,
        route_class_override=alias.route_class,
    )


def _endpoint(alias: Alias) -> Callable[..., Any]:
    """The operation with other parameters: FastAPI reads them from the signature."""

    async def endpoint(**arguments: Any) -> Any:
        value = await alias.operation(**arguments)
        return value if alias.answer is None else alias.answer(value)

    parameters = inspect.signature(alias.operation).parameters
    if strange := alias.given.keys() - parameters.keys():
        raise LookupError(f"{alias.path}: the operation has no parameter {min(strange)!r}")
    endpoint.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [_parameter(one, alias.given.get(name)) for name, one in parameters.items()]
    )
    return endpoint


def _parameter(own: inspect.Parameter, given: Callable[..., Any] | None) -> inspect.Parameter:
    if given is None:
        return own.replace(kind=inspect.Parameter.KEYWORD_ONLY)
    return inspect.Parameter(
        own.name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Any, Depends(given)]
    )


def _annotated(answer: Callable[[Any], Any] | None) -> Any:
    """The model that an answer's function says it returns."""
    return inspect.get_annotations(answer, eval_str=True)["return"] if answer else None
