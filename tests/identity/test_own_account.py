"""One's own account over HTTP: password, logins, registration."""

import asyncio
from typing import Any

import httpx2
import pytest
from tests.fixtures_server import HERE, PASSWORD, add_user, calling
from tests.patience import PATIENCE

from longhouse.identity.service.issuing import SignedIn
from longhouse.kit.clock import ManualClock
from longhouse.server.house import House

NEW = "a new password"


@pytest.fixture
async def eve(house: House, admin: httpx2.AsyncClient) -> SignedIn:
    """A user with a tenant, who is no admin of the server."""
    return await add_user(house, "eve", tenant="theirs")


async def sign_in(client: httpx2.AsyncClient, name: str, password: str) -> httpx2.Response:
    answer = await client.post("/api/v1/auth/login", json={"username": name, "password": password})
    client.cookies.clear()
    return answer


async def change_password(client: httpx2.AsyncClient, old: str, new: str) -> httpx2.Response:
    return await client.put(
        "/api/v1/auth/password", json={"current_password": old, "new_password": new}
    )


class TestPassword:
    async def test_a_new_password_ends_every_login_and_begins_one(
        self, house: House, eve: SignedIn, client: httpx2.AsyncClient
    ) -> None:
        elsewhere = (await sign_in(client, "eve", PASSWORD)).json()["access_token"]
        async with calling(house, eve.access_token) as here:
            changed = await change_password(here, PASSWORD, NEW)
            after = await here.get("/api/v1/auth/me")
        async with calling(house, elsewhere) as there:
            other = await there.get("/api/v1/auth/me")
        async with calling(house, changed.json()["access_token"]) as fresh:
            again = await fresh.get("/api/v1/auth/me")

        assert changed.status_code == 200
        assert [after.status_code, other.status_code, again.status_code] == [401, 401, 200]
        assert (await sign_in(client, "eve", PASSWORD)).status_code == 401
        assert (await sign_in(client, "eve", NEW)).status_code == 200

    async def test_what_is_open_ends(self, house: House, eve: SignedIn) -> None:
        identity = house.identity
        principal = await identity.authentication.principal(
            eve.access_token, tenant_id=None, origin=HERE
        )

        async with (
            asyncio.timeout(PATIENCE),
            identity.liveness.watched(principal) as over,
            calling(house, eve.access_token) as here,
        ):
            await change_password(here, PASSWORD, NEW)
            await over.wait()

    async def test_a_wrong_present_password_changes_nothing_and_is_slowed_down(
        self, house: House, eve: SignedIn, admin: httpx2.AsyncClient
    ) -> None:
        async with calling(house, eve.access_token) as here:
            answers = [await change_password(here, "guess", NEW) for _ in range(6)]
            still = await here.get("/api/v1/auth/me")

        assert [answer.status_code for answer in answers] == [403] * 5 + [429]
        assert answers[0].json()["code"] == "wrong-password"
        assert still.status_code == 200
        params = {"server": "true", "action": "password.changed"}
        entries = (await admin.get("/api/v1/audit", params=params)).json()["items"]
        assert [entry["outcome"] for entry in entries] == ["refused"] * 5

    async def test_a_new_password_that_will_not_do_is_refused(
        self, house: House, eve: SignedIn
    ) -> None:
        async with calling(house, eve.access_token) as here:
            answer = await change_password(here, PASSWORD, "short")

        assert answer.status_code == 422
        assert "short" not in answer.text

    async def test_a_sign_in_that_was_under_way_with_the_old_password_does_not_survive(
        self, house: House, eve: SignedIn, client: httpx2.AsyncClient
    ) -> None:
        for number in range(5):
            old, new = (PASSWORD, NEW) if number % 2 == 0 else (NEW, PASSWORD)
            token = (await sign_in(client, "eve", old)).json()["access_token"]
            async with calling(house, token) as here:
                signed_in, changed = await asyncio.gather(
                    sign_in(client, "eve", old), change_password(here, old, new)
                )

            assert changed.status_code == 200, changed.text
            if signed_in.status_code == 200:
                async with calling(house, signed_in.json()["access_token"]) as late:
                    assert (await late.get("/api/v1/auth/me")).status_code == 401


class TestLogins:
    async def test_one_sees_where_one_is_signed_in(
        self, house: House, eve: SignedIn, client: httpx2.AsyncClient, house_clock: ManualClock
    ) -> None:
        house_clock.advance(60)
        headers = {"user-agent": "a phone"}
        body = {"username": "eve", "password": PASSWORD}
        await client.post("/api/v1/auth/login", json=body, headers=headers)
        async with calling(house, eve.access_token) as here:
            items = (await here.get("/api/v1/auth/logins")).json()["items"]

        assert [(login["current"], login["user_agent"]) for login in items] == [
            (False, "a phone"),
            (True, "tests"),
        ]
        assert items[0]["address"] == "127.0.0.1"
        assert items[0]["created_at"] > items[1]["created_at"]

    async def test_one_login_is_ended_and_the_others_go_on(
        self, house: House, eve: SignedIn, client: httpx2.AsyncClient
    ) -> None:
        phone = (await sign_in(client, "eve", PASSWORD)).json()["access_token"]
        async with calling(house, eve.access_token) as here, calling(house, phone) as there:
            items = (await here.get("/api/v1/auth/logins")).json()["items"]
            other = next(login["id"] for login in items if not login["current"])
            ended = await here.delete(f"/api/v1/auth/logins/{other}")

            assert ended.status_code == 204
            assert (await there.get("/api/v1/auth/me")).status_code == 401
            assert (await here.get("/api/v1/auth/me")).status_code == 200
            assert len((await here.get("/api/v1/auth/logins")).json()["items"]) == 1
            assert (await here.delete(f"/api/v1/auth/logins/{other}")).status_code == 404

    async def test_all_other_logins_are_ended_at_once(
        self, house: House, eve: SignedIn, client: httpx2.AsyncClient
    ) -> None:
        others = [(await sign_in(client, "eve", PASSWORD)).json() for _ in range(3)]
        async with calling(house, eve.access_token) as here:
            ended = await here.delete("/api/v1/auth/logins")
            mine = await here.get("/api/v1/auth/me")
        for other in others:
            async with calling(house, other["access_token"]) as there:
                assert (await there.get("/api/v1/auth/me")).status_code == 401

        assert ended.status_code == 204
        assert mine.status_code == 200

    async def test_the_logins_of_others_are_out_of_reach(
        self, house: House, eve: SignedIn, admin: httpx2.AsyncClient
    ) -> None:
        theirs = (await admin.get("/api/v1/auth/logins")).json()["items"][0]["id"]
        async with calling(house, eve.access_token) as here:
            answers = [
                await here.delete(f"/api/v1/auth/logins/{one}") for one in (theirs, "login_x")
            ]

        assert [answer.status_code for answer in answers] == [404, 404]
        assert (await admin.get("/api/v1/auth/me")).status_code == 200


GRACE = {"email": "grace@example.org", "password": PASSWORD, "name": "Grace Hopper"}


class TestRegistration:
    async def test_it_is_closed_unless_an_operator_opens_it(
        self, client: httpx2.AsyncClient
    ) -> None:
        answer = await client.post("/api/v1/auth/register", json=GRACE)

        assert answer.status_code == 403
        assert answer.json()["code"] == "registration-closed"


class TestOpenRegistration(TestRegistration):
    @pytest.fixture
    def house_sets(self) -> dict[str, object]:
        return {"self_registration": True}

    async def test_it_is_closed_unless_an_operator_opens_it(
        self, client: httpx2.AsyncClient
    ) -> None:
        answer = await client.post("/api/v1/auth/register", json=GRACE)

        assert answer.status_code == 201

    async def test_who_registers_has_a_tenant_of_their_own_to_work_in(
        self, client: httpx2.AsyncClient
    ) -> None:
        await client.post("/api/v1/auth/register", json=GRACE)

        tokens = (await sign_in(client, "grace@example.org", PASSWORD)).json()

        assert tokens["user"]["role"] == "user"
        assert tokens["user"]["display_name"] == "Grace Hopper"
        assert [(one["name"], one["role"]) for one in tokens["tenants"]] == [("grace", "owner")]
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}
        posts = await client.get("/api/v1/posts", headers=bearer)
        assert len(posts.json()["items"]) == 2

    async def test_the_answer_does_not_tell_whether_an_address_is_known(
        self, client: httpx2.AsyncClient
    ) -> None:
        first = await client.post("/api/v1/auth/register", json=GRACE)
        other = GRACE | {"password": "of somebody else", "email": "GRACE@example.org"}
        second = await client.post("/api/v1/auth/register", json=other)

        assert first.status_code == second.status_code == 201
        assert first.json() | {"email": ""} == second.json() | {"email": ""}
        assert (await sign_in(client, GRACE["email"], PASSWORD)).status_code == 200
        wrong = await sign_in(client, GRACE["email"], "of somebody else")
        assert wrong.status_code == 401

    async def test_two_people_with_one_name_get_along(self, client: httpx2.AsyncClient) -> None:
        await client.post("/api/v1/auth/register", json=GRACE)
        other = GRACE | {"email": "grace@elsewhere.org"}
        await client.post("/api/v1/auth/register", json=other)

        tokens = (await sign_in(client, "grace@elsewhere.org", PASSWORD)).json()

        assert tokens["user"]["username"].startswith("grace-")
        assert tokens["tenants"][0]["name"].startswith("grace-")

    async def test_registering_one_address_eight_times_at_once_makes_one_account(
        self, client: httpx2.AsyncClient
    ) -> None:
        bodies = [GRACE | {"name": f"Grace {number}"} for number in range(5)]

        answers = await asyncio.gather(
            *(client.post("/api/v1/auth/register", json=body) for body in bodies)
        )

        assert {answer.status_code for answer in answers} <= {201, 429}
        assert (await sign_in(client, GRACE["email"], PASSWORD)).status_code == 200

    @pytest.mark.parametrize(
        "change", [{"email": "nowhere"}, {"password": "short"}, {"name": "x" * 300}]
    )
    async def test_an_account_that_will_not_do_is_refused(
        self, client: httpx2.AsyncClient, change: dict[str, Any]
    ) -> None:
        answer = await client.post("/api/v1/auth/register", json=GRACE | change)

        assert answer.status_code == 422

    async def test_an_address_that_registers_without_end_is_slowed_down(
        self, client: httpx2.AsyncClient
    ) -> None:
        answers = [
            await client.post(
                "/api/v1/auth/register", json=GRACE | {"email": f"u{number}@example.org"}
            )
            for number in range(31)
        ]

        assert [answer.status_code for answer in answers] == [201] * 30 + [429]
