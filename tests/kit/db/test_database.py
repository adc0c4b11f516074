"""Store functions on SQLite and PostgreSQL."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import URL, Column, Connection, Integer, MetaData, Table, Text, func, insert, select
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from tests.fixtures_db import fresh_database, opened_database
from tests.patience import PATIENCE

from longhouse.kit.db.database import Database, open_database, unique_violation
from longhouse.kit.db.group_commit import DatabaseClosed
from longhouse.kit.db.tables import Document, UtcDateTime, is_postgres
from longhouse.kit.errors import Misconfigured, Unavailable

TABLES = MetaData()
entry = Table(
    "entry",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("name", Text, unique=True),
    Column("at", UtcDateTime),
    Column("body", Document),
)


@pytest.fixture
async def db(empty_database_url: str) -> AsyncIterator[Database]:
    opened = await open_database(empty_database_url)
    await opened.alter(TABLES.create_all)
    yield opened
    await opened.close()


def add(connection: Connection, name: str) -> int:
    made = connection.execute(insert(entry).values(name=name).returning(entry.c.id))
    return int(made.scalar_one())


def names(connection: Connection) -> list[str | None]:
    return list(connection.execute(select(entry.c.name).order_by(entry.c.id)).scalars())


async def test_what_is_written_can_be_read(db: Database) -> None:
    first = await db.write(lambda connection: add(connection, "a"))

    assert await db.read(names) == ["a"]
    assert isinstance(first, int)


async def test_a_store_function_that_raises_leaves_nothing(db: Database) -> None:
    def half(connection: Connection) -> None:
        add(connection, "a")
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        await db.write(half)

    assert await db.read(names) == []


async def test_a_repeated_value_is_a_unique_violation_and_nothing_else_is(db: Database) -> None:
    await db.write(lambda connection: add(connection, "a"))

    with pytest.raises(IntegrityError) as caught:
        await db.write(lambda connection: add(connection, "a"))
    assert unique_violation(caught.value)

    with pytest.raises(DBAPIError) as other:
        await db.read(lambda connection: connection.execute(sql("SELECT nothing FROM nowhere")))
    assert not unique_violation(other.value)
    assert not unique_violation(ValueError())


async def test_a_nested_transaction_can_fail_without_the_outer_one(db: Database) -> None:
    def tolerant(connection: Connection) -> None:
        add(connection, "a")
        try:
            with connection.begin_nested():
                add(connection, "b")
                add(connection, "a")
        except IntegrityError:
            add(connection, "c")

    await db.write(tolerant)

    assert await db.read(names) == ["a", "c"]


async def test_many_writers_at_once_lose_nothing(db: Database) -> None:
    await asyncio.gather(*(db.write(partial(add, name=str(number))) for number in range(100)))

    assert len(await db.read(names)) == 100


async def test_a_closed_database_says_so(db: Database) -> None:
    await db.close()

    with pytest.raises(DatabaseClosed):
        await db.read(names)
    with pytest.raises(DatabaseClosed):
        await db.write(names)


async def test_the_dialect_is_known_outside_and_inside(db: Database) -> None:
    assert await db.read(is_postgres) == (db.dialect == "postgresql")


async def test_altering_is_undone_when_it_fails(db: Database) -> None:
    def half(connection: Connection) -> None:
        connection.execute(sql("CREATE TABLE other (a INTEGER)"))
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        await db.alter(half)

    with pytest.raises(DBAPIError):
        await db.read(lambda connection: connection.execute(sql("SELECT a FROM other")).all())


class TestMoments:
    async def test_a_moment_comes_back_in_utc(self, db: Database) -> None:
        in_shanghai = datetime(2026, 3, 1, 8, 30, 15, 123456, timezone(timedelta(hours=8)))
        await db.write(lambda connection: connection.execute(insert(entry).values(at=in_shanghai)))

        at = (await db.read(lambda connection: connection.execute(select(entry.c.at)).all()))[0].at

        assert at == in_shanghai
        assert at.tzinfo is UTC

    async def test_moments_sort_and_compare_by_time(self, db: Database) -> None:
        start = datetime(2026, 3, 1, tzinfo=UTC)
        moments = [start, start + timedelta(microseconds=1), start + timedelta(seconds=1)]
        await db.write(
            lambda connection: connection.execute(
                insert(entry), [{"at": moment} for moment in reversed(moments)]
            )
        )

        def later(connection: Connection) -> list[datetime | None]:
            query = select(entry.c.at).where(entry.c.at > start).order_by(entry.c.at)
            return list(connection.execute(query).scalars())

        assert await db.read(later) == moments[1:]

    async def test_a_moment_without_a_time_zone_is_refused(self, db: Database) -> None:
        naive = datetime(2026, 3, 1)  # noqa: DTZ001 - that is the mistake under test

        with pytest.raises(StatementError, match="no time zone"):
            await db.write(lambda connection: connection.execute(insert(entry).values(at=naive)))


class TestDocuments:
    async def test_a_document_comes_back_as_it_was(self, db: Database) -> None:
        document = {"名": ["é", 1, 1.5, None, True, {"a": []}]}
        await db.write(lambda connection: connection.execute(insert(entry).values(body=document)))

        assert await db.read(lambda c: c.execute(select(entry.c.body)).scalar_one()) == document

    async def test_no_document_is_null(self, db: Database) -> None:
        await db.write(lambda connection: connection.execute(insert(entry).values(body=None)))

        def without(connection: Connection) -> int:
            query = select(func.count()).where(entry.c.body.is_(None))
            return connection.execute(query).scalar_one()

        assert await db.read(without) == 1

    async def test_a_member_of_a_document_can_be_compared(self, db: Database) -> None:
        await db.write(
            lambda connection: connection.execute(
                insert(entry),
                [{"name": "a", "body": {"n": "x"}}, {"name": "b", "body": {"n": "y"}}],
            )
        )

        def found(connection: Connection) -> list[str | None]:
            query = select(entry.c.name).where(entry.c.body["n"].as_string() == "y")
            return list(connection.execute(query).scalars())

        assert await db.read(found) == ["b"]


class TestSqlite:
    async def test_a_read_cannot_write(self, tmp_path: Path) -> None:
        db = await open_database(f"sqlite:///{tmp_path}/a.db")
        await db.alter(TABLES.create_all)

        with pytest.raises(Unavailable, match="readonly"):
            await db.read(lambda connection: add(connection, "a"))
        await db.close()

    async def test_a_read_sees_one_snapshot(self, tmp_path: Path) -> None:
        db = await open_database(f"sqlite:///{tmp_path}/a.db")
        await db.alter(TABLES.create_all)
        loop = asyncio.get_running_loop()

        def twice(connection: Connection) -> tuple[list[str | None], list[str | None]]:
            before = names(connection)
            write = asyncio.run_coroutine_threadsafe(db.write(lambda c: add(c, "a")), loop)
            write.result(PATIENCE)
            return before, names(connection)

        assert await db.read(twice) == ([], [])
        assert await db.read(names) == ["a"]
        await db.close()

    async def test_altering_a_parent_table_keeps_its_children(self, tmp_path: Path) -> None:
        db = await open_database(f"sqlite:///{tmp_path}/a.db")

        def family(connection: Connection) -> None:
            connection.execute(sql("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
            connection.execute(
                sql("CREATE TABLE child (p INTEGER REFERENCES parent (id) ON DELETE CASCADE)")
            )
            connection.execute(sql("INSERT INTO parent VALUES (1)"))
            connection.execute(sql("INSERT INTO child VALUES (1)"))

        def replace_parent(connection: Connection) -> None:
            connection.execute(sql("CREATE TABLE new_parent (id INTEGER PRIMARY KEY, n TEXT)"))
            connection.execute(sql("INSERT INTO new_parent SELECT id, '' FROM parent"))
            connection.execute(sql("DROP TABLE parent"))
            connection.execute(sql("ALTER TABLE new_parent RENAME TO parent"))

        def orphan(connection: Connection) -> None:
            connection.execute(sql("DELETE FROM parent"))

        await db.alter(family)
        await db.alter(replace_parent)
        with pytest.raises(IntegrityError, match="dangling"):
            await db.alter(orphan)

        assert await db.read(lambda c: c.execute(sql("SELECT p FROM child")).scalars().all()) == [1]
        await db.close()

    async def test_an_unusable_file_says_what_to_do(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")

        with pytest.raises(Misconfigured, match="LONGHOUSE_DATA_DIR"):
            await open_database(f"sqlite:///{tmp_path}/file/a.db")

    async def test_a_full_disk_is_said_in_words(self, tmp_path: Path) -> None:
        db = await open_database(f"sqlite:///{tmp_path}/a.db")
        await db.alter(TABLES.create_all)

        def fill(connection: Connection) -> None:
            connection.execute(sql("PRAGMA max_page_count=1"))
            connection.execute(insert(entry).values(name="x" * 1_000_000))

        with pytest.raises(Unavailable, match="disk is full"):
            await db.write(fill)
        await db.close()

    async def test_a_cancelled_write_is_done_all_the_same(self, tmp_path: Path) -> None:
        db = await open_database(f"sqlite:///{tmp_path}/a.db")
        await db.alter(TABLES.create_all)

        waiting = asyncio.create_task(db.write(lambda connection: add(connection, "a")))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await db.write(lambda connection: add(connection, "b"))

        assert await db.read(names) == ["a", "b"]
        await db.close()

    async def test_closing_leaves_one_file(self, tmp_path: Path) -> None:
        db = await open_database(f"sqlite:///{tmp_path}/a.db")
        await db.alter(TABLES.create_all)
        await db.close()

        assert os.listdir(tmp_path) == ["a.db"]


class TestAddresses:
    @pytest.mark.parametrize("url", ["mysql://x/y", "", "postgresql", "sqlite:file"])
    async def test_an_unknown_form_is_misconfigured(self, url: str) -> None:
        with pytest.raises(Misconfigured, match="LONGHOUSE_DATABASE_URL"):
            await open_database(url)

    async def test_a_port_that_is_no_number_is_misconfigured(self) -> None:
        with pytest.raises(Misconfigured, match="cannot be understood"):
            await open_database("postgresql://u:p@host:port/db")

    async def test_a_server_that_is_down_is_unavailable_and_the_password_stays_hidden(self) -> None:
        with pytest.raises(Unavailable, match="Start the server") as caught:
            await open_database("postgresql://someone:hunter2@127.0.0.1:1/longhouse")

        assert "hunter2" not in str(caught.value)
        assert "127.0.0.1:1/longhouse" in str(caught.value)

    @pytest.mark.postgres
    async def test_a_database_that_does_not_exist_is_misconfigured(
        self, postgresql_server: URL
    ) -> None:
        nowhere = postgresql_server.set(database="nowhere")

        with pytest.raises(Misconfigured, match="nowhere"):
            await open_database(nowhere.render_as_string(hide_password=False))


@pytest.mark.postgres
class TestPostgres:
    @pytest.fixture
    async def db(self, postgresql_server: URL) -> AsyncIterator[Database]:
        async with fresh_database(postgresql_server) as url, opened_database(url) as db:
            await db.alter(TABLES.create_all)
            yield db

    async def test_rivals_that_lock_each_other_are_run_again(self, db: Database) -> None:
        await db.write(lambda connection: (add(connection, "a"), add(connection, "b")))
        meeting = asyncio.Barrier(2)
        attempts = 0

        async def both(first: str, second: str) -> None:
            met = False

            def update(connection: Connection) -> None:
                nonlocal attempts
                attempts += 1
                statement = sql("UPDATE entry SET id = id WHERE name = :name")
                connection.execute(statement, {"name": first})
                meet()
                connection.execute(statement, {"name": second})

            def meet() -> None:
                nonlocal met
                if not met:  # the second attempt has nobody to wait for
                    met = True
                    greenlet_wait(meeting)

            await db.write(update)

        await asyncio.gather(both("a", "b"), both("b", "a"))

        assert attempts == 3

    async def test_a_lost_connection_is_unavailable_and_the_next_write_works(
        self, db: Database
    ) -> None:
        def cut(connection: Connection) -> None:
            connection.execute(sql("SELECT pg_terminate_backend(pg_backend_pid())"))

        with pytest.raises(Unavailable, match="lost"):
            await db.write(cut)

        await db.write(lambda connection: add(connection, "a"))
        assert await db.read(names) == ["a"]


def greenlet_wait(barrier: asyncio.Barrier) -> None:
    """Await inside a store function, which only a test of deadlocks may do."""
    from sqlalchemy.util import await_only  # noqa: PLC0415 - needs greenlet, for PostgreSQL alone

    await_only(barrier.wait())
