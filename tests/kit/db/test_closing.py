"""Steps that wait for a transaction's end."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, text

from longhouse.kit.db.closing import at_end
from longhouse.kit.db.database import Database


async def test_a_step_is_called_once_at_the_end_with_everything_it_is_for(
    database: Database,
) -> None:
    told: list[str | Sequence[int]] = []

    def step(conn: Connection, items: Sequence[int]) -> None:
        told.append(list(items))

    def work(conn: Connection) -> str:
        at_end(conn, step, 1)
        told.append("at work")
        at_end(conn, step, 2)
        return "result"

    assert await database.write(work) == "result"
    assert told == ["at work", [1, 2]]


async def test_what_a_step_raises_undoes_the_work(database: Database) -> None:
    def step(conn: Connection, items: Sequence[int]) -> None:
        raise ZeroDivisionError

    def work(conn: Connection) -> None:
        conn.execute(text("INSERT INTO audit_chains VALUES ('x', 0, '')"))
        at_end(conn, step, 1)

    with pytest.raises(ZeroDivisionError):
        await database.write(work)

    count = text("SELECT count(*) FROM audit_chains")
    assert await database.read(lambda conn: conn.execute(count).scalar_one()) == 0


async def test_what_fails_leaves_nothing_for_the_next_transaction(database: Database) -> None:
    called: list[int] = []

    def step(conn: Connection, items: Sequence[int]) -> None:
        called.extend(items)

    def fail(conn: Connection) -> None:
        at_end(conn, step, 1)
        raise ZeroDivisionError

    # Many at once: SQLite runs them one after the other in one transaction.
    failures = await asyncio.gather(
        *(database.write(fail) for _ in range(5)), return_exceptions=True
    )
    await database.write(lambda conn: at_end(conn, step, 2))

    assert [type(failure) for failure in failures] == [ZeroDivisionError] * 5
    assert called == [2]


async def test_a_step_outside_of_a_transaction_is_refused(database: Database) -> None:
    with pytest.raises(RuntimeError):
        await database.read(lambda conn: at_end(conn, lambda conn, items: None, 1))
