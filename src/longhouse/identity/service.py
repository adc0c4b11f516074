"""Signing in and out, the first user, and who a request comes from.

`api` calls it for HTTP, the command line for `create-admin`, the server at each start for the
one-time link. Passwords are hashed before a transaction and never inside one. It keeps nothing in
memory but the slow-down of guessers; revocation is a row, read again on each request.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from longhouse.identity import audit, store
from longhouse.identity.accounts import PASSWORD_MOST, NewUser, checked, sign_in_key
from longhouse.identity.auth import (
    NoSuchTenant,
    Origin,
    Principal,
    ScopeMissing,
    login_topic,
    prove,
    tenant_of_own_row,
)
from longhouse.identity.models import (
    SYSTEM,
    USER_AGENT_CHARACTERS,
    Actor,
    Login,
    LoginId,
    Membership,
    Outcome,
    SystemRole,
    Tenant,
    TenantId,
    TenantRole,
    User,
    UserId,
)
from longhouse.identity.passwords import Passwords
from longhouse.identity.slowdown import SlowDown
from longhouse.identity.store import SignedInUser
from longhouse.identity.tokens import (
    AccessClaims,
    AccessTokens,
    RefreshToken,
    TokenInvalid,
    new_refresh_token,
    new_secret,
    parse_refresh_token,
    sha256,
)
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database, unique_violation
from longhouse.kit.errors import Conflict, Forbidden, Json, Unauthenticated
from longhouse.kit.ids import new_id

DEFAULT_TENANT = "default"
SETUP_LINK_LIFE = timedelta(hours=24)

TenantMade = Callable[[Connection, TenantId, datetime], None]
"""What a room above does for each new tenant, in the transaction that makes it."""


class WrongCredentials(Unauthenticated):
    """Wrong name, wrong password or a deactivated account: it is not told which."""

    code = "wrong-credentials"

    def __init__(self) -> None:
        super().__init__("The username or the password is wrong.", hint="Check both.")


class RefreshRefused(Unauthenticated):
    """The refresh token is unknown, used before, expired or revoked."""

    code = "refresh-refused"

    def __init__(self) -> None:
        super().__init__("The refresh token is not valid any more.", hint="Sign in again.")


class SetupLinkInvalid(Forbidden):
    """The one-time link is unknown, used, expired or replaced by a newer one."""

    code = "setup-link-invalid"

    def __init__(self) -> None:
        super().__init__(
            "This set-up link is not valid any more.",
            hint="Restart the server to get a new one, or use `longhouse create-admin`.",
        )


class SetUpAlready(Conflict):
    """There is a user already: the first run is over."""

    code = "set-up-already"

    def __init__(self) -> None:
        super().__init__("This server is set up already.", hint="Sign in instead.")


class NameTaken(Conflict):
    """Another user has this username or e-mail address."""

    code = "name-taken"

    def __init__(self, fields: tuple[str, ...]) -> None:
        errors: list[Json] = [
            {"field": field, "message": "Another user has this already."} for field in fields
        ]
        super().__init__(f"Taken already: {', '.join(fields)}.", errors=errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """What a client gets when it signs in or refreshes."""

    access_token: str
    expires_in: int  # seconds
    refresh_token: str
    refresh_expires_in: int  # seconds
    user: User
    memberships: tuple[Membership, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long tokens live."""

    access_seconds: int
    refresh_days: int


class Identity:
    """Everything about who is asking; one object per process."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        clock: Clock,
        tokens: AccessTokens,
        passwords: Passwords,
        lifetimes: Lifetimes,
        tenant_made: TenantMade,
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._tokens = tokens
        self._passwords = passwords
        self._lifetimes = lifetimes
        self._tenant_made = tenant_made
        self._slow_down = SlowDown(clock)

    # --- the first user ---------------------------------------------------------------------------

    async def needs_setup(self) -> bool:
        """Whether there is no user yet."""
        return not await self._database.read(store.has_users)

    async def new_setup_token(self) -> str | None:
        """A fresh one-time token that replaces earlier ones; None once there is a user."""
        token = new_secret()
        now = self._clock.now()

        def replace_link(conn: Connection) -> bool:
            if store.has_users(conn):
                return False
            store.replace_setup_link(
                conn, token_hash=sha256(token), now=now, expires_at=now + SETUP_LINK_LIFE
            )
            return True

        return token if await self._database.write(replace_link) else None

    async def setup(self, token: str, new: NewUser, *, origin: Origin) -> SignedIn:
        """Make the first admin and sign them in; the token is used up by it.

        Raises `SetUpAlready`, `SetupLinkInvalid`, `InvalidInput`, `TooManyRequests`.
        """
        self._slow_down.take(account="setup", address=origin.address)
        token_hash = sha256(token)
        if not await self._may_set_up(token_hash):
            await self._refuse(origin.anonymous, action="setup.done", reason="link not valid")
            raise SetupLinkInvalid
        new = checked(new)
        password_hash = await self._passwords.hash(new.password)
        now = self._clock.now()
        refresh = new_refresh_token()

        def make_first_admin(conn: Connection) -> SignedInUser:
            if store.has_users(conn):
                raise SetUpAlready
            if not store.use_setup_link_if_live(conn, token_hash, now=now):
                raise SetupLinkInvalid
            user = _add_admin(
                conn,
                new,
                password_hash,
                actor=origin.anonymous,
                now=now,
                tenant_made=self._tenant_made,
            )
            return self._add_login(conn, user, refresh, origin=origin, now=now)

        signed_in = await self._database.write(make_first_admin)
        self._slow_down.forgive(account="setup", address=origin.address)
        return self._hand_out(signed_in, refresh)

    async def _may_set_up(self, token_hash: str) -> bool:
        """Raises `SetUpAlready` once there is a user; False for a link that will not do."""
        now = self._clock.now()

        def look(conn: Connection) -> tuple[bool, bool]:
            return store.has_users(conn), store.is_setup_link_live(conn, token_hash, now=now)

        has_users, live = await self._database.read(look)
        if has_users:
            raise SetUpAlready
        return live

    # --- signing in and out -----------------------------------------------------------------------

    async def login(self, name: str, password: str, *, origin: Origin) -> SignedIn:
        """Sign in by username or e-mail address.

        Raises `WrongCredentials` after the same time whether the name exists or not, and
        `TooManyRequests` when there were too many wrong tries of late.
        """
        key = sign_in_key(name)
        found = await self._find_user(key)
        account = key if found is None else found[0].id
        self._slow_down.take(account=account, address=origin.address)
        right = await self._passwords.verify(
            None if found is None else found[1], password[:PASSWORD_MOST]
        )
        if found is None or not right or not found[0].active:
            await self._refuse(
                origin.anonymous,
                action="login.created",
                # Not what was typed: now and then that is a password in the wrong field.
                target=found[0].id if found else "",
                reason=_why_refused(found[0] if found else None, right=right),
            )
            raise WrongCredentials
        self._slow_down.forgive(account=account, address=origin.address)
        now = self._clock.now()
        refresh = new_refresh_token()
        signed_in = await self._database.write(
            lambda conn: self._add_login(conn, found[0], refresh, origin=origin, now=now)
        )
        return self._hand_out(signed_in, refresh)

    async def _find_user(self, key: str) -> tuple[User, str] | None:
        """The user to this name, with the password's hash."""
        if not key.isprintable():  # no name is like that, and PostgreSQL refuses NUL in any text
            return None
        return await self._database.read(lambda conn: store.find_user_to_sign_in(conn, key))

    async def refresh(self, refresh_token: str, *, origin: Origin) -> SignedIn:
        """New tokens for a refresh token, which is used up by it.

        A token that was used before ends the whole login: either of the two who have it may have
        stolen it. Raises `RefreshRefused`.
        """
        presented = parse_refresh_token(refresh_token)
        if presented is None:
            raise RefreshRefused
        successor = presented.rotated()
        now = self._clock.now()
        rotated, login_id = await self._database.write(
            lambda conn: self._rotate(conn, presented, successor, origin=origin, now=now)
        )
        match rotated:
            case SignedInUser():
                return self._hand_out(rotated, successor)
            case _Refused.REUSED:
                self._bus.publish(login_topic(login_id))
                raise RefreshRefused
            case _Refused.DEAD:
                raise RefreshRefused

    async def logout(self, principal: Principal) -> None:
        """End the principal's login: both tokens stop at once, and open streams end."""
        now = self._clock.now()

        def end_login(conn: Connection) -> None:
            if store.revoke_login(conn, principal.login_id, now=now):
                audit.record(
                    conn,
                    actor=principal,
                    now=now,
                    action="login.revoked",
                    target=principal.login_id,
                    tenant_id=None,
                    reason="logout",
                )

        await self._database.write(end_login)
        self._bus.publish(login_topic(principal.login_id))

    # --- every request ----------------------------------------------------------------------------

    async def authenticate(
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
            await self._refuse(
                origin.actor(signed_in.user.id),
                action="tenant.entered",
                target=tenant_id or "",
                reason="no member",
            )
            raise

    async def is_live(self, principal: Principal) -> bool:
        """Whether the principal's login still counts: what a stream asks when its login rings."""
        found = await self._database.read(lambda conn: store.find_login(conn, principal.login_id))
        return found is not None and self._counts(found)

    async def me(self, principal: Principal) -> tuple[User, tuple[Membership, ...]]:
        """The principal's user and places. Raises `TokenInvalid` when they are gone by now."""
        found = await self._database.read(lambda conn: store.find_login(conn, principal.login_id))
        if found is None:
            raise TokenInvalid
        return found.user, found.memberships

    async def record_refusal(self, refusal: ScopeMissing) -> None:
        """Write to the audit that somebody wanted what their role does not reach."""
        principal = refusal.principal
        await self._refuse(
            principal.actor,
            action="scope.used",
            target=refusal.scope,
            reason=f"role {principal.tenant_role}",
            tenant_id=principal.tenant_id,
        )

    async def _live_login(self, access_token: str) -> SignedInUser:
        claims = self._tokens.read(access_token, now=self._clock.now())
        found = await self._database.read(lambda conn: store.find_login(conn, claims.login_id))
        if found is None or found.user.id != claims.user_id or not self._counts(found):
            raise TokenInvalid
        return found

    def _counts(self, found: SignedInUser) -> bool:
        return found.user.active and found.login.is_live(self._clock.now())

    # --- steps ------------------------------------------------------------------------------------

    def _add_login(
        self,
        conn: Connection,
        user: User,
        refresh: RefreshToken,
        *,
        origin: Origin,
        now: datetime,
    ) -> SignedInUser:
        login = Login(
            id=LoginId(new_id("login")),
            user_id=user.id,
            created_at=now,
            expires_at=now + timedelta(days=self._lifetimes.refresh_days),
            revoked_at=None,
            refresh_hash=refresh.refresh_hash,
        )
        store.add_login(
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
        return SignedInUser(user=user, login=login, memberships=store.memberships_of(conn, user.id))

    def _rotate(
        self,
        conn: Connection,
        presented: RefreshToken,
        successor: RefreshToken,
        *,
        origin: Origin,
        now: datetime,
    ) -> "tuple[SignedInUser | _Refused, LoginId]":
        """Returns a refusal instead of raising it: the revocation has to be committed."""
        found = store.find_login_by_family(conn, presented.family_hash)
        if found is None:
            return _Refused.DEAD, LoginId("")
        login_id = found.login.id
        if not self._counts(found):
            return _Refused.DEAD, login_id
        if store.rotate_refresh_if_current(
            conn,
            login_id,
            current=presented.refresh_hash,
            successor=successor.refresh_hash,
            expires_at=now + timedelta(days=self._lifetimes.refresh_days),
            now=now,
        ):
            return found, login_id
        store.revoke_login(conn, login_id, now=now)
        audit.record(
            conn,
            actor=origin.anonymous,
            now=now,
            action="login.refreshed",
            target=login_id,
            tenant_id=None,
            outcome=Outcome.REFUSED,
            reason="refresh token used again: login revoked",
        )
        return _Refused.REUSED, login_id

    def _hand_out(self, signed_in: SignedInUser, refresh: RefreshToken) -> SignedIn:
        seconds = self._lifetimes.access_seconds
        claims = AccessClaims(user_id=signed_in.user.id, login_id=signed_in.login.id)
        return SignedIn(
            access_token=self._tokens.issue(claims, now=self._clock.now(), seconds=seconds),
            expires_in=seconds,
            refresh_token=refresh.text,
            refresh_expires_in=self._lifetimes.refresh_days * 86_400,
            user=signed_in.user,
            memberships=signed_in.memberships,
        )

    async def _refuse(
        self,
        actor: Actor,
        *,
        action: str,
        reason: str,
        target: str = "",
        tenant_id: TenantId | None = None,
    ) -> None:
        """Record a refused attempt in a write of its own."""
        now = self._clock.now()
        await self._database.write(
            lambda conn: audit.record(
                conn,
                actor=actor,
                now=now,
                action=action,
                target=target,
                tenant_id=tenant_id,
                outcome=Outcome.REFUSED,
                reason=reason,
            )
        )


class _Refused(enum.Enum):
    """Why a refresh was refused."""

    DEAD = enum.auto()  # unknown, expired, revoked, or the user is deactivated
    REUSED = enum.auto()  # an old token of a live login, which is revoked now


def setup_url(public_url: str, token: str) -> str:
    """The one-time link; the token is in the fragment, which no server or proxy gets to see."""
    return f"{public_url}/setup#token={token}"


async def create_admin(
    database: Database, new: NewUser, *, clock: Clock, tenant_made: TenantMade
) -> User:
    """Add an admin who owns the default tenant: for the command line, beside a running server too.

    Raises `InvalidInput` and `NameTaken`.
    """
    new = checked(new)
    password_hash = await Passwords().hash(new.password)
    now = clock.now()

    def add(conn: Connection) -> User:
        return _add_admin(conn, new, password_hash, actor=SYSTEM, now=now, tenant_made=tenant_made)

    try:
        return await database.write(add)
    except IntegrityError as error:
        if not unique_violation(error):
            raise
    return await database.write(add)  # a rival was faster, and now we see what it wrote


def _add_admin(
    conn: Connection,
    new: NewUser,
    password_hash: str,
    *,
    actor: Actor,
    now: datetime,
    tenant_made: TenantMade,
) -> User:
    user = User(
        id=UserId(new_id("user")),
        username=new.username,
        email=new.email,
        display_name=new.display_name,
        role=SystemRole.ADMIN,
        active=True,
        created_at=now,
    )
    username_key, email_key = sign_in_key(new.username), sign_in_key(new.email)
    taken = store.taken_fields(conn, username_key=username_key, email_key=email_key)
    if taken:
        raise NameTaken(taken)
    store.add_user(
        conn, user, username_key=username_key, email_key=email_key, password_hash=password_hash
    )
    audit.record(
        conn,
        actor=actor,
        now=now,
        action="user.created",
        target=user.id,
        tenant_id=None,
        after={"username": user.username, "email": user.email, "role": user.role},
    )
    tenant_id = _default_tenant(conn, actor=actor, now=now, tenant_made=tenant_made)
    store.add_membership(conn, user_id=user.id, tenant_id=tenant_id, role=TenantRole.OWNER, now=now)
    audit.record(
        conn,
        actor=actor,
        now=now,
        action="membership.created",
        target=user.id,
        tenant_id=tenant_id,
        after={"role": TenantRole.OWNER},
    )
    return user


def _default_tenant(
    conn: Connection, *, actor: Actor, now: datetime, tenant_made: TenantMade
) -> TenantId:
    """The tenant of a house that has only one, made when it is missing."""
    found = store.find_tenant_named(conn, DEFAULT_TENANT)
    if found is not None:
        return tenant_of_own_row(found.id)
    tenant = Tenant(id=new_id("tenant"), name=DEFAULT_TENANT, created_at=now)
    store.add_tenant(conn, tenant)
    tenant_id = tenant_of_own_row(tenant.id)
    audit.record(
        conn,
        actor=actor,
        now=now,
        action="tenant.created",
        target=tenant.id,
        tenant_id=tenant_id,
        after={"name": tenant.name},
    )
    tenant_made(conn, tenant_id, now)
    return tenant_id


def _why_refused(user: User | None, *, right: bool) -> str:
    """For the audit only; the client is not told."""
    if user is None:
        return "unknown name"
    if not right:
        return "wrong password"
    return "deactivated"
