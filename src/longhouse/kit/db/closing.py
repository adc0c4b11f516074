"""What a transaction does last: steps that wait for its end, each run once with all it is for.

Stores put items aside with `at_end`; `Database.write` calls the steps when the work is done, just
before the commit. So what every transaction of a kind has to lock (the head of an audit chain) is
locked for the shortest time, and always after everything else: nobody waits in a circle.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection

T = TypeVar("T")
R = TypeVar("R")

_PLACE = "longhouse.closing"


def at_end(conn: Connection, step: Callable[[Connection, Sequence[T]], None], item: T) -> None:
    """Have `step(conn, items)` called at the end of this transaction, once for all its items."""
    if _PLACE not in conn.info:
        raise RuntimeError("steps for a transaction's end need a transaction of Database.write")
    conn.info[_PLACE].setdefault(step, []).append(item)


def run_whole(conn: Connection, work: Callable[[Connection], R]) -> R:
    """The work of one transaction, then what it left for the end."""
    steps: dict[Callable[[Connection, Sequence[object]], None], list[object]] = {}
    info = conn.info  # a connection that is lost meanwhile has none to ask for
    info[_PLACE] = steps
    try:
        result = work(conn)
        for step, items in steps.items():
            step(conn, items)
        return result
    finally:
        del info[_PLACE]
