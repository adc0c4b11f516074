"""The bytes of what is attached to a session's events: the statements.

Called by `journal` in the transaction that writes the event, and by `service` for whoever looks at
one. They lie with the session that the event belongs to, once for each content; a fork reads those
of its shared past. Whether they may be seen is not asked here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, text, update

from longhouse.agents.models import attachments
from longhouse.protocol.events import Attached, Draft, attached_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An attachment with its bytes."""

    attached: Attached
    data: bytes


# A session and its ancestors, each with the numbers that it shows: above `low`, up to `high`.
CHAIN = """
    WITH RECURSIVE chain (id, parent_id, low, high) AS (
        SELECT id, parent_id, fork_seq, CAST(9223372036854775807 AS BIGINT)
            FROM sessions WHERE id = :id
        UNION ALL
        SELECT s.id, s.parent_id, s.fork_seq, c.low
            FROM chain AS c JOIN sessions AS s ON s.id = c.parent_id
    )
"""
_FIND = text(f"""
    {CHAIN} SELECT a.session_id FROM chain AS c JOIN attachments AS a ON a.session_id = c.id
        WHERE a.seq <= c.high AND a.digest = :digest
""")  # noqa: S608 - put together from the text above


def keep(conn: Connection, session_id: str, drafts: Sequence[Draft], *, first: int) -> None:
    """Store what comes with drafts whose events are numbered from `first`."""
    for seq, draft in enumerate(drafts, first):
        for attached in attached_to(draft.body):
            data = draft.blobs.get(attached.digest)
            if data is None or _owner(conn, session_id, attached.digest) is not None:
                continue
            row = {
                "session_id": session_id,
                "digest": attached.digest,
                "seq": seq,
                "media_type": attached.media_type,
                "name": attached.name,
                "data": data,
            }
            conn.execute(insert(attachments).values(row))


def find(conn: Connection, session_id: str, digest: str) -> Stored | None:
    """What is attached to an event of the session, its shared past included."""
    owner = _owner(conn, session_id, digest)
    if owner is None:
        return None
    query = select(attachments).where(
        attachments.c.session_id == owner, attachments.c.digest == digest
    )
    row = conn.execute(query).one()
    attached = Attached(digest=digest, media_type=row.media_type, size=len(row.data), name=row.name)
    return Stored(attached=attached, data=row.data)


def hand_over(conn: Connection, session_id: str, heir_id: str, *, upto: int) -> None:
    """Give those of events up to a number to the fork that inherits these events."""
    shared = (attachments.c.session_id == session_id, attachments.c.seq <= upto)
    conn.execute(update(attachments).where(*shared).values(session_id=heir_id))


def _owner(conn: Connection, session_id: str, digest: str) -> str | None:
    found = conn.execute(_FIND, {"id": session_id, "digest": digest}).first()
    return None if found is None else str(found[0])
