"""The queue with a long backlog: what an enqueue, a claim and a finish cost.

Claims read lane heads, so the time must not depend on how much waits. On SQLite, and on PostgreSQL
where LONGHOUSE_TEST_POSTGRES names a server or one answers on this machine's usual port.
"""

from __future__ import annotations

import os
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import Connection, bindparam, insert, make_url, text

from benchmarks.report import Report, milliseconds
from longhouse.fleet import store
from longhouse.fleet.models import MAX_ATTEMPTS, Run, RunId
from longhouse.fleet.placement import Priority, rank
from longhouse.fleet.states import Outcome
from longhouse.identity.auth import tenant_of_own_row
from longhouse.identity.models import tenants
from longhouse.kit.clock import MANUAL_START
from longhouse.kit.db.database import Database, open_database
from longhouse.kit.db.tables import UtcDateTime, metadata

T = TypeVar("T")

TENANT = tenant_of_own_row("tenant_bench")
LEASE = timedelta(seconds=60)
NOW = MANUAL_START
SERVER_VARIABLE = "LONGHOUSE_TEST_POSTGRES"
USUAL_SERVER = "postgresql://postgres:postgres@127.0.0.1:5432/postgres"

# Put there without the store's help: 200,000 calls of it would take a minute.
_FILL_LANES = """
    INSERT INTO lanes (id, tenant_id, running, max_running)
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {lanes})
    SELECT 'lane-' || i, :tenant, 0, 1 FROM n
"""
_FILL_RUNS = """
    INSERT INTO runs (id, tenant_id, kind, subject, lane, priority, rank, state, epoch, attempts,
        max_attempts, enqueued_at)
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {waiting})
    SELECT 'run_' || i, :tenant, 'turn', 'subject-' || i, 'lane-' || (i % {lanes}), '{priority}',
        {rank} + i, 'queued', 0, 0, {attempts}, :now
    FROM n
"""
# What `store` keeps with every change, once for all lanes.
_FILL_HEADS = """
    UPDATE lanes SET (head_run, head_kind, head_rank) = (
        SELECT id, kind, rank FROM runs
        WHERE lane = lanes.id AND state = 'queued' AND not_before IS NULL
        ORDER BY rank, id LIMIT 1
    )
"""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    waiting: int = 200_000
    lanes: int = 1_000
    rounds: int = 500


TINY = Size(waiting=30, lanes=3, rounds=3)


@dataclass
class Times:
    """Seconds that each operation took, round by round."""

    enqueue: list[float] = field(default_factory=list)
    claim: list[float] = field(default_factory=list)
    renew: list[float] = field(default_factory=list)
    finish: list[float] = field(default_factory=list)


async def measure(place: Path, size: Size) -> Report:
    """Each operation inside its transaction; then whole rounds with their commits."""
    urls = [f"sqlite:///{place / 'backlog.db'}"]
    async with _postgres_database() as postgres:
        if postgres is not None:
            urls.append(postgres)
        rows = [await _row(url, size) for url in urls]
    without = "" if postgres else f" No PostgreSQL answered: {SERVER_VARIABLE} can name one."
    return Report(
        title=f"The queue, with {size.waiting:,} runs waiting in {size.lanes:,} lanes",
        columns=("", "runs/s", "enqueue, ms", "claim, ms", "p99", "renew, ms", "finish, ms"),
        rows=rows,
        notes=(
            "Runs/s: enqueue, claim and finish, each in a durable transaction, one after the other."
            " Times: medians inside a transaction, without its commit." + without,
        ),
    )


async def _row(url: str, size: Size) -> tuple[str, ...]:
    database = await open_database(url)
    try:
        await database.write(metadata.create_all)
        await database.write(lambda conn: _fill(conn, size))
        times = Times()
        for number in range(size.rounds):
            await database.write(partial(_timed_round, times=times, lane=number % size.lanes))
        began = time.perf_counter()
        for number in range(size.rounds):
            await _durable_round(database, lane=number % size.lanes)
        rate = size.rounds / (time.perf_counter() - began)
    finally:
        await database.close()
    middle = [statistics.median(found) for found in (times.renew, times.finish)]
    return (
        database.dialect,
        f"{rate:,.0f}",
        milliseconds(statistics.median(times.enqueue)),
        milliseconds(statistics.median(times.claim)),
        milliseconds(statistics.quantiles(times.claim, n=100)[98]),
        *(milliseconds(seconds) for seconds in middle),
    )


def _timed_round(conn: Connection, *, times: Times, lane: int) -> None:
    _timed(times.enqueue, lambda: _enqueue(conn, lane=lane))
    held = _timed(times.claim, lambda: _claim(conn))
    _timed(times.renew, lambda: _renew(conn, held))
    _timed(times.finish, lambda: _finish(conn, held))


async def _durable_round(database: Database, *, lane: int) -> None:
    await database.write(partial(_enqueue, lane=lane))
    held = await database.write(_claim)
    await database.write(partial(_finish, held=held))


def _timed(seconds: list[float], work: Callable[[], T]) -> T:
    began = time.perf_counter()
    result = work()
    seconds.append(time.perf_counter() - began)
    return result


def _enqueue(conn: Connection, *, lane: int) -> RunId:
    return store.enqueue(
        conn,
        tenant_id=TENANT,
        kind="turn",
        subject=f"later-{secrets.token_hex(8)}",
        lane=f"lane-{lane}",
        now=NOW + timedelta(hours=1),
    )


def _claim(conn: Connection) -> list[Run]:
    return store.claim(conn, holder="bench", kinds=["turn"], slots=1, now=NOW, lease=LEASE)


def _renew(conn: Connection, held: list[Run]) -> set[RunId]:
    pairs = [(run.id, run.epoch) for run in held]
    return store.renew(conn, held=pairs, now=NOW, lease=LEASE)


def _finish(conn: Connection, held: list[Run]) -> None:
    for run in held:
        store.finish(conn, run.id, epoch=run.epoch, outcome=Outcome.DONE, now=NOW)


def _fill(conn: Connection, size: Size) -> None:
    conn.execute(
        insert(tenants),
        {"id": TENANT, "name": TENANT, "name_key": TENANT, "created_at": NOW, "updated_at": NOW},
    )
    conn.execute(text(_FILL_LANES.format(lanes=size.lanes)), {"tenant": TENANT})
    fill_runs = _FILL_RUNS.format(
        waiting=size.waiting,
        lanes=size.lanes,
        priority=Priority.MEDIUM,
        rank=rank(NOW, Priority.MEDIUM),
        attempts=MAX_ATTEMPTS,
    )
    statement = text(fill_runs).bindparams(bindparam("now", type_=UtcDateTime))
    conn.execute(statement, {"tenant": TENANT, "now": NOW})
    conn.execute(text(_FILL_HEADS))
    conn.execute(text("ANALYZE"))


@asynccontextmanager
async def _postgres_database() -> AsyncIterator[str | None]:
    """The address of a new database, dropped afterwards; None without a server."""
    server = make_url(os.environ.get(SERVER_VARIABLE, USUAL_SERVER))
    name = f"longhouse_bench_{secrets.token_hex(8)}"
    administrator = None
    with suppress(OSError, TimeoutError, asyncpg.PostgresError):
        administrator = await asyncpg.connect(
            server.set(database="postgres").render_as_string(hide_password=False), timeout=2
        )
    if administrator is None:
        yield None
        return
    try:
        await administrator.execute(f'CREATE DATABASE "{name}"')
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            await administrator.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await administrator.close()
