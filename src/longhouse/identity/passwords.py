"""Argon2id for passwords, kept off the event loop and few at a time.

The service calls it. The parameters are OWASP's first recommendation (46 MiB, one pass): the
memory is what an attacker's hardware lacks, and a sign-in still takes less than a tenth of a
second here. It knows no user and no table.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

T = TypeVar("T")

MEMORY_KIB = 47_104
PASSES = 1
LANES = 1

AT_ONCE = 2
"""Hashes computed at the same time: each takes 46 MiB and a core, and there are other things."""

NOBODY = (
    "$argon2id$v=19$m=47104,t=1,p=1$bG9uZ2hvdXNlLW5vYm9keQ"
    "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""What an unknown name's password is compared with, so that the answer takes as long."""


class Passwords:
    """Hashes and checks passwords; one object per process holds the limit."""

    def __init__(
        self, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES, lanes: int = LANES
    ) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)
        self._places = asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: str) -> str:
        """The text to store for this password, with salt and parameters in it."""
        return await self._off_the_loop(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password belongs to the stored hash; takes as long when there is none."""
        return await self._off_the_loop(lambda: self._matches(stored or NOBODY, password))

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        async with self._places:
            return await asyncio.to_thread(work)
