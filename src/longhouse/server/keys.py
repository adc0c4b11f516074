"""The keys of this house: what signs its access tokens, what encrypts its stored secrets.

`house` opens with them; `longhouse keys` lists and rotates them, beside running servers. Keys in
files are rotated here, keys of the settings by whoever sets them: the rest is the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from longhouse.identity.service.secrets import move_to_current, remember_key
from longhouse.identity.store import secrets as store
from longhouse.kit.clock import Clock
from longhouse.kit.crypto import Keyring, key_id
from longhouse.kit.db.database import Database
from longhouse.kit.keys import KeyFile, Keys, keys_from
from longhouse.kit.settings import Settings

SIGNING_FILE = "jwt_secret"
ENCRYPTION_FILE = "encryption_keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A key as people see it."""

    purpose: str
    id: str
    current: bool  # used for what is new
    file: Path | None  # None: the settings have it
    secrets: int | None  # stored under it; None for a key that stores nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What a rotation did."""

    signing: str | None  # the new key's name; None: it is not ours to change
    encryption: str | None  # likewise, or an earlier rotation was brought to its end
    moved: int  # secrets that are under the current key now


def signing_keys(settings: Settings) -> Keys:
    """What signs access tokens."""
    file = settings.data_dir / SIGNING_FILE
    return keys_from(settings.jwt_secret, settings.jwt_secret_other, file=file)


def encryption_keys(settings: Settings) -> Keys:
    """What encrypts stored secrets; see `Keyring`."""
    file = settings.data_dir / ENCRYPTION_FILE
    given, other = settings.config_encryption_key, settings.config_encryption_key_other
    return keys_from(given, other, file=file)


def encryption_ring(settings: Settings) -> Keyring:
    """What seals and opens stored secrets."""
    return Keyring(encryption_keys(settings))


async def list_keys(settings: Settings, database: Database) -> list[KeyRow]:
    """All keys that are valid, those of one purpose together and the newest first."""
    counts = await database.read(store.counts_by_key)
    return [
        *_rows("signing", signing_keys(settings), {}),
        *_rows("encryption", encryption_keys(settings), counts),
    ]


async def rotate(
    settings: Settings,
    database: Database,
    *,
    clock: Clock,
    moved: Callable[[int, int], None],
) -> Rotated:
    """Take new keys where they are in files, and put all secrets under the current one.

    The database is that of `house.opened_database`. `moved` is told how many secrets were moved
    just now, and of how many. Raises `SealBroken`; called again, it goes on where it was.
    """
    encryption = encryption_keys(settings)
    ring = Keyring(encryption)
    counts = await database.read(store.counts_by_key)
    finishing = any(used != ring.current.id for used in counts)
    new_encryption = None if finishing else _renew(encryption, counts)
    await database.write(lambda conn: _remember(conn, ring, clock))
    todo = sum(count for used, count in counts.items() if used != ring.current.id)
    total = await move_to_current(database, ring, moved=lambda count: moved(count, todo))
    return Rotated(
        signing=_renew(signing_keys(settings), {}), encryption=new_encryption, moved=total
    )


def _remember(conn: Connection, ring: Keyring, clock: Clock) -> None:
    remember_key(conn, ring, now=clock.now())


def _renew(keys: Keys, in_use: Mapping[str, int]) -> str | None:
    """Put a new key into the file, if it is one; the new key's name."""
    if not isinstance(keys, KeyFile):
        return None
    keys.rotate(still_used=lambda key: key_id(key) in in_use)
    return key_id(keys.newest_first()[0])


def _rows(purpose: str, keys: Keys, counts: Mapping[str, int]) -> list[KeyRow]:
    encrypts = purpose == "encryption"
    return [
        KeyRow(
            purpose=purpose,
            id=key_id(key),
            current=place == 0,
            file=keys.path if isinstance(keys, KeyFile) else None,
            secrets=counts.get(key_id(key), 0) if encrypts else None,
        )
        for place, key in enumerate(keys.newest_first())
    ]
