"""What every journal promises; each implementation runs through the same tests."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import pytest
from sqlalchemy import URL
from tests.agents.rows import journal_of_sessions
from tests.fixtures_db import copied_database, copied_file, opened_database
from tests.patience import PATIENCE

from longhouse.kit.bus.memory import MemoryBus
from longhouse.kit.db.group_commit import DatabaseClosed
from longhouse.protocol.events import (
    AgentCreated,
    Attached,
    Draft,
    Event,
    MessageReceived,
    Text,
)
from longhouse.runtime.journals.base import (
    DELETED_TOPIC,
    DuplicateKey,
    Fenced,
    Journal,
    Moved,
    NoSuchPoint,
    UnknownAgent,
    ring_topic,
)
from longhouse.runtime.journals.memory import MemoryJournal
from longhouse.runtime.journals.sqlite import SCHEMA, SQLiteJournal

Factory: TypeAlias = Callable[[Path, AsyncExitStack], Awaitable[Journal]]


async def _memory(folder: Path, stack: AsyncExitStack) -> Journal:
    return MemoryJournal()


async def _sqlite(folder: Path, stack: AsyncExitStack) -> Journal:
    return SQLiteJournal(folder / "agents.db")


def _sessions_in_file(template: Path) -> Factory:
    async def make(folder: Path, stack: AsyncExitStack) -> Journal:
        database = await stack.enter_async_context(copied_file(template, folder))
        return await journal_of_sessions(database)

    return make


def _sessions_on_server(template: URL) -> Factory:
    async def make(folder: Path, stack: AsyncExitStack) -> Journal:
        url = await stack.enter_async_context(copied_database(template))
        return await journal_of_sessions(await stack.enter_async_context(opened_database(url)))

    return make


@pytest.fixture(
    params=[
        "memory",
        "sqlite",
        "server on sqlite",
        pytest.param("server on postgresql", marks=pytest.mark.postgres),
    ]
)
def factory(request: pytest.FixtureRequest) -> Factory:
    """How to make one. Synchronous, as the templates of databases are."""
    match request.param:
        case "memory":
            return _memory
        case "sqlite":
            return _sqlite
        case "server on sqlite":
            return _sessions_in_file(request.getfixturevalue("sqlite_template"))
        case _:
            return _sessions_on_server(request.getfixturevalue("postgresql_template"))


@pytest.fixture
async def journal(factory: Factory, tmp_path: Path) -> AsyncIterator[Journal]:
    async with AsyncExitStack() as stack:
        made = await factory(tmp_path, stack)
        yield made
        await made.close()


def created(agent_id: str = "a") -> Draft:
    return Draft(AgentCreated(agent_id=agent_id, post="p"))


def text(words: str, key: str | None = None) -> Draft:
    return Draft(Text(step=1, text=words), key)


def words(events: list[Event]) -> list[str]:
    return [event.body.text for event in events if isinstance(event.body, Text)]


async def test_what_is_written_is_read_back_with_numbers_from_one(journal: Journal) -> None:
    await journal.create("a", [created(), text("one")])
    head = await journal.acquire("a")

    written = await journal.append("a", [text("two"), text("three")], epoch=head.epoch)

    events = await journal.read("a")
    assert [event.seq for event in events] == [1, 2, 3, 4]
    assert words(events) == ["one", "two", "three"]
    assert events[2:] == written
    assert all(event.time > 1_600_000_000_000_000 for event in events)


async def test_a_journal_is_created_once(journal: Journal) -> None:
    assert await journal.create("a", [created(), text("first")])

    assert not await journal.create("a", [created(), text("second")])

    assert words(await journal.read("a")) == ["first"]


async def test_an_unknown_agent_has_no_head_no_events_and_takes_none(journal: Journal) -> None:
    assert await journal.head("ghost") is None
    assert await journal.read("ghost") == []
    with pytest.raises(UnknownAgent):
        await journal.acquire("ghost")
    with pytest.raises(UnknownAgent):
        await journal.post("ghost", [text("boo")])
    with pytest.raises(UnknownAgent):
        await journal.append("ghost", [text("boo")], epoch=1)


async def test_a_newer_writer_fences_the_older_one(journal: Journal) -> None:
    await journal.create("a", [created()])
    older = await journal.acquire("a")
    newer = await journal.acquire("a")

    with pytest.raises(Fenced):
        await journal.append("a", [text("late")], epoch=older.epoch)

    await journal.append("a", [text("in time")], epoch=newer.epoch)
    assert words(await journal.read("a")) == ["in time"]


async def test_posts_from_outside_and_writes_share_one_order(journal: Journal) -> None:
    await journal.create("a", [created()])
    epoch = (await journal.acquire("a")).epoch

    async def write(place: int) -> None:
        if place % 2:
            await journal.append("a", [text(f"w{place}"), text(f"w{place}+")], epoch=epoch)
        else:
            await journal.post("a", [text(f"p{place}")])

    await asyncio.gather(*(write(place) for place in range(40)))

    events = await journal.read("a")
    assert [event.seq for event in events] == list(range(1, 62))
    spoken = words(events)
    assert len(set(spoken)) == 60
    for place in range(1, 40, 2):  # what is written together stays together
        assert spoken.index(f"w{place}+") == spoken.index(f"w{place}") + 1


async def test_a_key_is_taken_once_and_the_refused_write_leaves_nothing(journal: Journal) -> None:
    await journal.create("a", [created()])
    await journal.create("b", [created("b")])
    await journal.post("a", [text("first", "k")])

    with pytest.raises(DuplicateKey):
        await journal.post("a", [text("before"), text("second", "k")])

    await journal.post("b", [text("elsewhere", "k")])
    assert words(await journal.read("a")) == ["first"]
    assert words(await journal.read("b")) == ["elsewhere"]
    head = await journal.head("a")
    assert head is not None
    assert head.seq == 2


async def test_of_many_writers_of_one_key_one_wins(journal: Journal) -> None:
    await journal.create("a", [created()])

    results = await asyncio.gather(
        *(journal.post("a", [text(str(place), "k")]) for place in range(16)),
        return_exceptions=True,
    )

    assert sum(isinstance(result, DuplicateKey) for result in results) == 15
    assert len(words(await journal.read("a"))) == 1


async def test_reading_goes_on_after_a_number_up_to_a_limit_and_by_type(journal: Journal) -> None:
    message = Draft(MessageReceived(message_id="m", text="hello"))
    await journal.create("a", [created(), text("one"), message, text("two"), text("three")])

    assert words(await journal.read("a", after=2)) == ["two", "three"]
    assert words(await journal.read("a", after=1, limit=1)) == ["one"]
    assert [event.seq for event in await journal.read("a", types=["message"])] == [3]
    assert [event.seq for event in await journal.read("a", types=["text"], limit=2)] == [2, 4]
    assert await journal.read("a", types=[]) == []
    assert await journal.read("a", after=99) == []


async def test_agents_are_apart_whatever_their_ids_are(journal: Journal) -> None:
    ids = ["../../x", ".", "a", "A", "a ", "用户:一", "x" * 512, "'; DROP TABLE events; --"]

    for agent_id in ids:
        await journal.create(agent_id, [created(agent_id), text(agent_id)])

    for agent_id in ids:
        assert words(await journal.read(agent_id)) == [agent_id]


async def test_every_write_rings_with_the_last_number(journal: Journal) -> None:
    bus = MemoryBus()
    journal.bus = bus
    with bus.subscribe(ring_topic("a")) as rings:
        await journal.create("a", [created(), text("one")])
        epoch = (await journal.acquire("a")).epoch
        await journal.append("a", [text("two")], epoch=epoch)
        await journal.post("a", [text("three")])

        payloads = [message.payload for _ in range(3) if (message := await rings.next(PATIENCE))]

    assert payloads == [b"2", b"3", b"4"]


async def test_what_is_to_follow_on_an_event_is_written_only_right_after_it(
    journal: Journal,
) -> None:
    await journal.create("a", [created()])
    epoch = (await journal.acquire("a")).epoch

    (event,) = await journal.append("a", [text("one")], epoch=epoch, at=1)
    await journal.post("a", [text("from outside")])
    with pytest.raises(Moved):
        await journal.append("a", [text("late")], epoch=epoch, at=event.seq)
    with pytest.raises(Moved):
        await journal.append("a", [text("early")], epoch=epoch, at=4)
    with pytest.raises(Fenced):
        await journal.append("a", [text("old")], epoch=epoch - 1, at=3)
    await journal.append("a", [text("two")], epoch=epoch, at=3)

    assert words(await journal.read("a")) == ["one", "from outside", "two"]


async def test_the_bus_rings_with_the_id_of_a_journal_that_was_deleted(journal: Journal) -> None:
    bus = MemoryBus()
    journal.bus = bus
    await journal.create("a", [created()])
    await journal.create("b", [created("b")])
    with bus.subscribe(DELETED_TOPIC) as rings:
        await journal.delete("a")
        await journal.delete("a")
        await journal.delete("b")

        payloads = [message.payload for _ in range(2) if (message := await rings.next(PATIENCE))]

    assert payloads == [b"a", b"b"]


async def test_a_fork_shares_the_past_and_has_a_future_of_its_own(journal: Journal) -> None:
    await journal.create("a", [created(), text("one"), text("two"), text("three")])

    assert await journal.fork("a", "b", [text("b four")], at=3)
    await journal.post("a", [text("four")])
    await journal.append("b", [text("b five")], epoch=(await journal.acquire("b")).epoch)

    assert words(await journal.read("a")) == ["one", "two", "three", "four"]
    assert words(await journal.read("b")) == ["one", "two", "b four", "b five"]
    assert [event.seq for event in await journal.read("b")] == [1, 2, 3, 4, 5]
    assert (await journal.read("b"))[:3] == (await journal.read("a"))[:3]
    head = await journal.head("b")
    assert head is not None
    assert (head.seq, head.epoch) == (5, 1)


async def test_a_fork_is_read_in_pages_and_by_type_across_its_beginning(journal: Journal) -> None:
    message = Draft(MessageReceived(message_id="m", text="hello"))
    await journal.create("a", [created(), text("one"), message, text("two")])
    await journal.fork("a", "b", [text("three"), text("four")], at=4)

    assert words(await journal.read("b", after=3, limit=2)) == ["two", "three"]
    assert words(await journal.read("b", after=4, limit=1)) == ["three"]
    assert words(await journal.read("b", after=5)) == ["four"]
    assert [e.seq for e in await journal.read("b", types=["text"], limit=3)] == [2, 4, 5]
    assert [e.seq for e in await journal.read("b", types=["text"], after=2)] == [4, 5, 6]
    assert await journal.read("b", types=[]) == []


async def test_a_fork_of_a_fork_may_begin_anywhere_in_the_shared_past(journal: Journal) -> None:
    await journal.create("a", [created(), text("one"), text("two"), text("three")])
    await journal.fork("a", "b", [text("b4"), text("b5")], at=3)
    await journal.fork("b", "c", [text("c5")], at=4)
    await journal.fork("c", "d", [text("d3")], at=2)
    await journal.fork("c", "e", [text("e6")], at=5)

    assert words(await journal.read("c")) == ["one", "two", "b4", "c5"]
    assert words(await journal.read("d")) == ["one", "d3"]
    assert words(await journal.read("e")) == ["one", "two", "b4", "c5", "e6"]


async def test_a_fork_begins_at_an_event_that_is_there_and_only_once(journal: Journal) -> None:
    await journal.create("a", [created(), text("one")])

    with pytest.raises(UnknownAgent):
        await journal.fork("ghost", "b", [text("x")], at=1)
    for at in (0, 3):
        with pytest.raises(NoSuchPoint):
            await journal.fork("a", "b", [text("x")], at=at)
    assert await journal.head("b") is None
    assert await journal.fork("a", "b", [text("first")], at=1)
    assert not await journal.fork("a", "b", [text("second")], at=2)
    assert words(await journal.read("b")) == ["first"]


async def test_keys_of_the_shared_past_are_taken_and_others_are_free(journal: Journal) -> None:
    await journal.create("a", [created(), text("one", "past")])
    await journal.fork("a", "b", [text("b")], at=2)
    await journal.fork("b", "c", [text("c")], at=3)
    await journal.post("a", [text("two", "future")])

    for fork in ("b", "c"):
        with pytest.raises(DuplicateKey):
            await journal.post(fork, [text("again", "past")])
        await journal.post(fork, [text("mine", "future")])

    assert words(await journal.read("c")) == ["one", "b", "c", "mine"]


@pytest.mark.parametrize("order", ["abc", "bac", "cba", "bca", "acb"])
async def test_deleting_a_journal_leaves_its_forks_whole(journal: Journal, order: str) -> None:
    await journal.create("a", [created(), text("one"), text("two", "k"), text("three")])
    await journal.fork("a", "b", [text("b4"), text("b5")], at=3)
    await journal.fork("a", "side", [text("s3")], at=2)
    await journal.fork("b", "c", [text("c5")], at=4)
    await journal.fork("c", "leaf", [text("leaf")], at=5)
    await journal.fork("a", "twin", [text("twin")], at=3)
    expected = {
        "side": ["one", "s3"],
        "leaf": ["one", "two", "b4", "c5", "leaf"],
        "twin": ["one", "two", "twin"],
    }

    for name in order:
        assert await journal.delete(name)
        assert await journal.read(name) == []
        assert await journal.head(name) is None
        for kept, said in expected.items():
            assert words(await journal.read(kept)) == said

    with pytest.raises(DuplicateKey):
        await journal.post("leaf", [text("again", "k")])
    await journal.post("side", [text("free", "k")])
    for name in ("leaf", "twin", "side"):
        assert await journal.delete(name)
        assert not await journal.delete(name)


async def test_the_writer_of_a_deleted_journal_can_write_nothing_more(journal: Journal) -> None:
    await journal.create("a", [created()])
    epoch = (await journal.acquire("a")).epoch

    await journal.delete("a")

    with pytest.raises(UnknownAgent):
        await journal.append("a", [text("late")], epoch=epoch)
    with pytest.raises(UnknownAgent):
        await journal.post("a", [text("late")])


@pytest.mark.parametrize("kind", ["memory", "sqlite"])  # a session's id is never given again
async def test_a_journal_under_a_deleted_ones_name_has_newer_writers(
    kind: str, tmp_path: Path
) -> None:
    journal = MemoryJournal() if kind == "memory" else SQLiteJournal(tmp_path / "agents.db")
    await journal.create("a", [created()])
    older = await journal.acquire("a")
    await journal.delete("a")
    await journal.create("a", [created(), text("anew")])
    newer = await journal.acquire("a")

    with pytest.raises(Fenced):
        await journal.append("a", [text("late")], epoch=older.epoch)
    await journal.append("a", [text("in time")], epoch=newer.epoch)

    assert words(await journal.read("a")) == ["anew", "in time"]
    await journal.close()


async def test_forking_ten_thousand_events_writes_one_row_and_its_own_events(
    tmp_path: Path,
) -> None:
    path = tmp_path / "agents.db"
    journal = SQLiteJournal(path)
    await journal.create("a", [created(), *(text("x") for _ in range(9_999))])

    await journal.fork("a", "b", [text("own")], at=10_000)

    file = sqlite3.connect(path)
    assert file.execute("SELECT count(*) FROM journals").fetchone() == (2,)
    assert file.execute("SELECT count(*) FROM events").fetchone() == (10_001,)
    file.close()
    assert len(await journal.read("b")) == 10_001
    await journal.close()


PICTURE, OTHER = b"\x89PNG a picture", b"\x00\xff another"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def shown(data: bytes, key: str | None = None) -> Draft:
    attached = Attached(digest=digest(data), media_type="image/png", size=len(data), name="a.png")
    body = MessageReceived(message_id=key or "m", text="look", attachments=(attached,))
    return Draft(body, key, {attached.digest: data})


async def test_what_is_attached_is_kept_with_its_event_and_for_its_own_journal(
    journal: Journal,
) -> None:
    await journal.create("a", [created(), shown(PICTURE)])
    await journal.create("b", [created("b")])
    epoch = (await journal.acquire("a")).epoch
    await journal.append("a", [text("one"), shown(OTHER), shown(PICTURE)], epoch=epoch)

    assert await journal.blob("a", digest(PICTURE)) == PICTURE
    assert await journal.blob("a", digest(OTHER)) == OTHER
    assert await journal.blob("a", digest(b"")) is None
    assert await journal.blob("b", digest(PICTURE)) is None
    assert await journal.blob("ghost", digest(PICTURE)) is None
    message = (await journal.read("a"))[1].body
    assert isinstance(message, MessageReceived)
    assert message.attachments[0].name == "a.png"


async def test_a_refused_write_leaves_nothing_attached(journal: Journal) -> None:
    await journal.create("a", [created(), text("one", "once")])

    with pytest.raises(DuplicateKey):
        await journal.post("a", [shown(PICTURE), text("two", "once")])
    epoch = (await journal.acquire("a")).epoch
    await journal.acquire("a")
    with pytest.raises(Fenced):
        await journal.append("a", [shown(PICTURE)], epoch=epoch)

    assert await journal.blob("a", digest(PICTURE)) is None


async def test_a_fork_shows_what_is_attached_to_its_past_and_not_to_its_parents_future(
    journal: Journal,
) -> None:
    await journal.create("a", [created(), shown(PICTURE)])
    await journal.fork("a", "b", [text("own")], at=2)
    await journal.fork("b", "c", [text("own")], at=1)
    await journal.post("a", [shown(OTHER)])

    assert await journal.blob("b", digest(PICTURE)) == PICTURE
    assert await journal.blob("b", digest(OTHER)) is None
    assert await journal.blob("c", digest(PICTURE)) is None
    for fork in "bc":
        await journal.post(fork, [shown(OTHER), shown(PICTURE)])
        assert await journal.blob(fork, digest(OTHER)) == OTHER
        assert await journal.blob(fork, digest(PICTURE)) == PICTURE


@pytest.mark.parametrize("order", ["abc", "acb", "bac", "bca", "cab", "cba"])
async def test_deleting_a_journal_leaves_what_is_attached_to_its_forks(
    journal: Journal, order: str
) -> None:
    await journal.create("a", [created(), shown(PICTURE), text("more")])
    await journal.fork("a", "b", [text("own")], at=2)
    await journal.fork("a", "c", [shown(OTHER)], at=3)
    await journal.post("a", [shown(OTHER)])
    left = list(order)

    for agent_id in order:
        await journal.delete(agent_id)
        left.remove(agent_id)
        for other in left:
            assert await journal.blob(other, digest(PICTURE)) == PICTURE
            expected = None if other == "b" else OTHER
            assert await journal.blob(other, digest(OTHER)) == expected
        assert await journal.blob(agent_id, digest(PICTURE)) is None


async def test_a_file_keeps_what_is_attached_once_and_nothing_of_what_was_deleted(
    tmp_path: Path,
) -> None:
    path = tmp_path / "agents.db"
    first = SQLiteJournal(path)
    await first.create("a", [created(), *(shown(PICTURE) for _ in range(5))])
    await first.create("b", [created(), shown(PICTURE)])
    await first.close()

    second = SQLiteJournal(path)
    file = sqlite3.connect(path)
    assert await second.blob("a", digest(PICTURE)) == PICTURE
    assert file.execute("SELECT count(*) FROM blobs").fetchone() == (2,)
    await second.delete("a")
    await second.delete("b")

    assert file.execute("SELECT count(*) FROM blobs").fetchone() == (0,)
    file.close()
    await second.close()


async def test_a_fork_rings_with_its_last_number(journal: Journal) -> None:
    bus = MemoryBus()
    journal.bus = bus
    await journal.create("a", [created(), text("one")])
    with bus.subscribe(ring_topic("b")) as rings:
        await journal.fork("a", "b", [text("two")], at=2)
        ring = await rings.next(PATIENCE)

    assert ring is not None
    assert ring.payload == b"3"


async def test_a_file_from_before_there_were_forks_can_be_forked(tmp_path: Path) -> None:
    path = tmp_path / "agents.db"
    old = sqlite3.connect(path)
    old.executescript(SCHEMA)
    old.execute("INSERT INTO journals (agent, seq) VALUES ('a', 1)")
    old.execute("INSERT INTO events VALUES (1, 1, 0, 'text', ?, NULL)", (OLD_EVENT,))
    old.commit()
    old.close()

    journal = SQLiteJournal(path)
    await journal.fork("a", "b", [text("new")], at=1)

    assert words(await journal.read("b")) == ["old", "new"]
    await journal.close()


OLD_EVENT = b'{"type":"text","step":1,"text":"old"}'


async def test_a_journal_that_is_closed_says_so(tmp_path: Path) -> None:
    journal = SQLiteJournal(tmp_path / "agents.db")
    await journal.create("a", [created()])
    reading = asyncio.create_task(journal.read("a"))
    await asyncio.sleep(0)

    await journal.close()

    assert len(await reading) == 1
    with pytest.raises(DatabaseClosed):
        await journal.read("a")
    with pytest.raises(DatabaseClosed):
        await journal.post("a", [text("late")])


async def test_a_file_keeps_journals_and_epochs_for_the_next_process(tmp_path: Path) -> None:
    first = SQLiteJournal(tmp_path / "agents.db")
    await first.create("a", [created(), text("kept")])
    before = await first.acquire("a")
    await first.close()

    second = SQLiteJournal(tmp_path / "agents.db")
    after = await second.acquire("a")

    assert words(await second.read("a")) == ["kept"]
    assert after.epoch == before.epoch + 1
    await second.close()
