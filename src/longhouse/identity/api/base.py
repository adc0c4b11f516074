"""What routes stand on: the services of the process, and the principal of a request.

Every room's `api` takes a `CurrentPrincipal`; plain ASGI endpoints call `principal_of`. The server
puts the `Identity` of the process into `app.state.identity`. Errors are raised as they are; the
server turns them into problems.
"""

from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPBearer
from pydantic import Field
from starlette.requests import HTTPConnection

from longhouse.identity.auth import Caller, Origin, Principal
from longhouse.identity.service.authentication import Known
from longhouse.identity.service.identity import Identity
from longhouse.kit.errors import Unauthenticated

TENANT_HEADER = "X-Longhouse-Tenant"

MOST_CHARACTERS = 2000
"""Of any text in these bodies: more than all of them need, and bounded."""

Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]


class NoCredential(Unauthenticated):
    """The request carries no access token."""

    def __init__(self) -> None:
        super().__init__(
            "This needs an access token.",
            hint="Sign in with POST /api/v1/auth/login and send it as `Authorization: Bearer …`.",
        )


bearer = HTTPBearer(auto_error=False, description="The access token of a login.")


def identity_of(connection: HTTPConnection) -> Identity:
    """The `Identity` of the process that serves this connection."""
    identity = connection.app.state.identity
    assert isinstance(identity, Identity)
    return identity


def origin_of(connection: HTTPConnection) -> Origin:
    """Where this request comes from; the server's middleware has given it an id."""
    client = connection.client
    return Origin(
        address=client.host if client else "",
        request_id=connection.scope.get("state", {}).get("request_id", ""),
        user_agent=connection.headers.get("user-agent", ""),
    )


async def known_of(connection: HTTPConnection) -> Known:
    """Who a request comes from, by its bearer token, and where they may act.

    Raises `NoCredential`, `TokenInvalid`, `TokenExpired`.
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NoCredential
    return await identity_of(connection).authentication.known(
        token.strip(), origin=origin_of(connection)
    )


async def principal_of(connection: HTTPConnection) -> Principal:
    """Who a request comes from, in the tenant it names.

    Raises what `known_of` raises, and `NoSuchTenant`, `NoTenant`, `TenantSuspended`.
    """
    return await _enter(connection, await known_of(connection))


async def _known_dependency(
    connection: HTTPConnection, _: Annotated[object, Security(bearer)]
) -> Known:
    """`known_of`, with the scheme in the OpenAPI document; read once for a request."""
    return await known_of(connection)


CurrentKnown = Annotated[Known, Depends(_known_dependency)]


def _caller_dependency(known: CurrentKnown) -> Caller:
    return known.caller


async def _principal_dependency(connection: HTTPConnection, known: CurrentKnown) -> Principal:
    return await _enter(connection, known)


async def _principal_there(
    connection: HTTPConnection, known: CurrentKnown, tenant_id: str
) -> Principal:
    return await identity_of(connection).authentication.enter(known, tenant_id, even_deleted=True)


async def _enter(connection: HTTPConnection, known: Known) -> Principal:
    return await identity_of(connection).authentication.enter(
        known, connection.headers.get(TENANT_HEADER)
    )


CurrentCaller = Annotated[Caller, Depends(_caller_dependency)]
"""Whoever sent a request that is about no tenant; asking for it makes a route refuse others."""

CurrentPrincipal = Annotated[Principal, Depends(_principal_dependency)]
"""Whoever sent a request, in their tenant; asking for it makes a route refuse everybody else."""

PrincipalThere = Annotated[Principal, Depends(_principal_there)]
"""The same in the tenant that the address names as `tenant_id`."""

CurrentIdentity = Annotated[Identity, Depends(identity_of)]
CurrentOrigin = Annotated[Origin, Depends(origin_of)]
