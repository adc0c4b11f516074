"""One model call: put together from an immutable post, asked, retried, with the hooks' say.

Called by the agent's turn for each step and each summary. The request is made anew for each call
out of nothing but the post and the messages, so that all agents of a post ask alike; what is
attached to the messages comes from the journal. It journals failed attempts and what was used for
nothing; the answer is the turn's to keep.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import aclosing
from dataclasses import replace
from typing import TypeAlias

from longhouse.protocol.events import Delta, ErrorRaised, Severity, TokenUsage, encode_delta
from longhouse.runtime import sight
from longhouse.runtime.hooks import (
    Deny,
    ModelUse,
    Supply,
    apply_after_model,
    ask_before_model,
    may_replace_answers,
)
from longhouse.runtime.journals.base import delta_topic
from longhouse.runtime.ledger import Ledger
from longhouse.runtime.model import (
    FilesRefused,
    Message,
    Model,
    ModelDenied,
    ModelError,
    ModelRequest,
    ModelResponse,
)
from longhouse.runtime.posts import Post
from longhouse.runtime.retry import wait_before_retry
from longhouse.runtime.services import Services
from longhouse.runtime.tools.base import Tool

logger = logging.getLogger(__name__)

Told: TypeAlias = Callable[[Delta], None]
"""Where live fragments of an answer go."""


class ModelCalls:
    """An agent's calls of its model."""

    def __init__(self, agent_id: str, services: Services, ledger: Ledger) -> None:
        self._id = agent_id
        self._s = services
        self._ledger = ledger
        self._files: dict[str, bytes] = {}  # of the last call: the next one shows most of them
        self._refused: set[str] = set()  # digests that a vendor did not take

    def forget_files(self) -> None:
        """Let go of the bytes of attachments: nothing is asked for a while."""
        self._files = {}

    async def answer(
        self,
        post: Post,
        messages: Sequence[Message],
        *,
        also: Tool | None = None,
        live: bool = False,
    ) -> ModelResponse:
        """The model's answer to these messages. Raises `ModelError`.

        `also`: a tool besides those of the post. `live`: fragments are shown to whoever follows the
        agent.
        """
        model = self._s.models.model(post.model)
        tools = [self._s.tools[name] for name in post.tools if name in self._s.tools]
        tools += [] if also is None else [also]
        request = await self._request(post, messages, tools, model.media_types)
        use = ModelUse(agent_id=self._id, model=model.name, request=request)
        try:
            use, opinion = await ask_before_model(self._s.hooks, use)
        except Exception as error:  # an embedder's code; a guard that fails must not let pass
            raise self._hook_failed(error) from error
        match opinion:
            case Deny(note):
                raise ModelDenied(f"A hook denied the model call: {note}")
            case Supply(response):
                return response
            case None:
                response = await self._ask(model, use.request, self._told() if live else None)
                return await self._after(use, response)

    async def _request(
        self,
        post: Post,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        media_types: Set[str],
    ) -> ModelRequest:
        return ModelRequest(
            step=self._ledger.context.step,
            system=system_prompt(post),
            messages=await self._shown(messages, media_types),
            tools=tools,
            output_tokens=post.limits.output_tokens,
            files=self._files,
        )

    async def _shown(
        self, messages: Sequence[Message], media_types: Set[str]
    ) -> tuple[Message, ...]:
        """The messages as this model sees them, with the bytes of what it is shown at hand."""
        if not self._ledger.context.attachments:  # in long conversations, looking costs
            return tuple(messages)
        reasons = sight.left_out(messages, media_types=media_types, refused=self._refused)
        shown = sight.in_words(messages, reasons)
        self._files = await self._bytes(sight.shown(shown))
        return sight.in_words(shown, _lost(shown, self._files))

    async def _bytes(self, digests: Iterable[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for digest in digests:
            data = self._files.get(digest) or await self._s.journal.blob(self._id, digest)
            if data is not None:
                found[digest] = data
        return found

    async def _ask(self, model: Model, request: ModelRequest, told: Told | None) -> ModelResponse:
        """The answer; without the attachments, if the vendor takes the call only so."""
        try:
            return await self._attempts(model, request, told)
        except FilesRefused as refused:
            reasons = sight.left_out(
                request.messages, media_types=model.media_types, refused=request.files.keys()
            )
            words = sight.in_words(request.messages, reasons)
            response = await self._attempts(model, replace(request, messages=words, files={}), told)
            self._refused.update(request.files)
            await self._ledger.append(_without_files(refused))
            return response

    async def _attempts(
        self, model: Model, request: ModelRequest, told: Told | None
    ) -> ModelResponse:
        """The answer after as many attempts as make sense."""
        attempt = 1
        while True:
            try:
                return await _response(model, request, told)
            except ModelError as error:
                wait = wait_before_retry(error, attempt=attempt, jitter=random.random())
                if wait is None:
                    raise
                await self._ledger.append(_retrying(error, attempt, wait))
            await self._s.clock.sleep(wait)
            attempt += 1

    async def _after(self, use: ModelUse, response: ModelResponse) -> ModelResponse:
        try:
            return await apply_after_model(self._s.hooks, use, response)
        except Exception as error:  # an embedder's code
            used = TokenUsage(step=use.request.step, model=response.model, usage=response.usage)
            await self._ledger.append(used)  # whatever becomes of the answer
            raise self._hook_failed(error) from error

    def _hook_failed(self, error: Exception) -> ModelDenied:
        logger.error("a hook on model calls of agent %s failed", self._id, exc_info=error)
        return ModelDenied(f"A hook on the model call failed: {type(error).__name__}: {error}")

    def _told(self) -> Told | None:
        """Where fragments go; nowhere while the answer may still be replaced."""
        if may_replace_answers(self._s.hooks):
            return None
        publish, topic = self._s.bus.publish, delta_topic(self._id)
        return lambda delta: publish(topic, encode_delta(delta))


def system_prompt(post: Post) -> str:
    """The post's prompt, and what of the sandbox depends on the post: the same for all its agents,
    byte for byte."""
    if not post.hosts:
        return post.prompt
    reach = (
        f"Commands reach these hosts and no others: {', '.join(post.hosts)}. The proxy that "
        "HTTP_PROXY and HTTPS_PROXY name is the only way to them."
    )
    return f"{post.prompt}\n\n{reach}".lstrip()


async def _response(model: Model, request: ModelRequest, told: Told | None) -> ModelResponse:
    async with aclosing(model.stream(request)) as pieces:
        async for piece in pieces:
            if isinstance(piece, ModelResponse):
                return piece
            if told is not None:
                told(piece)
    raise ModelError(f"The model {model.name!r} ended its answer without completing it.")


def _lost(messages: Sequence[Message], files: Mapping[str, bytes]) -> dict[str, str]:
    """What is attached and has no bytes any more, which only a damaged journal can be the cause
    of."""
    return dict.fromkeys(sight.shown(messages) - files.keys(), "it is lost")


def _without_files(refused: FilesRefused) -> ErrorRaised:
    return ErrorRaised(
        phase="model",
        severity=Severity.WARNING,
        message=f"{refused.detail} It took the call without what was attached.",
        hint="Choose a model that can be shown such files, or attach smaller ones.",
    )


def _retrying(error: ModelError, attempt: int, wait: float) -> ErrorRaised:
    return ErrorRaised(
        phase="model",
        severity=Severity.WARNING,
        message=error.detail,
        hint=error.hint or "",
        attempt=attempt,
        retry_in=wait,
    )
