"""Sub-agents: an agent's errand, run by an agent of its own, within the limits of who sent it.

Called by the runtime for the tool `task_run`. The sub-agent has its own journal, so a crash loses
nothing of it; it works in its parent's workspace, with no tool and no permission that its parent
has not; what it must ask, its parent's people are asked. It does not outlive the errand.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import Literal

import msgspec

from longhouse.kit.errors import LonghouseError
from longhouse.protocol.events import (
    AgentCreated,
    AgentState,
    DoneReason,
    Draft,
    JsonObject,
    PermissionDecided,
    PermissionRequired,
)
from longhouse.runtime.agent import Agent
from longhouse.runtime.life import Life
from longhouse.runtime.pool import Pool
from longhouse.runtime.posts import Post
from longhouse.runtime.sandbox import egress_hosts
from longhouse.runtime.services import AskPeople, Errand, PostSource, Services
from longhouse.runtime.tasks import ended
from longhouse.runtime.tools.base import ToolFailed

DEEPEST = 3  # sub-agents of sub-agents: deeper is a loop more often than a plan


async def delegate(services: Services, errand: Errand) -> str:
    """Run the errand to its end; the sub-agent's last words. Raises `ToolFailed`."""
    depth = int(errand.parent_metadata.get("depth", 0)) + 1
    if depth > DEEPEST:
        raise ToolFailed(f"Sub-agents go {DEEPEST} deep at the most. Do this part yourself.")
    pool = Pool(size=1, clock=services.clock)  # it works within the place of its parent
    agent = await _open(services, pool, errand, depth)
    try:
        await agent.send(errand.prompt, message_id=errand.call_id)
        while await agent.run() is AgentState.WAITING:
            await _ask_parent(agent, errand)
        return await _answer(agent)
    except asyncio.CancelledError:
        if errand.interrupted():
            await ended(asyncio.ensure_future(_stop(agent)))
        raise
    finally:
        await pool.close(grace=0)


def sub_agent_id(parent_id: str, call_id: str) -> str:
    """The id of the agent that does the errand of a call.

    With a digest of the call's id, which is a vendor's, as long as it likes and with any character.
    """
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{parent_id}.{digest[:16]}"


async def _open(services: Services, pool: Pool, errand: Errand, depth: int) -> Agent:
    agent_id = sub_agent_id(errand.parent_id, errand.call_id)
    own = replace(
        services, drive=False, post=_narrowed(services, errand), ask_above=_asking(errand)
    )
    created = AgentCreated(
        agent_id=agent_id, post=errand.post, metadata=_metadata(errand, depth=depth)
    )
    is_new = await services.journal.create(agent_id, [Draft(created)])
    try:  # whose it is, and so which posts it may have, its journal says
        await own.post(agent_id, errand.post)
    except LonghouseError as error:
        if is_new:
            await services.journal.delete(agent_id)
        raise ToolFailed(str(error)) from error
    return Agent(Life(agent_id, own, pool, seq=0))


def _metadata(errand: Errand, *, depth: int) -> JsonObject:
    """What is said of the parent, and whose errand this is."""
    return {
        **errand.parent_metadata,
        "parent": errand.parent_id,
        "call": errand.call_id,
        "depth": depth,
        # The agent whose workspace it is: the first of the chain.
        "workspace": errand.parent_metadata.get("workspace", errand.parent_id),
    }


def _narrowed(services: Services, errand: Errand) -> PostSource:
    async def find(agent_id: str, name: str) -> Post:
        return narrow(await services.post(agent_id, name), errand.within)

    return find


def narrow(post: Post, within: Post) -> Post:
    """The post with no tool, host, permission or limit that `within` has not."""
    allowed, outer = post.limits, within.limits
    return replace(
        post,
        tools=tuple(name for name in post.tools if name in within.tools),
        hosts=egress_hosts.in_common(post.hosts, within.hosts),
        permissions=replace(post.permissions, within=within.permissions),
        limits=replace(
            allowed,
            steps=min(allowed.steps, outer.steps),
            tokens=min(allowed.tokens, outer.tokens),
            wall_seconds=min(allowed.wall_seconds, outer.wall_seconds),
        ),
    )


def _asking(errand: Errand) -> AskPeople:
    """How a sub-agent asks: its parent's people, who are told for which errand it is."""

    async def ask(required: PermissionRequired) -> PermissionDecided:
        forwarded = msgspec.structs.replace(
            required,
            call_id=f"{errand.call_id}/{required.call_id}",
            delegated_by=errand.call_id,
            reason=f"sub-agent of post {errand.post}: {required.reason}",
        )
        return await errand.ask(forwarded)

    return ask


async def _ask_parent(agent: Agent, errand: Errand) -> None:
    """Put every approval before the parent's people, all at once."""
    ask, status = _asking(errand), await agent.status()

    async def decide(required: PermissionRequired) -> None:
        decided = await ask(required)
        decision: Literal["allow", "deny"] = "allow" if decided.decision == "allow" else "deny"
        await agent.decide(required.call_id, decision, note=decided.note, by=decided.by)

    async with asyncio.TaskGroup() as asking:
        for required in status.approvals:
            asking.create_task(decide(required))


async def _answer(agent: Agent) -> str:
    status = await agent.status()
    done = status.done
    if done is None or done.reason is not DoneReason.COMPLETED:
        reason = "it did not end" if done is None else f"{done.reason}: {done.detail}"
        raise ToolFailed(f"The sub-agent could not finish ({reason}).", retryable=True)
    return agent.last_words() or "(The sub-agent said nothing.)"


async def _stop(agent: Agent) -> None:
    await agent.interrupt()
    await agent.run()
