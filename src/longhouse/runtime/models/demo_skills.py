"""What the demo model can do: a list of skills, each of which may choose the next action. Pure.

`decide` asks them in order; the first that has something to do acts. A skill looks at the facts of
the turn (`demo_view`) and at nothing else, so the same conversation always gets the same answer.

    decline   stop where a person or a rule said no
    chat      small talk needs no tools
    run       "run `make lint`"
    plan      write down what will be done
    look      list the files, read the important ones
    reread    look again at a file that an edit did not fit
    test      run the project's tests
    repair    make a failing test pass, one small change at a time
    write     put what was found into NOTES.md
    tick      mark the plan as done
    conclude  say what was done (always acts)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias

from longhouse.protocol.events import JsonObject, Outcome
from longhouse.runtime.models import demo_repair, demo_view
from longhouse.runtime.models.demo_view import (
    EDIT,
    GLOB,
    PLAN,
    READ,
    SHELL,
    WRITE,
    Finished,
    TestRun,
    View,
)

ME = (
    "I am the demo model: scripted, not an AI, but the tool calls are real."
    " Set a model key for real answers."
)
"""Ends every answer."""

NAME = "Demo model:"
"""Begins every remark on the way to one."""

NOTES = "NOTES.md"

MOST_READ = 8
"""Files read at the beginning."""

MOST_CALLS = 80
"""Of one turn; more means that something is not as this model supposes."""

QUOTED_LINES = 20
"""Of a command's output, in an answer."""


@dataclass(frozen=True)
class Call:
    """A tool call without its id."""

    name: str
    arguments: JsonObject


@dataclass(frozen=True)
class Action:
    """The next answer: words, calls or both."""

    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()


Skill: TypeAlias = Callable[[View], Action | None]


def decide(view: View) -> Action:
    """The next action of the turn."""
    for skill in SKILLS:
        action = skill(view)
        if action is not None:
            return action
    raise AssertionError("the last skill always acts")


# --- what was asked for ---------------------------------------------------------------------------

_HELLO = re.compile(
    r"\W*(hi|hello|hey|thanks?( you)?|thank you|who are you|what can you do|help"
    r"|\u4f60\u597d|\u60a8\u597d|\u8c22\u8c22|\u4f60\u662f\u8c01)\W*",
    re.IGNORECASE,
)  # the last ones: hello, thanks and who are you in Chinese
_REPAIR = re.compile(
    r"\b(fix|repair|bug|broken|fail\w*|pass|green|correct)\b|\u4fee|\u901a\u8fc7|\u9519\u8bef",
    re.IGNORECASE,
)  # the Chinese ones: repair, pass, error
_WRITE = re.compile(
    r"\b(write|create|add|document|note|notes|summari[sz]e)\b|\u5199|\u521b\u5efa|\u603b\u7ed3",
    re.IGNORECASE,
)  # the Chinese ones: write, create, summarise
_COMMAND = re.compile(r"(?:\b(?:run|execute)\b|\u8fd0\u884c|\u6267\u884c)[^`\n]*`([^`\n]+)`", re.I)


def _command(view: View) -> str | None:
    match = _COMMAND.search(view.asked)
    return match[1].strip() if match else None


def _wants_repair(view: View) -> bool:
    return _REPAIR.search(view.asked) is not None


def _wants_notes(view: View) -> bool:
    return _WRITE.search(view.asked) is not None and not _wants_repair(view)


# --- stopping and talking -------------------------------------------------------------------------


def decline(view: View) -> Action | None:
    """Stop where somebody said no, or where nothing goes as it should."""
    stopped = [f for f in view.last_batch if f.call.name in (EDIT, WRITE, SHELL)]
    denied = next((f for f in stopped if f.result.outcome is Outcome.DENIED), None)
    if denied is not None:
        return Action(text=_respect(denied, view))
    if len(view.done) >= MOST_CALLS:
        return Action(text=f"I stop here, after {len(view.done)} tool calls without getting far.")
    return None


def _respect(denied: Finished, view: View) -> str:
    what = denied.argument("path") or f"`{denied.argument('command')}`"
    words = [f"As you wish: I did not use `{denied.call.name}` on {what}."]
    if note := denied.result.content.strip():
        words.append(f"I was told: {note}")
    words.append(
        "Nothing of it was done." if not _present_change(view) else "My last change is still there."
    )
    words.append("Tell me how to go on, and I will.")
    return "\n\n".join(words)


def chat(view: View) -> Action | None:
    """Small talk needs no tools."""
    if view.done or not _HELLO.fullmatch(view.asked):
        return None
    return Action(
        text="Hello! I can look at the repository in my workspace, run its tests, repair a small"
        " slip that makes a test fail, and write notes. Try: make the failing test pass."
    )


def run(view: View) -> Action | None:
    """A command between back quotes is run as it is."""
    command = _command(view)
    if command is None:
        return None
    ran = view.calls_of(SHELL)
    if ran:
        return Action(text=f"I ran `{command}`:\n\n{_fenced(ran[-1].result.content)}")
    if SHELL not in view.tools:
        return Action(text=f"I would run `{command}`, but this post has no `{SHELL}`.")
    return Action(thinking="I was asked to run a command.", calls=(_shell(command),))


# --- looking around -------------------------------------------------------------------------------


def plan(view: View) -> Action | None:
    """Write down what will be done."""
    if view.calls_of(PLAN, GLOB):
        return None
    calls = (_todos(view, done=0),) if PLAN in view.tools else ()
    greeting = "" if not view.first else "Let me look at the repository and run its tests."
    if not calls and not greeting:
        return None
    if GLOB in view.tools:
        calls = (*calls, Call(GLOB, {"pattern": "**/*"}))
    if not calls:
        return None
    return Action(text=greeting, thinking=_first_thought(view), calls=calls)


def look(view: View) -> Action | None:
    """List the files, then read the important ones, all at once."""
    if GLOB in view.tools and not view.calls_of(GLOB):
        return Action(thinking="Which files are there?", calls=(Call(GLOB, {"pattern": "**/*"}),))
    if READ not in view.tools or view.calls_of(READ):
        return None
    paths = sorted(view.files, key=_importance)[:MOST_READ]
    if not paths:
        return None
    return Action(
        thinking=f"There are {len(view.files)} files. I read the ones that tell the most.",
        calls=tuple(Call(READ, {"path": path}) for path in paths),
    )


def _first_thought(view: View) -> str:
    if _wants_repair(view):
        return "A test fails. I look at the code, see how it fails, and change as little as I can."
    if _wants_notes(view):
        return "I look at the repository first, so that what I write is true."
    return "I look at what is there before I say anything about it."


def _importance(path: str) -> tuple[int, int, str]:
    """Read-me and project files first, then sources and tests near the root."""
    place = PurePosixPath(path)
    if place.stem.upper() == "README":
        rank = 0
    elif place.name in ("pyproject.toml", "package.json", "Makefile"):
        rank = 1
    elif place.suffix in _SOURCES:
        rank = 2
    else:
        rank = 3
    return rank, len(place.parts), path


_SOURCES = frozenset({".py", ".js", ".ts", ".go", ".rs"})


def _is_test(path: str) -> bool:
    name = PurePosixPath(path).name
    return name.startswith("test_") or "_test." in name or ".test." in name or ".spec." in name


# --- testing --------------------------------------------------------------------------------------


def test(view: View) -> Action | None:
    """Run the project's tests once the files are known, and again after each change."""
    command = _test_command(view)
    if command is None or SHELL not in view.tools or _cannot_run(view):
        return None
    if view.runs and not _changed_since_run(view):
        return None
    thought = "Did that help?" if view.runs else "How do the tests do?"
    return Action(thinking=thought, calls=(_shell(command),))


test.__test__ = False  # type: ignore[attr-defined]


def _test_command(view: View) -> str | None:
    """How this project's tests are run, by the files it has."""
    files = set(view.files)
    tests = [path for path in files if _is_test(path) and path.endswith(".py")]
    if files & {"pytest.ini", "conftest.py", "tests/conftest.py"} or any(
        "import pytest" in view.texts.get(path, "") for path in tests
    ):
        return "python3 -B -m pytest -q -p no:cacheprovider"
    if tests:
        # -B: Python would take a cached module for current when a file changes within a second.
        folders = {str(PurePosixPath(path).parent) for path in tests}
        start = "" if "." in folders else f" discover -s {min(folders)}"
        return f"python3 -B -m unittest{start} -q"
    for name, command in _OTHER_TESTS.items():
        if name in files:
            return command
    return None


_OTHER_TESTS = {
    "package.json": "npm test --silent",
    "Cargo.toml": "cargo test -q",
    "go.mod": "go test ./...",
}


def _changed_since_run(view: View) -> bool:
    for finished in reversed(view.done):
        if demo_view.test_run(finished) is not None:
            return False
        # A file is only read again when it is not what it was thought to be.
        if finished.call.name in (EDIT, READ) and finished.ok:
            return True
    return False


def _cannot_run(view: View) -> Finished | None:
    """The shell call that the sandbox or a rule did not let run. A cut one can be repeated."""
    for finished in view.calls_of(SHELL):
        cut = finished.result.outcome in (Outcome.SEALED, Outcome.INTERRUPTED)
        if not finished.ok and not cut and demo_view.test_run(finished) is None:
            return finished
    return None


# --- repairing ------------------------------------------------------------------------------------


@dataclass
class _Repair:
    """A fold of this turn's edits and test runs."""

    good: dict[str, str]  # the sources when the tests did best so far
    best: TestRun
    now: dict[str, str]  # the sources as they are
    tried: set[tuple[str, str]]  # (path, text) since `good`
    tries: int = 0  # changes made in all, without those that only put something back
    failed_edits: int = 0

    @property
    def changed(self) -> list[str]:
        return [path for path, text in self.now.items() if self.good.get(path, text) != text]


def _repair_state(view: View) -> _Repair | None:
    """Where the repair stands; None while no test has failed."""
    state: _Repair | None = None
    texts: dict[str, str] = {}
    for finished in view.done:
        demo_view.note(finished, texts)
        if state is None:
            if (run := demo_view.test_run(finished)) is not None and not run.passed:
                state = _Repair(good=dict(texts), best=run, now=texts, tried=set())
            continue
        if finished.call.name == EDIT:
            path = finished.argument("path")
            text = texts.get(path, "")
            state.tried.add((path, text))
            state.failed_edits += not finished.ok
            state.tries += finished.ok and text != state.good.get(path)
        if finished.call.name == READ and finished.ok:
            # Somebody else changed the file: theirs is what ours are made on, and put back to.
            path = finished.argument("path")
            state.good[path] = texts.get(path, "")
        run = demo_view.test_run(finished)
        if run is not None and run.failures < state.best.failures:
            state.good, state.best, state.tried = dict(texts), run, set()
    return state


def reread(view: View) -> Action | None:
    """Look again at a file whose edit failed or was cut: it is not what it was thought to be."""
    unclear: list[str] = []
    for finished in view.done:
        path = finished.argument("path")
        if finished.call.name == EDIT and not finished.ok:
            unclear.append(path)
        elif finished.call.name == READ and path in unclear:
            unclear.remove(path)
    if not unclear or READ not in view.tools:
        return None
    return Action(
        thinking="The edit did not go as I thought. I read the file again.",
        calls=tuple(Call(READ, {"path": path}) for path in dict.fromkeys(unclear)),
    )


def repair(view: View) -> Action | None:
    """Make a failing test pass, one small change at a time; put back what does not help."""
    if not _wants_repair(view) or EDIT not in view.tools:
        return None
    state = _repair_state(view)
    if state is None or state.best.passed or state.failed_edits > 2:
        return None
    proposal = _next_proposal(state)
    if proposal is None:
        return _put_back(state)
    wanted = {**state.good, proposal.path: proposal.text}
    text = (
        f"`{proposal.before}` in {proposal.path} looks wrong to me; I try `{proposal.after}`."
        if not state.tries
        else f"That was not it. Next: `{proposal.after}` in {proposal.path}."
    )
    thinking = f"{state.best.failures} failing. A small slip near what the test calls?"
    return Action(text=text, thinking=thinking, calls=tuple(_edits(state.now, wanted)))


def _next_proposal(state: _Repair) -> demo_repair.Proposal | None:
    if state.tries >= demo_repair.MAX_TRIES:
        return None
    sources = {path: text for path, text in state.good.items() if _is_source(path)}
    proposals = demo_repair.proposals(sources, state.best.output)
    return next((p for p in proposals if (p.path, p.text) not in state.tried), None)


def _put_back(state: _Repair) -> Action | None:
    if not state.changed:
        return None
    text = "None of the small changes I know helps, so I put the file back as it was."
    return Action(text=text, calls=tuple(_edits(state.now, state.good)))


def _edits(now: dict[str, str], wanted: dict[str, str]) -> Iterator[Call]:
    for path, text in wanted.items():
        if now.get(path, text) != text:
            edit = demo_repair.edit(path, now[path], text)
            yield Call(EDIT, {"path": edit.path, "old": edit.old, "new": edit.new})


def _is_source(path: str) -> bool:
    return PurePosixPath(path).suffix in _SOURCES and not _is_test(path)


def _present_change(view: View) -> bool:
    state = _repair_state(view)
    return state is not None and bool(state.changed)


# --- writing and finishing ------------------------------------------------------------------------


def write(view: View) -> Action | None:
    """Put what was found into a file, when that was asked for."""
    if not _wants_notes(view) or WRITE not in view.tools or view.calls_of(WRITE):
        return None
    if NOTES in view.files and not any(f.argument("path") == NOTES for f in view.calls_of(READ)):
        # A file that exists has to be read before it is replaced.
        return Action(calls=(Call(READ, {"path": NOTES}),)) if READ in view.tools else None
    content = f"# Notes\n\n{_findings(view)}\n\n(Written by Longhouse's demo model.)\n"
    return Action(
        text=f"I write down what I found, in {NOTES}.",
        calls=(Call(WRITE, {"path": NOTES, "content": content}),),
    )


def tick(view: View) -> Action | None:
    """Mark the plan as done."""
    plans = [finished for finished in view.calls_of(PLAN) if finished.ok]
    if len(plans) != 1 or PLAN not in view.tools:
        return None
    unsolved = _wants_repair(view) and not (view.runs and view.runs[-1].passed)
    return Action(calls=(_todos(view, done=len(_titles(view)) - unsolved),))


def conclude(view: View) -> Action:
    """Say what was done."""
    state = _repair_state(view)
    if state is not None and view.runs[-1].passed:
        return Action(text=_repaired(view, state))
    words = [_findings(view)]
    if state is not None:
        words.append(_failing(view, state))
    written = [finished for finished in view.calls_of(WRITE) if finished.ok]
    if written:
        words.insert(0, f"I wrote {written[-1].argument('path')}. In short:")
    failed = next((f for f in reversed(view.done) if not f.ok), None)
    if failed is not None:
        words.append(f"`{failed.call.name}` did not work: {_one_line(failed.result.content)}")
    return Action(text="\n\n".join(words))


def _repaired(view: View, state: _Repair) -> str:
    edited = [finished for finished in view.calls_of(EDIT) if finished.ok]
    ran = f" ({state.best.ran} ran)" if state.best.ran else ""
    if not edited:
        return f"The tests pass{ran}."
    path, old, new = (edited[-1].argument(name) for name in ("path", "old", "new"))
    diff = "\n".join([*(f"-{line}" for line in old.splitlines()), *_added(new)])
    return (
        f"All tests pass now{ran}. The last change, in {path}:\n\n```diff\n{diff}\n```\n\n"
        "Please look at the diff before you commit it."
    )


def _added(new: str) -> list[str]:
    return [f"+{line}" for line in new.splitlines()]


def _failing(view: View, state: _Repair) -> str:
    output = _fenced(state.best.output)
    if state.tries:
        return (
            f"I tried {state.tries} small changes and none made the tests pass; the files are as"
            f" they were. This needs a real model. The tests say:\n\n{output}"
        )
    if EDIT in view.tools:
        return f"Tests are failing. Say: make the failing test pass.\n\n{output}"
    return f"Tests are failing. This post has no `{EDIT}`, so I cannot repair it.\n\n{output}"


def _findings(view: View) -> str:
    """What there is, in a few sentences."""
    lines = []
    if view.files:
        shown = ", ".join(f"`{path}`" for path in sorted(view.files, key=_importance)[:MOST_READ])
        lines.append(f"The repository has {_counted(len(view.files), 'file')}, among them {shown}.")
    else:
        missing = "" if GLOB in view.tools else f" (this post has no `{GLOB}`)"
        lines.append(f"I see no files in the workspace{missing}.")
    readme = next((view.texts[path] for path in view.texts if "readme" in path.lower()), "")
    if title := next((line for line in readme.splitlines() if line.strip()), ""):
        lines.append(f"Its read-me begins: {title.strip('# ').strip()}.")
    lines.append(_test_findings(view))
    return " ".join(lines)


def _test_findings(view: View) -> str:
    if view.runs:
        run = view.runs[-1]
        count = f" ({_counted(run.ran, 'test')} ran)" if run.ran else ""
        return f"`{run.command}` {'passes' if run.passed else 'fails'}{count}."
    if (refused := _cannot_run(view)) is not None:
        return f"Its tests could not be run: {_one_line(refused.result.content)}"
    if SHELL not in view.tools:
        return f"Its tests could not be run: this post has no `{SHELL}`."
    return "I found no tests that I know how to run."


# --- small helpers --------------------------------------------------------------------------------


def _titles(view: View) -> list[str]:
    if _wants_repair(view):
        return ["Look at the repository", "Run the tests", "Make the failing test pass"]
    if _wants_notes(view):
        return ["Look at the repository", "Run the tests", f"Write {NOTES}"]
    return ["Look at the repository", "Run the tests", "Say what I found"]


def _todos(view: View, *, done: int) -> Call:
    todos = [
        {
            "id": str(number + 1),
            "title": title,
            "status": "completed"
            if number < done
            else ("in_progress" if number == done else "pending"),
        }
        for number, title in enumerate(_titles(view))
    ]
    return Call(PLAN, {"todos": todos})


def _shell(command: str) -> Call:
    return Call(SHELL, {"command": command})


def _fenced(output: str) -> str:
    lines = output.strip().splitlines()
    cut = ["…", *lines[-QUOTED_LINES:]] if len(lines) > QUOTED_LINES else lines
    return "```\n" + "\n".join(cut) + "\n```"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:400]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


SKILLS: tuple[Skill, ...] = (
    decline, chat, run, plan, look, reread, test, repair, write, tick, conclude,
)  # fmt: skip
"""In the order in which they are asked."""
