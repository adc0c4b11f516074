"""Tenants: made, changed, suspended, deleted, restored, and in the end gone.

`api.tenants` calls it for HTTP, `worker` sweeps. Rooms above hand in what they do for a new tenant
and for one that goes.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection

from longhouse.identity import audit, names
from longhouse.identity.accounts import checked_email
from longhouse.identity.auth import CREDENTIALS_TOPIC, Caller, NoSuchTenant, Principal
from longhouse.identity.auth import tenant_of_own_row as own
from longhouse.identity.errors import NoSuchUser, TenantNameTaken
from longhouse.identity.models import (
    SYSTEM,
    Actor,
    ActorKind,
    SystemRole,
    Tenant,
    TenantId,
    TenantStatus,
    TenantType,
    UserId,
)
from longhouse.identity.scopes import TenantRole
from longhouse.identity.states import TENANT_STEPS
from longhouse.identity.store import members, users
from longhouse.identity.store import tenants as store
from longhouse.identity.store.tenants import Visible
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database, unique_violation
from longhouse.kit.db.pages import Page
from longhouse.kit.db.tables import JsonDocument
from longhouse.kit.errors import Json
from longhouse.kit.ids import new_id

T = TypeVar("T")

PURGED_AT_ONCE = 100

TenantMade = Callable[[Connection, TenantId, datetime], None]
"""What a room above does for each new tenant, in the transaction that makes it."""

TenantGoes = Callable[[TenantId], Awaitable[None]]
"""What a room above does before the rows of a tenant are deleted for good: files, processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTenant:
    """A tenant to be, as somebody describes it."""

    name: str
    type: TenantType = TenantType.ENTERPRISE
    description: str = ""
    contact_email: str | None = None
    config: dict[str, JsonDocument]
    owner_id: str | None = None  # None: whoever makes it, if that is a person


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantChanges:
    """What changes of a tenant. None: as before."""

    name: str | None = None
    type: TenantType | None = None
    description: str | None = None
    contact_email: str | None = None  # empty: none any more
    config: dict[str, JsonDocument] | None = None
    status: TenantStatus | None = None


class Tenants:
    """The tenants of the server. One for each process."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        clock: Clock,
        grace: timedelta,
        tenant_made: TenantMade,
        tenant_goes: Sequence[TenantGoes],
    ) -> None:
        """`grace`: how long a deleted tenant can be restored."""
        self._database = database
        self._bus = bus
        self._clock = clock
        self._grace = grace
        self._tenant_made = tenant_made
        self._tenant_goes = tenant_goes

    async def create(self, caller: Caller, new: NewTenant) -> Tenant:
        """Make a tenant. Raises `AdminsOnly`, `InvalidInput`, `TenantNameTaken`, `NoSuchUser`."""
        caller.require_admin()
        now = self._clock.now()
        owner = new.owner_id or (caller.id if caller.kind is ActorKind.USER else None)
        tenant = Tenant(
            id=new_id("tenant"),
            name=names.checked(new.name),
            type=new.type,
            description=new.description,
            contact_email=_checked_contact(new.contact_email),
            config=new.config,
            owner_id=None if owner is None else UserId(owner),
            created_at=now,
            updated_at=now,
        )

        def work(conn: Connection) -> None:
            if tenant.owner_id is not None and users.find(conn, tenant.owner_id) is None:
                raise NoSuchUser(tenant.owner_id)
            add_tenant(conn, tenant, actor=caller, tenant_made=self._tenant_made)

        await self._named(tenant.name, work)
        return tenant

    async def newest(
        self,
        caller: Caller,
        *,
        status: TenantStatus | None,
        search: str | None,
        after: str | None,
        limit: int,
    ) -> Page[Tenant]:
        """The tenants the caller is a member of; for admins of the server, all of them."""
        visible = _visible_to(caller)
        return await self._database.read(
            lambda conn: store.newest(
                conn, visible, status=status, search=search, after=after, limit=limit
            )
        )

    async def numbered(
        self, caller: Caller, *, status: TenantStatus | None, offset: int, limit: int
    ) -> tuple[list[Tenant], int]:
        """A stretch of the same list by position, and how many there are."""
        visible = _visible_to(caller)
        return await self._database.read(
            lambda conn: store.numbered(conn, visible, status=status, offset=offset, limit=limit)
        )

    async def get(self, principal: Principal) -> Tenant:
        """The principal's tenant."""
        principal.require("tenant:read")
        return await self._database.read(lambda conn: _found(conn, principal.tenant_id))

    async def change(self, principal: Principal, changes: TenantChanges) -> Tenant:
        """Change the principal's tenant.

        Suspending and resuming is for admins of the server. Raises `ScopeMissing`, `AdminsOnly`,
        `InvalidInput`, `TenantNameTaken`, `IllegalTransition`.
        """
        principal.require("tenant:write")
        if changes.status is not None:
            principal.require_admin()
        name = None if changes.name is None else names.checked(changes.name)
        contact = changes.contact_email and _checked_contact(changes.contact_email)
        now = self._clock.now()

        def work(conn: Connection) -> Tenant:
            before = _found(conn, principal.tenant_id, lock=True)
            after = replace(
                before,
                name=before.name if name is None else name,
                type=changes.type or before.type,
                description=(
                    before.description if changes.description is None else changes.description
                ),
                contact_email=(
                    before.contact_email if changes.contact_email is None else contact or None
                ),
                config=before.config if changes.config is None else changes.config,
                updated_at=now,
            )
            if changes.status is not None:
                after = _moved(after, changes.status, now=now)
            store.change(conn, after)
            _record(conn, principal, "tenant.changed", before=before, after=after, now=now)
            return after

        changed = await self._named(name or "", work)
        self._bus.publish(CREDENTIALS_TOPIC)
        return changed

    async def delete(self, principal: Principal) -> Tenant:
        """Delete the principal's tenant: its credentials stop at once, its data after a while."""
        principal.require("tenant:delete")
        return await self._move(principal, TenantStatus.DELETED, "tenant.deleted")

    async def restore(self, principal: Principal) -> Tenant:
        """Take a deletion back. Raises `AdminsOnly`, `TenantNameTaken`, `IllegalTransition`."""
        principal.require_admin()
        return await self._move(principal, TenantStatus.ACTIVE, "tenant.restored")

    async def purge(self) -> int:
        """Delete for good what was deleted longer ago than the grace period; how many tenants."""
        before = self._clock.now() - self._grace
        due = await self._database.read(
            lambda conn: store.deleted_before(conn, before, limit=PURGED_AT_ONCE)
        )
        return sum([await self._purge(own(tenant_id), before=before) for tenant_id in due])

    # --- steps ------------------------------------------------------------------------------------

    async def _purge(self, tenant_id: TenantId, *, before: datetime) -> bool:
        for goes in self._tenant_goes:
            await goes(tenant_id)
        now = self._clock.now()

        def work(conn: Connection) -> bool:
            if not store.purge_if_deleted(conn, tenant_id, before=before):
                return False
            audit.record(
                conn,
                actor=SYSTEM,
                now=now,
                action="tenant.purged",
                target=tenant_id,
                tenant_id=tenant_id,
            )
            return True

        return await self._database.write(work)

    async def _move(self, principal: Principal, status: TenantStatus, action: str) -> Tenant:
        now = self._clock.now()

        def work(conn: Connection) -> Tenant:
            before = _found(conn, principal.tenant_id, lock=True)
            after = replace(_moved(before, status, now=now), updated_at=now)
            store.change(conn, after)
            _record(conn, principal, action, before=before, after=after, now=now)
            return after

        moved = await self._named("", work)
        self._bus.publish(CREDENTIALS_TOPIC)
        return moved

    async def _named(self, name: str, work: Callable[[Connection], T]) -> T:
        """Write; a name that another tenant has is told as such."""
        try:
            return await self._database.write(work)
        except Exception as error:
            if unique_violation(error):
                raise TenantNameTaken(name) from error
            raise


def add_tenant(
    conn: Connection, tenant: Tenant, *, actor: Caller | Actor, tenant_made: TenantMade
) -> TenantId:
    """Store a new tenant with what it has from the start, its owner among that."""
    tenant_id, now = own(tenant.id), tenant.created_at
    store.add(conn, tenant)
    audit.record(
        conn,
        actor=actor,
        now=now,
        action="tenant.created",
        target=tenant.id,
        tenant_id=tenant_id,
        after=_digestible(tenant),
    )
    tenant_made(conn, tenant_id, now)
    if tenant.owner_id is not None:
        role = TenantRole.OWNER
        members.add(conn, user_id=tenant.owner_id, tenant_id=tenant_id, role=role, now=now)
        audit.record(
            conn,
            actor=actor,
            now=now,
            action="membership.created",
            target=tenant.owner_id,
            tenant_id=tenant_id,
            after={"role": role},
        )
    return tenant_id


def _visible_to(caller: Caller) -> Visible:
    if caller.role is SystemRole.ADMIN:
        return Visible()
    return Visible(of_user=UserId(caller.id))


def _found(conn: Connection, tenant_id: TenantId, *, lock: bool = False) -> Tenant:
    tenant = store.find(conn, tenant_id, lock=lock)
    if tenant is None:  # purged between two reads
        raise NoSuchTenant(tenant_id)
    return tenant


def _moved(tenant: Tenant, status: TenantStatus, *, now: datetime) -> Tenant:
    if status is tenant.status:
        return tenant
    TENANT_STEPS.check(tenant.status, status)
    return replace(
        tenant, status=status, deleted_at=now if status is TenantStatus.DELETED else None
    )


def _checked_contact(email: str | None) -> str | None:
    return None if email is None else checked_email(email, field="contact_email")


def _record(
    conn: Connection,
    principal: Principal,
    action: str,
    *,
    before: Tenant,
    after: Tenant,
    now: datetime,
) -> None:
    audit.record(
        conn,
        actor=principal,
        now=now,
        action=action,
        target=principal.tenant_id,
        tenant_id=principal.tenant_id,
        before=_digestible(before),
        after=_digestible(after),
    )


def _digestible(tenant: Tenant) -> Json:
    return {
        "name": tenant.name,
        "type": tenant.type,
        "description": tenant.description,
        "contact_email": tenant.contact_email,
        "config": tenant.config,
        "status": tenant.status,
        "owner_id": tenant.owner_id,
    }
