"""The first user: by the one-time link, and by the command line."""

import asyncio

import httpx2
import pytest
from tests.fixtures_server import ADMIN, HERE, PASSWORD, quick_passwords

from longhouse.identity.accounts import NewUser
from longhouse.identity.errors import NameTaken
from longhouse.identity.models import SystemRole
from longhouse.identity.passwords import NOBODY, Passwords
from longhouse.identity.service.first_run import setup_url
from longhouse.kit.clock import ManualClock
from longhouse.kit.errors import InvalidInput
from longhouse.kit.settings import Settings
from longhouse.server.house import House, create_admin


async def set_up(
    client: httpx2.AsyncClient, token: str | None, **changes: object
) -> httpx2.Response:
    return await client.post("/api/v1/setup", json={"token": token, **ADMIN, **changes})


async def is_needed(client: httpx2.AsyncClient) -> bool:
    needed: bool = (await client.get("/api/v1/setup")).json()["needed"]
    return needed


class TestOneTimeLink:
    async def test_the_link_makes_an_admin_who_owns_the_default_tenant_and_is_signed_in(
        self, house: House, client: httpx2.AsyncClient
    ) -> None:
        before = await is_needed(client)

        answer = await set_up(client, await house.identity.first_run.new_token())

        assert before
        assert not await is_needed(client)
        assert answer.status_code == 201
        tokens = answer.json()
        assert tokens["user"]["role"] == "admin"
        assert [(one["name"], one["role"]) for one in tokens["tenants"]] == [("default", "owner")]
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}
        assert (await client.get("/api/v1/auth/me", headers=bearer)).status_code == 200

    async def test_the_link_works_once_only(self, house: House, client: httpx2.AsyncClient) -> None:
        token = await house.identity.first_run.new_token()
        await set_up(client, token)

        again = await set_up(client, token, username="Eve", email="eve@example.org")

        assert again.status_code == 409

    async def test_of_several_who_use_the_link_at_once_one_becomes_admin(
        self, house: House, client: httpx2.AsyncClient
    ) -> None:
        token = await house.identity.first_run.new_token()
        assert token is not None
        people = [
            NewUser(
                username=f"user{number}",
                password=PASSWORD,
                email=f"user{number}@example.org",
                display_name="Somebody",
            )
            for number in range(4)
        ]

        ends = await asyncio.gather(
            *(house.identity.first_run.set_up(token, new, origin=HERE) for new in people),
            return_exceptions=True,
        )

        assert sum(not isinstance(end, BaseException) for end in ends) == 1

    async def test_a_new_link_replaces_the_one_before(
        self, house: House, client: httpx2.AsyncClient
    ) -> None:
        old = await house.identity.first_run.new_token()
        new = await house.identity.first_run.new_token()

        assert (await set_up(client, old)).status_code == 403
        assert (await set_up(client, new)).status_code == 201

    async def test_the_link_ends_after_a_day(
        self, house: House, client: httpx2.AsyncClient, house_clock: ManualClock
    ) -> None:
        token = await house.identity.first_run.new_token()
        house_clock.advance(86_400)

        answer = await set_up(client, token)

        assert answer.status_code == 403
        assert answer.json()["code"] == "setup-link-invalid"

    async def test_there_is_no_link_once_there_is_a_user(
        self, house: House, admin: httpx2.AsyncClient
    ) -> None:
        assert await house.identity.first_run.new_token() is None

    async def test_an_account_that_will_not_do_names_each_field_and_keeps_the_link(
        self, house: House, client: httpx2.AsyncClient
    ) -> None:
        token = await house.identity.first_run.new_token()

        wrong = await set_up(
            client, token, username="a b", password="short", email="nowhere", display_name=" "
        )
        right = await set_up(client, token)

        assert wrong.status_code == 422
        fields = [error["field"] for error in wrong.json()["errors"]]
        assert fields == ["username", "password", "email", "display_name"]
        assert "short" not in wrong.text, "a problem does not repeat a password"
        assert right.status_code == 201

    def test_the_token_is_in_the_fragment_which_no_server_gets_to_see(self) -> None:
        assert setup_url("https://house.example", "abc") == "https://house.example/setup#token=abc"


class TestCommandLine:
    def account(self, **changes: str) -> NewUser:
        return NewUser(**(ADMIN | changes))

    async def test_create_admin_makes_a_user_who_can_sign_in(
        self, house_settings: Settings, house: House, client: httpx2.AsyncClient
    ) -> None:
        user = await create_admin(house_settings, self.account())

        assert user.role is SystemRole.ADMIN
        assert not await is_needed(client)
        signed_in = await house.identity.logins.login("Ada", PASSWORD, origin=HERE)
        assert [place.tenant_name for place in signed_in.memberships] == ["default"]

    async def test_a_second_admin_joins_the_same_tenant(
        self, house_settings: Settings, house: House, admin: httpx2.AsyncClient
    ) -> None:
        await create_admin(house_settings, self.account(username="Eve", email="eve@example.org"))

        signed_in = await house.identity.logins.login("eve", PASSWORD, origin=HERE)

        me = (await admin.get("/api/v1/auth/me")).json()
        assert [place.tenant_id for place in signed_in.memberships] == [me["tenant"]["id"]]

    async def test_a_name_that_is_taken_in_any_case_is_refused_with_the_field(
        self, house_settings: Settings, admin: httpx2.AsyncClient
    ) -> None:
        with pytest.raises(NameTaken) as refused:
            await create_admin(house_settings, self.account(username="ADA", email="x@example.org"))

        assert refused.value.fields["errors"] == [
            {"field": "username", "message": "Another user has this already."}
        ]

    async def test_of_two_who_take_one_name_at_once_one_gets_it(
        self, house_settings: Settings, house: House
    ) -> None:
        ends = await asyncio.gather(
            *(create_admin(house_settings, self.account()) for _ in range(2)),
            return_exceptions=True,
        )

        assert sorted(type(end).__name__ for end in ends) == ["NameTaken", "User"]

    async def test_a_password_that_is_too_short_is_refused(self, house_settings: Settings) -> None:
        with pytest.raises(InvalidInput):
            await create_admin(house_settings, self.account(password="1234567"))


class TestPasswords:
    async def test_the_right_password_is_recognised_and_the_hash_tells_nothing(self) -> None:
        passwords = quick_passwords()

        stored = await passwords.hash(PASSWORD)

        assert stored.startswith("$argon2id$")
        assert PASSWORD not in stored
        assert await passwords.verify(stored, PASSWORD)
        assert not await passwords.verify(stored, "another")
        assert not await passwords.verify(None, PASSWORD)

    async def test_what_an_unknown_name_is_compared_with_costs_the_same(self) -> None:
        stored = await Passwords().hash(PASSWORD)

        assert NOBODY.split("$")[:4] == stored.split("$")[:4]
        assert [len(part) for part in NOBODY.split("$")[4:]] == [
            len(part) for part in stored.split("$")[4:]
        ]
