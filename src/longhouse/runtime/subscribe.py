"""Reading a journal for ever: what is there, then what comes, each event once and in order.

Agents and rooms lend it their journal and the rings of the bus. It writes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

from longhouse.kit.bus.base import BusClosed
from longhouse.kit.errors import InvalidInput
from longhouse.kit.follow import Beat, Item, Live, follow
from longhouse.protocol.events import Channel, Delta, Event, decode_delta, types_on
from longhouse.runtime.journals.base import delta_topic, ring_topic
from longhouse.runtime.services import Services

PAGE = 500  # events read at once
BEAT_SECONDS = 15.0  # how often the journal is looked at without being rung


async def subscribe(
    services: Services,
    journal_id: str,
    channels: Sequence[Channel | str],
    *,
    since: int,
    types: Sequence[str] | None,
    deltas: bool = False,
) -> AsyncGenerator[Event | Delta, None]:
    """Events above number `since`, then live ones, until the runtime is closed."""
    wanted = _types(channels, types)
    live = (delta_topic(journal_id),) if deltas else ()

    async def read(after: int) -> Sequence[Event]:
        return await services.journal.read(journal_id, after=after, limit=PAGE, types=wanted)

    with (
        services.bus.subscribe(ring_topic(journal_id), *live) as subscription,
        suppress(BusClosed),
    ):
        stream = follow(
            read,
            subscription,
            after=since,
            position=lambda event: event.seq,
            heartbeat=BEAT_SECONDS,
            live_topics=live,
            page_size=PAGE,
        )
        async with aclosing(stream) as items:
            async for item in items:
                match item:
                    case Item(event):
                        yield event
                    case Live(payload):
                        yield decode_delta(payload)
                    case Beat():
                        pass


def _types(
    channels: Sequence[Channel | str], types: Sequence[str] | None
) -> tuple[str, ...] | None:
    """The event types a subscription wants; None for all."""
    if not channels and types is None:
        return None
    try:
        on_channels = types_on([Channel(channel) for channel in channels or tuple(Channel)])
    except ValueError as error:
        known = ", ".join(Channel)
        raise InvalidInput(f"{error}.", hint=f"The channels are: {known}.") from None
    return on_channels if types is None else tuple(kind for kind in types if kind in on_channels)
