"""One's own account over HTTP: password, logins, and making one where that is open."""

from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from longhouse.identity.api.base import CurrentIdentity, CurrentKnown, CurrentOrigin, Text
from longhouse.identity.api.views import Tokens, tokens_answer
from longhouse.kit.api import Body


class PasswordBody(Body):
    """The present password and the new one."""

    current_password: Text
    new_password: Text


class RegistrationBody(Body):
    """An account to be."""

    email: Text
    password: Text
    name: Text = Field(description="How people should call you.")


class Registered(BaseModel):
    """The answer to everybody who registers."""

    email: str
    name: str
    hint: str = "If this address is new here, you can sign in with it now."


class LoginView(BaseModel):
    """A place where the user is signed in."""

    id: str
    current: bool = Field(description="Whether this request came with it.")
    created_at: datetime
    last_seen_at: datetime = Field(description="To within the life of an access token.")
    expires_at: datetime
    address: str
    user_agent: str


class LoginList(BaseModel):
    """Where the user is signed in, the newest first."""

    items: list[LoginView]


router = APIRouter(tags=["identity"])


@router.post("/auth/register", status_code=201)
async def register(
    body: RegistrationBody, identity: CurrentIdentity, origin: CurrentOrigin
) -> Registered:
    """Make an account with a tenant of its own, where LONGHOUSE_SELF_REGISTRATION allows it.

    The answer does not tell whether the address has an account already.
    """
    await identity.own_account.register(body.email, body.password, body.name, origin=origin)
    return Registered(email=body.email, name=body.name)


@router.put("/auth/password")
async def change_password(
    body: PasswordBody,
    known: CurrentKnown,
    identity: CurrentIdentity,
    origin: CurrentOrigin,
    request: Request,
    response: Response,
) -> Tokens:
    """Change your password. It signs you out everywhere; this answer signs you in again here."""
    signed_in = await identity.own_account.change_password(
        known.person(), body.current_password, body.new_password, origin=origin
    )
    return tokens_answer(signed_in, request, response)


@router.get("/auth/logins")
async def list_logins(known: CurrentKnown, identity: CurrentIdentity) -> LoginList:
    """Where you are signed in."""
    found = await identity.own_account.logins(known.person())
    return LoginList(
        items=[
            LoginView(
                id=login.id,
                current=login.id == known.caller.credential,
                created_at=login.created_at,
                last_seen_at=login.refreshed_at,
                expires_at=login.expires_at,
                address=login.address,
                user_agent=login.user_agent,
            )
            for login in found
        ]
    )


@router.delete("/auth/logins", status_code=204)
async def end_other_logins(known: CurrentKnown, identity: CurrentIdentity) -> None:
    """Sign out everywhere but here."""
    known.person()
    await identity.own_account.end_other_logins(known.caller)


@router.delete("/auth/logins/{login_id}", status_code=204)
async def end_login(login_id: str, known: CurrentKnown, identity: CurrentIdentity) -> None:
    """Sign out at one place: its tokens stop at once, and what is open there ends."""
    known.person()
    await identity.own_account.end_login(known.caller, login_id)
