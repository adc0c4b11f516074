"""Users, as the admins of the server manage them over HTTP."""

import asyncio
from typing import Any

import httpx2
import pytest
from tests.fixtures_server import ADMIN, HERE, PASSWORD, add_user, calling
from tests.patience import PATIENCE

from longhouse.identity.service.issuing import SignedIn
from longhouse.server.house import House

USERS = "/api/v1/users"
GRACE = {
    "username": "Grace",
    "password": "a password of Grace",
    "email": "grace@example.org",
    "display_name": "Grace Hopper",
}


async def make(client: httpx2.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post(USERS, json=GRACE | changes)
    assert answer.status_code == 201, answer.text
    user: dict[str, Any] = answer.json()
    return user


async def sign_in(client: httpx2.AsyncClient, name: str, password: str) -> httpx2.Response:
    return await client.post("/api/v1/auth/login", json={"username": name, "password": password})


@pytest.fixture
async def eve(house: House, admin: httpx2.AsyncClient) -> SignedIn:
    """A user with a tenant, who is no admin of the server."""
    return await add_user(house, "eve", tenant="theirs")


class TestMaking:
    async def test_a_new_user_signs_in(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        made = await make(admin)

        signed_in = await sign_in(client, "grace", GRACE["password"])

        assert made["role"] == "user"
        assert made["active"] is True
        assert signed_in.json()["user"] == made
        assert signed_in.json()["tenants"] == []

    async def test_somebody_without_a_tenant_can_still_sign_out(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        await make(admin)
        token = (await sign_in(client, "grace", GRACE["password"])).json()["access_token"]
        headers = {"authorization": f"Bearer {token}"}

        assert (await client.get("/api/v1/posts", headers=headers)).json()["code"] == "no-tenant"
        assert (await client.post("/api/v1/auth/logout", headers=headers)).status_code == 204
        assert (await client.get("/api/v1/auth/logins", headers=headers)).status_code == 401

    async def test_names_and_addresses_are_taken_once_in_any_case(
        self, admin: httpx2.AsyncClient
    ) -> None:
        await make(admin)

        name = await admin.post(USERS, json=GRACE | {"username": "GRACE", "email": "x@x.org"})
        address = await admin.post(
            USERS, json=GRACE | {"username": "other", "email": "GRACE@example.org"}
        )

        assert name.status_code == address.status_code == 409
        assert name.json()["errors"][0]["field"] == "username"
        assert address.json()["errors"][0]["field"] == "email"

    async def test_of_eight_who_take_one_name_at_once_one_gets_it(
        self, admin: httpx2.AsyncClient
    ) -> None:
        answers = await asyncio.gather(*(admin.post(USERS, json=GRACE) for _ in range(8)))

        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7

    async def test_an_account_that_will_not_do_names_each_field(
        self, admin: httpx2.AsyncClient
    ) -> None:
        answer = await admin.post(USERS, json=GRACE | {"password": "short", "email": "nowhere"})

        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == ["password", "email"]


class TestSeeing:
    async def test_admins_list_search_and_filter(
        self, admin: httpx2.AsyncClient, eve: SignedIn
    ) -> None:
        await make(admin, active=False)

        everybody = (await admin.get(USERS)).json()["items"]
        found = (await admin.get(USERS, params={"search": "HOPPER"})).json()["items"]
        admins = (await admin.get(USERS, params={"role": "admin"})).json()["items"]
        inactive = (await admin.get(USERS, params={"active": "false"})).json()["items"]
        first = (await admin.get(USERS, params={"limit": 2})).json()
        second = (await admin.get(USERS, params={"after": first["next"]})).json()

        assert [user["username"] for user in everybody] == ["Grace", "eve", "Ada"]
        assert [user["username"] for user in found] == ["Grace"]
        assert [user["username"] for user in admins] == ["Ada"]
        assert [user["username"] for user in inactive] == ["Grace"]
        assert [user["username"] for user in second["items"]] == ["Ada"]
        assert all("password" not in user for user in everybody)

    async def test_others_see_nobody_but_themselves(
        self, house: House, admin: httpx2.AsyncClient, eve: SignedIn
    ) -> None:
        ada = (await admin.get("/api/v1/auth/me")).json()["user"]["id"]
        async with calling(house, eve.access_token) as client:
            answers = {
                "list": await client.get(USERS),
                "other": await client.get(f"{USERS}/{ada}"),
                "missing": await client.get(f"{USERS}/user_missing"),
                "own": await client.get(f"{USERS}/{eve.user.id}"),
                "making": await client.post(USERS, json=GRACE),
                "changing": await client.patch(f"{USERS}/{eve.user.id}", json={"role": "admin"}),
                "deleting": await client.delete(f"{USERS}/{ada}"),
            }

        assert {name: answer.status_code for name, answer in answers.items()} == {
            "list": 403,
            "other": 404,
            "missing": 404,
            "own": 200,
            "making": 403,
            "changing": 403,
            "deleting": 403,
        }


class TestChanging:
    async def test_what_is_given_changes_and_the_rest_stays(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        there = f"{USERS}/{(await make(admin))['id']}"

        changed = await admin.patch(there, json={"username": "amazing", "email": "a@example.org"})
        empty = await admin.patch(there, json={"display_name": " "})
        taken = await admin.patch(there, json={"username": ADMIN["username"]})
        same = await admin.patch(there, json={"username": "Amazing"})

        assert changed.json()["username"] == "amazing"
        assert changed.json()["display_name"] == "Grace Hopper"
        assert empty.status_code == 422
        assert taken.status_code == 409
        assert same.status_code == 200
        assert (await sign_in(client, "a@example.org", GRACE["password"])).status_code == 200

    @pytest.mark.parametrize(
        "change", [{"active": False}, {"role": "admin"}, {"password": "another password"}, None]
    )
    async def test_what_somebody_has_open_ends_and_their_tokens_with_it(
        self,
        house: House,
        admin: httpx2.AsyncClient,
        eve: SignedIn,
        change: dict[str, Any] | None,
    ) -> None:
        there = f"{USERS}/{eve.user.id}"
        identity = house.identity
        principal = await identity.authentication.principal(
            eve.access_token, tenant_id=None, origin=HERE
        )

        async with asyncio.timeout(PATIENCE), identity.liveness.watched(principal) as over:
            if change is None:
                answer = await admin.delete(there)
            else:
                answer = await admin.patch(there, json=change)
            assert answer.is_success, answer.text
            await over.wait()

        async with calling(house, eve.access_token) as client:
            by_token = await client.get("/api/v1/auth/me")
            by_body = await client.post(
                "/api/v1/auth/refresh", json={"refresh_token": eve.refresh_token}
            )
            client.cookies.set("longhouse_refresh", eve.refresh_token, path="/api/v1/auth")
            by_cookie = await client.post("/api/v1/auth/refresh")
        refused = [by_token.status_code, by_body.status_code, by_cookie.status_code]
        assert refused == [401] * 3

    async def test_who_is_activated_again_signs_in_again(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient, eve: SignedIn
    ) -> None:
        there = f"{USERS}/{eve.user.id}"
        await admin.patch(there, json={"active": False})
        refused = await sign_in(client, "eve", PASSWORD)
        await admin.patch(there, json={"active": True})

        assert refused.status_code == 401
        assert (await sign_in(client, "eve", PASSWORD)).status_code == 200

    async def test_a_user_that_is_not_there_is_told(self, admin: httpx2.AsyncClient) -> None:
        there = f"{USERS}/user_missing"

        assert (await admin.patch(there, json={"active": False})).status_code == 404
        assert (await admin.delete(there)).status_code == 404


class TestLastAdmin:
    @pytest.mark.parametrize("change", [{"active": False}, {"role": "user"}, None])
    async def test_the_server_keeps_an_active_admin(
        self, admin: httpx2.AsyncClient, change: dict[str, Any] | None
    ) -> None:
        there = f"{USERS}/{(await admin.get('/api/v1/auth/me')).json()['user']['id']}"
        await make(admin, role="admin", active=False)

        answer = await (admin.delete(there) if change is None else admin.patch(there, json=change))

        assert answer.status_code == 409
        assert answer.json()["code"] == "last-admin"
        assert (await admin.get(there)).json()["role"] == "admin"

    async def test_of_two_admins_who_step_down_at_once_one_stays(
        self, house: House, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        ada = (await admin.get("/api/v1/auth/me")).json()["user"]["id"]
        grace = (await make(admin, role="admin"))["id"]
        token = (await sign_in(client, "grace", GRACE["password"])).json()["access_token"]
        async with calling(house, token) as other:
            answers = await asyncio.gather(
                admin.patch(f"{USERS}/{grace}", json={"role": "user"}),
                other.patch(f"{USERS}/{ada}", json={"role": "user"}),
            )

        # The one who comes second is refused: they are the last, or no admin any more.
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses in ([200, 401], [200, 403], [200, 409])


async def test_every_change_is_told_to_the_audit(admin: httpx2.AsyncClient) -> None:
    made = await make(admin)
    await admin.patch(f"{USERS}/{made['id']}", json={"password": "another password"})
    await admin.delete(f"{USERS}/{made['id']}")

    params = {"server": "true", "target": made["id"]}
    entries = (await admin.get("/api/v1/audit", params=params)).json()["items"]
    assert [entry["action"] for entry in entries] == [
        "user.deleted",
        "user.changed",
        "user.created",
    ]
