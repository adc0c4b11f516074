"""A session's events for tests of what a person sees of them."""

from collections.abc import Sequence

from longhouse.cli.transcript import Item, Transcript
from longhouse.protocol.events import (
    AgentState,
    Body,
    Done,
    DoneReason,
    Event,
    MessageReceived,
    Outcome,
    PermissionRequired,
    StateChanged,
    StepStarted,
    Text,
    TokenUsage,
    ToolCall,
    ToolEnd,
    ToolStart,
    Usage,
)

SECOND = 1_000_000
DIFF = "--- a/calc.py\n+++ b/calc.py\n@@ -1,2 +1,2 @@\n-return a\n+return b\n \n"

MESSAGE = MessageReceived(message_id="msg_1", text="make the test pass")
STEP = StepStarted(turn=1, step=1, messages=("msg_1",))
EDIT = ToolCall(step=1, call_id="c1", name="fs_edit", arguments={"path": "calc.py", "old": "a"})
EDIT_ASKS = PermissionRequired(
    call_id="c1", name="fs_edit", arguments=EDIT.arguments, reason="mode: ask", preview=DIFF
)
EDIT_STARTS = ToolStart(call_id="c1", name="fs_edit")
EDIT_ENDS = ToolEnd(
    call_id="c1", name="fs_edit", outcome=Outcome.OK, content="Edited calc.py.", diff=DIFF
)
WAITS = StateChanged(before=AgentState.WORKING, after=AgentState.WAITING)
USED = TokenUsage(step=1, model="demo", usage=Usage(input=1200, output=30))
ANSWER = Text(step=2, text="It passes now.")
DONE = Done(reason=DoneReason.COMPLETED, turn=1)

WHOLE_TURN: Sequence[Body] = (
    MESSAGE,
    STEP,
    Text(step=1, text="I look at it."),
    EDIT,
    USED,
    EDIT_STARTS,
    EDIT_ENDS,
    StepStarted(turn=1, step=2),
    ANSWER,
    USED,
    DONE,
)


def feed(transcript: Transcript, *bodies: Body, after: int = 0) -> list[Item]:
    """What these events show, one second after the other."""
    return [
        item
        for seq, body in enumerate(bodies, start=after + 1)
        for item in transcript.take(Event(seq=seq, time=seq * SECOND, body=body))
    ]
