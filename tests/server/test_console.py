"""The console's files: one page for every address, assets for ever, nothing from outside."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from longhouse.server import errors
from longhouse.server.console import Console
from longhouse.server.middleware import RequestEnvelope

INDEX = "<!doctype html><title>Longhouse</title>"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A directory as the console's build leaves it."""
    console = tmp_path / "console"
    (console / "assets").mkdir(parents=True)
    (console / "index.html").write_text(INDEX)
    (console / "favicon.svg").write_text("<svg/>")
    (console / "assets" / "app-1a2b.js").write_text("x" * 5000)
    (console / ".sources").write_text("a stamp")
    (tmp_path / "secret.txt").write_text("not the console's")
    return console


@pytest.fixture
async def browser(built: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application that is nothing but the console."""
    async with browsing(built) as client:
        yield client


def browsing(directory: Path) -> httpx2.AsyncClient:
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    errors.install(app)
    app.router.default = Console(directory)
    transport = httpx2.ASGITransport(RequestEnvelope(app))
    return httpx2.AsyncClient(transport=transport, base_url="http://house.test")


@pytest.mark.parametrize("path", ["/", "/setup", "/agents/agent_1/sessions/session_1", "/informal"])
async def test_every_address_the_console_routes_itself_gets_its_page(
    browser: httpx2.AsyncClient, path: str
) -> None:
    answer = await browser.get(path)

    assert answer.status_code == 200
    assert answer.text == INDEX
    assert answer.headers["cache-control"] == "no-cache"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe-eval" not in answer.headers["content-security-policy"]


async def test_an_asset_is_kept_for_ever_and_sent_compressed(browser: httpx2.AsyncClient) -> None:
    answer = await browser.get("/assets/app-1a2b.js")

    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"].startswith("text/javascript")


async def test_a_file_without_a_hash_in_its_name_is_asked_for_again(
    browser: httpx2.AsyncClient,
) -> None:
    first = await browser.get("/favicon.svg")
    second = await browser.get("/favicon.svg", headers={"if-none-match": first.headers["etag"]})

    assert first.headers["cache-control"] == "no-cache"
    assert second.status_code == 304


async def test_an_asset_of_an_older_build_is_missing_and_not_a_page(
    browser: httpx2.AsyncClient,
) -> None:
    answer = await browser.get("/assets/app-0000.js")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "//secret.txt",
        "/.sources",
    ],
)
async def test_nothing_outside_the_build_is_served(browser: httpx2.AsyncClient, path: str) -> None:
    answer = await browser.get(path)

    assert "not the console's" not in answer.text
    assert "a stamp" not in answer.text


async def test_a_link_that_leads_out_of_the_build_is_not_followed(
    built: Path, browser: httpx2.AsyncClient
) -> None:
    (built / "out.txt").symlink_to(built.parent / "secret.txt")

    assert "not the console's" not in (await browser.get("/out.txt")).text


async def test_a_name_too_long_for_a_file_is_an_address_like_any_other(
    browser: httpx2.AsyncClient,
) -> None:
    assert (await browser.get("/" + "a" * 5000)).text == INDEX


async def test_without_a_built_console_the_page_says_how_to_get_it(tmp_path: Path) -> None:
    async with browsing(tmp_path / "nothing") as browser:
        answer = await browser.get("/")

    assert answer.status_code == 503
    assert "make run" in answer.text
