"""A process that opens the agent `a` and sends it 20 messages: acceptance case 25 starts two.

    python opener.py <folder> <name>

It follows words on its standard input (send, rest) and says on its standard output how far it is:
`open`, `sent`, then `rested` or `fenced`.
"""

import asyncio
import sys
from pathlib import Path

from longhouse.runtime import Fenced, FixedModels, Post, Runtime, ScriptedModel, SQLiteJournal
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
        for place in range(MESSAGES):
            await agent.send(f"{name} {place}", message_id=f"{name}-{place}")
        say_word("sent")
        await next_word()
        try:
            await agent.rest()
        except Fenced:
            say_word("fenced")
        else:
            say_word("rested")


def say_word(word: str) -> None:
    """Tell the test how far this is."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def next_word() -> None:
    """Wait until the test says to go on."""
    await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
