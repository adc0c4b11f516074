"""What is in `deploy/`: checked as far as that goes without containers, and run as processes.

The servers are started with the environment that `compose.yaml` gives them; only the addresses of
the others are this machine's. Where nginx is installed it stands before them with our file;
elsewhere a few lines here do what it would.
"""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import crossplane  # type: ignore[import-untyped]
import pytest
import yaml
from sqlalchemy import URL
from tests.e2e.people import Caller, Http
from tests.e2e.servers import Server, start
from tests.fixtures_db import fresh_database
from tests.fixtures_nats import Nats, running
from tests.patience import PATIENCE, until

from longhouse.kit.settings import describe_settings

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
NGINX = DEPLOY / "nginx.conf"
UNITS = sorted((DEPLOY / "systemd").iterdir())
CHOSEN = {"POSTGRES_PASSWORD": "of-postgres", "NATS_PASSWORD": "of-nats"}
PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
DOCKER = shutil.which("docker") or "false"
SYSTEMD = shutil.which("systemd-analyze")
NGINX_PROGRAM = shutil.which("nginx", path=PLACES)

VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def compose() -> dict[str, Any]:
    """The file, with what somebody has to choose filled in."""

    def chosen(found: re.Match[str]) -> str:
        name, kind, text = found.groups()
        if kind == "?":
            return CHOSEN[name]
        return CHOSEN.get(name, text or "")

    parsed: dict[str, Any] = yaml.safe_load(VARIABLE.sub(chosen, COMPOSE.read_text("utf-8")))
    return parsed


def servers() -> dict[str, dict[str, Any]]:
    """The services that are Longhouse."""
    services: dict[str, dict[str, Any]] = compose()["services"]
    return {name: service for name, service in services.items() if name.startswith("longhouse")}


class TestCompose:
    def test_every_variable_of_ours_is_a_setting(self) -> None:
        known = {variable for row in describe_settings() for variable in row.env}

        for service in servers().values():
            unknown = service["environment"].keys() - known - {"FORWARDED_ALLOW_IPS"}
            assert not unknown

    def test_every_image_of_others_has_a_version_and_every_service_comes_back(self) -> None:
        for name, service in compose()["services"].items():
            if "build" not in service:
                assert re.fullmatch(r"[a-z/]+:\d+[\w.-]*", service["image"]), name
            assert service["restart"] == "unless-stopped", name

    def test_what_it_mounts_builds_and_depends_on_is_there(self) -> None:
        whole = compose()
        for service in whole["services"].values():
            for mount in service.get("volumes", ()):
                source = mount.partition(":")[0]
                assert source in whole["volumes"] or (DEPLOY / source).is_file(), mount
            assert set(service.get("depends_on", ())) <= whole["services"].keys()
            if "build" in service:
                context = (DEPLOY / service["build"]["context"]).resolve()
                assert (context / service["build"]["dockerfile"]).is_file()

    def test_nginx_names_every_server_and_nothing_else(self) -> None:
        named = re.findall(r"^\s+server ([\w-]+):8420", NGINX.read_text(), re.MULTILINE)

        assert named == list(servers())

    def test_compose_itself_agrees_where_it_is_installed(self) -> None:
        if subprocess.run(
            [DOCKER, "compose", "version"], capture_output=True, check=False
        ).returncode:
            return  # the tests above are all there is

        done = subprocess.run(
            [DOCKER, "compose", "--file", COMPOSE, "config", "--quiet"],
            env={**os.environ, **CHOSEN},
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stderr


class TestDockerfile:
    TEXT = (DEPLOY / "Dockerfile").read_text("utf-8")

    def test_what_it_copies_is_there_and_not_left_out_of_the_context(self) -> None:
        allowed = {
            line[1:].rstrip("/")
            for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
            if line.startswith("!")
        }

        for name in allowed:
            assert (ROOT / name).exists(), name
        for name in re.findall(r"requirements/[\w.]+", self.TEXT):
            assert (ROOT / name).is_file(), name
        assert {"pyproject.toml", "hatch_build.py", "dev.py", "README.md", "LICENSE"} <= allowed

    def test_its_variables_are_settings_and_it_does_not_run_as_root(self) -> None:
        known = {variable for row in describe_settings() for variable in row.env}

        assert set(re.findall(r"LONGHOUSE_\w+(?==)", self.TEXT)) <= known
        assert "\nUSER longhouse\n" in self.TEXT


class TestNginx:
    def test_every_directive_is_known_and_stands_where_it_may(self) -> None:
        parsed = crossplane.parse(str(NGINX), strict=True, catch_errors=True)

        assert parsed["errors"] == []


class TestUnits:
    @pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
    def test_it_is_made_of_sections_and_of_lines_with_a_name(self, unit: Path) -> None:
        lines = [line for line in unit.read_text("utf-8").splitlines() if line.strip()]
        meant = [line for line in lines if not line.startswith("#")]

        assert meant[0] == "[Unit]"
        assert [line for line in meant if not re.fullmatch(r"\[\w+\]|[A-Z]\w+=.*", line)] == []

    @pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
    def test_systemd_itself_agrees_where_it_is_installed(self, unit: Path, tmp_path: Path) -> None:
        if not SYSTEMD:
            return  # the test above is all there is
        for each in UNITS:  # a timer names its service
            text = each.read_text("utf-8").replace("/opt/longhouse/bin/longhouse", "/bin/true")
            (tmp_path / each.name).write_text(text)
        name = unit.name.replace("@.", "@8421.")

        done = subprocess.run(
            [SYSTEMD, "verify", "--man=no", tmp_path / name],
            env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stderr
        assert "longhouse" not in done.stderr, done.stderr

    def test_the_servers_are_the_same_but_for_the_port(self) -> None:
        def lines(name: str) -> list[str]:
            text = (DEPLOY / "systemd" / name).read_text("utf-8")
            return [line for line in text.splitlines() if line and not line.startswith("#")]

        one, many = lines("longhouse.service"), lines("longhouse@.service")

        different = [(a, b) for a, b in zip(one, many, strict=True) if a != b]
        assert [a.partition("=")[0] for a, _ in different] == ["Description", "ExecStart"]

    def test_their_variables_are_settings(self) -> None:
        known = {variable for row in describe_settings() for variable in row.env}

        for unit in UNITS:
            assert set(re.findall(r"LONGHOUSE_\w+(?==)", unit.read_text())) <= known


# --- the same as processes ------------------------------------------------------------------------


@dataclass(slots=True)
class Balancer:
    """Stands in for nginx where there is none: each connection goes to the next server."""

    ports: Sequence[int]
    turn: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        for _ in self.ports:
            self.turn += 1
            with contextlib.suppress(OSError):
                port = self.ports[self.turn % len(self.ports)]
                there = await asyncio.open_connection("127.0.0.1", port)
                break
        else:
            writer.close()
            return
        async with asyncio.TaskGroup() as both:
            both.create_task(pass_on(reader, there[1]))
            both.create_task(pass_on(there[0], writer))


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def balanced(ports: Sequence[int], directory: Path) -> AsyncIterator[str]:
    """The address of whatever stands before the servers: nginx with our file, where it is."""
    if NGINX_PROGRAM is None:
        async with await asyncio.start_server(Balancer(ports), "127.0.0.1", 0) as listening:
            yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        return
    port = free_port()
    text = NGINX.read_text("utf-8").replace("listen 8420", f"listen 127.0.0.1:{port}")
    text = text.replace("/tmp/nginx.pid", str(directory / "nginx.pid"))
    for name, its_port in zip(servers(), ports, strict=True):
        text = text.replace(f"{name}:8420", f"127.0.0.1:{its_port}")
    # Where a package puts these, only root may write.
    temporary = " ".join(
        f"{kind}_temp_path {directory}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("access_log off;", f"access_log off; {temporary}")
    (directory / "nginx.conf").write_text(text)
    process = await asyncio.create_subprocess_exec(
        *(NGINX_PROGRAM, "-c", directory / "nginx.conf", "-p", directory),
        *("-e", directory / "nginx.log", "-g", "daemon off;"),
    )
    try:
        await until(lambda: answers(port) or process.returncode is not None)
        assert process.returncode is None, "nginx ended"
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def guarded_nats(nats_program: str, tmp_path: Path) -> Iterator[Nats]:
    """The bus as the file starts it."""
    options = tuple(compose()["services"]["nats"]["command"])
    yield from running(Nats(nats_program, tmp_path / "nats", options))


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_the_composed_house_works_as_processes_and_outlives_one_of_them(
    guarded_nats: Nats, postgresql_server: URL, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(fresh_database(postgresql_server))
        running_servers = []
        for name, service in servers().items():
            given = {key: str(value) for key, value in service["environment"].items()}
            assert "@postgres:5432/" in given["LONGHOUSE_DATABASE_URL"], name
            given["LONGHOUSE_DATABASE_URL"] = database
            given["LONGHOUSE_BUS_URL"] = given["LONGHOUSE_BUS_URL"].replace(
                "@nats:4222", f"@127.0.0.1:{guarded_nats.port}"
            )
            given |= {"LONGHOUSE_SANDBOX": "off", "LONGHOUSE_PUBLIC_URL": ""}
            server = await start(tmp_path / "house", given)
            stack.push_async_callback(server.process.communicate)
            stack.callback(server.kill)
            await server.ready()
            running_servers.append(server)
        ports = [int(server.address.rpartition(":")[2]) for server in running_servers]
        address = await stack.enter_async_context(balanced(ports, tmp_path))
        http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        )
        ada = Caller(Http(http), address)
        await ada.first_run((await running_servers[-1].one_time_link())[1])
        session = await ada.new_session(await ada.new_agent(source=None))

        await ada.say(session, "hello")
        await done(ada, session)
        for server in running_servers:
            assert await parts(server) == {"application": "ok", "database": "ok", "bus": "ok"}
        if NGINX_PROGRAM is not None:
            async with http.get(f"{address}/metrics") as answer:
                assert answer.status == 404

        assert await running_servers[0].stop() == 0
        await ada.say(session, "still there?")
        await done(ada, session, turns=2)


async def done(ada: Caller, session: str, *, turns: int = 1) -> None:
    """Follow the session until so many turns have ended; whoever breaks off comes back."""
    last = ended = 0
    async with asyncio.timeout(PATIENCE):
        while ended < turns:
            with contextlib.suppress(aiohttp.ClientError, AssertionError):
                async with aclosing(ada.stream(session, last=last)) as events:
                    async for event in events:
                        last = event["seq"]
                        ended += event["type"] == "done"
                        if ended == turns:
                            return


async def parts(server: Server) -> dict[str, str]:
    """How some parts of it are."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.address}/health") as answer:
        checks = (await answer.json())["checks"]
        return {name: checks[name]["status"] for name in ("application", "database", "bus")}
