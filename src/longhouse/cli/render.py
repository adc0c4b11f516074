"""How the items of a transcript look in a terminal. Pure: items in, rich renderables out.

Used by `screen`. Whatever comes from a model, a tool or a person passes `clean` before it is shown.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from longhouse.cli import diffs
from longhouse.cli.output import clean, count, plural, seconds
from longhouse.cli.transcript import (
    Asks,
    Decided,
    Item,
    OpenCall,
    Planned,
    Resumed,
    Said,
    Thought,
    ToolDone,
    Transcript,
    Trouble,
    TurnEnded,
    UserSaid,
)
from longhouse.protocol.events import (
    Delta,
    DoneReason,
    JsonObject,
    Outcome,
    PermissionRequired,
    Todo,
    TodoStatus,
)

DIFF_STYLES = {
    diffs.Kind.HEADER: "bold",
    diffs.Kind.HUNK: "cyan",
    diffs.Kind.ADDED: "green",
    diffs.Kind.REMOVED: "red",
    diffs.Kind.CONTEXT: "",
}

TODO_MARKS = {
    TodoStatus.PENDING: ("○", "dim"),
    TodoStatus.IN_PROGRESS: ("▸", "bold yellow"),
    TodoStatus.COMPLETED: ("●", "green"),
}

SUBJECTS = ("path", "command", "pattern", "url", "query", "name")
"""Arguments that say best what a call is about, the first that is there."""

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAMES_PER_SECOND = 8

TOOL_DIFF_LINES = 24  # shown of what a call changed; `longhouse agents diff` has all
ASKED_LINES = 40  # shown of what a call would do before `d` shows all
OUTPUT_TAIL_LINES = 4  # shown of a call that failed
VERBOSE_LINES = 60
LIVE_LINES = 12  # of what grows
INDENT = 2

_EXIT_CODE = re.compile(r"\[exit code (\d+)\]\s*\Z")


def item(shown: Item, *, verbose: bool = False) -> RenderableType | None:
    """How an item looks; None for one that needs no line of its own."""
    match shown:
        case UserSaid(text):
            return Text(f"> {clean(text)}", style="bold cyan")
        case Thought(text):
            return thought(text, verbose=verbose)
        case Said(text):
            return Markdown(clean(text))
        case ToolDone():
            return tool_done(shown, verbose=verbose)
        case Asks(required):
            return asked(required)
        case Decided():
            return decided(shown)
        case Planned(todos):
            return plan(todos)
        case Trouble():
            return trouble(shown)
        case Resumed():
            return resumed(shown)
        case TurnEnded():
            return turn_ended(shown)


def apart(before: Item | None, shown: Item) -> bool:
    """Whether an empty line stands between two items: around what is said, before a question."""
    if before is None or isinstance(shown, UserSaid | Said | Asks):
        return True
    return isinstance(before, UserSaid | Said)


def thought(text: str, *, verbose: bool) -> RenderableType:
    """Thinking: its first line and how much there is, or all of it."""
    text = clean(text).strip()
    if verbose:
        return _indented(Text(text, style="dim italic"))
    first, _, rest = text.partition("\n")
    more = len(rest.split())
    tail = f" (+ {plural(more, 'word')})" if more else ""
    return OneLine(Text(f"✻ {first}", style="dim italic"), Text(tail, style="dim"))


def tool_done(done: ToolDone, *, verbose: bool) -> RenderableType:
    """A call as one line; more where it failed, changed something unseen, or all is wanted."""
    mark, style = _mark(done)
    line = OneLine(
        Text.assemble((f"{mark} ", style), (clean(done.name), "bold"), _subject(done.arguments)),
        _tail(done),
    )
    parts: list[RenderableType] = [line]
    if done.diff and not done.previewed:
        parts.append(diff(done.diff, most=VERBOSE_LINES if verbose else TOOL_DIFF_LINES))
    elif verbose:
        parts.append(_output(done.content, most=VERBOSE_LINES))
    elif style == "red":
        parts.append(_output(done.content, most=OUTPUT_TAIL_LINES))
    return Group(*parts)


def asked(required: PermissionRequired, *, most: int | None = ASKED_LINES) -> RenderableType:
    """What a person decides about: the tool, why it asks, and what it would do."""
    by = f" in {clean(required.delegated_by)}" if required.delegated_by else ""
    title = Text.assemble(
        ("? ", "bold yellow"), (clean(required.name), "bold yellow"), (f" asks{by}", "yellow")
    )
    return Group(
        OneLine(title, Text(f"  {clean(required.reason)}", style="dim")),
        wanted(required, most=most),
    )


def wanted(required: PermissionRequired, *, most: int | None) -> RenderableType:
    """What a call would do: its diff, its command, or its arguments. `most`: lines shown."""
    if required.preview.startswith(("---", "diff ")):
        path = str(required.arguments.get("path", ""))
        added, removed = diffs.counts(required.preview)
        head = Text.assemble((clean(path), "bold"), "  ", _changes(added, removed))
        return _indented(head, diff(required.preview, most=most, indent=0))
    parts: list[RenderableType] = []
    if required.preview:
        parts.append(Text(clean(required.preview), style="yellow"))
    for name, value in required.arguments.items():
        parts.append(_argument(name, value, most=most))
    return _indented(*(parts or [Text("(no arguments)", style="dim")]))


def decided(shown: Decided) -> RenderableType | None:
    """A decision; an allowed call is told by its own line soon enough."""
    note = f": {clean(shown.note)}" if shown.note else ""
    match shown.decision:
        case "deny":
            return Text(f"  denied{note}", style="red")
        case "cancelled":
            return Text("  not decided: the turn was interrupted", style="dim")
        case _:
            return Text(f"  allowed{note}", style="green")


def plan(todos: Sequence[Todo]) -> RenderableType:
    """The agent's own plan."""
    table = Table.grid(padding=(0, 1))
    for todo in todos:
        mark, style = TODO_MARKS[todo.status]
        table.add_row(Text(mark, style=style), Text(clean(todo.title), style=_todo_style(todo)))
    return _indented(table)


def trouble(shown: Trouble) -> RenderableType:
    """Something that went wrong and does not end the turn."""
    again = "" if shown.retry_in is None else f" Trying again in {seconds(shown.retry_in)}."
    hint = f" {clean(shown.hint)}" if shown.hint else ""
    return Text(f"! {clean(shown.message)}{again}{hint}", style="yellow")


def resumed(shown: Resumed) -> RenderableType:
    """The turn goes on in another process."""
    parts = ["the turn was taken up again"]
    if shown.sealed:
        parts.append(f"{plural(shown.sealed, 'call')} may have happened in part")
    if shown.repeated:
        parts.append(f"{plural(shown.repeated, 'call')} run again")
    return Text(f"! {'; '.join(parts)}", style="yellow")


def turn_ended(ended: TurnEnded) -> RenderableType:
    """The last line of a turn."""
    spent = (
        f"{seconds(ended.seconds)} · {plural(ended.steps, 'step')} · "
        f"{count(ended.usage.input)} tokens in, {count(ended.usage.output)} out"
    )
    detail = f": {clean(ended.detail)}" if ended.detail else ""
    match ended.reason:
        case DoneReason.COMPLETED:
            return Text(f"done · {spent}", style="dim")
        case DoneReason.INTERRUPTED:
            return Text.assemble(("interrupted", "yellow"), (f" · {spent}", "dim"))
        case DoneReason.LIMIT:
            return Text.assemble((f"stopped at a limit{detail}", "yellow"), (f" · {spent}", "dim"))
        case DoneReason.FAILED:
            return Text.assemble((f"failed{detail}", "bold red"), (f" · {spent}", "dim"))


def diff(text: str, *, most: int | None = None, indent: int = INDENT) -> RenderableType:
    """A coloured diff without its file headers. `most`: lines shown; None: all."""
    found = diffs.without_headers(text)
    return _padded(_cut(_diff_lines(found), len(found), most), indent)


def whole_diff(patch: str) -> Iterator[Text]:
    """Every line of a patch, coloured."""
    return _diff_lines(diffs.lines(patch))


def now(transcript: Transcript, *, clock: float) -> RenderableType:
    """What happens at this moment: what grows, which calls run, and how to stop it."""
    parts: list[RenderableType] = []
    if transcript.streamed is not None:
        parts.append(_growing(transcript.streamed))
    spin = SPINNER[int(clock * FRAMES_PER_SECOND) % len(SPINNER)]
    parts += [_running(call, spin, clock=clock) for call in transcript.running]
    if not transcript.running:
        parts.append(OneLine(Text(f"{spin} {_doing(transcript)}", style="yellow"), _HOW_TO_STOP))
    return Group(*parts)


_HOW_TO_STOP = Text("  Ctrl-C interrupts", style="dim")


def _doing(transcript: Transcript) -> str:
    if not transcript.connected:
        return "waiting for the server"
    match transcript.streamed:
        case Delta(kind="thinking"):
            return "thinking"
        case Delta(kind="text"):
            return "answering"
        case Delta(kind="tool_call", name=name):
            return f"preparing {clean(name)}" if name else "preparing a tool call"
        case _:
            return "working" if transcript.turn_open else "waiting for its turn"


def _growing(delta: Delta) -> RenderableType:
    match delta.kind:
        case "text":
            return _padded(Tail(delta.text, most=LIVE_LINES), INDENT)
        case "thinking":
            return _padded(Tail(delta.text, most=3, style="dim italic"), INDENT)
        case "tool_call":
            return _padded(Tail(delta.text, most=3, style="dim"), INDENT)


class Tail:
    """The last lines of a text that grows, however wide the terminal is."""

    def __init__(self, text: str, *, most: int, style: str = "") -> None:
        self._text = text
        self._most = most
        self._style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Wrap as much of the end as can be seen, and keep its last lines."""
        width = max(options.max_width, 1)
        text = Text(clean(self._text[-self._most * width :]), style=self._style)
        yield Text("\n").join(list(text.wrap(console, width))[-self._most :])


def _running(call: OpenCall, spin: str, *, clock: float) -> RenderableType:
    passed = max(clock - call.started_at / 1_000_000, 0.0)
    return OneLine(
        Text.assemble(
            (f"{spin} ", "yellow"), (clean(call.asked.name), "bold"), _subject(call.arguments)
        ),
        Text(f"  {seconds(passed)}", style="dim"),
    )


class OneLine:
    """A line that is cut before its tail, never in it, where the terminal is narrow."""

    def __init__(self, main: Text, tail: Text) -> None:
        self._main = main
        self._tail = tail

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Cut what is too long and print both parts."""
        main = self._main.copy()
        main.truncate(max(options.max_width - self._tail.cell_len, 1), overflow="ellipsis")
        yield Text.assemble(main, self._tail, no_wrap=True, overflow="ellipsis")


def subject_of(arguments: JsonObject) -> str:
    """What a call is about, on one line."""
    for name in SUBJECTS:
        if isinstance(value := arguments.get(name), str) and value:
            return " ".join(value.split())
    if isinstance(todos := arguments.get("todos"), list):
        return plural(len(todos), "item")
    texts = [value for value in arguments.values() if isinstance(value, str) and value]
    return " ".join(texts[0].split()) if texts else ""


def exit_code_of(content: str) -> int:
    """The exit code at the end of a command's output; 0 when it tells none."""
    found = _EXIT_CODE.search(content)
    return int(found[1]) if found else 0


def _subject(arguments: JsonObject) -> Text:
    about = clean(subject_of(arguments))
    return Text(f" {about}" if about else "")


def _mark(done: ToolDone) -> tuple[str, str]:
    match done.outcome:
        case Outcome.OK if exit_code_of(done.content) == 0:
            return "✓", "green"
        case Outcome.DENIED | Outcome.INTERRUPTED:
            return "⊘", "yellow"
        case Outcome.SEALED:
            return "!", "yellow"
        case _:
            return "✗", "red"


def _tail(done: ToolDone) -> Text:
    tail = Text()
    if done.diff:
        tail.append("  ").append_text(_changes(*done.counts))
    if done.outcome is not Outcome.OK:
        tail.append(f"  {done.outcome}", style="yellow" if _mark(done)[1] == "yellow" else "red")
    elif code := exit_code_of(done.content):
        tail.append(f"  exit {code}", style="red")
    if done.seconds is not None:
        tail.append(f"  {seconds(done.seconds)}", style="dim")
    return tail


def _changes(added: int, removed: int) -> Text:
    return Text.assemble((f"+{added}", "green"), " ", (f"-{removed}", "red"))


def _argument(name: str, value: object, *, most: int | None) -> RenderableType:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    lines = clean(text).rstrip("\n").split("\n")
    if len(lines) == 1:
        return Text.assemble((f"{clean(name)}: ", "dim"), lines[0])
    shown = _cut((Text(line) for line in lines), len(lines), most)
    return Group(Text(f"{clean(name)}:", style="dim"), _padded(shown, INDENT))


def _output(content: str, *, most: int) -> RenderableType:
    """The end of what a call returned: there the reason stands."""
    lines = [line for line in clean(_EXIT_CODE.sub("", content)).rstrip().split("\n") if line]
    hidden = len(lines) - most
    shown = lines[-most:] if hidden > 1 else lines
    text = Text("\n".join(shown), style="dim")
    if hidden > 1:
        text = Text(f"… {plural(hidden, 'line')} before\n", style="dim").append_text(text)
    return _padded(text, INDENT)


def _diff_lines(found: Sequence[diffs.Line]) -> Iterator[Text]:
    return (Text(clean(line.text), style=DIFF_STYLES[line.kind]) for line in found)


def _cut(lines: Iterator[Text], total: int, most: int | None) -> Text:
    shown = list(lines)
    if most is not None and total > most + 1:
        shown = [*shown[:most], Text(f"… {plural(total - most, 'more line')}", style="dim")]
    return Text("\n").join(shown)


def _todo_style(todo: Todo) -> str:
    return "dim" if todo.status is TodoStatus.COMPLETED else ""


def _indented(*parts: RenderableType) -> RenderableType:
    return _padded(Group(*parts), INDENT)


def _padded(renderable: RenderableType, indent: int) -> RenderableType:
    return Padding(renderable, (0, 0, 0, indent), expand=False) if indent else renderable
