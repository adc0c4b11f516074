"""Everything about who is asking, put together: one object for each process.

`server.house` makes it; `api` finds it in the application's state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from longhouse.identity.key_hashes import KeyHashes
from longhouse.identity.passwords import Passwords
from longhouse.identity.service.audit_log import AuditLog
from longhouse.identity.service.authentication import Authentication
from longhouse.identity.service.first_run import FirstRun
from longhouse.identity.service.guessing import SlowDown
from longhouse.identity.service.issuing import Issuer, Lifetimes
from longhouse.identity.service.key_door import KeyDoor
from longhouse.identity.service.key_uses import KeyUses
from longhouse.identity.service.keys import AgentKnown, ApiKeys
from longhouse.identity.service.liveness import Liveness
from longhouse.identity.service.logins import Logins
from longhouse.identity.service.members import Members
from longhouse.identity.service.own_account import OwnAccount
from longhouse.identity.service.people import People
from longhouse.identity.service.permissions import Permissions
from longhouse.identity.service.refusals import Refusals
from longhouse.identity.service.tenants import TenantGoes, TenantMade, Tenants
from longhouse.identity.tokens import AccessTokens, RefreshTokens
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database
from longhouse.kit.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The services of this room."""

    audit_log: AuditLog
    authentication: Authentication
    first_run: FirstRun
    key_door: KeyDoor
    key_uses: KeyUses
    keys: ApiKeys
    liveness: Liveness
    logins: Logins
    members: Members
    own_account: OwnAccount
    people: People
    permissions: Permissions
    refusals: Refusals
    tenants: Tenants


def make_identity(
    *,
    database: Database,
    bus: Bus,
    clock: Clock,
    signing: Keys,
    refresh_secret: bytes,
    key_secret: bytes,
    passwords: Passwords,
    lifetimes: Lifetimes,
    tenant_grace: timedelta,
    tenant_made: TenantMade,
    tenant_goes: Sequence[TenantGoes],
    agent_known: AgentKnown,
    open_to_all: bool,
) -> Identity:
    """The services on one database.

    `signing`: keys of access tokens. `refresh_secret` and `key_secret`, under which API keys are
    hashed: the same in every process, for good. `open_to_all`: whether people may register.
    """
    tokens = AccessTokens(signing)
    slow_down = SlowDown(database=database, clock=clock)
    issuer = Issuer(tokens=tokens, lifetimes=lifetimes, clock=clock)
    refusals = Refusals(database=database, clock=clock)
    hashes, uses = KeyHashes(key_secret), KeyUses(database)
    key_door = KeyDoor(database=database, clock=clock, hashes=hashes, uses=uses)
    authentication = Authentication(
        database=database, clock=clock, tokens=tokens, key_door=key_door, refusals=refusals
    )
    return Identity(
        audit_log=AuditLog(database=database),
        authentication=authentication,
        first_run=FirstRun(
            database=database,
            clock=clock,
            passwords=passwords,
            slow_down=slow_down,
            issuer=issuer,
            refusals=refusals,
            tenant_made=tenant_made,
        ),
        key_door=key_door,
        key_uses=uses,
        keys=ApiKeys(
            database=database,
            bus=bus,
            clock=clock,
            hashes=hashes,
            uses=uses,
            agent_known=agent_known,
        ),
        liveness=Liveness(authentication, bus=bus),
        logins=Logins(
            database=database,
            bus=bus,
            clock=clock,
            passwords=passwords,
            slow_down=slow_down,
            issuer=issuer,
            refresh_tokens=RefreshTokens(refresh_secret),
            refusals=refusals,
        ),
        members=Members(database=database, bus=bus, clock=clock),
        own_account=OwnAccount(
            database=database,
            bus=bus,
            clock=clock,
            passwords=passwords,
            slow_down=slow_down,
            issuer=issuer,
            refusals=refusals,
            tenant_made=tenant_made,
            open_to_all=open_to_all,
        ),
        people=People(database=database, bus=bus, clock=clock, passwords=passwords),
        permissions=Permissions(database=database, agent_known=agent_known),
        refusals=refusals,
        tenants=Tenants(
            database=database,
            bus=bus,
            clock=clock,
            grace=tenant_grace,
            tenant_made=tenant_made,
            tenant_goes=tenant_goes,
        ),
    )
