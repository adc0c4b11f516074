"""Models of vendors over the network: OpenAI's chat protocol and Anthropic's messages protocol.

Built by `environment` (or an embedder) from an `Endpoint`; called by the turn loop. The protocol
itself is spoken by pydantic-ai in `vendor_wire`, which is imported when a model is first called.
Nothing here retries or falls back to another model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Set
from contextlib import aclosing
from importlib import import_module
from typing import TYPE_CHECKING

from longhouse.protocol.events import Delta
from longhouse.runtime.model import ModelRequest, ModelResponse
from longhouse.runtime.models.endpoint import Endpoint

if TYPE_CHECKING:
    from longhouse.runtime.models.vendor_wire import Wire


class VendorModel:
    """One model at one endpoint. Safe to share between agents; one HTTP client for all of them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._wire: Wire | None = None
        self._building = asyncio.Lock()

    @property
    def name(self) -> str:
        """The vendor's name of the model."""
        return self._endpoint.model

    @property
    def media_types(self) -> Set[str]:
        """What the model can be shown besides words, as far as its provider is known."""
        return self._endpoint.media_types

    @property
    def endpoint(self) -> Endpoint:
        """Where the model is."""
        return self._endpoint

    def __repr__(self) -> str:
        return f"VendorModel({self._endpoint!r})"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | ModelResponse, None]:
        """One call. Closing the generator closes the connection."""
        wire = self._wire or await self._connect()
        async with aclosing(wire.stream(request)) as items:
            async for item in items:
                yield item

    async def aclose(self) -> None:
        """Close the HTTP client. A later call opens a new one."""
        async with self._building:
            wire, self._wire = self._wire, None
        if wire is not None:
            await wire.aclose()

    async def _connect(self) -> Wire:
        async with self._building:
            if self._wire is None:
                # The vendors' packages take seconds to import: not at start-up, not for those who
                # use another vendor or the demo model, and not on the event loop.
                module = await asyncio.to_thread(
                    import_module, "longhouse.runtime.models.vendor_wire"
                )
                wire: Wire = await asyncio.to_thread(module.Wire, self._endpoint)
                self._wire = wire
            return self._wire
