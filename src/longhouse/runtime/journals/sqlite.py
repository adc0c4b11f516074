"""Journals in one SQLite file: what an embedder gives a `Runtime` to make its agents durable.

    Runtime(journal=SQLiteJournal("agents.db"), …)

Writes of all agents are committed together (group commit), each durable when it returns. It uses
the standard library's driver and no ORM; the server keeps its journals in its own database.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock, SystemClock
from longhouse.kit.db import sqlite
from longhouse.kit.db.group_commit import DatabaseClosed, GroupCommit
from longhouse.protocol.events import Draft, Event, decode_rows, encode_body
from longhouse.runtime.journals.base import (
    DuplicateKey,
    Fenced,
    Head,
    Moved,
    UnknownAgent,
    check_point,
    microseconds,
    ring,
    ring_deleted,
)

# One B-tree in the order of reading: an append touches its last page and the journal's own row.
SCHEMA = """
CREATE TABLE IF NOT EXISTS journals (
    id INTEGER PRIMARY KEY,
    agent TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS deleted (
    agent TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    journal INTEGER NOT NULL REFERENCES journals (id),
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL,
    type TEXT NOT NULL,
    body BLOB NOT NULL,
    key TEXT,
    PRIMARY KEY (journal, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS events_key ON events (journal, key) WHERE key IS NOT NULL;
CREATE TABLE IF NOT EXISTS blobs (
    journal INTEGER NOT NULL REFERENCES journals (id),
    digest TEXT NOT NULL,
    seq INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (journal, digest)
) STRICT;
"""

# Of a fork: the journal that its events up to `fork_seq` belong to.
FORKS = """
ALTER TABLE journals ADD COLUMN parent INTEGER REFERENCES journals (id);
ALTER TABLE journals ADD COLUMN fork_seq INTEGER NOT NULL DEFAULT 0;
CREATE INDEX journals_parent ON journals (parent) WHERE parent IS NOT NULL;
"""

# A new journal's writers come after all those of a deleted one of the same name.
_CREATE = (
    "INSERT INTO journals (agent, seq, parent, fork_seq, epoch) VALUES (?1, ?2, ?3, ?2,"
    " COALESCE((SELECT epoch FROM deleted WHERE agent = ?1), 0))"
    " ON CONFLICT DO NOTHING RETURNING id"
)
_FIND = "SELECT id, seq, parent, fork_seq, epoch FROM journals WHERE agent = ?"
_FIND_BY_ID = "SELECT parent, fork_seq FROM journals WHERE id = ?"
_HEAD = "SELECT seq, epoch FROM journals WHERE agent = ?"
_ACQUIRE = "UPDATE journals SET epoch = epoch + 1 WHERE agent = ? RETURNING seq, epoch"
_ADVANCE = "UPDATE journals SET seq = seq + ? WHERE agent = ? RETURNING id, seq, parent"
_ADVANCE_AS_WRITER = (
    "UPDATE journals SET seq = seq + ?1 WHERE agent = ?2 AND epoch = ?3"
    " AND seq = COALESCE(?4, seq) RETURNING id, seq, parent"
)
_INSERT = "INSERT INTO events (journal, seq, time, type, body, key) VALUES (?, ?, ?, ?, ?, ?)"
_READ = "SELECT e.seq, e.time, e.body FROM events AS e WHERE e.journal = ?"
# A fork and its ancestors, each with the numbers that it shows: above `low`, up to `high`.
_CHAIN = """
WITH RECURSIVE chain (id, parent, low, high) AS (
    SELECT id, parent, fork_seq, 9223372036854775807 FROM journals WHERE id = ?
    UNION ALL
    SELECT j.id, j.parent, j.fork_seq, c.low FROM chain AS c JOIN journals AS j ON j.id = c.parent
)
"""
_READ_FORK = f"""{_CHAIN}
SELECT e.seq, e.time, e.body FROM chain AS c JOIN events AS e ON e.journal = c.id
WHERE e.seq > c.low AND e.seq <= c.high
"""  # noqa: S608 - put together from the text above
_HAS_KEY = f"""{_CHAIN}
SELECT 1 FROM chain AS c JOIN events AS e ON e.journal = c.id
WHERE e.seq <= c.high AND e.key = ?
"""  # noqa: S608 - put together from the text above

_OF_BLOBS = "FROM chain AS c JOIN blobs AS b ON b.journal = c.id WHERE b.seq <= c.high"
_BLOB = f"{_CHAIN} SELECT b.data {_OF_BLOBS} AND b.digest = ?"
_HAS_BLOB = f"{_CHAIN} SELECT 1 {_OF_BLOBS} AND b.digest = ?"
_INSERT_BLOB = "INSERT INTO blobs (journal, digest, seq, data) VALUES (?, ?, ?, ?)"

# The fork that shares most of a deleted journal inherits it; the others become forks of that one.
_HEIR = "SELECT id, fork_seq FROM journals WHERE parent = ? ORDER BY fork_seq DESC, id LIMIT 1"
_HAND_OVER = "UPDATE events SET journal = ? WHERE journal = ? AND seq <= ?"
_HAND_OVER_BLOBS = "UPDATE blobs SET journal = ? WHERE journal = ? AND seq <= ?"
_ADOPT = "UPDATE journals SET parent = ? WHERE parent = ? AND id <> ?"
_SUCCEED = "UPDATE journals SET parent = ?, fork_seq = ? WHERE id = ?"
_BURY = (
    "INSERT INTO deleted (agent, epoch) VALUES (?, ?)"
    " ON CONFLICT (agent) DO UPDATE SET epoch = excluded.epoch"
)

Parameters: TypeAlias = tuple[str | int | None, ...]
Row: TypeAlias = tuple[Any, ...]


class SQLiteJournal:
    """Journals in a file. Open it in one place at a time for each agent; epochs see to the rest."""

    def __init__(
        self, path: Path | str, *, bus: Bus | None = None, clock: Clock | None = None
    ) -> None:
        """Open or make the file. Raises `Misconfigured` when it cannot be used."""
        path = Path(path)
        self.bus = bus
        self._clock = clock or SystemClock()
        self._connection = sqlite.connect(path)
        _prepare(self._connection)
        self._reader = sqlite.connect(path)
        self._reader.execute("PRAGMA query_only=ON")
        self._reading = ThreadPoolExecutor(1, "longhouse-journal-reader")
        self._closed = False
        self._writer = GroupCommit(self._connection, self._connection)

    async def create(self, agent_id: str, drafts: Sequence[Draft]) -> bool:
        """Start a journal; False if it exists."""
        batch = _Batch(drafts, microseconds(self._clock))

        def job(connection: sqlite3.Connection) -> bool:
            if connection.execute(_CREATE, (agent_id, 0, None)).fetchone() is None:
                return False
            batch.write(connection, _ADVANCE, (len(drafts), agent_id))
            return True

        created = await self._writer.run(job)
        if created:
            ring(self.bus, agent_id, len(drafts))
        return created

    async def fork(
        self, parent_id: str, agent_id: str, drafts: Sequence[Draft], *, at: int
    ) -> bool:
        """Start a journal that shares the parent's past; False if it exists."""
        batch = _Batch(drafts, microseconds(self._clock))

        def job(connection: sqlite3.Connection) -> bool:
            parent = _owner(connection, parent_id, at)
            if connection.execute(_CREATE, (agent_id, at, parent)).fetchone() is None:
                return False
            batch.write(connection, _ADVANCE, (len(drafts), agent_id))
            return True

        forked = await self._writer.run(job)
        if forked:
            ring(self.bus, agent_id, at + len(drafts))
        return forked

    async def delete(self, agent_id: str) -> bool:
        """Forget a journal; False if there is none."""
        deleted = await self._writer.run(lambda connection: _delete(connection, agent_id))
        if deleted:
            ring_deleted(self.bus, agent_id)
        return deleted

    async def head(self, agent_id: str) -> Head | None:
        """Where the journal stands."""
        rows = await self._select(_HEAD, (agent_id,))
        return None if not rows else Head(agent_id=agent_id, seq=rows[0][0], epoch=rows[0][1])

    async def acquire(self, agent_id: str) -> Head:
        """Become the one writer."""
        row = await self._writer.run(
            lambda connection: connection.execute(_ACQUIRE, (agent_id,)).fetchone()
        )
        if row is None:
            raise UnknownAgent(f"There is no agent {agent_id!r}.")
        return Head(agent_id=agent_id, seq=row[0], epoch=row[1])

    async def append(
        self, agent_id: str, drafts: Sequence[Draft], *, epoch: int, at: int | None = None
    ) -> list[Event]:
        """Write as the writer."""
        parameters = (len(drafts), agent_id, epoch, at)
        events = await self._insert(agent_id, drafts, _ADVANCE_AS_WRITER, parameters)
        if events is None:
            head = await self.head(agent_id)
            if head is None:
                raise UnknownAgent(f"There is no agent {agent_id!r}.")
            if head.epoch == epoch:
                raise Moved(f"The journal of {agent_id!r} does not end with event {at}.")
            raise Fenced(f"Agent {agent_id!r} has a newer writer than epoch {epoch}.")
        return events

    async def post(self, agent_id: str, drafts: Sequence[Draft]) -> list[Event]:
        """Write from outside."""
        events = await self._insert(agent_id, drafts, _ADVANCE, (len(drafts), agent_id))
        if events is None:
            raise UnknownAgent(f"There is no agent {agent_id!r}.")
        return events

    async def read(
        self,
        agent_id: str,
        *,
        after: int = 0,
        limit: int | None = None,
        types: Sequence[str] | None = None,
    ) -> list[Event]:
        """Events above `after`."""
        rows = await self._reading_thread(lambda: self._rows(agent_id, after, limit, types))
        return decode_rows(rows)

    async def blob(self, agent_id: str, digest: str) -> bytes | None:
        """The bytes of what is attached to an event."""
        rows = await self._reading_thread(lambda: self._blob(agent_id, digest))
        return rows[0][0] if rows else None

    async def close(self) -> None:
        """Finish what is queued and close the file; every use of it is `DatabaseClosed` then."""
        self._closed = True
        await self._writer.close()
        await asyncio.to_thread(self._reading.shutdown)
        self._reader.close()
        self._connection.close()

    async def _insert(
        self, agent_id: str, drafts: Sequence[Draft], advance: str, parameters: Parameters
    ) -> list[Event] | None:
        batch = _Batch(drafts, microseconds(self._clock))
        last = await self._writer.run(
            lambda connection: batch.write(connection, advance, parameters)
        )
        if last is None:
            return None
        ring(self.bus, agent_id, last)
        return batch.events(last)

    async def _select(self, query: str, parameters: Parameters) -> list[Row]:
        return await self._reading_thread(lambda: self._fetch(query, parameters))

    async def _reading_thread(self, work: Callable[[], list[Row]]) -> list[Row]:
        if self._closed:
            raise DatabaseClosed
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

    def _blob(self, agent_id: str, digest: str) -> list[Row]:
        found = self._reader.execute(_FIND, (agent_id,)).fetchone()
        return [] if found is None else self._fetch(_BLOB, (found[0], digest))

    def _fetch(self, query: str, parameters: Parameters) -> list[Row]:
        return self._reader.execute(query, parameters).fetchall()

    def _rows(
        self, agent_id: str, after: int, limit: int | None, types: Sequence[str] | None
    ) -> list[Row]:
        found = self._reader.execute(_FIND, (agent_id,)).fetchone()
        if found is None:
            return []
        journal, _, parent, fork_seq, _ = found
        alone = parent is None or after >= fork_seq
        query = (_READ if alone else _READ_FORK) + " AND e.seq > ?"
        parameters: Parameters = (journal, after)
        if types is not None:
            query += f" AND e.type IN ({', '.join('?' * len(types))})"
            parameters += tuple(types)
        elif limit is not None:  # so that a page of a fork is not sorted out of all that follows
            query += " AND e.seq <= ?"
            parameters += (after + limit,)
        query += " ORDER BY e.seq LIMIT ?"
        return self._fetch(query, (*parameters, -1 if limit is None else limit))


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, and add to those of a file from before there were forks."""
    connection.execute("BEGIN IMMEDIATE")  # another process may be doing the same
    _execute_all(connection, SCHEMA)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(journals)")]
    if "parent" not in columns:
        _execute_all(connection, FORKS)
    connection.execute("COMMIT")


def _execute_all(connection: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        connection.execute(statement)


def _owner(connection: sqlite3.Connection, agent_id: str, seq: int) -> int:
    """The journal that the event of this number belongs to: the agent's own, or an ancestor's."""
    found = connection.execute(_FIND, (agent_id,)).fetchone()
    if found is None:
        raise UnknownAgent(f"There is no agent {agent_id!r}.")
    journal, last, parent, fork_seq, _ = found
    check_point(agent_id, seq, last)
    while seq <= fork_seq:
        journal = parent
        parent, fork_seq = connection.execute(_FIND_BY_ID, (journal,)).fetchone()
    return int(journal)


def _delete(connection: sqlite3.Connection, agent_id: str) -> bool:
    found = connection.execute(_FIND, (agent_id,)).fetchone()
    if found is None:
        return False
    journal, _, parent, fork_seq, epoch = found
    heir = connection.execute(_HEIR, (journal,)).fetchone()
    if heir is not None:
        connection.execute(_HAND_OVER, (heir[0], journal, heir[1]))
        connection.execute(_HAND_OVER_BLOBS, (heir[0], journal, heir[1]))
        connection.execute(_ADOPT, (heir[0], journal, heir[0]))
        connection.execute(_SUCCEED, (parent, fork_seq, heir[0]))
    connection.execute("DELETE FROM events WHERE journal = ?", (journal,))
    connection.execute("DELETE FROM blobs WHERE journal = ?", (journal,))
    connection.execute("DELETE FROM journals WHERE id = ?", (journal,))
    connection.execute(_BURY, (agent_id, epoch))
    return True


class _Batch:
    """Drafts on their way into the file: encoded on the caller's thread, numbered on another."""

    def __init__(self, drafts: Sequence[Draft], time: int) -> None:
        self._drafts = drafts
        self._time = time
        self._rows = [
            (time, str(draft.body.__struct_config__.tag), encode_body(draft.body), draft.key)
            for draft in drafts
        ]

    def write(
        self, connection: sqlite3.Connection, advance: str, parameters: Parameters
    ) -> int | None:
        """Number and insert the rows; the last number, or None when `advance` finds no journal."""
        found = connection.execute(advance, parameters).fetchone()
        if found is None:
            return None
        journal, last, parent = found
        first = last - len(self._rows) + 1
        if parent is not None:
            self._refuse_keys_of_the_past(connection, journal)
        try:
            connection.executemany(
                _INSERT, [(journal, first + place, *row) for place, row in enumerate(self._rows)]
            )
        except sqlite3.IntegrityError as error:
            raise self._duplicate() from error
        self._keep_blobs(connection, journal, first)
        return int(last)

    def _keep_blobs(self, connection: sqlite3.Connection, journal: int, first: int) -> None:
        for seq, draft in enumerate(self._drafts, first):
            for digest, data in draft.blobs.items():
                if connection.execute(_HAS_BLOB, (journal, digest)).fetchone() is None:
                    connection.execute(_INSERT_BLOB, (journal, digest, seq, data))

    def _refuse_keys_of_the_past(self, connection: sqlite3.Connection, journal: int) -> None:
        for key in self._keys():
            if connection.execute(_HAS_KEY, (journal, key)).fetchone() is not None:
                raise self._duplicate()

    def _keys(self) -> list[str]:
        return [draft.key for draft in self._drafts if draft.key is not None]

    def _duplicate(self) -> DuplicateKey:
        return DuplicateKey(f"The journal has an event with one of the keys {self._keys()}.")

    def events(self, last: int) -> list[Event]:
        """The drafts as they were written."""
        first = last - len(self._drafts) + 1
        return [
            Event(first + place, self._time, draft.body) for place, draft in enumerate(self._drafts)
        ]
