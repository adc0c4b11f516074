"""The way out of a sandbox: a proxy in this process that reaches a post's hosts and nothing else.

`Egress` is made once, with what the operator allows; the turn loop asks it for a sandbox that
reaches the hosts of a post. The sandbox has no network of its own: a command's connections to
127.0.0.1:3128 arrive here (`egress_inlet`), `egress_requests` decides, the name is looked up, the
address is checked, and exactly that address is connected to.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from longhouse.runtime.sandbox.base import (
    Command,
    Completed,
    Listener,
    Running,
    Sandbox,
    SandboxReport,
)
from longhouse.runtime.sandbox.egress_hosts import (
    Address,
    HostPattern,
    Network,
    is_address,
    may_connect,
    pattern,
)
from longhouse.runtime.sandbox.egress_requests import (
    Decision,
    Forward,
    Refused,
    Tunnel,
    decide,
    spelt,
)

logger = logging.getLogger(__name__)

Resolve: TypeAlias = Callable[[str], Awaitable[Sequence[Address]]]
"""A host's addresses, the best first. Raises `OSError`."""

_PIECE = 64 << 10  # bytes relayed at once
_MOST_ADDRESSES = 4  # of one host that are tried
_MOST_NOTES = 10  # refused hosts that a result names


@dataclass(frozen=True, kw_only=True, slots=True)
class EgressLimits:
    """What the connections of one command may use. Times are seconds."""

    connections: int = 64  # at once; more are refused
    head_bytes: int = 32 << 10
    head_seconds: float = 15.0  # until the head of a request is there
    connect_seconds: float = 15.0  # to look a name up and to connect
    idle_seconds: float = 300.0  # without a byte either way


async def look_up(host: str) -> Sequence[Address]:
    """A host's addresses by the machine's own resolver. Raises `OSError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


class Egress:
    """What the operator of this process allows; makes sandboxes that reach a post's hosts."""

    def __init__(
        self,
        *,
        networks: Sequence[str] = (),
        resolve: Resolve = look_up,
        limits: EgressLimits | None = None,
    ) -> None:
        """`networks`: those, such as `10.1.0.0/16`, that hosts may lie in beside public ones.

        Raises `ValueError` for what is no network.
        """
        self.networks: tuple[Network, ...] = tuple(map(ipaddress.ip_network, networks))
        self.resolve = resolve
        self.limits: EgressLimits = limits or EgressLimits()

    def reaching(self, sandbox: Sandbox, hosts: Sequence[str], *, agent_id: str = "") -> Sandbox:
        """`sandbox`, from which commands reach `hosts`; the same one when there are none.

        Raises `InvalidHost`.
        """
        if not hosts:
            return sandbox
        patterns = tuple(map(pattern, hosts))
        return Reaching(sandbox=sandbox, egress=self, hosts=patterns, agent_id=agent_id)


@dataclass(frozen=True, kw_only=True)
class Reaching:
    """Gives each command a proxy of its own, and says at the end what that refused."""

    sandbox: Sandbox
    egress: Egress
    hosts: tuple[HostPattern, ...]
    agent_id: str

    @property
    def name(self) -> str:
        """The boundary's name."""
        return self.sandbox.name

    def describe(self) -> SandboxReport:
        """The boundary's own report."""
        return self.sandbox.describe()

    async def run(self, command: Command) -> Completed:
        """Run the command with a way to the hosts; its output ends with what was refused."""
        proxy = Proxy(self.egress, self.hosts, agent_id=self.agent_id)
        return _told(await self.sandbox.run(replace(command, network=proxy)), proxy)

    async def start(self, command: Command, listener: Listener | None = None) -> Running:
        """Start it likewise; `listener` hears of refusals when they happen."""
        proxy = Proxy(self.egress, self.hosts, agent_id=self.agent_id, listener=listener)
        return _Told(await self.sandbox.start(replace(command, network=proxy), listener), proxy)


@dataclass(frozen=True)
class _Told:
    """A command that goes on, whose result will say what its proxy refused."""

    running: Running
    proxy: Proxy

    async def wait(self) -> Completed:
        return _told(await self.running.wait(), self.proxy)

    async def end(self) -> Completed:
        return _told(await self.running.end(), self.proxy)


def _told(done: Completed, proxy: Proxy) -> Completed:
    """How a command ended, with a line for each host it was refused."""
    if not proxy.refusals:
        return done
    gap = b"" if not done.output or done.output.endswith(b"\n") else b"\n"
    return replace(done, output=done.output + gap + b"".join(map(_line, proxy.refusals)))


def _line(said: str) -> bytes:
    return f"[network: {said}]\n".encode(errors="replace")


@dataclass
class Proxy:
    """The proxy of one command."""

    egress: Egress
    hosts: tuple[HostPattern, ...]
    agent_id: str = field(kw_only=True)
    listener: Listener | None = field(default=None, kw_only=True)  # of the command's output
    refusals: dict[str, None] = field(default_factory=dict, init=False)  # in words, once each
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    @contextlib.asynccontextmanager
    async def serve(self, listener: socket.socket) -> AsyncIterator[None]:
        """Answer what comes in at `listener`, which is closed at the end with all connections."""
        server = await asyncio.start_server(
            self._accept, sock=listener, limit=self.egress.limits.head_bytes
        )
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of ours and not of the server's, so that `serve` can wait for its end.
        task = asyncio.create_task(self._answer(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            decision = await self._decide(reader)
            match decision:
                case Refused():
                    await self._refuse(writer, decision)
                case Tunnel() | Forward():
                    await self._reach(decision, reader, writer)
        except (OSError, EOFError, TimeoutError) as error:
            logger.debug("a connection of a sandbox ended: %r", error)
        except Exception:  # the boundary of a task: what clients send must not be able to matter
            logger.exception("the egress proxy failed at a request")
        finally:
            writer.close()

    async def _decide(self, reader: asyncio.StreamReader) -> Decision:
        limits = self.egress.limits
        if len(self._tasks) > limits.connections:
            reason = f"a command may have {limits.connections} connections at once"
            return Refused(status=503, reason=reason, target="a connection")
        try:
            async with asyncio.timeout(limits.head_seconds):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return Refused(status=431, reason=f"its head has more than {limits.head_bytes} bytes")
        return decide(head, self.hosts)

    async def _refuse(self, writer: asyncio.StreamWriter, refused: Refused) -> None:
        what = refused.target or "a request"
        said = f"{what} was refused: {refused.reason}"
        if said not in self.refusals and len(self.refusals) < _MOST_NOTES:
            self.refusals[said] = None
            if self.listener is not None:
                self.listener(_line(said))
        logger.info("egress of agent %r: %s", self.agent_id, said)
        await _say(writer, refused.status, f"longhouse: {said}\n")

    async def _reach(
        self,
        wanted: Tunnel | Forward,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        outcome = await self._connect(wanted.host, wanted.port)
        if isinstance(outcome, Refused):
            await self._refuse(writer, outcome)
            return
        there_reader, there_writer = outcome
        try:
            match wanted:
                case Tunnel():
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await self._both_ways(reader, writer, there_reader, there_writer)
                case Forward(head=head, body=body):
                    there_writer.write(head)
                    await self._one_exchange(reader, writer, there_reader, there_writer, body)
        finally:
            there_writer.close()

    async def _connect(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | Refused:
        target = spelt(host, port)
        try:
            async with asyncio.timeout(self.egress.limits.connect_seconds):
                addresses = await self._addresses(host)
                if not addresses:
                    reason = (
                        "it lies in a private network, and the operator has not opened that to "
                        "posts (LONGHOUSE_EGRESS_NETWORKS)"
                    )
                    return Refused(status=403, reason=reason, target=target)
                return await _first_that_answers(addresses, port)
        except TimeoutError:
            return Refused(status=504, reason="it does not answer", target=target)
        except OSError as error:
            return Refused(status=502, reason=error.strerror or str(error), target=target)

    async def _addresses(self, host: str) -> list[Address]:
        """Those of a host that may be connected to. What is checked here is what is connected to:
        a second look-up could be answered differently.
        """
        if is_address(host):
            found: Sequence[Address] = [ipaddress.ip_address(host)]
        else:
            found = await self.egress.resolve(host)
        return [each for each in found if may_connect(each, self.egress.networks)]

    async def _both_ways(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there_reader: asyncio.StreamReader,
        there_writer: asyncio.StreamWriter,
    ) -> None:
        async with self._while_busy() as busy, asyncio.TaskGroup() as both:
            both.create_task(_relay(reader, there_writer, busy))
            both.create_task(_relay(there_reader, writer, busy))

    async def _one_exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there_reader: asyncio.StreamReader,
        there_writer: asyncio.StreamWriter,
        body: int,
    ) -> None:
        """One request and its answer: a second one on the same connection is not passed on."""
        async with self._while_busy() as busy:
            sending = asyncio.create_task(_relay(reader, there_writer, busy, length=body))
            try:
                await _relay(there_reader, writer, busy)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _while_busy(self) -> AsyncIterator[Callable[[], None]]:
        """A time-out that each call of what it yields puts off."""
        loop = asyncio.get_running_loop()
        idle = self.egress.limits.idle_seconds
        async with asyncio.timeout(idle) as ending:

            def busy() -> None:
                if not ending.expired():
                    ending.reschedule(loop.time() + idle)

            yield busy


async def _first_that_answers(
    addresses: Sequence[Address], port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    problem = OSError("it has no address")
    for address in addresses[:_MOST_ADDRESSES]:
        try:
            return await asyncio.open_connection(str(address), port)
        except OSError as error:
            problem = error
    raise problem


async def _relay(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    busy: Callable[[], None],
    *,
    length: int | None = None,
) -> None:
    """Pass bytes on to the end of the source, or so many. Then nothing more comes at the sink."""
    left = length
    with contextlib.suppress(OSError):  # either side may go at any time
        while left is None or left > 0:
            piece = await source.read(_PIECE if left is None else min(left, _PIECE))
            if not piece:
                break
            left = None if left is None else left - len(piece)
            busy()
            sink.write(piece)
            await sink.drain()
            busy()
        if length is None and sink.can_write_eof():
            sink.write_eof()


async def _say(writer: asyncio.StreamWriter, status: int, text: str) -> None:
    body = text.encode(errors="replace")
    head = (
        f"HTTP/1.1 {status} Refused by Longhouse\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
