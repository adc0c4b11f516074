"""When schedules fire: what is set, what is due, and when to look next. Pure.

`context` keeps what an agent's journal says of them; `loop` asks what is due after so many steps,
`agent` what is due by the clock, and `scheduler` waits for it. Moments are microseconds since 1970,
as events carry them. Whatever was missed while nobody looked is one firing, at its latest moment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from longhouse.kit.errors import InvalidInput
from longhouse.protocol.events import (
    At,
    Cron,
    Every,
    EverySteps,
    MessageReceived,
    ScheduleFired,
    ScheduleSet,
    When,
)

LONGEST_NAME = 128  # characters of a schedule's name
SHORTEST_PERIOD = timedelta(seconds=1)
CRON_FIELDS = 5  # CronSim also reads seconds, in a sixth
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Something that an agent is told again and again, or once."""

    name: str
    when: When
    text: str  # the message that it gives the agent; empty: it is only told of
    seq: int  # of the event that set it
    since: int  # the moment it was set, or was due last
    step: int  # how many steps were done then
    fired: str = ""  # its last firing

    @property
    def next(self) -> datetime | None:
        """When it fires next, or would have fired; None when steps count, or never again."""
        due = next_due(self)
        return None if due is None else _datetime(due)


def check(name: str, when: When) -> None:
    """Raises `InvalidInput` unless this can be set."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidInput(
            f"{name[:40]!r} cannot be a schedule's name.",
            hint=f"Use 1 to {LONGEST_NAME} printable characters.",
        )
    match when:
        case At(moment):
            _check_moment(name, moment)
        case Every(period) if period < SHORTEST_PERIOD:
            raise InvalidInput(
                f"Schedule {name!r} has a period of {period.total_seconds():g} s.",
                hint=f"The shortest is {SHORTEST_PERIOD.total_seconds():g} s.",
            )
        case EverySteps(steps) if steps < 1:
            raise InvalidInput(f"Schedule {name!r} fires every {steps} steps.", hint="Say 1 up.")
        case Cron():
            _check_cron(name, when)
        case Every() | EverySteps():
            pass


def was_set(body: ScheduleSet, *, seq: int, time: int, step: int) -> Schedule:
    """The schedule after the event that set it."""
    return Schedule(name=body.name, when=body.when, text=body.text, seq=seq, since=time, step=step)


def has_fired(schedule: Schedule, body: ScheduleFired, *, step: int) -> Schedule | None:
    """The schedule after a firing; None when that was its last."""
    if isinstance(schedule.when, At):
        return None
    since = max(schedule.since, body.due)
    return replace(schedule, since=since, step=step, fired=body.firing)


def firing(
    schedule: Schedule, *, due: int = 0, step: int = 0
) -> tuple[ScheduleFired] | tuple[ScheduleFired, MessageReceived]:
    """What a firing writes. Its id is made of what it is, so that it happens once."""
    name = f"schedule_{schedule.seq}_{due or step}"
    fired = ScheduleFired(name=schedule.name, firing=name, due=due, step=step)
    if not schedule.text:
        return (fired,)
    sender = f"schedule {schedule.name}"
    return fired, MessageReceived(message_id=name, text=schedule.text, sender=sender)


def due_by_steps(schedules: Iterable[Schedule], *, step: int) -> tuple[Schedule, ...]:
    """Those that fire before the step that follows on so many."""
    return tuple(
        schedule
        for schedule in schedules
        if isinstance(schedule.when, EverySteps) and step - schedule.step >= schedule.when.steps
    )


def due_by_time(
    schedules: Iterable[Schedule], *, now: int, unread: Collection[str]
) -> list[tuple[Schedule, int]]:
    """Those that fire now, each with the moment that it was due at.

    `unread`: messages that the agent has not read. A schedule whose last message is one of them
    waits: what nobody reads is not said twice.
    """
    found = [
        (schedule, _latest_due(schedule, now))
        for schedule in schedules
        if not (schedule.fired and schedule.fired in unread)
    ]
    return [(schedule, due) for schedule, due in found if due is not None]


def next_look(schedules: Collection[Schedule], *, now: int, unread: Collection[str]) -> int | None:
    """The moment to ask again what is due: now, or later; None: nothing ever is, by the clock."""
    if due_by_time(schedules, now=now, unread=unread):
        return now
    later = (_due_after(schedule, now) for schedule in schedules)
    return min((moment for moment in later if moment is not None), default=None)


def next_due(schedule: Schedule) -> int | None:
    """The moment it fires next, or would have fired; None when steps count, or never again."""
    match schedule.when:
        case At(moment):
            return _microseconds(moment)
        case Every(period):
            return schedule.since + period // timedelta(microseconds=1)
        case Cron():
            found = next(_cron(schedule.when, schedule.since), None)
            return None if found is None else _microseconds(found)
        case EverySteps():
            return None


def _latest_due(schedule: Schedule, now: int) -> int | None:
    first = next_due(schedule)
    if first is None or first > now:
        return None
    match schedule.when:
        case Every(period):
            length = period // timedelta(microseconds=1)
            return first + (now - first) // length * length
        case Cron():
            # Backwards it yields what lies before, so from the second after.
            last = next(_cron(schedule.when, now + 1_000_000, reverse=True), None)
            # Where clocks are set back, backwards and forwards differ by an hour.
            return first if last is None else max(first, _microseconds(last))
        case At() | EverySteps():
            return first


def _due_after(schedule: Schedule, now: int) -> int | None:
    latest = _latest_due(schedule, now)
    if latest is None:
        return next_due(schedule)
    return None if isinstance(schedule.when, At) else next_due(replace(schedule, since=latest))


def _cron(cron: Cron, since: int, *, reverse: bool = False) -> CronSim:
    moment = _datetime(since).replace(microsecond=0)
    return CronSim(cron.expression, moment.astimezone(_zone(cron.zone)), reverse=reverse)


def _check_moment(name: str, moment: datetime) -> None:
    if moment.tzinfo is None:
        raise InvalidInput(
            f"Schedule {name!r} has a moment without a time zone.",
            hint="Give it one, such as datetime(2026, 1, 1, 9, tzinfo=ZoneInfo('Europe/Berlin')).",
        )


def _check_cron(name: str, cron: Cron) -> None:
    try:
        _zone(cron.zone)
    except (OSError, ValueError, LookupError):
        raise InvalidInput(
            f"Schedule {name!r} names a time zone that is not known here: {cron.zone!r}.",
            hint="Use a name of the IANA database, such as Europe/Berlin.",
        ) from None
    try:
        CronSim(cron.expression, EPOCH)
        if len(cron.expression.split()) != CRON_FIELDS:
            raise CronSimError("Wrong number of fields")
    except CronSimError as error:
        raise InvalidInput(
            f"Schedule {name!r} has a cron expression that is not one: {error}.",
            hint="Write minute, hour, day, month and weekday: 0 9 * * MON-FRI.",
        ) from None


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)  # UTC also where no database is installed


def _datetime(moment: int) -> datetime:
    return EPOCH + timedelta(microseconds=moment)


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)
