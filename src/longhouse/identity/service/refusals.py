"""What was refused is written to the audit, in a write of its own: nothing else has changed."""

from longhouse.identity import audit
from longhouse.identity.auth import NotAllowed, Principal
from longhouse.identity.models import Actor, Outcome, TenantId
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database


class Refusals:
    """Tells the audit of refused attempts."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def record(
        self,
        actor: Actor,
        *,
        action: str,
        reason: str,
        target: str = "",
        tenant_id: TenantId | None = None,
    ) -> None:
        """Write one entry about what somebody tried in vain."""
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

    async def record_refused(self, refusal: NotAllowed) -> None:
        """Write that somebody wanted what they may not."""
        caller = refusal.caller
        await self.record(
            caller.actor,
            action="scope.used",
            target=refusal.wanted,
            reason=refusal.detail,
            tenant_id=caller.tenant_id if isinstance(caller, Principal) else None,
        )
