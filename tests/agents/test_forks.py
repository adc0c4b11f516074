"""Forks, snapshots and past moments of sessions, on both databases."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select
from tests.agents.conftest import Room, principal_of
from tests.agents.rows import TENANT, add_tenant

from longhouse.agents.errors import NoSuchAgent, NoSuchSession, SubAgentSession
from longhouse.agents.models import Lineage, Session, SessionId, sessions
from longhouse.identity.auth import ScopeMissing, tenant_of_own_row
from longhouse.identity.models import audit_entries
from longhouse.kit.errors import InvalidInput
from longhouse.protocol.events import (
    AgentState,
    Done,
    DoneReason,
    MessageReceived,
    PermissionRequired,
    Text,
)
from longhouse.runtime.journals.base import NoSuchPoint
from longhouse.runtime.model import AssistantMessage, UserMessage
from longhouse.runtime.models.scripted import call, say
from longhouse.runtime.moments import NoSuchSnapshot, NotForkable, SnapshotExists

STRANGER = principal_of(tenant_of_own_row("tenant_b"))


def turns(times: int) -> Any:
    """So many turns have ended."""
    return lambda bodies: sum(isinstance(body, Done) for body in bodies) >= times


async def talked(room: Room, *words: str) -> Session:
    """A session in which the agent has answered once for each of these words."""
    session = await room.session()
    await room.start(*(say(word) for word in words), say("after the fork"))
    for count in range(len(words)):
        await room.send(session, f"message {count}")
        await room.until(session, turns(count + 1))
    return await room.look(session)


async def fork(room: Room, session: Session, at: int | str | None = None) -> Session:
    return await room.forks.fork(room.principal, session.agent_id, session.id, at=at)


async def said(room: Room, session: Session) -> list[str]:
    return [body.text for body in await room.bodies(session) if isinstance(body, Text)]


async def end_of_turn(room: Room, session: Session, turn: int) -> int:
    """The number of the event that ended a turn."""
    bodies = await room.bodies(session)
    return next(
        number
        for number, body in enumerate(bodies, 1)
        if isinstance(body, Done) and body.turn == turn
    )


class TestForks:
    async def test_a_fork_has_the_past_up_to_the_point_and_a_future_of_its_own(
        self, room: Room
    ) -> None:
        session = await talked(room, "one", "two")
        at = await end_of_turn(room, session, 1)

        forked = await fork(room, session, at)
        await room.send(forked, "go on")
        await room.until(forked, turns(2))

        assert forked.lineage == Lineage(session_id=session.id, after=at)
        assert (forked.agent_id, forked.state) == (session.agent_id, AgentState.READY)
        assert await said(room, forked) == ["one", "after the fork"]
        assert await said(room, session) == ["one", "two"]
        assert (await room.look(session)).lineage is None

    async def test_without_a_point_it_begins_now_and_becomes_the_current_session(
        self, room: Room
    ) -> None:
        session = await talked(room, "one")

        forked = await fork(room, session)

        agent = await room.agents.get(room.principal, session.agent_id)
        assert await said(room, forked) == ["one"]
        assert forked.title == session.title
        assert agent.current_session_id == forked.id

    async def test_a_fork_of_a_fork_names_the_fork(self, room: Room) -> None:
        session = await talked(room, "one")
        first = await fork(room, session)

        second = await fork(room, first)

        assert second.lineage is not None
        assert second.lineage.session_id == first.id

    async def test_a_turn_that_waits_for_a_person_is_not_forked_in_its_middle(
        self, room: Room
    ) -> None:
        session = await room.session()
        await room.start(call("bash_run", command="ls"))
        await room.send(session, "look")
        bodies = await room.until(
            session, lambda bodies: any(isinstance(one, PermissionRequired) for one in bodies)
        )

        with pytest.raises(NotForkable) as refused:
            await fork(room, session)

        assert "Fork after event" in str(refused.value.hint)
        message = next(
            number for number, body in enumerate(bodies, 1) if isinstance(body, MessageReceived)
        )
        assert (await fork(room, session, message)).state is AgentState.READY

    async def test_a_turn_that_is_open_at_the_point_ends_in_the_fork(self, room: Room) -> None:
        session = await room.session()
        await room.start(call("todo_read"), say("done"))
        await room.send(session, "look")
        bodies = await room.until(session, turns(1))
        step = next(n for n, body in enumerate(bodies, 1) if type(body).__name__ == "StepStarted")

        forked = await fork(room, session, step)

        (done,) = [body for body in await room.bodies(forked) if isinstance(body, Done)]
        assert done.reason is DoneReason.INTERRUPTED
        assert forked.state is AgentState.READY

    @pytest.mark.parametrize("at", [0, 1000])
    async def test_a_point_that_is_not_there_is_refused(self, room: Room, at: int) -> None:
        session = await room.session()

        with pytest.raises(NoSuchPoint):
            await fork(room, session, at)


class TestSnapshots:
    async def test_a_moment_gets_a_name_and_is_forked_by_it(self, room: Room) -> None:
        session = await talked(room, "one")
        place = (room.principal, session.agent_id, session.id)

        taken = await room.forks.take_snapshot(*place, "before")
        await room.send(session, "go on")
        await room.until(session, turns(2))
        forked = await fork(room, session, "before")

        assert taken.at == session.last_seq
        assert await room.forks.snapshots(*place) == [taken]
        assert await said(room, forked) == ["one"]

    async def test_a_name_is_given_once(self, room: Room) -> None:
        session = await room.session()
        place = (room.principal, session.agent_id, session.id)
        await room.forks.take_snapshot(*place, "a")

        with pytest.raises(SnapshotExists):
            await room.forks.take_snapshot(*place, "a")
        with pytest.raises(InvalidInput):
            await room.forks.take_snapshot(*place, " ")
        with pytest.raises(NoSuchSnapshot, match="'b'"):
            await fork(room, session, "b")


class TestMoments:
    async def test_a_session_is_seen_as_it_was(self, room: Room) -> None:
        session = await talked(room, "one", "two")
        at = await end_of_turn(room, session, 1)

        moment = await room.forks.at(room.principal, session.agent_id, session.id, at)

        assert (moment.status.seq, moment.status.turn, moment.forkable) == (at, 1, True)
        told, answered = moment.messages
        assert isinstance(told, UserMessage)
        assert told.text == "message 0"
        assert isinstance(answered, AssistantMessage)
        assert (await room.look(session)).last_seq == session.last_seq

    async def test_a_fork_shows_the_shared_past(self, room: Room) -> None:
        session = await talked(room, "one", "two")
        forked = await fork(room, session)

        moment = await room.forks.at(room.principal, forked.agent_id, forked.id, 3)

        assert (
            moment.messages
            == (await room.forks.at(room.principal, session.agent_id, session.id, 3)).messages
        )

    async def test_a_moment_that_is_not_there_is_refused(self, room: Room) -> None:
        session = await room.session()

        with pytest.raises(NoSuchPoint):
            await room.forks.at(room.principal, session.agent_id, session.id, 2)


class TestWho:
    async def test_nothing_of_another_tenant_is_seen_or_forked(self, room: Room) -> None:
        await room.write(lambda conn: add_tenant(conn, STRANGER.tenant_id))
        session = await room.session()
        theirs = (STRANGER, session.agent_id, session.id)

        for attempt in [
            room.forks.fork(*theirs, at=None),
            room.forks.take_snapshot(*theirs, "a"),
            room.forks.snapshots(*theirs),
            room.forks.at(*theirs, 1),
        ]:
            with pytest.raises(NoSuchAgent):
                await attempt

    async def test_a_session_of_another_agent_is_not_found(self, room: Room) -> None:
        session = await room.session()
        other = await room.agent("Grace")

        with pytest.raises(NoSuchSession):
            await fork(room, replace(session, agent_id=other.id))

    async def test_a_role_that_only_looks_makes_nothing(self, room: Room) -> None:
        session = await room.session()
        viewer = principal_of(TENANT, "agents:read", "sessions:read")
        place = (viewer, session.agent_id, session.id)

        assert await room.forks.snapshots(*place) == []
        assert (await room.forks.at(*place, 1)).status.seq == 1
        with pytest.raises(ScopeMissing):
            await room.forks.fork(*place, at=None)
        with pytest.raises(ScopeMissing):
            await room.forks.take_snapshot(*place, "a")

    async def test_a_sub_agents_session_is_not_forked(self, room: Room) -> None:
        session = await room.session()
        below = SessionId("session_below")
        await room.write(
            lambda conn: conn.execute(
                sessions.update()
                .where(sessions.c.id == session.id)
                .values(delegated_by=below, delegated_call="c", delegated_post="Engineer")
            )
        )

        with pytest.raises(SubAgentSession):
            await fork(room, session)

    async def test_forks_and_snapshots_are_in_the_audit(self, room: Room) -> None:
        session = await room.session()
        await room.forks.take_snapshot(room.principal, session.agent_id, session.id, "a")
        forked = await fork(room, session)

        query = select(audit_entries.c.action, audit_entries.c.target)
        query = query.where(audit_entries.c.actor_kind == "user").order_by(audit_entries.c.id)
        found = await room.write(lambda conn: [tuple(row) for row in conn.execute(query)])
        assert found[-2:] == [("session.snapshot", session.id), ("session.forked", forked.id)]
