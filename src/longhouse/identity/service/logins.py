"""Signing in, staying signed in, signing out.

`api.logins` calls it for HTTP. Passwords are checked outside of transactions. It keeps nothing in
memory but the slow-down of guessers.
"""

import enum
from datetime import datetime, timedelta

from sqlalchemy import Connection

from longhouse.identity import audit
from longhouse.identity.accounts import PASSWORD_MOST, sign_in_key
from longhouse.identity.auth import CREDENTIALS_TOPIC, Caller, Origin
from longhouse.identity.errors import RefreshRefused, WrongCredentials
from longhouse.identity.models import Login, LoginId, Outcome, User
from longhouse.identity.passwords import Passwords
from longhouse.identity.service.guessing import SlowDown
from longhouse.identity.service.issuing import Issuer, SignedIn
from longhouse.identity.service.refusals import Refusals
from longhouse.identity.store import logins as store
from longhouse.identity.store import users
from longhouse.identity.store.logins import SignedInUser
from longhouse.identity.tokens import (
    RefreshToken,
    RefreshTokens,
    new_refresh_token,
    parse_refresh_token,
)
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database

REFRESH_GRACE = timedelta(seconds=10)
"""How long after its use a refresh token still gets the answer it got: tabs share a cookie, and a
client whose connection broke asks again.
"""


class Logins:
    """The logins of people. One for each process."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        clock: Clock,
        passwords: Passwords,
        slow_down: SlowDown,
        issuer: Issuer,
        refresh_tokens: RefreshTokens,
        refusals: Refusals,
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._passwords = passwords
        self._slow_down = slow_down
        self._issuer = issuer
        self._refresh_tokens = refresh_tokens
        self._refusals = refusals

    async def login(self, name: str, password: str, *, origin: Origin) -> SignedIn:
        """Sign in by username or e-mail address.

        Raises `WrongCredentials` after the same time whether the name exists or not, and
        `TooManyRequests` when there were too many wrong tries of late.
        """
        key = sign_in_key(name)
        found = await self._find_user(key)
        account = key if found is None else found[0].id
        await self._slow_down.take(account=account, address=origin.address)
        right = await self._passwords.verify(
            None if found is None else found[1], password[:PASSWORD_MOST]
        )
        if found is None or not right or not found[0].active:
            await self._refusals.record(
                origin.anonymous,
                action="login.created",
                # Not what was typed: now and then that is a password in the wrong field.
                target=found[0].id if found else "",
                reason=_why_refused(found[0] if found else None, right=right),
            )
            raise WrongCredentials
        await self._slow_down.forgive(account=account, address=origin.address)
        now = self._clock.now()
        refresh = new_refresh_token()

        def begin(conn: Connection) -> SignedInUser:
            # While we were hashing, it may have become another password, and every login ended.
            if not users.still_has(conn, found[0].id, found[1]):
                raise WrongCredentials
            return self._issuer.begin(conn, found[0], refresh, origin=origin, now=now)

        return self._issuer.hand_out(await self._database.write(begin), refresh)

    async def refresh(self, refresh_token: str, *, origin: Origin) -> SignedIn:
        """New tokens for a refresh token, which is used up by it.

        A token that was used before ends the whole login: either of the two who have it may have
        stolen it. Not so within `REFRESH_GRACE`, when two tabs of one browser race: both get the
        same. Raises `RefreshRefused`.
        """
        presented = parse_refresh_token(refresh_token)
        if presented is None:
            raise RefreshRefused
        successor = self._refresh_tokens.successor(presented)
        now = self._clock.now()
        rotated = await self._database.write(
            lambda conn: self._rotate(conn, presented, successor, origin=origin, now=now)
        )
        match rotated:
            case SignedInUser():
                return self._issuer.hand_out(rotated, successor)
            case _Refused.REUSED:
                self._bus.publish(CREDENTIALS_TOPIC)
                raise RefreshRefused
            case _Refused.DEAD:
                raise RefreshRefused

    async def logout(self, caller: Caller) -> None:
        """End the caller's login: both tokens stop at once, and open streams end."""
        now = self._clock.now()

        def end_login(conn: Connection) -> None:
            if store.revoke(conn, LoginId(caller.credential), now=now):
                audit.record(
                    conn,
                    actor=caller,
                    now=now,
                    action="login.revoked",
                    target=caller.credential,
                    tenant_id=None,
                    reason="logout",
                )

        await self._database.write(end_login)
        self._bus.publish(CREDENTIALS_TOPIC)

    # --- steps ------------------------------------------------------------------------------------

    async def _find_user(self, key: str) -> tuple[User, str] | None:
        """The user to this name, with the password's hash."""
        if not key.isprintable():  # no name is like that, and PostgreSQL refuses NUL in any text
            return None
        return await self._database.read(lambda conn: users.find_to_sign_in(conn, key))

    def _rotate(
        self,
        conn: Connection,
        presented: RefreshToken,
        successor: RefreshToken,
        *,
        origin: Origin,
        now: datetime,
    ) -> "SignedInUser | _Refused":
        """Returns a refusal instead of raising it: the revocation has to be committed."""
        found = store.find_by_family(conn, presented.family_hash)
        if found is None or not found.counts(now):
            return _Refused.DEAD
        if store.rotate_refresh_if_current(
            conn,
            found.login.id,
            current=presented.refresh_hash,
            successor=successor.refresh_hash,
            expires_at=now + self._issuer.lifetimes.refresh,
            now=now,
        ):
            return found
        # Read again: a rival has rotated it between our reading and our writing.
        newest = store.find_by_family(conn, presented.family_hash)
        if newest is not None and _has_just_become(newest.login, successor, now=now):
            return newest
        store.revoke(conn, found.login.id, now=now)
        audit.record(
            conn,
            actor=origin.anonymous,
            now=now,
            action="login.refreshed",
            target=found.login.id,
            tenant_id=None,
            outcome=Outcome.REFUSED,
            reason="refresh token used again: login revoked",
        )
        return _Refused.REUSED


def _has_just_become(login: Login, successor: RefreshToken, *, now: datetime) -> bool:
    """Whether this very rotation was done a moment ago, for another tab."""
    return (
        login.refresh_hash == successor.refresh_hash and now - login.refreshed_at <= REFRESH_GRACE
    )


class _Refused(enum.Enum):
    """Why a refresh was refused."""

    DEAD = enum.auto()  # unknown, expired, revoked, or the user is deactivated
    REUSED = enum.auto()  # an old token of a live login, which is revoked now


def _why_refused(user: User | None, *, right: bool) -> str:
    """For the audit only; the client is not told."""
    if user is None:
        return "unknown name"
    if not right:
        return "wrong password"
    return "deactivated"
