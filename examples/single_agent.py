"""One agent on your files, live: what it says while it says it, and what it does.

    python examples/single_agent.py <folder> "What is in this folder?"

It may only read, and it remembers the talk in `agents.db`: ask again, and it goes on. Without a key
in the environment, the demo model answers.
"""

import asyncio
import sys
from pathlib import Path

from longhouse.protocol.events import Done, JsonObject, ToolCall
from longhouse.runtime import (
    Delta,
    EnvironmentModels,
    Event,
    Mode,
    ModelEnvironment,
    Permissions,
    Post,
    Runtime,
    SQLiteJournal,
)

READER = Post(
    name="reader",
    prompt="You answer questions about the files of a folder. Look before you answer.",
    tools=("fs_glob", "fs_grep", "fs_read"),
    permissions=Permissions(mode=Mode.READ_ONLY),
)


async def main(folder: Path, question: str) -> None:
    async def workspace(agent_id: str, metadata: JsonObject) -> Path:
        return folder

    async with Runtime(
        journal=SQLiteJournal("agents.db"),
        models=EnvironmentModels(ModelEnvironment.from_env()),
        posts=[READER],
        workspaces=workspace,
    ) as runtime:
        agent = await runtime.agent(f"reader of {folder}", post="reader")
        bookmark = (await agent.status()).seq
        await agent.send(question)
        async for event in agent.subscribe("progress", since=bookmark, deltas=True):
            match event:
                case Delta(kind="text", text=text):
                    print(text, end="", flush=True)
                case Event(body=ToolCall(name=name, arguments=arguments)):
                    print(f"\n[{name} {arguments}]")
                case Event(body=Done(reason=reason, turn=turn)):
                    print(f"\n({reason}, turn {turn})")
                    break


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent
    asyncio.run(main(folder.resolve(), " ".join(sys.argv[2:]) or "What is in this folder?"))
