"""Batches of messages as packets, and packets as messages again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longhouse.kit.bus.base import Message
from longhouse.kit.bus.wire import MOST_ORIGINS, NoPacket, Packer, Unpacker

ME, ADA, BOB = b"me......", b"ada.....", b"bob....."
SMALLEST = 14  # a packet with one byte in it

messages = st.lists(st.builds(Message, st.text(max_size=20), st.binary(max_size=200)), max_size=20)
sizes = st.integers(min_value=SMALLEST, max_value=300)


@given(st.lists(messages, max_size=5), sizes)
def test_what_is_packed_comes_out_whole_and_in_order(
    batches: list[list[Message]], largest: int
) -> None:
    packer, unpacker = Packer(ADA), Unpacker(ME)

    packets = [packet for batch in batches for packet in packer.pack(batch, largest=largest)]
    heard = [unpacker.take(packet) for packet in packets]

    assert all(len(packet) <= largest for packet in packets)
    assert [one for each in heard for one in each.messages] == [m for b in batches for m in b]
    assert not any(each.missed for each in heard)


@given(messages, messages, sizes, st.randoms(use_true_random=False))
def test_packets_of_several_processes_may_come_in_between(
    of_ada: list[Message], of_bob: list[Message], largest: int, random: "object"
) -> None:
    unpacker = Unpacker(ME)
    queues = [
        Packer(ADA).pack(of_ada, largest=largest),
        Packer(BOB).pack(of_bob, largest=largest),
    ]

    heard: list[Message] = []
    while any(queues):
        queue = random.choice([queue for queue in queues if queue])  # type: ignore[attr-defined]
        heard += unpacker.take(queue.pop(0)).messages

    assert sorted(heard, key=repr) == sorted(of_ada + of_bob, key=repr)


@given(st.lists(messages, min_size=2, max_size=5), sizes, st.data())
def test_a_lost_packet_is_noticed_and_costs_its_batch_only(
    batches: list[list[Message]], largest: int, data: st.DataObject
) -> None:
    packer, unpacker = Packer(ADA), Unpacker(ME)
    packed = [packer.pack(batch, largest=largest) for batch in batches]
    first = packed[0][0]  # from here on she is known
    lost_batch = data.draw(st.integers(0, len(batches) - 2))
    lost = data.draw(st.sampled_from(packed[lost_batch]))

    heard = [unpacker.take(packet) for each in packed for packet in each if packet is not lost]

    kept = [m for index, batch in enumerate(batches) if index != lost_batch for m in batch]
    assert [one for each in heard for one in each.messages] == kept
    assert sum(each.missed for each in heard) == (lost is not first)


def test_whoever_dropped_something_says_so_once_even_to_strangers() -> None:
    packer, unpacker = Packer(ADA), Unpacker(ME)
    packer.dropped()

    packets = [*packer.pack([], largest=100), *packer.pack([], largest=100)]

    assert [unpacker.take(packet).missed for packet in packets] == [True, False]


def test_our_own_packets_say_nothing_to_us() -> None:
    packer, unpacker = Packer(ME), Unpacker(ME)
    packer.dropped()

    heard = unpacker.take(packer.pack([Message("a", b"1")], largest=100)[0])

    assert not heard.messages
    assert not heard.missed


def test_whoever_comes_in_the_middle_of_a_batch_waits_for_the_next() -> None:
    packer, unpacker = Packer(ADA), Unpacker(ME)
    _, *rest = packer.pack([Message("a", bytes(500))], largest=100)
    following = packer.pack([Message("b", b"")], largest=100)

    heard = [unpacker.take(packet) for packet in [*rest, *following]]

    assert [one for each in heard for one in each.messages] == [Message("b", b"")]


def test_numbers_begin_again_without_a_gap() -> None:
    packer, unpacker = Packer(ADA), Unpacker(ME)
    packer._number = (1 << 32) - 1  # after four thousand million packets

    packets = [*packer.pack([], largest=100), *packer.pack([], largest=100)]

    assert [unpacker.take(packet).missed for packet in packets] == [False, False]


@pytest.mark.parametrize(
    "packet", [b"", b"hello", bytes(12), bytes(12) + b"\x03", bytes(12) + b"\x03\xc1"]
)
def test_what_is_no_packet_is_refused(packet: bytes) -> None:
    with pytest.raises(NoPacket):
        Unpacker(ME).take(packet)


def test_processes_that_fell_silent_are_forgotten() -> None:
    unpacker = Unpacker(ME)
    for number in range(MOST_ORIGINS + 1):
        unpacker.take(Packer(b"%08d" % number).pack([], largest=100)[0])

    assert len(unpacker._origins) == MOST_ORIGINS
