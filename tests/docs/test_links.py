"""Follows every link of the documentation as far as that is possible without a network."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from tests.docs.pages import DOCS, PAGES, ROOT, anchors, links, page

NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:")


def destination(name: str, target: str) -> tuple[Path, str]:
    """The file a relative link leads to, and the heading in it."""
    path, _, anchor = target.partition("#")
    here = ROOT / name
    return ((here.parent / unquote(path)).resolve() if path else here), anchor


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_leads_to_a_file_and_a_heading_of_this_repository(name: str) -> None:
    broken = []
    for target in links(page(name)):
        if OUTSIDE.match(target):
            continue
        file, anchor = destination(name, target)
        if not file.is_relative_to(ROOT) or not file.exists():
            broken.append(f"{target}: there is no such file")
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
            broken.append(f"{target}: there is no such heading")

    assert broken == []


@pytest.mark.parametrize("name", NAMES)
def test_links_that_lead_outside_are_safe(name: str) -> None:
    outside = [target for target in links(page(name)) if OUTSIDE.match(target)]

    assert [target for target in outside if not target.startswith("https://")] == []


def test_every_page_of_the_documentation_is_found_from_its_index() -> None:
    linked = {destination("docs/index.md", target)[0] for target in links(page("docs/index.md"))}

    pages = {path for path in DOCS.rglob("*.md") if path.name != "index.md"}
    assert pages - linked == set()


def test_every_picture_is_shown_somewhere() -> None:
    shown = {destination(name, target)[0] for name in NAMES for target in links(page(name))}

    assert {path for path in (DOCS / "images").iterdir() if path.is_file()} - shown == set()
