"""The one writer thread."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.patience import PATIENCE

from longhouse.kit.db import sqlite
from longhouse.kit.db.group_commit import DatabaseClosed, GroupCommit, TransactionLost
from longhouse.kit.errors import Unavailable

Job = Callable[[sqlite3.Connection], object]


class Refused(Exception):
    """What a job raises that does not want to go on."""


@contextlib.asynccontextmanager
async def writing(path: Path) -> AsyncIterator[GroupCommit[sqlite3.Connection]]:
    connection = sqlite.connect(path)
    connection.execute("CREATE TABLE IF NOT EXISTS entry (value INTEGER PRIMARY KEY)")
    writer = GroupCommit(connection, connection)
    try:
        yield writer
    finally:
        await writer.close()
        connection.close()


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[GroupCommit[sqlite3.Connection]]:
    async with writing(tmp_path / "a.db") as writer:
        yield writer


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[], list[int]]:
    """What another connection sees, that is, what is committed."""
    return lambda: committed(tmp_path / "a.db")


def committed(path: Path) -> list[int]:
    with contextlib.closing(sqlite.connect(path)) as connection:
        rows = connection.execute("SELECT value FROM entry ORDER BY value")
        return [value for (value,) in rows]


def insert(*values: int, then: BaseException | None = None) -> Job:
    def job(connection: sqlite3.Connection) -> object:
        for value in values:
            connection.execute("INSERT INTO entry VALUES (?)", (value,))
        if then is not None:
            raise then
        return values

    return job


async def in_one_batch(
    writer: GroupCommit[sqlite3.Connection], jobs: list[Job]
) -> list[object | BaseException]:
    """Hold the writer back until all jobs wait, so that it takes them together."""
    busy, release = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        busy.set()
        release.wait(PATIENCE)

    first = writer.submit(hold)
    await asyncio.to_thread(busy.wait, PATIENCE)
    futures = [writer.submit(job) for job in jobs]
    release.set()
    await first
    return await asyncio.gather(*futures, return_exceptions=True)


async def test_the_result_of_a_job_comes_back_once_it_is_committed(
    writer: GroupCommit[sqlite3.Connection], stored: Callable[[], list[int]]
) -> None:
    assert await writer.run(insert(1, 2)) == (1, 2)
    assert stored() == [1, 2]


async def test_what_a_job_raises_reaches_its_caller_and_leaves_nothing(
    writer: GroupCommit[sqlite3.Connection], stored: Callable[[], list[int]]
) -> None:
    with pytest.raises(Refused):
        await writer.run(insert(1, then=Refused()))

    await writer.run(insert(2))
    assert stored() == [2]


async def test_a_failing_job_of_a_batch_rolls_back_alone(
    writer: GroupCommit[sqlite3.Connection], stored: Callable[[], list[int]]
) -> None:
    results = await in_one_batch(
        writer, [insert(1), insert(2, then=Refused()), insert(3), insert(1), insert(4)]
    )

    assert results[0] == (1,)
    assert isinstance(results[1], Refused)
    assert results[2] == (3,)
    assert isinstance(results[3], sqlite3.IntegrityError)
    assert results[4] == (4,)
    assert stored() == [1, 3, 4]


async def test_jobs_run_in_the_order_they_were_handed_in(
    writer: GroupCommit[sqlite3.Connection],
) -> None:
    order: list[int] = []

    def note(number: int) -> Job:
        return lambda _: order.append(number)

    await asyncio.gather(*(writer.run(note(number)) for number in range(1000)))

    assert order == list(range(1000))


async def test_waiting_jobs_share_a_commit(
    writer: GroupCommit[sqlite3.Connection], tmp_path: Path
) -> None:
    commits: list[str] = []
    await writer.run(lambda connection: connection.set_trace_callback(commits.append))

    await in_one_batch(writer, [insert(value) for value in range(100)])

    # One for the job that set the trace, one for the job that held the writer back, one for all.
    assert commits.count("COMMIT") <= 3


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 30), max_size=4),
            st.sampled_from(["succeed", "fail", "cancel", "fail and cancel"]),
        ),
        max_size=30,
    ),
    st.booleans(),
)
def test_a_job_is_stored_whole_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory,
    plan: list[tuple[list[int], str]],
    together: bool,
) -> None:
    path = tmp_path_factory.mktemp("atomic") / "a.db"
    expected: set[int] = set()
    outcomes = []
    for values, ending in plan:
        clashes = len(set(values)) < len(values) or bool(expected & set(values))
        succeeds = not clashes and not ending.startswith("fail")
        outcomes.append(succeeds)
        expected |= set(values) if succeeds else set()

    async def act() -> list[object | BaseException]:
        async with writing(path) as writer:
            release = threading.Event()
            if not together:
                release.set()
            writer.submit(lambda _: release.wait(PATIENCE))
            futures = []
            for values, ending in plan:
                refusal = Refused() if ending.startswith("fail") else None
                future = writer.submit(insert(*values, then=refusal))
                if ending.endswith("cancel"):
                    future.cancel()
                futures.append(future)
            release.set()
            return await asyncio.gather(*futures, return_exceptions=True)

    results = asyncio.run(act())

    assert set(committed(path)) == expected
    for (_, ending), succeeds, result in zip(plan, outcomes, results, strict=True):
        if ending.endswith("cancel"):
            assert isinstance(result, asyncio.CancelledError)
        else:
            assert isinstance(result, BaseException) != succeeds


async def test_a_cancelled_wait_does_not_undo_the_job(
    writer: GroupCommit[sqlite3.Connection], stored: Callable[[], list[int]]
) -> None:
    release = threading.Event()
    blocker = writer.submit(lambda _: release.wait(PATIENCE))
    waiting = asyncio.create_task(writer.run(insert(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    await blocker

    await writer.run(insert(2))

    assert stored() == [1, 2]


def violate_at_commit(connection: sqlite3.Connection) -> None:
    """A deferred foreign key: the statement passes and the COMMIT fails."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS child (parent INTEGER REFERENCES entry (value) "
        "DEFERRABLE INITIALLY DEFERRED)"
    )
    connection.execute("INSERT INTO child VALUES (999)")


async def test_a_commit_that_fails_fails_every_job_of_the_batch(
    writer: GroupCommit[sqlite3.Connection], stored: Callable[[], list[int]]
) -> None:
    results = await in_one_batch(writer, [insert(1), violate_at_commit, insert(2)])

    assert all(isinstance(result, TransactionLost) for result in results)
    assert "FOREIGN KEY" in str(results[0])
    assert stored() == []
    await writer.run(insert(3))
    assert stored() == [3]


async def test_a_commit_that_fails_for_a_single_job_is_told(
    writer: GroupCommit[sqlite3.Connection], stored: Callable[[], list[int]]
) -> None:
    with pytest.raises(TransactionLost):
        await writer.run(violate_at_commit)

    await writer.run(insert(3))
    assert stored() == [3]


async def test_a_full_disk_is_said_in_words_and_the_writer_goes_on(
    writer: GroupCommit[sqlite3.Connection], stored: Callable[[], list[int]]
) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
        connection.execute("CREATE TABLE blob (body)")
        connection.execute("INSERT INTO blob VALUES (zeroblob(1000000))")

    results = await in_one_batch(writer, [insert(1), fill, insert(2)])

    assert isinstance(results[1], Unavailable)
    assert "disk is full" in str(results[1])
    saved = [value for value, result in ((1, results[0]), (2, results[2])) if result == (value,)]
    assert stored() == saved


async def test_a_job_that_commits_by_itself_is_told_off(
    writer: GroupCommit[sqlite3.Connection], stored: Callable[[], list[int]]
) -> None:
    with pytest.raises(TransactionLost, match="itself"):
        await writer.run(lambda connection: connection.execute("ROLLBACK"))
    results = await in_one_batch(
        writer, [insert(1), lambda connection: connection.execute("ROLLBACK"), insert(2)]
    )

    assert isinstance(results[0], TransactionLost)
    assert isinstance(results[1], TransactionLost)
    assert results[2] == (2,)
    assert stored() == [2]


@pytest.mark.parametrize("kind", [StopIteration, SystemExit, KeyboardInterrupt])
async def test_an_exception_a_future_cannot_carry_still_reaches_the_caller(
    writer: GroupCommit[sqlite3.Connection], kind: type[BaseException]
) -> None:
    with pytest.raises(RuntimeError, match=kind.__name__):
        await writer.run(insert(1, then=kind()))


async def test_a_file_that_is_locked_by_another_process_is_unavailable(
    writer: GroupCommit[sqlite3.Connection], tmp_path: Path
) -> None:
    await writer.run(lambda connection: connection.execute("PRAGMA busy_timeout=10").fetchall())
    with contextlib.closing(sqlite.connect(tmp_path / "a.db")) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(Unavailable, match="Another process"):
            await writer.run(insert(1))

        other.execute("ROLLBACK")
    assert await writer.run(insert(1)) == (1,)


async def test_closing_finishes_what_is_queued_and_refuses_the_rest(tmp_path: Path) -> None:
    async with writing(tmp_path / "a.db") as writer:
        futures = [writer.submit(insert(value)) for value in range(600)]
        await writer.close()

        assert await asyncio.gather(*futures) == [(value,) for value in range(600)]
        with pytest.raises(DatabaseClosed):
            await writer.run(insert(1000))
        await writer.close()
    assert committed(tmp_path / "a.db") == list(range(600))


def test_results_go_to_the_event_loop_that_asked(tmp_path: Path) -> None:
    connection = sqlite.connect(tmp_path / "a.db")
    connection.execute("CREATE TABLE entry (value INTEGER PRIMARY KEY)")
    writer = GroupCommit(connection, connection)
    results: list[object] = []

    async def from_one_loop(start: int) -> None:
        futures = [writer.submit(insert(start + step)) for step in range(50)]
        results.extend(await asyncio.gather(*futures))

    threads = [
        threading.Thread(target=asyncio.run, args=(from_one_loop(start),))
        for start in range(0, 400, 100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert len(results) == 200
    asyncio.run(writer.close())
    connection.close()


def test_a_loop_that_was_closed_meanwhile_does_not_stop_the_writer(tmp_path: Path) -> None:
    connection = sqlite.connect(tmp_path / "a.db")
    connection.execute("CREATE TABLE entry (value INTEGER PRIMARY KEY)")
    writer = GroupCommit(connection, connection)
    release = threading.Event()

    async def walk_away() -> None:
        writer.submit(lambda _: release.wait(PATIENCE))
        writer.submit(insert(1))

    asyncio.run(walk_away())
    release.set()

    assert asyncio.run(_run(writer, insert(2))) == (2,)
    assert committed(tmp_path / "a.db") == [1, 2]
    asyncio.run(writer.close())
    connection.close()


async def _run(writer: GroupCommit[sqlite3.Connection], job: Job) -> object:
    return await writer.run(job)
