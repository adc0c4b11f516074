"""Envelope encryption: how secrets are kept where others can read the rows. Pure; no I/O.

    sealed = version · key id · data key under the master key · value under the data key

Every value has a data key of its own. The master key comes from outside (`keys`) and only ever
encrypts data keys: a rotation wraps those anew and sees no value. Both layers are AES-256-GCM
(NIST SP 800-38D) with a random nonce. A value is bound to its context: in the row of another
tenant, or under another purpose, it does not open. Stores keep what `Keyring.seal` returns.
"""

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from longhouse.kit.errors import Misconfigured
from longhouse.kit.keys import Keys

VERSION = b"\x01"
ID_BYTES = 4  # tells a handful of keys apart, and says nothing about them
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES
HEAD_BYTES = len(VERSION) + ID_BYTES
SHORTEST = HEAD_BYTES + WRAPPED_BYTES + NONCE_BYTES + TAG_BYTES


class SealBroken(Misconfigured):
    """A stored secret was changed, or moved from where it belongs."""

    code = "seal-broken"

    def __init__(self, context: "Context") -> None:
        super().__init__(
            f"The stored secret {context.purpose}/{context.name} cannot be opened: it was changed, "
            "or it is not where it was stored.",
            hint="Restore it from a backup, or set it anew.",
        )


class KeyUnknown(Misconfigured):
    """A secret is under a key that this process was not given."""

    code = "key-unknown"

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"A stored secret is under the key {key_id}, which this server does not have.",
            hint="Give it that key as CONFIG_ENCRYPTION_KEY or CONFIG_ENCRYPTION_KEY_OTHER.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where a secret belongs; part of what its seal proves."""

    owner: str  # a tenant's id, or the house's own name
    purpose: str
    name: str

    def bound(self) -> bytes:
        """These three as bytes; no two contexts share them."""
        parts = [part.encode() for part in (self.owner, self.purpose, self.name)]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class MasterKey:
    """A key that encrypts data keys, made of any long random text."""

    def __init__(self, text: str) -> None:
        self.id = key_id(text)
        self._cipher = AESGCM(_derived(text, b"longhouse key encryption", KEY_BYTES))

    def wrap(self, data_key: bytes) -> bytes:
        """The data key, encrypted."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data_key, self.id.encode())

    def unwrap(self, wrapped: bytes) -> bytes:
        """The data key. Raises `InvalidTag`."""
        nonce, encrypted = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        return self._cipher.decrypt(nonce, encrypted, self.id.encode())


class Keyring:
    """Seals with the newest key and opens with each."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._made: dict[str, MasterKey] = {}

    @property
    def current(self) -> MasterKey:
        """The key that seals."""
        return self._all()[0]

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of all keys, the newest first."""
        return tuple(key.id for key in self._all())

    @property
    def exists(self) -> bool:
        """Whether there is a key yet: one is made when it is first asked for."""
        return self._keys.exist()

    def seal(self, value: bytes, context: Context) -> bytes:
        """The value, to be kept where it may be read."""
        key, data_key = self.current, secrets.token_bytes(KEY_BYTES)
        nonce = secrets.token_bytes(NONCE_BYTES)
        encrypted = AESGCM(data_key).encrypt(nonce, value, context.bound())
        return VERSION + bytes.fromhex(key.id) + key.wrap(data_key) + nonce + encrypted

    def open(self, sealed: bytes, context: Context) -> bytes:
        """The value. Raises `SealBroken`, `KeyUnknown`."""
        try:
            data_key = self._key_of(sealed, context).unwrap(_wrapped(sealed))
            rest = sealed[HEAD_BYTES + WRAPPED_BYTES :]
            nonce, encrypted = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
            return AESGCM(data_key).decrypt(nonce, encrypted, context.bound())
        except InvalidTag:
            raise SealBroken(context) from None

    def rewrap(self, sealed: bytes, context: Context) -> bytes:
        """The same value under the current key. Raises `SealBroken`, `KeyUnknown`."""
        try:
            data_key = self._key_of(sealed, context).unwrap(_wrapped(sealed))
        except InvalidTag:
            raise SealBroken(context) from None
        key = self.current
        head = VERSION + bytes.fromhex(key.id) + key.wrap(data_key)
        return head + sealed[HEAD_BYTES + WRAPPED_BYTES :]

    def _key_of(self, sealed: bytes, context: Context) -> MasterKey:
        if len(sealed) < SHORTEST or not sealed.startswith(VERSION):
            raise SealBroken(context)
        wanted = key_id_of(sealed)
        for key in self._all():
            if key.id == wanted:
                return key
        raise KeyUnknown(wanted)

    def _all(self) -> list[MasterKey]:
        texts = self._keys.newest_first()
        self._made = {text: self._made.get(text) or MasterKey(text) for text in texts}
        return list(self._made.values())


def key_id(text: str) -> str:
    """The name of a key, which tells nothing of it."""
    return _derived(text, b"longhouse key id", ID_BYTES).hex()


def key_id_of(sealed: bytes) -> str:
    """The name of the key that a sealed value is under."""
    return sealed[len(VERSION) : HEAD_BYTES].hex()


def _wrapped(sealed: bytes) -> bytes:
    return sealed[HEAD_BYTES : HEAD_BYTES + WRAPPED_BYTES]


def _derived(text: str, purpose: bytes, length: int) -> bytes:
    """So many bytes for this purpose only (HKDF, RFC 5869); the text is random already."""
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose).derive(text.encode())
