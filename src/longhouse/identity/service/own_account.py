"""What people do with their own account: password, logins, and making one where that is open.

`api.own_account` calls it for HTTP.
"""

import secrets
from dataclasses import replace

from sqlalchemy import Connection

from longhouse.identity import audit
from longhouse.identity.accounts import (
    PASSWORD_MOST,
    NewUser,
    checked,
    checked_changes,
    registered,
    sign_in_key,
)
from longhouse.identity.auth import CREDENTIALS_TOPIC, Caller, Origin
from longhouse.identity.errors import (
    NoSuchLogin,
    NoSuchUser,
    RegistrationClosed,
    WrongPassword,
)
from longhouse.identity.models import (
    LoginId,
    SeenLogin,
    SystemRole,
    Tenant,
    TenantType,
    User,
    UserId,
)
from longhouse.identity.passwords import Passwords
from longhouse.identity.service.guessing import SlowDown
from longhouse.identity.service.issuing import Issuer, SignedIn
from longhouse.identity.service.people import add_user, write_unique
from longhouse.identity.service.refusals import Refusals
from longhouse.identity.service.tenants import TenantMade, add_tenant
from longhouse.identity.store import logins, tenants, users
from longhouse.identity.store.logins import SignedInUser
from longhouse.identity.tokens import new_refresh_token
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database
from longhouse.kit.ids import new_id

SUFFIX_BYTES = 3  # behind a username or tenant's name that somebody has already


class OwnAccount:
    """The caller's own account. One for each process."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        clock: Clock,
        passwords: Passwords,
        slow_down: SlowDown,
        issuer: Issuer,
        refusals: Refusals,
        tenant_made: TenantMade,
        open_to_all: bool,
    ) -> None:
        """`open_to_all`: whether people may register."""
        self._database = database
        self._bus = bus
        self._clock = clock
        self._passwords = passwords
        self._slow_down = slow_down
        self._issuer = issuer
        self._refusals = refusals
        self._tenant_made = tenant_made
        self._open_to_all = open_to_all

    async def change_password(
        self, user: User, present: str, new: str, *, origin: Origin
    ) -> SignedIn:
        """Exchange the password: all logins end, and a new one begins.

        Raises `WrongPassword`, `InvalidInput`, `TooManyRequests`.
        """
        await self._slow_down.take(account=user.id, address=origin.address)
        stored = await self._database.read(lambda conn: users.password_of(conn, user.id))
        if not await self._passwords.verify(stored, present[:PASSWORD_MOST]):
            await self._refusals.record(
                origin.actor(user.id),
                action="password.changed",
                target=user.id,
                reason="wrong password",
            )
            raise WrongPassword
        new = checked_changes(password=new)["password"]
        password_hash = await self._passwords.hash(new)
        await self._slow_down.forgive(account=user.id, address=origin.address)
        now, refresh = self._clock.now(), new_refresh_token()

        def work(conn: Connection) -> SignedInUser:
            found = users.find(conn, user.id, lock=True)
            if found is None:
                raise NoSuchUser(user.id)
            users.change(
                conn,
                found,
                username_key=sign_in_key(found.username),
                email_key=sign_in_key(found.email),
                password_hash=password_hash,
            )
            logins.revoke_all(conn, found.id, now=now)
            audit.record(
                conn,
                actor=origin.actor(user.id),
                now=now,
                action="password.changed",
                target=user.id,
                tenant_id=None,
            )
            return self._issuer.begin(conn, found, refresh, origin=origin, now=now)

        signed_in = await self._database.write(work)
        self._bus.publish(CREDENTIALS_TOPIC)
        return self._issuer.hand_out(signed_in, refresh)

    async def logins(self, user: User) -> list[SeenLogin]:
        """Where the user is signed in, the newest first."""
        now = self._clock.now()
        return await self._database.read(lambda conn: logins.live_of(conn, user.id, now=now))

    async def end_login(self, caller: Caller, login_id: str) -> None:
        """End one of the caller's logins: its tokens stop at once. Raises `NoSuchLogin`."""
        now = self._clock.now()

        def work(conn: Connection) -> None:
            mine = {login.id for login in logins.live_of(conn, UserId(caller.id), now=now)}
            if login_id not in mine:
                raise NoSuchLogin(login_id)
            logins.revoke(conn, LoginId(login_id), now=now)
            self._record_end(conn, caller, login_id, reason="revoked")

        await self._database.write(work)
        self._bus.publish(CREDENTIALS_TOPIC)

    async def end_other_logins(self, caller: Caller) -> None:
        """End all of the caller's logins but the one that this request came with."""
        now = self._clock.now()

        def work(conn: Connection) -> None:
            for login in logins.live_of(conn, UserId(caller.id), now=now):
                if login.id != caller.credential and logins.revoke(conn, login.id, now=now):
                    self._record_end(conn, caller, login.id, reason="revoked with all others")

        await self._database.write(work)
        self._bus.publish(CREDENTIALS_TOPIC)

    async def register(self, email: str, password: str, name: str, *, origin: Origin) -> None:
        """Make an account with a tenant of its own, if nobody has the address.

        It is not told whether somebody has. Raises `RegistrationClosed`, `InvalidInput`,
        `TooManyRequests`.
        """
        if not self._open_to_all:
            raise RegistrationClosed
        new = checked(registered(email=email, password=password, name=name))
        await self._slow_down.take(account=f"register {sign_in_key(email)}", address=origin.address)
        password_hash = await self._passwords.hash(new.password)  # it takes as long in each case
        await write_unique(
            self._database, lambda conn: self._add(conn, new, password_hash, origin=origin)
        )

    # --- steps ------------------------------------------------------------------------------------

    def _add(self, conn: Connection, new: NewUser, password_hash: str, *, origin: Origin) -> None:
        now = self._clock.now()
        taken = users.taken_fields(
            conn, username_key=sign_in_key(new.username), email_key=sign_in_key(new.email)
        )
        if "email" in taken:
            return
        if taken:
            new = replace(new, username=f"{new.username}-{secrets.token_hex(SUFFIX_BYTES)}")
        user = add_user(
            conn, new, password_hash, role=SystemRole.USER, actor=origin.anonymous, now=now
        )
        tenant = Tenant(
            id=new_id("tenant"),
            name=_free_name(conn, user.username),
            type=TenantType.PERSONAL,
            owner_id=user.id,
            created_at=now,
            updated_at=now,
        )
        add_tenant(conn, tenant, actor=origin.actor(user.id), tenant_made=self._tenant_made)

    def _record_end(self, conn: Connection, caller: Caller, login_id: str, *, reason: str) -> None:
        audit.record(
            conn,
            actor=caller,
            now=self._clock.now(),
            action="login.revoked",
            target=login_id,
            tenant_id=None,
            reason=reason,
        )


def _free_name(conn: Connection, name: str) -> str:
    """A name for somebody's own tenant."""
    if tenants.find_named(conn, name) is None:
        return name
    return f"{name}-{secrets.token_hex(SUFFIX_BYTES)}"
