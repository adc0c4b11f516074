"""People who give agents errands while servers die under them.

A boss does what a good client does: it reads on after the last event it has, and sends a message
again, under its own id, until it is accepted. Which server it reaches is up to the house. Errands
are scripts for `tests.peers.fakellm`.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from tests.e2e.people import Caller, Event, Http, admin
from tests.e2e.servers import serving

TOOLS_PER_TURN = 20
REMARK_EVERY = 6  # results of tools: messages that arrive in the middle of a turn

EFFECTS = "effects"  # the file in a workspace that commands leave their lines in


class Reachable(Protocol):
    """One server or several, of which some answer now and then."""

    async def reached(self) -> str:
        """The address of one that lives, once there is one."""
        ...

    def saw_event(self) -> None:
        """Somebody saw another event."""
        ...


def errand(name: str) -> str:
    """The message that scripts one turn: twenty calls, alone and side by side, each with a trace
    of its own.
    """
    steps: list[list[dict[str, Any]]] = [[]]
    for number in range(TOOLS_PER_TURN):
        steps[-1].append(_call(f"{name}-{number}", number))
        if number % 4 != 1:  # every fourth call shares its answer with the next one
            steps.append([])
    return f"Do errand {name}. FAKE:{json.dumps([step for step in steps if step])}"


def _call(trace: str, number: int) -> dict[str, Any]:
    match number % 5:
        case 0 | 2:
            return {"bash": f"echo {trace} >> {EFFECTS}; wc -l {EFFECTS}"}
        case 1 | 4:
            return {"write": [f"notes/{trace}.txt", trace]}
        case _:
            return {"read": "README.md"}


@dataclass(slots=True)
class Boss:
    """One agent's person: gives it errands and remarks, and reads along whatever happens."""

    name: str
    house: Reachable
    caller: Caller
    agent_id: str
    session: str
    seen: list[Event] = field(default_factory=list)  # in the order they came, over all lives
    accepted: list[str] = field(default_factory=list)  # ids of messages that got their 202
    news: asyncio.Event = field(default_factory=asyncio.Event)
    results: int = 0  # of tools, so far
    turns: dict[str, int] = field(default_factory=dict)  # message -> the turn it was delivered in
    ended: set[int] = field(default_factory=set)  # turns
    enough: bool = False  # no further errands

    @property
    def turn_open(self) -> bool:
        """Whether the agent was in a turn when last seen."""
        return not self.ended.issuperset(self.turns.values())

    @property
    def satisfied(self) -> bool:
        """Whether every accepted message was delivered, and every turn has ended."""
        return self.turns.keys() >= set(self.accepted) and not self.turn_open

    def has_done(self, message_id: str) -> bool:
        """Whether the turn that got this message has ended."""
        return self.turns.get(message_id) in self.ended

    def has_results(self, wanted: int) -> bool:
        """Whether so many tools have ended, or none has to any more."""
        return self.enough or self.results >= wanted

    async def read_along(self) -> None:
        """Follow the session for ever: after each kill from the last event on."""
        while True:
            self.caller.address = await self.house.reached()
            last = self.seen[-1]["seq"] if self.seen else 0
            with contextlib.suppress(aiohttp.ClientError):
                async with aclosing(self.caller.stream(self.session, last=last)) as events:
                    async for event in events:
                        self._take(event)

    async def give_errands(self) -> None:
        """One errand after the other, until it is enough."""
        for number in range(1, sys.maxsize):
            if self.enough:
                return
            name = f"{self.name}{number}"
            await self._send(errand(name), name)
            await self._until(partial(self.has_done, name))

    async def make_remarks(self) -> None:
        """Say something in the middle of turns, until it is enough."""
        wanted = REMARK_EVERY
        while not self.enough:
            await self._until(partial(self.has_results, wanted))
            await self._send("Go on like this.", f"{self.name}-remark-{wanted}")
            wanted = self.results + REMARK_EVERY

    def finish(self) -> None:
        """It is enough."""
        self.enough = True
        self.news.set()

    async def rest(self) -> None:
        """Wait until nothing is left to do."""
        await self._until(lambda: self.satisfied)

    async def read_to(self, seq: int) -> None:
        """Wait until this event was seen."""
        await self._until(lambda: bool(self.seen) and self.seen[-1]["seq"] >= seq)

    async def _send(self, text: str, message_id: str) -> None:
        """Send until it is accepted: its id makes it one message however often that takes."""
        body = {"text": text, "message_id": message_id}
        while True:
            self.caller.address = await self.house.reached()
            with contextlib.suppress(aiohttp.ClientError):
                answer = await self.caller.answer("POST", f"{self.session}/messages", body)
                assert answer.status == 202, answer.text
                self.accepted.append(message_id)
                return

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            self.news.clear()
            await self.news.wait()

    def _take(self, event: Event) -> None:
        self.seen.append(event)
        match event["type"]:
            case "step_started":
                self.turns |= dict.fromkeys(event.get("messages", ()), event["turn"])
            case "tool_end":
                self.results += 1
            case "done":
                self.ended.add(event["turn"])
        self.news.set()
        self.house.saw_event()


async def hire(
    count: int, data_dir: Path, settings: dict[str, str], session: aiohttp.ClientSession
) -> list[tuple[Caller, str, str]]:
    """People with an agent each, in a new house: who calls, agent, session."""
    hired = []
    async with serving(data_dir, settings) as server, admin(server) as ada:
        await ada.post("/posts", {"name": "Hand", "permissions": {"mode": "auto"}})
        for number in range(count):
            agent_id = await ada.new_agent(f"Agent {number}", post="Hand")
            caller = Caller(Http(session), server.address, ada.token)
            hired.append((caller, agent_id, await caller.new_session(agent_id)))
    return hired


@asynccontextmanager
async def vendor_process() -> AsyncIterator[str]:
    """The scripted vendor in a process of its own, which no spinning holds up; its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.peers.fakellm"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        said = json.loads(await process.stdout.readline())
        yield str(said["url"])
    finally:
        process.kill()
        await process.communicate()
