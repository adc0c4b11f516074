"""API keys of tenants: made, listed, changed, rotated, disabled, deleted.

`api.keys` calls it for HTTP. A secret is told once, when it is made. Nobody gives a key a scope
that they lack themselves. What else a key's permissions say is between the tenant's programs.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import TypeVar

from sqlalchemy import Connection

from longhouse.identity import audit, key_text, names
from longhouse.identity.auth import CREDENTIALS_TOPIC, Caller, Principal
from longhouse.identity.errors import KeyNameTaken, NoSuchAgent, NoSuchKey
from longhouse.identity.key_hashes import KeyHashes
from longhouse.identity.models import Actor, ApiKey, KeyId, KeyStatus, TenantId
from longhouse.identity.scopes import ALL_SCOPES, PEOPLE_ONLY
from longhouse.identity.service.key_uses import KeyUses
from longhouse.identity.store import keys as store
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database, unique_violation
from longhouse.kit.db.pages import Page
from longhouse.kit.errors import InvalidInput, Json
from longhouse.kit.ids import new_id

T = TypeVar("T")

MOST_PERMISSIONS = 100
LONGEST_OVERLAP = timedelta(days=90)

_PERMISSION = re.compile(r"[A-Za-z0-9_*][A-Za-z0-9_.:*/-]{0,99}")

AgentKnown = Callable[[Connection, TenantId, str], bool]
"""Whether a tenant has this agent: a room above knows."""


class Unset(Enum):
    """For what may be changed to nothing."""

    UNSET = "unset"


UNSET = Unset.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key to be."""

    name: str
    agent_id: str | None = None
    description: str = ""
    permissions: Sequence[str] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChanges:
    """What changes of a key. None: as before."""

    name: str | None = None
    description: str | None = None
    permissions: Sequence[str] | None = None
    expires_at: datetime | Unset | None = UNSET  # None: never
    status: KeyStatus | None = None


class ApiKeys:
    """The tenants' API keys. One for each process."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        clock: Clock,
        hashes: KeyHashes,
        uses: KeyUses,
        agent_known: AgentKnown,
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._hashes = hashes
        self._uses = uses
        self._agent_known = agent_known

    async def create(self, principal: Principal, new: NewKey) -> tuple[ApiKey, str]:
        """A new key and its text, which nobody can read again.

        Raises `ScopeMissing`, `InvalidInput`, `NoSuchAgent`, `KeyNameTaken`.
        """
        principal.require("keys:write")
        permissions = _checked_permissions(new.permissions)
        _require_all(principal, permissions)
        now = self._clock.now()
        secret = key_text.make(principal.tenant_id, new.agent_id)
        key = ApiKey(
            id=KeyId(new_id("key")),
            tenant_id=principal.tenant_id,
            agent_id=new.agent_id,
            name=names.checked(new.name),
            description=new.description,
            permissions=permissions,
            status=KeyStatus.ACTIVE,
            expires_at=new.expires_at,
            hint=key_text.hint_of(secret),
            created_by=principal.id,
            created_at=now,
            updated_at=now,
            last_used_at=None,
            use_count=0,
        )

        def work(conn: Connection) -> None:
            self._check_agent(conn, principal, key.agent_id)
            store.add(conn, key)
            self._add_secret(conn, key.id, secret, now=now)
            _record(conn, principal, "key.created", key.id, after=key, now=now)

        await self._named(key.name, work)
        return key, secret

    async def newest(
        self,
        principal: Principal,
        *,
        agent_id: str | None = None,
        status: KeyStatus | None = None,
        after: str | None,
        limit: int,
    ) -> Page[ApiKey]:
        """The tenant's keys, the newest first."""
        principal.require("keys:read")
        await self._uses.settle()
        return await self._database.read(
            lambda conn: store.newest(
                conn,
                principal.tenant_id,
                agent_id=agent_id,
                status=status,
                after=after,
                limit=limit,
            )
        )

    async def numbered(
        self,
        principal: Principal,
        *,
        agent_id: str | None = None,
        status: KeyStatus | None = None,
        offset: int,
        limit: int,
    ) -> tuple[list[ApiKey], int]:
        """A stretch of the same list by position, and how many there are."""
        principal.require("keys:read")
        await self._uses.settle()
        return await self._database.read(
            lambda conn: store.numbered(
                conn,
                principal.tenant_id,
                agent_id=agent_id,
                status=status,
                offset=offset,
                limit=limit,
            )
        )

    async def get(self, principal: Principal, key_id: str) -> ApiKey:
        """One key, with all uses that this process knows of. Raises `NoSuchKey`."""
        principal.require("keys:read")
        await self._uses.settle()
        return await self._database.read(lambda conn: _found(conn, principal, key_id))

    async def change(self, principal: Principal, key_id: str, changes: KeyChanges) -> ApiKey:
        """Change a key; it counts with its next use. Raises as `create` does, and `NoSuchKey`."""
        principal.require("keys:write")
        name = None if changes.name is None else names.checked(changes.name)
        permissions = (
            None if changes.permissions is None else _checked_permissions(changes.permissions)
        )
        now = self._clock.now()

        def work(conn: Connection) -> ApiKey:
            before = _found(conn, principal, key_id, lock=True)
            if permissions is not None:
                _require_all(principal, set(permissions) - set(before.permissions))
            after = replace(
                before,
                name=name or before.name,
                description=(
                    before.description if changes.description is None else changes.description
                ),
                permissions=before.permissions if permissions is None else permissions,
                expires_at=(
                    before.expires_at if changes.expires_at is UNSET else changes.expires_at
                ),
                status=changes.status or before.status,
                updated_at=now,
            )
            store.change(conn, after)
            _record(conn, principal, "key.changed", key_id, before=before, after=after, now=now)
            return after

        changed = await self._named(name or "", work)
        self._bus.publish(CREDENTIALS_TOPIC)
        return changed

    async def disable(self, principal: Principal, key_id: str) -> ApiKey:
        """Stop a key at once, until it is made active again. Raises `NoSuchKey`."""
        return await self.change(principal, key_id, KeyChanges(status=KeyStatus.DISABLED))

    async def rotate(
        self, principal: Principal, key_id: str, *, overlap: timedelta
    ) -> tuple[ApiKey, str]:
        """A new secret for a key. The one before opens for as long as the overlap, then no more.

        Raises `NoSuchKey`, `InvalidInput`.
        """
        principal.require("keys:write")
        now = self._clock.now()

        def work(conn: Connection) -> tuple[ApiKey, str]:
            before = _found(conn, principal, key_id, lock=True)
            secret = key_text.make(before.tenant_id, before.agent_id)
            store.end_secrets(conn, before.id, until=now + overlap, now=now)
            self._add_secret(conn, before.id, secret, now=now)
            after = replace(before, hint=key_text.hint_of(secret), updated_at=now)
            store.change(conn, after)
            _record(conn, principal, "key.rotated", key_id, before=before, after=after, now=now)
            return after, secret

        rotated = await self._database.write(work)
        self._bus.publish(CREDENTIALS_TOPIC)
        return rotated

    async def delete(self, principal: Principal, key_id: str) -> None:
        """Delete a key for good. Raises `NoSuchKey`."""
        principal.require("keys:write")
        now = self._clock.now()

        def work(conn: Connection) -> None:
            before = _found(conn, principal, key_id, lock=True)
            store.remove(conn, before.id)
            _record(conn, principal, "key.deleted", key_id, before=before, now=now)

        await self._database.write(work)
        self._bus.publish(CREDENTIALS_TOPIC)

    # --- steps ------------------------------------------------------------------------------------

    def _add_secret(self, conn: Connection, key_id: KeyId, secret: str, *, now: datetime) -> None:
        hint = key_text.hint_of(secret)
        store.add_secret(conn, key_id, hash=self._hashes.of(secret), hint=hint, now=now)

    def _check_agent(self, conn: Connection, principal: Principal, agent_id: str | None) -> None:
        if agent_id is not None and not self._agent_known(conn, principal.tenant_id, agent_id):
            raise NoSuchAgent(agent_id)

    async def _named(self, name: str, work: Callable[[Connection], T]) -> T:
        """Write; a name that another key has is told as such."""
        try:
            return await self._database.write(work)
        except Exception as error:
            if unique_violation(error):
                raise KeyNameTaken(name) from error
            raise


def delete_of_agent(
    conn: Connection, *, actor: Caller | Actor, tenant_id: TenantId, agent_id: str, now: datetime
) -> None:
    """Delete an agent's keys with it, in the transaction that deletes it.

    Called by the room of agents, which rings `CREDENTIALS_TOPIC` after its commit.
    """
    for key_id in store.remove_of_agent(conn, tenant_id, agent_id):
        audit.record(
            conn,
            actor=actor,
            now=now,
            action="key.deleted",
            target=key_id,
            tenant_id=tenant_id,
            reason="its agent was deleted",
        )


def _checked_permissions(permissions: Sequence[str]) -> tuple[str, ...]:
    wrong = next((one for one in permissions if not _PERMISSION.fullmatch(one)), None)
    if wrong is not None:
        message = f"{wrong[:100]!r} is no permission: letters, digits and _ . : * / - only."
        raise InvalidInput(message, errors=[{"field": "permissions", "message": message}])
    if forbidden := PEOPLE_ONLY.intersection(permissions):
        message = f"No key can have {min(forbidden)}: that is for people."
        raise InvalidInput(message, errors=[{"field": "permissions", "message": message}])
    return tuple(dict.fromkeys(permissions))


def _require_all(principal: Principal, permissions: Sequence[str] | set[str]) -> None:
    """Nobody gives away a scope that they have not."""
    for scope in sorted(ALL_SCOPES.intersection(permissions)):
        principal.require(scope)


def _found(conn: Connection, principal: Principal, key_id: str, *, lock: bool = False) -> ApiKey:
    key = store.find(conn, principal.tenant_id, key_id, lock=lock)
    if key is None:
        raise NoSuchKey(key_id)
    return key


def _record(
    conn: Connection,
    principal: Principal,
    action: str,
    key_id: str,
    *,
    before: ApiKey | None = None,
    after: ApiKey | None = None,
    now: datetime,
) -> None:
    audit.record(
        conn,
        actor=principal,
        now=now,
        action=action,
        target=key_id,
        tenant_id=principal.tenant_id,
        before=_digestible(before),
        after=_digestible(after),
    )


def _digestible(key: ApiKey | None) -> Json:
    if key is None:
        return None
    return {
        "name": key.name,
        "agent_id": key.agent_id,
        "description": key.description,
        "permissions": key.permissions,
        "status": key.status,
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
        "hint": key.hint,
    }
