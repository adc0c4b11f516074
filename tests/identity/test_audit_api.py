"""The audit over HTTP: searched, paged, exported, and only by those it concerns."""

import csv
import io
import json
from typing import Any

import httpx2
import pytest
from tests.fixtures_server import add_user, calling

from longhouse.identity.api.audit import COLUMNS, csv_line
from longhouse.identity.scopes import TenantRole
from longhouse.identity.service import audit_log
from longhouse.kit.clock import ManualClock
from longhouse.server.house import House

AUDIT = "/api/v1/audit"


async def items(client: httpx2.AsyncClient, **params: str) -> list[dict[str, Any]]:
    answer = await client.get(AUDIT, params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def make_post(client: httpx2.AsyncClient, name: str) -> httpx2.Response:
    answer = await client.post("/api/v1/posts", json={"name": name})
    assert answer.status_code == 201, answer.text
    return answer


class TestSearch:
    async def test_an_entry_tells_who_what_where_and_which_request(
        self, admin: httpx2.AsyncClient
    ) -> None:
        made = await make_post(admin, "Tester")
        me = (await admin.get("/api/v1/auth/me")).json()

        (entry,) = await items(admin, request_id=made.headers["x-request-id"])

        assert entry["action"] == "post.created"
        assert entry["target"] == made.json()["id"]
        assert entry["outcome"] == "done"
        assert entry["tenant_id"] == me["tenant"]["id"]
        assert entry["actor"] == {
            "kind": "user",
            "id": me["user"]["id"],
            "address": "127.0.0.1",
            "request_id": made.headers["x-request-id"],
        }
        assert len(entry["after_digest"]) == 64

    async def test_the_newest_come_first_and_pages_follow_without_gap_or_repeat(
        self, admin: httpx2.AsyncClient
    ) -> None:
        made = [(await make_post(admin, f"Post {n}")).json()["id"] for n in range(5)]

        pages: list[list[str]] = []
        after: dict[str, str] = {}
        while True:
            answer = await admin.get(AUDIT, params={"limit": "2", "action": "post.", **after})
            pages.append([entry["target"] for entry in answer.json()["items"]])
            if answer.json()["next"] is None:
                break
            after = {"after": answer.json()["next"]}

        targets = [target for page in pages for target in page]
        assert targets[:5] == made[::-1]
        assert len(targets) == len(set(targets))
        assert all(len(page) <= 2 for page in pages)

    async def test_filters_narrow_it_down(
        self, house: House, admin: httpx2.AsyncClient, house_clock: ManualClock
    ) -> None:
        first = (await make_post(admin, "First")).json()["id"]
        house_clock.advance(60)
        moment = house_clock.now().isoformat()
        second = (await make_post(admin, "Second")).json()["id"]
        tenant = (await admin.get("/api/v1/auth/me")).json()["tenant"]["name"]
        viewer = await add_user(house, "vera", tenant=tenant, role=TenantRole.VIEWER)
        async with calling(house, viewer.access_token) as vera:
            await vera.post("/api/v1/posts", json={"name": "Third"})

        assert {e["target"] for e in await items(admin, target=first)} == {first}
        since = await items(admin, since=moment, action="post.created")
        assert [e["target"] for e in since] == [second]
        until = await items(admin, until=moment, action="post.created")
        assert second not in {e["target"] for e in until}
        (refused,) = await items(admin, outcome="refused")
        assert refused["target"] == "posts:write"
        assert [e["id"] for e in await items(admin, actor=viewer.user.id)] == [refused["id"]]

    async def test_a_percent_sign_is_a_percent_sign(self, admin: httpx2.AsyncClient) -> None:
        assert await items(admin, action="%") == []

    async def test_only_those_responsible_for_a_tenant_read_its_audit(
        self, house: House, admin: httpx2.AsyncClient
    ) -> None:
        member = await add_user(house, "mia", tenant="theirs", role=TenantRole.MEMBER)
        owner = await add_user(house, "otto", tenant="theirs")
        await make_post(admin, "Ours")

        async with calling(house, member.access_token) as mia:
            assert (await mia.get(AUDIT)).status_code == 403
            assert (await mia.get(f"{AUDIT}/export")).status_code == 403
        async with calling(house, owner.access_token) as otto:
            theirs = owner.memberships[0].tenant_id
            assert {entry["tenant_id"] for entry in await items(otto)} == {theirs}

    async def test_what_belongs_to_no_tenant_is_for_admins_of_the_server(
        self, house: House, admin: httpx2.AsyncClient
    ) -> None:
        owner = await add_user(house, "otto", tenant="theirs")

        async with calling(house, owner.access_token) as otto:
            refused = await otto.get(AUDIT, params={"server": "true"})
        told = await items(admin, server="true")

        assert refused.status_code == 403
        assert refused.json()["code"] == "admins-only"
        assert {entry["tenant_id"] for entry in told} == {None}
        assert "login.created" in {entry["action"] for entry in told}

    @pytest.mark.parametrize(
        "params", [{"since": "yesterday"}, {"since": "2026-01-01T00:00:00"}, {"outcome": "maybe"}]
    )
    async def test_a_filter_that_cannot_be_meant_is_refused(
        self, admin: httpx2.AsyncClient, params: dict[str, str]
    ) -> None:
        assert (await admin.get(AUDIT, params=params)).status_code == 422


class TestExport:
    async def test_json_lines_hold_everything_in_order(self, admin: httpx2.AsyncClient) -> None:
        await make_post(admin, "First")

        answer = await admin.get(f"{AUDIT}/export")

        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert answer.headers["content-type"].startswith("application/jsonl")
        assert 'filename="audit.jsonl"' in answer.headers["content-disposition"]
        assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
        assert tuple(lines[0]) == COLUMNS
        assert lines[-1]["action"] == "post.created"

    async def test_csv_is_a_table_of_the_same(self, admin: httpx2.AsyncClient) -> None:
        as_lines = (await admin.get(f"{AUDIT}/export")).text.splitlines()

        answer = await admin.get(f"{AUDIT}/export", params={"format": "csv"})

        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert answer.headers["content-type"].startswith("text/csv")
        assert [row["hash"] for row in rows] == [json.loads(line)["hash"] for line in as_lines]

    async def test_filters_narrow_an_export_too(self, admin: httpx2.AsyncClient) -> None:
        await make_post(admin, "First")

        answer = await admin.get(f"{AUDIT}/export", params={"action": "tenant.created"})

        assert [json.loads(line)["action"] for line in answer.text.splitlines()] == [
            "tenant.created"
        ]

    async def test_an_export_is_read_some_entries_at_a_time(
        self, admin: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = (await admin.get(f"{AUDIT}/export")).text
        monkeypatch.setattr(audit_log, "READ_AT_ONCE", 2)

        assert (await admin.get(f"{AUDIT}/export")).text == whole
        assert len(whole.splitlines()) > 2

    @pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
    def test_a_text_that_looks_like_a_formula_stays_a_text(self, text: str) -> None:
        (row,) = csv.reader(io.StringIO(csv_line([text, -1]).decode()))

        assert row == [f"'{text}", "-1"]
