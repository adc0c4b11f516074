"""The tables of the queue, and a run as its executor sees it.

Everything that executes is a run. `store` reads and writes these tables; rooms above name kinds of
runs, their subjects and their lanes.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    text,
)

from longhouse.fleet.placement import Priority
from longhouse.fleet.states import Outcome, RunState
from longhouse.identity.models import TenantId
from longhouse.kit.db.tables import Document, UtcDateTime, metadata

RunId = NewType("RunId", str)

RUNS_TOPIC = "runs"
"""The bus topic that rings after runs were enqueued: an executor with a free slot claims."""

MAX_ATTEMPTS = 10
"""Executions of one run in a row that may break off (a crash, an error) without getting further
before it is given up. Whatever keeps killing the server, a single run rarely is the reason.
"""


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


lanes = Table(
    "lanes",
    metadata,
    # What runs one after the other: an agent. Or, with a larger `max_running`, side by side.
    Column("id", String, primary_key=True),
    Column("tenant_id", String, ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
    Column("running", Integer, nullable=False, server_default="0"),
    Column("max_running", Integer, nullable=False),
    # Only processes of this device execute its runs: what they need lies there. None: any does.
    Column("device", String, nullable=True),
    # The lane's first ready run, kept by every statement that changes the lane's runs: a claim
    # reads heads only, however long the backlog.
    Column("head_run", String, nullable=True),
    Column("head_kind", String, nullable=True),
    Column("head_rank", BigInteger, nullable=True),
    CheckConstraint("running >= 0 AND running <= max_running", name="running_within_limit"),
    CheckConstraint(
        "(head_run IS NULL) = (head_rank IS NULL) AND (head_run IS NULL) = (head_kind IS NULL)",
        name="head_is_whole",
    ),
    Index("lanes_by_tenant", "tenant_id"),
)
Index(
    "lanes_to_claim",
    lanes.c.head_rank,
    lanes.c.head_run,
    sqlite_where=text("head_rank IS NOT NULL AND running < max_running"),
    postgresql_where=text("head_rank IS NOT NULL AND running < max_running"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant_id", String, ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String, nullable=False),  # which handler: `turn`, …
    Column("subject", String, nullable=False),  # what it is about: a session's id, …
    Column("lane", String, ForeignKey("lanes.id", ondelete="CASCADE"), nullable=False),
    Column("requester", String, nullable=True),  # the user who caused it; None: the house itself
    Column("priority", String, nullable=False),
    Column("rank", BigInteger, nullable=False),  # placement.rank: the lowest runs first
    # What a device must offer: {"capabilities": [...], "labels": {...}}; None: any will do.
    Column("needs", Document, nullable=True),
    Column("pinned_device", String, nullable=True),
    Column("state", String, nullable=False),
    Column("outcome", String, nullable=True),
    Column("detail", String, nullable=True),  # why it failed, for people
    # The fence: one more at each claim. Whoever writes with an older one is refused.
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False),
    Column("holder", String, nullable=True),  # the process that executes it
    Column("not_before", UtcDateTime, nullable=True),  # waits until then; None: is ready
    Column("enqueued_at", UtcDateTime, nullable=False),
    Column("leased_at", UtcDateTime, nullable=True),  # of the last claim
    Column("leased_until", UtcDateTime, nullable=True),
    Column("ended_at", UtcDateTime, nullable=True),
    _one_of("priority", Priority),
    _one_of("state", RunState),
    _one_of("outcome", Outcome),
    CheckConstraint(
        "(state = 'leased') = (holder IS NOT NULL) AND (state = 'leased') = "
        "(leased_until IS NOT NULL)",
        name="leased_has_holder",
    ),
    CheckConstraint(
        "(state = 'ended') = (outcome IS NOT NULL) AND (state = 'ended') = (ended_at IS NOT NULL)",
        name="ended_has_outcome",
    ),
    CheckConstraint("not_before IS NULL OR state = 'queued'", name="only_queued_waits"),
    CheckConstraint("max_attempts > 0", name="max_attempts_positive"),
    Index("runs_by_tenant", "tenant_id", "enqueued_at"),
)
# One waiting run for each subject: a second wake-up joins it. A leased one does not count, for it
# may have looked before the news came.
Index(
    "runs_one_queued",
    runs.c.kind,
    runs.c.subject,
    unique=True,
    sqlite_where=text("state = 'queued'"),
    postgresql_where=text("state = 'queued'"),
)
Index(
    "runs_ready",
    runs.c.lane,
    runs.c.rank,
    runs.c.id,
    sqlite_where=text("state = 'queued' AND not_before IS NULL"),
    postgresql_where=text("state = 'queued' AND not_before IS NULL"),
)
Index(
    "runs_waiting_for_a_moment",
    runs.c.not_before,
    sqlite_where=text("not_before IS NOT NULL"),
    postgresql_where=text("not_before IS NOT NULL"),
)
Index(
    "runs_ended",
    runs.c.ended_at,
    sqlite_where=text("state = 'ended'"),
    postgresql_where=text("state = 'ended'"),
)
Index(
    "runs_leased",
    runs.c.leased_until,
    sqlite_where=text("state = 'leased'"),
    postgresql_where=text("state = 'leased'"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A claimed run: what to execute, and the fence that proves the right to."""

    id: RunId
    tenant_id: TenantId
    kind: str
    subject: str
    lane: str
    epoch: int
    attempts: int  # this one included
    max_attempts: int
    enqueued_at: datetime

    @property
    def exhausted(self) -> bool:
        """Whether every allowed attempt broke off: it is to be given up, not tried again."""
        return self.attempts > self.max_attempts
