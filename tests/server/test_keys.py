"""The keys of a house: made at its first start, proved at every other, rotated while it runs."""

import asyncio
import hashlib
import stat
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import Connection
from tests.fixtures_server import ADMIN, calling, quick_passwords

from longhouse.identity.auth import tenant_of_own_row
from longhouse.identity.service.secrets import BATCH, WrongKey
from longhouse.kit.clock import Clock
from longhouse.kit.keys import KeyFile, new_key
from longhouse.kit.settings import Settings
from longhouse.runtime.sandbox.off import Unprotected
from longhouse.server import keys
from longhouse.server.house import House, open_house
from longhouse.server.keys import ENCRYPTION_FILE, SIGNING_FILE, KeyRow, signing_keys


async def opened_once(settings: Settings, clock: Clock) -> None:
    """Open a house of these settings and close it again."""
    async with open_house(
        settings, clock=clock, passwords=quick_passwords(), sandbox=Unprotected()
    ):
        pass


def with_keys(settings: Settings, **given: str) -> Settings:
    return settings.model_copy(update={name: SecretStr(key) for name, key in given.items()})


def digest(directory: Path) -> dict[str, str]:
    """What every file there holds; a database's own shared memory is no content."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.iterdir()
        if path.is_file() and not path.name.endswith(("-shm", "-wal", ".lock"))
    }


async def test_the_first_start_makes_keys_for_its_owner_only(
    house_settings: Settings, house_clock: Clock
) -> None:
    await opened_once(house_settings, house_clock)

    for name in (SIGNING_FILE, ENCRYPTION_FILE):
        assert stat.S_IMODE((house_settings.data_dir / name).stat().st_mode) == 0o600


async def test_keys_of_the_settings_need_no_file(
    house_settings: Settings, house_clock: Clock
) -> None:
    given = with_keys(house_settings, jwt_secret=new_key(), config_encryption_key=new_key())

    await opened_once(given, house_clock)

    assert not (given.data_dir / SIGNING_FILE).exists()
    assert not (given.data_dir / ENCRYPTION_FILE).exists()


async def test_a_wrong_key_is_refused_and_nothing_is_touched(
    house_settings: Settings, house_clock: Clock
) -> None:
    right = with_keys(house_settings, config_encryption_key=new_key())
    await opened_once(right, house_clock)
    before = digest(right.data_dir)

    with pytest.raises(WrongKey, match="Nothing was changed"):
        await opened_once(with_keys(right, config_encryption_key=new_key()), house_clock)

    assert digest(right.data_dir) == before
    await opened_once(right, house_clock)


async def test_a_lost_key_file_is_told_and_no_other_is_made(
    house_settings: Settings, house_clock: Clock
) -> None:
    await opened_once(house_settings, house_clock)
    file = house_settings.data_dir / ENCRYPTION_FILE
    file.unlink()

    with pytest.raises(WrongKey, match="backup"):
        await opened_once(house_settings, house_clock)

    assert not file.exists()


async def test_two_keys_are_valid_while_one_takes_the_place_of_the_other(
    house_settings: Settings, house_clock: Clock
) -> None:
    old, new = new_key(), new_key()
    for given in (
        {"config_encryption_key": old},
        {"config_encryption_key": old, "config_encryption_key_other": new},
        {"config_encryption_key": new, "config_encryption_key_other": old},
    ):
        await opened_once(with_keys(house_settings, **given), house_clock)


class TestSigning:
    async def test_tokens_of_the_key_before_stay_good_through_a_rotation(
        self, house: House, admin: httpx2.AsyncClient
    ) -> None:
        file = signing_keys(house.settings)
        assert isinstance(file, KeyFile)

        file.rotate()

        assert (await admin.get("/api/v1/auth/me")).status_code == 200
        async with calling(house) as again:
            credentials = {name: ADMIN[name] for name in ("username", "password")}
            answer = await again.post("/api/v1/auth/login", json=credentials)
            again.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
            file.rotate()
            assert (await again.get("/api/v1/auth/me")).status_code == 200
        assert (await admin.get("/api/v1/auth/me")).status_code == 401, "two rotations old"


class TestRotation:
    @pytest.fixture
    async def stored(self, house: House, admin: httpx2.AsyncClient) -> int:
        """Secrets, more than one batch holds: the admin's tenant's and some of the house's own."""
        tenant = tenant_of_own_row((await admin.get("/api/v1/auth/me")).json()["tenant"]["id"])
        count = BATCH + 20

        def fill(conn: Connection) -> None:
            for number in range(count):
                house.secrets.put(
                    conn,
                    f"sk-{number}",
                    tenant_id=tenant,
                    purpose="provider",
                    name=f"{number}",
                    now=house.clock.now(),
                )

        await house.database.write(fill)
        return sum(row.secrets or 0 for row in await listed(house))

    async def test_under_load_no_request_fails(
        self, house: House, admin: httpx2.AsyncClient, stored: int
    ) -> None:
        over = asyncio.Event()
        answers: list[int] = []

        async def ask_on() -> None:
            while not over.is_set():
                answers.append((await admin.get("/api/v1/auth/me")).status_code)

        asking = [asyncio.create_task(ask_on()) for _ in range(4)]
        done = await keys.rotate(
            house.settings, house.database, clock=house.clock, moved=lambda count, todo: None
        )
        over.set()
        await asyncio.gather(*asking)

        assert done.moved == stored
        assert set(answers) == {200}
        assert [row.secrets for row in await listed(house)] == [stored, 0]

    async def test_broken_off_it_is_brought_to_its_end_without_another_key(
        self, house: House, stored: int
    ) -> None:
        class PowerCut(Exception):
            pass

        def cut(count: int, todo: int) -> None:
            raise PowerCut

        with pytest.raises(PowerCut):
            await keys.rotate(house.settings, house.database, clock=house.clock, moved=cut)
        halfway = await listed(house)
        done = await keys.rotate(
            house.settings, house.database, clock=house.clock, moved=lambda count, todo: None
        )

        assert [row.secrets for row in halfway] == [BATCH, stored - BATCH]
        assert done.encryption is None
        assert [row.id for row in await listed(house)] == [row.id for row in halfway]

    async def test_a_running_server_seals_with_the_new_key(self, house: House, stored: int) -> None:
        await keys.rotate(
            house.settings, house.database, clock=house.clock, moved=lambda count, todo: None
        )

        def ask(conn: Connection) -> bytes:
            return house.secrets.of_house(conn, purpose="new", now=house.clock.now())

        await house.database.write(ask)

        assert [row.secrets for row in await listed(house)] == [stored + 1, 0]


async def listed(house: House) -> list[KeyRow]:
    """The keys that encrypt."""
    found = await keys.list_keys(house.settings, house.database)
    return [row for row in found if row.purpose == "encryption"]
