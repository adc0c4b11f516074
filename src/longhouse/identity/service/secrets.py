"""Stored secrets: sealed on their way in, opened on their way out, moved to a new key when asked.

Rooms keep what others must not read with `Secrets`, in their own transactions: keys of model
vendors, tokens of forges, what signs for the house. The server proves its key against the database
before it changes anything there. What a secret is for is not known here.
"""

import secrets as random
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from longhouse.identity.models import HOUSE, TenantId
from longhouse.identity.store import secrets as store
from longhouse.kit.crypto import Context, Keyring, SealBroken
from longhouse.kit.db.database import Database
from longhouse.kit.errors import Misconfigured

CANARY = Context(owner=HOUSE, purpose="canary", name="")
CANARY_TEXT = b"the right key"

OF_HOUSE_BYTES = 32  # as much as HMAC-SHA256 makes use of

BATCH = 100
"""Secrets moved in one transaction: others wait for it, so it is short."""


class WrongKey(Misconfigured):
    """The key of the settings is not the one that the database knows."""

    code = "wrong-key"

    def __init__(self, *, known: set[str], ours: tuple[str, ...]) -> None:
        listed = ", ".join(sorted(known))
        super().__init__(
            f"The secrets of this database are under the key {listed}, and this server has "
            f"{', '.join(ours) or 'none'}. Nothing was changed.",
            hint="Give it the right CONFIG_ENCRYPTION_KEY, or put the file encryption_keys of the "
            "data directory back from a backup.",
        )


class Secrets:
    """The stored secrets of all rooms."""

    def __init__(self, ring: Keyring) -> None:
        self._ring = ring

    def put(
        self,
        conn: Connection,
        value: str,
        *,
        tenant_id: TenantId,
        purpose: str,
        name: str,
        now: datetime,
    ) -> None:
        """Keep a tenant's secret, in the place of the one before."""
        context = Context(owner=tenant_id, purpose=purpose, name=name)
        sealed = self._ring.seal(value.encode(), context)
        store.put(conn, context, sealed, tenant_id=tenant_id, now=now)

    def get(self, conn: Connection, *, tenant_id: TenantId, purpose: str, name: str) -> str | None:
        """A tenant's secret, if there is one. Raises `SealBroken`, `KeyUnknown`."""
        context = Context(owner=tenant_id, purpose=purpose, name=name)
        sealed = store.find(conn, context)
        return None if sealed is None else self._ring.open(sealed, context).decode()

    def remove(self, conn: Connection, *, tenant_id: TenantId, purpose: str, name: str) -> bool:
        """Forget a tenant's secret; whether there was one."""
        return store.remove(conn, Context(owner=tenant_id, purpose=purpose, name=name))

    def of_house(self, conn: Connection, *, purpose: str, now: datetime) -> bytes:
        """A random secret of the house itself, for all its processes; made at the first call.

        Unlike the keys it stays the same through every rotation.
        """
        context = Context(owner=HOUSE, purpose=purpose, name="")
        if (sealed := store.find(conn, context)) is None:
            made = self._ring.seal(random.token_bytes(OF_HOUSE_BYTES), context)
            # Of two processes that make one, one is kept, and both have that.
            store.put_first(conn, context, made, now=now)
            sealed = store.find(conn, context)
            assert sealed is not None
        return self._ring.open(sealed, context)


# --- keys -----------------------------------------------------------------------------------------


def prove_keys(conn: Connection, ring: Keyring) -> None:
    """Raises `WrongKey` unless every secret there can be opened; changes nothing.

    Called before the tables are brought up to date: there may be none yet.
    """
    if not store.has_tables(conn):
        return
    known = store.canaries(conn)
    if not known:
        return
    ours = ring.ids if ring.exists else ()
    shared = [key_id for key_id in known if key_id in ours]
    unopened = store.counts_by_key(conn).keys() - set(ours)
    if unopened or not shared:
        raise WrongKey(known=set(unopened or known), ours=ours)
    try:
        for key_id in shared:
            ring.open(known[key_id], CANARY)
    except SealBroken:
        raise WrongKey(known=set(known), ours=ours) from None


def remember_key(conn: Connection, ring: Keyring, *, now: datetime) -> None:
    """Write down which key seals now, so that a wrong one is known by it."""
    if ring.current.id not in store.canaries(conn):
        store.add_key(conn, ring.seal(CANARY_TEXT, CANARY), now=now)


async def move_to_current(
    database: Database, ring: Keyring, *, moved: Callable[[int], None] = lambda count: None
) -> int:
    """Put every secret under the current key, a batch at a time; how many were moved.

    Servers go on meanwhile: they open both. Broken off anywhere, it goes on where it was when it is
    called again. `moved` is told after each batch how many it were. Raises `SealBroken` for a
    secret that was damaged, `KeyUnknown` for one whose key is not here.
    """
    total = 0
    while count := await database.write(lambda conn: _move_batch(conn, ring)):
        total += count
        moved(count)
    await database.write(lambda conn: store.forget_keys_but(conn, [ring.current.id]))
    return total


def _move_batch(conn: Connection, ring: Keyring) -> int:
    found = store.not_under(conn, ring.current.id, limit=BATCH)
    for secret in found:
        # One that changed meanwhile is looked at again, and most likely under this key already.
        moved = ring.rewrap(secret.sealed, secret.context)
        store.replace_if_unchanged(conn, secret, moved)
    return len(found)
