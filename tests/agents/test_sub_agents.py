"""Sub-agents on the server: sessions of the tenant, below the session that sent them out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, update
from tests.agents.conftest import Room, principal_of
from tests.agents.rows import add_tenant

from longhouse.agents.errors import NoSuchAgent, SubAgentSession
from longhouse.agents.models import (
    Approval,
    Overrides,
    Session,
    SessionId,
    events,
    sessions,
)
from longhouse.agents.service.agents import AgentChanges
from longhouse.agents.states import AgentStatus
from longhouse.identity.auth import tenant_of_own_row
from longhouse.protocol.events import (
    AgentState,
    Body,
    Done,
    DoneReason,
    Outcome,
    PermissionRequired,
    StateChanged,
    Text,
    ToolEnd,
    ToolStart,
)
from longhouse.runtime.delegation import sub_agent_id
from longhouse.runtime.model import AssistantMessage, ModelRequest, ToolMessage
from longhouse.runtime.models.scripted import COUNTED, ScriptedModel, call, hang, say
from longhouse.runtime.posts import Mode, Permissions, Post

BOSS, SCOUT = "boss", "scout"
STRANGER = principal_of(tenant_of_own_row("tenant_b"))
Script = Callable[[ModelRequest], Any]


def delegating(*steps: Any, post: str = SCOUT) -> Script:
    """The boss delegates once and says what it heard; its sub-agents play these steps."""

    def answer(request: ModelRequest) -> Any:
        if request.system == BOSS:
            told = [one.content for one in request.messages if isinstance(one, ToolMessage)]
            errand = call("task_run", post=post, prompt="Look around", call_id="errand")
            return say(f"heard: {told[0]}") if told else errand
        said = sum(isinstance(message, AssistantMessage) for message in request.messages)
        step = steps[min(said, len(steps) - 1)]
        return step(request) if callable(step) else step

    return answer


def ended(times: int = 1) -> Callable[[Sequence[Body]], bool]:
    """So many turns have ended, and the session rests."""

    def happened(bodies: Sequence[Body]) -> bool:
        moves = [body.after for body in bodies if isinstance(body, StateChanged)]
        dones = sum(isinstance(body, Done) for body in bodies)
        return dones >= times and moves[-1] is AgentState.READY

    return happened


def asks(bodies: Sequence[Body]) -> bool:
    return any(isinstance(body, PermissionRequired) for body in bodies)


async def boss(room: Room, script: Script, *, mode: Mode = Mode.AUTO) -> Session:
    """A session of an agent that delegates, which nobody has talked to yet."""
    room.model = ScriptedModel(script)
    tools = ("task_run", "bash_run", "fs_read", "fs_write")
    for name in (BOSS, SCOUT):
        permissions = Permissions(mode=mode if name == BOSS else Mode.AUTO)
        post = Post(name=name, prompt=name, tools=tools, permissions=permissions)
        await room.posts.create(room.principal, post)
    agent = await room.agent(post=BOSS)
    return await room.sessions.create(room.principal, agent.id)


async def children(room: Room, session: Session) -> list[Session]:
    return await room.sessions.sub_agents(room.principal, session.agent_id, session.id)


async def child(room: Room, session: Session) -> Session:
    (only,) = await children(room, session)
    return only


async def words(room: Room, session: Session) -> list[str]:
    return [body.text for body in await room.bodies(session) if isinstance(body, Text)]


async def decide(room: Room, approval: Approval, decision: Any = "allow") -> None:
    await room.sessions.decide(
        room.principal,
        approval.agent_id,
        approval.session_id,
        approval.call_id,
        decision=decision,
    )


def forget_after_start(conn: Connection, session_id: str) -> None:
    """As if the process had died when a tool had begun and its result was not written yet."""
    start = select(events.c.seq).where(
        events.c.session_id == session_id, events.c.type == "tool_start"
    )
    seq = conn.execute(start).scalar_one()
    conn.execute(delete(events).where(events.c.session_id == session_id, events.c.seq > seq))
    row = update(sessions).where(sessions.c.id == session_id)
    conn.execute(row.values(last_seq=seq, state=AgentState.WORKING))


class TestErrands:
    async def test_a_sub_agent_does_the_errand_in_a_session_below(self, room: Room) -> None:
        session = await boss(room, delegating(call("fs_write", path="a", content="b"), say("ok")))
        await room.start()
        await room.send(session, "go")
        await room.until(session, ended())

        assert await words(room, session) == ["heard: ok"]
        below = await child(room, session)
        assert below.delegation is not None
        assert (below.delegation.session_id, below.delegation.call_id) == (session.id, "errand")
        assert below.delegation.post_name == SCOUT
        assert below.title == "Look around"
        assert below.state is AgentState.READY
        assert await words(room, below) == ["ok"]
        assert (room.workspaces.path(session.agent_id) / "a").read_text() == "b"

    async def test_what_it_used_adds_up(self, room: Room) -> None:
        def script(request: ModelRequest) -> Any:
            if request.system == "deep":
                return say("deep")
            deeper = call("task_run", post="deep", prompt="Look deeper")
            return delegating(deeper, say("ok"))(request)

        session = await boss(room, script)
        await room.posts.create(room.principal, Post(name="deep", prompt="deep", tools=()))
        await room.start()
        await room.send(session, "go")
        await room.until(session, ended())

        whole, below = await room.look(session), await child(room, session)
        assert whole.usage == below.usage == COUNTED + COUNTED
        assert whole.sub_agents_usage == below.usage + COUNTED
        assert below.sub_agents_usage == (await child(room, below)).usage == COUNTED
        agent = await room.agents.get(room.principal, session.agent_id)
        assert agent.input_tokens == 5 * COUNTED.input

    async def test_it_is_read_and_not_talked_to(self, room: Room) -> None:
        session = await boss(room, delegating(say("ok")))
        await room.start()
        await room.send(session, "go")
        await room.until(session, ended())
        below = await child(room, session)
        place = (room.principal, below.agent_id, below.id)

        for attempt in [
            room.sessions.send(*place, text="hello"),
            room.sessions.interrupt(*place),
            room.sessions.decide(*place, "c", decision="allow"),
        ]:
            with pytest.raises(SubAgentSession, match="takes orders from nobody else"):
                await attempt

    async def test_lists_and_the_current_session_are_of_what_people_began(self, room: Room) -> None:
        session = await boss(room, delegating(say("ok")))
        await room.start()
        await room.send(session, "go")
        await room.until(session, ended())

        listed, _ = await room.sessions.list_page(
            room.principal, session.agent_id, after=None, limit=50
        )
        agent = await room.agents.get(room.principal, session.agent_id)
        assert [one.id for one in listed] == [session.id]
        assert agent.current_session_id == session.id
        assert agent.status is AgentStatus.IDLE

    async def test_an_unknown_post_is_told_with_those_there_are(self, room: Room) -> None:
        session = await boss(room, delegating(say("never"), post="nobody"))
        await room.start()
        await room.send(session, "go")
        bodies = await room.until(session, ended())

        (end,) = [body for body in bodies if isinstance(body, ToolEnd)]
        assert end.outcome is Outcome.ERROR
        assert "There is no post 'nobody'. Posts: Engineer, Reader, boss, scout." in end.content
        assert await children(room, session) == []

    async def test_a_post_of_another_tenant_is_not_there(self, room: Room) -> None:
        await room.write(lambda conn: add_tenant(conn, STRANGER.tenant_id))
        await room.posts.create(STRANGER, Post(name="theirs", prompt="theirs"))
        session = await boss(room, delegating(say("never"), post="theirs"))
        await room.start()
        await room.send(session, "go")
        bodies = await room.until(session, ended())

        (end,) = [body for body in bodies if isinstance(body, ToolEnd)]
        assert "There is no post 'theirs'" in end.content

    async def test_it_may_do_no_more_than_its_parent_by_the_agents_overrides(
        self, room: Room
    ) -> None:
        session = await boss(room, delegating(call("bash_run", command="ls"), say("ok")))
        strict = Overrides(permissions=Permissions(mode=Mode.READ_ONLY))
        changes = AgentChanges(overrides=strict)
        await room.agents.change(room.principal, session.agent_id, changes)
        await room.start()
        await room.send(session, "go")
        await room.until(session, ended())

        bodies = await room.bodies(await child(room, session))
        (end,) = [body for body in bodies if isinstance(body, ToolEnd)]
        assert end.outcome is Outcome.DENIED


class TestApprovals:
    async def test_what_it_asks_is_asked_and_decided_in_its_parents_session(
        self, room: Room
    ) -> None:
        script = delegating(call("bash_run", command="echo hi", call_id="c"), say("ok"))
        session = await boss(room, script, mode=Mode.ASK)
        await room.start()
        await room.send(session, "go")
        await room.until(session, asks)

        (waiting,) = await room.sessions.approvals(room.principal)
        assert waiting.session_id == session.id
        assert waiting.call_id == "errand/c"
        assert waiting.reason.startswith("sub-agent of post scout")
        assert (await room.look(session)).approvals == (waiting,)
        assert (await child(room, session)).approvals == ()

        await decide(room, waiting)
        await room.until(session, ended())

        assert await room.sessions.approvals(room.principal) == []
        assert await words(room, session) == ["heard: ok"]

    async def test_a_denial_reaches_it(self, room: Room) -> None:
        script = delegating(call("bash_run", command="echo hi", call_id="c"), say("not done"))
        session = await boss(room, script, mode=Mode.ASK)
        await room.start()
        await room.send(session, "go")
        await room.until(session, asks)
        (waiting,) = await room.sessions.approvals(room.principal)
        await decide(room, waiting, "deny")
        await room.until(session, ended())

        bodies = await room.bodies(await child(room, session))
        (end,) = [body for body in bodies if isinstance(body, ToolEnd)]
        assert end.outcome is Outcome.DENIED

    async def test_an_interrupt_of_the_parent_stops_it(self, room: Room) -> None:
        script = delegating(call("bash_run", command="echo hi", call_id="c"), say("never"))
        session = await boss(room, script, mode=Mode.ASK)
        await room.start()
        await room.send(session, "go")
        await room.until(session, asks)

        await room.sessions.interrupt(room.principal, session.agent_id, session.id)
        await room.until(session, ended())

        below = await child(room, session)
        (done,) = [body for body in await room.bodies(below) if isinstance(body, Done)]
        assert done.reason is DoneReason.INTERRUPTED
        assert below.state is AgentState.READY
        assert await room.sessions.approvals(room.principal) == []


class TestCrashes:
    async def test_a_sub_agent_that_was_cut_off_goes_on_and_begins_nothing_twice(
        self, room: Room
    ) -> None:
        write = call("bash_run", command="echo once >> log", call_id="c")
        session = await boss(room, delegating(write, hang))
        await room.start()
        await room.send(session, "go")
        below = replace(session, id=SessionId(sub_agent_id(session.id, "errand")))
        await room.until(below, lambda bodies: any(isinstance(body, ToolEnd) for body in bodies))
        await room.kill()

        room.model = ScriptedModel(delegating(write, say("ok")))
        await room.start()
        await room.until(session, ended())

        assert await words(room, session) == ["heard: ok"]
        bodies = await room.bodies(below)
        assert sum(isinstance(body, ToolStart) for body in bodies) == 1
        assert (room.workspaces.path(session.agent_id) / "log").read_text() == "once\n"

    async def test_one_that_had_ended_is_not_asked_again(self, room: Room) -> None:
        asked = 0

        def script(request: ModelRequest) -> Any:
            nonlocal asked
            asked += request.system == SCOUT
            return delegating(say("ok"))(request)

        session = await boss(room, script)
        await room.start()
        await room.send(session, "go")
        await room.until(session, ended())
        await room.kill()
        await room.write(lambda conn: forget_after_start(conn, session.id))
        await room.send(session, "again")
        await room.start()
        await room.until(session, ended())

        assert asked == 1
        assert await words(room, session) == ["heard: ok"]

    async def test_an_approval_outlives_the_process(self, room: Room) -> None:
        script = delegating(call("bash_run", command="echo hi", call_id="c"), say("ok"))
        session = await boss(room, script, mode=Mode.ASK)
        await room.start()
        await room.send(session, "go")
        await room.until(session, asks)
        await room.kill()

        (waiting,) = await room.sessions.approvals(room.principal)
        await decide(room, waiting)
        await room.start()
        await room.until(session, ended())

        assert await words(room, session) == ["heard: ok"]
        bodies = await room.bodies(session)
        assert sum(isinstance(body, PermissionRequired) for body in bodies) == 1


class TestTenants:
    async def test_nothing_of_it_is_seen_from_another_tenant(self, room: Room) -> None:
        await room.write(lambda conn: add_tenant(conn, STRANGER.tenant_id))
        session = await boss(room, delegating(say("ok")))
        await room.start()
        await room.send(session, "go")
        await room.until(session, ended())
        below = await child(room, session)

        for attempt in [
            room.sessions.sub_agents(STRANGER, session.agent_id, session.id),
            room.sessions.get(STRANGER, below.agent_id, below.id),
            room.sessions.send(STRANGER, below.agent_id, below.id, text="hello"),
        ]:
            with pytest.raises(NoSuchAgent):
                await attempt

    async def test_it_goes_with_its_agent(self, room: Room) -> None:
        session = await boss(room, delegating(say("ok")))
        await room.start()
        await room.send(session, "go")
        await room.until(session, ended())
        below = await child(room, session)
        await room.outputs.shorten(below.id, "call", "x" * 100_000)

        await room.agents.delete(room.principal, session.agent_id)

        assert await room.bodies(below) == []
        assert room.outputs.read(below.id, "call") is None
