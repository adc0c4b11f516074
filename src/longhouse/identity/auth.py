"""Who is asking: the principal, and the proof that it may act in a tenant.

A `TenantId` is made here and nowhere else. `identity.service` turns tokens into a `Principal`;
every room's service takes one. Nothing here touches the database or HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from longhouse.identity.models import (
    NAME_CHARACTERS,
    Actor,
    ActorKind,
    ApiKey,
    LoginId,
    Membership,
    SecretHash,
    SystemRole,
    TenantId,
    TenantStatus,
    User,
    UserId,
)
from longhouse.identity.scopes import ALL_SCOPES, OF_ONE_AGENT, PEOPLE_ONLY, SCOPES, TenantRole
from longhouse.kit.errors import Forbidden, Json, NotFound

CREDENTIALS_TOPIC = "credentials"
"""The bus topic that rings when any login or key has ended or stands for less than before."""


def tenant_of_own_row(tenant_id: str) -> TenantId:
    """The tenant a row of ours names, for work the server does on its own (workers, sweepers).

    This crosses the boundary of tenants by name: never give it what came with a request.
    """
    return TenantId(tenant_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request came from."""

    address: str
    request_id: str
    user_agent: str = ""

    @property
    def anonymous(self) -> Actor:
        """Somebody there who has not signed in."""
        return Actor(
            kind=ActorKind.ANONYMOUS,
            id=None,
            address=self.address,
            request_id=self.request_id,
        )

    def actor(self, user_id: UserId) -> Actor:
        """This user, there."""
        return Actor(
            kind=ActorKind.USER, id=user_id, address=self.address, request_id=self.request_id
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever a credential stands for, for one request, whatever tenant it is about."""

    kind: ActorKind
    id: str  # of the user or the key
    name: str  # how others see them
    credential: LoginId | SecretHash  # what it came with: when it ends, what is open ends with it
    role: SystemRole
    origin: Origin

    @property
    def actor(self) -> Actor:
        """This caller as the audit tells of it."""
        return Actor(
            kind=self.kind,
            id=self.id,
            address=self.origin.address,
            request_id=self.origin.request_id,
        )

    def require_admin(self) -> None:
        """Raise `AdminsOnly` unless this caller may do everything on this server."""
        if self.role is not SystemRole.ADMIN:
            raise AdminsOnly(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal(Caller):
    """A caller acting in one tenant."""

    tenant_id: TenantId
    tenant_role: TenantRole | None  # None: a key, or an admin of the server who is no member
    scopes: frozenset[str]
    agent_id: str | None = None  # the one agent that it reaches; None: all of the tenant's

    def may(self, scope: str) -> bool:
        """Whether this principal has the scope in its tenant."""
        return scope in self.scopes

    def require(self, scope: str) -> None:
        """Raise `ScopeMissing` unless this principal has the scope in its tenant."""
        if scope not in self.scopes:
            raise ScopeMissing(self, scope)

    def reaches(self, agent_id: str) -> bool:
        """Whether this principal may see that agent: a key may be bound to another one."""
        return self.agent_id in {None, agent_id}

    def require_every_agent(self) -> None:
        """Raise `BoundToAgent` unless this principal reaches all agents of its tenant."""
        if self.agent_id is not None:
            raise BoundToAgent(self)


class NotAllowed(Forbidden):
    """A known caller who may not do this; the server writes the refusal to the audit."""

    def __init__(
        self, caller: Caller, detail: str, *, wanted: str, hint: str, **fields: Json
    ) -> None:
        super().__init__(detail, hint=hint, **fields)
        self.caller = caller
        self.wanted = wanted  # what the audit says that they wanted


class ScopeMissing(NotAllowed):
    """A principal whose role in the tenant does not reach."""

    code = "scope-missing"

    def __init__(self, principal: Principal, scope: str) -> None:
        super().__init__(
            principal,
            f"{_in_words(principal)} does not include {scope}.",
            wanted=scope,
            hint=(
                "Give it that permission, or use another key."
                if principal.kind is ActorKind.KEY
                else "Ask an owner or admin of the tenant for a role that does."
            ),
            scope=scope,
        )


class BoundToAgent(NotAllowed):
    """A key of one agent, used for what concerns the whole tenant."""

    code = "bound-to-agent"

    def __init__(self, principal: Principal) -> None:
        super().__init__(
            principal,
            "This key is bound to one agent, and this concerns the whole tenant.",
            wanted="tenant",
            hint="Use a key that is bound to no agent.",
        )


class PeopleOnly(NotAllowed):
    """What has no meaning for a program: an account, a password."""

    code = "people-only"

    def __init__(self, caller: Caller) -> None:
        super().__init__(
            caller,
            "An API key has no account.",
            wanted="account",
            hint="Sign in with POST /api/v1/auth/login instead.",
        )


class AdminsOnly(NotAllowed):
    """What only admins of the server may do."""

    code = "admins-only"

    def __init__(self, caller: Caller) -> None:
        super().__init__(
            caller,
            "Only admins of this server may do that.",
            wanted="server:admin",
            hint="Ask one of them.",
        )


class NoSuchTenant(NotFound):
    """No tenant of this id, or none the caller may act in; which of the two is not told."""

    code = "no-such-tenant"

    def __init__(self, tenant_id: str) -> None:
        super().__init__(
            "There is no such tenant.",
            hint="GET /api/v1/auth/me lists yours.",
            tenant=tenant_id[:NAME_CHARACTERS],
        )


class NoTenant(Forbidden):
    """A user without any membership: signed in, but with nothing to act in."""

    code = "no-tenant"

    def __init__(self) -> None:
        super().__init__(
            "You are not a member of any tenant.", hint="Ask an admin to add you to one."
        )


class TenantSuspended(NotAllowed):
    """The caller's own tenant, in which nothing may be done for now."""

    code = "tenant-suspended"

    def __init__(self, caller: Caller, tenant_id: str) -> None:
        super().__init__(
            caller,
            "This tenant is suspended.",
            wanted=tenant_id,
            hint="Ask an admin of this server to resume it.",
        )


def caller_of(user: User, login_id: LoginId, *, origin: Origin) -> Caller:
    """The user of a live login."""
    return Caller(
        kind=ActorKind.USER,
        id=user.id,
        name=user.display_name,
        credential=login_id,
        role=user.role,
        origin=origin,
    )


def caller_of_key(key: ApiKey, secret: SecretHash, *, origin: Origin) -> Caller:
    """The program that has a live key."""
    return Caller(
        kind=ActorKind.KEY,
        id=key.id,
        name=key.name,
        credential=secret,
        role=SystemRole.USER,
        origin=origin,
    )


def choose(places: Sequence[Membership], *, wanted: str | None) -> Membership | None:
    """The place that a user wants to act in, or the first one where that is possible.

    None when the user has no such place. Raises `NoTenant`.
    """
    if wanted is not None:
        return next((place for place in places if place.tenant_id == wanted), None)
    if not places:
        raise NoTenant
    active = (place for place in places if place.tenant_status is TenantStatus.ACTIVE)
    return next(active, places[0])


def enter(caller: Caller, place: Membership) -> Principal:
    """The caller in a place of theirs, which was just read for them. Raises `TenantSuspended`.

    Admins of the server may act in a suspended tenant.
    """
    if place.tenant_status is TenantStatus.SUSPENDED and caller.role is not SystemRole.ADMIN:
        raise TenantSuspended(caller, place.tenant_id)
    scopes = ALL_SCOPES if caller.role is SystemRole.ADMIN else SCOPES[place.role]
    return _principal(caller, place.tenant_id, role=place.role, scopes=scopes)


def enter_by_key(caller: Caller, key: ApiKey) -> Principal:
    """A program in the tenant of its key, whose row was just read for it."""
    possible = ALL_SCOPES - PEOPLE_ONLY if key.agent_id is None else OF_ONE_AGENT
    scopes = possible.intersection(key.permissions)
    principal = _principal(caller, key.tenant_id, role=None, scopes=scopes)
    return replace(principal, agent_id=key.agent_id)


def enter_as_admin(caller: Caller, tenant_id: str) -> Principal:
    """An admin of the server in a tenant they are no member of. Raises `AdminsOnly`."""
    caller.require_admin()
    return _principal(caller, tenant_id, role=None, scopes=ALL_SCOPES)


def _principal(
    caller: Caller, tenant_id: str, *, role: TenantRole | None, scopes: frozenset[str]
) -> Principal:
    return Principal(
        kind=caller.kind,
        id=caller.id,
        name=caller.name,
        credential=caller.credential,
        role=caller.role,
        origin=caller.origin,
        tenant_id=TenantId(tenant_id),
        tenant_role=role,
        scopes=scopes,
    )


def standing_of(principal: Principal) -> str:
    """What a principal's scopes come from."""
    if principal.kind is ActorKind.KEY:
        return "permissions of the key"
    if principal.role is SystemRole.ADMIN:
        return "admin of the server"
    return f"role {principal.tenant_role} in this tenant"


def _in_words(principal: Principal) -> str:
    if principal.kind is ActorKind.KEY:
        return "This key"
    return f"Your role {principal.tenant_role} in this tenant"
