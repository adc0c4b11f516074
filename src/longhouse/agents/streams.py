"""A session's events as a stream of server-sent frames: replay, then live, without gap or repeat.

Called by `api` for a session the caller may see. Rows go out as they are stored; deltas come from
the bus and are kept nowhere. A stream ends when its credential does or the server stops.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from longhouse.agents.journal import EventRow
from longhouse.agents.models import SessionId
from longhouse.agents.service.sessions import Sessions
from longhouse.identity.auth import Principal
from longhouse.identity.service.liveness import Liveness
from longhouse.kit.bus.base import Bus
from longhouse.kit.follow import Beat, Item, Live, follow
from longhouse.kit.sse import EventStream, comment, frame, sse_response
from longhouse.protocol.events import Channel, types_on
from longhouse.runtime.journals.base import delta_topic, ring_topic

PAGE = 500
"""Events read at once for one stream."""


class Streams:
    """Makes event streams. One for each process."""

    def __init__(
        self,
        sessions: Sessions,
        *,
        bus: Bus,
        liveness: Liveness,
        stopping: asyncio.Event,
        heartbeat: float,
        buffer: int,
    ) -> None:
        """`heartbeat`: seconds of silence. `buffer`: live messages kept for a slow reader.
        `stopping` is set when the server begins to stop.
        """
        self._sessions = sessions
        self._bus = bus
        self._liveness = liveness
        self._stopping = stopping
        self._heartbeat = heartbeat
        self._buffer = buffer

    def open(
        self,
        session_id: SessionId,
        *,
        principal: Principal,
        after: int,
        channels: Sequence[Channel],
    ) -> EventStream:
        """The response that streams a session's events above `after`; no channels means all."""
        over = asyncio.Event()
        frames = self._frames(
            session_id, principal=principal, after=after, channels=channels, over=over
        )
        return sse_response(frames, stopping=over)

    async def _frames(
        self,
        session_id: SessionId,
        *,
        principal: Principal,
        after: int,
        channels: Sequence[Channel],
        over: asyncio.Event,
    ) -> AsyncGenerator[bytes, None]:
        types = types_on(channels) if channels else None
        live = (delta_topic(session_id),) if not channels or Channel.PROGRESS in channels else ()

        async def read(cursor: int) -> Sequence[EventRow]:
            return await self._sessions.events(session_id, after=cursor, limit=PAGE, types=types)

        async with (
            self._liveness.watched(principal) as ended,
            self._bus.subscribe(
                ring_topic(session_id), *live, capacity=self._buffer
            ) as subscription,
        ):
            watch = asyncio.create_task(self._end(over, ended))
            try:
                stream = follow(
                    read,
                    subscription,
                    after=after,
                    position=lambda row: row.seq,
                    heartbeat=self._heartbeat,
                    live_topics=live,
                    page_size=PAGE,
                )
                async with aclosing(stream) as items:
                    async for item in items:
                        match item:
                            case Item(row):
                                yield frame(data=row.wire, event=row.type, id=row.seq)
                            case Live(payload):
                                yield frame(data=payload, event="delta")
                            case Beat():
                                yield comment("beat")
            finally:
                watch.cancel()

    async def _end(self, over: asyncio.Event, ended: asyncio.Event) -> None:
        """Set `over` when the credential ends or the server stops."""
        reasons = [asyncio.create_task(event.wait()) for event in (self._stopping, ended)]
        try:
            await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
            over.set()
        finally:
            for reason in reasons:
                reason.cancel()
