"""The audit: one entry per state change, in the transaction of the change; append-only.

Every room's service calls `record` next to what it writes. Refused attempts are recorded in a
write of their own by whoever refuses (`identity.service`, the server's error handler). Values are
kept as digests only: an entry proves what was there and gives nothing away.
"""

import hashlib
import json
from datetime import datetime

from sqlalchemy import Connection, insert

from longhouse.identity.auth import Caller
from longhouse.identity.models import Actor, Outcome, audit_entries
from longhouse.kit.errors import Json
from longhouse.kit.ids import new_id


def record(
    conn: Connection,
    *,
    actor: Caller | Actor,
    now: datetime,
    action: str,
    target: str,
    tenant_id: str | None,
    outcome: Outcome = Outcome.DONE,
    reason: str | None = None,
    before: Json = None,
    after: Json = None,
) -> None:
    """Append one entry to the audit, in the caller's transaction.

    `action` is `<what>.<done>` (`agent.created`), `target` the id of the thing. `before` and
    `after` are the thing's values; their digests are stored.
    """
    who = actor.actor if isinstance(actor, Caller) else actor
    conn.execute(
        insert(audit_entries),
        {
            "id": new_id("audit"),
            "at": now,
            "tenant_id": tenant_id,
            "actor_kind": who.kind,
            "actor_id": who.id,
            "action": action,
            "target": target,
            "outcome": outcome,
            "reason": reason,
            "before_digest": digest(before),
            "after_digest": digest(after),
            "address": who.address,
            "request_id": who.request_id,
        },
    )


def digest(value: Json) -> str | None:
    """SHA-256 of a value's canonical JSON; None for no value."""
    if value is None:
        return None
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
