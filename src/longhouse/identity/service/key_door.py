"""Whether an API key opens the door, asked with each request that carries one.

A wrong character is found without a look-up. All else is read from the database each time, many
keys at once under load, so that a key that was revoked, or whose tenant was, is refused in every
process with the next request.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from longhouse.identity import key_text
from longhouse.identity.errors import KeyExpired, KeyInvalid
from longhouse.identity.key_hashes import KeyHashes
from longhouse.identity.models import ApiKey, SecretHash, TenantStatus
from longhouse.identity.service.key_uses import KeyUses
from longhouse.identity.store import keys as store
from longhouse.identity.store.keys import Presented
from longhouse.kit.batch import Batch
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A key that is good."""

    key: ApiKey
    secret: SecretHash
    tenant_suspended: bool


class KeyDoor:
    """Checks keys. One for each process."""

    def __init__(
        self, *, database: Database, clock: Clock, hashes: KeyHashes, uses: KeyUses
    ) -> None:
        self._database = database
        self._clock = clock
        self._hashes = hashes
        self._uses = uses
        self._look_up = Batch[SecretHash, Presented](self._read)

    async def admit(self, text: str, *, count: bool = True) -> Admitted:
        """The key with this text, used once by it unless `count` is False.

        Raises `KeyInvalid`, which does not tell why, and `KeyExpired`.
        """
        if key_text.parse(text) is None:
            raise KeyInvalid
        found = await self._look_up.get(self._hashes.of(text))
        now = self._clock.now()
        if found is None or not self._hashes.match(found.hash, text) or not found.opens(now):
            raise KeyInvalid
        if found.key.has_expired(now):
            raise KeyExpired
        suspended = found.tenant_status is TenantStatus.SUSPENDED
        if count and not suspended:
            self._uses.note(found.key.id, at=now)
        return Admitted(key=found.key, secret=found.hash, tenant_suspended=suspended)

    async def _read(self, hashes: Collection[SecretHash]) -> Mapping[SecretHash, Presented]:
        return await self._database.read(lambda conn: store.presented(conn, hashes))
