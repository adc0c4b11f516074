"""Server-sent events as bytes in any pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longhouse.cli.sse import Frame, Parser
from longhouse.kit.sse import comment, frame

STREAM = (
    b"retry: 1000\n\n"
    + frame(data=b'{"seq":1}', event="text", id=1)
    + comment("beat")
    + frame(data=b'{"text":"h\xc3\xa9"}', event="delta")
    + frame(data=b"two\nlines", event="text", id=2)
)
FRAMES = [
    Frame(id="1", event="text", data=b'{"seq":1}'),
    Frame(id="", event="delta", data=b'{"text":"h\xc3\xa9"}'),
    Frame(id="2", event="text", data=b"two\nlines"),
]


def test_frames_of_our_server_are_read_back() -> None:
    assert Parser().feed(STREAM) == FRAMES


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: list[int]) -> None:
    parser = Parser()
    edges = [0, *sorted(cuts), len(STREAM)]

    found = [found for start, end in pairwise(edges) for found in parser.feed(STREAM[start:end])]

    assert found == FRAMES


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_of_the_standard_is_one(line_end: bytes) -> None:
    parser = Parser()
    data = b"id: 7\nevent: done\ndata: a\n\n".replace(b"\n", line_end)

    # What follows shows that a CR at the end of a piece was not half of a CRLF.
    found = parser.feed(data) + parser.feed(b": beat\n\n")

    assert found == [Frame(id="7", event="done", data=b"a")]


def test_a_frame_without_data_is_none() -> None:
    assert Parser().feed(b"id: 3\nevent: x\n\n") == []


def test_an_unfinished_frame_waits() -> None:
    assert Parser().feed(b"data: half\n") == []
