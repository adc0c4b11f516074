"""The audit: one entry per state change, in the transaction of the change; append-only.

Every room's service calls `record` next to what it writes. The entries of a transaction are linked
into their chains at its end, when everything else is done: see `chain` for what that proves, and
`kit.db.closing` for why then. Refused attempts are recorded in a write of their own by whoever
refuses (`service.refusals`). Values are kept as digests only: an entry proves what was there and
gives nothing away.
"""

import hashlib
import itertools
import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from longhouse.identity import chain
from longhouse.identity.auth import Caller
from longhouse.identity.chain import Link, chain_of
from longhouse.identity.models import Actor, AuditEntry, Outcome
from longhouse.identity.store import audit as store
from longhouse.kit.db.closing import at_end
from longhouse.kit.errors import Json
from longhouse.kit.ids import new_id

TARGET_CHARACTERS = 200
"""Of what an entry speaks of: a client may have chosen it."""


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
    """Add one entry to the audit, in the caller's transaction.

    `action` is `<what>.<done>` (`agent.created`), `target` the id of the thing. `before` and
    `after` are the thing's values; their digests are stored.
    """
    entry = AuditEntry(
        id=new_id("audit"),
        at=now,
        tenant_id=tenant_id,
        actor=actor.actor if isinstance(actor, Caller) else actor,
        action=action,
        target=target[:TARGET_CHARACTERS],
        outcome=outcome,
        reason=reason,
        before_digest=digest(before),
        after_digest=digest(after),
    )
    at_end(conn, _append, entry)


def digest(value: Json) -> str | None:
    """SHA-256 of a value's canonical JSON; None for no value."""
    if value is None:
        return None
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _append(conn: Connection, entries: Sequence[AuditEntry]) -> None:
    """Link a transaction's entries into their chains, those of one chain in their order."""
    # Sorted: two transactions that both add to two chains lock them in the same order.
    in_order = sorted(entries, key=chain_of)
    for name, of_chain in itertools.groupby(in_order, key=chain_of):
        head = store.lock_head(conn, name)
        links: list[Link] = []
        for entry in of_chain:
            links.append(chain.following(head, entry))
            head = chain.head_of(links[-1])
        store.append(conn, links)
