"""What is open ends when the credential it was opened with does: rung for, and found without."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Connection, delete, update
from tests.fixtures_server import HERE, add_user
from tests.patience import PATIENCE

from longhouse.identity.auth import Principal
from longhouse.identity.models import logins, memberships, users
from longhouse.identity.scopes import TenantRole
from longhouse.identity.service.issuing import SignedIn
from longhouse.kit.clock import ManualClock
from longhouse.server.house import House

Change = Callable[[Connection, Principal], object]


def deactivate(conn: Connection, principal: Principal) -> object:
    return conn.execute(update(users).where(users.c.id == principal.id).values(active=False))


def delete_user(conn: Connection, principal: Principal) -> object:
    return conn.execute(delete(users).where(users.c.id == principal.id))


def revoke(conn: Connection, principal: Principal) -> object:
    now = ManualClock().now()
    mine = logins.c.id == principal.credential
    return conn.execute(update(logins).where(mine).values(revoked_at=now))


def take_role(conn: Connection, principal: Principal) -> object:
    mine = memberships.c.user_id == principal.id
    return conn.execute(update(memberships).where(mine).values(role=TenantRole.VIEWER))


def take_place(conn: Connection, principal: Principal) -> object:
    return conn.execute(delete(memberships).where(memberships.c.user_id == principal.id))


@pytest.fixture
async def signed_in(house: House) -> SignedIn:
    return await add_user(house, "eve", tenant="theirs")


@pytest.fixture
async def eve(house: House, signed_in: SignedIn) -> Principal:
    return await house.identity.authentication.principal(
        signed_in.access_token, tenant_id=None, origin=HERE
    )


async def test_signing_out_ends_what_is_open(house: House, eve: Principal) -> None:
    async with asyncio.timeout(PATIENCE), house.identity.liveness.watched(eve) as over:
        await house.identity.logins.logout(eve)
        await over.wait()


@pytest.mark.parametrize("change", [revoke, deactivate, delete_user, take_role, take_place])
async def test_what_no_ring_told_of_is_found_all_the_same(
    house: House, eve: Principal, change: Change
) -> None:
    async with asyncio.timeout(PATIENCE), house.identity.liveness.watched(eve) as over:
        await house.database.write(lambda conn: change(conn, eve))
        await over.wait()


async def test_what_is_open_ends_with_a_login_that_expires(
    house: House, eve: Principal, house_clock: ManualClock
) -> None:
    async with asyncio.timeout(PATIENCE), house.identity.liveness.watched(eve) as over:
        house_clock.advance(timedelta(days=30).total_seconds())
        await over.wait()


async def test_what_others_have_open_goes_on(house: House, eve: Principal) -> None:
    other = await add_user(house, "mallory", tenant="theirs")
    mallory = await house.identity.authentication.principal(
        other.access_token, tenant_id=None, origin=HERE
    )
    liveness = house.identity.liveness

    async with (
        asyncio.timeout(PATIENCE),
        liveness.watched(eve) as first,
        liveness.watched(eve) as second,
        liveness.watched(mallory) as others,
    ):
        await house.identity.logins.logout(eve)
        await first.wait()
        await second.wait()

        assert not others.is_set()


async def test_what_is_opened_with_a_dead_login_ends_at_once(house: House, eve: Principal) -> None:
    await house.identity.logins.logout(eve)

    async with asyncio.timeout(PATIENCE), house.identity.liveness.watched(eve) as over:
        await over.wait()
