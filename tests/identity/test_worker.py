"""What has had its time is cleared away."""

import httpx2
from sqlalchemy import func, select
from tests.fixtures_server import PASSWORD, add_user

from longhouse.identity.models import api_key_secrets, logins, tenants
from longhouse.kit.clock import ManualClock
from longhouse.server.house import House

DAY = 86_400


async def count(house: House, table: object) -> int:
    query = select(func.count()).select_from(table)  # type: ignore[arg-type]
    rows: int = await house.database.read(lambda conn: conn.execute(query).scalar_one())
    return rows


async def test_a_sweep_takes_what_is_over_and_leaves_the_rest(
    house: House, admin: httpx2.AsyncClient, client: httpx2.AsyncClient, house_clock: ManualClock
) -> None:
    eve = await add_user(house, "eve", tenant="theirs")
    body = {"name": "x"}
    key = (await admin.post("/api/v1/keys", json=body)).json()
    await admin.post(f"/api/v1/keys/{key['id']}/rotate", json={"overlap_seconds": DAY})
    await admin.delete(f"/api/v1/tenants/{eve.memberships[0].tenant_id}")
    await admin.post("/api/v1/auth/logout")
    before = [await count(house, table) for table in (tenants, logins, api_key_secrets)]

    house_clock.advance(30 * DAY)
    await client.post("/api/v1/auth/login", json={"username": "ada", "password": PASSWORD})
    house_clock.advance(1)
    await house.sweeper.sweep()

    after = [await count(house, table) for table in (tenants, logins, api_key_secrets)]
    assert before == [2, 2, 2]
    assert after == [1, 2, 1], "the login that just ended by itself can still be found"


async def test_a_sweep_twice_is_a_sweep_once(house: House, admin: httpx2.AsyncClient) -> None:
    await house.sweeper.sweep()
    await house.sweeper.sweep()

    assert (await admin.get("/api/v1/auth/me")).status_code == 200
