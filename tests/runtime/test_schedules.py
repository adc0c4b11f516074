"""When schedules fire: the pure arithmetic, and what it does to agents whose clock stands still."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.patience import PATIENCE

from longhouse.kit.clock import MANUAL_START, ManualClock
from longhouse.kit.errors import InvalidInput
from longhouse.protocol.events import (
    At,
    Cron,
    Done,
    Event,
    Every,
    EverySteps,
    MessageReceived,
    ScheduleFired,
    ScheduleSet,
    StepStarted,
    When,
)
from longhouse.runtime.agent import Agent, NoSuchSchedule
from longhouse.runtime.journals.base import Journal
from longhouse.runtime.journals.memory import MemoryJournal
from longhouse.runtime.journals.sqlite import SQLiteJournal
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import ScriptedModel, call, say
from longhouse.runtime.posts import Mode, Permissions, Post
from longhouse.runtime.runtime import Runtime
from longhouse.runtime.sandbox.refuse import Refuse
from longhouse.runtime.schedules import (
    Schedule,
    check,
    due_by_time,
    firing,
    has_fired,
    next_look,
    was_set,
)
from longhouse.runtime.tools.base import tool

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def schedule(when: When, *, at: datetime = MANUAL_START, text: str = "Look.") -> Schedule:
    body = ScheduleSet(name="s", when=when, text=text)
    return was_set(body, seq=1, time=micros(at), step=0)


def due(one: Schedule, now: datetime, *, unread: tuple[str, ...] = ()) -> datetime | None:
    found = due_by_time([one], now=micros(now), unread=unread)
    return datetime.fromtimestamp(found[0][1] / 1e6, UTC) if found else None


def after(one: Schedule, moment: datetime) -> Schedule:
    fired, *_ = firing(one, due=micros(moment))
    again = has_fired(one, fired, step=0)
    assert again is not None
    return again


class TestTimes:
    def test_a_moment_is_due_once_it_has_come(self) -> None:
        one = schedule(At(MANUAL_START + HOUR))

        assert due(one, MANUAL_START + HOUR - MINUTE) is None
        assert due(one, MANUAL_START + HOUR) == MANUAL_START + HOUR
        assert due(one, MANUAL_START + 9 * HOUR) == MANUAL_START + HOUR

    def test_a_moment_fires_once(self) -> None:
        one = schedule(At(MANUAL_START + HOUR))

        assert has_fired(one, firing(one, due=micros(MANUAL_START + HOUR))[0], step=0) is None

    def test_a_period_counts_from_when_it_was_set(self) -> None:
        one = schedule(Every(10 * MINUTE))

        assert due(one, MANUAL_START + 9 * MINUTE) is None
        assert due(one, MANUAL_START + 10 * MINUTE) == MANUAL_START + 10 * MINUTE

    def test_what_was_missed_is_one_firing_and_the_beat_is_kept(self) -> None:
        one = schedule(Every(10 * MINUTE))
        late = MANUAL_START + 37 * MINUTE

        assert due(one, late) == MANUAL_START + 30 * MINUTE
        one = after(one, MANUAL_START + 30 * MINUTE)
        assert due(one, late) is None
        assert one.next == MANUAL_START + 40 * MINUTE

    def test_a_cron_expression_is_read_in_its_zone(self) -> None:
        one = schedule(Cron("0 9 * * MON-FRI", "Europe/Berlin"))  # from noon of a Thursday

        assert one.next == datetime(2026, 1, 2, 9, tzinfo=BERLIN)
        one = after(one, datetime(2026, 1, 2, 9, tzinfo=BERLIN))
        assert one.next == datetime(2026, 1, 5, 9, tzinfo=BERLIN)

    def test_a_cron_expression_that_was_missed_for_days_fires_for_the_last_time_only(self) -> None:
        one = schedule(Cron("0 9 * * *"))

        assert due(one, datetime(2026, 1, 20, 8, tzinfo=UTC)) == datetime(
            2026, 1, 19, 9, tzinfo=UTC
        )

    def test_a_day_without_that_hour_fires_once_and_so_does_a_day_that_has_it_twice(self) -> None:
        for day in (datetime(2026, 3, 29, tzinfo=BERLIN), datetime(2026, 10, 25, tzinfo=BERLIN)):
            one = schedule(Cron("30 2 * * *", "Europe/Berlin"), at=day - timedelta(hours=12))
            fired = []
            for minutes in range(0, 24 * 60, 10):
                if moment := due(one, day.astimezone(UTC) + minutes * MINUTE):
                    fired.append(moment)
                    one = after(one, moment)

            assert len(fired) == 1, day

    def test_while_its_last_message_is_unread_a_schedule_waits(self) -> None:
        one = after(schedule(Every(MINUTE)), MANUAL_START + MINUTE)

        assert due(one, MANUAL_START + 3 * MINUTE, unread=(one.fired,)) is None
        assert due(one, MANUAL_START + 3 * MINUTE) == MANUAL_START + 3 * MINUTE

    def test_one_looks_again_when_the_next_is_due_and_not_before(self) -> None:
        steps, hourly = schedule(EverySteps(3)), schedule(Every(HOUR))
        once = schedule(At(MANUAL_START + 90 * MINUTE))

        def look(*schedules: Schedule, now: datetime) -> int | None:
            return next_look(schedules, now=micros(now), unread=())

        assert look(steps, now=MANUAL_START) is None
        assert look(steps, hourly, once, now=MANUAL_START) == micros(MANUAL_START + HOUR)
        assert look(hourly, now=MANUAL_START + HOUR) == micros(MANUAL_START + HOUR)
        hourly = after(hourly, MANUAL_START + HOUR)
        assert look(hourly, once, now=MANUAL_START + HOUR) == micros(MANUAL_START + 90 * MINUTE)

    def test_one_looks_past_what_waits_for_a_reader(self) -> None:
        one = after(schedule(Every(HOUR)), MANUAL_START + HOUR)
        now = MANUAL_START + timedelta(hours=2, minutes=1)

        look = next_look([one], now=micros(now), unread=(one.fired,))

        assert look == micros(MANUAL_START + 3 * HOUR)

    @given(
        when=st.one_of(
            st.timedeltas(timedelta(seconds=1), timedelta(days=40)).map(Every),
            st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 0 31 * *", "5 4 * * SUN"]).map(
                lambda expression: Cron(expression, "Europe/Berlin")
            ),
        ),
        gaps=st.lists(st.timedeltas(timedelta(0), timedelta(days=400)), max_size=12),
    )
    def test_whenever_one_looks_firings_go_forward_and_none_is_in_the_future(
        self, when: When, gaps: list[timedelta]
    ) -> None:
        one, now = schedule(when), MANUAL_START
        for gap in gaps:
            now += gap
            before = one.next
            moment = due(one, now)

            assert (moment is not None) == (before is not None and before <= now)
            if moment is not None:
                assert before is not None
                assert before <= moment <= now
                one = after(one, moment)
                assert due(one, now) is None
            look = next_look([one], now=micros(now), unread=())
            assert look is not None
            assert look > micros(now)


class TestWhatCanBeSet:
    @pytest.mark.parametrize(
        ("name", "when"),
        [
            (" ", Every(HOUR)),
            ("a\nb", Every(HOUR)),
            ("x" * 200, Every(HOUR)),
            ("s", Every(timedelta(milliseconds=1))),
            ("s", Every(-HOUR)),
            ("s", EverySteps(0)),
            ("s", At(datetime(2026, 1, 1))),  # noqa: DTZ001 - that is what is wrong with it
            ("s", Cron("every day")),
            ("s", Cron("61 * * * *")),
            ("s", Cron("* * * * * *")),
            ("s", Cron("0 9 * * *", "Europe/Atlantis")),
            ("s", Cron("0 9 * * *", "../../etc/passwd")),
        ],
    )
    def test_what_can_never_fire_is_refused_and_it_says_why(self, name: str, when: When) -> None:
        with pytest.raises(InvalidInput) as refused:
            check(name, when)

        assert refused.value.hint


# --- agents ---------------------------------------------------------------------------------------


@tool(reads_only=True)
async def look(number: int) -> str:
    """Look around."""
    return f"nothing {number}"


class House:
    """Runtimes, one after the other or side by side, on one clock."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.clock = ManualClock()
        self._folder = folder
        self._stack = stack

    def sqlite(self) -> SQLiteJournal:
        return SQLiteJournal(self._folder / "agents.db", clock=self.clock)

    def memory(self) -> MemoryJournal:
        return MemoryJournal(clock=self.clock)

    async def runtime(self, journal: Journal, script: Any = None, *, drive: bool = True) -> Runtime:
        return await self._stack.enter_async_context(self.made(journal, script, drive=drive))

    def made(self, journal: Journal, script: Any = None, *, drive: bool = True) -> Runtime:
        return Runtime(
            journal=journal,
            models=FixedModels(ScriptedModel(script or (lambda request: say("Yes.")))),
            posts=[
                Post(name="p", tools=("look", "wait"), permissions=Permissions(mode=Mode.AUTO)),
                Post(name="asks", tools=("wait",)),
            ],
            tools=(look, wait),
            sandbox=Refuse("nothing runs here", hint=""),
            workspaces=self._folder / "workspaces",
            clock=self.clock,
            drive=drive,
        )


@tool(reads_only=False)
async def wait() -> str:
    """Wait for a person."""
    return "waited"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        yield House(tmp_path, stack)


async def told(agent: Agent, count: int) -> list[str]:
    """The texts of the first so many messages, once they are there."""
    texts = []
    async for event in agent.subscribe(types=["message"]):
        assert isinstance(event, Event)
        assert isinstance(event.body, MessageReceived)
        texts.append(event.body.text)
        if len(texts) == count:
            break
    return texts


async def bodies(agent: Agent, journal: Journal, kind: type) -> list[Any]:
    return [e.body for e in await journal.read(agent.id) if isinstance(e.body, kind)]


async def happened(agent: Agent, kind: str) -> Any:
    """The first event of a type, once it is there."""
    async for event in agent.subscribe(types=[kind]):
        assert isinstance(event, Event)
        return event.body
    raise AssertionError("the runtime was closed")


async def ended(agent: Agent, turn: int) -> None:
    """Wait until a turn is over."""
    async for event in agent.subscribe(types=["done"]):
        assert isinstance(event, Event)
        assert isinstance(event.body, Done)
        if event.body.turn == turn:
            break


class TestByTime:
    async def test_at_a_moment_the_agent_is_given_its_message_and_answers(
        self, house: House
    ) -> None:
        agent = await (await house.runtime(house.memory())).agent("a", post="p")
        await agent.schedule("launch", At(MANUAL_START + HOUR), "Launch it.")
        await house.clock.wait_for_sleepers()

        house.clock.advance(3600)
        await happened(agent, "done")

        message = await happened(agent, "message")
        assert (message.text, message.sender) == ("Launch it.", "schedule launch")
        assert await agent.schedules() == ()

    async def test_a_period_goes_on_and_on(self, house: House) -> None:
        agent = await (await house.runtime(house.memory())).agent("a", post="p")
        await agent.schedule("tea", Every(HOUR), "Tea.")

        for turn in (1, 2, 3):
            for _ in range(60):
                await house.clock.wait_for_sleepers()
                house.clock.advance(60)
            await ended(agent, turn)

        assert await told(agent, 3) == ["Tea."] * 3

    async def test_a_schedule_without_a_text_only_tells_whoever_listens(self, house: House) -> None:
        journal = house.memory()
        agent = await (await house.runtime(journal)).agent("a", post="p")
        heard = asyncio.Event()
        agent.on("schedule_fired", lambda event: heard.set())
        await agent.schedule("tick", Every(MINUTE))
        await house.clock.wait_for_sleepers()

        house.clock.advance(60)
        await heard.wait()

        assert await bodies(agent, journal, MessageReceived) == []

    async def test_the_same_name_takes_the_place_of_what_it_named(self, house: House) -> None:
        agent = await (await house.runtime(house.memory())).agent("a", post="p")
        await agent.schedule("tea", Every(HOUR), "Tea.")
        await agent.schedule("tea", Every(2 * HOUR), "Coffee.")
        await house.clock.wait_for_sleepers()

        house.clock.advance(2 * 3600)

        assert await told(agent, 1) == ["Coffee."]
        (left,) = await agent.schedules()
        assert left.next == MANUAL_START + 4 * HOUR

    async def test_what_was_taken_back_does_not_fire(self, house: House) -> None:
        agent = await (await house.runtime(house.memory())).agent("a", post="p")
        await agent.schedule("tea", Every(HOUR), "Tea.")
        await agent.schedule("lunch", Every(HOUR), "Lunch.")
        await agent.unschedule("tea")
        await house.clock.wait_for_sleepers()

        house.clock.advance(3600)

        assert await told(agent, 1) == ["Lunch."]
        with pytest.raises(NoSuchSchedule, match="tea"):
            await agent.unschedule("tea")

    async def test_after_a_restart_what_was_missed_fires_once(self, house: House) -> None:
        async with house.made(house.sqlite()) as runtime:
            agent = await runtime.agent("a", post="p")
            await agent.schedule("tea", Every(HOUR), "Tea.")
            await agent.schedule("launch", At(MANUAL_START + HOUR), "Launch it.")

        house.clock.advance(10.5 * 3600)
        journal = house.sqlite()
        agent = await (await house.runtime(journal)).agent("a")
        await told(agent, 2)
        await agent.rest()

        fired = await bodies(agent, journal, ScheduleFired)
        assert [(body.name, body.due) for body in fired] == [
            ("tea", micros(MANUAL_START + 10 * HOUR)),
            ("launch", micros(MANUAL_START + HOUR)),
        ]

    async def test_two_processes_that_see_the_same_moment_fire_it_once(self, house: House) -> None:
        one, other = house.sqlite(), house.sqlite()
        first = await (await house.runtime(one, drive=False)).agent("a", post="p")
        await first.schedule("tea", Every(HOUR), "Tea.")
        second = await (await house.runtime(other, drive=False)).agent("a")
        house.clock.advance(3600)

        await asyncio.gather(first.fire(), second.fire(), first.fire(), second.fire())

        assert len(await bodies(first, one, ScheduleFired)) == 1
        assert len(await bodies(first, one, MessageReceived)) == 1

    async def test_an_agent_that_was_put_away_comes_back_for_it(self, house: House) -> None:
        runtime = await house.runtime(house.memory())
        agent = await runtime.agent("a", post="p")
        await agent.schedule("tea", Every(HOUR), "Tea.")
        await runtime.put_away("a")
        await house.clock.wait_for_sleepers()

        house.clock.advance(3600)

        assert await told(agent, 1) == ["Tea."]
        assert await happened(agent, "done")

    async def test_an_agent_that_is_gone_disturbs_nobody(self, house: House) -> None:
        journal = house.memory()
        runtime = await house.runtime(journal)
        gone = await runtime.agent("a", post="p")
        agent = await runtime.agent("b", post="p")
        for each in (gone, agent):
            await each.schedule("tea", Every(HOUR), "Tea.")
        await runtime.put_away("a")
        await journal.delete("a")
        await house.clock.wait_for_sleepers()

        house.clock.advance(3600)

        assert await told(agent, 1) == ["Tea."]

    async def test_while_the_agent_waits_for_a_person_one_message_is_enough(
        self, house: House
    ) -> None:
        journal = house.memory()
        runtime = await house.runtime(journal, [call("wait"), say("Thanks."), say("Tea it is.")])
        agent = await runtime.agent("a", post="asks")
        await agent.schedule("tea", Every(HOUR), "Tea.")
        await agent.send("Wait.")
        approval = await happened(agent, "permission_required")

        for _ in range(5 * 60):
            await house.clock.wait_for_sleepers()
            house.clock.advance(60)
        await told(agent, 2)
        await agent.fire()
        await agent.decide(approval.call_id, "allow")
        await agent.rest()

        assert await told(agent, 2) == ["Wait.", "Tea."]
        assert len(await bodies(agent, journal, ScheduleFired)) == 1

    async def test_where_agents_do_not_drive_themselves_nothing_fires_by_itself(
        self, house: House
    ) -> None:
        journal = house.memory()
        agent = await (await house.runtime(journal, drive=False)).agent("a", post="p")
        await agent.schedule("tea", Every(HOUR), "Tea.")
        assert house.clock.sleepers == 0

        house.clock.advance(3600)
        await agent.fire()
        await agent.run()

        assert await happened(agent, "done")
        assert len(await bodies(agent, journal, ScheduleFired)) == 1

    async def test_a_fork_has_none_of_its_parents_schedules(self, house: House) -> None:
        agent = await (await house.runtime(house.memory())).agent("a", post="p")
        await agent.schedule("tea", Every(HOUR), "Tea.")

        fork = await agent.fork(id="b")

        assert await fork.schedules() == ()
        assert len(await agent.schedules()) == 1


class TestBySteps:
    async def test_every_few_steps_the_model_is_reminded_before_the_next_one(
        self, house: House
    ) -> None:
        journal = house.memory()
        script = [*[call("look", number=number) for number in range(7)], say("Done.")]
        agent = await (await house.runtime(journal, script)).agent("a", post="p")
        await agent.schedule("goal", EverySteps(3), "Look at the goal again.")

        await agent.send("Look around.")
        await agent.rest()

        fired = await bodies(agent, journal, ScheduleFired)
        assert [body.step for body in fired] == [3, 6]
        steps = await bodies(agent, journal, StepStarted)
        assert [step.step for step in steps if fired[0].firing in step.messages] == [4]
        assert [step.step for step in steps if fired[1].firing in step.messages] == [7]

    async def test_it_begins_no_turn_of_its_own(self, house: House) -> None:
        journal = house.memory()
        agent = await (await house.runtime(journal)).agent("a", post="p")
        await agent.schedule("goal", EverySteps(1), "Look at the goal again.")

        await agent.ask("One.")
        assert await bodies(agent, journal, ScheduleFired) == []
        await agent.ask("Two.")

        assert len(await bodies(agent, journal, ScheduleFired)) == 1
        assert (await agent.status()).turn == 2

    async def test_it_counts_on_over_a_restart(self, house: House) -> None:
        for number in (1, 2, 3):
            journal = house.sqlite()
            async with house.made(journal) as runtime:
                agent = await runtime.agent("a", post="p")
                if number == 1:
                    await agent.schedule("goal", EverySteps(2), "Look at the goal again.")
                await agent.ask(f"Message {number}.")
                fired = await bodies(agent, journal, ScheduleFired)
                assert len(fired) == (1 if number == 3 else 0)
