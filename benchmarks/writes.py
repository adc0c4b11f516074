"""Bytes that a turn writes: the first one, and one with a long history behind it."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from benchmarks import house
from benchmarks.harness import Written, file_bytes, written
from benchmarks.report import Report, kilobytes, times
from longhouse.protocol.events import Event, encode_body
from longhouse.runtime import Agent


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int = 3  # agents, one after the other
    turns: int = 200
    mean_of: int = 10  # later turns: now and then one fills a page of the file


TINY = Size(rounds=1, turns=4, mean_of=2)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one turn wrote, or several on average."""

    journal: float  # bytes of the events themselves
    files: float  # by how much the files grew
    handed_over: float  # bytes given to the kernel
    to_disk: float  # bytes dirtied


async def measure(place: Path, size: Size) -> Report:
    """The first turn of a session, and later ones, on the journals that write."""
    rows = []
    middle = size.turns // 2
    windows = [
        range(1, 2),
        *(range(end - size.mean_of + 1, end + 1) for end in (middle, size.turns)),
    ]
    for kind in house.DURABLE:
        folders = [place / f"{kind} {number}" for number in range(size.rounds)]
        sessions = [await _session(kind, folder, size.turns) for folder in folders]
        first = _mean(sessions, windows[0])
        rows += [_row(kind, window, _mean(sessions, window), first) for window in windows]
    return Report(
        title="Bytes written by one turn",
        columns=("", "events", "files grew", "given to write()", "dirtied for disk", "of turn 1"),
        rows=rows,
        aim="what a turn writes does not grow with the session",
        notes=(
            "Given to write(): wchar of /proc/self/io; an SQLite commit writes whole pages of 4 kB."
            " Of turn 1: by that measure.",
        ),
    )


async def _session(kind: str, folder: Path, turns: int) -> list[Turn]:
    async with house.runtime(kind, folder) as runtime:
        agent = await runtime.agent("agent", post="worker")
        await agent.rest()
        return [await _measured(agent, folder) for _ in range(turns)]


async def _measured(agent: Agent, folder: Path) -> Turn:
    seq = (await agent.status()).seq
    files, before = file_bytes(folder), written() or Written(0, 0)
    await house.one_turn(agent)
    after = written() or Written(0, 0)
    return Turn(
        journal=await _journal_bytes(agent, after=seq),
        files=file_bytes(folder) - files,
        handed_over=(after - before).handed_over,
        to_disk=(after - before).to_disk,
    )


async def _journal_bytes(agent: Agent, *, after: int) -> int:
    last, size = (await agent.status()).seq, 0
    async with aclosing(agent.subscribe(since=after)) as events:
        async for event in events:
            assert isinstance(event, Event)
            size += len(encode_body(event.body))
            if event.seq == last:
                break
    return size


def _mean(sessions: list[list[Turn]], window: range) -> Turn:
    turns = [session[number - 1] for session in sessions for number in window]
    return Turn(
        journal=mean(turn.journal for turn in turns),
        files=mean(turn.files for turn in turns),
        handed_over=mean(turn.handed_over for turn in turns),
        to_disk=mean(turn.to_disk for turn in turns),
    )


def _row(kind: str, window: range, turn: Turn, first: Turn) -> tuple[str, ...]:
    numbers = f"turns {window[0]}-{window[-1]}" if len(window) > 1 else f"turn {window[0]}"
    return (
        f"{numbers}, {kind}",
        kilobytes(turn.journal),
        kilobytes(turn.files),
        kilobytes(turn.handed_over),
        kilobytes(turn.to_disk),
        times(turn.handed_over / first.handed_over) if first.handed_over else "?",
    )
