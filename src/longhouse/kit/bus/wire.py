"""How rings travel between processes: what was published, as packets that a carrier can hold.

Pure: `carried` calls it on both ends. A batch of messages is one string of bytes, cut into as many
packets as the carrier needs. Packets of one process are numbered, so that a listener sees when one
is missing; a process that had to drop messages says so in its next packet.
"""

import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from longhouse.kit.bus.base import Message

ORIGIN_BYTES = 8
"""Of a process's name on the carrier: random, new at each start."""

_HEAD = struct.Struct(f">{ORIGIN_BYTES}sIB")  # origin, number, marks
_FIRST, _LAST = 1, 2  # of its batch
_DROPPED = 4  # there would have been more before it
_NUMBERS = 1 << 32

MOST_ORIGINS = 1_000
"""Processes remembered; those silent for longest are forgotten first."""

_batch = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


class NoPacket(ValueError):
    """These bytes are not ours: somebody else publishes here."""


class Packer:
    """Makes the packets of one process."""

    def __init__(self, origin: bytes) -> None:
        self._origin = origin
        self._number = 0
        self._dropped = False

    def pack(self, messages: Sequence[Message], *, largest: int) -> list[bytes]:
        """These messages as packets of at most `largest` bytes; none at all is one packet, too."""
        data = msgspec.msgpack.encode([(one.topic, one.payload) for one in messages])
        room = largest - _HEAD.size
        parts = [data[start : start + room] for start in range(0, len(data), room)]
        return [
            self._head(first=index == 0, last=index == len(parts) - 1) + part
            for index, part in enumerate(parts)
        ]

    def dropped(self) -> None:
        """Something is never sent: whoever gets the next packet will know."""
        self._dropped = True

    def _head(self, *, first: bool, last: bool) -> bytes:
        marks = _FIRST * first | _LAST * last | _DROPPED * self._dropped
        head = _HEAD.pack(self._origin, self._number, marks)
        self._number = (self._number + 1) % _NUMBERS
        self._dropped = False
        return head


@dataclass(frozen=True, slots=True)
class Heard:
    """What a packet brought."""

    messages: Sequence[Message] = ()
    missed: bool = False  # something before it never came: nobody knows what it rang


@dataclass(slots=True)
class _Origin:
    next_number: int
    parts: list[bytes] | None = None  # of the batch under way; None: its beginning is missing


class Unpacker:
    """Puts the packets of all other processes together again."""

    def __init__(self, own: bytes) -> None:
        """`own`: the process whose packets are echoes, and say nothing."""
        self._own = own
        self._origins: OrderedDict[bytes, _Origin] = OrderedDict()

    def take(self, packet: bytes) -> Heard:
        """What this packet completes, if anything. Raises `NoPacket`."""
        if len(packet) < _HEAD.size:
            raise NoPacket(f"{len(packet)} bytes are too few")
        name, number, marks = _HEAD.unpack_from(packet)
        if name == self._own:
            return Heard()
        origin, missed = self._arrived(name, number)
        missed |= bool(marks & _DROPPED)
        if marks & _FIRST:
            origin.parts = []
        if origin.parts is None:
            return Heard(missed=missed)
        origin.parts.append(packet[_HEAD.size :])
        if not marks & _LAST:
            return Heard(missed=missed)
        data, origin.parts = b"".join(origin.parts), None
        return Heard(_decode(data), missed)

    def forget(self) -> None:
        """A new connection: what came over the old one is not continued."""
        self._origins.clear()

    def _arrived(self, name: bytes, number: int) -> tuple[_Origin, bool]:
        origin = self._origins.get(name)
        # The first packet of a process says nothing about those before: we were not there.
        missed = origin is not None and origin.next_number != number
        if origin is None or missed:
            origin = self._origins[name] = _Origin(number)
        origin.next_number = (number + 1) % _NUMBERS
        self._origins.move_to_end(name)
        if len(self._origins) > MOST_ORIGINS:
            self._origins.popitem(last=False)
        return origin, missed


def _decode(data: bytes) -> list[Message]:
    try:
        return [Message(topic, payload) for topic, payload in _batch.decode(data)]
    except msgspec.DecodeError as error:
        raise NoPacket(str(error)) from error
