"""Tenants: made, changed, suspended, deleted, restored and gone, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select
from tests.fixtures_server import add_user, calling

from longhouse.agents.models import posts
from longhouse.identity.models import tenants
from longhouse.identity.scopes import TenantRole
from longhouse.kit.clock import ManualClock
from longhouse.server.house import House

TENANTS = "/api/v1/tenants"


async def make(client: httpx2.AsyncClient, name: str = "Acme", **more: Any) -> dict[str, Any]:
    answer = await client.post(TENANTS, json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    tenant: dict[str, Any] = answer.json()
    return tenant


@pytest.fixture
async def eve(house: House, admin: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """The owner of the tenant `theirs`, who is no admin of the server."""
    signed_in = await add_user(house, "eve", tenant="theirs")
    async with calling(house, signed_in.access_token) as client:
        yield client


async def tenant_of(client: httpx2.AsyncClient) -> str:
    tenant_id: str = (await client.get("/api/v1/auth/me")).json()["tenant"]["id"]
    return tenant_id


class TestMaking:
    async def test_a_new_tenant_has_an_owner_and_what_a_tenant_has_from_the_start(
        self, admin: httpx2.AsyncClient
    ) -> None:
        me = (await admin.get("/api/v1/auth/me")).json()["user"]

        tenant = await make(
            admin,
            "Acme",
            type="personal",
            description="We make everything.",
            contact_email="acme@example.org",
            config={"timezone": "Asia/Shanghai"},
        )

        assert tenant["id"].startswith("tenant_")
        assert tenant["status"] == "active"
        assert tenant["type"] == "personal"
        assert tenant["config"] == {"timezone": "Asia/Shanghai"}
        assert tenant["owner_id"] == me["id"]
        assert (await admin.get(f"{TENANTS}/{tenant['id']}")).json() == tenant
        headers = {"X-Longhouse-Tenant": tenant["id"]}
        posts_there = await admin.get("/api/v1/posts", headers=headers)
        assert [post["name"] for post in posts_there.json()["items"]] == ["Engineer", "Reader"]

    async def test_of_eight_who_take_one_name_at_once_one_gets_it(
        self, admin: httpx2.AsyncClient
    ) -> None:
        answers = await asyncio.gather(
            *(admin.post(TENANTS, json={"name": name}) for name in ["Acme", " acme "] * 4)
        )

        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
        refused = next(answer for answer in answers if answer.status_code == 409).json()
        assert refused["code"] == "tenant-name-taken"
        assert refused["errors"][0]["field"] == "name"

    @pytest.mark.parametrize("name", ["", " ", "\t", "a\nb\u0000", "x" * 101, "a\u200bb"])
    async def test_a_name_that_will_not_do_is_refused(
        self, admin: httpx2.AsyncClient, name: str
    ) -> None:
        answer = await admin.post(TENANTS, json={"name": name})

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "name"

    async def test_an_owner_who_does_not_exist_is_told(self, admin: httpx2.AsyncClient) -> None:
        answer = await admin.post(TENANTS, json={"name": "Acme", "owner_id": "user_x"})

        assert answer.status_code == 404
        assert answer.json()["code"] == "no-such-user"

    async def test_only_admins_of_the_server_make_tenants(self, eve: httpx2.AsyncClient) -> None:
        answer = await eve.post(TENANTS, json={"name": "Acme"})

        assert answer.status_code == 403
        assert answer.json()["code"] == "admins-only"


class TestSeeing:
    async def test_an_admin_of_the_server_sees_all_and_others_their_own(
        self, admin: httpx2.AsyncClient, eve: httpx2.AsyncClient
    ) -> None:
        await make(admin, "Acme")

        seen = [tenant["name"] for tenant in (await admin.get(TENANTS)).json()["items"]]
        theirs = [tenant["name"] for tenant in (await eve.get(TENANTS)).json()["items"]]

        assert seen == ["Acme", "theirs", "default"]
        assert theirs == ["theirs"]

    async def test_a_list_is_paged_searched_and_filtered(self, admin: httpx2.AsyncClient) -> None:
        for name in ("Acme", "Acme two", "Other"):
            await make(admin, name)

        first = (await admin.get(TENANTS, params={"limit": 2})).json()
        second = (await admin.get(TENANTS, params={"limit": 2, "after": first["next"]})).json()
        found = (await admin.get(TENANTS, params={"search": "ACME"})).json()
        none = (await admin.get(TENANTS, params={"status": "suspended"})).json()

        names = [tenant["name"] for page in (first, second) for tenant in page["items"]]
        assert names == ["Other", "Acme two", "Acme", "default"]
        assert [tenant["name"] for tenant in found["items"]] == ["Acme two", "Acme"]
        assert none == {"items": [], "next": None}

    async def test_a_foreign_tenant_and_a_missing_one_get_the_same_answer(
        self, admin: httpx2.AsyncClient, eve: httpx2.AsyncClient
    ) -> None:
        foreign = (await make(admin))["id"]

        answers = [await eve.get(f"{TENANTS}/{one}") for one in (foreign, "tenant_missing")]

        assert [answer.status_code for answer in answers] == [404, 404]
        problems = [answer.json() for answer in answers]
        for problem in problems:
            del problem["request_id"], problem["tenant"]
        assert problems[0] == problems[1]


class TestChanging:
    async def test_an_owner_changes_what_is_theirs(self, eve: httpx2.AsyncClient) -> None:
        there = f"{TENANTS}/{await tenant_of(eve)}"

        answer = await eve.patch(
            there, json={"name": "Ours", "description": "…", "contact_email": "x@example.org"}
        )
        cleared = await eve.patch(there, json={"contact_email": ""})

        assert answer.status_code == 200
        assert answer.json()["name"] == "Ours"
        assert answer.json()["contact_email"] == "x@example.org"
        assert cleared.json()["contact_email"] is None
        assert cleared.json()["description"] == "…"

    async def test_a_name_of_another_cannot_be_taken(
        self, admin: httpx2.AsyncClient, eve: httpx2.AsyncClient
    ) -> None:
        answer = await eve.patch(f"{TENANTS}/{await tenant_of(eve)}", json={"name": "DEFAULT"})

        assert answer.status_code == 409

    async def test_a_member_looks_and_changes_nothing(
        self, house: House, eve: httpx2.AsyncClient
    ) -> None:
        member = await add_user(house, "mia", tenant="theirs", role=TenantRole.MEMBER)
        there = f"{TENANTS}/{await tenant_of(eve)}"
        async with calling(house, member.access_token) as mia:
            assert (await mia.get(there)).status_code == 200
            assert (await mia.patch(there, json={"name": "Mine"})).status_code == 403
            assert (await mia.delete(there)).status_code == 403


class TestSuspending:
    async def test_nothing_may_be_done_in_a_suspended_tenant_until_it_is_resumed(
        self, admin: httpx2.AsyncClient, eve: httpx2.AsyncClient
    ) -> None:
        there = f"{TENANTS}/{await tenant_of(eve)}"

        suspended = await admin.patch(there, json={"status": "suspended"})
        refused = await eve.get("/api/v1/posts")
        itself = await eve.get(there)
        resumed = await admin.patch(there, json={"status": "active"})

        assert suspended.json()["status"] == "suspended"
        assert refused.status_code == itself.status_code == 403
        assert refused.json()["code"] == "tenant-suspended"
        assert resumed.status_code == 200
        assert (await eve.get("/api/v1/posts")).status_code == 200

    async def test_its_owner_can_neither_suspend_nor_resume(self, eve: httpx2.AsyncClient) -> None:
        there = f"{TENANTS}/{await tenant_of(eve)}"

        assert (await eve.patch(there, json={"status": "suspended"})).status_code == 403

    async def test_somebody_with_another_tenant_goes_on_there(
        self, house: House, admin: httpx2.AsyncClient, eve: httpx2.AsyncClient
    ) -> None:
        theirs = await tenant_of(eve)
        other = (await make(admin, "Other"))["id"]
        added = await admin.post(
            f"{TENANTS}/{other}/members", json={"user": "eve", "role": "member"}
        )
        assert added.status_code == 201, added.text

        await admin.patch(f"{TENANTS}/{theirs}", json={"status": "suspended"})

        assert await tenant_of(eve) == other


class TestDeleting:
    async def test_a_deleted_tenant_is_as_good_as_gone_at_once_and_its_name_is_free(
        self, admin: httpx2.AsyncClient, eve: httpx2.AsyncClient
    ) -> None:
        there = f"{TENANTS}/{await tenant_of(eve)}"

        answer = await eve.delete(there)

        assert answer.status_code == 204
        assert (await eve.get(there)).status_code == 404
        assert (await eve.get("/api/v1/posts")).json()["code"] == "no-tenant"
        assert (await admin.get(there)).json()["status"] == "deleted"
        assert (
            await admin.get("/api/v1/posts", headers={"X-Longhouse-Tenant": there[-39:]})
        ).status_code == 404
        assert (await admin.post(TENANTS, json={"name": "theirs"})).status_code == 201

    async def test_a_deletion_can_be_taken_back(
        self, admin: httpx2.AsyncClient, eve: httpx2.AsyncClient
    ) -> None:
        theirs = await tenant_of(eve)
        await eve.delete(f"{TENANTS}/{theirs}")

        restored = await admin.post(f"{TENANTS}/{theirs}/restore")

        assert restored.json()["status"] == "active"
        assert restored.json()["deleted_at"] is None
        assert await tenant_of(eve) == theirs

    async def test_it_cannot_be_taken_back_when_somebody_has_the_name(
        self, admin: httpx2.AsyncClient, eve: httpx2.AsyncClient
    ) -> None:
        theirs = await tenant_of(eve)
        await eve.delete(f"{TENANTS}/{theirs}")
        await make(admin, "Theirs")

        assert (await admin.post(f"{TENANTS}/{theirs}/restore")).status_code == 409

    async def test_its_data_is_gone_after_the_grace_period(
        self,
        house: House,
        admin: httpx2.AsyncClient,
        eve: httpx2.AsyncClient,
        house_clock: ManualClock,
    ) -> None:
        theirs = await tenant_of(eve)
        await eve.delete(f"{TENANTS}/{theirs}")

        house_clock.advance(30 * 86_400)
        too_early = await house.identity.tenants.purge()
        house_clock.advance(1)
        gone = await house.identity.tenants.purge()

        assert (too_early, gone) == (0, 1)
        for table in (tenants, posts):
            column = table.c.id if table is tenants else table.c.tenant_id
            count = select(func.count()).select_from(table).where(column == theirs)
            assert await house.database.read(lambda conn: conn.scalar(count)) == 0  # noqa: B023
        assert await house.identity.tenants.purge() == 0

    async def test_a_restored_tenant_is_not_purged(
        self,
        house: House,
        admin: httpx2.AsyncClient,
        eve: httpx2.AsyncClient,
        house_clock: ManualClock,
    ) -> None:
        theirs = await tenant_of(eve)
        await eve.delete(f"{TENANTS}/{theirs}")
        await admin.post(f"{TENANTS}/{theirs}/restore")
        house_clock.advance(31 * 86_400)

        assert await house.identity.tenants.purge() == 0


class TestAdminOfTheServer:
    async def test_an_admin_acts_in_a_tenant_they_are_no_member_of(
        self, admin: httpx2.AsyncClient, eve: httpx2.AsyncClient
    ) -> None:
        headers = {"X-Longhouse-Tenant": await tenant_of(eve)}

        me = await admin.get("/api/v1/auth/me", headers=headers)
        made = await admin.post("/api/v1/posts", headers=headers, json={"name": "Guest"})

        assert me.json()["tenant"] == {
            "id": await tenant_of(eve),
            "name": "theirs",
            "role": "owner",
        }
        assert made.status_code == 201
        assert (await eve.get(f"/api/v1/posts/{made.json()['id']}")).status_code == 200
