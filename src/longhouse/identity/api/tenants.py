"""Tenants over HTTP, and who belongs to them."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from longhouse.identity.api.base import (
    CurrentCaller,
    CurrentIdentity,
    PrincipalThere,
)
from longhouse.identity.models import EMAIL_CHARACTERS, Member, Tenant, TenantStatus, TenantType
from longhouse.identity.names import MOST_CHARACTERS
from longhouse.identity.scopes import TenantRole
from longhouse.identity.service.tenants import NewTenant, TenantChanges
from longhouse.kit.api import After, Body, Limit

DESCRIPTION_CHARACTERS = 4000

Name = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS, examples=["Acme"])]
Description = Annotated[str, Field(max_length=DESCRIPTION_CHARACTERS)]
Email = Annotated[str, Field(max_length=EMAIL_CHARACTERS, examples=["ada@example.org"])]
Config = Annotated[dict[str, Any], Field(description="Free JSON for the tenant's own programs.")]


class TenantBody(Body):
    """A new tenant."""

    name: Name
    type: TenantType = TenantType.ENTERPRISE
    description: Description = ""
    contact_email: Email | None = None
    config: Config = Field(default_factory=dict)
    owner_id: str | None = Field(
        None, max_length=100, description="The user who owns it; without one, you do."
    )


class TenantPatch(Body):
    """What changes of a tenant; the rest stays."""

    name: Name | None = None
    type: TenantType | None = None
    description: Description | None = None
    contact_email: Email | None = Field(None, description="Empty: none any more.")
    config: Config | None = None
    status: TenantStatus | None = Field(
        None, description="`suspended` or `active`; for admins of the server."
    )


class TenantDetails(BaseModel):
    """An organisation."""

    id: str
    name: str
    type: TenantType
    description: str
    contact_email: str | None
    config: dict[str, Any]
    status: TenantStatus
    owner_id: str | None = Field(description="Who it was made for.")
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


class TenantPage(BaseModel):
    """Tenants, the newest first."""

    items: list[TenantDetails]
    next: str | None = Field(description="Give it as `after`; null on the last page.")


class MemberBody(Body):
    """Somebody who is to belong to the tenant."""

    user: str = Field(
        min_length=1,
        max_length=EMAIL_CHARACTERS,
        description="Id, username or e-mail address.",
        examples=["ada"],
    )
    role: TenantRole


class RoleBody(Body):
    """A member's role."""

    role: TenantRole


class MemberView(BaseModel):
    """A user as one tenant sees them."""

    user_id: str
    username: str
    display_name: str
    email: str
    active: bool
    role: TenantRole
    since: datetime


class MemberPage(BaseModel):
    """Members of a tenant."""

    items: list[MemberView]
    next: str | None = Field(description="Give it as `after`; null on the last page.")


router = APIRouter(tags=["tenants"])

THERE = "/tenants/{tenant_id}"


@router.get("/tenants")
async def list_tenants(
    caller: CurrentCaller,
    identity: CurrentIdentity,
    status: TenantStatus | None = None,
    search: Annotated[str | None, Query(max_length=200, description="A part of the name.")] = None,
    after: After = None,
    limit: Limit = 50,
) -> TenantPage:
    """Your tenants; for admins of the server, all of them."""
    found, cursor = await identity.tenants.newest(
        caller, status=status, search=search, after=after, limit=limit
    )
    return TenantPage(items=[tenant_view(tenant) for tenant in found], next=cursor)


@router.post("/tenants", status_code=201)
async def create_tenant(
    body: TenantBody, caller: CurrentCaller, identity: CurrentIdentity
) -> TenantDetails:
    """Make a tenant. For admins of the server."""
    new = NewTenant(**body.model_dump())
    return tenant_view(await identity.tenants.create(caller, new))


@router.get(THERE)
async def get_tenant(principal: PrincipalThere, identity: CurrentIdentity) -> TenantDetails:
    """One tenant."""
    return tenant_view(await identity.tenants.get(principal))


@router.patch(THERE)
async def update_tenant(
    body: TenantPatch, principal: PrincipalThere, identity: CurrentIdentity
) -> TenantDetails:
    """Change a tenant. While it is suspended, its members and keys get 403 for everything."""
    changes = TenantChanges(**body.model_dump())
    return tenant_view(await identity.tenants.change(principal, changes))


@router.delete(THERE, status_code=204)
async def delete_tenant(principal: PrincipalThere, identity: CurrentIdentity) -> None:
    """Delete a tenant: its credentials stop at once, its data is gone after a grace period."""
    await identity.tenants.delete(principal)


@router.post(THERE + "/restore")
async def restore_tenant(principal: PrincipalThere, identity: CurrentIdentity) -> TenantDetails:
    """Take a deletion back, as long as the data is there. For admins of the server."""
    return tenant_view(await identity.tenants.restore(principal))


@router.get(THERE + "/members")
async def list_members(
    principal: PrincipalThere, identity: CurrentIdentity, after: After = None, limit: Limit = 50
) -> MemberPage:
    """Who belongs to the tenant."""
    found, cursor = await identity.members.in_order(principal, after=after, limit=limit)
    return MemberPage(items=[member_view(member) for member in found], next=cursor)


@router.post(THERE + "/members", status_code=201)
async def add_member(
    body: MemberBody, principal: PrincipalThere, identity: CurrentIdentity
) -> MemberView:
    """Give a user a place in the tenant, or another role in it."""
    return member_view(await identity.members.put(principal, body.user, body.role))


@router.put(THERE + "/members/{user_id}")
async def change_member(
    user_id: str, body: RoleBody, principal: PrincipalThere, identity: CurrentIdentity
) -> MemberView:
    """Give a member another role. It counts at once; what they have open ends."""
    await identity.members.get(principal, user_id)
    return member_view(await identity.members.put(principal, user_id, body.role))


@router.delete(THERE + "/members/{user_id}", status_code=204)
async def remove_member(user_id: str, principal: PrincipalThere, identity: CurrentIdentity) -> None:
    """Take a member's place. A tenant keeps at least one owner."""
    await identity.members.remove(principal, user_id)


def tenant_view(tenant: Tenant) -> TenantDetails:
    """A tenant as clients see one."""
    return TenantDetails(
        id=tenant.id,
        name=tenant.name,
        type=tenant.type,
        description=tenant.description,
        contact_email=tenant.contact_email,
        config=tenant.config,
        status=tenant.status,
        owner_id=tenant.owner_id,
        created_at=tenant.created_at,
        updated_at=tenant.updated_at,
        deleted_at=tenant.deleted_at,
    )


def member_view(member: Member) -> MemberView:
    """A member as clients see one."""
    return MemberView(
        user_id=member.user_id,
        username=member.username,
        display_name=member.display_name,
        email=member.email,
        active=member.active,
        role=member.role,
        since=member.since,
    )
