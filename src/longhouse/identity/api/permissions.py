"""Questions of permission over HTTP: may somebody do this?"""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from longhouse.identity.api.base import CurrentIdentity, CurrentPrincipal
from longhouse.kit.api import Body


class PermissionQuestion(Body):
    """Whether somebody may do something in the tenant."""

    scope: str = Field(max_length=100, examples=["agents:write"])
    agent_id: str | None = Field(None, max_length=100, description="To this agent.")
    user_id: str | None = Field(
        None, max_length=100, description="A member of the tenant; without one, you."
    )


class PermissionAnswer(BaseModel):
    """Whether they may, and what that comes from."""

    allowed: bool
    scope: str
    reason: str = Field(examples=["role member in this tenant"])


router = APIRouter(tags=["permissions"])


@router.post("/permissions/check")
async def check_permission(
    body: PermissionQuestion, principal: CurrentPrincipal, identity: CurrentIdentity
) -> PermissionAnswer:
    """Whether you, or a member of your tenant, may do something there."""
    answer = await identity.permissions.ask(
        principal, body.scope, agent_id=body.agent_id, user_id=body.user_id
    )
    return PermissionAnswer(allowed=answer.allowed, scope=body.scope, reason=answer.reason)
