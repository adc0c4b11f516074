"""Questions of permission over HTTP."""

import httpx2
import pytest
from tests.fixtures_server import add_user, calling

from longhouse.identity.scopes import TenantRole
from longhouse.identity.service.issuing import SignedIn
from longhouse.server.house import House

ASK = "/api/v1/permissions/check"


@pytest.fixture
async def owner(house: House) -> SignedIn:
    return await add_user(house, "otto", tenant="theirs")


@pytest.fixture
async def viewer(house: House) -> SignedIn:
    return await add_user(house, "vera", tenant="theirs", role=TenantRole.VIEWER)


async def test_one_asks_what_one_may_do(house: House, viewer: SignedIn) -> None:
    async with calling(house, viewer.access_token) as vera:
        reading = (await vera.post(ASK, json={"scope": "agents:read"})).json()
        writing = (await vera.post(ASK, json={"scope": "agents:write"})).json()

    assert reading == {
        "allowed": True,
        "scope": "agents:read",
        "reason": "role viewer in this tenant",
    }
    assert writing["allowed"] is False


async def test_who_manages_a_tenant_asks_about_its_members(
    house: House, owner: SignedIn, viewer: SignedIn
) -> None:
    about_vera = {"scope": "agents:write", "user_id": viewer.user.id}
    async with calling(house, owner.access_token) as otto:
        answer = (await otto.post(ASK, json=about_vera)).json()
        nobody = await otto.post(ASK, json={"scope": "agents:write", "user_id": "user_x"})
    about_otto = {"scope": "agents:write", "user_id": owner.user.id}
    async with calling(house, viewer.access_token) as vera:
        refused = await vera.post(ASK, json=about_otto)

    assert (answer["allowed"], answer["reason"]) == (False, "role viewer in this tenant")
    assert nobody.status_code == 404
    assert refused.status_code == 403


async def test_a_key_asks_about_itself(house: House, owner: SignedIn) -> None:
    async with calling(house, owner.access_token) as otto:
        body = {"name": "program", "permissions": ["agents:read"]}
        key = (await otto.post("/api/v1/keys", json=body)).json()["api_key"]
    async with calling(house, key) as program:
        reading = (await program.post(ASK, json={"scope": "agents:read"})).json()
        writing = (await program.post(ASK, json={"scope": "agents:write"})).json()

    assert (reading["allowed"], writing["allowed"]) == (True, False)
    assert reading["reason"] == "permissions of the key"


async def test_an_agent_that_is_not_there_and_an_unknown_scope_are_told(
    house: House, owner: SignedIn
) -> None:
    async with calling(house, owner.access_token) as otto:
        agent = await otto.post(ASK, json={"scope": "agents:read", "agent_id": "agent_x"})
        scope = await otto.post(ASK, json={"scope": "agents:fly"})

    assert agent.status_code == 404
    assert scope.status_code == 422
    assert "agents:write" in scope.json()["hint"]


async def test_an_admin_of_the_server_may_do_everything_everywhere(
    house: House, admin: httpx2.AsyncClient, owner: SignedIn
) -> None:
    headers = {"X-Longhouse-Tenant": owner.memberships[0].tenant_id}

    answer = (await admin.post(ASK, json={"scope": "tenant:transfer"}, headers=headers)).json()

    assert (answer["allowed"], answer["reason"]) == (True, "admin of the server")
