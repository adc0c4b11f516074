"""A server as a process: how it starts, what it says when it cannot, how it stops."""

import asyncio
import os
import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from tests.fixtures_server import ADMIN

from longhouse.kit.errors import Misconfigured
from longhouse.kit.settings import Settings
from longhouse.server.house import open_house
from longhouse.server.lock import HouseTaken, only_server_of
from longhouse.server.serve import PortTaken, address_of, listening

SERVE = """
from longhouse.kit.errors import LonghouseError
from longhouse.kit.settings import load_settings
from longhouse.server import serve
try:
    serve.run(load_settings())
except LonghouseError as error:
    raise SystemExit(f"{error.code}: {error}")
"""

ADDRESS = re.compile(r"Longhouse is at (http://\S+)")
LINK = re.compile(r"^http://\S+/setup#token=(\S+)$", re.MULTILINE)
STARTS_WITHIN = 180.0  # seconds, on a machine that has other things to do


@pytest.fixture
def data_dir(sqlite_template: Path, tmp_path: Path) -> Path:
    """A directory with an empty house in it."""
    shutil.copy(sqlite_template, tmp_path / "longhouse.db")
    return tmp_path


class Server:
    """A server process and what it printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.printed = ""

    async def until(self, pattern: re.Pattern[str]) -> str:
        """Wait until it printed this; the first group of it."""
        assert self.process.stdout is not None
        async with asyncio.timeout(STARTS_WITHIN):
            while (found := pattern.search(self.printed)) is None:
                line = await self.process.stdout.readline()
                assert line, f"the server ended: {self.printed}"
                self.printed += line.decode()
        return found[1]

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal; how the process ended."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for the end; everything it printed is known then."""
        async with asyncio.timeout(STARTS_WITHIN):
            output, _ = await self.process.communicate()
        self.printed += output.decode()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def started(data_dir: Path, **more: str) -> AsyncIterator[Server]:
    """A server of this directory, on a port of its own unless told otherwise."""
    environment = {
        **os.environ,
        "LONGHOUSE_DATA_DIR": str(data_dir),
        "LONGHOUSE_PORT": "0",
        "LONGHOUSE_SANDBOX": "off",
        **more,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", SERVE),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Server(process)
    finally:
        if process.returncode is None:
            process.kill()
        # Reads the rest and closes the pipe, also when the process had ended before.
        await process.communicate()


async def set_up(http: aiohttp.ClientSession, address: str, token: str) -> str:
    """Make the first admin; the access token."""
    async with http.post(f"{address}/api/v1/setup", json={"token": token, **ADMIN}) as answer:
        assert answer.status == 201
        access: str = (await answer.json())["access_token"]
        return access


async def new_session(http: aiohttp.ClientSession, address: str) -> str:
    """The address of a session of a new agent without a repository."""
    api = f"{address}/api/v1"
    async with http.get(f"{api}/posts") as answer:
        post_id = (await answer.json())["items"][0]["id"]
    async with http.post(f"{api}/agents", json={"name": "Ada", "post_id": post_id}) as answer:
        agent_id = (await answer.json())["id"]
    async with http.post(f"{api}/agents/{agent_id}/sessions", json={}) as answer:
        return f"{api}/agents/{agent_id}/sessions/{(await answer.json())['id']}"


class TestStart:
    async def test_it_prints_the_address_and_the_link_once_it_answers(self, tmp_path: Path) -> None:
        async with started(tmp_path / "new") as server, aiohttp.ClientSession() as http:
            token = await server.until(LINK)
            address = await server.until(ADDRESS)

            async with http.get(f"{address}/health") as answer:
                assert answer.status == 200
            await set_up(http, address, token)
            assert await server.stop() == 0

        async with started(tmp_path / "new") as server:
            await server.until(ADDRESS)
            await server.stop()
            assert "token" not in server.printed, "there is a user now"

    async def test_the_signing_secret_and_the_database_are_readable_by_their_owner_only(
        self, data_dir: Path
    ) -> None:
        async with started(data_dir) as server:
            await server.until(ADDRESS)

        for name in ("jwt_secret", "longhouse.db"):
            assert (data_dir / name).stat().st_mode & 0o777 == 0o600, name

    async def test_a_port_that_is_taken_is_told_in_one_line(self, data_dir: Path) -> None:
        with listening("127.0.0.1", 0) as taken:
            port = str(taken.getsockname()[1])
            async with started(data_dir, LONGHOUSE_PORT=port) as server:
                assert await server.ended() != 0

        assert server.printed.startswith("port-taken: ")
        assert port in server.printed
        assert server.printed.count("\n") == 1

    async def test_a_database_that_is_none_is_told_in_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "longhouse.db").write_text("This is no database. " * 100)

        async with started(tmp_path) as server:
            assert await server.ended() != 0

        assert server.printed.startswith("misconfigured: ")
        assert "longhouse.db" in server.printed
        assert server.printed.count("\n") == 1

    async def test_a_directory_that_cannot_be_made_is_told_in_one_line(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("in the way")

        async with started(tmp_path / "file") as server:
            assert await server.ended() != 0

        assert server.printed.startswith("misconfigured: ")
        assert server.printed.count("\n") == 1


class TestStop:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    async def test_a_signal_stops_it_gracefully(self, data_dir: Path, number: int) -> None:
        async with started(data_dir) as server:
            await server.until(ADDRESS)

            assert await server.stop(number) == 0

        assert "Traceback" not in server.printed

    async def test_a_signal_ends_open_streams_in_order(self, data_dir: Path) -> None:
        async with started(data_dir) as server, aiohttp.ClientSession() as http:
            token = await server.until(LINK)
            address = await server.until(ADDRESS)
            access = await set_up(http, address, token)
            http.headers["authorization"] = f"Bearer {access}"
            session = await new_session(http, address)

            async with http.get(f"{session}/stream") as stream:
                async with asyncio.timeout(STARTS_WITHIN):
                    await stream.content.readuntil(b"event: agent_created\n")
                    ended = asyncio.create_task(server.stop())
                    await stream.read()  # a connection that broke off would raise

            assert await ended == 0

    async def test_after_kill_nothing_that_was_answered_is_lost_and_it_starts_again(
        self, data_dir: Path
    ) -> None:
        async with started(data_dir) as server:
            await server.until(LINK)
            await server.stop(signal.SIGKILL)

        with sqlite3.connect(data_dir / "longhouse.db") as connection:
            (links,) = connection.execute("SELECT count(*) FROM setup_links").fetchone()
        connection.close()
        assert links == 1
        async with started(data_dir) as again:
            await again.until(LINK)


class TestOneServer:
    def settings(self, directory: Path) -> Settings:
        return Settings(data_dir=directory)

    async def test_a_second_server_of_the_same_database_is_refused(self, data_dir: Path) -> None:
        async with started(data_dir) as server:
            await server.until(ADDRESS)

            with pytest.raises(HouseTaken) as refused:
                async with open_house(self.settings(data_dir)):
                    pass

            assert f"process {server.process.pid}" in str(refused.value)

    async def test_the_lock_is_free_again_when_the_first_is_done(self, tmp_path: Path) -> None:
        url = self.settings(tmp_path).database_url

        with only_server_of(url), pytest.raises(HouseTaken), only_server_of(url):
            pass
        with only_server_of(url):
            pass

    async def test_several_servers_may_share_postgresql(self) -> None:
        url = "postgresql://localhost/longhouse"

        with only_server_of(url), only_server_of(url):
            pass


class TestListening:
    def test_a_taken_port_names_the_port_and_the_way_out(self) -> None:
        with listening("127.0.0.1", 0) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(PortTaken, match=str(port)), listening("127.0.0.1", port):
                pass

    def test_an_address_of_another_machine_is_refused(self) -> None:
        with pytest.raises(Misconfigured, match="192"), listening("192.0.2.1", 0):
            pass

    def test_a_name_nobody_knows_is_refused(self) -> None:
        with pytest.raises(Misconfigured), listening("nobody.invalid", 0):
            pass

    @pytest.mark.parametrize(
        ("host", "public_url", "address"),
        [
            ("127.0.0.1", None, "http://127.0.0.1:8420"),
            ("0.0.0.0", None, "http://localhost:8420"),
            ("::1", None, "http://[::1]:8420"),
            ("0.0.0.0", "https://house.example/", "https://house.example"),
        ],
    )
    def test_the_printed_address_can_be_opened(
        self, host: str, public_url: str | None, address: str
    ) -> None:
        assert address_of(Settings(host=host, public_url=public_url), 8420) == address
