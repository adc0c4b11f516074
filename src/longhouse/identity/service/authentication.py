"""Who a request comes from: asked on every request.

Nothing is kept in memory: revocation is a row, read again each time.
"""

from longhouse.identity.auth import Caller, NoSuchTenant, Origin, Principal, prove
from longhouse.identity.models import Membership, User
from longhouse.identity.service.refusals import Refusals
from longhouse.identity.store import logins
from longhouse.identity.store.logins import SignedInUser
from longhouse.identity.tokens import AccessTokens, TokenInvalid
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database


class Authentication:
    """Turns credentials into principals."""

    def __init__(
        self, *, database: Database, clock: Clock, tokens: AccessTokens, refusals: Refusals
    ) -> None:
        self._database = database
        self._clock = clock
        self._tokens = tokens
        self._refusals = refusals

    async def principal(
        self, access_token: str, *, tenant_id: str | None, origin: Origin
    ) -> Principal:
        """Who this token stands for, acting in the tenant asked for or in the user's first.

        Raises `TokenInvalid`, `TokenExpired`, `NoSuchTenant`, `NoTenant`.
        """
        signed_in = await self._live_login(access_token)
        try:
            return prove(
                signed_in.user,
                signed_in.login.id,
                signed_in.memberships,
                wanted=tenant_id,
                origin=origin,
            )
        except NoSuchTenant:
            await self._refusals.record(
                origin.actor(signed_in.user.id),
                action="tenant.entered",
                target=tenant_id or "",
                reason="no member",
            )
            raise

    async def me(self, caller: Caller) -> tuple[User, tuple[Membership, ...]]:
        """The caller's user and places. Raises `TokenInvalid` when they are gone by now."""
        found = await self._database.read(lambda conn: logins.find(conn, caller.credential))
        if found is None:
            raise TokenInvalid
        return found.user, found.memberships

    async def _live_login(self, access_token: str) -> SignedInUser:
        now = self._clock.now()
        claims = self._tokens.read(access_token, now=now)
        found = await self._database.read(lambda conn: logins.find(conn, claims.login_id))
        if found is None or found.user.id != claims.user_id or not found.counts(now):
            raise TokenInvalid
        return found
