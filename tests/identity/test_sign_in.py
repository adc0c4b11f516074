"""Signing in, staying signed in, and signing out, over HTTP."""

import asyncio
import base64
import json
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from sqlalchemy import update
from tests.fixtures_server import ADMIN, PASSWORD, add_user, calling

from longhouse.identity.auth import CREDENTIALS_TOPIC
from longhouse.identity.models import logins, users
from longhouse.kit.clock import ManualClock
from longhouse.server.house import House
from longhouse.server.keys import signing_keys


async def sign_in(
    client: httpx2.AsyncClient, name: str = "Ada", password: str = PASSWORD
) -> httpx2.Response:
    return await client.post("/api/v1/auth/login", json={"username": name, "password": password})


async def tokens_of(client: httpx2.AsyncClient) -> dict[str, Any]:
    answer = await sign_in(client)
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    client.cookies.clear()
    return tokens


def code_of(answer: httpx2.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    code: str = answer.json()["code"]
    return code


async def status_with(client: httpx2.AsyncClient, token: str) -> int:
    answer = await client.get("/api/v1/auth/me", headers={"authorization": f"Bearer {token}"})
    return answer.status_code


class TestPassword:
    async def test_a_user_signs_in_by_username_and_by_address_in_any_case(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        by_name = await sign_in(client, " ADA ")
        by_address = await sign_in(client, "ada@EXAMPLE.org")

        assert by_name.status_code == by_address.status_code == 200
        assert by_name.json()["user"]["username"] == "Ada"
        assert by_name.json()["tenants"][0]["role"] == "owner"
        assert by_name.json()["token_type"] == "bearer"

    async def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        wrong = await sign_in(client, password="not the password")
        unknown = await sign_in(client, name="nobody")

        assert wrong.status_code == unknown.status_code == 401
        problems = [wrong.json(), unknown.json()]
        for problem in problems:
            del problem["request_id"]
        assert problems[0] == problems[1]
        assert problems[0]["code"] == "wrong-credentials"

    async def test_a_name_with_a_nul_character_is_an_unknown_name(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        answer = await sign_in(client, name="Ada\x00")

        assert code_of(answer) == "wrong-credentials"

    async def test_a_deactivated_user_cannot_sign_in_and_loses_what_is_open(
        self, house: House, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        await house.database.write(lambda conn: conn.execute(update(users).values(active=False)))

        assert (await sign_in(client)).status_code == 401
        assert (await admin.get("/api/v1/auth/me")).status_code == 401

    async def test_after_some_wrong_passwords_the_account_has_to_wait(
        self, house_clock: ManualClock, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        for _ in range(5):
            assert (await sign_in(client, password="guess")).status_code == 401

        slowed = await sign_in(client)
        by_address = await sign_in(client, name=ADMIN["email"])
        house_clock.advance(slowed.json()["retry_after"])
        later = await sign_in(client)

        assert slowed.status_code == 429
        assert int(slowed.headers["retry-after"]) >= 1
        assert by_address.status_code == 429, "it is the same account"
        assert later.status_code == 200


class TestAccessToken:
    async def test_me_tells_user_tenant_and_role(self, admin: httpx2.AsyncClient) -> None:
        answer = await admin.get("/api/v1/auth/me")

        assert answer.status_code == 200
        me = answer.json()
        assert me["user"]["email"] == ADMIN["email"]
        assert me["user"]["role"] == "admin"
        assert me["tenant"] == me["tenants"][0]
        assert me["tenant"]["name"] == "default"
        assert "password" not in answer.text

    async def test_an_expired_token_is_refused_and_says_that_it_expired(
        self, house_clock: ManualClock, admin: httpx2.AsyncClient
    ) -> None:
        house_clock.advance(899)
        before = await admin.get("/api/v1/auth/me")
        house_clock.advance(1)
        after = await admin.get("/api/v1/auth/me")

        assert before.status_code == 200
        assert after.status_code == 401
        assert code_of(after) == "token-expired"
        assert after.headers["www-authenticate"] == "Bearer"

    async def test_no_token_is_refused(self, client: httpx2.AsyncClient) -> None:
        answer = await client.get("/api/v1/auth/me")

        assert answer.status_code == 401
        assert "hint" in answer.json()

    @pytest.mark.parametrize("token", ["x", "a.b.c", "....", "é", "ey" * 3000])
    async def test_what_is_no_token_is_refused(
        self, client: httpx2.AsyncClient, token: str
    ) -> None:
        answer = await client.get(
            "/api/v1/auth/me", headers={b"authorization": f"Bearer {token}".encode()}
        )

        assert code_of(answer) == "token-invalid"

    async def test_a_changed_token_is_refused(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        header, payload, signature = (await tokens_of(client))["access_token"].split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        claims["exp"] += 10**6
        longer = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

        assert await status_with(client, f"{header}.{payload}.{signature}") == 200
        assert await status_with(client, f"{header}.{longer}.{signature}") == 401
        assert await status_with(client, f"{header}.{payload}.{signature[:-4]}AAAA") == 401

    async def test_a_token_that_names_no_algorithm_is_refused(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        _, payload, signature = (await tokens_of(client))["access_token"].split(".")
        header = {"alg": "none", "typ": "at+jwt"}
        none = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")

        assert await status_with(client, f"{none}.{payload}.") == 401
        assert await status_with(client, f"{none}.{payload}.{signature}") == 401

    async def test_a_token_of_the_same_key_for_another_purpose_is_refused(
        self, house: House, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        tokens = await tokens_of(client)
        key = OctKey.import_key(signing_keys(house.settings).newest_first()[0])
        header, claims = (
            json.loads(base64.urlsafe_b64decode(part + "=="))
            for part in tokens["access_token"].split(".")[:2]
        )
        assert await status_with(client, jwt.encode(header, claims, key)) == 200

        other_type = jwt.encode(header | {"typ": "other"}, dict(claims), key)
        no_expiry = jwt.encode(
            header, {name: value for name, value in claims.items() if name != "exp"}, key
        )
        text_expiry = jwt.encode(header, claims | {"exp": "9" * 12}, key)

        assert await status_with(client, other_type) == 401
        assert await status_with(client, no_expiry) == 401
        assert await status_with(client, text_expiry) == 401

    async def test_a_token_carries_no_rights(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        payload = (await tokens_of(client))["access_token"].split(".")[1]

        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))

        assert set(claims) == {"sub", "sid", "iat", "exp"}


class TestRefresh:
    async def test_a_refresh_gives_new_tokens_that_work(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient, house_clock: ManualClock
    ) -> None:
        first = await tokens_of(client)
        house_clock.advance(901)

        answer = await client.post(
            "/api/v1/auth/refresh", json={"refresh_token": first["refresh_token"]}
        )

        assert answer.status_code == 200
        second = answer.json()
        assert second["refresh_token"] != first["refresh_token"]
        assert second["user"] == first["user"]
        assert await status_with(client, second["access_token"]) == 200

    async def test_an_old_refresh_token_ends_the_whole_login_however_old_it_is(
        self, house: House, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        first = await tokens_of(client)
        newest = first
        for _ in range(3):
            answer = await client.post(
                "/api/v1/auth/refresh", json={"refresh_token": newest["refresh_token"]}
            )
            newest = answer.json()
        client.cookies.clear()

        with house.bus.subscribe(CREDENTIALS_TOPIC) as streams:
            stolen = await client.post(
                "/api/v1/auth/refresh", json={"refresh_token": first["refresh_token"]}
            )
            rung = await streams.next(timeout=0)

        assert code_of(stolen) == "refresh-refused"
        assert rung is not None, "open streams of the login end"
        assert await status_with(client, newest["access_token"]) == 401
        again = await client.post(
            "/api/v1/auth/refresh", json={"refresh_token": newest["refresh_token"]}
        )
        assert again.status_code == 401

    async def test_a_browser_refreshes_by_a_cookie_that_scripts_cannot_read(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        signed_in = await sign_in(client)

        refreshed = await client.post("/api/v1/auth/refresh")

        cookie = signed_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Path=/api/v1/auth" in cookie
        assert "Secure" not in cookie, "the public address is plain http"
        assert refreshed.status_code == 200

    @pytest.mark.parametrize("token", ["", "x", "lhr_", "lhr_" + "A" * 64, "lhr_" + "é" * 64])
    async def test_what_is_no_refresh_token_is_refused(
        self, client: httpx2.AsyncClient, token: str
    ) -> None:
        answer = await client.post("/api/v1/auth/refresh", json={"refresh_token": token})

        assert code_of(answer) == "refresh-refused"

    async def test_two_tabs_that_use_one_token_at_once_get_the_same_answer(
        self, house: House, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        first = {"refresh_token": (await tokens_of(client))["refresh_token"]}

        answers = await asyncio.gather(
            *(client.post("/api/v1/auth/refresh", json=first) for _ in range(4))
        )

        assert [answer.status_code for answer in answers] == [200] * 4
        assert len({answer.json()["refresh_token"] for answer in answers}) == 1
        assert await status_with(client, answers[0].json()["access_token"]) == 200

    async def test_a_token_that_was_used_a_while_ago_is_stolen(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient, house_clock: ManualClock
    ) -> None:
        first = {"refresh_token": (await tokens_of(client))["refresh_token"]}
        newest = (await client.post("/api/v1/auth/refresh", json=first)).json()
        client.cookies.clear()

        house_clock.advance(10)
        in_time = await client.post("/api/v1/auth/refresh", json=first)
        client.cookies.clear()
        house_clock.advance(1)
        too_late = await client.post("/api/v1/auth/refresh", json=first)

        assert in_time.status_code == 200
        assert too_late.status_code == 401
        assert await status_with(client, newest["access_token"]) == 401

    async def test_a_token_before_the_last_is_stolen_however_young_it_is(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        first = {"refresh_token": (await tokens_of(client))["refresh_token"]}
        second = (await client.post("/api/v1/auth/refresh", json=first)).json()
        await client.post("/api/v1/auth/refresh", json={"refresh_token": second["refresh_token"]})
        client.cookies.clear()

        answer = await client.post("/api/v1/auth/refresh", json=first)

        assert code_of(answer) == "refresh-refused"

    async def test_a_refresh_without_any_token_is_refused(self, client: httpx2.AsyncClient) -> None:
        assert (await client.post("/api/v1/auth/refresh")).status_code == 401

    async def test_a_login_that_was_not_used_for_long_is_over(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient, house_clock: ManualClock
    ) -> None:
        tokens = await tokens_of(client)
        house_clock.advance(30 * 86_400)

        answer = await client.post(
            "/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]}
        )

        assert answer.status_code == 401

    async def test_no_token_is_stored_in_clear(
        self, house: House, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        token = (await tokens_of(client))["refresh_token"].removeprefix("lhr_")

        rows = await house.database.read(lambda conn: conn.execute(logins.select()).all())

        stored = " ".join(str(value) for row in rows for value in row)
        assert token[:32] not in stored
        assert token[32:] not in stored


class TestSignOut:
    async def test_signing_out_ends_both_tokens_and_open_streams_at_once(
        self, house: House, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        tokens = await tokens_of(client)
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}

        with house.bus.subscribe(CREDENTIALS_TOPIC) as streams:
            answer = await client.post("/api/v1/auth/logout", headers=bearer)
            rung = await streams.next(timeout=0)

        assert answer.status_code == 204
        assert rung is not None
        assert await status_with(client, tokens["access_token"]) == 401
        refreshed = await client.post(
            "/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]}
        )
        assert refreshed.status_code == 401

    async def test_signing_out_here_leaves_another_login_of_the_user_alone(
        self, admin: httpx2.AsyncClient, client: httpx2.AsyncClient
    ) -> None:
        await tokens_of(client)
        await admin.post("/api/v1/auth/logout")

        elsewhere = await tokens_of(client)

        assert await status_with(client, elsewhere["access_token"]) == 200
        assert (await admin.get("/api/v1/auth/me")).status_code == 401


class TestTenant:
    async def test_a_foreign_tenant_and_a_missing_one_get_the_same_answer(
        self, house: House, admin: httpx2.AsyncClient
    ) -> None:
        foreign = (await admin.get("/api/v1/auth/me")).json()["tenant"]["id"]
        signed_in = await add_user(house, "eve", tenant="elsewhere")
        async with calling(house, signed_in.access_token) as eve:
            answers = [
                await eve.get("/api/v1/auth/me", headers={"X-Longhouse-Tenant": tenant})
                for tenant in (foreign, "tenant_missing")
            ]

        assert [answer.status_code for answer in answers] == [404, 404]
        problems = [answer.json() for answer in answers]
        for problem in problems:
            del problem["request_id"], problem["tenant"]
        assert problems[0] == problems[1]

    async def test_a_user_acts_in_the_tenant_the_header_names(
        self, house: House, admin: httpx2.AsyncClient
    ) -> None:
        signed_in = await add_user(house, "eve", tenant="elsewhere")

        async with calling(house, signed_in.access_token) as eve:
            me = await eve.get(
                "/api/v1/auth/me",
                headers={"X-Longhouse-Tenant": signed_in.memberships[0].tenant_id},
            )

        assert me.json()["tenant"]["name"] == "elsewhere"
