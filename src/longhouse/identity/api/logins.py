"""Signing in, staying signed in and signing out over HTTP, and who is asking."""

from typing import Annotated

from fastapi import APIRouter, Cookie, Request, Response
from pydantic import BaseModel

from longhouse.identity.api.base import (
    CurrentIdentity,
    CurrentKnown,
    CurrentOrigin,
    CurrentPrincipal,
    Text,
)
from longhouse.identity.api.views import (
    COOKIE_PATH,
    REFRESH_COOKIE,
    TenantView,
    Tokens,
    UserView,
    place_view,
    tokens_answer,
    user_view,
)
from longhouse.identity.errors import RefreshRefused
from longhouse.identity.scopes import TenantRole


class LoginBody(BaseModel):
    """A username or e-mail address, and the password."""

    username: Text
    password: Text


class RefreshBody(BaseModel):
    """A refresh token; browsers leave it out and send their cookie."""

    refresh_token: Text | None = None


class Me(BaseModel):
    """Who is asking, and in which tenant."""

    user: UserView
    tenant: TenantView
    tenants: list[TenantView]


router = APIRouter(tags=["identity"])


@router.post("/auth/login")
async def login(
    body: LoginBody,
    identity: CurrentIdentity,
    origin: CurrentOrigin,
    request: Request,
    response: Response,
) -> Tokens:
    """Sign in with username or e-mail address and password."""
    signed_in = await identity.logins.login(body.username, body.password, origin=origin)
    return tokens_answer(signed_in, request, response)


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
    return tokens_answer(await identity.logins.refresh(token, origin=origin), request, response)


@router.post("/auth/logout", status_code=204)
async def logout(known: CurrentKnown, identity: CurrentIdentity, response: Response) -> None:
    """End this login: its tokens stop at once, and its open streams end."""
    known.person()
    await identity.logins.logout(known.caller)
    response.delete_cookie(REFRESH_COOKIE, path=COOKIE_PATH)


@router.get("/auth/me")
async def me(known: CurrentKnown, principal: CurrentPrincipal, identity: CurrentIdentity) -> Me:
    """The signed-in user, the tenant this request acts in, and the user's tenants."""
    user = known.person()
    tenants = [place_view(place) for place in known.places]
    current = next((tenant for tenant in tenants if tenant.id == principal.tenant_id), None)
    if current is None:  # an admin of the server in a tenant of others
        tenant = await identity.tenants.get(principal)
        current = TenantView(id=tenant.id, name=tenant.name, role=TenantRole.OWNER)
    return Me(user=user_view(user), tenant=current, tenants=tenants)
