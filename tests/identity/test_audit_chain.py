"""The audit cannot be changed, and when somebody changes it all the same, it shows."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from tests.fixtures_db import opened_database

from longhouse.identity import audit
from longhouse.identity.chain import Check, Damage, Finding, Head, Link, following
from longhouse.identity.models import (
    SYSTEM,
    AuditEntry,
    Outcome,
    audit_chains,
    audit_entries,
)
from longhouse.identity.service.audit_log import Verified, verify
from longhouse.kit.clock import MANUAL_START
from longhouse.kit.db import migrate
from longhouse.kit.db.database import Database
from longhouse.kit.db.tables import is_postgres


def entry(number: int) -> AuditEntry:
    return AuditEntry(
        id=f"audit_{number:04}",
        at=MANUAL_START,
        tenant_id="tenant_a",
        actor=SYSTEM,
        action="thing.changed",
        target=f"thing_{number}",
        outcome=Outcome.DONE,
        reason=None,
        before_digest=None,
        after_digest=None,
    )


def chain(length: int) -> tuple[list[Link], Head]:
    """A whole chain and its head."""
    head = Head(chain="tenant_a", seq=0, hash="")
    links: list[Link] = []
    for number in range(1, length + 1):
        links.append(following(head, entry(number)))
        head = Head(chain="tenant_a", seq=number, hash=links[-1].hash)
    return links, head


def checked(links: Sequence[Link], head: Head, *, known: Head | None = None) -> list[Finding]:
    check = Check("tenant_a", known=known)
    found = [check.read(link) for link in links]
    return [one for one in [*found, check.end(head)] if one is not None]


def places(findings: Sequence[Finding]) -> list[tuple[Damage, int]]:
    return [(finding.damage, finding.seq) for finding in findings]


class TestArithmetic:
    def test_a_chain_that_nobody_touched_is_whole(self) -> None:
        assert checked(*chain(10)) == []
        assert checked(*chain(0)) == []

    def test_an_edit_shows_at_the_entry_and_only_there(self) -> None:
        links, head = chain(10)
        links[4] = replace(links[4], entry=replace(links[4].entry, target="another"))

        assert places(checked(links, head)) == [(Damage.EDITED, 5)]

    @pytest.mark.parametrize(
        "change",
        [
            {"id": "audit_x"},
            {"at": MANUAL_START.replace(microsecond=1)},
            {"tenant_id": None},
            {"actor": replace(SYSTEM, id="user_x")},
            {"actor": replace(SYSTEM, address="10.0.0.1")},
            {"actor": replace(SYSTEM, request_id="req_x")},
            {"action": "thing.deleted"},
            {"outcome": Outcome.REFUSED},
            {"reason": ""},
            {"before_digest": "0" * 64},
            {"after_digest": "0" * 64},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_the_hash_covers_everything_an_entry_says(self, change: dict[str, object]) -> None:
        links, head = chain(3)
        links[1] = replace(links[1], entry=replace(links[1].entry, **change))  # type: ignore[arg-type]

        assert places(checked(links, head)) == [(Damage.EDITED, 2)]

    def test_an_edit_with_a_hash_made_to_fit_shows_at_the_next_entry(self) -> None:
        links, head = chain(10)
        before = Head(chain="tenant_a", seq=4, hash=links[3].hash)
        links[4] = following(before, replace(links[4].entry, target="another"))

        assert places(checked(links, head)) == [(Damage.EDITED, 6)]

    def test_a_gap_shows_with_the_first_number_that_is_missing(self) -> None:
        links, head = chain(10)

        assert places(checked(links[:3] + links[5:], head)) == [(Damage.GAP, 4)]
        assert places(checked(links[2:], head)) == [(Damage.GAP, 1)]

    def test_entries_cut_off_at_the_end_show(self) -> None:
        links, head = chain(10)

        assert places(checked(links[:7], head)) == [(Damage.CUT, 8)]
        assert places(checked([], head)) == [(Damage.CUT, 1)]

    def test_a_chain_written_anew_shows_beside_a_head_kept_elsewhere(self) -> None:
        _, known = chain(5)
        head = Head(chain="tenant_a", seq=0, hash="")
        forged = []
        for number in range(1, 11):
            forged.append(following(head, replace(entry(number), reason="forged")))
            head = Head(chain="tenant_a", seq=number, hash=forged[-1].hash)

        assert checked(forged, head) == []
        assert places(checked(forged, head, known=known)) == [(Damage.REWRITTEN, 5)]

    def test_a_chain_shorter_than_the_one_known_is_cut(self) -> None:
        _, known = chain(10)
        links, head = chain(5)

        assert places(checked(links, head, known=known)) == [(Damage.CUT, 6)]


def record(conn: Connection, tenant_id: str | None, target: str = "thing") -> None:
    audit.record(
        conn,
        actor=SYSTEM,
        now=MANUAL_START,
        action="thing.changed",
        target=target,
        tenant_id=tenant_id,
    )


async def write_entries(database: Database, count: int, tenant_id: str | None = "tenant_a") -> None:
    for number in range(count):
        await database.write(lambda conn: record(conn, tenant_id, f"thing_{number}"))  # noqa: B023


def unguard(conn: Connection) -> None:
    """What somebody does who may change the tables themselves."""
    if is_postgres(conn):
        conn.execute(text("DROP TRIGGER audit_entries_no_change ON audit_entries"))
    else:
        conn.execute(text("DROP TRIGGER audit_entries_no_update"))
        conn.execute(text("DROP TRIGGER audit_entries_no_delete"))


class TestDatabase:
    async def test_each_tenant_has_a_chain_and_the_server_has_one(self, database: Database) -> None:
        await write_entries(database, 3, "tenant_a")
        await write_entries(database, 2, "tenant_b")
        await write_entries(database, 1, None)

        verified = await verify(database)

        assert verified.findings == []
        assert verified.entries == 6
        assert {head.chain: head.seq for head in verified.heads} == {
            "server": 1,
            "tenant_a": 3,
            "tenant_b": 2,
        }

    async def test_writers_at_the_same_time_make_one_whole_chain(self, database: Database) -> None:
        def work(conn: Connection) -> None:
            record(conn, "tenant_a")
            record(conn, None)
            record(conn, "tenant_a")

        def other_way_round(conn: Connection) -> None:
            record(conn, None)
            record(conn, "tenant_a")

        await asyncio.gather(
            *(database.write(work) for _ in range(25)),
            *(database.write(other_way_round) for _ in range(25)),
        )

        verified = await verify(database)
        assert verified.findings == []
        assert {head.chain: head.seq for head in verified.heads} == {"server": 50, "tenant_a": 75}

    async def test_entries_can_be_neither_changed_nor_deleted(self, database: Database) -> None:
        await write_entries(database, 2)

        for statement in (
            update(audit_entries).values(target="another"),
            delete(audit_entries),
        ):
            with pytest.raises(DBAPIError, match="append-only"):
                await database.write(lambda conn: conn.execute(statement))  # noqa: B023

        count = select(func.count()).select_from(audit_entries)
        assert await database.read(lambda conn: conn.execute(count).scalar_one()) == 2

    async def test_who_gets_past_that_is_found_out_and_the_place_is_named(
        self, database: Database
    ) -> None:
        await write_entries(database, 10)

        def edit(conn: Connection) -> str:
            unguard(conn)
            fourth = audit_entries.c.seq == 4
            conn.execute(update(audit_entries).where(fourth).values(target="another"))
            conn.execute(delete(audit_entries).where(audit_entries.c.seq.in_([7, 8])))
            conn.execute(delete(audit_entries).where(audit_entries.c.seq == 10))
            return str(conn.execute(select(audit_entries.c.id).where(fourth)).scalar_one())

        edited = await database.write(edit)

        verified = await verify(database)
        assert places(verified.findings) == [
            (Damage.EDITED, 4),
            (Damage.GAP, 7),
            (Damage.CUT, 10),
        ]
        assert verified.findings[0].entry_id == edited
        assert {finding.chain for finding in verified.findings} == {"tenant_a"}

    async def test_a_chain_that_is_gone_shows_beside_what_was_known(
        self, database: Database
    ) -> None:
        await write_entries(database, 3)
        known = (await verify(database)).heads

        def wipe(conn: Connection) -> None:
            unguard(conn)
            conn.execute(delete(audit_entries))
            conn.execute(delete(audit_chains))

        await database.write(wipe)

        assert (await verify(database)).findings == []
        assert places((await verify(database, known=known)).findings) == [(Damage.CUT, 1)]

    async def test_what_was_known_holds_while_the_chain_grows(self, database: Database) -> None:
        await write_entries(database, 3)
        known = (await verify(database)).heads
        await write_entries(database, 3)

        assert (await verify(database, known=known)).findings == []


async def test_entries_from_before_the_chain_are_linked_and_kept_both_ways(
    empty_database_url: str,
) -> None:
    async with opened_database(empty_database_url) as database:
        await database.alter(lambda conn: _step(conn, command.upgrade, "0004"))
        await database.write(_old_entries)

        await database.alter(lambda conn: _step(conn, command.upgrade, "0005"))
        linked = await verify(database)
        await database.alter(lambda conn: _step(conn, command.downgrade, "0004"))
        count = text("SELECT count(*) FROM audit_entries")
        kept = await database.read(lambda conn: conn.execute(count).scalar_one())
        await database.alter(lambda conn: _step(conn, command.upgrade, "0005"))

        assert linked == await verify(database)
        assert isinstance(linked, Verified)
        assert linked.findings == []
        assert {head.chain: head.seq for head in linked.heads} == {"server": 1, "tenant_a": 2}
        assert kept == 3


def _step(conn: Connection, go: Callable[[Config, str], None], to: str) -> None:
    migrate.current_revision(conn)  # begins the transaction, which is then not Alembic's to end
    go(migrate.alembic_config(conn), to)


def _old_entries(conn: Connection) -> None:
    """As the tables were before they had chains."""
    columns = [column for column in audit_entries.c if column.name not in {"chain", "seq", "hash"}]
    for number, tenant_id in enumerate(("tenant_a", None, "tenant_a")):
        said = entry(number)
        values = {
            "id": said.id,
            "at": said.at,
            "tenant_id": tenant_id,
            "actor_kind": "system",
            "action": said.action,
            "target": "Grüße",
            "outcome": "done",
            "address": "",
            "request_id": "",
        }
        conn.execute(
            insert(audit_entries).values(
                {column: values[column.name] for column in columns if column.name in values}
            )
        )
