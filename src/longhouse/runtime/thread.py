"""What the journal of a room means, and who speaks next. Pure.

    a person speaks -> those it mentions (or all) are asked -> they answer -> those they mention …

`rooms` asks `next_asks`, journals it, does it, and asks again. Since the answer depends on nothing
but the fold, going on after a crash is the same as going on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from longhouse.protocol.events import (
    Event,
    ExchangesSpent,
    MemberAsked,
    MemberSilent,
    RoomChanged,
    RoomCreated,
    RoomMessage,
)
from longhouse.runtime.mentions import mentioned

LONGEST_READING = 30_000  # characters of what a member reads at once; the oldest is left out


@dataclass(frozen=True, slots=True)
class Wanted:
    """Somebody wants to hear a member."""

    seq: int  # of the last message that says so
    by_member: bool  # no person does


@dataclass(frozen=True, kw_only=True, slots=True)
class Asks:
    """Who is asked now, and who would be if the members had not talked for long enough."""

    members: tuple[tuple[str, bool], ...]  # with: no person wants to hear it
    unheard: tuple[str, ...]


@dataclass(slots=True)
class Thread:
    """A room after `seq` events."""

    seq: int = 0
    members: dict[str, str] = field(default_factory=dict)  # name -> agent id
    exchanges: int = 0  # the limit
    spent: int = 0  # of it, since a person spoke
    messages: list[tuple[int, RoomMessage]] = field(default_factory=list)
    people: set[str] = field(default_factory=set)  # those who have spoken
    heard: dict[str, int] = field(default_factory=dict)  # member -> the number it has read up to
    wanted: dict[str, Wanted] = field(default_factory=dict)  # member -> by whom
    asked: dict[str, MemberAsked] = field(default_factory=dict)  # message id -> who is at it

    @property
    def quiet(self) -> bool:
        """Nobody speaks, and nobody is going to before a person does."""
        return not self.asked and not self.wanted

    def addressed(self, text: str, *, sender: str) -> tuple[str, ...]:
        """Whom a message mentions: members, and people who have spoken here."""
        named = mentioned(text, self.members.keys() | self.people)
        return tuple(name for name in named if name != sender)

    def apply(self, events: Iterable[Event]) -> None:
        """Take in events. They must follow on the last one."""
        for event in events:
            self.seq = event.seq
            match event.body:
                case RoomCreated() | RoomChanged() as body:
                    self._change(body)
                case RoomMessage() as body:
                    self._say(event.seq, body)
                case MemberAsked() as body:
                    self._ask(body)
                case MemberSilent() as body:
                    self.asked.pop(body.message_id, None)
                case ExchangesSpent() as body:
                    self._stop(body)
                case _:  # of agents, and none of them is in a room's journal
                    pass

    def _change(self, body: RoomCreated | RoomChanged) -> None:
        self.members, self.exchanges = body.members, body.exchanges
        self.wanted = {name: want for name, want in self.wanted.items() if name in self.members}

    def _say(self, seq: int, body: RoomMessage) -> None:
        self.messages.append((seq, body))
        if body.answers:
            self.asked.pop(body.answers, None)
            wanted: Iterable[str] = body.to
        else:
            self.people.add(body.sender)
            self.spent = 0
            wanted = body.to or self.members
        for name in wanted:
            if name in self.members:
                self._want(name, Wanted(seq, by_member=bool(body.answers)))

    def _want(self, name: str, want: Wanted) -> None:
        before = self.wanted.get(name)
        by_member = want.by_member and (before is None or before.by_member)
        self.wanted[name] = replace(want, by_member=by_member)

    def _ask(self, body: MemberAsked) -> None:
        self.asked[body.message_id] = body
        self.heard[body.member] = body.upto
        self.spent += body.by_member
        self._forget([body.member], body.upto)

    def _stop(self, body: ExchangesSpent) -> None:
        self._forget(body.members, body.upto)

    def _forget(self, names: Sequence[str], upto: int) -> None:
        """What was said meanwhile is still wanted."""
        for name in names:
            if name in self.wanted and self.wanted[name].seq <= upto:
                del self.wanted[name]


def next_asks(thread: Thread) -> Asks:
    """Who is asked next: those who are wanted and do not speak already."""
    speaking = {asked.member for asked in thread.asked.values()}
    left = thread.exchanges - thread.spent
    members: list[tuple[str, bool]] = []
    unheard: list[str] = []
    for name, want in thread.wanted.items():
        if name in speaking:
            continue
        if want.by_member and left <= 0:
            unheard.append(name)
        else:
            left -= want.by_member
            members.append((name, want.by_member))
    return Asks(members=tuple(members), unheard=tuple(unheard))


def reading(thread: Thread, asked: MemberAsked, *, room: str) -> str:
    """What a member reads when it is asked: all that was said since it read last, by others."""
    lines = [
        _line(message)
        for seq, message in thread.messages
        if asked.after < seq <= asked.upto and message.sender != asked.member
    ]
    kept = _newest(lines)
    others = ", ".join(f"@{name}" for name in thread.members if name != asked.member)
    parts = [
        f"In the room {room!r}, where you are @{asked.member}"
        + (f" and the other members are {others}" if others else "")
        + ", this was said since you read last:",
        *([f"({len(lines) - len(kept)} older messages are left out.)"] if kept != lines else []),
        *kept,
        "All of them read your answer. A member that you mention by @name answers you next; without"
        " a mention, nobody does until a person speaks.",
    ]
    return "\n\n".join(parts)


def _line(message: RoomMessage) -> str:
    # Indented, so that no text can look like another speaker's.
    first, *others = message.text.splitlines() or [""]
    return "\n".join([f"{message.sender}: {first}", *(f"    {line}" for line in others)])


def _newest(lines: Sequence[str]) -> Sequence[str]:
    """As many of the newest as may be read at once; the very newest always."""
    size = kept = 0
    for line in reversed(lines):
        size += len(line)
        if kept and size > LONGEST_READING:
            break
        kept += 1
    return lines[len(lines) - kept :]
