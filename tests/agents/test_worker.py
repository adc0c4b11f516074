"""Turns from the queue to rest: service, queue, executor, runtime and journal together."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import select, update
from tests.agents.conftest import PATIENCE, Room
from tests.patience import until

from longhouse.agents import journal
from longhouse.agents.journal import DatabaseJournal
from longhouse.agents.models import Session
from longhouse.agents.service.posts import PostChanges
from longhouse.agents.states import AgentStatus
from longhouse.fleet.models import MAX_ATTEMPTS, runs
from longhouse.protocol.events import (
    AgentForked,
    AgentResumed,
    AgentState,
    Body,
    Done,
    DoneReason,
    Draft,
    ErrorRaised,
    MessageReceived,
    Outcome,
    PermissionRequired,
    SnapshotTaken,
    StateChanged,
    StepComplete,
    StepStarted,
    Text,
    ToolEnd,
)
from longhouse.runtime.model import ModelRequest
from longhouse.runtime.models.scripted import Answer, call, hang, say
from longhouse.runtime.posts import Mode, Permissions


def done(times: int = 1) -> Callable[[Sequence[Body]], bool]:
    """So many turns have ended, and the session rests."""

    def happened(bodies: Sequence[Body]) -> bool:
        ends = [body for body in bodies if isinstance(body, Done)]
        return len(ends) >= times and _state(bodies) is AgentState.READY

    return happened


def rests_for_a_person(bodies: Sequence[Body]) -> bool:
    return _state(bodies) is AgentState.WAITING


def has(kind: type[Body], times: int = 1) -> Callable[[Sequence[Body]], bool]:
    return lambda bodies: sum(isinstance(body, kind) for body in bodies) >= times


def reasons(bodies: Sequence[Body]) -> list[DoneReason]:
    return [body.reason for body in bodies if isinstance(body, Done)]


def _state(bodies: Sequence[Body]) -> AgentState:
    moves = [body.after for body in bodies if isinstance(body, StateChanged)]
    return moves[-1] if moves else AgentState.READY


async def open_runs(room: Room) -> int:
    query = select(runs.c.id).where(runs.c.state != "ended")
    return len(await room.write(lambda conn: conn.execute(query).all()))


async def at_rest(room: Room) -> None:
    """Wait until nothing is queued or running."""
    async with asyncio.timeout(PATIENCE):
        while await open_runs(room):
            pass


async def attempts_are_forgotten(room: Room) -> None:
    """Wait until the present attempt counts as the first."""
    query = select(runs.c.attempts).where(runs.c.state == "leased")
    async with asyncio.timeout(PATIENCE):
        while await room.write(lambda conn: conn.scalar(query)) != 1:
            pass


STARTS_A_COMMAND = (
    call("bash_run", command="echo begun; exec sleep 600", background=True, call_id="bg"),
    say("It runs."),
)


async def busy_session(room: Room) -> Session:
    """A session whose agent need not ask before it runs commands."""
    session = await room.session()
    agent = await room.agents.get(room.principal, session.agent_id)
    changes = PostChanges(permissions=Permissions(mode=Mode.AUTO))
    await room.posts.change(room.principal, agent.post_id, changes)
    return session


async def test_a_message_is_answered(room: Room) -> None:
    session = await room.session()
    await room.start(say("Hello."))

    await room.send(session, "hello")

    bodies = await room.until(session, done())
    assert [body.text for body in bodies if isinstance(body, Text)] == ["Hello."]
    assert (await room.look(session)).state is AgentState.READY
    await at_rest(room)


async def test_a_message_from_before_the_start_is_answered(room: Room) -> None:
    session = await room.session()
    await room.send(session, "hello")

    await room.start(say("Hello."))

    assert reasons(await room.until(session, done())) == [DoneReason.COMPLETED]


async def test_a_message_during_a_turn_is_never_forgotten(room: Room) -> None:
    session = await room.session()
    await room.start(say("One."), *(say("More.") for _ in range(20)))

    for number in range(10):
        await room.send(session, f"m{number}")

    await at_rest(room)
    bodies = await room.bodies(session)
    taken = [name for body in bodies if isinstance(body, StepStarted) for name in body.messages]
    assert taken == [body.message_id for body in bodies if isinstance(body, MessageReceived)]


async def test_a_call_that_asks_waits_for_a_person_and_then_runs(room: Room) -> None:
    session = await room.session()
    await room.start(call("fs_write", path="new.txt", content="x"), say("Done."))
    await room.send(session, "write it")
    bodies = await room.until(session, rests_for_a_person)
    await at_rest(room)  # a waiting turn holds no slot
    asked = next(body for body in bodies if isinstance(body, PermissionRequired))

    await room.sessions.decide(
        room.principal, session.agent_id, session.id, asked.call_id, decision="allow"
    )

    await room.until(session, done())
    assert (room.workspaces.path(session.agent_id) / "new.txt").read_text() == "x"


async def test_an_approval_outlives_the_process(room: Room) -> None:
    session = await room.session()
    await room.start(call("fs_write", path="new.txt", content="x"))
    await room.send(session, "write it")
    await room.until(session, rests_for_a_person)
    await room.kill()
    (waiting,) = await room.sessions.approvals(room.principal)

    await room.sessions.decide(
        room.principal,
        session.agent_id,
        session.id,
        waiting.call_id,
        decision="deny",
        note="not there",
    )
    await room.start(say("All right."))

    bodies = await room.until(session, done())
    end = next(body for body in bodies if isinstance(body, ToolEnd))
    assert end.outcome is Outcome.DENIED
    assert "not there" in end.content


async def test_a_killed_turn_goes_on_after_the_restart(room: Room) -> None:
    session = await room.session()
    await room.start(call("todo_read"), hang)
    await room.send(session, "go")
    await room.until(session, has(StepStarted, 2))
    await room.kill()

    await room.start(say("Done."))

    bodies = await room.until(session, done())
    assert has(AgentResumed)(bodies)
    assert sum(isinstance(body, ToolEnd) for body in bodies) == 1
    assert reasons(bodies) == [DoneReason.COMPLETED]


async def test_a_turn_that_is_killed_again_and_again_but_gets_further_is_not_given_up(
    room: Room,
) -> None:
    session = await room.session()
    await room.send(session, "go")
    for life in range(1, MAX_ATTEMPTS + 2):
        await room.start(call("fs_glob", pattern=f"{life}*"), hang)
        await room.until(session, has(StepStarted, life + 1))
        await attempts_are_forgotten(room)
        await room.kill()

    await room.start(say("Done."))

    assert reasons(await room.until(session, done())) == [DoneReason.COMPLETED]


async def test_an_interrupt_stops_a_turn_and_the_next_message_works(room: Room) -> None:
    asked = asyncio.Event()

    async def silence(request: ModelRequest) -> Answer:
        asked.set()
        return await hang(request)

    session = await room.session()
    await room.start(silence, say("Again."))
    await room.send(session, "go")
    await asyncio.wait_for(asked.wait(), 20)

    await room.sessions.interrupt(room.principal, session.agent_id, session.id)

    await room.until(session, done())
    await room.send(session, "again")
    bodies = await room.until(session, done(2))
    assert reasons(bodies) == [DoneReason.INTERRUPTED, DoneReason.COMPLETED]


async def test_an_interrupted_message_that_was_queued_begins_no_turn(room: Room) -> None:
    session = await room.session()
    await room.send(session, "go")
    await room.sessions.interrupt(room.principal, session.agent_id, session.id)

    await room.start(say("never said"))

    await at_rest(room)
    assert not has(StepStarted)(await room.bodies(session))


async def test_a_stopping_process_parks_a_turn_that_its_successor_takes_up(room: Room) -> None:
    session = await room.session()
    release = asyncio.Event()

    async def answer(_: object) -> Text:
        await release.wait()
        return say("One.")

    await room.start(answer)
    await room.send(session, "go")
    await room.until(session, has(StepStarted))
    assert room.executor is not None
    stopping = asyncio.create_task(room.executor.stop(grace=PATIENCE))
    await asyncio.sleep(0)
    release.set()
    await stopping
    await room.kill()

    await room.start(say("Two."))
    await at_rest(room)

    bodies = await room.bodies(session)
    assert reasons(bodies) == [DoneReason.COMPLETED]
    attempts = await room.write(lambda conn: conn.scalars(select(runs.c.attempts)).all())
    assert max(attempts) == 1


async def test_two_sessions_of_one_agent_take_turns(room: Room) -> None:
    first = await room.session()
    second = await room.sessions.create(room.principal, first.agent_id)
    running: list[int] = []
    most: list[int] = []

    async def answer(_: object) -> Text:
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0)
        running.pop()
        return say("Done.")

    await room.start(answer, answer)
    await room.send(first, "one")
    await room.send(second, "two")
    await at_rest(room)

    assert most == [1, 1]


async def test_a_turn_that_always_breaks_off_is_closed_with_an_error(room: Room) -> None:
    session = await room.session()
    await room.start(call("todo_read"), hang)
    await room.send(session, "go")
    await room.until(session, has(StepStarted, 2))
    await room.kill()
    # As if it had killed its process as often as it may.
    await room.write(lambda conn: conn.execute(update(runs).values(attempts=runs.c.max_attempts)))

    await room.start(say("Here I am."))

    await room.until(session, done())
    await at_rest(room)
    bodies = await room.bodies(session)
    (problem,) = [body for body in bodies if isinstance(body, ErrorRaised)]
    assert "given up" in problem.message
    assert reasons(bodies) == [DoneReason.FAILED]
    assert await ended_as(room) == ("failed", problem.message)
    await room.send(session, "hello")
    assert reasons(await room.until(session, done(2)))[-1] is DoneReason.COMPLETED


async def test_what_a_turn_left_running_is_there_in_the_next(room: Room) -> None:
    session = await busy_session(room)
    await room.start(*STARTS_A_COMMAND, call("bash_logs", shell="bg", wait=20.0), say("I see."))
    await room.send(session, "start")
    await room.until(session, done())

    await room.send(session, "look")

    bodies = await room.until(session, done(2))
    assert "begun" in [body for body in bodies if isinstance(body, ToolEnd)][-1].content


async def test_a_session_that_another_process_had_meanwhile_goes_on_here(room: Room) -> None:
    session = await busy_session(room)
    await room.start(*STARTS_A_COMMAND, call("bash_logs", shell="bg"), say("It is gone."))
    await room.send(session, "start")
    await room.until(session, done())
    await at_rest(room)
    other = DatabaseJournal(room.database, clock=room.clock)
    epoch = (await other.acquire(session.id)).epoch
    await other.append(session.id, [Draft(SnapshotTaken(name="there", at=3))], epoch=epoch)

    await room.send(session, "look")

    bodies = await room.until(session, done(2))
    assert reasons(bodies) == [DoneReason.COMPLETED, DoneReason.COMPLETED]
    end = [body for body in bodies if isinstance(body, ToolEnd)][-1]
    assert "Shell bg is gone" in end.content
    assert not has(AgentResumed)(bodies)


async def test_a_session_that_is_taken_over_in_mid_turn_is_let_go_quietly(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    session = await room.session()
    asked, answer = asyncio.Event(), asyncio.Event()

    async def model(_: object) -> Text:
        asked.set()
        await answer.wait()
        return say("Too late.")

    await room.start(model)
    await room.send(session, "go")
    await asyncio.wait_for(asked.wait(), PATIENCE)
    await DatabaseJournal(room.database, clock=room.clock).acquire(session.id)

    answer.set()
    await at_rest(room)

    assert not room.runtime.live
    assert not has(Done)(await room.bodies(session))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_deleted_agent_is_put_away_with_what_it_runs(room: Room) -> None:
    session = await busy_session(room)
    await room.start(*STARTS_A_COMMAND)
    await room.send(session, "start")
    await room.until(session, done())
    await at_rest(room)
    assert room.runtime.live == (session.id,)

    await room.agents.delete(room.principal, session.agent_id)

    await until(lambda: not room.runtime.live)


async def test_a_turn_that_cannot_even_begin_has_failed_in_the_end(room: Room) -> None:
    session = await room.session()
    await room.send(session, "go")
    await room.write(
        lambda conn: conn.execute(update(runs).values(attempts=runs.c.max_attempts + 1))
    )

    await room.start(say("Here I am."))

    bodies = await room.until(session, done())
    assert reasons(bodies) == [DoneReason.FAILED]
    assert not has(StepComplete)(bodies)
    await room.send(session, "hello")
    assert reasons(await room.until(session, done(2)))[-1] is DoneReason.COMPLETED


async def test_a_changed_post_counts_from_the_next_turn(room: Room) -> None:
    session = await room.session(post="Reader")
    await room.start(say("One."), say("Two."))
    await room.send(session, "one")
    await room.until(session, done())
    agent = await room.agents.get(room.principal, session.agent_id)
    await room.posts.change(room.principal, agent.post_id, PostChanges(prompt="Be brief."))

    await room.send(session, "two")
    await room.until(session, done(2))

    assert [request.system for request in room.model.requests][-1] == "Be brief."


async def ended_as(room: Room) -> tuple[str | None, str | None]:
    query = select(runs.c.outcome, runs.c.detail).order_by(runs.c.id).limit(1)
    row = await room.write(lambda conn: conn.execute(query).one())
    return row.outcome, row.detail


async def test_a_forked_session_goes_its_own_way_and_outlives_its_parent(room: Room) -> None:
    plan = call("todo_write", todos=[{"id": "1", "title": "Begin"}])
    await room.start(plan, say("one"), say("two"), say("other"))
    session = await room.session()
    await room.send(session, "Make a plan", "m1")
    bodies = await room.until(session, has(Done))
    await at_rest(room)
    at = len(bodies)
    await room.send(session, "Go on", "m2")
    await room.until(session, has(Done, 2))
    await at_rest(room)
    metadata = {"agent_id": session.agent_id}
    forked = AgentForked(agent_id="session_f", parent=session.id, at=at, metadata=metadata)
    now = room.clock.now()

    await room.write(
        lambda conn: journal.fork(conn, session.id, "session_f", [Draft(forked)], at=at, now=now)
    )

    fork = await room.sessions.get(room.principal, session.agent_id, "session_f")
    assert (fork.title, fork.turn, fork.step, fork.last_seq) == ("Make a plan", 1, 2, at + 1)
    assert [todo.title for todo in fork.todos] == ["Begin"]
    assert fork.state is AgentState.READY
    # A message of the shared past is known, one of the parent's future is not.
    assert await room.send(fork, "Make a plan", "m1") < at
    await room.send(fork, "Go another way", "m2")
    await room.until(fork, has(Done, 2))
    await at_rest(room)
    whole = await room.bodies(fork)
    assert whole[:at] == bodies
    newest = await room.write(
        lambda conn: journal.read_before(conn, "session_f", before=at + 2, limit=3)
    )
    assert [row.seq for row in newest] == [at - 1, at, at + 1]

    assert await room.write(lambda conn: journal.delete(conn, session.id))

    assert await room.bodies(fork) == whole
    agent = await room.agents.get(room.principal, session.agent_id)
    assert agent.status is AgentStatus.IDLE
    await room.agents.delete(room.principal, session.agent_id)
    assert await room.write(lambda conn: journal.head(conn, "session_f")) is None
