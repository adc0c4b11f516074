"""The keys of this house: what signs its access tokens, what encrypts its stored secrets.

`house` opens with them; `longhouse keys` lists and rotates them.
"""

from longhouse.kit.crypto import Keyring
from longhouse.kit.keys import Keys, keys_from
from longhouse.kit.settings import Settings

SIGNING_FILE = "jwt_secret"
ENCRYPTION_FILE = "encryption_keys"


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
