"""API keys over HTTP: managed by those responsible for a tenant, checked by other services."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, Field

from longhouse.identity import key_text
from longhouse.identity.api.base import CurrentIdentity, CurrentPrincipal, Text
from longhouse.identity.errors import KeyExpired, KeyInvalid
from longhouse.identity.models import ApiKey, KeyStatus
from longhouse.identity.names import MOST_CHARACTERS
from longhouse.identity.service.keys import (
    LONGEST_OVERLAP,
    MOST_PERMISSIONS,
    UNSET,
    KeyChanges,
    NewKey,
)
from longhouse.kit.api import After, Body, Limit

DESCRIPTION_CHARACTERS = 4000
USUAL_OVERLAP = timedelta(days=1)


def _in_utc(moment: datetime) -> datetime:
    """A moment without a time zone is one in UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Moment = Annotated[
    datetime,
    AfterValidator(_in_utc),
    Field(
        description="In any time zone; without one, in UTC.",
        examples=["2027-01-01T00:00:00Z", "2027-01-01T08:00:00+08:00"],
    ),
]
Name = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS, examples=["production"])]
Description = Annotated[str, Field(max_length=DESCRIPTION_CHARACTERS)]
Permissions = Annotated[
    list[Annotated[str, Field(max_length=100)]],
    Field(
        max_length=MOST_PERMISSIONS,
        description="Scopes of Longhouse, and anything that your own services ask for.",
        examples=[["agents:read", "sessions:write", "chat"]],
    ),
]


class KeyBody(Body):
    """A new key."""

    name: Name
    agent_id: str | None = Field(
        None, max_length=100, description="The one agent that it reaches; null: all of them."
    )
    description: Description = ""
    permissions: Permissions = Field(default_factory=list)
    expires_at: Moment | None = None


class KeyPatch(Body):
    """What changes of a key; the rest stays."""

    name: Name | None = None
    description: Description | None = None
    permissions: Permissions | None = None
    expires_at: Moment | None = Field(None, description="null: it does not expire.")
    status: KeyStatus | None = None


class RotationBody(Body):
    """How long the secret before goes on."""

    overlap_seconds: int = Field(
        int(USUAL_OVERLAP.total_seconds()),
        ge=0,
        le=int(LONGEST_OVERLAP.total_seconds()),
        description="0: it stops at once.",
    )


class KeyView(BaseModel):
    """An API key, without its secret."""

    id: str
    tenant_id: str
    agent_id: str | None
    name: str
    description: str
    permissions: list[str]
    status: KeyStatus
    expires_at: datetime | None
    hint: str = Field(description="The end of its text, to tell it from others.")
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None
    use_count: int


class NewKeyView(KeyView):
    """A key with its secret, which is told this once."""

    api_key: str = Field(description="Keep it: nobody can read it again.")


class KeyPage(BaseModel):
    """Keys, the newest first."""

    items: list[KeyView]
    next: str | None = Field(description="Give it as `after`; null on the last page.")


class KeyTextBody(Body):
    """The text of a key."""

    api_key: Text


class ParsedKey(BaseModel):
    """What the text of a key says of itself; whether there is such a key, it does not know."""

    format_valid: bool
    tenant_id: str | None = None
    agent_id: str | None = None
    random_hash: str | None = Field(None, description="Of the random part; tells nothing of it.")
    version: str | None = None


class ValidationBody(KeyTextBody):
    """A key to check, and what it should be good for."""

    required_permission: Text | None = None
    count: bool = Field(True, description="Whether this is a use of the key.")


WhyNot = Literal["malformed", "invalid", "expired", "suspended"]


class Validation(BaseModel):
    """Whether a key is good, whose it is, and for what."""

    valid: bool
    reason: WhyNot | None = Field(
        description="`malformed`: mistyped. `invalid`: unknown, disabled or deleted; which of them "
        "is not told. `suspended`: its tenant is."
    )
    tenant_id: str | None = None
    agent_id: str | None = None
    key_id: str | None = None
    permissions: list[str] = []
    has_permission: bool | None = Field(None, description="null: none was asked for.")
    status: KeyStatus | None = None


class PermissionBody(KeyTextBody):
    """One permission, asked of a key."""

    permission: Text


router = APIRouter(tags=["keys"])


# --- for those responsible for a tenant -----------------------------------------------------------


@router.get("/keys")
async def list_keys(
    principal: CurrentPrincipal,
    identity: CurrentIdentity,
    agent_id: Annotated[str | None, Query(max_length=100)] = None,
    status: KeyStatus | None = None,
    after: After = None,
    limit: Limit = 50,
) -> KeyPage:
    """The tenant's API keys."""
    found, cursor = await identity.keys.newest(
        principal, agent_id=agent_id, status=status, after=after, limit=limit
    )
    return KeyPage(items=[key_view(key) for key in found], next=cursor)


@router.post("/keys", status_code=201)
async def create_key(
    body: KeyBody, principal: CurrentPrincipal, identity: CurrentIdentity
) -> NewKeyView:
    """Make an API key. Its text is in this answer and nowhere else."""
    return new_key_view(*await identity.keys.create(principal, NewKey(**body.model_dump())))


@router.get("/keys/{key_id}")
async def get_key(key_id: str, principal: CurrentPrincipal, identity: CurrentIdentity) -> KeyView:
    """One API key."""
    return key_view(await identity.keys.get(principal, key_id))


@router.patch("/keys/{key_id}")
async def update_key(
    key_id: str, body: KeyPatch, principal: CurrentPrincipal, identity: CurrentIdentity
) -> KeyView:
    """Change a key; it counts with its next use."""
    changes = KeyChanges(
        name=body.name,
        description=body.description,
        permissions=body.permissions,
        expires_at=body.expires_at if "expires_at" in body.model_fields_set else UNSET,
        status=body.status,
    )
    return key_view(await identity.keys.change(principal, key_id, changes))


@router.delete("/keys/{key_id}", status_code=204)
async def delete_key(key_id: str, principal: CurrentPrincipal, identity: CurrentIdentity) -> None:
    """Delete a key for good. It stops at once."""
    await identity.keys.delete(principal, key_id)


@router.post("/keys/{key_id}/disable")
async def disable_key(
    key_id: str, principal: CurrentPrincipal, identity: CurrentIdentity
) -> KeyView:
    """Stop a key at once, until it is made active again."""
    return key_view(await identity.keys.disable(principal, key_id))


@router.post("/keys/{key_id}/rotate")
async def rotate_key(
    key_id: str,
    principal: CurrentPrincipal,
    identity: CurrentIdentity,
    body: RotationBody | None = None,
) -> NewKeyView:
    """Give a key a new text. The one before is good for as long as the overlap."""
    overlap = timedelta(seconds=body.overlap_seconds) if body else USUAL_OVERLAP
    return new_key_view(*await identity.keys.rotate(principal, key_id, overlap=overlap))


# --- for other services ---------------------------------------------------------------------------


@router.post("/keys/parse")
async def parse_key(body: KeyTextBody, principal: CurrentPrincipal) -> ParsedKey:
    """What the text of a key says of itself. Nothing is looked up, and no use is counted."""
    principal.require("keys:validate")
    return parsed_view(body.api_key)


@router.post("/keys/validate")
async def validate_key(
    body: ValidationBody, principal: CurrentPrincipal, identity: CurrentIdentity
) -> Validation:
    """Whether a key is good, whose it is, and for what: for services that take it from clients."""
    principal.require("keys:validate")
    if key_text.parse(body.api_key) is None:
        return Validation(valid=False, reason="malformed")
    try:
        admitted = await identity.key_door.admit(body.api_key, count=body.count)
    except KeyInvalid:
        return Validation(valid=False, reason="invalid")
    except KeyExpired:
        return Validation(valid=False, reason="expired")
    if admitted.tenant_suspended:
        return Validation(valid=False, reason="suspended")
    return _valid(admitted.key, body.required_permission)


@router.post("/keys/check-permission")
async def check_key_permission(
    body: PermissionBody, principal: CurrentPrincipal, identity: CurrentIdentity
) -> Validation:
    """Whether a key has one permission. No use is counted."""
    asked = ValidationBody(api_key=body.api_key, required_permission=body.permission, count=False)
    return await validate_key(asked, principal, identity)


def _valid(key: ApiKey, permission: str | None) -> Validation:
    return Validation(
        valid=True,
        reason=None,
        tenant_id=key.tenant_id,
        agent_id=key.agent_id,
        key_id=key.id,
        permissions=list(key.permissions),
        has_permission=None if permission is None else permission in key.permissions,
        status=key.status,
    )


def parsed_view(text: str) -> ParsedKey:
    """What a text says, if it can be a key."""
    parsed = key_text.parse(text)
    if parsed is None:
        return ParsedKey(format_valid=False)
    return ParsedKey(
        format_valid=True,
        tenant_id=parsed.tenant_id,
        agent_id=parsed.agent_id,
        random_hash=parsed.random_hash,
        version=parsed.version,
    )


def key_view(key: ApiKey) -> KeyView:
    """A key as clients see one."""
    return KeyView(
        id=key.id,
        tenant_id=key.tenant_id,
        agent_id=key.agent_id,
        name=key.name,
        description=key.description,
        permissions=list(key.permissions),
        status=key.status,
        expires_at=key.expires_at,
        hint=key.hint,
        created_by=key.created_by,
        created_at=key.created_at,
        updated_at=key.updated_at,
        last_used_at=key.last_used_at,
        use_count=key.use_count,
    )


def new_key_view(key: ApiKey, text: str) -> NewKeyView:
    """A key with its text."""
    return NewKeyView(**key_view(key).model_dump(), api_key=text)
