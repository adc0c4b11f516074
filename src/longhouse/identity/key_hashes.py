"""What is kept of an API key's text: an HMAC-SHA256 under a secret of the house.

A key is random, so nothing slow is needed; the secret makes a stolen table useless. It never
changes, however often the encryption keys are rotated. Looking a hash up tells nothing by its time,
since nobody can choose one without the secret; the comparison is in constant time all the same.
"""

import hmac

from longhouse.identity.models import SecretHash


class KeyHashes:
    """Hashes keys under one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, text: str) -> SecretHash:
        """The hash to store or to look for."""
        return SecretHash(hmac.digest(self._secret, text.encode(), "sha256").hex())

    def match(self, stored: SecretHash, text: str) -> bool:
        """Whether the stored hash is this text's; always takes as long."""
        return hmac.compare_digest(stored, self.of(text))
