"""Many questions answered by one read."""

import asyncio
from collections.abc import Collection, Mapping

import pytest

from longhouse.kit import batch
from longhouse.kit.batch import Batch


class Slow:
    """A read that answers when it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.began = asyncio.Event()
        self.go = asyncio.Event()

    async def read(self, keys: Collection[str]) -> Mapping[str, int]:
        self.asked.append(sorted(keys))
        self.began.set()
        await self.go.wait()
        return {key: int(key) for key in keys if key.isdigit()}


@pytest.fixture
def slow() -> Slow:
    return Slow()


async def test_what_comes_together_is_read_together(slow: Slow) -> None:
    many = Batch(slow.read)
    slow.go.set()

    answers = await asyncio.gather(*(many.get(key) for key in ("1", "2", "1", "x")))

    assert answers == [1, 2, 1, None]
    assert slow.asked == [["1", "2", "x"]]


async def test_what_comes_during_a_read_waits_for_the_next(slow: Slow) -> None:
    many = Batch(slow.read)
    first = asyncio.create_task(many.get("1"))
    await slow.began.wait()
    later = [asyncio.create_task(many.get(key)) for key in ("1", "2")]
    await asyncio.sleep(0)
    slow.go.set()

    assert [await first, *[await one for one in later]] == [1, 1, 2]
    assert slow.asked == [["1"], ["1", "2"]], "the second question gets a newer answer"


async def test_an_error_reaches_all_who_asked_and_nobody_after() -> None:
    failing = True

    async def read(keys: Collection[str]) -> Mapping[str, int]:
        if failing:
            raise ZeroDivisionError
        return {"1": 1}

    many = Batch(read)

    ends = await asyncio.gather(many.get("1"), many.get("2"), return_exceptions=True)
    failing = False

    assert [type(end) for end in ends] == [ZeroDivisionError] * 2
    assert await many.get("1") == 1


async def test_who_stops_waiting_disturbs_nobody(slow: Slow) -> None:
    many = Batch(slow.read)
    leaving, staying = asyncio.create_task(many.get("1")), asyncio.create_task(many.get("1"))
    await slow.began.wait()
    leaving.cancel()
    slow.go.set()

    assert await staying == 1


async def test_a_read_has_a_bounded_number_of_questions(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MOST_AT_ONCE", 3)
    many = Batch(slow.read)
    slow.go.set()

    answers = await asyncio.gather(*(many.get(str(number)) for number in range(7)))

    assert answers == list(range(7))
    assert [len(keys) for keys in slow.asked] == [3, 3, 1]
