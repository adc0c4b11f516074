"""The program that `test_crashes` kills: one agent on an SQLite journal, working through errands.

    python crash_child.py <folder>

Each line on its standard input, a number of errands, begins a life: a forked process that opens the
agent, hands in these errands (again, where it did before) and works until it is killed or they are
done. It says on its standard output what it is about, one line each:

    life <pid>        a life began
    seq <n>           the journal is durable up to event n
    accepted <id>     a message was accepted
    finished          all errands are done
    over              a life ended, whichever way
"""

import asyncio
import os
import sys
from pathlib import Path

from longhouse.kit.bus.memory import MemoryBus
from longhouse.protocol.events import Event
from longhouse.runtime import (
    Agent,
    FixedModels,
    Mode,
    Permissions,
    Post,
    Runtime,
    ScriptedModel,
    SQLiteJournal,
    Tool,
    tool,
)
from longhouse.runtime.model import ModelRequest, ToolMessage, UserMessage
from longhouse.runtime.models.scripted import Answer, call, calls, say
from longhouse.runtime.sandbox.refuse import Refuse
from longhouse.runtime.tools.base import ToolContext

AGENT = "a"
TOOLS_PER_ERRAND = 20
REMARK_EVERY = 9  # tool calls, roughly: messages that arrive in the middle of a turn


def effects_file(folder: Path) -> Path:
    """Where the tools leave their traces: a line `<call id> <tool>` each time one has run."""
    return folder / "effects"


def journal_file(folder: Path) -> Path:
    """The agent's journal."""
    return folder / "agents.db"


def main(folder: Path) -> None:
    """Live once for each line of the standard input."""
    for line in sys.stdin:
        pid = os.fork()  # no thread has started yet: a life costs no imports
        if pid == 0:
            asyncio.run(live(folder, errands=int(line)))
            os._exit(0)
        tell(f"life {pid}")
        os.waitpid(pid, 0)
        tell("over")


async def live(folder: Path, *, errands: int) -> None:
    """Go on with the errands until they are done."""
    async with Runtime(
        journal=SQLiteJournal(journal_file(folder)),
        models=FixedModels(ScriptedModel(next_answer)),
        posts=[Post(name="worker", tools=("pay", "post", "look"), permissions=AUTO)],
        tools=make_tools(effects_file(folder)),
        sandbox=Refuse("this test runs no commands", hint=""),
        workspaces=folder / "workspaces",
        bus=TellingBus(),
    ) as runtime:
        agent = await runtime.agent(AGENT, post="worker")
        agent.on("tool_executed", lambda event: remark(agent, event))
        for number in range(errands):
            await send(agent, f"errand {number}", f"errand-{number}")
            await agent.rest()
        tell("finished")


AUTO = Permissions(mode=Mode.AUTO)


class TellingBus(MemoryBus):
    """Tells of each write to the journal: it rings once that is durable."""

    def publish(self, topic: str, payload: bytes = b"") -> None:
        super().publish(topic, payload)
        if topic.startswith("journal."):
            tell(f"seq {payload.decode()}")


async def remark(agent: Agent, event: Event) -> None:
    """Say something in the middle of a turn."""
    if event.seq % REMARK_EVERY == 0:
        await send(agent, "go on like this", f"remark-{event.seq}")


async def send(agent: Agent, text: str, message_id: str) -> None:
    await agent.send(text, message_id=message_id)
    tell(f"accepted {message_id}")


def next_answer(request: ModelRequest) -> Answer:
    """The next call or two of the present errand, until it had its number of results."""
    results = 0
    for message in reversed(request.messages):
        if isinstance(message, UserMessage) and message.text.startswith("errand"):
            break
        results += isinstance(message, ToolMessage)
    if results >= TOOLS_PER_ERRAND:
        return say("That is done.")
    match results % 5:
        case 0:
            return call("pay", number=results)
        case 1:
            return calls(call("post", number=results), call("post", number=-results))
        case 3:
            return call("look", number=results)
        case _:
            return calls(say("Now these."), call("look", number=results), call("pay", number=1))


def make_tools(effects: Path) -> tuple[Tool, ...]:
    """Tools that leave a line for each time they ran."""

    def leave(context: ToolContext, name: str) -> str:
        with effects.open("ab", buffering=0) as file:
            file.write(f"{context.call_id} {name}\n".encode())
            os.fsync(file.fileno())  # takes a while, so that some are killed right here
        return f"{name} ran"

    @tool(reads_only=False)
    async def pay(number: int, context: ToolContext) -> str:
        """Something that must not happen twice."""
        return leave(context, "pay")

    @tool(reads_only=False, parallel=True)
    async def post(number: int, context: ToolContext) -> str:
        """Something that must not happen twice, and may happen beside others."""
        await asyncio.sleep(0)
        return leave(context, "post")

    @tool(reads_only=True)
    async def look(number: int, context: ToolContext) -> str:
        """Something that may happen again."""
        return leave(context, "look")

    return pay, post, look


def tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # one call, so that no line is ever torn


if __name__ == "__main__":
    main(Path(sys.argv[1]))
