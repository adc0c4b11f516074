"""What is kept of a command's output."""

from hypothesis import given
from hypothesis import strategies as st

from longhouse.runtime.sandbox.capture import Capture


def test_short_output_is_kept_whole() -> None:
    capture = Capture(10)

    capture.feed(b"12345")
    capture.feed(b"67890")

    assert capture.result() == b"1234567890"
    assert capture.dropped == 0
    assert not capture.overflowing


def test_long_output_keeps_its_head_and_tail_and_says_what_is_missing() -> None:
    capture = Capture(10)

    capture.feed(b"a" * 100 + b"b" * 100)

    assert capture.result() == b"aaaaa\n[... 190 bytes cut ...]\nbbbbb"
    assert capture.dropped == 190
    assert capture.overflowing


@given(st.lists(st.binary(max_size=40), max_size=40), st.integers(2, 64))
def test_pieces_make_no_difference(pieces: list[bytes], limit: int) -> None:
    whole = b"".join(pieces)
    capture = Capture(limit)
    for piece in pieces:
        capture.feed(piece)

    kept = capture.result()

    if len(whole) <= limit:
        assert kept == whole
    else:
        assert kept.startswith(whole[: limit // 2])
        assert kept.endswith(whole[-(limit - limit // 2) :])
        assert capture.dropped == len(whole) - limit
