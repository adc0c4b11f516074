"""Where a turn is shown: a live terminal, a plain one, a pipe, or JSON lines for programs.

`chat` tells a screen every item, and now and then what happens at this moment. A screen decides
nothing: it takes questions as text and does not read the answers.
"""

from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from longhouse.cli import render
from longhouse.cli.output import clean, data_console, is_dumb, put, put_lines, say, talk_console
from longhouse.cli.transcript import Item, Said, Thought, Transcript, TurnEnded
from longhouse.kit.clock import Clock, SystemClock
from longhouse.protocol.events import DoneReason


class Screen:
    """Shows nothing: what every screen can do."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""

    def event(self, data: bytes) -> None:
        """An event as it came."""

    def show(self, item: Item) -> None:
        """An item of the transcript."""

    def refresh(self, transcript: Transcript) -> None:
        """What happens at this moment."""

    def ask(self, question: Text | None) -> None:
        """A question that a key answers; None: it is answered."""

    def reveal(self, renderable: RenderableType) -> None:
        """Something a person wants to see now."""

    def remark(self, text: str) -> None:
        """Something a person should know."""
        say(text)


class _Paper:
    """Prints items one below the other, with empty lines where they help."""

    def __init__(self, console: Console, *, verbose: bool) -> None:
        self._console = console
        self._verbose = verbose
        self._before: Item | None = None

    def print(self, item: Item) -> None:
        """Print an item, if it has a look of its own."""
        renderable = render.item(item, verbose=self._verbose)
        if renderable is None:
            return
        self.begin(item)
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._console.print(renderable)
        else:
            put_lines(self._console, renderable)

    def begin(self, item: Item) -> None:
        """Print the empty line before this item, where there is one."""
        if render.apart(self._before, item):
            self._console.print()
        self._before = item


class LiveScreen(Screen):
    """A terminal: what is done scrolls by, what happens now stands below and moves."""

    def __init__(self, *, verbose: bool = False, clock: Clock | None = None) -> None:
        self._console = data_console()
        self._paper = _Paper(self._console, verbose=verbose)
        self._clock = clock or SystemClock()
        self._question: Text | None = None
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the moving part away."""
        self._live.update("", refresh=True)
        self._live.stop()

    def show(self, item: Item) -> None:
        """Print it above what moves."""
        self._paper.print(item)

    def refresh(self, transcript: Transcript) -> None:
        """Draw the moving part anew."""
        if self._question is not None:
            return  # it stands there already
        if transcript.over:
            self._live.update("", refresh=True)
        else:
            moment = self._clock.now().timestamp()
            self._live.update(render.now(transcript, clock=moment), refresh=True)

    def ask(self, question: Text | None) -> None:
        """The question takes the place of what moves."""
        self._question = question
        self._live.update(question or "", refresh=True)

    def reveal(self, renderable: RenderableType) -> None:
        """Print it above what moves."""
        self._console.print(renderable)

    def remark(self, text: str) -> None:
        """Print it among the rest: it belongs to this moment."""
        self._console.print(Text(clean(text), style="dim"))


class LineScreen(Screen):
    """A terminal that can only print: text streams as it comes, questions are lines."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._console = data_console()
        self._paper = _Paper(self._console, verbose=verbose)
        self._streamed = ""  # printed of the present block
        self._question = ""  # printed last, so that it is not repeated at every letter

    def show(self, item: Item) -> None:
        """Print it; of a block that streamed, what is missing."""
        match item:
            case Said(text) if self._streamed:
                self._complete(clean(text))
            case Thought() if self._streamed:
                pass  # it came before the text that stands there already
            case _:
                self._end_line()
                self._paper.print(item)

    def refresh(self, transcript: Transcript) -> None:
        """Print what grew of the answer."""
        grown = transcript.streamed
        if grown is None or grown.kind != "text":
            return
        text = clean(grown.text)
        if not text.startswith(self._streamed):  # the connection broke in the middle
            self._end_line()
        if not self._streamed:
            self._paper.begin(Said(text))
        self._write(text[len(self._streamed) :])
        self._streamed = text

    def _complete(self, text: str) -> None:
        if text.startswith(self._streamed):
            self._write(text[len(self._streamed) :] + "\n")
        else:  # the stream had holes: the whole block once more
            self._write(f"\n{text}\n")
        self._streamed = ""

    def ask(self, question: Text | None) -> None:
        """Print the question."""
        if question is None or question.plain == self._question:
            self._question = "" if question is None else self._question
            return
        self._end_line()
        self._question = question.plain
        self._console.print(question)

    def reveal(self, renderable: RenderableType) -> None:
        """Print it."""
        self._console.print(renderable)

    def _end_line(self) -> None:
        if self._streamed:
            self._write("\n")
            self._streamed = ""

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()


class PipeScreen(Screen):
    """A program reads: the answer goes to standard output when it is whole, the rest is talk."""

    def __init__(self, transcript: Transcript, *, verbose: bool = False) -> None:
        self._transcript = transcript
        self._paper = _Paper(talk_console(), verbose=verbose)
        self._held: Said | None = None  # the answer or not: what follows will tell

    def show(self, item: Item) -> None:
        """Talk; at the end, the answer."""
        if isinstance(item, Said):
            self._tell_held()
            self._held = item
            return
        if isinstance(item, TurnEnded) and self._transcript.over:
            self._held = None
            self._print_answer(item)
        self._tell_held()
        self._paper.print(item)

    def _tell_held(self) -> None:
        if self._held is not None:
            self._paper.print(self._held)
            self._held = None

    def _print_answer(self, ended: TurnEnded) -> None:
        if ended.reason is DoneReason.COMPLETED and self._transcript.answer:
            put("\n\n".join(text.strip("\n") for text in self._transcript.answer))


class JsonScreen(Screen):
    """A program reads every event, one on each line."""

    def event(self, data: bytes) -> None:
        """The event as the server sent it."""
        put(data.decode())


def choose(transcript: Transcript, *, json: bool, verbose: bool, terminal: bool) -> Screen:
    """The screen for where the output goes."""
    if json:
        return JsonScreen()
    if not terminal:
        return PipeScreen(transcript, verbose=verbose)
    if is_dumb():
        return LineScreen(verbose=verbose)
    return LiveScreen(verbose=verbose)
