"""Who belongs to a tenant, and as what.

`api.members` calls it for HTTP. A tenant always keeps an owner; only owners make and unmake owners.
A role counts from the next request on, and ends what was opened with the one before.
"""

from datetime import datetime

from sqlalchemy import Connection

from longhouse.identity import audit, names
from longhouse.identity.auth import CREDENTIALS_TOPIC, Principal
from longhouse.identity.errors import LastOwner, NoSuchMember, NoSuchUser
from longhouse.identity.models import Member, UserId
from longhouse.identity.scopes import TenantRole
from longhouse.identity.store import members as store
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database
from longhouse.kit.db.pages import Page
from longhouse.kit.errors import Json


class Members:
    """The members of tenants. One for each process."""

    def __init__(self, *, database: Database, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock

    async def in_order(
        self, principal: Principal, *, after: str | None, limit: int
    ) -> Page[Member]:
        """The tenant's members."""
        principal.require("members:read")
        return await self._database.read(
            lambda conn: store.in_order(conn, principal.tenant_id, after=after, limit=limit)
        )

    async def get(self, principal: Principal, user_id: str) -> Member:
        """One member. Raises `NoSuchMember`."""
        principal.require("members:read")
        return await self._database.read(lambda conn: _found(conn, principal, user_id))

    async def put(self, principal: Principal, user: str, role: TenantRole) -> Member:
        """Give somebody this role: by id, username or e-mail address; a member gets another one.

        Raises `NoSuchUser`, `LastOwner`, `ScopeMissing`.
        """
        principal.require("members:write")
        now = self._clock.now()

        def work(conn: Connection) -> Member:
            owners = store.lock_owners(conn, principal.tenant_id)
            user_id = store.user_called(conn, names.key_of(user))
            if user_id is None:
                raise NoSuchUser(user)
            before = store.find(conn, principal.tenant_id, user_id)
            if role is TenantRole.OWNER or user_id in owners:
                principal.require("tenant:transfer")
            if role is not TenantRole.OWNER:
                _leave_an_owner(owners, user_id)
            if before is None:
                store.add(conn, user_id=user_id, tenant_id=principal.tenant_id, role=role, now=now)
            else:
                store.change(conn, user_id=user_id, tenant_id=principal.tenant_id, role=role)
            after = _found(conn, principal, user_id)
            action = "membership.created" if before is None else "membership.changed"
            _record(conn, principal, action, user_id, before=before, after=after, now=now)
            return after

        member = await self._database.write(work)
        self._bus.publish(CREDENTIALS_TOPIC)
        return member

    async def remove(self, principal: Principal, user_id: str) -> None:
        """Take somebody's place. Raises `NoSuchMember`, `LastOwner`, `ScopeMissing`."""
        principal.require("members:write")
        now = self._clock.now()

        def work(conn: Connection) -> None:
            owners = store.lock_owners(conn, principal.tenant_id)
            before = _found(conn, principal, user_id)
            if before.user_id in owners:
                principal.require("tenant:transfer")
            _leave_an_owner(owners, before.user_id)
            store.remove(conn, user_id=before.user_id, tenant_id=principal.tenant_id)
            _record(conn, principal, "membership.deleted", user_id, before=before, now=now)

        await self._database.write(work)
        self._bus.publish(CREDENTIALS_TOPIC)


def _found(conn: Connection, principal: Principal, user_id: str) -> Member:
    member = store.find(conn, principal.tenant_id, user_id)
    if member is None:
        raise NoSuchMember(user_id)
    return member


def _leave_an_owner(owners: set[UserId], leaving: UserId) -> None:
    if owners == {leaving}:
        raise LastOwner


def _record(
    conn: Connection,
    principal: Principal,
    action: str,
    user_id: str,
    *,
    before: Member | None,
    after: Member | None = None,
    now: datetime,
) -> None:
    audit.record(
        conn,
        actor=principal,
        now=now,
        action=action,
        target=user_id,
        tenant_id=principal.tenant_id,
        before=_digestible(before),
        after=_digestible(after),
    )


def _digestible(member: Member | None) -> Json:
    return None if member is None else {"role": member.role}
