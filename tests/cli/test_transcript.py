"""Events become what a person sees, and it is known when their turn is over."""

import msgspec
import pytest
from tests.cli.events import (
    ANSWER,
    DIFF,
    DONE,
    EDIT,
    EDIT_ASKS,
    EDIT_ENDS,
    EDIT_STARTS,
    MESSAGE,
    SECOND,
    STEP,
    WAITS,
    WHOLE_TURN,
    feed,
)

from longhouse.cli.transcript import (
    Asks,
    Decided,
    Planned,
    Resumed,
    Said,
    Thought,
    ToolDone,
    Transcript,
    Trouble,
    TurnEnded,
    UserSaid,
    decode_event,
)
from longhouse.protocol.events import (
    AgentResumed,
    AgentState,
    Delta,
    Done,
    DoneReason,
    ErrorRaised,
    Event,
    InterruptRequested,
    MessageReceived,
    Outcome,
    PermissionDecided,
    Severity,
    StepStarted,
    Thinking,
    Todo,
    TodoChanged,
    ToolEnd,
    Usage,
    encode_event,
)


@pytest.fixture
def transcript() -> Transcript:
    return Transcript(message_id="msg_1")


class TestItems:
    def test_a_turn_is_shown_in_order_with_one_item_for_each_call(
        self, transcript: Transcript
    ) -> None:
        said, call, answer, ended = feed(transcript, *WHOLE_TURN)

        assert said == Said("I look at it.")
        assert isinstance(call, ToolDone)
        assert (call.name, call.seconds, call.counts) == ("fs_edit", 1.0, (1, 1))
        assert answer == Said("It passes now.")
        assert ended == TurnEnded(
            reason=DoneReason.COMPLETED,
            seconds=9.0,
            steps=2,
            usage=Usage(input=2400, output=60),
        )

    def test_the_answer_is_what_the_last_step_said(self, transcript: Transcript) -> None:
        feed(transcript, *WHOLE_TURN)

        assert transcript.answer == ["It passes now."]

    def test_a_message_typed_elsewhere_is_shown(self, transcript: Transcript) -> None:
        other = MessageReceived(message_id="msg_2", text="and quickly")

        assert feed(transcript, MESSAGE, other) == [UserSaid("and quickly")]
        assert feed(Transcript(message_id="msg_1", own=False), MESSAGE) == [
            UserSaid("make the test pass")
        ]

    def test_a_diff_that_was_seen_before_is_marked(self, transcript: Transcript) -> None:
        decided = PermissionDecided(call_id="c1", decision="allow")

        items = feed(
            transcript, MESSAGE, STEP, EDIT, EDIT_ASKS, WAITS, decided, EDIT_STARTS, EDIT_ENDS
        )

        assert items[0] == Asks(EDIT_ASKS)
        assert items[1] == Decided("c1", "allow", "")
        assert isinstance(items[2], ToolDone)
        assert items[2].previewed

    def test_a_call_that_never_ran_has_no_duration(self, transcript: Transcript) -> None:
        end = ToolEnd(call_id="c1", name="fs_edit", outcome=Outcome.INVALID, content="No.")

        (done,) = feed(transcript, MESSAGE, STEP, EDIT, end)

        assert isinstance(done, ToolDone)
        assert done.seconds is None

    def test_a_new_plan_is_shown_instead_of_the_call_that_wrote_it(
        self, transcript: Transcript
    ) -> None:
        todos = (Todo(id="1", title="Look"),)
        written = ToolEnd(call_id="c2", name="todo_write", outcome=Outcome.OK, content="[ ] Look")

        assert feed(transcript, written, TodoChanged(after=todos)) == [Planned(todos)]

    def test_errors_that_a_result_or_the_end_tells_are_not_told_twice(
        self, transcript: Transcript
    ) -> None:
        retried = ErrorRaised(
            phase="model", severity=Severity.WARNING, message="busy", attempt=1, retry_in=2.0
        )
        of_tool = ErrorRaised(phase="tool", severity=Severity.WARNING, message="bash_run: no")
        final = ErrorRaised(phase="model", severity=Severity.ERROR, message="wrong key")

        items = feed(transcript, retried, of_tool, final)

        assert items == [Trouble(message="busy", retry_in=2.0)]

    def test_a_turn_taken_up_after_a_crash_says_what_may_have_happened(
        self, transcript: Transcript
    ) -> None:
        resumed = AgentResumed(epoch=2, sealed=("c1",), repeated=("c2", "c3"))

        assert feed(transcript, resumed) == [Resumed(sealed=1, repeated=2)]

    def test_empty_thinking_is_not_shown(self, transcript: Transcript) -> None:
        assert feed(transcript, Thinking(step=1, text=" \n")) == []
        assert feed(transcript, Thinking(step=1, text="hm")) == [Thought("hm")]


class TestStream:
    def test_fragments_of_one_block_add_up(self, transcript: Transcript) -> None:
        for text in ("It ", "passes"):
            transcript.hear(Delta(step=2, kind="text", text=text))

        assert transcript.streamed == Delta(step=2, kind="text", text="It passes")

    def test_another_block_begins_anew(self, transcript: Transcript) -> None:
        transcript.hear(Delta(step=2, kind="thinking", text="hm"))
        transcript.hear(Delta(step=2, kind="text", text="It"))

        assert transcript.streamed == Delta(step=2, kind="text", text="It")

    def test_the_whole_block_and_a_broken_connection_end_it(self, transcript: Transcript) -> None:
        transcript.hear(Delta(step=2, kind="text", text="It"))
        feed(transcript, ANSWER)
        assert transcript.streamed is None

        transcript.hear(Delta(step=3, kind="text", text="An"))
        transcript.forget_streamed()
        assert transcript.streamed is None


class TestWaiting:
    def test_what_waits_for_a_person_is_known_until_it_is_decided(
        self, transcript: Transcript
    ) -> None:
        feed(transcript, MESSAGE, STEP, EDIT, EDIT_ASKS, WAITS)
        assert list(transcript.waiting) == ["c1"]
        assert transcript.state == AgentState.WAITING

        feed(transcript, PermissionDecided(call_id="c1", decision="deny"), after=5)
        assert not transcript.waiting

    def test_what_waited_before_the_transcript_begins_is_known_too(
        self, transcript: Transcript
    ) -> None:
        transcript.expect(EDIT, EDIT_ASKS)

        (_, done) = feed(transcript, PermissionDecided(call_id="c1", decision="allow"), EDIT_ENDS)

        assert isinstance(done, ToolDone)
        assert done.arguments == EDIT.arguments
        assert done.diff == DIFF


class TestOver:
    def test_the_turn_of_the_message_ends_it(self, transcript: Transcript) -> None:
        feed(transcript, *WHOLE_TURN[:-1])
        before = transcript.over

        feed(transcript, DONE)

        assert (before, transcript.over) == (False, True)
        assert transcript.ended is not None

    def test_the_end_of_an_earlier_turn_does_not(self, transcript: Transcript) -> None:
        earlier = StepStarted(turn=1, step=1, messages=("msg_0",))

        items = feed(transcript, earlier, MESSAGE, DONE)

        assert isinstance(items[-1], TurnEnded)
        assert not transcript.over

    def test_an_interrupt_before_its_turn_began_ends_it_at_once(
        self, transcript: Transcript
    ) -> None:
        feed(transcript, MESSAGE, InterruptRequested())

        assert transcript.over
        assert transcript.ended is not None
        assert transcript.ended.reason is DoneReason.INTERRUPTED

    def test_an_interrupt_of_the_turn_before_drops_the_message_with_it(
        self, transcript: Transcript
    ) -> None:
        earlier = StepStarted(turn=1, step=1, messages=("msg_0",))
        stopped = Done(reason=DoneReason.INTERRUPTED, turn=1)

        feed(transcript, earlier, MESSAGE, InterruptRequested())
        before = transcript.over

        feed(transcript, stopped, after=3)

        assert (before, transcript.over) == (False, True)

    def test_an_interrupt_without_meaning_changes_nothing(self, transcript: Transcript) -> None:
        feed(transcript, InterruptRequested(), MESSAGE, STEP)

        assert not transcript.over


class TestDecode:
    def test_an_event_of_the_wire_is_read_back(self) -> None:
        event = Event(seq=7, time=1_767_268_800 * SECOND + 6, body=EDIT)

        assert decode_event(encode_event(event)) == event

    def test_a_type_of_a_newer_server_is_skipped(self) -> None:
        data = b'{"seq":1,"time":"2026-01-01T12:00:00Z","channel":"monitor","type":"new_thing"}'

        assert decode_event(data) is None

    def test_what_is_no_event_is_an_error(self) -> None:
        with pytest.raises(msgspec.DecodeError):
            decode_event(b"<html>")
