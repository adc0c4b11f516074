"""Reading the documentation: its pages, tables, links and examples, for the tests beside this file.

It knows Markdown as far as our pages use it, and nothing of what they say.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (
    *(path for path in sorted(ROOT.glob("*.md"))),
    *sorted(DOCS.rglob("*.md")),
)
"""Every page: those at the root and all below `docs`."""

_FENCE = re.compile(r"^(?P<fence>```+)(?P<language>\w*)\n(?P<text>.*?)^(?P=fence)$", re.M | re.S)
_HEADING = re.compile(r"^(#+) +(.+?) *$", re.M)
_LINK = re.compile(r"!?\[[^\]\n]*\]\((?P<target>[^()\s]+)\)")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int  # of the page, where its text begins
    alone: bool  # whether anything but white space and one line stands before it, after the last


def page(name: str) -> str:
    """The text of a page, by its path from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    found = list(_HEADING.finditer(_without_blocks(text)))
    for place, match in enumerate(found):
        if match[2] == heading:
            level = len(match[1])
            ends = (later.start() for later in found[place + 1 :] if len(later[1]) <= level)
            return text[match.end() : next(ends, len(text))]
    raise AssertionError(f"there is no heading {heading!r}")


def rows(text: str) -> list[list[str]]:
    """The cells of every table row in the text, without heads and rulers."""
    lines = _without_blocks(text).splitlines()
    ruled = {place for place, line in enumerate(lines) if re.fullmatch(r"\|[\s|:-]+\|", line)}
    return [
        [cell.strip().replace("\\|", "|") for cell in _CELL.split(line.strip()[1:-1])]
        for place, line in enumerate(lines)
        if line.startswith("|") and place not in ruled and place + 1 not in ruled
    ]


def code(cell: str) -> str:
    """What stands between the first back quotes of a cell."""
    found = re.search(r"`([^`]+)`", cell)
    assert found is not None, f"{cell!r} names nothing in back quotes"
    return found[1]


def codes(cell: str) -> list[str]:
    """Everything a cell names in back quotes."""
    return re.findall(r"`([^`]+)`", cell)


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    end = 0
    for match in _FENCE.finditer(text):
        between = text[end : match.start()].strip()
        line = text.count("\n", 0, match.start()) + 2
        yield Block(match["language"], match["text"], line, alone="\n" in between)
        end = match.end()


def links(text: str) -> list[str]:
    """Where a page's links and images lead."""
    return [match["target"] for match in _LINK.finditer(_without_blocks(text))]


def anchors(text: str) -> set[str]:
    """What can follow a `#` in a link to this page, as GitHub makes it of headings."""
    return {_slug(match[2]) for match in _HEADING.finditer(_without_blocks(text))}


def _slug(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return kept.replace(" ", "-")


def _without_blocks(text: str) -> str:
    """The same text with fenced blocks blank, so that every place stays where it is."""
    return _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
