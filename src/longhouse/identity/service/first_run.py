"""The first user: by a one-time link, or by the command line.

The server asks for the link at each start, `api.first_run` takes its token; `create_admin` works
beside a running server too. Passwords are hashed before a transaction and never inside one.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from longhouse.identity import audit
from longhouse.identity.accounts import NewUser, checked
from longhouse.identity.auth import Origin
from longhouse.identity.errors import SetUpAlready, SetupLinkInvalid
from longhouse.identity.models import (
    SYSTEM,
    Actor,
    SystemRole,
    Tenant,
    User,
)
from longhouse.identity.passwords import Passwords
from longhouse.identity.scopes import TenantRole
from longhouse.identity.service.guessing import SlowDown
from longhouse.identity.service.issuing import Issuer, SignedIn
from longhouse.identity.service.people import add_user, write_unique
from longhouse.identity.service.refusals import Refusals
from longhouse.identity.service.tenants import TenantMade, add_tenant
from longhouse.identity.store import members, setup_links, tenants, users
from longhouse.identity.store.logins import SignedInUser
from longhouse.identity.tokens import new_refresh_token, new_secret, sha256
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database
from longhouse.kit.ids import new_id

DEFAULT_TENANT = "default"
SETUP_LINK_LIFE = timedelta(hours=24)


class FirstRun:
    """Makes the first admin of a server."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        passwords: Passwords,
        slow_down: SlowDown,
        issuer: Issuer,
        refusals: Refusals,
        tenant_made: TenantMade,
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._slow_down = slow_down
        self._issuer = issuer
        self._refusals = refusals
        self._tenant_made = tenant_made

    async def is_needed(self) -> bool:
        """Whether there is no user yet."""
        return not await self._database.read(users.any_exists)

    async def new_token(self) -> str | None:
        """A fresh one-time token that replaces earlier ones; None once there is a user."""
        token = new_secret()
        now = self._clock.now()

        def replace_link(conn: Connection) -> bool:
            if users.any_exists(conn):
                return False
            setup_links.replace(
                conn, token_hash=sha256(token), now=now, expires_at=now + SETUP_LINK_LIFE
            )
            return True

        return token if await self._database.write(replace_link) else None

    async def set_up(self, token: str, new: NewUser, *, origin: Origin) -> SignedIn:
        """Make the first admin and sign them in; the token is used up by it.

        Raises `SetUpAlready`, `SetupLinkInvalid`, `InvalidInput`, `TooManyRequests`.
        """
        await self._slow_down.take(account="setup", address=origin.address)
        token_hash = sha256(token)
        if not await self._may_set_up(token_hash):
            await self._refusals.record(
                origin.anonymous, action="setup.done", reason="link not valid"
            )
            raise SetupLinkInvalid
        new = checked(new)
        password_hash = await self._passwords.hash(new.password)
        now = self._clock.now()
        refresh = new_refresh_token()

        def make_first_admin(conn: Connection) -> SignedInUser:
            if users.any_exists(conn):
                raise SetUpAlready
            if not setup_links.use_if_live(conn, token_hash, now=now):
                raise SetupLinkInvalid
            user = _add_admin(
                conn,
                new,
                password_hash,
                actor=origin.anonymous,
                now=now,
                tenant_made=self._tenant_made,
            )
            return self._issuer.begin(conn, user, refresh, origin=origin, now=now)

        signed_in = await self._database.write(make_first_admin)
        await self._slow_down.forgive(account="setup", address=origin.address)
        return self._issuer.hand_out(signed_in, refresh)

    async def _may_set_up(self, token_hash: str) -> bool:
        """Raises `SetUpAlready` once there is a user; False for a link that will not do."""
        now = self._clock.now()

        def look(conn: Connection) -> tuple[bool, bool]:
            return users.any_exists(conn), setup_links.is_live(conn, token_hash, now=now)

        has_users, live = await self._database.read(look)
        if has_users:
            raise SetUpAlready
        return live


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

    return await write_unique(database, add)


def _add_admin(
    conn: Connection,
    new: NewUser,
    password_hash: str,
    *,
    actor: Actor,
    now: datetime,
    tenant_made: TenantMade,
) -> User:
    user = add_user(conn, new, password_hash, role=SystemRole.ADMIN, actor=actor, now=now)
    _join_default_tenant(conn, user, actor=actor, now=now, tenant_made=tenant_made)
    return user


def _join_default_tenant(
    conn: Connection, user: User, *, actor: Actor, now: datetime, tenant_made: TenantMade
) -> None:
    """Own the tenant of a house that has only one, made when it is missing."""
    found = tenants.find_named(conn, DEFAULT_TENANT)
    if found is None:
        tenant = Tenant(
            id=new_id("tenant"),
            name=DEFAULT_TENANT,
            owner_id=user.id,
            created_at=now,
            updated_at=now,
        )
        add_tenant(conn, tenant, actor=actor, tenant_made=tenant_made)
        return
    role = TenantRole.OWNER
    members.add(conn, user_id=user.id, tenant_id=found.id, role=role, now=now)
    audit.record(
        conn,
        actor=actor,
        now=now,
        action="membership.created",
        target=user.id,
        tenant_id=found.id,
        after={"role": role},
    )
