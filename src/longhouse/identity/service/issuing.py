"""Logins begin here: the row, its audit entry, and the tokens that a client is handed.

The services that sign somebody in (`first_run`, `logins`) share one `Issuer`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from longhouse.identity import audit
from longhouse.identity.auth import Origin
from longhouse.identity.models import (
    USER_AGENT_CHARACTERS,
    Login,
    LoginId,
    Membership,
    User,
)
from longhouse.identity.store import logins, members
from longhouse.identity.store.logins import SignedInUser
from longhouse.identity.tokens import AccessClaims, AccessTokens, RefreshToken
from longhouse.kit.clock import Clock
from longhouse.kit.ids import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long tokens live."""

    access_seconds: int
    refresh_days: int

    @property
    def refresh(self) -> timedelta:
        """How long a login lives without being used."""
        return timedelta(days=self.refresh_days)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """What a client gets when it signs in or refreshes."""

    access_token: str
    expires_in: int  # seconds
    refresh_token: str
    refresh_expires_in: int  # seconds
    user: User
    memberships: tuple[Membership, ...]


class Issuer:
    """Begins logins and hands out their tokens."""

    def __init__(self, *, tokens: AccessTokens, lifetimes: Lifetimes, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock
        self.lifetimes = lifetimes

    def begin(
        self,
        conn: Connection,
        user: User,
        refresh: RefreshToken,
        *,
        origin: Origin,
        now: datetime,
    ) -> SignedInUser:
        """A new login of the user, in the caller's transaction."""
        login = Login(
            id=LoginId(new_id("login")),
            user_id=user.id,
            created_at=now,
            expires_at=now + self.lifetimes.refresh,
            revoked_at=None,
            refresh_hash=refresh.refresh_hash,
            refreshed_at=now,
        )
        logins.add(
            conn,
            login,
            family_hash=refresh.family_hash,
            address=origin.address,
            user_agent=origin.user_agent[:USER_AGENT_CHARACTERS],
        )
        audit.record(
            conn,
            actor=origin.actor(user.id),
            now=now,
            action="login.created",
            target=login.id,
            tenant_id=None,
        )
        return SignedInUser(user=user, login=login, memberships=members.of_user(conn, user.id))

    def hand_out(self, signed_in: SignedInUser, refresh: RefreshToken) -> SignedIn:
        """The tokens of a login, for its client."""
        seconds = self.lifetimes.access_seconds
        claims = AccessClaims(user_id=signed_in.user.id, login_id=signed_in.login.id)
        return SignedIn(
            access_token=self._tokens.issue(claims, now=self._clock.now(), seconds=seconds),
            expires_in=seconds,
            refresh_token=refresh.text,
            refresh_expires_in=int(self.lifetimes.refresh.total_seconds()),
            user=signed_in.user,
            memberships=signed_in.memberships,
        )
