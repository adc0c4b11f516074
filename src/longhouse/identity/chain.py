"""The chain of hashes through the audit: pure arithmetic on entries.

An entry's hash covers the entry and the hash before it, so that an edit shows at the entry and an
exchanged stretch at its end. `audit` links new entries, `service.audit` checks old ones. Whoever
can write the whole table can compute a whole new chain: the heads that `longhouse audit verify`
prints, kept elsewhere, show that too.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum

from longhouse.identity.models import AuditEntry

SERVER = "server"
"""The chain of what belongs to no tenant. Every tenant has one named by its id: so writers of one
tenant never wait for those of another.
"""

BEGINNING = ""
"""What the first entry of a chain follows on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An entry in its place."""

    chain: str
    seq: int  # counts from 1 without a gap
    hash: str
    entry: AuditEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest place of a chain."""

    chain: str
    seq: int
    hash: str


class Damage(StrEnum):
    """What is wrong with a chain."""

    EDITED = "edited"  # the entry is not what was written
    GAP = "gap"  # entries before this one are gone
    CUT = "cut"  # entries at the end are gone, or the head was changed
    REWRITTEN = "rewritten"  # whole in itself, but not what it was at an earlier check


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Damage, and where."""

    chain: str
    damage: Damage
    seq: int  # of the entry, or of the first that is missing
    entry_id: str | None = None  # None where there is no entry


def chain_of(entry: AuditEntry) -> str:
    """The chain an entry belongs to."""
    return SERVER if entry.tenant_id is None else entry.tenant_id


def head_of(link: Link) -> Head:
    """The chain's head when this is its newest entry."""
    return Head(chain=link.chain, seq=link.seq, hash=link.hash)


def following(head: Head, entry: AuditEntry) -> Link:
    """The entry as the next one of its chain."""
    seq = head.seq + 1
    return Link(
        chain=head.chain,
        seq=seq,
        hash=hash_of(entry, chain=head.chain, seq=seq, previous=head.hash),
        entry=entry,
    )


def hash_of(entry: AuditEntry, *, chain: str, seq: int, previous: str) -> str:
    """SHA-256 over the hash before and the canonical JSON of everything the entry says."""
    said = json.dumps(
        {
            "chain": chain,
            "seq": seq,
            "id": entry.id,
            "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "tenant_id": entry.tenant_id,
            "actor_kind": entry.actor.kind,
            "actor_id": entry.actor.id,
            "address": entry.actor.address,
            "request_id": entry.actor.request_id,
            "action": entry.action,
            "target": entry.target,
            "outcome": entry.outcome,
            "reason": entry.reason,
            "before_digest": entry.before_digest,
            "after_digest": entry.after_digest,
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(f"{previous}\n{said}".encode()).hexdigest()


class Check:
    """Goes through one chain from its beginning to its head and tells what is wrong with it."""

    def __init__(self, chain: str, *, known: Head | None = None) -> None:
        """`known`: the head as an earlier check found it, kept where nobody could change it."""
        self._chain = chain
        self._known = known
        self._seq = 0
        self._hash = BEGINNING

    def read(self, link: Link) -> Finding | None:
        """Compare the next entry with the ones before it."""
        expected, previous = self._seq + 1, self._hash
        # From what is stored, so that one edit is one finding and not one for each that follows.
        self._seq, self._hash = link.seq, link.hash
        if link.seq != expected:
            return self._finding(Damage.GAP, expected, link)
        if link.hash != hash_of(link.entry, chain=self._chain, seq=link.seq, previous=previous):
            return self._finding(Damage.EDITED, link.seq, link)
        known = self._known
        if known is not None and known.seq == link.seq and known.hash != link.hash:
            return self._finding(Damage.REWRITTEN, link.seq, link)
        return None

    def end(self, head: Head) -> Finding | None:
        """Compare where it ended with where it should."""
        known_seq = 0 if self._known is None else self._known.seq
        if (self._seq, self._hash) != (head.seq, head.hash) or self._seq < known_seq:
            return self._finding(Damage.CUT, self._seq + 1)
        return None

    def _finding(self, damage: Damage, seq: int, link: Link | None = None) -> Finding:
        entry_id = None if link is None else link.entry.id
        return Finding(chain=self._chain, damage=damage, seq=seq, entry_id=entry_id)
