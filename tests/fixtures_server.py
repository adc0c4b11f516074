"""A whole house for tests, on both databases, and clients that call it over HTTP.

`client` and `admin` call the application in this process (answers arrive whole); `served` is the
address of the same house behind a real server, for streams and sockets. Time is `house_clock`:
override that fixture with a `SystemClock` where work in the background has to go on by itself.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import URL, Connection
from tests.fixtures_db import copied_database

from longhouse.identity.accounts import sign_in_key
from longhouse.identity.auth import Origin, tenant_of_own_row
from longhouse.identity.models import SystemRole, Tenant, User, UserId
from longhouse.identity.passwords import Passwords
from longhouse.identity.scopes import TenantRole
from longhouse.identity.service.issuing import SignedIn
from longhouse.identity.store import members, tenants, users
from longhouse.kit.clock import Clock, ManualClock
from longhouse.kit.ids import new_id
from longhouse.kit.settings import SandboxMode, Settings
from longhouse.runtime.model import Models
from longhouse.runtime.models.environment import EnvironmentModels, ModelEnvironment
from longhouse.runtime.sandbox.off import Unprotected
from longhouse.server.app import build_app
from longhouse.server.house import House, furnish_tenant, open_house, working
from longhouse.server.serve import listening, serving

PASSWORD = "a password of tests"
ADMIN = {
    "username": "Ada",
    "password": PASSWORD,
    "email": "ada@example.org",
    "display_name": "Ada Lovelace",
}
HERE = Origin(address="127.0.0.1", request_id="req_test", user_agent="tests")


def quick_passwords() -> Passwords:
    """Argon2id at its cheapest: a test does not wait for what protects people."""
    return Passwords(memory_kib=8, passes=1, lanes=1)


@pytest.fixture
def house_clock() -> Clock:
    """The clock of the house; it stands still unless a module gives another."""
    return ManualClock()


@pytest.fixture
def house_sets() -> dict[str, object]:
    """Settings of the house that differ from the defaults; override to set some."""
    return {}


@pytest.fixture
async def house_settings(
    database_template: Path | URL, tmp_path: Path, house_sets: dict[str, object]
) -> AsyncIterator[Settings]:
    """Settings of a house in a directory of its own: SQLite and PostgreSQL in turn."""
    data_dir = tmp_path / "house"
    data_dir.mkdir()
    async with AsyncExitStack() as stack:
        if isinstance(database_template, Path):
            url = f"sqlite:///{shutil.copy(database_template, data_dir / 'longhouse.db')}"
        else:
            url = await stack.enter_async_context(copied_database(database_template))
        fixed = {
            "data_dir": data_dir,
            "database_url": url,
            "port": 0,
            "sandbox": SandboxMode.OFF,
            "model": "demo",
            "repository_roots": (tmp_path,),
        }
        yield Settings.model_validate(fixed | house_sets)


@pytest.fixture
def house_models() -> Models:
    """What turns run on: the demo model at once, unless a module gives a scripted one."""
    return EnvironmentModels(ModelEnvironment.of(model="demo"), demo_pace=0)


@pytest.fixture
async def house(
    house_settings: Settings, house_clock: Clock, house_models: Models
) -> AsyncIterator[House]:
    """An open house without users. Nothing executes its turns: see `at_work`."""
    async with open_house(
        house_settings,
        clock=house_clock,
        passwords=quick_passwords(),
        sandbox=Unprotected(),
        turn_models=house_models,
    ) as opened:
        yield opened


@pytest.fixture
async def at_work(house: House) -> AsyncIterator[None]:
    """The house executes turns."""
    async with working(house):
        yield


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody who has not signed in."""
    async with calling(house) as opened:
        yield opened


@pytest.fixture
async def admin(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """The first admin, signed in: owner of the tenant `default`."""
    async with calling(house) as opened:
        token = await house.identity.first_run.new_token()
        answer = await opened.post("/api/v1/setup", json={"token": token, **ADMIN})
        assert answer.status_code == 201, answer.text
        opened.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        opened.cookies.clear()
        yield opened


@pytest.fixture
async def served(house: House) -> AsyncIterator[str]:
    """The address of the house behind a real server."""
    with listening("127.0.0.1", 0) as listener:
        async with serving(house, listener):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def calling(house: House, token: str | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of this house, with this access token."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    transport = httpx2.ASGITransport(build_app(house), client=("127.0.0.1", 50000))
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://house.test", headers=headers
    ) as opened:
        yield opened


async def add_user(
    house: House, username: str, *, tenant: str, role: TenantRole = TenantRole.OWNER
) -> SignedIn:
    """Another user with a role in this tenant, which is made when it is missing; signed in."""
    password_hash = await quick_passwords().hash(PASSWORD)
    now = house.clock.now()
    user = User(
        id=UserId(new_id("user")),
        username=username,
        email=f"{username}@example.org",
        display_name=username,
        role=SystemRole.USER,
        active=True,
        created_at=now,
    )

    def add(conn: Connection) -> None:
        found = tenants.find_named(conn, tenant)
        if found is None:
            found = Tenant(id=new_id("tenant"), name=tenant, created_at=now, updated_at=now)
            tenants.add(conn, found)
            furnish_tenant(conn, tenant_of_own_row(found.id), now)
        users.add(
            conn,
            user,
            username_key=sign_in_key(user.username),
            email_key=sign_in_key(user.email),
            password_hash=password_hash,
        )
        members.add(conn, user_id=user.id, tenant_id=found.id, role=role, now=now)

    await house.database.write(add)
    return await house.identity.logins.login(username, PASSWORD, origin=HERE)
