"""Journals that are forked and deleted at random hold what plain lists of words would."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from longhouse.protocol.events import Draft, Text
from longhouse.runtime.journals.base import DuplicateKey, Journal
from longhouse.runtime.journals.memory import MemoryJournal
from longhouse.runtime.journals.sqlite import SQLiteJournal

NAMES = st.sampled_from("abcdef")
KEYS = st.sampled_from(["", "", "k", "l"])
Line: TypeAlias = tuple[str, str]  # text and key


@dataclass(frozen=True)
class Write:
    name: str
    key: str


@dataclass(frozen=True)
class Fork:
    parent: str
    name: str
    share: float  # of the parent's events


@dataclass(frozen=True)
class Delete:
    name: str


STEPS = st.one_of(
    st.builds(Write, NAMES, KEYS),
    st.builds(Fork, NAMES, NAMES, st.floats(0, 1)),
    st.builds(Delete, NAMES),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_forks_and_deletions_lose_and_mix_nothing(steps: list[Write | Fork | Delete]) -> None:
    asyncio.run(_hold(steps))


async def _hold(steps: list[Write | Fork | Delete]) -> None:
    with TemporaryDirectory() as folder:
        journals: list[Journal] = [MemoryJournal(), SQLiteJournal(Path(folder) / "agents.db")]
        lists: dict[str, list[Line]] = {"a": [("first", "")]}
        for journal in journals:
            await journal.create("a", [_draft(("first", ""))])
        for place, step in enumerate(steps):
            for journal in journals:
                await _do(journal, step, f"{place}", lists)
            _expect(step, f"{place}", lists)
            for journal in journals:
                await _compare(journal, lists)
        for journal in journals:
            await journal.close()


async def _do(
    journal: Journal, step: Write | Fork | Delete, text: str, lists: dict[str, list[Line]]
) -> None:
    match step:
        case Write(name, key) if name in lists:
            with suppress(DuplicateKey):
                await journal.post(name, [_draft((text, key))])
        case Fork(parent, name, share) if parent in lists:
            made = await journal.fork(
                parent, name, [_draft((text, ""))], at=_at(lists[parent], share)
            )
            assert made is (name not in lists)
        case Delete(name):
            assert await journal.delete(name) is (name in lists)
        case _:
            pass


def _expect(step: Write | Fork | Delete, text: str, lists: dict[str, list[Line]]) -> None:
    match step:
        case Write(name, key) if name in lists:
            if not key or all(key != taken for _, taken in lists[name]):
                lists[name].append((text, key))
        case Fork(parent, name, share) if parent in lists and name not in lists:
            lists[name] = [*lists[parent][: _at(lists[parent], share)], (text, "")]
        case Delete(name):
            lists.pop(name, None)
        case _:
            pass


async def _compare(journal: Journal, lists: dict[str, list[Line]]) -> None:
    for name in "abcdef":
        events = await journal.read(name)
        expected = lists.get(name, [])
        assert [event.seq for event in events] == list(range(1, len(expected) + 1))
        assert [event.body.text for event in events if isinstance(event.body, Text)] == [
            text for text, _ in expected
        ]
        middle = len(expected) // 2
        assert await journal.read(name, after=middle, limit=2) == events[middle : middle + 2]


def _at(lines: list[Line], share: float) -> int:
    return max(1, round(share * len(lines)))


def _draft(line: Line) -> Draft:
    return Draft(Text(step=1, text=line[0]), line[1] or None)
