"""Everything about who is asking, put together: one object for each process.

`server.house` makes it; `api` finds it in the application's state.
"""

from dataclasses import dataclass

from longhouse.identity.passwords import Passwords
from longhouse.identity.service.audit_log import AuditLog
from longhouse.identity.service.authentication import Authentication
from longhouse.identity.service.first_run import FirstRun, TenantMade
from longhouse.identity.service.issuing import Issuer, Lifetimes
from longhouse.identity.service.liveness import Liveness
from longhouse.identity.service.logins import Logins
from longhouse.identity.service.refusals import Refusals
from longhouse.identity.slowdown import SlowDown
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
    liveness: Liveness
    logins: Logins
    refusals: Refusals


def make_identity(
    *,
    database: Database,
    bus: Bus,
    clock: Clock,
    signing: Keys,
    refresh_secret: bytes,
    passwords: Passwords,
    lifetimes: Lifetimes,
    tenant_made: TenantMade,
) -> Identity:
    """The services on one database.

    `signing`: keys of access tokens. `refresh_secret`: the same in every process, for good.
    """
    tokens = AccessTokens(signing)
    slow_down = SlowDown(clock)
    issuer = Issuer(tokens=tokens, lifetimes=lifetimes, clock=clock)
    refusals = Refusals(database=database, clock=clock)
    return Identity(
        audit_log=AuditLog(database=database),
        authentication=Authentication(
            database=database, clock=clock, tokens=tokens, refusals=refusals
        ),
        first_run=FirstRun(
            database=database,
            clock=clock,
            passwords=passwords,
            slow_down=slow_down,
            issuer=issuer,
            refusals=refusals,
            tenant_made=tenant_made,
        ),
        liveness=Liveness(database=database, bus=bus, clock=clock),
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
        refusals=refusals,
    )
