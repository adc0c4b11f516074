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

from longhouse.identity.auth import Origin, Principal
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


async def principal_of(connection: HTTPConnection) -> Principal:
    """Who a request comes from, by its bearer token and the tenant it names.

    Raises `NoCredential`, `TokenInvalid`, `TokenExpired`, `NoSuchTenant`, `NoTenant`.
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NoCredential
    return await identity_of(connection).authentication.principal(
        token.strip(),
        tenant_id=connection.headers.get(TENANT_HEADER),
        origin=origin_of(connection),
    )


async def _principal_dependency(
    connection: HTTPConnection, _: Annotated[object, Security(bearer)]
) -> Principal:
    """`principal_of`, with the scheme in the OpenAPI document."""
    return await principal_of(connection)


CurrentPrincipal = Annotated[Principal, Depends(_principal_dependency)]
"""The signed-in user of a request; asking for it makes a route refuse everybody else."""

CurrentIdentity = Annotated[Identity, Depends(identity_of)]
CurrentOrigin = Annotated[Origin, Depends(origin_of)]
