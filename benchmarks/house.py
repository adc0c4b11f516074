"""The work that is measured: agents that use one tool in each turn, with a model without latency.

A turn is: a message, an answer that calls a tool, its result, an answer in words; four messages in
the model's context. Model and tool run in this process and cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.rewriting import RewritingJournal
from longhouse.kit.bus.base import Bus
from longhouse.runtime import (
    Agent,
    FixedModels,
    Journal,
    Limits,
    MemoryJournal,
    Mode,
    Permissions,
    Post,
    Runtime,
    ScriptedModel,
    SQLiteJournal,
    tool,
)
from longhouse.runtime.model import ModelRequest, UserMessage
from longhouse.runtime.models.scripted import Answer, call, say
from longhouse.runtime.sandbox.refuse import Refuse

MESSAGES_PER_TURN = 4

SQLITE = "SQLite journal"
MEMORY = "memory journal"
REWRITING = "rewriting journal"

JOURNALS: dict[str, Callable[[Path], Journal]] = {
    SQLITE: lambda folder: SQLiteJournal(folder / "agents.db"),
    MEMORY: lambda folder: MemoryJournal(),
    REWRITING: RewritingJournal,
}
"""The rivals: ours, no durability at all, and what a history rewritten each turn costs."""

DURABLE = (SQLITE, REWRITING)


@tool(reads_only=True)
async def look(thing: str) -> str:
    """Look at a thing."""
    return f"The {thing} is red."


def runtime(
    kind: str, folder: Path, *, limits: Limits | None = None, bus: Bus | None = None
) -> Runtime:
    """A runtime on a journal of this kind in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return Runtime(
        journal=JOURNALS[kind](folder),
        models=FixedModels(ScriptedModel(_answer)),
        posts=[
            Post(
                name="worker",
                tools=("look",),
                permissions=Permissions(mode=Mode.AUTO),
                limits=limits or Limits(),
            )
        ],
        bus=bus,
        tools=[look],
        sandbox=Refuse("nothing here runs a command", hint=""),
        workspaces=folder / "workspaces",
    )


async def one_turn(agent: Agent) -> None:
    """Give the agent a message and wait until it rests."""
    await agent.send("What colour is the house?")
    await agent.rest()


async def turns(agent: Agent, count: int) -> None:
    """So many turns, one after the other."""
    for _ in range(count):
        await one_turn(agent)


def _answer(request: ModelRequest) -> Answer:
    last = request.messages[-1]
    if isinstance(last, UserMessage):
        if "Write the summary" in last.text:
            return say("There was much talk about the colour of the house. It is red.")
        return call("look", thing="house")
    return say("The house is red.")
