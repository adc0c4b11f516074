"""One past, several futures: an agent learns something once and is then forked to try two ways.

    python examples/fork_and_compare.py

The past is shared and not copied, so a fork of a long conversation costs what one of a short one
does. Without a key in the environment, a script answers.
"""

import asyncio

from longhouse.runtime import (
    EnvironmentModels,
    FixedModels,
    ModelEnvironment,
    ModelRequest,
    Models,
    Post,
    Runtime,
    ScriptedModel,
)
from longhouse.runtime.models.scripted import Answer, say

WRITER = Post(name="writer", prompt="You write copy. One line, no more.", tools=())
BRIEF = "We sell one lamp. It lasts twenty years and can be repaired. Remember that."
WAYS = ("serious", "funny")

SCRIPT = {
    BRIEF: "A lamp for twenty years that can be repaired.",
    "Write the slogan. Make it serious.": "Twenty years of light. And then you mend it.",
    "Write the slogan. Make it funny.": "Outlives your sofa. Possibly your sofa's children.",
}


def models() -> Models:
    found = EnvironmentModels(ModelEnvironment.from_env())
    if found.choose("auto").provider == "demo":
        return FixedModels(ScriptedModel(by_heart))
    return found


def by_heart(request: ModelRequest) -> Answer:
    """What the script says to the last message."""
    return say(SCRIPT[getattr(request.messages[-1], "text", "")])


async def main() -> None:
    async with Runtime(models=models(), posts=[WRITER]) as runtime:
        writer = await runtime.agent("lamp", post="writer")
        print("learns:", await writer.ask(BRIEF))
        await writer.snapshot("briefed")

        forks = [await writer.fork(at="briefed", id=f"lamp:{way}") for way in WAYS]
        slogans = await asyncio.gather(
            *(
                fork.ask(f"Write the slogan. Make it {way}.")
                for fork, way in zip(forks, WAYS, strict=True)
            )
        )

        for fork, way, slogan in zip(forks, WAYS, slogans, strict=True):
            status = await fork.status()
            origin = status.lineage[-1]
            print(f"{way}: {slogan}")
            print(f"    from {origin.parent} at {origin.snapshot!r}, turn {status.turn}")
        print(f"{writer.id} itself is still at turn {(await writer.status()).turn}")


if __name__ == "__main__":
    asyncio.run(main())
