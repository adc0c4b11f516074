"""Who belongs to a tenant, over HTTP."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from tests.fixtures_server import HERE, add_user, calling
from tests.patience import PATIENCE

from longhouse.identity.scopes import TenantRole
from longhouse.identity.service.issuing import SignedIn
from longhouse.server.house import House


@dataclass
class Theirs:
    """A tenant with an owner, an admin and a member; none of them is an admin of the server."""

    house: House
    address: str  # of its members
    people: dict[str, SignedIn]

    def as_(self, name: str) -> Any:
        return calling(self.house, self.people[name].access_token)

    def at(self, name: str) -> str:
        return f"{self.address}/{self.people[name].user.id}"


@pytest.fixture
async def theirs(house: House) -> Theirs:
    people = {
        "otto": await add_user(house, "otto", tenant="theirs", role=TenantRole.OWNER),
        "ann": await add_user(house, "ann", tenant="theirs", role=TenantRole.ADMIN),
        "mia": await add_user(house, "mia", tenant="theirs", role=TenantRole.MEMBER),
        "eve": await add_user(house, "eve", tenant="elsewhere"),
    }
    tenant_id = people["otto"].memberships[0].tenant_id
    return Theirs(house, f"/api/v1/tenants/{tenant_id}/members", people)


async def roles(client: httpx2.AsyncClient, address: str) -> dict[str, str]:
    items = (await client.get(address)).json()["items"]
    return {member["username"]: member["role"] for member in items}


async def test_those_who_manage_a_tenant_see_its_members(theirs: Theirs) -> None:
    async with theirs.as_("ann") as ann:
        assert await roles(ann, theirs.address) == {
            "otto": "owner",
            "ann": "admin",
            "mia": "member",
        }
    async with theirs.as_("mia") as mia:
        assert (await mia.get(theirs.address)).status_code == 403


async def test_members_come_in_pages(theirs: Theirs) -> None:
    async with theirs.as_("otto") as otto:
        first = (await otto.get(theirs.address, params={"limit": 2})).json()
        second = (await otto.get(theirs.address, params={"after": first["next"]})).json()

    names = [one["username"] for one in first["items"] + second["items"]]
    assert names == ["otto", "ann", "mia"]
    assert second["next"] is None


@pytest.mark.parametrize("called", ["EVE", "eve@example.org", "id"])
async def test_a_user_is_added_by_name_address_or_id(theirs: Theirs, called: str) -> None:
    user = theirs.people["eve"].user.id if called == "id" else called
    async with theirs.as_("ann") as ann, theirs.as_("eve") as eve:
        answer = await ann.post(theirs.address, json={"user": user, "role": "viewer"})

        assert answer.status_code == 201, answer.text
        assert answer.json()["role"] == "viewer"
        places = (await eve.get("/api/v1/auth/me")).json()["tenants"]
        assert {place["name"] for place in places} == {"elsewhere", "theirs"}


async def test_somebody_unknown_is_told(theirs: Theirs) -> None:
    async with theirs.as_("ann") as ann:
        answer = await ann.post(theirs.address, json={"user": "nobody", "role": "viewer"})

    assert answer.status_code == 404
    assert answer.json()["code"] == "no-such-user"


async def test_a_role_counts_from_the_next_request_on(theirs: Theirs) -> None:
    async with theirs.as_("otto") as otto, theirs.as_("mia") as mia:
        before = await mia.post("/api/v1/posts", json={"name": "One"})
        await otto.put(theirs.at("mia"), json={"role": "admin"})
        after = await mia.post("/api/v1/posts", json={"name": "Two"})
        await otto.put(theirs.at("mia"), json={"role": "viewer"})
        lowered = await mia.post("/api/v1/posts", json={"name": "Three"})

    assert [before.status_code, after.status_code, lowered.status_code] == [403, 201, 403]


async def test_a_change_of_role_ends_what_was_opened_with_the_one_before(theirs: Theirs) -> None:
    identity = theirs.house.identity
    token = theirs.people["mia"].access_token
    mia = await identity.authentication.principal(token, tenant_id=None, origin=HERE)

    async with (
        asyncio.timeout(PATIENCE),
        identity.liveness.watched(mia) as over,
        theirs.as_("otto") as otto,
    ):
        await otto.put(theirs.at("mia"), json={"role": "viewer"})
        await over.wait()


async def test_who_is_removed_is_out_at_once(theirs: Theirs) -> None:
    async with theirs.as_("ann") as ann, theirs.as_("mia") as mia:
        removed = await ann.delete(theirs.at("mia"))

        assert removed.status_code == 204
        assert (await mia.get("/api/v1/posts")).json()["code"] == "no-tenant"
        assert (await ann.delete(theirs.at("mia"))).status_code == 404


async def test_only_owners_make_and_unmake_owners(theirs: Theirs) -> None:
    async with theirs.as_("ann") as ann:
        made = await ann.put(theirs.at("mia"), json={"role": "owner"})
        unmade = await ann.put(theirs.at("otto"), json={"role": "viewer"})
        removed = await ann.delete(theirs.at("otto"))
        herself = await ann.put(theirs.at("ann"), json={"role": "owner"})

    refused = [answer.status_code for answer in (made, unmade, removed, herself)]
    assert refused == [403] * 4


async def test_a_tenant_keeps_an_owner(theirs: Theirs) -> None:
    async with theirs.as_("otto") as otto:
        lowered = await otto.put(theirs.at("otto"), json={"role": "admin"})
        left = await otto.delete(theirs.at("otto"))
        await otto.put(theirs.at("ann"), json={"role": "owner"})
        given_away = await otto.put(theirs.at("otto"), json={"role": "viewer"})

    assert lowered.status_code == left.status_code == 409
    assert lowered.json()["code"] == "last-owner"
    assert given_away.status_code == 200


async def test_of_two_owners_who_leave_at_once_one_stays(theirs: Theirs) -> None:
    async with theirs.as_("otto") as otto, theirs.as_("ann") as ann:
        await otto.put(theirs.at("ann"), json={"role": "owner"})
        answers = await asyncio.gather(
            otto.put(theirs.at("otto"), json={"role": "viewer"}),
            ann.put(theirs.at("ann"), json={"role": "viewer"}),
        )

    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_members_of_another_tenant_are_out_of_reach(theirs: Theirs) -> None:
    async with theirs.as_("eve") as eve:
        answers = [
            await eve.get(theirs.address),
            await eve.post(theirs.address, json={"user": "eve", "role": "owner"}),
            await eve.put(theirs.at("mia"), json={"role": "viewer"}),
            await eve.delete(theirs.at("mia")),
        ]

    assert [answer.status_code for answer in answers] == [404] * 4
