"""The tokens people carry: signed access tokens, and random ones of which a hash is kept.

Called by the service. An access token is a JWT (HS256) that names a user and a login and carries
no rights: those are read on each request, so that a revocation counts at once. A refresh token
has two halves: the first stays the same as long as the login lives, the second changes with every
use, so that an old one is recognised however old it is. The next one is derived from the one before
it and a secret: who uses one twice at the same moment gets the same answer twice. Nothing here
reads a table or the clock.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol, OctKey

from longhouse.identity.models import LoginId, UserId
from longhouse.kit.crypto import key_id
from longhouse.kit.errors import Unauthenticated
from longhouse.kit.keys import Keys

ALGORITHMS = ["HS256"]
"""The only algorithm a token may name; what its header claims never widens this."""

TOKEN_TYPE = "at+jwt"  # noqa: S105 - RFC 9068's name for access tokens
REFRESH_PREFIX = "lhr_"
HALF_BYTES = 24  # 192 bits; base64 without padding


class TokenInvalid(Unauthenticated):
    """Not a token of ours, or its login is over."""

    code = "token-invalid"

    def __init__(self) -> None:
        super().__init__("The access token is not valid.", hint="Sign in again.")


class TokenExpired(Unauthenticated):
    """Once good, but its time is over: a client refreshes and repeats the request."""

    code = "token-expired"

    def __init__(self) -> None:
        super().__init__(
            "The access token has expired.", hint="Get a new one with POST /api/v1/auth/refresh."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessClaims:
    """What an access token says."""

    user_id: UserId
    login_id: LoginId


class AccessTokens:
    """Signs access tokens with the newest key and reads them with each."""

    def __init__(self, keys: Keys) -> None:
        """Raises `Misconfigured` for keys that cannot be used."""
        self._keys = keys
        self._texts: tuple[str, ...] = ()
        self._named: dict[str, OctKey] = {}  # of these texts
        self._by_name()  # at start, and not when the first person signs in

    def issue(self, claims: AccessClaims, *, now: datetime, seconds: int) -> str:
        """A token that is good for so many seconds from now."""
        issued = int(now.timestamp())
        name, key = next(iter(self._by_name().items()))
        return jwt.encode(
            {"alg": "HS256", "typ": TOKEN_TYPE, "kid": name},
            {
                "sub": claims.user_id,
                "sid": claims.login_id,
                "iat": issued,
                "exp": issued + seconds,
            },
            key,
            algorithms=ALGORITHMS,
        )

    def read(self, token: str, *, now: datetime) -> AccessClaims:
        """What the token says. Raises `TokenExpired`, or `TokenInvalid` for all else."""
        try:
            decoded = jwt.decode(token, self._key_of, algorithms=ALGORITHMS)
        except (JoseError, ValueError):  # what is no JWT at all is a ValueError
            raise TokenInvalid from None
        match decoded.claims:
            case {
                "sub": str(user_id),
                "sid": str(login_id),
                "exp": int(expiry),
            }:
                pass
            case _:
                raise TokenInvalid
        if decoded.header.get("typ") != TOKEN_TYPE:
            raise TokenInvalid
        if expiry <= now.timestamp():
            raise TokenExpired
        return AccessClaims(user_id=UserId(user_id), login_id=LoginId(login_id))

    def _key_of(self, token: GuestProtocol) -> OctKey:
        """The key that a token names; while keys rotate there are two."""
        key = self._by_name().get(token.headers().get("kid", ""))
        if key is None:
            raise TokenInvalid
        return key

    def _by_name(self) -> dict[str, OctKey]:
        """All keys by their names, the newest first."""
        texts = self._keys.newest_first()
        if texts != self._texts:
            self._named = {key_id(text): OctKey.import_key(text) for text in texts}
            self._texts = texts
        return self._named


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token in its two halves; `text` is what the client keeps."""

    family: str  # names the login
    secret: str  # changes with every use

    @property
    def text(self) -> str:
        """The token as it travels."""
        return f"{REFRESH_PREFIX}{self.family}{self.secret}"

    @property
    def family_hash(self) -> str:
        """What the login is found by."""
        return sha256(self.family)

    @property
    def refresh_hash(self) -> str:
        """What tells the newest token of the login from older ones."""
        return sha256(self.secret)


class RefreshTokens:
    """Knows which refresh token follows on which."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def successor(self, token: RefreshToken) -> RefreshToken:
        """The next token of the same login. Without the secret nobody can tell it."""
        message = b"longhouse refresh token\0" + token.text.encode()
        following = hmac.digest(self._secret, message, "sha256")[:HALF_BYTES]
        return RefreshToken(token.family, base64.urlsafe_b64encode(following).decode())


def new_refresh_token() -> RefreshToken:
    """The first refresh token of a login."""
    return RefreshToken(new_secret(), new_secret())


def parse_refresh_token(text: str) -> RefreshToken | None:
    """The token a client sent in its two halves, or None when it cannot be one of ours."""
    body = text.removeprefix(REFRESH_PREFIX)
    half = HALF_BYTES * 4 // 3
    if body == text or len(body) != 2 * half:
        return None
    try:
        base64.b64decode(body, altchars="-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return RefreshToken(body[:half], body[half:])


def new_secret() -> str:
    """192 random bits, safe in URLs."""
    return secrets.token_urlsafe(HALF_BYTES)


def sha256(text: str) -> str:
    """The hash that is kept of a random token: nothing to guess, so no salt and no work factor."""
    return hashlib.sha256(text.encode()).hexdigest()
