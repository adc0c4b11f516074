"""What the audit tells: every change and every refusal, and no secret."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, Row, select
from tests.fixtures_server import HERE, PASSWORD, add_user

from longhouse.identity import audit
from longhouse.identity.auth import Principal, ScopeMissing
from longhouse.identity.models import (
    SYSTEM,
    audit_entries,
)
from longhouse.identity.scopes import SCOPES, TenantRole
from longhouse.kit.clock import ManualClock
from longhouse.server.house import House


async def entries(house: House, action: str) -> list[Row[*tuple[Any, ...]]]:
    """The entries of one kind, the oldest first."""
    statement = (
        select(audit_entries).where(audit_entries.c.action == action).order_by(audit_entries.c.id)
    )
    return await house.database.read(lambda conn: list(conn.execute(statement)))


async def test_the_first_run_is_told_with_user_tenant_and_membership(
    house: House, admin: httpx2.AsyncClient
) -> None:
    me = (await admin.get("/api/v1/auth/me")).json()

    (user,) = await entries(house, "user.created")
    (tenant,) = await entries(house, "tenant.created")
    (membership,) = await entries(house, "membership.created")

    assert user.target == me["user"]["id"]
    assert user.actor_kind == "anonymous"
    assert user.outcome == "done"
    assert len(user.after_digest) == 64
    assert tenant.target == tenant.tenant_id == me["tenant"]["id"]
    assert membership.tenant_id == me["tenant"]["id"]


async def test_signing_in_and_out_is_told_with_who_where_and_which_request(
    house: House, admin: httpx2.AsyncClient
) -> None:
    answer = await admin.post("/api/v1/auth/logout")

    (signed_in,) = await entries(house, "login.created")
    (signed_out,) = await entries(house, "login.revoked")
    assert signed_in.actor_kind == signed_out.actor_kind == "user"
    assert signed_in.target == signed_out.target
    assert signed_out.address == "127.0.0.1"
    assert signed_out.request_id == answer.headers["x-request-id"]
    assert signed_out.reason == "logout"


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [("Ada", "wrong", "wrong password"), ("my secret", PASSWORD, "unknown name")],
)
async def test_a_refused_sign_in_is_told_without_what_was_typed(
    house: House, admin: httpx2.AsyncClient, name: str, password: str, reason: str
) -> None:
    await admin.post("/api/v1/auth/login", json={"username": name, "password": password})

    *_, refused = await entries(house, "login.created")
    assert refused.outcome == "refused"
    assert refused.reason == reason
    assert refused.actor_kind == "anonymous"
    assert not {name, password} & {str(value) for value in refused}


async def test_a_reused_refresh_token_is_told(
    house: House, client: httpx2.AsyncClient, house_clock: ManualClock
) -> None:
    token = {"refresh_token": (await add_user(house, "eve", tenant="t")).refresh_token}
    await client.post("/api/v1/auth/refresh", json=token)
    house_clock.advance(11)
    await client.post("/api/v1/auth/refresh", json=token)

    (refused,) = await entries(house, "login.refreshed")
    assert refused.outcome == "refused"


async def test_knocking_at_a_foreign_tenant_is_told(
    house: House, admin: httpx2.AsyncClient
) -> None:
    await admin.get("/api/v1/auth/me", headers={"X-Longhouse-Tenant": "tenant_foreign"})

    (refused,) = await entries(house, "tenant.entered")
    assert refused.target == "tenant_foreign"
    assert refused.outcome == "refused"


async def test_wanting_more_than_the_role_gives_is_told(house: House) -> None:
    viewer = await principal(house, TenantRole.VIEWER)

    with pytest.raises(ScopeMissing) as refusal:
        viewer.require("agents:write")
    await house.identity.refusals.record_refused(refusal.value)

    (refused,) = await entries(house, "scope.used")
    assert refused.target == "agents:write"
    assert refused.actor_id == viewer.id
    assert refused.tenant_id == viewer.tenant_id


@pytest.mark.parametrize("role", TenantRole)
async def test_a_role_has_its_scopes_and_no_others(house: House, role: TenantRole) -> None:
    somebody = await principal(house, role)

    assert somebody.scopes == SCOPES[role]
    assert somebody.may("agents:read")
    assert somebody.may("agents:write") == (role is not TenantRole.VIEWER)
    assert somebody.may("posts:write") == (role in {TenantRole.OWNER, TenantRole.ADMIN})


async def test_an_entry_is_undone_with_the_change_it_tells_of(house: House) -> None:
    def change_and_fail(conn: Connection) -> None:
        audit.record(
            conn,
            actor=SYSTEM,
            now=house.clock.now(),
            action="thing.changed",
            target="thing",
            tenant_id=None,
        )
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await house.database.write(change_and_fail)

    assert await entries(house, "thing.changed") == []


def test_a_digest_does_not_depend_on_the_order_of_members() -> None:
    assert audit.digest({"a": 1, "b": [2]}) == audit.digest({"b": [2], "a": 1})
    assert audit.digest({"a": 1}) != audit.digest({"a": 2})
    assert audit.digest(None) is None


async def principal(house: House, role: TenantRole) -> Principal:
    """Somebody with this role."""
    signed_in = await add_user(house, "somebody", tenant="theirs", role=role)
    return await house.identity.authentication.principal(
        signed_in.access_token, tenant_id=None, origin=HERE
    )
