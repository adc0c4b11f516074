"""Carriers for tests of the bus: a NATS server of the tests' own, PostgreSQL from `fixtures_db`.

The NATS server is Debian's `nats-server`, found also where only root has it on the path. It listens
on a free port of this machine; it can be stopped and started again at the same address.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import URL
from tests.fixtures_db import fresh_database
from tests.patience import PATIENCE, until

from longhouse.kit.bus.base import Message, Subscription
from longhouse.kit.bus.carried import CarriedBus
from longhouse.kit.bus.choose import opened_bus

PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))


@dataclass(slots=True)
class Nats:
    """A NATS server, stopped and started at will."""

    program: str
    directory: Path
    options: tuple[str, ...] = ()
    port: int = -1  # any free one, at first
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it listens, or did."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        ports = self.directory / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir(parents=True)
        self.process = subprocess.Popen(
            [
                *(self.program, "--addr", "127.0.0.1", "--port", str(self.port)),
                *("--ports_file_dir", str(ports), "--log", str(self.directory / "log")),
                *self.options,
            ],
            stdin=subprocess.DEVNULL,
        )
        give_up = time.monotonic() + PATIENCE
        while (found := _told(ports)) is None:
            assert self.process.poll() is None, "it ended"
            assert time.monotonic() < give_up, "it does not listen"
            time.sleep(0.01)
        self.port = found

    def stop(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def _told(ports: Path) -> int | None:
    """The port the server has written down, once it has."""
    for path in ports.glob("*.ports"):
        with contextlib.suppress(ValueError):  # half written
            return int(json.loads(path.read_text())["nats"][0].rpartition(":")[2])
    return None


@pytest.fixture(scope="session")
def nats_program() -> str:
    """Where the server is installed."""
    program = shutil.which("nats-server", path=PLACES)
    if program is None:
        _without_nats("apt-get install nats-server")
    return program


@pytest.fixture(scope="session")
def nats_server(nats_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """A server for many tests; none of them stops it."""
    yield from running(Nats(nats_program, tmp_path_factory.mktemp("nats")))


@pytest.fixture
def own_nats(nats_program: str, tmp_path: Path) -> Iterator[Nats]:
    """A server of one test, which may stop it."""
    yield from running(Nats(nats_program, tmp_path / "nats"))


def running(server: Nats) -> Iterator[Nats]:
    """The server, started before and stopped after: the body of a fixture."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def bus_database(postgresql_server: URL) -> Iterator[str]:
    """The address of a database without tables: rings need none."""
    with asyncio.Runner() as runner:
        made = fresh_database(postgresql_server)
        yield runner.run(made.__aenter__())
        runner.run(made.__aexit__(None, None, None))


@contextlib.asynccontextmanager
async def connected_bus(url: str) -> AsyncIterator[CarriedBus]:
    """A bus as one process has it; it is connected."""
    async with opened_bus(url) as bus:
        assert isinstance(bus, CarriedBus)
        await until(lambda: bus.describe().connected)
        yield bus


async def next_message(subscription: Subscription) -> Message:
    """The next message that is one: a reader is also woken to look for itself."""
    async with asyncio.timeout(PATIENCE):
        while (message := await subscription.next()) is None:
            pass
    return message


def _without_nats(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"no NATS for tests: {reason}")
    pytest.skip(f"NO NATS: this part of the tests did not run; {reason}")
