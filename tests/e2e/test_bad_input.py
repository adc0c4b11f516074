"""What people get wrong, at a real server: each time it says what to do, and nothing is lost."""

import asyncio
import re
import secrets
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import Connection
from tests.e2e.people import (
    ACCOUNT,
    API,
    PASSWORD,
    PATIENCE,
    Answer,
    Caller,
    Event,
    admin,
    visitor,
)
from tests.e2e.servers import Server, end, serving, start
from tests.fixtures_server import quick_passwords
from tests.peers.fakellm import FakeVendor

from longhouse.agents.samples import make_sample_repository
from longhouse.identity.accounts import sign_in_key
from longhouse.identity.models import (
    LoginId,
    SystemRole,
    Tenant,
    TenantId,
    User,
    UserId,
)
from longhouse.identity.scopes import TenantRole
from longhouse.identity.store import members, tenants, users
from longhouse.identity.tokens import AccessClaims, AccessTokens
from longhouse.kit.db.database import open_database
from longhouse.kit.ids import new_id
from longhouse.kit.keys import FixedKeys
from longhouse.server.house import furnish_tenant
from longhouse.server.lock import HouseTaken
from longhouse.server.serve import PortTaken, listening

MOST_BYTES = 20_000
KEY = "sk-the-one-that-works"
PROBLEM = "application/problem+json"

pytestmark = pytest.mark.xdist_group("bad input")


def hint_of(answer: Answer, status: int, code: str) -> str:
    """Hold an answer to be this problem, complete; what it says there is to do."""
    assert (answer.status, answer.kind) == (status, PROBLEM), answer
    problem = answer.json
    assert problem["type"] == f"urn:longhouse:problem:{code}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"].startswith("req_")
    return str(problem.get("hint", ""))


def fields_of(answer: Answer) -> list[str]:
    """The fields that a problem complains of."""
    return [error["field"] for error in answer.json["errors"]]


# --- requests -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class House:
    """A server and its admin."""

    server: Server
    ada: Caller


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One house for all bad requests."""
    folder = tmp_path_factory.mktemp("bad")
    settings = {
        "LONGHOUSE_MAX_BODY_BYTES": str(MOST_BYTES),
        "LONGHOUSE_REPOSITORY_ROOTS": str(folder / "code"),
    }
    make_sample_repository(folder / "code" / "good")
    make_sample_repository(folder / "elsewhere")
    async with serving(folder / "house", settings) as server, admin(server) as ada:
        yield House(server, ada)


@pytest.fixture
def stranger(house: House) -> Caller:
    """Somebody who has not signed in."""
    return Caller(house.ada.transport, house.server.address)


async def test_a_wrong_password_does_not_say_what_was_wrong(house: House, stranger: Caller) -> None:
    wrong = {"username": ACCOUNT["username"], "password": "not the password"}
    unknown = {"username": "nobody", "password": PASSWORD}

    answers = [await stranger.answer("POST", "/auth/login", body) for body in (wrong, unknown)]

    for answer in answers:
        assert hint_of(answer, 401, "wrong-credentials")
    assert answers[0].json["detail"] == answers[1].json["detail"]
    await stranger.sign_in(ACCOUNT["username"])


async def test_a_token_that_expired_a_garbled_one_and_a_foreign_one(
    house: House, stranger: Caller
) -> None:
    me = await house.ada.get("/auth/me")
    claims = AccessClaims(user_id=UserId(me["user"]["id"]), login_id=LoginId("login_any"))
    secret = (house.server.data_dir / "jwt_secret").read_text("ascii").strip()
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)

    stranger.token = AccessTokens(FixedKeys(secret)).issue(claims, now=an_hour_ago, seconds=60)
    expired = await stranger.answer("GET", "/agents")
    stranger.token = f"{house.ada.token[:-8]}garbage!"
    garbled = await stranger.answer("GET", "/agents")
    stranger.token = AccessTokens(FixedKeys(secrets.token_urlsafe(32))).issue(
        claims, now=datetime.now(UTC), seconds=60
    )
    foreign = await stranger.answer("GET", "/agents")
    stranger.token = ""
    missing = await stranger.answer("GET", "/agents")

    assert "/auth/refresh" in hint_of(expired, 401, "token-expired")
    assert "Sign in" in hint_of(garbled, 401, "token-invalid")
    assert "Sign in" in hint_of(foreign, 401, "token-invalid")
    assert "/auth/login" in hint_of(missing, 401, "unauthenticated")
    assert (await house.ada.answer("GET", "/agents")).ok


async def test_an_agent_of_another_tenant_is_as_missing_as_one_that_never_was(
    house: House, stranger: Caller
) -> None:
    agent_id = await house.ada.new_agent("Ours")
    await add_user_elsewhere(house.server.data_dir, "eve")

    await stranger.sign_in("eve")
    foreign = await stranger.answer("GET", f"/agents/{agent_id}")
    missing = await stranger.answer("GET", "/agents/agent_00000000000000000000000000000000")
    stranger.tenant = (await house.ada.get("/auth/me"))["tenant"]["id"]
    trespassing = await stranger.answer("GET", "/agents")

    hint_of(foreign, 404, "no-such-agent")
    hint_of(missing, 404, "no-such-agent")
    assert foreign.json.keys() == missing.json.keys()
    assert trespassing.status == 404
    assert (await house.ada.get(f"/agents/{agent_id}"))["name"] == "Ours"


@pytest.mark.parametrize(
    "source",
    ["/etc", "{folder}/elsewhere", "{folder}/code/../elsewhere", "{folder}/house", "/nowhere"],
)
async def test_a_repository_outside_the_roots_is_refused(house: House, source: str) -> None:
    folder = house.server.data_dir.parent
    before = await house.ada.get("/agents")
    body = {
        "name": "Outside",
        "post_id": await house.ada.post_named("Engineer"),
        "repository": {"source": source.format(folder=folder)},
    }

    refused = await house.ada.answer("POST", "/agents", body)

    hint = hint_of(refused, 422, "repository-refused")
    assert str(folder / "code") in hint
    assert "LONGHOUSE_REPOSITORY_ROOTS" in hint
    assert fields_of(refused) == ["repository.source"]
    assert await house.ada.get("/agents") == before


async def test_a_post_with_an_unknown_tool_is_refused(house: House) -> None:
    body = {"name": "Odd", "tools": ["fs_read", "fs_reed"]}

    refused = await house.ada.answer("POST", "/posts", body)

    hint_of(refused, 422, "invalid-input")
    assert fields_of(refused)[0].startswith("tools")
    assert "fs_reed" in refused.text
    assert "fs_read" in refused.json["errors"][0]["message"] + refused.json.get("hint", "")


@pytest.mark.parametrize("raw", [b'{"title": ', b"", b"\xff\xfe", b"[]", b"nonsense"])
async def test_a_body_that_is_no_json_object_is_refused(house: House, raw: bytes) -> None:
    refused = await house.ada.answer("POST", "/posts", raw=raw)

    assert refused.status in {400, 422}, refused
    assert refused.kind == PROBLEM
    assert refused.json["detail"]


async def test_invalid_json_is_told_by_line_and_column(house: House) -> None:
    refused = await house.ada.answer("POST", "/posts", raw=b'{"name": "A",\n "tools": [}')

    hint_of(refused, 400, "bad-request")
    assert "line 2, column 12" in refused.json["detail"]


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
async def test_an_oversized_body_is_refused_by_the_limit(house: House, chunked: bool) -> None:
    body = b'{"name": "' + b"x" * MOST_BYTES + b'"}'

    async def in_pieces() -> AsyncGenerator[bytes, None]:
        for at in range(0, len(body), 1000):
            yield body[at : at + 1000]

    headers = {
        "authorization": f"Bearer {house.ada.token}",
        "content-type": "application/json",
    }
    async with aiohttp.ClientSession(headers=headers) as session:
        data = in_pieces() if chunked else body
        async with session.post(f"{house.server.address}{API}/posts", data=data) as answer:
            text = await answer.text()
            refused = Answer(status=answer.status, kind=answer.content_type, text=text)

    assert "LONGHOUSE_MAX_BODY_BYTES" in hint_of(refused, 413, "too-large")
    assert refused.json["max_body_bytes"] == MOST_BYTES
    assert (await house.ada.answer("GET", "/posts")).ok


async def add_user_elsewhere(data_dir: Path, username: str) -> None:
    """Another user, in a tenant of their own: written beside the server that runs."""
    password_hash = await quick_passwords().hash(PASSWORD)
    now = datetime.now(UTC)
    user = User(
        id=UserId(new_id("user")),
        username=username,
        email=f"{username}@example.org",
        display_name=username,
        role=SystemRole.USER,
        active=True,
        created_at=now,
    )
    tenant = Tenant(id=new_id("tenant"), name="elsewhere", created_at=now, updated_at=now)

    def add(conn: Connection) -> None:
        tenants.add(conn, tenant)
        furnish_tenant(conn, TenantId(tenant.id), now)
        users.add(
            conn,
            user,
            username_key=sign_in_key(user.username),
            email_key=sign_in_key(user.email),
            password_hash=password_hash,
        )
        members.add(conn, user_id=user.id, tenant_id=tenant.id, role=TenantRole.OWNER, now=now)

    database = await open_database(f"sqlite:///{data_dir}/longhouse.db")
    try:
        await database.write(add)
    finally:
        await database.close()


# --- models ---------------------------------------------------------------------------------------


@pytest.fixture
async def vendor() -> AsyncIterator[FakeVendor]:
    async with FakeVendor(key=KEY, echo_key=True) as made:
        yield made


async def turn_of(ada: Caller, session: str, text: str) -> list[Event]:
    """The events of a new turn, from its message to its end."""
    sent = await ada.say(session, text)
    assert sent.status == 202
    seen: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        async with aclosing(ada.stream(session, last=sent.json["seq"] - 1)) as events:
            async for event in events:
                seen.append(event)
                if event["type"] == "done":
                    break
    return seen


def settings_for(vendor: FakeVendor) -> dict[str, str]:
    """Settings of a server that can call this vendor."""
    return {
        "LONGHOUSE_MODEL": "openai:fake-1",
        "OPENAI_BASE_URL": vendor.openai_url,
        "OPENAI_API_KEY": KEY,
    }


def words_of_failure(events: list[Event]) -> str:
    """What the one error of a failed turn says, which the end of the turn repeats."""
    (problem,) = [event for event in events if event["type"] == "error"]
    assert problem["severity"] == "error"
    assert events[-1]["reason"] == "failed"
    assert problem["message"] in events[-1]["detail"]
    assert problem["hint"] in events[-1]["detail"]
    return f"{problem['message']} {problem['hint']}"


async def test_a_key_that_does_not_work_is_named_and_the_session_goes_on_with_another(
    vendor: FakeVendor, tmp_path: Path
) -> None:
    mistyped = settings_for(vendor) | {"OPENAI_API_KEY": "sk-mistyped-key"}
    async with serving(tmp_path / "house", mistyped) as server, admin(server) as ada:
        session = await ada.new_session(await ada.new_agent(source=None))
        failed = await turn_of(ada, session, "Are you there?")
        await server.stop()
    async with serving(tmp_path / "house", settings_for(vendor)) as server, visitor(server) as ada:
        await ada.sign_in(ACCOUNT["username"])
        again = await turn_of(ada, session, 'FAKE:[{"say": "Here I am."}]')
        journal = await ada.events(session)

    words = words_of_failure(failed)
    assert "key was refused" in words
    assert "OPENAI_API_KEY" in words
    assert "sk-mistyped-key" not in f"{failed} {server.log}", "keys are nobody's business"
    assert again[-1]["reason"] == "completed"
    messages = [event["text"] for event in journal if event["type"] == "message"]
    assert messages[0] == "Are you there?", "the first message is not lost"


async def test_a_base_url_without_v1_is_told_what_it_lacks(
    vendor: FakeVendor, tmp_path: Path
) -> None:
    without = settings_for(vendor) | {"OPENAI_BASE_URL": vendor.url}
    async with serving(tmp_path / "house", without) as server, admin(server) as ada:
        session = await ada.new_session(await ada.new_agent(source=None))
        failed = await turn_of(ada, session, "Are you there?")

    words = words_of_failure(failed)
    assert "probably lacks /v1" in words
    assert f"OPENAI_BASE_URL (the environment) to {vendor.openai_url}" in words


async def test_without_bubblewrap_a_command_says_what_to_install_and_files_work(
    vendor: FakeVendor, tmp_path: Path
) -> None:
    settings = settings_for(vendor) | {"PATH": str(programs(tmp_path / "bin", "git"))}
    async with serving(tmp_path / "house", settings) as server, admin(server) as ada:
        await ada.post("/posts", {"name": "Hand", "permissions": {"mode": "auto"}})
        agent_id = await ada.new_agent(post="Hand")
        session = await ada.new_session(agent_id)
        script = 'FAKE:[{"bash": "echo hello"}, {"write": ["notes.txt", "hello"]}]'
        events = await turn_of(ada, session, script)
        diff = await ada.get(f"/agents/{agent_id}/workspace/diff")
        health = (
            await ada.transport.request("GET", f"{server.address}/health", headers={}, body=None)
        ).json

    ends = {event["name"]: event for event in events if event["type"] == "tool_end"}
    assert ends["bash_run"]["outcome"] == "error"
    assert "apt-get install bubblewrap" in ends["bash_run"]["content"]
    (problem,) = [event for event in events if event["type"] == "error"]
    assert (problem["phase"], "bubblewrap" in problem["hint"]) == ("sandbox", True)
    assert ends["fs_write"]["outcome"] == "ok"
    assert [file["path"] for file in diff["files"]] == ["notes.txt"]
    assert health["status"] == "degraded"
    assert health["checks"]["sandbox"]["layer"] == "refuse"


def programs(directory: Path, *names: str) -> Path:
    """A PATH with these programs and no others."""
    directory.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found is not None
        (directory / name).symlink_to(found)
    return directory


# --- starting -------------------------------------------------------------------------------------


async def refused_start(data_dir: Path, settings: dict[str, str] | None = None) -> tuple[int, str]:
    """Start a server that cannot start: its exit code, and the one line it says."""
    server = await start(data_dir, settings)
    try:
        code = await server.ended()
    finally:
        await end(server)
    errors = [line for line in server.log.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, server.log
    assert "Traceback" not in server.log
    assert server.printed == ""
    return code, errors[0]


async def test_a_taken_port_names_it_and_the_way_out(tmp_path: Path) -> None:
    with listening("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])

        code, said = await refused_start(tmp_path / "house", {"LONGHOUSE_PORT": port})

    assert code == PortTaken.exit_code
    assert port in said
    assert "--port" in said


@pytest.mark.parametrize(
    "make_unusable",
    [
        lambda folder: (folder / "longhouse.db").mkdir(parents=True),
        lambda folder: folder.write_text("a file where the directory should be"),
        lambda folder: (folder.mkdir(), (folder / "longhouse.db").write_text("No database. " * 99)),
    ],
    ids=["a directory in its place", "a file in the directory's place", "something else in it"],
)
async def test_a_database_that_cannot_be_written_is_told_by_its_path(
    tmp_path: Path, make_unusable: Callable[[Path], object]
) -> None:
    make_unusable(tmp_path / "house")

    code, said = await refused_start(tmp_path / "house")

    assert code != 0
    assert str(tmp_path / "house") in said
    assert "LONGHOUSE_D" in said, "which setting to change"


async def test_a_file_system_that_takes_no_writes_is_told(tmp_path: Path) -> None:
    url = {"LONGHOUSE_DATABASE_URL": "sqlite:////proc/longhouse.db"}

    code, said = await refused_start(tmp_path / "house", url)

    assert code != 0
    assert "/proc" in said


async def test_a_second_server_on_the_same_data_is_refused_and_the_first_goes_on(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path / "house") as server, admin(server) as ada:
        code, said = await refused_start(tmp_path / "house")

        assert code == HouseTaken.exit_code
        assert f"process {server.process.pid}" in said
        assert "LONGHOUSE_DATA_DIR" in said
        assert (await ada.get("/auth/me"))["user"]["username"] == ACCOUNT["username"]


async def test_a_setting_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    code, said = await refused_start(tmp_path / "house", {"LONGHOUSE_PORT": "eighty"})

    assert code != 0
    assert re.search(r"LONGHOUSE_PORT\b.*integer", said)
