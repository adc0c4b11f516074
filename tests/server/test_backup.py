"""A house in one file and back, on both databases, through the functions behind the commands."""

import asyncio
import os
import socket
import stat
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import httpx2
import pytest
from sqlalchemy import URL, Connection, select
from tests.fixtures_db import fresh_database
from tests.fixtures_server import ADMIN, calling, quick_passwords

from longhouse.identity.auth import tenant_of_own_row
from longhouse.kit.clock import Clock, SystemClock
from longhouse.kit.db import migrate
from longhouse.kit.db.database import SQLITE_SCHEME, open_database
from longhouse.kit.db.dump import Damaged, NotEmpty
from longhouse.kit.errors import Misconfigured
from longhouse.kit.settings import Settings
from longhouse.migrations.schema import complete_metadata
from longhouse.runtime.model import Models
from longhouse.runtime.sandbox.off import Unprotected
from longhouse.server.backup import DirectoryNotEmpty, FileThere, Manifest, back_up, restore
from longhouse.server.house import House, open_house

ODD = "tab\t newline\n back\\slash \\N \N{SNOWMAN} 'quotes' \"too\""

Rows = dict[str, list[tuple[Any, ...]]]


def everything(conn: Connection) -> Rows:
    """Every row of every table."""
    return {
        table.name: sorted((tuple(row) for row in conn.execute(select(table))), key=repr)
        for table in complete_metadata().sorted_tables
    }


async def save(house: House, target: Path, *, workspaces: bool = True) -> Manifest:
    return await back_up(
        house.settings,
        target,
        clock=house.clock,
        workspaces=workspaces,
        told=lambda step: None,
    )


async def bring_back(settings: Settings, source: Path) -> Manifest:
    return await restore(settings, source, told=lambda step: None)


@pytest.fixture
async def elsewhere(
    house_settings: Settings, database_template: Path | URL, tmp_path: Path
) -> AsyncIterator[Settings]:
    """Settings of a house that is not there yet, on the same kind of database."""
    data_dir = tmp_path / "new" / "house"
    if isinstance(database_template, Path):
        url = f"sqlite:///{data_dir}/longhouse.db"
        yield house_settings.model_copy(update={"data_dir": data_dir, "database_url": url})
        return
    async with fresh_database(database_template) as url:
        yield house_settings.model_copy(update={"data_dir": data_dir, "database_url": url})


@asynccontextmanager
async def opened(settings: Settings, clock: Clock, models: Models) -> AsyncIterator[House]:
    async with open_house(
        settings,
        clock=clock,
        passwords=quick_passwords(),
        sandbox=Unprotected(),
        turn_models=models,
    ) as house:
        yield house


async def new_session(admin: httpx2.AsyncClient) -> tuple[str, str]:
    """An agent with a workspace, and a session with a message in it: their paths."""
    post = (await admin.get("/api/v1/posts")).json()["items"][0]["id"]
    body = {"name": ODD[:20], "post_id": post, "repository": {"source": "sample"}}
    agent = f"/api/v1/agents/{(await admin.post('/api/v1/agents', json=body)).json()['id']}"
    session = f"{agent}/sessions/{(await admin.post(f'{agent}/sessions', json={})).json()['id']}"
    await admin.post(f"{session}/messages", json={"text": ODD})
    return agent, session


async def test_a_house_comes_back_as_it_was(
    house: House,
    admin: httpx2.AsyncClient,
    elsewhere: Settings,
    house_models: Models,
    tmp_path: Path,
) -> None:
    agent, session = await new_session(admin)
    tenant = tenant_of_own_row((await admin.get("/api/v1/auth/me")).json()["tenant"]["id"])
    workspace = house.settings.data_dir / "agents" / agent.rpartition("/")[2] / "workspace"
    (workspace / "new.txt").write_text("written by the agent\n")
    (workspace / "link").symlink_to("/nowhere/else")

    def put(conn: Connection) -> None:
        house.secrets.put(conn, ODD, tenant_id=tenant, purpose="p", name="n", now=house.clock.now())

    await house.database.write(put)
    before = await house.database.read(everything)
    events = (await admin.get(f"{session}/events")).json()
    diff = (await admin.get(f"{agent}/workspace/diff")).json()

    await save(house, tmp_path / "house.tar.gz")
    await bring_back(elsewhere, tmp_path / "house.tar.gz")

    async with opened(elsewhere, house.clock, house_models) as restored:
        after = await restored.database.read(everything)
        assert after == before
        async with calling(restored) as client:
            client.headers["authorization"] = admin.headers["authorization"]
            assert (await client.get(f"{session}/events")).json() == events
            assert (await client.get(f"{agent}/workspace/diff")).json() == diff
            credentials = {name: ADMIN[name] for name in ("username", "password")}
            signed_in = await client.post("/api/v1/auth/login", json=credentials)
            assert signed_in.status_code == 200
        secret = await restored.database.read(
            lambda conn: restored.secrets.get(conn, tenant_id=tenant, purpose="p", name="n")
        )
        assert secret == ODD
    there = elsewhere.data_dir / workspace.relative_to(house.settings.data_dir)
    assert (there / "link").readlink() == Path("/nowhere/else")


async def test_it_is_made_while_others_write_and_is_of_one_moment(
    house: House,
    admin: httpx2.AsyncClient,
    elsewhere: Settings,
    house_models: Models,
    tmp_path: Path,
) -> None:
    _, session = await new_session(admin)
    over = asyncio.Event()

    async def talk_on() -> int:
        sent = 1
        while not over.is_set():
            answer = await admin.post(f"{session}/messages", json={"text": f"{sent}"})
            assert answer.status_code == 202
            sent += 1
        return sent

    talking = asyncio.create_task(talk_on())
    await save(house, tmp_path / "house.tar")
    over.set()
    sent = await talking
    await bring_back(elsewhere, tmp_path / "house.tar")

    async with (
        opened(elsewhere, house.clock, house_models) as restored,
        calling(restored) as client,
    ):
        client.headers["authorization"] = admin.headers["authorization"]
        path = f"{session}/events?limit=1000"
        numbers = [event["seq"] for event in (await client.get(path)).json()["items"]]
        assert numbers == list(range(1, len(numbers) + 1))
        assert 2 <= len(numbers) <= sent + 1
        more = await client.post(f"{session}/messages", json={"text": "and on"})
        assert more.status_code == 202, "numbers and keys go on where they were"


async def test_it_is_for_its_owner_only_and_holds_no_name_of_a_process(
    house: House, admin: httpx2.AsyncClient, tmp_path: Path
) -> None:
    await new_session(admin)
    target = tmp_path / "house.tar"

    manifest = await save(house, target)

    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert manifest.database.step == migrate.revisions()[-1]
    with tarfile.open(target) as tar:
        names = tar.getnames()
    assert {"manifest.json", "data/jwt_secret", "data/encryption_keys", "data/device"} <= set(names)
    assert not any(name.startswith(("data/nodes", "data/longhouse.db")) for name in names)
    assert any(name.startswith("data/agents/") for name in names)
    assert not any(name.startswith(".") for name in os.listdir(tmp_path)), "nothing is left over"


async def test_workspaces_can_be_left_out(
    house: House, admin: httpx2.AsyncClient, tmp_path: Path
) -> None:
    await new_session(admin)

    manifest = await save(house, tmp_path / "house.tar", workspaces=False)

    assert not manifest.workspaces
    with tarfile.open(tmp_path / "house.tar") as tar:
        assert not any(name.startswith("data/agents") for name in tar.getnames())


class TestRefusals:
    async def test_a_file_that_is_there_is_not_overwritten(
        self, house: House, tmp_path: Path
    ) -> None:
        (tmp_path / "house.tar").write_text("precious")

        with pytest.raises(FileThere):
            await save(house, tmp_path / "house.tar")

        assert (tmp_path / "house.tar").read_text() == "precious"

    async def test_nothing_that_is_there_is_overwritten_by_a_restore(
        self, house: House, elsewhere: Settings, tmp_path: Path
    ) -> None:
        await save(house, tmp_path / "house.tar")
        with pytest.raises(DirectoryNotEmpty):
            await bring_back(house.settings, tmp_path / "house.tar")
        elsewhere_here = elsewhere.model_copy(update={"database_url": house.settings.database_url})

        with pytest.raises(NotEmpty):
            await bring_back(elsewhere_here, tmp_path / "house.tar")

        assert not list(elsewhere.data_dir.iterdir()), "and it can be tried again"

    @pytest.mark.parametrize("keep", [0, 100, 5_000, 0.3, 0.7])
    async def test_a_file_that_was_cut_off_restores_nothing(
        self, house: House, elsewhere: Settings, tmp_path: Path, keep: float
    ) -> None:
        whole = tmp_path / "house.tar"
        await save(house, whole)
        size = int(keep if keep > 1 else whole.stat().st_size * keep)
        with whole.open("r+b") as file:
            file.truncate(size)

        with pytest.raises(Damaged):
            await bring_back(elsewhere, whole)

        assert not list(elsewhere.data_dir.iterdir())

    async def test_a_file_that_is_no_backup_is_refused(
        self, elsewhere: Settings, tmp_path: Path
    ) -> None:
        with tarfile.open(tmp_path / "other.tar", "w") as tar:
            tar.add(__file__, "something")

        with pytest.raises(Damaged):
            await bring_back(elsewhere, tmp_path / "other.tar")
        with pytest.raises(Misconfigured, match="no file"):
            await bring_back(elsewhere, tmp_path / "missing.tar")

    async def test_a_house_without_a_database_has_no_backup(
        self, elsewhere: Settings, tmp_path: Path
    ) -> None:
        with pytest.raises(Misconfigured, match="no database"):
            await back_up(
                elsewhere,
                tmp_path / "house.tar",
                clock=SystemClock(),
                workspaces=True,
                told=lambda step: None,
            )

        assert not elsewhere.data_dir.exists()


class TestOddFiles:
    async def test_sockets_and_what_cannot_be_read_do_not_keep_anybody_from_a_backup(
        self, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = house.settings.data_dir / "agents" / "agent_1" / "workspace"
        place.mkdir(parents=True)
        monkeypatch.chdir(place)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket")
            (place / "secret").write_text("x")
            (place / "other").write_text("y")
            (place / "again").hardlink_to(place / "other")

            await save(house, tmp_path / "house.tar")

        with tarfile.open(tmp_path / "house.tar") as tar:
            prefix = "data/agents/agent_1/workspace"
            names = tar.getnames()
            assert f"{prefix}/socket" not in names
            for name in ("other", "again"):
                file = tar.extractfile(f"{prefix}/{name}")
                assert file is not None
                assert file.read() == b"y"


async def test_a_backup_of_older_tables_is_brought_up_to_date_at_the_next_start(
    empty_database_url: str, house_clock: Clock, house_models: Models, tmp_path: Path
) -> None:
    older = migrate.revisions()[3]  # the first that knows the keys of secrets
    settings = Settings(
        data_dir=tmp_path / "old", database_url=empty_database_url, bus_url="memory", port=0
    )
    database = await open_database(settings.database_url)
    await migrate.upgrade(database, to=older)
    await database.close()

    manifest = await back_up(
        settings,
        tmp_path / "house.tar",
        clock=house_clock,
        workspaces=True,
        told=lambda step: None,
    )

    assert manifest.database.step == older
    await make_empty(settings.database_url)
    there = settings.model_copy(update={"data_dir": tmp_path / "new"})
    await bring_back(there, tmp_path / "house.tar")
    async with opened(there, house_clock, house_models) as restored:
        step = await restored.database.read(migrate.current_revision)
        assert step == migrate.revisions()[-1]


async def make_empty(url: str) -> None:
    """Leave nothing of a database but its address."""
    if url.startswith(SQLITE_SCHEME):
        os.unlink(url.removeprefix(SQLITE_SCHEME))
        return
    connection = await asyncpg.connect(url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
