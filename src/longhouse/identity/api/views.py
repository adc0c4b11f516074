"""Users, tenants and tokens as clients see them."""

from datetime import datetime
from typing import Literal

from fastapi import Request, Response
from pydantic import BaseModel, Field

from longhouse.identity.models import Membership, SystemRole, User
from longhouse.identity.scopes import TenantRole
from longhouse.identity.service.issuing import SignedIn

REFRESH_COOKIE = "longhouse_refresh"
COOKIE_PATH = "/api/v1/auth"


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


def tokens_answer(signed_in: SignedIn, request: Request, response: Response) -> Tokens:
    """The tokens for a client; a browser gets the refresh token as a cookie, too."""
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
        user=user_view(signed_in.user),
        tenants=[place_view(membership) for membership in signed_in.memberships],
    )


def user_view(user: User) -> UserView:
    """A user as clients see one."""
    return UserView(
        id=user.id,
        username=user.username,
        email=user.email,
        display_name=user.display_name,
        role=user.role,
        active=user.active,
        created_at=user.created_at,
    )


def place_view(membership: Membership) -> TenantView:
    """A place of a user as clients see it."""
    return TenantView(id=membership.tenant_id, name=membership.tenant_name, role=membership.role)
