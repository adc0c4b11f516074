"""A room: an architect and a critic talk a question over, and you read along.

    python examples/room.py "How do we make our website fast?"

The thread is kept in `room.db`: ask again, and they know what was said. Without a key in the
environment, a script answers.
"""

import asyncio
import sys

from longhouse.protocol.events import ExchangesSpent, MemberSilent
from longhouse.runtime import (
    EnvironmentModels,
    FixedModels,
    ModelEnvironment,
    Models,
    Post,
    Room,
    RoomMessage,
    Runtime,
    ScriptedModel,
    SQLiteJournal,
)
from longhouse.runtime.models.scripted import say

MANNERS = "You talk in a room with others. Two sentences at the most."
POSTS = (
    Post(
        name="architect",
        prompt=f"You are an architect: you propose, and ask @critic. {MANNERS}",
        tools=(),
    ),
    Post(
        name="critic",
        prompt=f"You are a critic: you find the one thing that is wrong with it. {MANNERS}",
        tools=(),
    ),
)
SCRIPT = (
    "We cache every page for a day. @critic, what is wrong with that?",
    "@architect, nobody sees today's prices before tomorrow.",
    "Then we cache all but the prices.",
)


def models() -> Models:
    found = EnvironmentModels(ModelEnvironment.from_env())
    if found.choose("auto").provider == "demo":
        return FixedModels(ScriptedModel([say(line) for line in SCRIPT]))
    return found


async def read_along(room: Room, since: int) -> None:
    """Print what comes after number `since`, until the room is at rest."""
    async for event in room.subscribe(since=since):
        match event.body:
            case RoomMessage(sender=sender, text=text):
                print(f"{sender}: {text}")
            case MemberSilent(member=member, reason=reason):
                print(f"({member} says nothing. {reason})")
            case ExchangesSpent():
                print("(They could go on like this. Say something yourself.)")
        status = await room.status()
        if status.resting and status.seq == event.seq:
            break


async def main(question: str) -> None:
    async with Runtime(journal=SQLiteJournal("room.db"), models=models(), posts=POSTS) as runtime:
        for post in POSTS:
            await runtime.agent(f"talk:{post.name}", post=post.name)
        room = await runtime.room(
            "talk", members={post.name: f"talk:{post.name}" for post in POSTS}, exchanges=4
        )
        bookmark = (await room.status()).seq
        await room.say(f"@architect {question}", sender="you")
        await read_along(room, since=bookmark)


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "How do we make our website fast?"))
