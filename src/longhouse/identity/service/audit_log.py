"""Reading the audit: searched page by page, exported as a stream, checked from end to end.

`api.audit` calls `AuditLog` for HTTP, the command line `verify` on a database of its own. Nothing
here writes: rooms add entries with `audit.record`.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from longhouse.identity.auth import Principal
from longhouse.identity.chain import SERVER, Check, Finding, Head, Link
from longhouse.identity.models import AuditEntry
from longhouse.identity.store import audit as store
from longhouse.identity.store.audit import Filters
from longhouse.kit.db.database import Database
from longhouse.kit.db.pages import Page, page

READ_AT_ONCE = 1000
"""Entries in memory at a time, however long the audit is."""


class AuditLog:
    """The audit as those may read it who are responsible for it. One for each process."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def search(
        self,
        principal: Principal,
        filters: Filters,
        *,
        of_server: bool = False,
        after: str | None,
        limit: int,
    ) -> Page[AuditEntry]:
        """Entries of the principal's tenant, the newest first.

        `of_server`: of what belongs to no tenant instead, for admins of the server. Raises
        `ScopeMissing`, `AdminsOnly`.
        """
        chain = _readable(principal, of_server=of_server)
        found = await self._database.read(
            lambda conn: store.newest(conn, chain, filters, before=after, limit=limit + 1)
        )
        return page(found, limit)

    def export(
        self, principal: Principal, filters: Filters, *, of_server: bool = False
    ) -> AsyncIterator[Sequence[Link]]:
        """All such entries in their order, some at a time. Raises as `search` does, at once."""
        return self._stream(_readable(principal, of_server=of_server), filters)

    async def _stream(self, chain: str, filters: Filters) -> AsyncIterator[Sequence[Link]]:
        async for links in _read_on(self._database, chain, filters):
            yield links


@dataclass(slots=True)
class Verified:
    """What a check of the whole audit found."""

    entries: int = 0
    heads: list[Head] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


async def verify(database: Database, *, known: Sequence[Head] = ()) -> Verified:
    """Check every chain. A server that is running goes on; what it adds meanwhile is not checked.

    `known`: the heads of an earlier check, which must still be part of their chains.
    """
    earlier = {head.chain: head for head in known}
    verified = Verified(heads=await database.read(store.heads))
    present = {head.chain for head in verified.heads}
    verified.heads += [
        Head(chain=chain, seq=0, hash="") for chain in earlier if chain not in present
    ]
    for head in verified.heads:
        check = Check(head.chain, known=earlier.get(head.chain))
        async for links in _read_on(database, head.chain, Filters(), up_to=head.seq):
            verified.entries += len(links)
            verified.findings += [found for link in links if (found := check.read(link))]
        if found := check.end(head):
            verified.findings.append(found)
    return verified


async def _read_on(
    database: Database, chain: str, filters: Filters, *, up_to: int | None = None
) -> AsyncIterator[Sequence[Link]]:
    def read_after(seq: int) -> Callable[[Connection], list[Link]]:
        return lambda conn: store.following(
            conn, chain, filters, after=seq, up_to=up_to, limit=READ_AT_ONCE
        )

    links = await database.read(read_after(0))
    while links:
        yield links
        links = await database.read(read_after(links[-1].seq))


def _readable(principal: Principal, *, of_server: bool) -> str:
    if of_server:
        principal.require_admin()
        return SERVER
    principal.require("audit:read")
    return principal.tenant_id
