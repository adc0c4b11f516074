"""What people do with posts, agents and sessions, on both databases."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import select
from tests.agents.conftest import Room, principal_of
from tests.agents.rows import TENANT, add_tenant

from longhouse.agents import journal
from longhouse.agents.errors import (
    AgentBusy,
    NameTaken,
    NoSuchAgent,
    NoSuchPost,
    NoSuchSession,
    PostInUse,
)
from longhouse.agents.models import TURN, Overrides, Session
from longhouse.agents.service.agents import AgentChanges, slug
from longhouse.agents.service.posts import PostChanges
from longhouse.agents.states import AgentStatus
from longhouse.agents.workspaces import RepositoryRefused
from longhouse.fleet import store as queue
from longhouse.identity.auth import ScopeMissing, tenant_of_own_row
from longhouse.identity.models import audit_entries
from longhouse.kit.errors import InvalidInput
from longhouse.protocol.events import (
    AgentCreated,
    AgentState,
    Draft,
    InterruptRequested,
    MessageReceived,
    PermissionDecided,
    PermissionRequired,
    StateChanged,
    StepStarted,
    Todo,
    TodoChanged,
    TokenUsage,
    Usage,
)
from longhouse.runtime.agent import AlreadyDecided, NoSuchApproval
from longhouse.runtime.posts import Mode, Permissions, Post

STRANGER = principal_of(tenant_of_own_row("tenant_b"))


async def audited(room: Room) -> list[str]:
    """The actions in the audit, in their order, without what set the tenant up."""
    query = select(audit_entries.c.action).where(audit_entries.c.actor_kind == "user")
    return list(
        await room.write(lambda conn: conn.scalars(query.order_by(audit_entries.c.id)).all())
    )


async def write_events(room: Room, session: Session, *drafts: Draft) -> None:
    """As the runtime would."""
    await room.write(lambda conn: journal.post(conn, session.id, drafts, now=room.clock.now()))


def moved(after: AgentState, before: AgentState = AgentState.READY) -> Draft:
    return Draft(StateChanged(before=before, after=after))


async def is_queued(room: Room, session: Session) -> bool:
    return await room.write(lambda conn: queue.is_open(conn, kind=TURN, subject=session.id))


def asking(call_id: str = "call_1") -> Draft:
    return Draft(
        PermissionRequired(
            call_id=call_id, name="bash_run", arguments={"command": "ls"}, reason="mode: ask"
        )
    )


class TestPosts:
    async def test_a_tenant_begins_with_an_engineer_who_asks_and_a_reader(self, room: Room) -> None:
        posts, cursor = await room.posts.list_page(room.principal, after=None, limit=50)

        assert cursor is None
        assert {post.definition.name: post.definition.permissions.mode for post in posts} == {
            "Engineer": Mode.ASK,
            "Reader": Mode.READ_ONLY,
        }

    async def test_a_change_is_a_new_version_that_agents_follow(self, room: Room) -> None:
        session = await room.session()
        agent = await room.agents.get(room.principal, session.agent_id)

        changed = await room.posts.change(
            room.principal, agent.post_id, PostChanges(prompt="Be brief.", limits={"steps": 3})
        )

        assert changed.version == 2
        assert changed.definition.limits.steps == 3
        assert changed.definition.limits.tokens == 2_000_000
        assert (await room.posts.of_session(session.id, "Engineer")).prompt == "Be brief."

    async def test_changing_nothing_makes_no_version(self, room: Room) -> None:
        post = await room.posts.create(room.principal, Post(name="P", prompt="x"))

        same = await room.posts.change(room.principal, post.id, PostChanges(prompt="x"))

        assert same.version == 1

    async def test_an_agent_may_differ_from_its_post(self, room: Room) -> None:
        session = await room.session()
        overrides = Overrides(model="demo", permissions=Permissions(mode=Mode.AUTO))
        changes = AgentChanges(overrides=overrides)
        agent = await room.agents.change(room.principal, session.agent_id, changes)

        post = await room.posts.of_session(session.id, "")

        assert agent.model == post.model == "demo"
        assert post.permissions.mode is Mode.AUTO

    async def test_an_unknown_tool_is_refused_by_its_name(self, room: Room) -> None:
        for tool in ("rm_rf", "task"):
            with pytest.raises(InvalidInput, match=tool) as refused:
                await room.posts.create(room.principal, Post(name="P", tools=(tool,)))
            assert "fs_read" in str(refused.value.hint)

    async def test_a_name_is_taken_once(self, room: Room) -> None:
        with pytest.raises(NameTaken):
            await room.posts.create(room.principal, Post(name="Engineer"))

    async def test_a_post_with_agents_is_not_deleted(self, room: Room) -> None:
        agent = await room.agent()

        with pytest.raises(PostInUse):
            await room.posts.delete(room.principal, agent.post_id)
        await room.agents.delete(room.principal, agent.id)
        await room.posts.delete(room.principal, agent.post_id)

        with pytest.raises(NoSuchPost):
            await room.posts.get(room.principal, agent.post_id)

    async def test_lists_come_in_pages(self, room: Room) -> None:
        for number in range(3):
            await room.posts.create(room.principal, Post(name=f"P{number}"))

        names, cursor = [], None
        while True:
            page, cursor = await room.posts.list_page(room.principal, after=cursor, limit=2)
            names += [post.definition.name for post in page]
            if cursor is None:
                break

        assert names == ["Engineer", "Reader", "P0", "P1", "P2"]


class TestAgents:
    async def test_a_new_agent_is_idle_on_a_branch_of_its_name(self, room: Room) -> None:
        agent = await room.agent("Ada & Co", repository="sample")

        assert agent.status is AgentStatus.IDLE
        assert agent.branch == "longhouse/ada-co"
        assert (room.workspaces.path(agent.id) / ".git").is_dir()

    async def test_a_refused_repository_leaves_no_agent(self, room: Room) -> None:
        with pytest.raises(RepositoryRefused):
            await room.agent(repository="/nowhere")

        found, _ = await room.agents.list_page(
            room.principal, status=None, search=None, after=None, limit=50
        )
        assert found == []

    async def test_a_name_is_taken_once_in_a_tenant(self, room: Room) -> None:
        await room.agent("Ada")

        with pytest.raises(NameTaken):
            await room.agent("  Ada ")

    async def test_of_two_who_take_a_name_at_once_one_wins_and_one_workspace_stays(
        self, room: Room
    ) -> None:
        results = await asyncio.gather(room.agent(), room.agent(), return_exceptions=True)

        assert sum(isinstance(result, NameTaken) for result in results) == 1
        left = [path.name for path in (room.directory / "agents").iterdir() if path.is_dir()]
        assert len(left) == 1

    @pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\0b", "a\u202eb"])
    async def test_a_name_that_nobody_can_read_is_refused(self, room: Room, name: str) -> None:
        with pytest.raises(InvalidInput, match="printable"):
            await room.agent(name)

    async def test_agents_are_found_by_status_and_by_a_part_of_their_name(self, room: Room) -> None:
        session = await room.session()
        await room.agent("Grace")
        await write_events(room, session, moved(AgentState.WORKING))

        async def find(status: AgentStatus | None, search: str | None) -> list[str]:
            found, _ = await room.agents.list_page(
                room.principal, status=status, search=search, after=None, limit=50
            )
            return [agent.name for agent in found]

        assert await find(None, None) == ["Grace", "Ada"]
        assert await find(AgentStatus.BUSY, None) == ["Ada"]
        assert await find(None, "RAC") == ["Grace"]
        assert await find(None, "%") == []

    async def test_an_agent_at_work_is_not_deleted(self, room: Room) -> None:
        session = await room.session()
        await write_events(room, session, moved(AgentState.WORKING))

        with pytest.raises(AgentBusy):
            await room.agents.delete(room.principal, session.agent_id)

    async def test_a_deleted_agent_takes_everything_along(self, room: Room) -> None:
        session = await room.session()
        await room.send(session, "hello")
        await room.outputs.shorten(session.id, "call", "x" * 100_000)

        await room.agents.delete(room.principal, session.agent_id)

        assert room.outputs.read(session.id, "call") is None
        assert not room.workspaces.path(session.agent_id).exists()
        assert await room.bodies(session) == []
        assert not await is_queued(room, session)
        with pytest.raises(NoSuchAgent):
            await room.agents.get(room.principal, session.agent_id)

    async def test_work_is_shown_and_committed(self, room: Room) -> None:
        agent = await room.agent(repository="sample")
        (room.workspaces.path(agent.id) / "new.txt").write_text("x\n")

        _, diff = await room.agents.diff(room.principal, agent.id)
        made = await room.agents.commit(
            room.principal, agent.id, branch="longhouse/ada", message="Work"
        )

        assert [file.path for file in diff.files] == ["new.txt"]
        assert made.files == 1
        assert (await audited(room))[-1] == "workspace.committed"


class TestMessages:
    async def test_a_journal_begins_with_the_session(self, room: Room) -> None:
        session = await room.session()

        (first,) = await room.bodies(session)

        assert isinstance(first, AgentCreated)
        assert session.last_seq == 1
        assert session.state is AgentState.READY

    async def test_a_message_and_the_run_that_answers_it_are_one(self, room: Room) -> None:
        session = await room.session()

        seq = await room.send(session, "Fix the test\nplease")

        body = (await room.bodies(session))[seq - 1]
        assert isinstance(body, MessageReceived)
        assert (body.text, body.sender) == ("Fix the test\nplease", "Ada Lovelace")
        assert await is_queued(room, session)
        assert (await room.look(session)).title == "Fix the test"

    async def test_the_same_message_again_gets_the_same_answer(self, room: Room) -> None:
        session = await room.session()

        answers = await asyncio.gather(*(room.send(session, "hello", "m1") for _ in range(8)))

        assert set(answers) == {2}
        assert len(await room.bodies(session)) == 2
        assert (await audited(room)).count("message.sent") == 1

    async def test_many_at_once_are_numbered_without_gap(self, room: Room) -> None:
        session = await room.session()

        numbers = await asyncio.gather(*(room.send(session, f"m{n}") for n in range(30)))

        assert sorted(numbers) == list(range(2, 32))

    async def test_an_empty_message_is_refused(self, room: Room) -> None:
        session = await room.session()

        with pytest.raises(InvalidInput):
            await room.send(session, " \n")

    async def test_an_interrupt_without_a_turn_does_nothing(self, room: Room) -> None:
        session = await room.session()

        await room.sessions.interrupt(room.principal, session.agent_id, session.id)

        assert len(await room.bodies(session)) == 1
        assert not await is_queued(room, session)

    async def test_an_interrupt_reaches_a_turn_that_is_still_queued(self, room: Room) -> None:
        session = await room.session()
        await room.send(session, "hello")

        await room.sessions.interrupt(room.principal, session.agent_id, session.id)

        assert isinstance((await room.bodies(session))[-1], InterruptRequested)

    async def test_an_interrupt_of_a_waiting_turn_is_queued(self, room: Room) -> None:
        session = await room.session()
        await write_events(room, session, moved(AgentState.WAITING))

        await room.sessions.interrupt(room.principal, session.agent_id, session.id)

        assert await is_queued(room, session)


class TestEvents:
    async def test_events_are_read_forwards_backwards_and_by_type(self, room: Room) -> None:
        session = await room.session()
        for number in range(5):
            await room.send(session, f"m{number}")

        async def numbers(
            *, after: int = 0, before: int | None = None, types: list[str] | None = None
        ) -> list[int]:
            rows = await room.sessions.events(
                session.id, after=after, before=before, limit=3, types=types
            )
            return [row.seq for row in rows]

        assert await numbers() == [1, 2, 3]
        assert await numbers(after=4) == [5, 6]
        assert await numbers(before=100) == [4, 5, 6]
        assert await numbers(before=3) == [1, 2]
        assert await numbers(types=["message"]) == [2, 3, 4]
        assert await numbers(before=4, types=["message"]) == [2, 3]
        assert await numbers(types=[]) == []


class TestApprovals:
    async def test_a_call_that_asks_is_in_the_inbox_until_it_is_decided(self, room: Room) -> None:
        session = await room.session()
        await write_events(room, session, asking(), moved(AgentState.WAITING))

        (waiting,) = await room.sessions.approvals(room.principal)
        assert (waiting.agent_name, waiting.call_id) == ("Ada", "call_1")
        assert waiting.arguments == {"command": "ls"}
        assert (await room.look(session)).approvals == (waiting,)
        agent = await room.agents.get(room.principal, session.agent_id)
        assert agent.status is AgentStatus.WAITING

        await decide(room, session, note="go on")

        assert await room.sessions.approvals(room.principal) == []
        body = (await room.bodies(session))[-1]
        assert body == PermissionDecided(
            call_id="call_1", decision="allow", note="go on", by="Ada Lovelace"
        )
        assert await is_queued(room, session)

    async def test_a_preview_may_hold_any_character(self, room: Room) -> None:
        session = await room.session()
        body = PermissionRequired(
            call_id="c", name="fs_write", arguments={"content": "\0"}, reason="r", preview="+\0"
        )

        await write_events(room, session, Draft(body))

        (waiting,) = await room.sessions.approvals(room.principal)
        assert waiting.arguments == {"content": "\0"}
        assert waiting.preview == "+\N{REPLACEMENT CHARACTER}"
        assert (await room.bodies(session))[-1] == body

    async def test_of_many_decisions_on_a_call_one_counts(self, room: Room) -> None:
        session = await room.session()
        await write_events(room, session, asking())

        results = await asyncio.gather(
            *(decide(room, session) for _ in range(8)), return_exceptions=True
        )

        assert sum(isinstance(result, AlreadyDecided) for result in results) == 7
        assert (await audited(room)).count("call.allow") == 1

    async def test_a_call_that_never_asked_cannot_be_decided(self, room: Room) -> None:
        session = await room.session()

        with pytest.raises(NoSuchApproval):
            await decide(room, session)

    async def test_a_cancelled_call_cannot_be_decided(self, room: Room) -> None:
        session = await room.session()
        cancelled = Draft(
            PermissionDecided(call_id="call_1", decision="cancelled"), "decided:call_1"
        )
        await write_events(room, session, asking(), cancelled)

        with pytest.raises(AlreadyDecided, match="cancelled"):
            await decide(room, session)


class TestProjections:
    async def test_a_session_shows_what_its_journal_says(self, room: Room) -> None:
        session = await room.session()
        todo = Todo(id="1", title="Look")

        await write_events(
            room,
            session,
            moved(AgentState.WORKING),
            Draft(StepStarted(turn=1, step=1)),
            Draft(TokenUsage(step=1, model="m", usage=Usage(input=10, output=5, cached=4))),
            Draft(TodoChanged(after=(todo,))),
        )
        await write_events(
            room,
            session,
            Draft(StepStarted(turn=1, step=2)),
            Draft(TokenUsage(step=2, model="m", usage=Usage(input=1, output=1, reasoning=1))),
        )

        seen = await room.look(session)
        assert (seen.state, seen.turn, seen.step) == (AgentState.WORKING, 1, 2)
        assert seen.todos == (todo,)
        assert seen.usage == Usage(input=11, output=6, cached=4, reasoning=1)
        agent = await room.agents.get(room.principal, session.agent_id)
        assert (agent.input_tokens, agent.output_tokens) == (11, 6)
        assert agent.status is AgentStatus.BUSY
        assert agent.current_session_id == session.id

    async def test_an_agent_is_busy_as_long_as_one_of_its_sessions_works(self, room: Room) -> None:
        first = await room.session()
        second = await room.sessions.create(room.principal, first.agent_id)
        await write_events(room, first, moved(AgentState.WORKING))
        await write_events(room, second, moved(AgentState.WAITING))

        async def status() -> AgentStatus:
            return (await room.agents.get(room.principal, first.agent_id)).status

        assert await status() is AgentStatus.BUSY
        await write_events(room, first, moved(AgentState.READY, AgentState.WORKING))
        assert await status() is AgentStatus.WAITING


class TestTenants:
    async def test_nothing_of_another_tenant_is_seen_or_touched(self, room: Room) -> None:
        await room.write(lambda conn: add_tenant(conn, STRANGER.tenant_id))
        session = await room.session()
        await write_events(room, session, asking())
        agents, posts, sessions = room.agents, room.posts, room.sessions
        agent_id = session.agent_id
        post_id = (await agents.get(room.principal, agent_id)).post_id

        assert await sessions.approvals(STRANGER) == []
        assert await posts.list_page(STRANGER, after=None, limit=50) == ([], None)
        attempts = [
            agents.get(STRANGER, agent_id),
            agents.change(STRANGER, agent_id, AgentChanges(name="Mine")),
            agents.delete(STRANGER, agent_id),
            agents.diff(STRANGER, agent_id),
            agents.commit(STRANGER, agent_id, branch="b", message="m"),
            sessions.list_page(STRANGER, agent_id, after=None, limit=50),
            sessions.get(STRANGER, agent_id, session.id),
            sessions.create(STRANGER, agent_id),
            sessions.send(STRANGER, agent_id, session.id, text="hello"),
            sessions.interrupt(STRANGER, agent_id, session.id),
            sessions.decide(STRANGER, agent_id, session.id, "call_1", decision="allow"),
        ]
        for attempt in attempts:
            with pytest.raises(NoSuchAgent):
                await attempt
        for refused in [
            posts.get(STRANGER, post_id),
            posts.change(STRANGER, post_id, PostChanges(prompt="x")),
            posts.delete(STRANGER, post_id),
        ]:
            with pytest.raises(NoSuchPost):
                await refused
        with pytest.raises(InvalidInput):
            await agents.create(
                STRANGER, name="X", post_id=post_id, overrides=Overrides(), repository=None
            )
        assert len(await room.bodies(session)) == 2

    async def test_a_session_of_another_agent_is_not_found(self, room: Room) -> None:
        session = await room.session()
        other = await room.agent("Grace")

        with pytest.raises(NoSuchSession):
            await room.look(replace(session, agent_id=other.id))
        with pytest.raises(NoSuchSession):
            await room.send(replace(session, agent_id=other.id), "hello")

    async def test_a_role_that_only_looks_changes_nothing(self, room: Room) -> None:
        session = await room.session()
        viewer = principal_of(TENANT, "agents:read", "posts:read", "sessions:read")

        for attempt in [
            room.posts.create(viewer, Post(name="P")),
            room.agents.delete(viewer, session.agent_id),
            room.sessions.create(viewer, session.agent_id),
            room.sessions.send(viewer, session.agent_id, session.id, text="hello"),
            room.sessions.interrupt(viewer, session.agent_id, session.id),
            room.sessions.decide(viewer, session.agent_id, session.id, "c", decision="deny"),
            room.agents.commit(viewer, session.agent_id, branch="b", message="m"),
        ]:
            with pytest.raises(ScopeMissing):
                await attempt

    async def test_every_change_is_in_the_audit(self, room: Room) -> None:
        session = await room.session()
        await room.send(session, "hello")
        await room.sessions.interrupt(room.principal, session.agent_id, session.id)
        await room.agents.change(room.principal, session.agent_id, AgentChanges(name="Grace"))
        await room.agents.delete(room.principal, session.agent_id)

        assert await audited(room) == [
            "agent.created",
            "session.created",
            "message.sent",
            "turn.interrupted",
            "agent.changed",
            "agent.deleted",
        ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ada", "ada"),
        ("Ada & Co.", "ada-co"),
        ("阿达", "agent"),
        ("-x-", "x"),
        ("a" * 80, "a" * 40),
    ],
)
def test_a_slug_is_safe_in_a_branch(name: str, expected: str) -> None:
    assert slug(name) == expected


async def decide(room: Room, session: Session, note: str = "") -> None:
    await room.sessions.decide(
        room.principal, session.agent_id, session.id, "call_1", decision="allow", note=note
    )
