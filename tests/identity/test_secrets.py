"""Stored secrets in the database, and the keys they are under."""

import asyncio

import pytest
from sqlalchemy import Connection, delete, insert, select, update
from tests.rows import tenant_row

from longhouse.identity.auth import tenant_of_own_row
from longhouse.identity.models import TenantId, encryption_keys, secrets, tenants
from longhouse.identity.service.secrets import (
    BATCH,
    Secrets,
    WrongKey,
    move_to_current,
    prove_keys,
    remember_key,
)
from longhouse.kit.clock import MANUAL_START
from longhouse.kit.crypto import Keyring, KeyUnknown, MasterKey, SealBroken
from longhouse.kit.db.database import Database
from longhouse.kit.keys import FixedKeys

OLD, NEW = "the old key of these tests, long enough", "the new key of these tests, long enough"
A, B = tenant_of_own_row("tenant_a"), tenant_of_own_row("tenant_b")
NOW = MANUAL_START


@pytest.fixture
def ring() -> Keyring:
    return Keyring(FixedKeys(OLD))


@pytest.fixture
def both() -> Keyring:
    return Keyring(FixedKeys(NEW, OLD))


@pytest.fixture
async def house(database: Database, ring: Keyring) -> Database:
    """A database with two tenants, whose secrets are under the old key."""

    def make(conn: Connection) -> None:
        for tenant in (A, B):
            conn.execute(insert(tenants), tenant_row(tenant, NOW))
        remember_key(conn, ring, now=NOW)

    await database.write(make)
    return database


async def put(house: Database, ring: Keyring, value: str, *, tenant: TenantId, name: str) -> None:
    await house.write(
        lambda conn: Secrets(ring).put(
            conn, value, tenant_id=tenant, purpose="provider", name=name, now=NOW
        )
    )


async def get(house: Database, ring: Keyring, *, tenant: TenantId, name: str) -> str | None:
    return await house.read(
        lambda conn: Secrets(ring).get(conn, tenant_id=tenant, purpose="provider", name=name)
    )


async def test_a_secret_is_kept_until_it_is_replaced_or_removed(
    house: Database, ring: Keyring
) -> None:
    assert await get(house, ring, tenant=A, name="openai") is None
    await put(house, ring, "sk-1", tenant=A, name="openai")
    assert await get(house, ring, tenant=A, name="openai") == "sk-1"
    await put(house, ring, "sk-2 \N{SNOWMAN}", tenant=A, name="openai")
    assert await get(house, ring, tenant=A, name="openai") == "sk-2 \N{SNOWMAN}"

    removed = [
        await house.write(
            lambda conn: Secrets(ring).remove(conn, tenant_id=A, purpose="provider", name="openai")
        )
        for _ in range(2)
    ]

    assert removed == [True, False]
    assert await get(house, ring, tenant=A, name="openai") is None


async def test_tenants_do_not_share_secrets(house: Database, ring: Keyring) -> None:
    await put(house, ring, "of a", tenant=A, name="openai")
    await put(house, ring, "of b", tenant=B, name="openai")

    assert await get(house, ring, tenant=A, name="openai") == "of a"
    assert await get(house, ring, tenant=B, name="openai") == "of b"


async def test_a_row_moved_to_another_tenant_does_not_open(house: Database, ring: Keyring) -> None:
    await put(house, ring, "of a", tenant=A, name="openai")
    await house.write(
        lambda conn: conn.execute(update(secrets).values(owner=B, tenant_id=B)).rowcount
    )

    with pytest.raises(SealBroken):
        await get(house, ring, tenant=B, name="openai")


async def test_nothing_in_the_row_shows_the_secret(house: Database, ring: Keyring) -> None:
    await put(house, ring, "sk-looked-for", tenant=A, name="openai")

    row = await house.read(lambda conn: conn.execute(select(secrets)).one())

    assert b"looked-for" not in row.sealed
    assert row.key_id == MasterKey(OLD).id


async def test_a_tenants_secrets_go_with_the_tenant(house: Database, ring: Keyring) -> None:
    await put(house, ring, "of a", tenant=A, name="openai")
    await put(house, ring, "of b", tenant=B, name="openai")

    await house.write(lambda conn: conn.execute(delete(tenants).where(tenants.c.id == A)).rowcount)

    owners = await house.read(lambda conn: conn.scalars(select(secrets.c.owner)).all())
    assert owners == [B]


async def test_processes_that_ask_at_once_get_the_same_secret_of_the_house(
    house: Database, ring: Keyring
) -> None:
    def ask(conn: Connection) -> bytes:
        return Secrets(ring).of_house(conn, purpose="peppering", now=NOW)

    found = await asyncio.gather(*(house.write(ask) for _ in range(8)))

    assert len(set(found)) == 1
    assert len(found[0]) == 32


class TestProof:
    async def test_the_right_key_is_proved(self, house: Database, ring: Keyring) -> None:
        await house.read(lambda conn: prove_keys(conn, ring))

    async def test_a_new_key_beside_the_old_one_is_proved(
        self, house: Database, ring: Keyring, both: Keyring
    ) -> None:
        await put(house, ring, "sk", tenant=A, name="openai")

        await house.read(lambda conn: prove_keys(conn, both))

    async def test_a_wrong_key_is_named_and_so_is_the_right_one(self, house: Database) -> None:
        wrong = Keyring(FixedKeys(NEW))

        with pytest.raises(WrongKey) as refused:
            await house.read(lambda conn: prove_keys(conn, wrong))

        assert MasterKey(OLD).id in refused.value.detail
        assert MasterKey(NEW).id in refused.value.detail

    async def test_a_key_that_opens_only_some_secrets_is_wrong(
        self, house: Database, ring: Keyring, both: Keyring
    ) -> None:
        await put(house, ring, "sk", tenant=A, name="openai")
        await house.write(lambda conn: remember_key(conn, both, now=NOW))

        with pytest.raises(WrongKey, match=MasterKey(OLD).id):
            await house.read(lambda conn: prove_keys(conn, Keyring(FixedKeys(NEW))))

    async def test_a_damaged_canary_is_refused(self, house: Database, ring: Keyring) -> None:
        await house.write(
            lambda conn: conn.execute(update(encryption_keys).values(canary=bytes(200))).rowcount
        )

        with pytest.raises(WrongKey):
            await house.read(lambda conn: prove_keys(conn, ring))


class TestRotation:
    @pytest.fixture
    async def many(self, house: Database, ring: Keyring) -> int:
        """More secrets than one batch holds."""
        count = BATCH * 2 + 7

        def fill(conn: Connection) -> None:
            for number in range(count):
                Secrets(ring).put(
                    conn, f"sk-{number}", tenant_id=A, purpose="provider", name=f"{number}", now=NOW
                )

        await house.write(fill)
        return count

    async def test_every_secret_is_moved_in_batches_and_stays_what_it_is(
        self, house: Database, both: Keyring, many: int
    ) -> None:
        told: list[int] = []

        assert await move_to_current(house, both, moved=told.append) == many

        assert sum(told) == many
        assert max(told) <= BATCH
        only_new = Keyring(FixedKeys(NEW))
        for number in (0, BATCH, many - 1):
            assert await get(house, only_new, tenant=A, name=f"{number}") == f"sk-{number}"

    async def test_broken_off_halfway_it_goes_on_where_it_was(
        self, house: Database, both: Keyring, many: int
    ) -> None:
        class PowerCut(Exception):
            pass

        def cut(_: int) -> None:
            raise PowerCut

        with pytest.raises(PowerCut):
            await move_to_current(house, both, moved=cut)

        assert await get(house, both, tenant=A, name="0") == "sk-0"
        assert await get(house, both, tenant=A, name=f"{many - 1}") == f"sk-{many - 1}"
        assert await move_to_current(house, both) == many - BATCH

    async def test_afterwards_the_old_key_is_forgotten(
        self, house: Database, ring: Keyring, both: Keyring, many: int
    ) -> None:
        await house.write(lambda conn: remember_key(conn, both, now=NOW))
        await move_to_current(house, both)

        known = await house.read(lambda conn: conn.scalars(select(encryption_keys.c.id)).all())
        assert known == [MasterKey(NEW).id]
        with pytest.raises(WrongKey):
            await house.read(lambda conn: prove_keys(conn, ring))

    async def test_what_is_stored_meanwhile_is_not_overwritten(
        self, house: Database, ring: Keyring, both: Keyring
    ) -> None:
        stop = asyncio.Event()
        await put(house, ring, "0", tenant=A, name="busy")

        async def write_on() -> int:
            """Servers with the old and with the new key write the same secret again and again."""
            number = 0
            while not stop.is_set():
                number += 1
                await put(house, (ring, both)[number % 2], f"{number}", tenant=A, name="busy")
                assert await get(house, both, tenant=A, name="busy") == f"{number}"
            return number

        writing = asyncio.create_task(write_on())
        for _ in range(20):
            await move_to_current(house, both)
        stop.set()

        last = await writing

        assert await get(house, both, tenant=A, name="busy") == f"{last}"

    async def test_a_key_that_is_not_here_stops_it(self, house: Database, many: int) -> None:
        with pytest.raises(KeyUnknown):
            await move_to_current(house, Keyring(FixedKeys(NEW)))
