"""Who a request comes from, and where they may act: asked on every request.

Nothing is kept in memory: revocation is a row, read again each time.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from longhouse.identity import auth, key_text
from longhouse.identity.auth import (
    Caller,
    NoSuchTenant,
    Origin,
    PeopleOnly,
    Principal,
    TenantSuspended,
)
from longhouse.identity.models import (
    ApiKey,
    LoginId,
    Membership,
    SecretHash,
    SystemRole,
    TenantStatus,
    User,
)
from longhouse.identity.service.key_door import KeyDoor
from longhouse.identity.service.refusals import Refusals
from longhouse.identity.store import keys, logins, tenants
from longhouse.identity.store.keys import Presented
from longhouse.identity.store.logins import SignedInUser
from longhouse.identity.tokens import AccessTokens, TokenInvalid
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A caller, and the places where they may act."""

    caller: Caller
    user: User | None  # None: a program
    places: tuple[Membership, ...] = ()  # of a user, in the order they were given
    key: ApiKey | None = None  # of a program

    def person(self) -> User:
        """The user. Raises `PeopleOnly` for a program."""
        if self.user is None:
            raise PeopleOnly(self.caller)
        return self.user


class Authentication:
    """Turns credentials into principals."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        tokens: AccessTokens,
        key_door: KeyDoor,
        refusals: Refusals,
    ) -> None:
        self._database = database
        self._clock = clock
        self._tokens = tokens
        self._key_door = key_door
        self._refusals = refusals

    async def known(self, token: str, *, origin: Origin) -> Known:
        """Who this access token or API key stands for.

        Raises `TokenInvalid`, `TokenExpired`, `KeyInvalid`, `KeyExpired`, `TenantSuspended`.
        """
        if token.startswith(key_text.PREFIX):
            return await self._program(token, origin=origin)
        return await self._person(token, origin=origin)

    async def enter(
        self, known: Known, tenant_id: str | None, *, even_deleted: bool = False
    ) -> Principal:
        """The caller acting in the tenant asked for, or in their first.

        `even_deleted`: admins of the server find one that is deleted, too. Raises `NoSuchTenant`,
        `NoTenant`, `TenantSuspended`.
        """
        if known.key is not None:
            if tenant_id in {None, known.key.tenant_id}:
                return auth.enter_by_key(known.caller, known.key)
            raise await self._refused(known, tenant_id or "")
        place = auth.choose(known.places, wanted=tenant_id)
        if place is not None:
            return auth.enter(known.caller, place)
        wanted = tenant_id or ""
        if known.caller.role is SystemRole.ADMIN:
            status = await self._status_of(wanted)
            if status is not None and (even_deleted or status is not TenantStatus.DELETED):
                return auth.enter_as_admin(known.caller, wanted)
        raise await self._refused(known, wanted)

    async def principal(self, token: str, *, tenant_id: str | None, origin: Origin) -> Principal:
        """Who this token stands for, acting in the tenant asked for or in their first.

        Raises what `known` and `enter` raise.
        """
        return await self.enter(await self.known(token, origin=origin), tenant_id)

    async def standing(self, principals: Collection[Principal]) -> set[Principal]:
        """Those of these principals who still stand where they stood when they were let in."""
        now = self._clock.now()
        credentials = {principal.credential for principal in principals}
        tenant_ids = {principal.tenant_id for principal in principals}

        def look(conn: Connection) -> set[Principal]:
            people = logins.find_all(conn, [LoginId(one) for one in credentials])
            programs = keys.presented(conn, [SecretHash(one) for one in credentials])
            statuses = tenants.statuses(conn, tenant_ids)
            return {
                principal
                for principal in principals
                if _as_before(
                    principal,
                    people.get(LoginId(principal.credential)),
                    programs.get(SecretHash(principal.credential)),
                    statuses.get(principal.tenant_id),
                    now=now,
                )
            }

        return await self._database.read(look)

    # --- steps ------------------------------------------------------------------------------------

    async def _person(self, token: str, *, origin: Origin) -> Known:
        now = self._clock.now()
        claims = self._tokens.read(token, now=now)
        found = await self._database.read(lambda conn: logins.find(conn, claims.login_id))
        if found is None or found.user.id != claims.user_id or not found.counts(now):
            raise TokenInvalid
        caller = auth.caller_of(found.user, found.login.id, origin=origin)
        return Known(caller=caller, user=found.user, places=found.memberships)

    async def _program(self, text: str, *, origin: Origin) -> Known:
        admitted = await self._key_door.admit(text)
        caller = auth.caller_of_key(admitted.key, admitted.secret, origin=origin)
        if admitted.tenant_suspended:
            raise TenantSuspended(caller, admitted.key.tenant_id)
        return Known(caller=caller, user=None, key=admitted.key)

    async def _refused(self, known: Known, tenant_id: str) -> NoSuchTenant:
        await self._refusals.record(
            known.caller.actor, action="tenant.entered", target=tenant_id, reason="no member"
        )
        return NoSuchTenant(tenant_id)

    async def _status_of(self, tenant_id: str) -> TenantStatus | None:
        found = await self._database.read(lambda conn: tenants.statuses(conn, [tenant_id]))
        return found.get(tenant_id)


def _as_before(
    principal: Principal,
    login: SignedInUser | None,
    key: Presented | None,
    status: TenantStatus | None,
    *,
    now: datetime,
) -> bool:
    """Whether the credential gives today what it gave then."""
    if status in {None, TenantStatus.DELETED}:
        return False
    if key is not None:
        return (
            status is TenantStatus.ACTIVE
            and key.opens(now)
            and not key.key.has_expired(now)
            and auth.enter_by_key(principal, key.key).scopes == principal.scopes
        )
    if login is None or not login.counts(now) or login.user.role is not principal.role:
        return False
    if principal.role is SystemRole.ADMIN:
        return True
    return status is TenantStatus.ACTIVE and any(
        place.tenant_id == principal.tenant_id and place.role is principal.tenant_role
        for place in login.memberships
    )
