"""API keys: managed over HTTP, used as credentials, checked for other services."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from tests.fixtures_server import HERE, add_user, calling
from tests.patience import PATIENCE

from longhouse.identity import key_text
from longhouse.identity.models import KeyId, api_key_secrets, api_keys, audit_entries
from longhouse.identity.scopes import TenantRole
from longhouse.identity.service import key_uses
from longhouse.identity.service.key_uses import KeyUses
from longhouse.kit.clock import ManualClock
from longhouse.kit.errors import Unavailable
from longhouse.server.house import House

KEYS = "/api/v1/keys"


async def make(client: httpx2.AsyncClient, name: str = "production", **more: Any) -> dict[str, Any]:
    answer = await client.post(KEYS, json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


async def validate(client: httpx2.AsyncClient, text: str, **more: Any) -> dict[str, Any]:
    answer = await client.post(f"{KEYS}/validate", json={"api_key": text, **more})
    assert answer.status_code == 200, answer.text
    validation: dict[str, Any] = answer.json()
    return validation


@pytest.fixture
async def owner(house: House, admin: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """The owner of the tenant `theirs`, who is no admin of the server."""
    signed_in = await add_user(house, "otto", tenant="theirs")
    async with calling(house, signed_in.access_token) as client:
        yield client


async def tenant_of(client: httpx2.AsyncClient) -> str:
    tenant_id: str = (await client.get("/api/v1/auth/me")).json()["tenant"]["id"]
    return tenant_id


async def agent_of(client: httpx2.AsyncClient, name: str = "Ada") -> str:
    """A new agent of the client's tenant."""
    post = (await client.get("/api/v1/posts")).json()["items"][0]["id"]
    answer = await client.post("/api/v1/agents", json={"name": name, "post_id": post})
    assert answer.status_code == 201, answer.text
    agent_id: str = answer.json()["id"]
    return agent_id


class TestManaging:
    async def test_the_text_is_told_once_and_nowhere_else(
        self, house: House, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner, permissions=["agents:read", "chat"], description="For the shop.")
        text = made["api_key"]

        shown = await owner.get(f"{KEYS}/{made['id']}")
        listed = await owner.get(KEYS)
        stored = await house.database.read(
            lambda conn: [
                *conn.execute(select(api_keys)).all(),
                *conn.execute(select(api_key_secrets)).all(),
            ]
        )

        assert made["hint"] == text[-6:]
        assert shown.json() == {name: made[name] for name in shown.json()}
        assert "api_key" not in shown.json()
        assert text not in shown.text + listed.text
        random = key_text.parse(text)
        assert random is not None
        everything = " ".join(str(value) for row in stored for value in row)
        assert text not in everything
        assert random.random not in everything

    async def test_of_eight_who_take_one_name_at_once_one_gets_it(
        self, owner: httpx2.AsyncClient
    ) -> None:
        answers = await asyncio.gather(*(owner.post(KEYS, json={"name": "same"}) for _ in range(8)))

        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7

    async def test_two_tenants_may_use_one_name(
        self, admin: httpx2.AsyncClient, owner: httpx2.AsyncClient
    ) -> None:
        await make(admin, "same")
        await make(owner, "same")

    @pytest.mark.parametrize(
        "body",
        [
            {"name": " "},
            {"name": "x", "permissions": ["with space"]},
            {"name": "x", "permissions": ["tenant:transfer"]},
            {"name": "x", "permissions": ["a"] * 101},
            {"name": "x", "expires_at": "tomorrow"},
            {"name": "x", "secret": "mine"},
        ],
    )
    async def test_a_key_that_will_not_do_is_refused(
        self, owner: httpx2.AsyncClient, body: dict[str, Any]
    ) -> None:
        assert (await owner.post(KEYS, json=body)).status_code == 422

    async def test_a_key_for_an_agent_that_is_not_there_is_refused(
        self, house: House, admin: httpx2.AsyncClient, owner: httpx2.AsyncClient
    ) -> None:
        foreign = await agent_of(admin)

        answers = [
            await owner.post(KEYS, json={"name": "x", "agent_id": agent_id})
            for agent_id in (foreign, "agent_missing")
        ]

        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].json()["code"] == "no-such-agent"

    async def test_nobody_gives_a_key_a_scope_that_they_lack(
        self, house: House, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner, "minter", permissions=["keys:write", "agents:read"])
        async with calling(house, made["api_key"]) as program:
            more = await program.post(KEYS, json={"name": "more", "permissions": ["agents:write"]})
            same = await program.post(KEYS, json={"name": "same", "permissions": ["agents:read"]})
            raised = await program.patch(
                f"{KEYS}/{made['id']}", json={"permissions": ["keys:write", "agents:write"]}
            )

        assert more.status_code == raised.status_code == 403
        assert more.json()["scope"] == "agents:write"
        assert "This key" in more.json()["detail"]
        assert same.status_code == 201

    async def test_only_those_who_manage_a_tenant_see_and_change_its_keys(
        self, house: House, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner)
        there = f"{KEYS}/{made['id']}"
        member = await add_user(house, "mia", tenant="theirs", role=TenantRole.MEMBER)
        async with calling(house, member.access_token) as mia:
            answers = [
                await mia.get(KEYS),
                await mia.get(there),
                await mia.post(KEYS, json={"name": "mine"}),
                await mia.patch(there, json={"name": "mine"}),
                await mia.post(f"{there}/rotate"),
                await mia.post(f"{there}/disable"),
                await mia.delete(there),
                await mia.post(f"{KEYS}/validate", json={"api_key": made["api_key"]}),
            ]

        assert [answer.status_code for answer in answers] == [403] * len(answers)

    async def test_keys_of_another_tenant_are_out_of_reach(
        self, admin: httpx2.AsyncClient, owner: httpx2.AsyncClient
    ) -> None:
        there = f"{KEYS}/{(await make(admin))['id']}"

        answers = [
            await owner.get(there),
            await owner.patch(there, json={"name": "mine"}),
            await owner.post(f"{there}/rotate"),
            await owner.post(f"{there}/disable"),
            await owner.delete(there),
        ]

        assert [answer.status_code for answer in answers] == [404] * len(answers)
        assert (await owner.get(KEYS)).json() == {"items": [], "next": None}

    async def test_a_list_is_paged_and_filtered(
        self, house: House, owner: httpx2.AsyncClient
    ) -> None:
        agent_id = await agent_of(owner)
        for number in range(3):
            await make(owner, f"key {number}")
        bound = await make(owner, "bound", agent_id=agent_id)
        await owner.post(f"{KEYS}/{bound['id']}/disable")

        first = (await owner.get(KEYS, params={"limit": 3})).json()
        second = (await owner.get(KEYS, params={"after": first["next"]})).json()
        of_agent = (await owner.get(KEYS, params={"agent_id": agent_id})).json()["items"]
        disabled = (await owner.get(KEYS, params={"status": "disabled"})).json()["items"]

        names = [key["name"] for key in first["items"] + second["items"]]
        assert names == ["bound", "key 2", "key 1", "key 0"]
        assert [key["name"] for key in of_agent] == [key["name"] for key in disabled] == ["bound"]


class TestChanging:
    async def test_what_changes_counts_with_the_next_use_and_the_rest_stays(
        self, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner, permissions=["chat"], description="before")
        there = f"{KEYS}/{made['id']}"

        changed = await owner.patch(there, json={"name": "other", "permissions": ["read", "read"]})
        validation = await validate(owner, made["api_key"], required_permission="chat")

        assert changed.json()["name"] == "other"
        assert changed.json()["description"] == "before"
        assert changed.json()["permissions"] == ["read"]
        assert validation["valid"] is True
        assert validation["has_permission"] is False

    async def test_an_expiry_is_set_and_taken_away(
        self, owner: httpx2.AsyncClient, house_clock: ManualClock
    ) -> None:
        made = await make(owner, expires_at="2026-01-01T12:10:00Z")
        there = f"{KEYS}/{made['id']}"
        house_clock.advance(600)
        expired = await validate(owner, made["api_key"])

        renamed = await owner.patch(there, json={"name": "other"})
        without = await owner.patch(there, json={"expires_at": None})

        assert expired["reason"] == "expired"
        assert renamed.json()["expires_at"] is not None
        assert without.json()["expires_at"] is None
        assert (await validate(owner, made["api_key"]))["valid"] is True

    @pytest.mark.parametrize(
        "written",
        [
            "2026-01-01T12:10:00Z",
            "2026-01-01T20:10:00+08:00",
            "2026-01-01T04:10:00-08:00",
            "2026-01-01T12:10:00",
            "2026-01-01T12:10:00.000+00:00",
        ],
    )
    async def test_an_expiry_in_any_time_zone_is_right_to_the_second(
        self, owner: httpx2.AsyncClient, house_clock: ManualClock, written: str
    ) -> None:
        made = await make(owner, expires_at=written)
        assert datetime.fromisoformat(made["expires_at"]) == datetime(
            2026, 1, 1, 12, 10, tzinfo=UTC
        )

        house_clock.advance(599)
        before = await validate(owner, made["api_key"])
        house_clock.advance(1)
        after = await validate(owner, made["api_key"])

        assert before["valid"] is True
        assert (after["valid"], after["reason"]) == (False, "expired")

    async def test_a_disabled_key_stops_at_once_and_can_be_made_active_again(
        self, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner)
        there = f"{KEYS}/{made['id']}"

        disabled = await owner.post(f"{there}/disable")
        during = await validate(owner, made["api_key"])
        active = await owner.patch(there, json={"status": "active"})

        assert disabled.json()["status"] == "disabled"
        assert (during["valid"], during["reason"]) == (False, "invalid")
        assert active.status_code == 200
        assert (await validate(owner, made["api_key"]))["valid"] is True

    async def test_a_deleted_key_is_gone(self, owner: httpx2.AsyncClient) -> None:
        made = await make(owner)

        deleted = await owner.delete(f"{KEYS}/{made['id']}")

        assert deleted.status_code == 204
        assert (await owner.get(f"{KEYS}/{made['id']}")).status_code == 404
        assert (await validate(owner, made["api_key"]))["reason"] == "invalid"

    async def test_every_change_is_told_to_the_audit_without_a_secret(
        self, house: House, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner)
        there = f"{KEYS}/{made['id']}"
        await owner.patch(there, json={"name": "other"})
        await owner.post(f"{there}/rotate")
        await owner.post(f"{there}/disable")
        await owner.delete(there)

        mine = audit_entries.c.target == made["id"]
        rows = await house.database.read(
            lambda conn: conn.execute(
                select(audit_entries).where(mine).order_by(audit_entries.c.id)
            ).all()
        )
        assert [row.action for row in rows] == [
            "key.created",
            "key.changed",
            "key.rotated",
            "key.changed",
            "key.deleted",
        ]
        assert made["api_key"] not in str(rows)


class TestRotating:
    async def test_both_texts_are_good_during_the_overlap_and_then_only_the_new_one(
        self, owner: httpx2.AsyncClient, house_clock: ManualClock
    ) -> None:
        made = await make(owner, permissions=["chat"])
        there = f"{KEYS}/{made['id']}"

        rotated = (await owner.post(f"{there}/rotate", json={"overlap_seconds": 60})).json()
        house_clock.advance(59)
        during = [await validate(owner, text) for text in (made["api_key"], rotated["api_key"])]
        house_clock.advance(1)
        after = [await validate(owner, text) for text in (made["api_key"], rotated["api_key"])]

        assert rotated["id"] == made["id"]
        assert rotated["hint"] == rotated["api_key"][-6:]
        assert [one["valid"] for one in during] == [True, True]
        assert [one["valid"] for one in after] == [False, True]
        assert during[0]["permissions"] == during[1]["permissions"] == ["chat"]

    async def test_without_an_overlap_the_old_text_stops_at_once(
        self, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner)

        await owner.post(f"{KEYS}/{made['id']}/rotate", json={"overlap_seconds": 0})

        assert (await validate(owner, made["api_key"]))["valid"] is False

    async def test_another_rotation_ends_the_overlap_of_the_one_before(
        self, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner)
        there = f"{KEYS}/{made['id']}/rotate"

        second = (await owner.post(there)).json()["api_key"]
        third = (await owner.post(there)).json()["api_key"]

        valid = [
            (await validate(owner, text))["valid"] for text in (made["api_key"], second, third)
        ]
        assert valid == [False, True, True]

    async def test_no_request_fails_while_a_key_is_rotated(self, owner: httpx2.AsyncClient) -> None:
        texts = [(made := await make(owner))["api_key"]]
        there = f"{KEYS}/{made['id']}/rotate"

        async def use() -> bool:
            return bool((await validate(owner, texts[-1]))["valid"])

        async def rotate() -> bool:
            texts.append((await owner.post(there)).json()["api_key"])
            return True

        results = [
            await asyncio.gather(*(use() for _ in range(10)), rotate(), *(use() for _ in range(10)))
            for _ in range(3)
        ]

        assert all(all(one) for one in results)


class TestAsCredential:
    async def test_a_key_is_taken_wherever_a_token_is(
        self, house: House, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner, permissions=["posts:read", "posts:write", "chat"])
        async with calling(house, made["api_key"]) as program:
            listed = await program.get("/api/v1/posts")
            post = await program.post("/api/v1/posts", json={"name": "Made by a program"})
            beyond = await program.get("/api/v1/agents")
            account = await program.get("/api/v1/auth/me")

        assert listed.status_code == 200
        assert post.status_code == 201
        assert beyond.json()["code"] == "scope-missing"
        assert account.json()["code"] == "people-only"
        entry = (await owner.get("/api/v1/audit", params={"target": post.json()["id"]})).json()[
            "items"
        ][0]
        assert (entry["actor"]["kind"], entry["actor"]["id"]) == ("key", made["id"])

    async def test_a_key_acts_in_its_own_tenant_only(
        self, house: House, admin: httpx2.AsyncClient, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner, permissions=["posts:read"])
        foreign = await tenant_of(admin)
        async with calling(house, made["api_key"]) as program:
            answer = await program.get("/api/v1/posts", headers={"X-Longhouse-Tenant": foreign})
            own = await program.get(
                "/api/v1/posts", headers={"X-Longhouse-Tenant": made["tenant_id"]}
            )

        assert answer.status_code == 404
        assert own.status_code == 200

    async def test_a_key_of_an_agent_reaches_that_agent_alone(
        self, house: House, owner: httpx2.AsyncClient
    ) -> None:
        mine = await agent_of(owner)
        other = await agent_of(owner, "Bob")
        scopes = ["agents:read", "agents:write", "sessions:write", "posts:write", "members:write"]
        made = await make(owner, agent_id=mine, permissions=scopes)
        async with calling(house, made["api_key"]) as program:
            listed = (await program.get("/api/v1/agents")).json()["items"]
            answers = {
                "own": await program.get(f"/api/v1/agents/{mine}"),
                "other": await program.get(f"/api/v1/agents/{other}"),
                "session": await program.post(f"/api/v1/agents/{other}/sessions"),
                "deleting": await program.delete(f"/api/v1/agents/{other}"),
                "new agent": await program.post(
                    "/api/v1/agents", json={"name": "x", "post_id": "post_x"}
                ),
                "post": await program.post("/api/v1/posts", json={"name": "x"}),
            }

        assert [agent["id"] for agent in listed] == [mine]
        assert {name: answer.status_code for name, answer in answers.items()} == {
            "own": 200,
            "other": 404,
            "session": 404,
            "deleting": 404,
            "new agent": 403,
            "post": 403,
        }

    async def test_a_key_goes_with_its_agent(self, house: House, owner: httpx2.AsyncClient) -> None:
        agent_id = await agent_of(owner)
        made = await make(owner, agent_id=agent_id)

        deleted = await owner.delete(f"/api/v1/agents/{agent_id}")

        assert deleted.status_code == 204, deleted.text
        assert (await validate(owner, made["api_key"]))["valid"] is False
        told = (await owner.get("/api/v1/audit", params={"target": made["id"]})).json()["items"]
        assert told[0]["action"] == "key.deleted"

    async def test_one_wrong_character_is_refused_without_a_look_up(
        self, house: House, owner: httpx2.AsyncClient
    ) -> None:
        text = (await make(owner))["api_key"]
        wrong = f"{text[:30]}{'A' if text[30] != 'A' else 'B'}{text[31:]}"
        house.identity.key_door._look_up = None  # type: ignore[assignment]
        async with calling(house, wrong) as program:
            answer = await program.get("/api/v1/posts")

        assert answer.status_code == 401
        assert answer.json()["code"] == "key-invalid"

    async def test_a_key_that_never_was_and_one_that_was_revoked_get_the_same_answer(
        self, house: House, owner: httpx2.AsyncClient
    ) -> None:
        disabled, deleted = await make(owner, "one"), await make(owner, "two")
        await owner.post(f"{KEYS}/{disabled['id']}/disable")
        await owner.delete(f"{KEYS}/{deleted['id']}")
        never = key_text.make(disabled["tenant_id"], None)
        old = "mmc_dGVuYW50X3h5ejc4OV9hZ2VudF9wcXIzNDVfOGY4YTliMmMzZF92MQ=="

        problems = []
        for text in (disabled["api_key"], deleted["api_key"], never, old):
            async with calling(house, text) as program:
                answer = await program.get("/api/v1/posts")
            assert answer.status_code == 401
            problem = answer.json()
            del problem["request_id"]
            problems.append(problem)

        assert all(problem == problems[0] for problem in problems)

    async def test_an_expired_key_says_that_it_expired(
        self, house: House, owner: httpx2.AsyncClient, house_clock: ManualClock
    ) -> None:
        made = await make(owner, permissions=["posts:read"], expires_at="2026-01-01T12:00:10Z")
        async with calling(house, made["api_key"]) as program:
            before = await program.get("/api/v1/posts")
            house_clock.advance(10)
            after = await program.get("/api/v1/posts")

        assert before.status_code == 200
        assert after.status_code == 401
        assert after.json()["code"] == "key-expired"


class TestOfTenants:
    async def test_the_key_of_a_suspended_tenant_is_refused_until_it_is_resumed(
        self, house: House, admin: httpx2.AsyncClient, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner, permissions=["posts:read"])
        there = f"/api/v1/tenants/{made['tenant_id']}"
        async with calling(house, made["api_key"]) as program:
            await admin.patch(there, json={"status": "suspended"})
            refused = await program.get("/api/v1/posts")
            validation = await validate(admin, made["api_key"])
            await admin.patch(there, json={"status": "active"})
            resumed = await program.get("/api/v1/posts")

        assert refused.status_code == 403
        assert refused.json()["code"] == "tenant-suspended"
        assert (validation["valid"], validation["reason"]) == (False, "suspended")
        assert resumed.status_code == 200

    async def test_the_keys_of_a_deleted_tenant_are_dead_with_the_next_request(
        self, house: House, admin: httpx2.AsyncClient, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner, permissions=["posts:read"])
        await owner.delete(f"/api/v1/tenants/{made['tenant_id']}")

        async with calling(house, made["api_key"]) as program:
            answer = await program.get("/api/v1/posts")

        assert answer.status_code == 401
        assert (await validate(admin, made["api_key"]))["valid"] is False


class TestForOtherServices:
    async def test_parse_tells_what_the_text_says_and_looks_nothing_up(
        self, owner: httpx2.AsyncClient
    ) -> None:
        text = key_text.make("tenant_of_nobody", "agent_of_nobody")

        answer = await owner.post(f"{KEYS}/parse", json={"api_key": text})
        wrong = await owner.post(f"{KEYS}/parse", json={"api_key": "mmc_x"})

        parsed = answer.json()
        assert parsed["format_valid"] is True
        assert (parsed["tenant_id"], parsed["agent_id"]) == ("tenant_of_nobody", "agent_of_nobody")
        assert parsed["version"] == "v2"
        assert wrong.json() == {
            "format_valid": False,
            "tenant_id": None,
            "agent_id": None,
            "random_hash": None,
            "version": None,
        }

    async def test_validate_tells_whose_a_key_is_and_for_what(
        self, house: House, admin: httpx2.AsyncClient, owner: httpx2.AsyncClient
    ) -> None:
        agent_id = await agent_of(owner)
        made = await make(owner, agent_id=agent_id, permissions=["chat"])

        service = await make(admin, "service", permissions=["keys:validate"])
        async with calling(house, service["api_key"]) as program:
            validation = await validate(program, made["api_key"], required_permission="chat")

        assert validation == {
            "valid": True,
            "reason": None,
            "tenant_id": made["tenant_id"],
            "agent_id": agent_id,
            "key_id": made["id"],
            "permissions": ["chat"],
            "has_permission": True,
            "status": "active",
        }

    async def test_what_is_no_key_is_told_apart_from_an_unknown_one(
        self, owner: httpx2.AsyncClient
    ) -> None:
        unknown = key_text.make("tenant_a", None)

        assert (await validate(owner, "mmc_nothing"))["reason"] == "malformed"
        assert (await validate(owner, unknown))["reason"] == "invalid"

    async def test_check_permission_is_no_use_of_the_key(self, owner: httpx2.AsyncClient) -> None:
        made = await make(owner, permissions=["chat"])
        asked = {"api_key": made["api_key"], "permission": "chat"}

        answer = await owner.post(f"{KEYS}/check-permission", json=asked)
        other = await owner.post(f"{KEYS}/check-permission", json=asked | {"permission": "read"})

        assert (answer.json()["has_permission"], other.json()["has_permission"]) == (True, False)
        assert (await owner.get(f"{KEYS}/{made['id']}")).json()["use_count"] == 0


class TestCounting:
    async def test_200_uses_at_once_are_200(
        self, house: House, owner: httpx2.AsyncClient, house_clock: ManualClock
    ) -> None:
        made = await make(owner)
        house_clock.advance(5)

        validations = await asyncio.gather(*(validate(owner, made["api_key"]) for _ in range(200)))

        key = (await owner.get(f"{KEYS}/{made['id']}")).json()
        assert all(one["valid"] for one in validations)
        assert key["use_count"] == 200
        assert datetime.fromisoformat(key["last_used_at"]) == house_clock.now()

    async def test_uses_are_not_written_one_by_one(
        self, house: House, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner)
        before = house.identity.key_uses._gathered

        await asyncio.gather(*(validate(owner, made["api_key"]) for _ in range(50)))

        assert house.identity.key_uses._gathered is before, "one write, and it is still to come"

    async def test_uses_are_written_by_themselves(
        self, house: House, owner: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(key_uses, "GATHER_SECONDS", 0.01)
        made = await make(owner)

        await validate(owner, made["api_key"])

        async with asyncio.timeout(PATIENCE):
            while await uses_of(house, made["id"]) != 1:  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.01)

    async def test_processes_add_up_and_a_clean_stop_loses_none(
        self, house: House, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner)
        processes = [KeyUses(house.database) for _ in range(3)]

        for uses in processes:
            for _ in range(20):
                uses.note(KeyId(made["id"]), at=house.clock.now())
        await asyncio.gather(*(uses.close() for uses in processes))

        assert await uses_of(house, made["id"]) == 60

    async def test_what_could_not_be_written_is_written_later(
        self, house: House, owner: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = await make(owner)
        uses = house.identity.key_uses
        await house.identity.key_door.admit(made["api_key"])

        with monkeypatch.context() as patch:

            async def fail(work: object) -> None:
                raise Unavailable("The database is away.")

            patch.setattr(house.database, "write", fail)
            with pytest.raises(Unavailable):
                await uses.settle()
        await house.identity.key_door.admit(made["api_key"])
        await uses.settle()

        assert await uses_of(house, made["id"]) == 2

    async def test_no_use_undoes_a_revocation_however_they_cross(
        self, owner: httpx2.AsyncClient
    ) -> None:
        for number in range(20):
            made = await make(owner, f"key {number}")
            text, there = made["api_key"], f"{KEYS}/{made['id']}"

            await asyncio.gather(
                *(validate(owner, text) for _ in range(5)),
                owner.post(f"{there}/disable"),
                *(validate(owner, text) for _ in range(5)),
            )

            key = (await owner.get(there)).json()
            assert key["status"] == "disabled"
            assert (await validate(owner, text))["valid"] is False

    async def test_a_permission_that_is_removed_while_a_key_is_used_stays_removed(
        self, owner: httpx2.AsyncClient
    ) -> None:
        made = await make(owner, permissions=["chat", "read"])
        there = f"{KEYS}/{made['id']}"

        await asyncio.gather(
            *(validate(owner, made["api_key"]) for _ in range(50)),
            owner.patch(there, json={"permissions": ["read"]}),
            *(validate(owner, made["api_key"]) for _ in range(50)),
        )

        assert (await owner.get(there)).json()["permissions"] == ["read"]


class TestOpen:
    @pytest.mark.parametrize("change", ["disable", "delete", "permissions", "rotate", "expire"])
    async def test_what_a_key_has_open_ends_with_it(
        self, house: House, owner: httpx2.AsyncClient, house_clock: ManualClock, change: str
    ) -> None:
        made = await make(owner, permissions=["posts:read"], expires_at="2026-01-02T00:00:00Z")
        there = f"{KEYS}/{made['id']}"
        principal = await house.identity.authentication.principal(
            made["api_key"], tenant_id=None, origin=HERE
        )

        async with asyncio.timeout(PATIENCE), house.identity.liveness.watched(principal) as over:
            match change:
                case "disable":
                    await owner.post(f"{there}/disable")
                case "delete":
                    await owner.delete(there)
                case "permissions":
                    await owner.patch(there, json={"permissions": []})
                case "rotate":
                    await owner.post(f"{there}/rotate", json={"overlap_seconds": 0})
                case "expire":
                    house_clock.advance(timedelta(days=1).total_seconds())
            await over.wait()


async def uses_of(house: House, key_id: str) -> int:
    """What is in the database, without what this process only knows."""
    query = select(api_keys.c.use_count).where(api_keys.c.id == key_id)
    count: int = await house.database.read(lambda conn: conn.execute(query).scalar_one())
    return count
