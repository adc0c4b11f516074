"""Who a request comes from, and where they may act: asked on every request.

Nothing is kept in memory: revocation is a row, read again each time.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from longhouse.identity import auth
from longhouse.identity.auth import Caller, NoSuchTenant, Origin, Principal
from longhouse.identity.models import Membership, SystemRole, TenantStatus, User
from longhouse.identity.service.refusals import Refusals
from longhouse.identity.store import logins, tenants
from longhouse.identity.store.logins import SignedInUser
from longhouse.identity.tokens import AccessTokens, TokenInvalid
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A caller, and the places where they may act."""

    caller: Caller
    user: User
    places: tuple[Membership, ...]  # in the order they were given


class Authentication:
    """Turns credentials into principals."""

    def __init__(
        self, *, database: Database, clock: Clock, tokens: AccessTokens, refusals: Refusals
    ) -> None:
        self._database = database
        self._clock = clock
        self._tokens = tokens
        self._refusals = refusals

    async def known(self, token: str, *, origin: Origin) -> Known:
        """Who this token stands for. Raises `TokenInvalid`, `TokenExpired`."""
        now = self._clock.now()
        claims = self._tokens.read(token, now=now)
        found = await self._database.read(lambda conn: logins.find(conn, claims.login_id))
        if found is None or found.user.id != claims.user_id or not found.counts(now):
            raise TokenInvalid
        caller = auth.caller_of(found.user, found.login.id, origin=origin)
        return Known(caller=caller, user=found.user, places=found.memberships)

    async def enter(
        self, known: Known, tenant_id: str | None, *, even_deleted: bool = False
    ) -> Principal:
        """The caller acting in the tenant asked for, or in their first.

        `even_deleted`: admins of the server find one that is deleted, too. Raises `NoSuchTenant`,
        `NoTenant`, `TenantSuspended`.
        """
        place = auth.choose(known.places, wanted=tenant_id)
        if place is not None:
            return auth.enter(known.caller, place)
        wanted = tenant_id or ""
        if known.caller.role is SystemRole.ADMIN:
            status = await self._status_of(wanted)
            if status is not None and (even_deleted or status is not TenantStatus.DELETED):
                return auth.enter_as_admin(known.caller, wanted)
        await self._refusals.record(
            known.caller.actor, action="tenant.entered", target=wanted, reason="no member"
        )
        raise NoSuchTenant(wanted)

    async def principal(self, token: str, *, tenant_id: str | None, origin: Origin) -> Principal:
        """Who this token stands for, acting in the tenant asked for or in their first.

        Raises what `known` and `enter` raise.
        """
        return await self.enter(await self.known(token, origin=origin), tenant_id)

    async def standing(self, principals: Collection[Principal]) -> set[Principal]:
        """Those of these principals who still stand where they stood when they were let in."""
        now = self._clock.now()

        def look(conn: Connection) -> set[Principal]:
            found = logins.find_all(conn, {principal.credential for principal in principals})
            statuses = tenants.statuses(conn, {principal.tenant_id for principal in principals})
            return {
                principal
                for principal in principals
                if (login := found.get(principal.credential)) is not None
                and login.counts(now)
                and _as_before(principal, login, statuses.get(principal.tenant_id))
            }

        return await self._database.read(look)

    async def _status_of(self, tenant_id: str) -> TenantStatus | None:
        found = await self._database.read(lambda conn: tenants.statuses(conn, [tenant_id]))
        return found.get(tenant_id)


def _as_before(principal: Principal, login: SignedInUser, status: TenantStatus | None) -> bool:
    """Whether the login gives today what it gave then."""
    user = login.user
    if user.role is not principal.role or status in {None, TenantStatus.DELETED}:
        return False
    if user.role is SystemRole.ADMIN:
        return True
    return status is TenantStatus.ACTIVE and any(
        place.tenant_id == principal.tenant_id and place.role is principal.tenant_role
        for place in login.memberships
    )
