"""The audit over HTTP: searched page by page, exported as CSV or JSON lines."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, Field

from longhouse.identity.api.base import CurrentIdentity, CurrentPrincipal
from longhouse.identity.chain import Link
from longhouse.identity.models import ActorKind, AuditEntry, Outcome
from longhouse.identity.store.audit import Filters
from longhouse.kit.api import After, Limit

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell must not begin with: spreadsheets would compute it."""


class ActorView(BaseModel):
    """Who did it, and where they were."""

    kind: ActorKind
    id: str | None
    address: str
    request_id: str


class AuditEntryView(BaseModel):
    """Who did what to what, when, from where, with what outcome."""

    id: str
    at: datetime
    tenant_id: str | None
    actor: ActorView
    action: str = Field(examples=["agent.created"])
    target: str = Field(description="Id of the thing.")
    outcome: Outcome
    reason: str | None
    before_digest: str | None = Field(description="SHA-256 of the values before.")
    after_digest: str | None


class AuditPage(BaseModel):
    """Entries, the newest first."""

    items: list[AuditEntryView]
    next: str | None = Field(description="Give it as `after`; null on the last page.")


class ExportFormat(StrEnum):
    """How an export is written."""

    CSV = "csv"  # for spreadsheets
    JSONL = "jsonl"  # one JSON object on each line


def filters_of(
    actor: Annotated[str | None, Query(max_length=200, description="Id of who did it.")] = None,
    action: Annotated[
        str | None,
        Query(max_length=200, description="What it begins with.", examples=["login."]),
    ] = None,
    target: Annotated[str | None, Query(max_length=200, description="Id of the thing.")] = None,
    outcome: Outcome | None = None,
    request_id: Annotated[str | None, Query(max_length=200)] = None,
    since: Annotated[AwareDatetime | None, Query(description="At this moment or later.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before this moment.")] = None,
) -> Filters:
    """The parameters of a search."""
    return Filters(
        actor=actor,
        action=action,
        target=target,
        outcome=outcome,
        request_id=request_id,
        since=since,
        until=until,
    )


CurrentFilters = Annotated[Filters, Depends(filters_of)]
OfServer = Annotated[
    bool, Query(alias="server", description="What belongs to no tenant; for admins of the server.")
]

router = APIRouter(tags=["audit"])


@router.get("/audit")
async def list_audit_entries(
    principal: CurrentPrincipal,
    identity: CurrentIdentity,
    filters: CurrentFilters,
    of_server: OfServer = False,
    after: After = None,
    limit: Limit = 50,
) -> AuditPage:
    """What was done in the tenant, and what was refused."""
    found, cursor = await identity.audit_log.search(
        principal, filters, of_server=of_server, after=after, limit=limit
    )
    return AuditPage(items=[entry_view(entry) for entry in found], next=cursor)


@router.get(
    "/audit/export",
    response_class=Response,
    responses={
        200: {
            "description": "The entries in their order, each with its place in the chain.",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/jsonl": {"schema": {"type": "string"}},
            },
        }
    },
)
async def export_audit(
    principal: CurrentPrincipal,
    identity: CurrentIdentity,
    filters: CurrentFilters,
    of_server: OfServer = False,
    format: ExportFormat = ExportFormat.JSONL,  # noqa: A002 - the parameter's name in the address
) -> Response:
    """The same as a file, the oldest first, however many there are."""
    links = identity.audit_log.export(principal, filters, of_server=of_server)
    if format is ExportFormat.CSV:
        return _file("audit.csv", "text/csv", _written(links, as_csv, head=csv_line(COLUMNS)))
    return _file("audit.jsonl", "application/jsonl", _written(links, as_json_lines))


def entry_view(entry: AuditEntry) -> AuditEntryView:
    """An entry as clients see one."""
    return AuditEntryView(
        id=entry.id,
        at=entry.at,
        tenant_id=entry.tenant_id,
        actor=ActorView(
            kind=entry.actor.kind,
            id=entry.actor.id,
            address=entry.actor.address,
            request_id=entry.actor.request_id,
        ),
        action=entry.action,
        target=entry.target,
        outcome=entry.outcome,
        reason=entry.reason,
        before_digest=entry.before_digest,
        after_digest=entry.after_digest,
    )


# --- files ----------------------------------------------------------------------------------------


def columns_of(link: Link) -> dict[str, str | int | None]:
    """A flat record: everything the hash covers, and the hash."""
    entry = link.entry
    return {
        "chain": link.chain,
        "seq": link.seq,
        "hash": link.hash,
        "id": entry.id,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "tenant_id": entry.tenant_id,
        "actor_kind": entry.actor.kind,
        "actor_id": entry.actor.id,
        "action": entry.action,
        "target": entry.target,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "before_digest": entry.before_digest,
        "after_digest": entry.after_digest,
        "address": entry.actor.address,
        "request_id": entry.actor.request_id,
    }


COLUMNS = (
    "chain",
    "seq",
    "hash",
    "id",
    "at",
    "tenant_id",
    "actor_kind",
    "actor_id",
    "action",
    "target",
    "outcome",
    "reason",
    "before_digest",
    "after_digest",
    "address",
    "request_id",
)
"""Of an export, in their order."""


def as_csv(links: Sequence[Link]) -> bytes:
    """Lines of a table."""
    return b"".join(csv_line(columns_of(link).values()) for link in links)


def as_json_lines(links: Sequence[Link]) -> bytes:
    """One object on each line."""
    return b"".join(msgspec.json.encode(columns_of(link)) + b"\n" for link in links)


def csv_line(cells: Iterable[str | int | None]) -> bytes:
    """One line as RFC 4180 has it; a text that looks like a formula stays a text."""
    line = io.StringIO()
    csv.writer(line).writerow(
        f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell for cell in cells
    )
    return line.getvalue().encode()


def _file(name: str, media_type: str, body: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(
        body,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _written(
    pages: AsyncIterator[Sequence[Link]],
    write: Callable[[Sequence[Link]], bytes],
    *,
    head: bytes = b"",
) -> AsyncIterator[bytes]:
    yield head
    async for links in pages:
        yield write(links)
