"""A post's hosts, from the post to the command: who reaches them, and what the model is told."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longhouse.runtime.delegation import narrow
from longhouse.runtime.model import ToolMessage
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import ScriptedModel, Step, call, say
from longhouse.runtime.posts import Mode, Permissions, Post
from longhouse.runtime.runtime import Runtime
from longhouse.runtime.sandbox.base import Sandbox
from longhouse.runtime.sandbox.egress import Egress
from longhouse.runtime.sandbox.egress_hosts import Address

AUTO = Permissions(mode=Mode.AUTO)


async def loopback(host: str) -> list[Address]:
    return [ipaddress.ip_address("127.0.0.1")]


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Where a site answers."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def outcomes(posts: list[Post], steps: list[Step], folder: Path, sandbox: Sandbox) -> str:
    """What the model was told of every command, by an agent of the first post."""
    script = ScriptedModel(steps, record=True)
    egress = Egress(networks=["127.0.0.0/8"], resolve=loopback)
    async with Runtime(
        posts=posts,
        models=FixedModels(script),
        sandbox=sandbox,
        egress=egress,
        workspaces=folder / "workspaces",
    ) as runtime:
        agent = await runtime.agent("agent", post=posts[0].name)
        await agent.send("go")
        await agent.rest()
        return "\n".join(
            message.content
            for request in script.requests[-1:]
            for message in request.messages
            if isinstance(message, ToolMessage)
        )


@pytest.mark.sandbox
async def test_a_command_reaches_the_hosts_of_its_post_and_hears_of_the_others(
    port: int, tmp_path: Path, protection: Sandbox
) -> None:
    post = Post(name="builder", permissions=AUTO, hosts=(f"shop.example:{port}",))
    command = f"curl -s http://shop.example:{port}; curl -s https://evil.example"

    said = await outcomes(
        [post], [call("bash_run", command=command), say("done")], tmp_path, protection
    )

    assert said.startswith("hello\n")
    assert "[network: evil.example:443 was refused: it is not among the hosts" in said


@pytest.mark.sandbox
async def test_a_post_without_hosts_has_no_network(
    port: int, tmp_path: Path, protection: Sandbox
) -> None:
    command = f"env | grep -i proxy; curl -sS -m 2 -x 127.0.0.1:3128 http://shop.example:{port}"

    said = await outcomes(
        [Post(name="builder", permissions=AUTO)],
        [call("bash_run", command=command), say("done")],
        tmp_path,
        protection,
    )

    assert "PROXY" not in said
    assert "hello" not in said
    assert "[exit code 7]" in said  # curl: nobody listens


def test_a_sub_agent_reaches_only_what_its_parent_may_reach_too() -> None:
    parent = Post(name="lead", hosts=("*.example.org", "a.test:443"))
    child = Post(name="scout", hosts=("api.example.org", "a.test", "b.test"))

    assert narrow(child, parent).hosts == ("api.example.org", "a.test:443")
    assert narrow(child, Post(name="lead")).hosts == ()


def test_a_post_with_a_host_that_means_nothing_cannot_be_made() -> None:
    with pytest.raises(ValueError, match=r"is not a host|no port"):
        Post(name="builder", hosts=("https://example.org",))


async def test_the_model_is_told_which_hosts_there_are(tmp_path: Path) -> None:
    script = ScriptedModel([say("done")], record=True)
    post = Post(name="builder", prompt="Build.", hosts=("shop.example",))

    async with Runtime(
        posts=[post], models=FixedModels(script), workspaces=tmp_path / "workspaces"
    ) as runtime:
        agent = await runtime.agent("agent", post="builder")
        await agent.send("go")
        await agent.rest()

    assert script.requests[0].system.startswith("Build.\n\nCommands reach these hosts")
    assert "shop.example" in script.requests[0].system
