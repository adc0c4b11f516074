"""A process that opens the agent `a` and sends it 20 messages: acceptance case 25 starts two.

    python opener.py <folder> <name>

At each line on its standard input it does its next part, and says on its standard output how far it
is: `open`; `sent`, when all messages but the last were sent and it has begun to answer; `rested` or
`fenced`, after the last message.
"""

import asyncio
import sys
from pathlib import Path

from longhouse.runtime import (
    Agent,
    Fenced,
    FixedModels,
    Post,
    Runtime,
    ScriptedModel,
    SQLiteJournal,
)
from longhouse.runtime.models.scripted import say
from longhouse.runtime.sandbox.refuse import Refuse

MESSAGES = 20


async def main(folder: Path, name: str) -> None:
    """Open, send, rest."""
    async with Runtime(
        journal=SQLiteJournal(folder / "agents.db"),
        models=FixedModels(ScriptedModel(lambda request: say("ok"))),
        posts=[Post(name="worker")],
        sandbox=Refuse("this test runs no commands", hint=""),
        workspaces=folder / "workspaces",
    ) as runtime:
        agent = await runtime.agent("a")
        await agent.rest()
        say_word("open")
        await next_word()
        for place in range(MESSAGES - 1):
            await send(agent, name, place)
        await rest(agent)
        say_word("sent")
        await next_word()
        await send(agent, name, MESSAGES - 1)
        say_word(await rest(agent))


async def send(agent: Agent, name: str, place: int) -> None:
    """Give the agent one of the messages."""
    await agent.send(f"{name} {place}", message_id=f"{name}-{place}")


async def rest(agent: Agent) -> str:
    """Wait until the agent rests here, or was taken over by the other process."""
    try:
        await agent.rest()
    except Fenced:
        return "fenced"
    return "rested"


def say_word(word: str) -> None:
    """Tell the test how far this is."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def next_word() -> None:
    """Wait until the test says to go on."""
    await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
