"""The turn loop's hands: does what `loop` decides, and journals it before and after.

Made by an agent for itself. It goes on until the agent rests; whatever cuts it off (an interrupt, a
lost lease, `kill -9`), the journal says how far it came, and the next run goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from longhouse.kit.bus.base import BusClosed, Message, Subscription
from longhouse.protocol.events import (
    AgentResumed,
    AgentState,
    AnswerRefused,
    Body,
    ContextCompressed,
    Done,
    DoneReason,
    Draft,
    ErrorRaised,
    FileChanged,
    JsonObject,
    MessageReceived,
    PermissionDecided,
    PostFollowed,
    Severity,
    SkillDiscovered,
    StateChanged,
    StepComplete,
    StepStarted,
    Text,
    TodoChanged,
    TodoReminder,
    TokenUsage,
    ToolCall,
    ToolStart,
)
from longhouse.runtime.answers import Fits, answer_tool, fits_schema, from_words
from longhouse.runtime.calls import (
    Blobs,
    assess,
    denied_by_person,
    denied_by_rule,
    execute,
    given_up,
    gone,
    sealed,
    stopped,
    taken,
)
from longhouse.runtime.context import Call, Context, estimated_tokens
from longhouse.runtime.journals.base import (
    DuplicateKey,
    microseconds,
    ring_topic,
)
from longhouse.runtime.ledger import Ledger, draft
from longhouse.runtime.loop import (
    AskModel,
    Compress,
    Finish,
    Rest,
    RunTools,
    StartStep,
    Stop,
    after_results,
    first_batch,
    first_step,
    next_action,
)
from longhouse.runtime.model import Block, ModelError, ModelResponse, UserMessage
from longhouse.runtime.model_calls import ModelCalls
from longhouse.runtime.permissions import judge
from longhouse.runtime.posts import Post, Verdict
from longhouse.runtime.schedules import firing
from longhouse.runtime.services import Errand, Services
from longhouse.runtime.tasks import being_cancelled, ended
from longhouse.runtime.tools.base import InvalidArguments, Tool, ToolContext
from longhouse.runtime.tools.shells import Shells
from longhouse.runtime.tools.skills import find, skills
from longhouse.runtime.watch import FileWatch

logger = logging.getLogger(__name__)

SUMMARISE = """\
The conversation is about to exceed what you can read at once. Write the summary that you will go \
on from: what stands above is gone then. Call no tool. Say, in this order:
1. every request and decision of the user, in their words where they matter;
2. what is done, with files, commands, names and results;
3. what is open, what was tried and failed, and the next step."""
LISTEN_AGAIN_SECONDS = 2.0  # a ring may be lost; the journal is looked at this often while at work


class Turn:
    """Runs an agent's turns, one after the other."""

    def __init__(
        self,
        agent_id: str,
        services: Services,
        ledger: Ledger,
        *,
        shells: Shells,
        fits: Mapping[str, Fits],
    ) -> None:
        """`fits`: message id -> all that its answer has to fit, beside its schema."""
        self._id = agent_id
        self._s = services
        self._ledger = ledger
        self._shells = shells
        self._model = ModelCalls(agent_id, services, ledger)
        self._watch = FileWatch()
        self._activity: asyncio.Task[None] | None = None  # what an interrupt cancels
        self._parked: Callable[[], bool] = _never
        self._workspace = Path()  # known once a run begins
        # Of this process only: arguments of calls judged here, and calls whose start is written
        # but that do not run yet.
        self._judged: dict[str, JsonObject] = {}
        self._intended: set[str] = set()
        self._fits = fits

    @property
    def _context(self) -> Context:
        return self._ledger.context

    async def run(self, parked: Callable[[], bool]) -> None:
        """Go on until the agent rests, or is `parked` between two actions.

        Raises `Fenced` when another process took it over.
        """
        self._parked = parked
        with self._s.bus.subscribe(ring_topic(self._id)) as rings:
            await self._take_up()
            ear = asyncio.create_task(self._listen(rings))
            try:
                await self._act_until_rest()
            finally:
                self._ledger.in_touch = False
                self._model.forget_files()
                ear.cancel()
                await ended(ear)

    async def begin(self, message: Draft) -> bool:
        """Write a message and the step that it begins at once. False: this is not the moment."""
        body = message.body
        if self._ledger.epoch == 0 or not isinstance(body, MessageReceived):
            return False
        action = first_step(self._context, body.message_id)
        if action is None:
            return False
        return await self._ledger.begin(message, *map(draft, self._opening(action)))

    async def give_up(self, problem: ErrorRaised) -> None:
        """End the turn that nobody could finish as failed, without its post, model and tools."""
        try:
            await self._ledger.take()
            await self._give_up(problem)
        finally:
            self._ledger.in_touch = False

    async def _give_up(self, problem: ErrorRaised) -> None:
        context = self._context
        if context.fresh and not context.turn_open:  # it broke off before it had begun
            begun = StepStarted(
                turn=context.turn + 1, step=context.step + 1, messages=context.next_messages()
            )
            await self._ledger.append(*self._towards(AgentState.WORKING), begun)
        if not context.turn_open:
            await self._ledger.append(problem)
        while context.turn_open:
            ends = [given_up(call.asked, started=call.started) for call in context.open_calls()]
            await self._close([problem, *ends], DoneReason.FAILED, problem.message)

    async def _act_until_rest(self) -> None:
        post = await self._s.post(self._id, self._context.post)
        self._workspace = await self._s.workspace(self._id, self._context.metadata)
        if self._context.step_open and (followed := self._following(post)):
            await self._ledger.append(*followed)  # the step began before the post was at hand
        # A call whose start is written is not between two actions: the next run would seal it.
        while self._intended or not self._parked():
            now = microseconds(self._s.clock)
            match next_action(self._context, post.limits, now=now):
                case Rest(state):
                    await self._move_to(state)
                    return
                case StartStep() as action:
                    await self._ledger.append(*self._opening(action, *self._following(post)))
                case AskModel():
                    await self._interruptibly(self._ask(post))
                case Compress(kept):
                    await self._interruptibly(self._compress(post, kept))
                case RunTools(calls):
                    await self._interruptibly(self._run_tools(post, calls))
                case Stop(calls):
                    await self._stop(calls)
                case Finish(reason, detail):
                    answer = self._context.answer
                    await self._ledger.append(*self._ending(reason, detail, answer=answer))

    # --- taking up, listening, stopping -------------------------------------------------------

    async def _take_up(self) -> None:
        """Be the writer; close what a crash, or a run that was cut off, left open."""
        taken = await self._ledger.take()
        self._intended.clear()
        self._judged.clear()  # the post may be stricter by now
        cut_off = [call for call in self._context.calls.values() if call.started]
        if cut_off or (taken and self._context.state is AgentState.WORKING):
            await self._recover(cut_off)

    async def _recover(self, cut_off: Sequence[Call]) -> None:
        """Seal the calls that may have happened; what is declared repeatable runs again."""
        if cut_off:  # what may be repeated is known once the post's tools are
            await self._s.post(self._id, self._context.post)
        seal = [call for call in cut_off if not self._repeatable(call)]
        resumed = AgentResumed(
            epoch=self._ledger.epoch,
            sealed=tuple(call.call_id for call in seal),
            repeated=tuple(call.call_id for call in cut_off if call not in seal),
        )
        await self._ledger.append(resumed, *(sealed(call.asked) for call in seal))

    def _repeatable(self, call: Call) -> bool:
        tool = self._s.tools.get(call.name)
        return tool is not None and tool.repeatable

    async def _listen(self, rings: Subscription) -> None:
        """Hear what others post meanwhile; an interrupt cuts off the present activity."""
        while True:
            try:
                ring = await rings.next(LISTEN_AGAIN_SECONDS)
            except BusClosed:
                return
            await self._hear(ring)
            if self._context.interrupting and self._activity is not None:
                self._activity.cancel()
                self._activity = None  # once: it may be finishing a write

    async def _hear(self, ring: Message | None) -> None:
        """Take in what a ring tells of; without one, whatever there is."""
        try:
            if ring is None:
                await self._ledger.catch_up()
            else:
                await self._ledger.hear(int(ring.payload or 0))
        except Exception:  # the journal is away: it is read again in a moment, and the turn goes on
            logger.warning("agent %s could not hear what it was told", self._id, exc_info=True)

    async def _interruptibly(self, activity: Coroutine[Any, Any, None]) -> None:
        """Do something an interrupt may cut off. The loop then sees the interrupt in the state."""
        task = self._activity = asyncio.create_task(activity)
        try:
            await task
        except asyncio.CancelledError:
            # Not by the state: what was cut off may have ended the turn with its last write.
            interrupted = self._activity is None
            task.cancel()
            await ended(task)
            if being_cancelled():
                raise
            if not interrupted:
                raise RuntimeError("a model or a tool was cancelled, and by nobody here") from None
            await self._ledger.catch_up()  # its last write may have failed after it was done
        finally:
            self._activity = None

    async def _stop(self, calls: tuple[Call, ...]) -> None:
        await self._shells.end_all("ended by an interrupt")
        ends = [stopped(call.asked, started=call.started) for call in calls]
        await self._close(ends, DoneReason.INTERRUPTED)

    async def _close(self, ends: Sequence[Body], reason: DoneReason, detail: str = "") -> None:
        """End the turn and its approvals; where a decision came first, take that in instead."""
        cancelled = [
            PermissionDecided(call_id=required.call_id, decision="cancelled")
            for required in self._context.approvals()
        ]
        try:
            await self._ledger.append(*cancelled, *ends, *self._ending(reason, detail))
        except DuplicateKey:
            await self._ledger.catch_up()

    # --- a step: one model call ---------------------------------------------------------------

    def _following(self, post: Post) -> list[Body]:
        """Which post the agent follows, if the journal does not say so yet."""
        followed = PostFollowed(post=post.name, digest=post.digest, version=post.version)
        return [] if followed == self._context.followed else [followed]

    def _opening(self, action: StartStep, *followed: Body) -> list[Body]:
        context = self._context
        bodies = [*self._towards(AgentState.WORKING), *followed]
        if action.remind:
            bodies.append(TodoReminder(step=context.step, open=context.open_todos()))
        fired = [body for one in action.due for body in firing(one, step=context.step)]
        told = [body.message_id for body in fired if isinstance(body, MessageReceived)]
        turn = context.turn if context.turn_open else context.turn + 1
        messages = (*action.messages, *told)
        started = StepStarted(turn=turn, step=context.step + 1, messages=messages)
        return [*bodies, *fired, started]

    async def _ask(self, post: Post) -> None:
        await self._look_around(post)
        step = self._context.step
        began = self._s.clock.monotonic()
        try:
            response = await self._model.answer(
                post, self._context.messages, also=self._answer_tool(), live=True
            )
        except ModelError as error:
            await self._fail(error)
        else:
            duration = round((self._s.clock.monotonic() - began) * 1000)
            await self._take_answer(post, step, response, duration)

    async def _look_around(self, post: Post) -> None:
        """Tell of what is new around the agent."""
        bodies: list[Body] = []
        if self._context.seen:
            bodies += await self._changed_files()
        if self._context.turn_steps == 1 and skills.name in post.tools:
            found = await asyncio.to_thread(find, self._workspace, self._s.skills)
            bodies += [
                SkillDiscovered(name=each.name, description=each.description, source=each.source)
                for each in found.skills
                if self._context.skills.get(each.name) != each.description
            ]
        if bodies:
            await self._ledger.append(*bodies)

    async def _compress(self, post: Post, kept: int) -> None:
        """Let the model summarise all but the newest messages. What fails ends the turn."""
        context = self._context
        started = ContextCompressed(
            phase="start",
            step=context.step,
            tokens=context.tokens,
            summarised=len(context.messages) - kept,
            kept=kept,
        )
        await self._ledger.append(started)
        try:
            response = await self._summarise(post, started.summarised)
        except ModelError as error:
            await self._fail(error)
            return
        summary = _text_of(response)
        newest = context.messages[started.summarised :]
        tokens = sum(map(estimated_tokens, (UserMessage(summary), *newest)))
        finished = replace(started, phase="end", tokens=tokens, summary=summary)
        usage = TokenUsage(step=context.step, model=response.model, usage=response.usage)
        await self._ledger.append(usage, finished)

    async def _summarise(self, post: Post, count: int) -> ModelResponse:
        """The model's summary of the first messages. Raises `ModelError` when it makes none."""
        asked = [*self._context.messages[:count], UserMessage(SUMMARISE)]
        response = await self._model.answer(post, asked)
        if not _text_of(response):
            raise ModelError(
                f"The model {response.model!r} was to summarise the conversation and said nothing.",
                hint="Raise the post's limit `context_tokens`, or choose another model.",
            )
        return response

    async def _changed_files(self) -> list[FileChanged]:
        seen, changed = self._context.seen, self._context.changed
        present = await asyncio.to_thread(self._watch.look, self._workspace, tuple(seen))
        told = {path: changed.get(path, seen[path]) for path in present}
        return [
            FileChanged(path=path, before=told[path], after=digest)
            for path, digest in present.items()
            if digest != told[path]
        ]

    async def _take_answer(
        self, post: Post, step: int, response: ModelResponse, duration_ms: int
    ) -> None:
        """Journal an answer whole, with what follows from it at once: one write for all."""
        blocks = self._placed(step, response.blocks)
        complete = StepComplete(
            step=step, model=response.model, finish=response.finish, duration_ms=duration_ms
        )
        usage = TokenUsage(step=step, model=response.model, usage=response.usage)
        bodies: list[Body] = [*blocks, complete, usage]
        blobs: Blobs = {}
        if asked := [block for block in blocks if isinstance(block, ToolCall)]:
            judged, blobs = await self._judge(post, asked)
            bodies += judged
            bodies += self._intend(post, asked, judged)
        elif not self._context.next_messages():
            bodies += self._concluding(step, response)
        await self._ledger.append(*bodies, blobs=blobs)

    def _concluding(self, step: int, response: ModelResponse) -> list[Body]:
        """What follows from an answer in words: the end, if it has the shape it has to have."""
        tool = self._answer_tool()
        if tool is None:
            return self._ending(DoneReason.COMPLETED)
        try:
            answer = from_words(_text_of(response), tool)
        except InvalidArguments as error:
            return [AnswerRefused(step=step, problems=str(error))]
        return self._ending(DoneReason.COMPLETED, answer=answer)

    def _answer_tool(self) -> Tool | None:
        """The tool by which the turn's answer is given, if it has to have a shape."""
        wanted = self._context.wanted
        if wanted is None or wanted.output is None:
            return None
        fits = self._fits.get(wanted.message_id) or fits_schema(wanted.output)
        return answer_tool(wanted.output, fits)

    def _placed(self, step: int, blocks: Sequence[Block]) -> list[Block]:
        """The blocks as this step's, each call with an id that the journal has not yet.

        A vendor may number the calls of each answer anew, and a hook may give what it kept.
        """
        taken: set[str] = set()
        placed: list[Block] = []
        for block in blocks:
            if block.step != step:
                block = replace(block, step=step)
            if isinstance(block, ToolCall):
                call_id = block.call_id
                while call_id in taken or call_id in self._context.call_ids:
                    call_id = f"{call_id}-{step}"
                taken.add(call_id)
                if call_id != block.call_id:
                    block = replace(block, call_id=call_id)
            placed.append(block)
        return placed

    # --- tool calls ---------------------------------------------------------------------------

    async def _judge(
        self, post: Post, asked: Sequence[ToolCall]
    ) -> tuple[list[Body], dict[str, bytes]]:
        """What is known of each call before it runs. Those without an event may run."""
        bodies: list[Body] = []
        blobs: dict[str, bytes] = {}
        answer = self._answer_tool()
        for call in asked:
            if answer is not None and call.name == answer.name:
                bodies.append(taken(call, answer))
                continue
            judged = await assess(
                call,
                post=post,
                tools=self._s.tools,
                hooks=self._s.hooks,
                context=self._tool_context(post, call),
            )
            bodies += judged.bodies
            blobs.update(judged.blobs)
            self._judged[call.call_id] = judged.arguments
        return bodies, blobs

    def _intend(self, post: Post, asked: Sequence[ToolCall], judged: Sequence[Body]) -> list[Body]:
        """The starts of the calls that run at once: one write less for each answer."""
        if self._parked():
            return []
        settled = {getattr(body, "call_id", "") for body in judged}
        free = [call for call in asked if call.call_id not in settled]
        group = first_batch(free, self._s.parallel)[: post.limits.parallel_tools]
        self._intended.update(call.call_id for call in group)
        return [_start(call, self._judged[call.call_id]) for call in group]

    async def _run_tools(self, post: Post, calls: tuple[Call, ...]) -> None:
        if strange := [call.asked for call in calls if self._is_strange(call)]:
            bodies, blobs = await self._judge(post, strange)
            if bodies:
                await self._ledger.append(*bodies, blobs=blobs)
            return
        await self._move_to(AgentState.WORKING)
        group = first_batch(calls, self._s.parallel)
        if len(group) == 1:
            await self._run_tool(post, group[0])
        else:
            await self._run_together(post, group)

    def _is_strange(self, call: Call) -> bool:
        """Asked for in an earlier run, and no person allowed it: the post may be stricter now."""
        return call.decided is None and call.call_id not in self._judged

    async def _run_together(self, post: Post, group: Sequence[Call]) -> None:
        free = asyncio.Semaphore(post.limits.parallel_tools)

        async def run(call: Call) -> None:
            async with free:
                await self._run_tool(post, call)

        try:
            async with asyncio.TaskGroup() as running:
                for call in group:
                    running.create_task(run(call))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _run_tool(self, post: Post, call: Call) -> None:
        if call.decided is not None and call.decided.decision != "allow":
            await self._ledger.append(denied_by_person(call.asked, call.decided.note))
            return
        tool = self._s.tools.get(call.name) if call.name in post.tools else None
        if tool is None:  # the registry or the post changed while the call waited
            await self._ledger.append(gone(call.asked))
            return
        arguments = self._judged.get(call.call_id, call.arguments)
        if call.decided is not None:  # the post may be stricter now than when the person allowed
            judgement = judge(post.permissions, tool, arguments, workspace=self._workspace)
            if judgement.verdict is Verdict.DENY:
                await self._ledger.append(denied_by_rule(call.asked, judgement.reason))
                return
        if call.call_id in self._intended:
            self._intended.remove(call.call_id)
        else:
            attempt = 1 if call.start is None else call.start.attempt + 1
            await self._ledger.append(_start(call.asked, arguments, attempt=attempt))
        context = self._tool_context(post, call.asked)
        done = await execute(tool, call.asked, arguments, hooks=self._s.hooks, context=context)
        after = self._after(post, call, done.bodies)
        await self._ledger.append(*done.bodies, *after, blobs=done.blobs)

    def _after(self, post: Post, call: Call, ends: Sequence[Body]) -> list[Body]:
        """The start of the next step, when this result is the last: one write less for each."""
        context = self._context
        if context.interrupting or any(other is not call for other in context.open_calls()):
            return []
        if any(isinstance(body, TodoChanged) for body in ends):  # whether to remind is open again
            return []
        if context.answer is not None:
            return []
        action = after_results(context, post.limits, now=microseconds(self._s.clock))
        if not isinstance(action, StartStep):
            return []
        return self._opening(action, *self._following(post))

    def _tool_context(self, post: Post, asked: ToolCall) -> ToolContext:
        return ToolContext(
            agent_id=self._id,
            call_id=asked.call_id,
            workspace=self._workspace,
            sandbox=self._s.egress.reaching(self._s.sandbox, post.hosts, agent_id=self._id),
            clock=self._s.clock,
            seen=self._context.seen,
            todos=self._context.todos,
            delegate=partial(self._delegate, post, asked.call_id),
            shells=self._shells,
            outputs=self._s.outputs,
            skills=self._s.skills,
            attachments=self._context.attachments,
            most_attachment_bytes=self._s.most_attachment_bytes,
            background=self._context.background,
        )

    async def _delegate(self, within: Post, call_id: str, post: str, prompt: str) -> str:
        errand = Errand(
            parent_id=self._id,
            parent_metadata=self._context.metadata,
            call_id=call_id,
            within=within,
            post=post,
            prompt=prompt,
            ask=self._s.ask_above or self._ledger.ask,
            interrupted=lambda: self._context.interrupting,
        )
        return await self._s.delegate(errand)

    # --- states and ends ----------------------------------------------------------------------

    async def _move_to(self, state: AgentState) -> None:
        if bodies := self._towards(state):
            await self._ledger.append(*bodies)

    def _towards(self, state: AgentState) -> list[Body]:
        before = self._context.state
        return [] if before is state else [StateChanged(before=before, after=state)]

    def _ending(
        self, reason: DoneReason, detail: str = "", *, answer: JsonObject | None = None
    ) -> list[Body]:
        self._judged.clear()
        self._intended.clear()
        done = Done(reason=reason, turn=self._context.turn, detail=detail, answer=answer)
        return [done, *self._towards(AgentState.READY)]

    async def _fail(self, error: ModelError) -> None:
        problem = ErrorRaised(
            phase="model", severity=Severity.ERROR, message=error.detail, hint=error.hint or ""
        )
        await self._ledger.append(problem, *self._ending(DoneReason.FAILED, str(error)))


def _text_of(response: ModelResponse) -> str:
    texts = [block.text for block in response.blocks if isinstance(block, Text)]
    return "\n".join(texts).strip()


def _never() -> bool:
    return False


def _start(asked: ToolCall, arguments: JsonObject, *, attempt: int = 1) -> ToolStart:
    changed = None if arguments == asked.arguments else arguments
    return ToolStart(call_id=asked.call_id, name=asked.name, arguments=changed, attempt=attempt)
