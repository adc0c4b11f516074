"""The queue's statements. Each takes a connection and runs in the caller's transaction.

    queued ──claim──▶ leased ──finish──▶ ended
       ▲                │
       └─ reap, release, retry, release_holder

Two rules make it right on every database. *A change to a lane's runs locks the lane's row first*
(SQLite has one writer anyway), so that head and counts never go stale and nobody waits in a circle.
*A holder's write names its epoch*: a claim raises it, and older ones find nothing to change.

Claims read lane heads, never the backlog. Stores ring nothing: callers publish `RUNS_TOPIC` after
their commit.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    BindParameter,
    Connection,
    Select,
    String,
    TextClause,
    bindparam,
    case,
    delete,
    exists,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from longhouse.fleet import placement
from longhouse.fleet.models import MAX_ATTEMPTS, Run, RunId, lanes, runs
from longhouse.fleet.placement import Priority
from longhouse.fleet.states import Outcome, RunState
from longhouse.identity.auth import tenant_of_own_row
from longhouse.identity.models import TenantId
from longhouse.kit.db.tables import JsonDocument, UtcDateTime, is_postgres
from longhouse.kit.ids import new_id

# Every enqueue begins here: it makes the lane or locks it, so that no claim can pass between the
# news and the run that announces it.
_OPEN_LANE = text("""
    INSERT INTO lanes (id, tenant_id, running, max_running)
    VALUES (:lane, :tenant_id, 0, :max_running)
    ON CONFLICT (id) DO UPDATE SET max_running = lanes.max_running
""")

_LOCK_LANE = text("SELECT 1 FROM lanes WHERE id = :lane FOR UPDATE")

_ADD_LANE = text("""
    INSERT INTO lanes (id, tenant_id, running, max_running, device)
    VALUES (:lane, :tenant_id, 0, :max_running, :device)
""")

# The lanes a holder may take a run of, the most urgent head first.
_FREE_LANES = """
    SELECT id, head_run FROM lanes
    WHERE head_rank IS NOT NULL AND running < max_running AND head_kind IN :kinds
        AND (device IS NULL OR device = :device)
    ORDER BY head_rank, head_run LIMIT :slots
"""
_KINDS: BindParameter[str] = bindparam("kinds", expanding=True)
_DEVICE: BindParameter[str] = bindparam("device", type_=String)
_FREE_LANES_SQLITE = text(_FREE_LANES).bindparams(_KINDS, _DEVICE)
_FREE_LANES_POSTGRES = text(_FREE_LANES + " FOR UPDATE SKIP LOCKED").bindparams(_KINDS, _DEVICE)

_LEASE = (
    text("""
    UPDATE runs SET state = 'leased', epoch = epoch + 1, attempts = attempts + 1,
        holder = :holder, leased_at = :now, leased_until = :until
    WHERE id = :id AND state = 'queued'
    RETURNING id, tenant_id, kind, subject, lane, epoch, attempts, max_attempts, enqueued_at
""")
    .columns(
        runs.c.id,
        runs.c.tenant_id,
        runs.c.kind,
        runs.c.subject,
        runs.c.lane,
        runs.c.epoch,
        runs.c.attempts,
        runs.c.max_attempts,
        runs.c.enqueued_at,
    )
    .bindparams(bindparam("now", type_=UtcDateTime), bindparam("until", type_=UtcDateTime))
)

# Keeps what a lane says of itself true, after anything that changed its runs.
_REFRESH_LANE = text("""
    UPDATE lanes SET
        running = running + :started,
        (head_run, head_kind, head_rank) = (
            SELECT id, kind, rank FROM runs
            WHERE lane = :lane AND state = 'queued' AND not_before IS NULL
            ORDER BY rank, id LIMIT 1
        )
    WHERE id = :lane
""")


_FORWARD = "CASE WHEN excluded.rank < runs.rank THEN excluded.{0} ELSE runs.{0} END"

# A queued run; or the one that is queued already, brought forward if need be.
_JOINED = {
    "rank": text(_FORWARD.format("rank")),
    "priority": text(_FORWARD.format("priority")),
    # Ready beats waiting: the news may be what it waits for.
    "not_before": text("CASE WHEN excluded.not_before IS NULL THEN NULL ELSE runs.not_before END"),
}
_INSERT_RUN = {
    dialect: insert(runs)
    .on_conflict_do_update(
        index_elements=[runs.c.kind, runs.c.subject],
        index_where=text("state = 'queued'"),
        set_=_JOINED,
    )
    .returning(runs.c.id)
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


def enqueue(
    conn: Connection,
    *,
    tenant_id: TenantId,
    kind: str,
    subject: str,
    lane: str,
    now: datetime,
    priority: Priority = Priority.MEDIUM,
    max_running: int = 1,
    requester: str | None = None,
    needs: Mapping[str, JsonDocument] | None = None,
    pinned_device: str | None = None,
    max_attempts: int = MAX_ATTEMPTS,
    not_before: datetime | None = None,
) -> RunId:
    """Ask that `subject` be worked on; the id of the run that will do it.

    While one is queued for the same kind and subject, it is that one, at the more urgent of the two
    ranks. One that is leased does not count: a new run is queued and begins after it. A subject is
    always in the same lane. `max_running` counts when the lane is new.
    """
    conn.execute(_OPEN_LANE, {"lane": lane, "tenant_id": tenant_id, "max_running": max_running})
    run_id = conn.execute(
        _INSERT_RUN[conn.dialect.name],
        {
            "id": new_id("run"),
            "tenant_id": tenant_id,
            "kind": kind,
            "subject": subject,
            "lane": lane,
            "requester": requester,
            "priority": priority,
            "rank": placement.rank(now, priority),
            "needs": needs,
            "pinned_device": pinned_device,
            "state": RunState.QUEUED,
            "max_attempts": max_attempts,
            "not_before": not_before,
            "enqueued_at": now,
        },
    ).scalar_one()
    _refresh(conn, lane)
    return RunId(run_id)


def add_lane(
    conn: Connection, lane: str, *, tenant_id: TenantId, device: str | None, max_running: int = 1
) -> None:
    """Make a lane before its first run, for what only one device can execute."""
    values = {"lane": lane, "tenant_id": tenant_id, "max_running": max_running, "device": device}
    conn.execute(_ADD_LANE, values)


def claim(
    conn: Connection,
    *,
    holder: str,
    device: str | None = None,
    kinds: Sequence[str],
    slots: int,
    now: datetime,
    lease: timedelta,
) -> list[Run]:
    """Take up to `slots` ready runs of these kinds, the first of the queue first.

    `device`: the one the holder works on; runs that need another one are left to it.
    """
    claimed: list[Run] = []
    while len(claimed) < slots and (
        heads := _free_lanes(conn, kinds=kinds, device=device, slots=slots - len(claimed))
    ):
        for lane, run_id in heads:
            claimed.append(_lease(conn, run_id, holder=holder, now=now, until=now + lease))
            _refresh(conn, lane, started=1)
    return claimed


def renew(
    conn: Connection,
    *,
    held: Iterable[tuple[RunId, int]],
    now: datetime,
    lease: timedelta,
) -> set[RunId]:
    """Extend the leases that are still ours, in one statement; which ones that are."""
    pairs = list(held)
    if not pairs:
        return set()
    statement = (
        update(runs)
        .where(_is(RunState.LEASED), tuple_(runs.c.id, runs.c.epoch).in_(pairs))
        .values(leased_until=now + lease)
        .returning(runs.c.id)
    )
    return {RunId(run_id) for run_id in conn.scalars(statement)}


def finish(
    conn: Connection,
    run_id: RunId,
    *,
    epoch: int,
    outcome: Outcome,
    now: datetime,
    detail: str | None = None,
) -> bool:
    """End a run we hold. False, and nothing changed, when it is no longer ours."""
    lane = _lock_lane_of(conn, run_id)
    if lane is None or not _end(conn, run_id, epoch=epoch, outcome=outcome, now=now, detail=detail):
        return False
    _refresh(conn, lane, started=-1)
    return True


def release(conn: Connection, run_id: RunId, *, epoch: int, now: datetime) -> bool:
    """Give back a run we hold and parked: it takes its old place and no attempt is counted."""
    return _back(conn, run_id, epoch=epoch, now=now, attempts=-1)


def retry(
    conn: Connection, run_id: RunId, *, epoch: int, now: datetime, not_before: datetime
) -> bool:
    """Give back a run whose handler broke off: it waits until `not_before`."""
    return _back(conn, run_id, epoch=epoch, now=now, not_before=not_before)


def forget_attempts(conn: Connection, run_id: RunId, *, epoch: int) -> bool:
    """Count the present attempt of a run we hold as its first. False when it is not ours."""
    return _moved(conn, run_id, epoch=epoch, values={"attempts": 1})


def reap(conn: Connection, *, now: datetime) -> list[RunId]:
    """Put runs whose lease has ended back to their old place; which ones."""
    expired = select(runs.c.id, runs.c.epoch).where(_is(RunState.LEASED), runs.c.leased_until < now)
    return _back_all(conn, expired.order_by(runs.c.lane, runs.c.id), now=now)


def release_holder(conn: Connection, holder: str, *, now: datetime) -> list[RunId]:
    """Put back every run of a holder that is known to be dead (its successor starts); which ones.

    The attempt counts: a run that kills its process must not do so for ever.
    """
    held = select(runs.c.id, runs.c.epoch).where(_is(RunState.LEASED), runs.c.holder == holder)
    return _back_all(conn, held.order_by(runs.c.lane, runs.c.id), now=now)


def wake_due(conn: Connection, *, now: datetime) -> int:
    """Make runs ready whose moment has come; how many."""
    due = (
        select(runs.c.lane)
        .where(runs.c.not_before.is_not(None), runs.c.not_before <= now)
        .distinct()
        .order_by(runs.c.lane)
    )
    woken = 0
    for lane in conn.scalars(due).all():
        _lock(conn, lane)
        woken += conn.execute(
            update(runs)
            .where(runs.c.lane == lane, runs.c.not_before <= now)
            .values(not_before=None)
        ).rowcount
        _refresh(conn, lane)
    return woken


def lengths(conn: Connection) -> dict[tuple[str, RunState], int]:
    """How many runs of each kind wait, and how many are being executed."""
    found: dict[tuple[str, RunState], int] = {}
    for state in (RunState.QUEUED, RunState.LEASED):
        counted = select(runs.c.kind, func.count()).where(_is(state)).group_by(runs.c.kind)
        found |= {(kind, state): count for kind, count in conn.execute(counted)}
    return found


def purge(conn: Connection, *, ended_before: datetime, most: int) -> int:
    """Forget up to `most` runs that ended before then, the oldest first; how many.

    They stand in no lane any more, so no lane is locked; two that purge at once share the work.
    """
    old = (
        select(runs.c.id)
        .where(_is(RunState.ENDED), runs.c.ended_at < ended_before)
        .order_by(runs.c.ended_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return conn.execute(delete(runs).where(runs.c.id.in_(old))).rowcount


def is_open(conn: Connection, *, kind: str, subject: str) -> bool:
    """Whether a run of the subject waits or is being executed."""
    mine = (runs.c.kind == kind) & (runs.c.subject == subject)
    queued = exists().where(mine, _is(RunState.QUEUED))
    leased = exists().where(mine, _is(RunState.LEASED))
    return bool(conn.execute(select(queued | leased)).scalar_one())


def drop_lane(conn: Connection, lane: str) -> None:
    """Forget a lane with all its runs: what they were for is gone. Holders lose their leases."""
    conn.execute(delete(lanes).where(lanes.c.id == lane))  # its runs go with it


# --- one step each ------------------------------------------------------------------------------


def _free_lanes(
    conn: Connection, *, kinds: Sequence[str], device: str | None, slots: int
) -> Sequence[tuple[str, str]]:
    statement = _FREE_LANES_POSTGRES if is_postgres(conn) else _FREE_LANES_SQLITE
    rows = conn.execute(statement, {"kinds": list(kinds), "device": device, "slots": slots})
    return [(row.id, row.head_run) for row in rows]


def _lease(conn: Connection, run_id: str, *, holder: str, now: datetime, until: datetime) -> Run:
    row = conn.execute(_LEASE, {"id": run_id, "holder": holder, "now": now, "until": until}).one()
    return Run(
        id=RunId(row.id),
        tenant_id=tenant_of_own_row(row.tenant_id),
        kind=row.kind,
        subject=row.subject,
        lane=row.lane,
        epoch=row.epoch,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        enqueued_at=row.enqueued_at,
    )


def _back_all(conn: Connection, held: Select[str, int], *, now: datetime) -> list[RunId]:
    """Put these runs back one by one, those of one lane after those of another."""
    return [
        RunId(run_id)
        for run_id, epoch in conn.execute(held).all()
        if _back(conn, RunId(run_id), epoch=epoch, now=now)
    ]


def _back(
    conn: Connection,
    run_id: RunId,
    *,
    epoch: int,
    now: datetime,
    attempts: int = 0,
    not_before: datetime | None = None,
) -> bool:
    """From leased to queued, or into the run that was queued meanwhile. False if not ours."""
    lane = _lock_lane_of(conn, run_id)
    if lane is None:
        return False
    heir = _queued_beside(conn, run_id)
    if heir is None:
        moved = _requeue(conn, run_id, epoch=epoch, attempts=attempts, not_before=not_before)
    else:
        moved = _end(conn, run_id, epoch=epoch, outcome=Outcome.JOINED, now=now)
        if moved:
            _inherit(conn, heir, from_run=run_id, attempts=attempts)
    if moved:
        _refresh(conn, lane, started=-1)
    return moved


def _lock_lane_of(conn: Connection, run_id: RunId) -> str | None:
    lane = conn.scalar(select(runs.c.lane).where(runs.c.id == run_id))
    if lane is not None:
        _lock(conn, lane)
    return lane


def _lock(conn: Connection, lane: str) -> None:
    if is_postgres(conn):  # SQLite's one writer holds every lock there is
        conn.execute(_LOCK_LANE, {"lane": lane})


def _refresh(conn: Connection, lane: str, *, started: int = 0) -> None:
    conn.execute(_REFRESH_LANE, {"lane": lane, "started": started})


def _queued_beside(conn: Connection, run_id: RunId) -> str | None:
    """The queued run of the same kind and subject, if there is one."""
    mine = runs.alias()
    return conn.scalar(
        select(runs.c.id)
        .join(mine, (mine.c.kind == runs.c.kind) & (mine.c.subject == runs.c.subject))
        .where(mine.c.id == run_id, _is(RunState.QUEUED), runs.c.id != run_id)
    )


def _requeue(
    conn: Connection, run_id: RunId, *, epoch: int, attempts: int, not_before: datetime | None
) -> bool:
    return _moved(
        conn,
        run_id,
        epoch=epoch,
        values={
            "state": RunState.QUEUED,
            "holder": None,
            "leased_until": None,
            "attempts": runs.c.attempts + attempts,
            "not_before": not_before,
        },
    )


def _end(
    conn: Connection,
    run_id: RunId,
    *,
    epoch: int,
    outcome: Outcome,
    now: datetime,
    detail: str | None = None,
) -> bool:
    return _moved(
        conn,
        run_id,
        epoch=epoch,
        values={
            "state": RunState.ENDED,
            "holder": None,
            "leased_until": None,
            "outcome": outcome,
            "detail": detail,
            "ended_at": now,
        },
    )


def _moved(conn: Connection, run_id: RunId, *, epoch: int, values: Mapping[str, object]) -> bool:
    """The one conditional update: only from leased, only by the holder of this epoch."""
    statement = (
        update(runs)
        .where(runs.c.id == run_id, runs.c.epoch == epoch, _is(RunState.LEASED))
        .values(**values)
    )
    return conn.execute(statement).rowcount == 1


def _inherit(conn: Connection, heir: str, *, from_run: RunId, attempts: int) -> None:
    """The heir takes the better place and the broken attempts, so that poison is still counted."""
    gone = select(runs.c.rank, runs.c.attempts).where(runs.c.id == from_run)
    rank, broken = conn.execute(gone).one()
    conn.execute(
        update(runs)
        .where(runs.c.id == heir)
        .values(
            rank=case((runs.c.rank > rank, rank), else_=runs.c.rank),
            attempts=runs.c.attempts + broken + attempts,
        )
    )


def _is(state: RunState) -> TextClause:
    """A state as a literal: an index over one state serves only statements that spell it out."""
    return text(f"runs.state = '{state}'")
