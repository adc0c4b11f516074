"""Identity over HTTP: first run, sign-in, refresh, sign-out, and the principal of a request.

Every room's `api` takes a `CurrentPrincipal`; plain ASGI endpoints call `principal_of`. The server
puts the `Identity` of the process into `app.state.identity`. Errors are raised as they are; the
server turns them into problems.
"""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Cookie, Depends, Request, Response, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from longhouse.identity.accounts import NewUser
from longhouse.identity.auth import Origin, Principal
from longhouse.identity.models import Membership, SystemRole, TenantRole, User
from longhouse.identity.service import Identity, RefreshRefused, SignedIn
from longhouse.kit.errors import Unauthenticated

REFRESH_COOKIE = "longhouse_refresh"
COOKIE_PATH = "/api/v1/auth"
TENANT_HEADER = "X-Longhouse-Tenant"

MOST_CHARACTERS = 2000
"""Of any text in these bodies: more than all of them need, and bounded."""

Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]


class SetupNeeded(BaseModel):
    """Whether the first run is still to come."""

    needed: bool


class SetupBody(BaseModel):
    """The first admin, and the token of the one-time link."""

    token: Text
    username: Text
    password: Text
    email: Text
    display_name: Text


class LoginBody(BaseModel):
    """A username or e-mail address, and the password."""

    username: Text
    password: Text


class RefreshBody(BaseModel):
    """A refresh token; browsers leave it out and send their cookie."""

    refresh_token: Text | None = None


class UserView(BaseModel):
    """A user as clients see one."""

    id: str
    username: str
    email: str
    display_name: str
    role: SystemRole
    active: bool
    created_at: datetime


class TenantView(BaseModel):
    """A tenant of the user, and the user's role in it."""

    id: str
    name: str
    role: TenantRole


class Tokens(BaseModel):
    """What a client needs for its next requests."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of a scheme
    expires_in: int = Field(description="Seconds the access token is good for.")
    refresh_token: str
    user: UserView
    tenants: list[TenantView]


class Me(BaseModel):
    """Who is asking, and in which tenant."""

    user: UserView
    tenant: TenantView
    tenants: list[TenantView]


class NoCredential(Unauthenticated):
    """The request carries no access token."""

    def __init__(self) -> None:
        super().__init__(
            "This needs an access token.",
            hint="Sign in with POST /api/v1/auth/login and send it as `Authorization: Bearer …`.",
        )


router = APIRouter(tags=["identity"])
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
    return await identity_of(connection).authenticate(
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


@router.get("/setup")
async def get_setup(identity: CurrentIdentity) -> SetupNeeded:
    """Whether this server still has no user."""
    return SetupNeeded(needed=await identity.needs_setup())


@router.post("/setup", status_code=201)
async def post_setup(
    body: SetupBody,
    identity: CurrentIdentity,
    origin: CurrentOrigin,
    request: Request,
    response: Response,
) -> Tokens:
    """Make the first admin with the token of the one-time link, and sign them in."""
    new = NewUser(
        username=body.username,
        password=body.password,
        email=body.email,
        display_name=body.display_name,
    )
    signed_in = await identity.setup(body.token, new, origin=origin)
    return _answer(signed_in, request, response)


@router.post("/auth/login")
async def login(
    body: LoginBody,
    identity: CurrentIdentity,
    origin: CurrentOrigin,
    request: Request,
    response: Response,
) -> Tokens:
    """Sign in with username or e-mail address and password."""
    signed_in = await identity.login(body.username, body.password, origin=origin)
    return _answer(signed_in, request, response)


@router.post("/auth/refresh")
async def refresh(
    identity: CurrentIdentity,
    origin: CurrentOrigin,
    request: Request,
    response: Response,
    body: RefreshBody | None = None,
    cookie: Annotated[str | None, Cookie(alias=REFRESH_COOKIE, include_in_schema=False)] = None,
) -> Tokens:
    """New tokens for a refresh token, which works once; one that worked before ends the login."""
    token = (body.refresh_token if body else None) or cookie
    if not token:
        raise RefreshRefused
    return _answer(await identity.refresh(token, origin=origin), request, response)


@router.post("/auth/logout", status_code=204)
async def logout(
    principal: CurrentPrincipal, identity: CurrentIdentity, response: Response
) -> None:
    """End this login: its tokens stop at once, and its open streams end."""
    await identity.logout(principal)
    response.delete_cookie(REFRESH_COOKIE, path=COOKIE_PATH)


@router.get("/auth/me")
async def me(principal: CurrentPrincipal, identity: CurrentIdentity) -> Me:
    """The signed-in user, the tenant this request acts in, and the user's tenants."""
    user, memberships = await identity.me(principal)
    tenants = [_tenant(membership) for membership in memberships]
    current = next((tenant for tenant in tenants if tenant.id == principal.tenant_id), None)
    if current is None:  # removed between two reads
        raise NoCredential
    return Me(user=_user(user), tenant=current, tenants=tenants)


def _answer(signed_in: SignedIn, request: Request, response: Response) -> Tokens:
    response.set_cookie(
        REFRESH_COOKIE,
        signed_in.refresh_token,
        max_age=signed_in.refresh_expires_in,
        path=COOKIE_PATH,
        secure=request.app.state.secure_cookies,
        httponly=True,
        samesite="strict",
    )
    return Tokens(
        access_token=signed_in.access_token,
        expires_in=signed_in.expires_in,
        refresh_token=signed_in.refresh_token,
        user=_user(signed_in.user),
        tenants=[_tenant(membership) for membership in signed_in.memberships],
    )


def _user(user: User) -> UserView:
    return UserView(
        id=user.id,
        username=user.username,
        email=user.email,
        display_name=user.display_name,
        role=user.role,
        active=user.active,
        created_at=user.created_at,
    )


def _tenant(membership: Membership) -> TenantView:
    return TenantView(id=membership.tenant_id, name=membership.tenant_name, role=membership.role)
