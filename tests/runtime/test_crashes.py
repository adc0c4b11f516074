"""`kill -9` at random moments of a turn: what was promised holds when the agent goes on.

The program that is killed is `crash_child`. The moments are seeded: so many events into a life,
and then so many microseconds of doing nothing.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.runtime import crash_child

from longhouse.protocol.events import (
    AgentResumed,
    AgentState,
    Done,
    DoneReason,
    Event,
    MessageReceived,
    Outcome,
    StepStarted,
    ToolCall,
    ToolEnd,
    ToolStart,
)
from longhouse.runtime.calls import SEALED
from longhouse.runtime.context import Context
from longhouse.runtime.journals.sqlite import SQLiteJournal
from longhouse.runtime.model import AssistantMessage, ToolMessage

SEED = 20
FEWEST_ERRANDS = 5
FEWEST_KILLS = 25  # a machine that is busy elsewhere gets more errands until it had so many
LONGEST_LIFE = 20  # events
LONGEST_WAIT = 2_500  # microseconds from the event to the kill: about one step
STILLBORN = 0.1  # how many lives are killed before they have said anything
REPEATABLE = {"look"}

# One story for all tests, so one worker for all of them.
pytestmark = pytest.mark.xdist_group("crashes")


class Host:
    """The program to be killed, and what it has told so far."""

    def __init__(self, folder: Path) -> None:
        self.accepted: set[str] = set()
        self.errands = FEWEST_ERRANDS
        self.finished = False
        self.seq = 0
        self.kills = 0
        self._program = subprocess.Popen(
            [sys.executable, crash_child.__file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def live(self, *, events: int, wait: int) -> None:
        """One life: killed `wait` microseconds after so many events, unless it ends before."""
        last = self.seq + events
        pid = self._begin_life()
        if events == 0:
            self._kill(pid, wait)
        for word, value in self._lines():
            match word:
                case "seq":
                    reached, self.seq = self.seq >= last, max(self.seq, int(value))
                    if self.seq >= last and not reached:
                        self._kill(pid, wait)
                case "accepted":
                    self.accepted.add(value)
                case "finished" if self.kills < FEWEST_KILLS:
                    self.errands += 1
                case "finished":
                    self.finished = True
                case "over":
                    return
        raise AssertionError("the program ended")

    def close(self) -> None:
        """End it, and the life that a failed test has left."""
        os.killpg(self._program.pid, signal.SIGKILL)
        self._program.communicate()

    def _begin_life(self) -> int:
        assert self._program.stdin is not None
        self._program.stdin.write(f"{self.errands}\n")
        self._program.stdin.flush()
        for word, value in self._lines():
            if word == "life":
                return int(value)
        raise AssertionError("the program ended")

    def _lines(self) -> Iterator[tuple[str, str]]:
        assert self._program.stdout is not None
        while line := self._program.stdout.readline():
            word, _, value = line.strip().partition(" ")
            yield word, value

    def _kill(self, pid: int, wait: int) -> None:
        until = time.perf_counter_ns() + wait * 1000
        while time.perf_counter_ns() < until:
            pass
        with suppress(ProcessLookupError):  # it may have come to its end meanwhile
            os.kill(pid, signal.SIGKILL)
            self.kills += 1


@dataclass
class Story:
    """What is left in the end: the journal, sorted, and the traces of the tools."""

    events: list[Event]
    effects: Counter[str]  # call id -> how often it ran
    calls: dict[str, ToolCall] = field(default_factory=dict)
    ends: list[ToolEnd] = field(default_factory=list)
    starts: Counter[str] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    resumed: list[AgentResumed] = field(default_factory=list)

    def __post_init__(self) -> None:
        for event in self.events:
            match event.body:
                case ToolCall() as body:
                    assert body.call_id not in self.calls
                    self.calls[body.call_id] = body
                case ToolStart() as body:
                    self.starts[body.call_id] += 1
                case ToolEnd() as body:
                    self.ends.append(body)
                case MessageReceived() as body:
                    self.messages.append(body.message_id)
                case StepStarted() as body:
                    self.delivered += body.messages
                    self.turns.append(body.turn)
                case Done() as body:
                    self.done.append(body)
                case AgentResumed() as body:
                    self.resumed.append(body)

    @property
    def context(self) -> Context:
        context = Context()
        context.apply(self.events)
        return context


@pytest.fixture(scope="module")
def survivor(tmp_path_factory: pytest.TempPathFactory) -> tuple[Host, Story]:
    """An agent that was killed again and again, until its errands were done all the same."""
    folder = tmp_path_factory.mktemp("crashes")
    moments = random.Random(SEED)
    host = Host(folder)
    try:
        while not host.finished:
            stillborn = moments.random() < STILLBORN
            events = 0 if stillborn else moments.randint(1, LONGEST_LIFE)
            # It takes a while until a life opens its file.
            wait = moments.randint(0, 20 * LONGEST_WAIT if stillborn else LONGEST_WAIT)
            host.live(events=events, wait=wait)
    finally:
        host.close()
    traces = crash_child.effects_file(folder).read_text(encoding="utf-8").splitlines()
    effects = Counter(line.split()[0] for line in traces)
    return host, Story(asyncio.run(read(crash_child.journal_file(folder))), effects)


async def read(path: Path) -> list[Event]:
    journal = SQLiteJournal(path)
    try:
        return await journal.read(crash_child.AGENT)
    finally:
        await journal.close()


class TestKilledAgainAndAgain:
    def test_the_work_is_done_in_the_end(self, survivor: tuple[Host, Story]) -> None:
        host, story = survivor

        assert host.kills >= FEWEST_KILLS
        assert story.context.state is AgentState.READY
        assert len(story.calls) >= host.errands * crash_child.TOOLS_PER_ERRAND

    def test_the_journal_has_no_gap(self, survivor: tuple[Host, Story]) -> None:
        _, story = survivor

        assert [event.seq for event in story.events] == list(range(1, len(story.events) + 1))

    def test_every_call_has_exactly_one_result(self, survivor: tuple[Host, Story]) -> None:
        _, story = survivor

        assert sorted(end.call_id for end in story.ends) == sorted(story.calls)

    def test_a_tool_with_an_effect_ran_exactly_once_or_is_sealed_and_says_so(
        self, survivor: tuple[Host, Story]
    ) -> None:
        _, story = survivor

        ends = [end for end in story.ends if end.name not in REPEATABLE]
        for end in ends:
            if end.outcome is Outcome.SEALED:
                assert end.content == SEALED
                assert story.effects[end.call_id] <= 1
            else:
                assert (end.outcome, story.effects[end.call_id]) == (Outcome.OK, 1)
            assert story.starts[end.call_id] == 1
        sealed = {end.call_id for end in ends if end.outcome is Outcome.SEALED}
        assert sealed == {call_id for body in story.resumed for call_id in body.sealed}

    def test_a_repeatable_tool_always_has_its_result(self, survivor: tuple[Host, Story]) -> None:
        _, story = survivor

        ends = [end for end in story.ends if end.name in REPEATABLE]
        assert ends
        assert {end.outcome for end in ends} == {Outcome.OK}
        assert all(story.effects[end.call_id] >= 1 for end in ends)

    def test_every_turn_has_exactly_one_done(self, survivor: tuple[Host, Story]) -> None:
        _, story = survivor

        assert [done.turn for done in story.done] == sorted(set(story.turns))
        assert {done.reason for done in story.done} == {DoneReason.COMPLETED}

    def test_no_accepted_message_is_lost(self, survivor: tuple[Host, Story]) -> None:
        host, story = survivor

        assert host.accepted <= set(story.messages)
        assert sorted(story.delivered) == sorted(story.messages)
        assert len(set(story.messages)) == len(story.messages)

    def test_the_model_sees_every_result_right_after_its_call(
        self, survivor: tuple[Host, Story]
    ) -> None:
        _, story = survivor

        messages = iter(story.context.messages)
        for message in messages:
            if isinstance(message, AssistantMessage):
                asked = [block.call_id for block in message.blocks if isinstance(block, ToolCall)]
                results = [next(messages) for _ in asked]
                assert all(isinstance(result, ToolMessage) for result in results)
                assert [getattr(result, "call_id", None) for result in results] == asked
