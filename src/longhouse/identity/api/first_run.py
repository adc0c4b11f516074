"""The first run over HTTP: whether it is needed, and the first admin by the one-time link."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from longhouse.identity.accounts import NewUser
from longhouse.identity.api.base import CurrentIdentity, CurrentOrigin, Text
from longhouse.identity.api.views import Tokens, tokens_answer


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


router = APIRouter(tags=["identity"])


@router.get("/setup")
async def get_setup(identity: CurrentIdentity) -> SetupNeeded:
    """Whether this server still has no user."""
    return SetupNeeded(needed=await identity.first_run.is_needed())


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
    signed_in = await identity.first_run.set_up(body.token, new, origin=origin)
    return tokens_answer(signed_in, request, response)
