"""Users over HTTP, for the admins of the server."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from longhouse.identity.accounts import NewUser
from longhouse.identity.api.base import CurrentCaller, CurrentIdentity, Text
from longhouse.identity.api.views import UserView, user_view
from longhouse.identity.models import SystemRole
from longhouse.identity.service.people import UserChanges
from longhouse.kit.api import After, Body, Limit


class UserBody(Body):
    """A new user."""

    username: Text
    password: Text = Field(description="They should change it when they first sign in.")
    email: Text
    display_name: Text
    role: SystemRole = SystemRole.USER
    active: bool = True


class UserPatch(Body):
    """What changes of a user; the rest stays."""

    username: Text | None = None
    password: Text | None = None
    email: Text | None = None
    display_name: Text | None = None
    role: SystemRole | None = None
    active: bool | None = None


class UserPage(BaseModel):
    """Users, the newest first."""

    items: list[UserView]
    next: str | None = Field(description="Give it as `after`; null on the last page.")


router = APIRouter(tags=["people"])


@router.get("/users")
async def list_users(
    caller: CurrentCaller,
    identity: CurrentIdentity,
    search: Annotated[
        str | None, Query(max_length=200, description="A part of name or address.")
    ] = None,
    role: SystemRole | None = None,
    active: bool | None = None,
    after: After = None,
    limit: Limit = 50,
) -> UserPage:
    """The users of the server. For its admins."""
    found, cursor = await identity.people.newest(
        caller, search=search, role=role, active=active, after=after, limit=limit
    )
    return UserPage(items=[user_view(user) for user in found], next=cursor)


@router.post("/users", status_code=201)
async def create_user(body: UserBody, caller: CurrentCaller, identity: CurrentIdentity) -> UserView:
    """Add a user. They belong to no tenant until somebody gives them a place in one."""
    new = NewUser(
        username=body.username,
        password=body.password,
        email=body.email,
        display_name=body.display_name,
    )
    return user_view(await identity.people.create(caller, new, role=body.role, active=body.active))


@router.get("/users/{user_id}")
async def get_user(user_id: str, caller: CurrentCaller, identity: CurrentIdentity) -> UserView:
    """One user; who is no admin of the server sees nobody but themselves."""
    return user_view(await identity.people.get(caller, user_id))


@router.patch("/users/{user_id}")
async def update_user(
    user_id: str, body: UserPatch, caller: CurrentCaller, identity: CurrentIdentity
) -> UserView:
    """Change a user. Another role or password, or deactivating them, signs them out everywhere."""
    changes = UserChanges(**body.model_dump())
    return user_view(await identity.people.change(caller, user_id, changes))


@router.delete("/users/{user_id}", status_code=204)
async def delete_user(user_id: str, caller: CurrentCaller, identity: CurrentIdentity) -> None:
    """Delete a user for good. What they did stays, under their id."""
    await identity.people.delete(caller, user_id)
