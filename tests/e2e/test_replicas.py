"""Two servers on one PostgreSQL database, killed in turn: nobody who works with them notices.

Bosses give errands through whichever server lives; each request may reach another one. After every
kill somebody signs in at one server, signs out at another, and is known nowhere any more. Once with
rings by NATS and once by PostgreSQL alone. LONGHOUSE_TEST_KILLS says how often (4).
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import aiohttp
import pytest
from sqlalchemy import URL
from tests.e2e import lives
from tests.e2e.bosses import Boss, hire, vendor_process
from tests.e2e.people import ACCOUNT, PASSWORD, Caller, Event, Http, visitor
from tests.e2e.servers import environment, start
from tests.fixtures_db import fresh_database
from tests.fixtures_nats import Nats
from tests.patience import PATIENCE

from longhouse.runtime.sandbox.base import Sandbox

SEED = 4
KILLS = int(os.environ.get("LONGHOUSE_TEST_KILLS", "4"))
BOSSES = "abc"
LONGEST_PEACE = 25  # events of all agents from one kill to the next

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.timeout(600 + 60 * KILLS),
    pytest.mark.xdist_group("replicas"),
    pytest.mark.usefixtures("anyio_backend"),  # the loop of the story, which these tests only judge
]


# --- the servers ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Replica:
    """One of the servers, and its present life. See `lives`."""

    program: asyncio.subprocess.Process
    pid: int = 0
    address: str = ""
    up: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self) -> None:
        """Start the next life."""
        assert self.program.stdin is not None
        self.program.stdin.write(b"live\n")
        self.pid = int(await self._told("life "))
        self.address = await self._told("Longhouse is at ")
        self.up.set()

    async def die(self) -> None:
        """End this life at once."""
        self.kill()
        assert int(await self._told("over ")) == -signal.SIGKILL

    def kill(self) -> None:
        """End this life, if there is one, without waiting."""
        if self.up.is_set():
            self.up.clear()
            os.kill(self.pid, signal.SIGKILL)

    async def _told(self, word: str) -> str:
        assert self.program.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while line := (await self.program.stdout.readline()).decode():
                if line.startswith(word):
                    return line.removeprefix(word).strip()
        raise AssertionError("the program ended")


@dataclass(slots=True)
class Replicas:
    """All of them; whoever asks is sent to any that lives."""

    all: list[Replica]
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))
    events_left: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)  # events for the next kill

    async def reached(self) -> str:
        """The address of one that lives."""
        while not (living := [replica for replica in self.all if replica.up.is_set()]):
            waiting = [asyncio.create_task(replica.up.wait()) for replica in self.all]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        return self.chance.choice(living).address

    def saw_event(self) -> None:
        """Somebody saw another event."""
        self.events_left -= 1
        if self.events_left <= 0:
            self.enough.set()

    async def peace(self) -> None:
        """Wait while work goes on for a while."""
        self.events_left = self.chance.randint(1, LONGEST_PEACE)
        self.enough.clear()
        async with asyncio.timeout(PATIENCE):
            await self.enough.wait()


@asynccontextmanager
async def replicas(settings: dict[str, str], log: BinaryIO) -> AsyncIterator[Replicas]:
    """Two servers with these settings."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            program = await asyncio.create_subprocess_exec(
                *(sys.executable, lives.__file__),
                env=environment(settings),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
            replica = Replica(program)
            stack.push_async_callback(_end, replica)
            made.append(replica)
        for replica in made:
            await replica.begin()
        yield Replicas(made)


async def _end(replica: Replica) -> None:
    replica.kill()
    replica.program.kill()
    await replica.program.communicate()


# --- the story ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Session:
    """What is left of one session in the end."""

    streamed: list[Event]  # as its boss collected it, from all servers
    journal: list[Event]  # as it stands in the database
    accepted: list[str]  # messages that got their 202

    def of(self, kind: str) -> list[Event]:
        """The events of this type."""
        return [event for event in self.journal if event["type"] == kind]


@dataclass(slots=True)
class Aftermath:
    """What is left of everything."""

    sessions: list[Session]
    refused: list[tuple[int, ...]]  # what each server said to a token after its end, each time
    log: str


@pytest.fixture(scope="module", params=["nats", "postgresql"])
def carrier(request: pytest.FixtureRequest) -> str:
    """The setting of the bus; empty for PostgreSQL's own."""
    if request.param == "postgresql":
        return ""
    server: Nats = request.getfixturevalue("nats_server")
    return server.url


@pytest.fixture(scope="module")
async def aftermath(
    carrier: str,
    postgresql_server: URL,
    protection: Sandbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Aftermath]:
    """Two servers, each killed again and again, when all their work was done all the same."""
    del protection  # without one, commands would not run
    folder = tmp_path_factory.mktemp("replicas")
    async with AsyncExitStack() as stack:
        settings = {
            "LONGHOUSE_DATABASE_URL": await stack.enter_async_context(
                fresh_database(postgresql_server)
            ),
            "LONGHOUSE_BUS_URL": carrier,
            "LONGHOUSE_DATA_DIR": str(folder / "house"),
            "LONGHOUSE_LEASE_SECONDS": "5",
            "LONGHOUSE_MODEL": "openai:fake-1",
            "OPENAI_BASE_URL": f"{await stack.enter_async_context(vendor_process())}/v1",
            "OPENAI_API_KEY": "sk-test",
        }
        http = await stack.enter_async_context(aiohttp.ClientSession())
        hired = await hire(len(BOSSES), folder / "house", settings, http)
        log = stack.enter_context((folder / "log").open("wb"))
        houses = await stack.enter_async_context(replicas(settings, log))
        bosses = [Boss(name, houses, *who) for name, who in zip(BOSSES, hired, strict=True)]
        guest = Guest(houses, Caller(Http(http), ""), bosses[0].session)
        journals = await live(houses, bosses, guest)
        yield Aftermath(
            sessions=[
                Session(boss.seen, journal, boss.accepted)
                for boss, journal in zip(bosses, journals, strict=True)
            ],
            refused=guest.refused,
            log=(folder / "log").read_text("utf-8", "replace"),
        )


async def live(houses: Replicas, bosses: list[Boss], guest: "Guest") -> list[list[Event]]:
    """Work through all kills, then come to rest; the journals."""
    async with asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(boss.read_along()) for boss in bosses]
        talking = [tasks.create_task(boss.give_errands()) for boss in bosses]
        talking += [tasks.create_task(boss.make_remarks()) for boss in bosses]
        for number in range(KILLS):
            await houses.peace()
            replica = houses.all[number % 2]
            await replica.die()
            visit = tasks.create_task(guest.come_and_go())
            await replica.begin()
            await visit
        for boss in bosses:
            boss.finish()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*talking)
            await asyncio.gather(*(boss.rest() for boss in bosses))
        journals = [await boss.caller.events(boss.session) for boss in bosses]
        for boss, journal in zip(bosses, journals, strict=True):
            await boss.read_to(len(journal))
        for task in reading:
            task.cancel()
    return journals


@dataclass(slots=True)
class Guest:
    """Somebody who signs in and out again, wherever they are sent."""

    houses: Replicas
    caller: Caller
    session: str  # of which they read along
    refused: list[tuple[int, ...]] = field(default_factory=list)

    async def come_and_go(self) -> None:
        """Sign in, read along, sign out: afterwards no server knows the token."""
        await self._try(200, "/auth/login", {"username": ACCOUNT["username"], "password": PASSWORD})
        reading = asyncio.create_task(self._read_along())
        # 401: an answer that was lost had said 204.
        await self._try((204, 401), "/auth/logout")
        async with asyncio.timeout(PATIENCE):
            await reading
        self.refused.append(tuple([await self._asked(each) for each in self.houses.all]))

    async def _try(self, wanted: int | tuple[int, ...], path: str, body: object = None) -> None:
        """Ask until it is answered, wherever; what was answered has to be this."""
        while True:
            self.caller.address = await self.houses.reached()
            with contextlib.suppress(aiohttp.ClientError):
                answer = await self.caller.answer("POST", path, body)
                assert answer.status in (wanted if isinstance(wanted, tuple) else (wanted,)), answer
                if answer.status == 200:
                    self.caller.token = answer.json["access_token"]
                return

    async def _read_along(self) -> None:
        """Follow a session until nobody lets us any more."""
        reader = Caller(self.caller.transport, "", self.caller.token)
        while True:
            reader.address = await self.houses.reached()
            if (await self._answer(reader)) == 401:
                return
            with contextlib.suppress(aiohttp.ClientError, AssertionError):
                async with aclosing(reader.stream(self.session)) as events:
                    async for _ in events:
                        pass

    async def _asked(self, replica: Replica) -> int:
        """What this server says to the token that was signed out."""
        while True:
            await replica.up.wait()
            self.caller.address = replica.address
            with contextlib.suppress(aiohttp.ClientError):
                return (await self.caller.answer("GET", "/auth/me")).status

    async def _answer(self, reader: Caller) -> int | None:
        with contextlib.suppress(aiohttp.ClientError):
            return (await reader.answer("GET", "/auth/me")).status
        return None


class TestKilledInTurn:
    def test_whoever_reads_along_has_every_event_exactly_once(self, aftermath: Aftermath) -> None:
        for session in aftermath.sessions:
            numbers = [event["seq"] for event in session.streamed]
            assert numbers == list(range(1, len(session.journal) + 1))
            assert session.streamed == session.journal

    def test_no_accepted_message_is_lost_or_doubled(self, aftermath: Aftermath) -> None:
        for session in aftermath.sessions:
            received = [event["message_id"] for event in session.of("message")]
            delivered = [
                message
                for event in session.of("step_started")
                for message in event.get("messages", ())
            ]
            assert received
            assert sorted(received) == sorted(session.accepted)
            assert sorted(delivered) == sorted(session.accepted)

    def test_every_turn_has_exactly_one_end_and_every_call_one_result(
        self, aftermath: Aftermath
    ) -> None:
        for session in aftermath.sessions:
            begun = {event["turn"] for event in session.of("step_started")}
            assert [event["turn"] for event in session.of("done")] == sorted(begun)
            assert {event["reason"] for event in session.of("done")} == {"completed"}
            asked = Counter(event["call_id"] for event in session.of("tool_call"))
            assert asked == Counter(event["call_id"] for event in session.of("tool_end"))
            assert set(asked.values()) == {1}

    def test_a_token_that_was_signed_out_is_refused_by_both(self, aftermath: Aftermath) -> None:
        assert aftermath.refused == [(401, 401)] * KILLS

    def test_the_servers_saw_nothing_unexpected(self, aftermath: Aftermath) -> None:
        assert "Traceback" not in aftermath.log


# --- one duty each --------------------------------------------------------------------------------


async def test_a_server_that_answers_and_one_that_works_are_one_house(
    carrier: str, postgresql_server: URL, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(fresh_database(postgresql_server))
        settings = {
            "LONGHOUSE_DATABASE_URL": url,
            "LONGHOUSE_BUS_URL": carrier,
            "LONGHOUSE_SANDBOX": "off",
        }
        house = tmp_path / "house"
        api = await start(house, settings | {"LONGHOUSE_ONLY": "api"})
        stack.push_async_callback(api.process.communicate)
        stack.callback(api.kill)
        await api.ready()
        worker = await start(house, settings | {"LONGHOUSE_ONLY": "worker"})
        stack.push_async_callback(worker.process.communicate)
        stack.callback(worker.kill)
        await worker.ready()
        ada = await stack.enter_async_context(visitor(api))
        await ada.first_run((await api.one_time_link())[1])

        agent = await ada.new_agent(source=None)
        session = await ada.new_session(agent)
        await ada.say(session, "hello")
        async with asyncio.timeout(PATIENCE):
            lines: list[str] = []
            headers = {"authorization": f"Bearer {ada.token}"}
            address = f"{ada.address}/api/v1{session}/stream"
            async with aclosing(ada.transport.lines(address, headers=headers)) as stream:
                async for line in stream:
                    lines.append(line)
                    if line == "event: done":
                        break

        assert "event: delta" in lines, "live fragments come across"
        answer = await Caller(ada.transport, worker.address, ada.token).answer("GET", "/agents")
        assert answer.status == 404
        assert "Traceback" not in api.log
