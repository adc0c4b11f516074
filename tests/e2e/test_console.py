"""The console in a real browser against a real server, as a person uses it.

Screenshots go to the directory in LONGHOUSE_TEST_ARTIFACTS (`.artifacts` of the checkout without
it), where CI keeps them: somebody has to look at how things look.
"""

import asyncio
import base64
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    FilePayload,
    Locator,
    Page,
    async_playwright,
    expect,
)
from tests.e2e.people import ACCOUNT, PASSWORD, Caller, admin
from tests.e2e.servers import Server, serving

from longhouse.runtime.sandbox.base import Sandbox
from longhouse.server.console import CONSOLE_DIR

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
DESK = (1280, 860)
TALL = (1280, 3000)  # a whole conversation at once: nothing of it is left undrawn
PHONE = (360, 740)
SEEN_WITHIN = 60_000  # milliseconds, on a machine that has other things to do
KEY_ARMS_WITHIN = 500  # milliseconds: a key right after an approval appeared is ignored
WISH = "Make the failing test pass"
BRANCH = "fix/percent-off"
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)  # one point

ROOT = Path(__file__).parents[2]
PICTURES = Path(os.environ.get("LONGHOUSE_TEST_ARTIFACTS") or ROOT / ".artifacts") / "console"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("console"),
    pytest.mark.usefixtures("protection"),
]
expect.set_options(timeout=SEEN_WITHIN)


# --- what a person does and sees ------------------------------------------------------------------


@dataclass(slots=True)
class Person:
    """Somebody at a page of the console."""

    page: Page
    complaints: list[str] = field(default_factory=list)  # of the page, that nobody should see

    # --- looking ----------------------------------------------------------------------------------

    def of(self, test_id: str) -> Locator:
        """Every element of this kind."""
        return self.page.get_by_test_id(test_id)

    @property
    def approval(self) -> Locator:
        """The approval that keys decide."""
        return self.of("approval").first

    @property
    def at_rest(self) -> Locator:
        """There when the agent has nothing to do."""
        return self.page.locator("[data-testid=session][data-state=ready]")

    async def picture(self, name: str) -> None:
        """Keep how the page looks now."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")

    async def conversation(self) -> list[str]:
        """The kinds and words of everything in the transcript; times and spinners left out."""
        entries = self.of("transcript").locator("[data-index]")
        words = [re.sub(r"[\d.]+ m?s\b", "", text) for text in await entries.all_inner_texts()]
        return [" ".join(text.split()) for text in words]

    async def fits(self) -> None:
        """Nothing of the page is beyond its right edge."""
        width, inner = await self.page.evaluate(
            "[document.documentElement.scrollWidth, window.innerWidth]"
        )
        assert width <= inner, f"{self.page.url} is {width} px wide on a screen of {inner}"

    # --- doing ------------------------------------------------------------------------------------

    async def sign_in(self, password: str) -> None:
        """Fill in the form of the sign-in."""
        await self.page.get_by_label("User name").fill(ACCOUNT["username"])
        await self.page.get_by_role("textbox", name="Password").fill(password)
        await self.page.get_by_role("button", name="Sign in").click()

    async def say(self, text: str) -> None:
        """Write a message and send it."""
        await self.page.get_by_label("Message", exact=True).fill(text)
        await self.page.keyboard.press("Enter")

    async def allow(self) -> str:
        """Allow what waits, by Enter; which tool it was for."""
        call = await self.approval.get_attribute("data-call")
        tool = await self.approval.get_attribute("aria-label")
        card = self.page.locator(f'[data-testid=approval][data-call="{call}"]')
        async with asyncio.timeout(SEEN_WITHIN / 1000):
            while await card.count():
                await self.page.keyboard.press("Enter")
                try:
                    await card.wait_for(state="detached", timeout=KEY_ARMS_WITHIN)
                except Error:
                    continue
        return (tool or "").rpartition(" ")[2]

    async def allow_everything(self) -> list[str]:
        """Allow whatever is asked until the turn ends; the tools it was for."""
        tools: list[str] = []
        while True:
            await expect(self.approval.or_(self.at_rest).first).to_be_visible()
            if await self.at_rest.count():
                return tools
            tools.append(await self.allow())

    async def account_menu(self) -> Locator:
        """Open the menu of the account."""
        await self.page.get_by_role("button", name="Ada Lovelace").click()
        menu = self.page.get_by_role("menu")
        await expect(menu).to_be_visible()
        return menu


@dataclass(frozen=True, slots=True)
class House:
    """A server with a first user, and a browser before it."""

    server: Server
    ada: Caller
    browser: Browser

    async def session(self, name: str) -> str:
        """The address of a new session of a new agent in the sample repository."""
        path = await self.ada.new_session(await self.ada.new_agent(name))
        return f"{self.server.address}{path}"

    @asynccontextmanager
    async def person(self, size: tuple[int, int] = DESK) -> AsyncIterator[Person]:
        """Ada with a browser of her own, signed in. Fails when the page complained."""
        async with window(self.browser, size) as context:
            person = await sit_down(context)
            await person.page.goto(f"{self.server.address}/sign-in")
            await person.sign_in(PASSWORD)
            await person.page.wait_for_url("**/agents")
            yield person
            assert person.complaints == []


@asynccontextmanager
async def window(browser: Browser, size: tuple[int, int]) -> AsyncIterator[BrowserContext]:
    """A browser that knows nothing, with windows of this size."""
    width, height = size
    context = await browser.new_context(
        viewport={"width": width, "height": height}, locale="en-US", reduced_motion="reduce"
    )
    context.set_default_timeout(SEEN_WITHIN)
    try:
        yield context
    finally:
        await context.close()


async def sit_down(context: BrowserContext) -> Person:
    """A new page of this browser, and who listens to what it complains of."""
    person = Person(await context.new_page())

    def hear(message: ConsoleMessage) -> None:
        # A browser reports every answer of 400 and up as an error, also those the page expects.
        if message.type == "error" and "the server responded with a status" not in message.text:
            person.complaints.append(message.text)

    person.page.on("console", hear)
    person.page.on("pageerror", lambda error: person.complaints.append(str(error)))
    return person


# --- fixtures -------------------------------------------------------------------------------------


def missing_needs() -> list[str]:
    """What these tests need and this machine has not, and how to get it."""
    needs = {
        "chromium (apt-get install chromium)": CHROMIUM,
        "built console (python3 dev.py console)": CONSOLE_DIR / "index.html",
    }
    return [name for name, path in needs.items() if not path.exists()]


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Chromium. CI must have it, and a built console; elsewhere its tests are skipped, loudly."""
    if missing := missing_needs():
        reason = f"THE CONSOLE IS NOT TESTED: there is no {' and no '.join(missing)}."
        if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        await started.close()


@pytest.fixture(scope="module")
async def house(
    browser: Browser, protection: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """One house for all tests but that of the first run."""
    del protection
    folder = tmp_path_factory.mktemp("console")
    async with serving(folder / "house") as server, admin(server) as ada:
        yield House(server, ada, browser)


def passes(repository: Path, branch: str, target: Path) -> bool:
    """Whether the sample's tests pass on this branch."""
    clone = ["git", "clone", "--quiet", "--branch", branch, str(repository), str(target)]
    subprocess.run(clone, check=True, capture_output=True)
    tests = [sys.executable, "-m", "unittest"]
    return subprocess.run(tests, cwd=target, capture_output=True, check=False).returncode == 0


# --- the main job ---------------------------------------------------------------------------------


async def test_from_the_first_run_to_a_commit(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path / "house") as server, window(browser, DESK) as context:
        ada = await sit_down(context)
        page = ada.page
        link, _ = await server.one_time_link()

        await page.goto(link)
        await expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
        await ada.picture("01-first-run")
        await page.get_by_label("User name").fill(ACCOUNT["username"])
        await page.get_by_label("Your name").fill(ACCOUNT["display_name"])
        await page.get_by_label("E-mail").fill(ACCOUNT["email"])
        await page.get_by_role("textbox", name="Password").fill(PASSWORD)
        await page.get_by_role("button", name="Create account").click()

        await expect(page.get_by_text("No agents yet")).to_be_visible()
        assert "token" not in page.url, "the one-time link is not left in the history"
        await ada.picture("02-no-agents")
        await page.get_by_role("link", name="New agent").first.click()
        await expect(page.get_by_role("radio", name="Engineer")).to_be_checked()
        await ada.picture("03-new-agent")
        await page.get_by_role("button", name="Create agent").click()

        await expect(page.get_by_text("What shall be done?")).to_be_visible()
        await ada.picture("04-session-begins")
        await page.get_by_role("button", name=WISH).click()
        await expect(ada.approval).to_be_visible()
        await ada.picture("05-approval-of-a-command")
        tools = [await ada.allow()]
        await expect(ada.approval.or_(ada.at_rest).first).to_be_visible()
        await ada.picture("06-next-approval")
        tools += await ada.allow_everything()
        await ada.picture("07-turn-ended")

        assert {"bash_run", "fs_edit"} <= set(tools)
        await page.get_by_text("Changes", exact=True).click()
        await expect(ada.of("diff")).to_contain_text("price * (1 - percent / 100)")
        await ada.picture("08-changes")
        await page.get_by_role("button", name="Commit to a branch").click()
        await page.get_by_label("Branch").fill(BRANCH)
        await ada.picture("09-commit")
        await page.get_by_role("button", name="Commit", exact=True).click()
        await expect(page.get_by_text(f"Committed to {BRANCH}")).to_be_visible()
        await ada.picture("10-committed")

        agent_id = page.url.split("/agents/")[1].split("/")[0]
        repository = server.data_dir / "agents" / agent_id / "git"
        assert await asyncio.to_thread(passes, repository, BRANCH, tmp_path / "after")
        assert ada.complaints == []


async def test_a_denial_with_a_note_is_told_to_the_agent(house: House) -> None:
    address = await house.session("Denied")
    async with house.person() as ada:
        await ada.page.goto(address)
        await ada.say(WISH)
        await expect(ada.approval).to_be_visible()

        await ada.page.keyboard.press("Escape")
        note = ada.page.get_by_label("Note to the agent")
        await expect(note).to_be_focused()
        await ada.page.keyboard.type("Only read, please.")
        await ada.picture("20-deny-with-a-note")
        await ada.page.keyboard.press("Enter")

        await expect(ada.at_rest).to_be_visible()
        denied = ada.page.locator("[data-testid=tool-card][data-outcome=denied]")
        await expect(denied).to_have_count(1)
        await expect(ada.of("answer").last).to_contain_text("Only read, please.")
        await denied.get_by_role("button").click()
        await ada.picture("21-denied")


# --- how it is shown ------------------------------------------------------------------------------


async def test_the_console_speaks_chinese(house: House) -> None:
    address = await house.session("Zhang Wei")
    async with house.person() as ada:
        await ada.page.goto(address)
        await ada.say(WISH)
        await expect(ada.approval).to_be_visible()
        menu = await ada.account_menu()
        await menu.get_by_text("简体中文").click()

        await expect(ada.page.locator("html")).to_have_attribute("lang", "zh-CN")
        await ada.page.keyboard.press("Escape")
        await expect(menu).to_be_hidden()
        await expect(ada.page.get_by_role("link", name="AI 员工")).to_be_visible()
        await ada.picture("30-chinese-session")
        for name, place in (("agents", "agents"), ("new", "agents/new"), ("posts", "posts")):
            await ada.page.goto(f"{house.server.address}/{place}")
            await expect(ada.page.get_by_role("heading", level=1)).to_be_visible()
            await ada.page.wait_for_load_state("networkidle")
            await ada.picture(f"31-chinese-{name}")
        await ada.page.goto(f"{house.server.address}/inbox")
        await expect(ada.approval).to_be_visible()
        await ada.picture("32-chinese-inbox")


async def test_dark_colours_are_kept(house: House) -> None:
    address = await house.session("Night")
    async with house.person() as ada:
        await ada.page.goto(address)
        await ada.say(WISH)
        await expect(ada.approval).to_be_visible()
        menu = await ada.account_menu()
        await menu.get_by_text("Dark").click()
        await ada.page.keyboard.press("Escape")
        await expect(menu).to_be_hidden()
        await ada.picture("40-dark-approval")
        await ada.of("transcript").click()  # away from the menu's button, which Enter would press
        await ada.allow_everything()
        await ada.picture("41-dark-conversation")

        await ada.page.goto(f"{address}?tab=changes")

        await expect(ada.of("diff")).to_be_visible()
        scheme = ada.page.locator("html")
        await expect(scheme).to_have_attribute("data-mantine-color-scheme", "dark")
        await ada.picture("42-dark-changes")


async def test_everything_fits_on_a_phone(house: House) -> None:
    address = await house.session("Pocket")
    async with house.person(PHONE) as ada:
        settings = ("account", "people", "audit", "health")
        places = (
            "agents",
            "agents/new",
            "posts",
            "inbox",
            *(f"settings/{name}" for name in settings),
        )
        for name in places:
            await ada.page.goto(f"{house.server.address}/{name}")
            await expect(ada.page.get_by_role("heading", level=1)).to_be_visible()
            await ada.page.wait_for_load_state("networkidle")
            await ada.fits()
            await ada.picture(f"50-phone-{name.replace('/', '-')}")
        await ada.page.goto(address)
        await expect(ada.of("session")).to_be_visible()
        await ada.picture("51-phone-session")
        await ada.say(WISH)
        await expect(ada.approval).to_be_visible()
        await ada.fits()
        await ada.picture("52-phone-approval")
        await ada.approval.get_by_role("button", name="Allow").click()
        await ada.allow_everything()
        await ada.fits()
        await ada.picture("53-phone-conversation")
        await ada.page.goto(f"{address}?tab=changes")
        await expect(ada.of("diff")).to_be_visible()
        await ada.fits()
        await ada.picture("54-phone-changes")
        await ada.page.get_by_role("button", name="Menu", exact=True).click()
        await expect(ada.page.get_by_role("dialog")).to_be_visible()
        await ada.picture("55-phone-menu")


# --- pictures and moments -------------------------------------------------------------------------


async def test_a_picture_goes_with_a_message_and_is_shown_again(house: House) -> None:
    address = await house.session("Pictures")
    async with house.person() as ada:
        await ada.page.goto(address)
        await expect(ada.of("session")).to_be_visible()
        shot: FilePayload = {"name": "dot.png", "mimeType": "image/png", "buffer": PICTURE}
        await ada.page.locator("input[type=file]").set_input_files(shot)
        await expect(ada.of("attachment")).to_be_visible()

        await ada.say("What is on it?")

        shown = ada.of("message").get_by_role("img", name="dot.png")
        await expect(shown).to_be_visible()
        await ada.page.reload()
        await expect(shown).to_be_visible()
        await ada.picture("62-attachment")


async def test_a_conversation_is_looked_at_as_it_was_and_forked(house: House) -> None:
    address = await house.session("Moments")
    async with house.person(TALL) as ada:
        await ada.page.goto(address)
        await ada.say(WISH)
        await expect(ada.approval).to_be_visible()
        await ada.allow_everything()
        await ada.page.get_by_role("button", name="Snapshots and forks").click()
        await ada.page.get_by_role("menuitem", name="Take a snapshot").click()
        await ada.page.get_by_label("Name").fill("before the question")
        await ada.page.keyboard.press("Enter")
        await expect(ada.of("note").get_by_text("before the question")).to_be_visible()
        await ada.say("Thank you.")
        await expect(ada.of("message").get_by_text("Thank you.")).to_be_visible()

        await ada.page.get_by_role("button", name="Snapshots and forks").click()
        await ada.page.get_by_role("menuitem", name="before the question").click()
        await expect(ada.of("moment")).to_be_visible()
        await expect(ada.page.get_by_label("Message", exact=True)).to_have_count(0)
        await ada.picture("63-moment")
        await ada.of("moment").get_by_role("button", name="Fork from here").click()

        await expect(ada.page.get_by_text(f"Fork: {WISH}")).to_be_visible()
        await expect(ada.of("moment")).to_have_count(0)
        await ada.say("And now?")
        await expect(ada.of("message").get_by_text("And now?")).to_be_visible()
        await expect(ada.of("message").get_by_text("Thank you.")).to_have_count(0)
        await ada.picture("64-fork")


# --- nothing is lost, nothing is shown twice ------------------------------------------------------


async def test_a_reload_in_the_middle_of_a_turn_shows_everything_once(house: House) -> None:
    address = await house.session("Reload")
    async with house.person(TALL) as ada:
        await ada.page.goto(address)
        await ada.say(WISH)
        await expect(ada.approval).to_be_visible()
        before = await ada.conversation()

        await ada.page.reload()
        await expect(ada.approval).to_be_visible()
        assert await ada.conversation() == before

        await ada.allow()
        await ada.page.reload()  # while it works
        await ada.allow_everything()

        await expect(ada.of("live")).to_have_count(0)
        whole = await ada.conversation()
        await ada.picture("60-after-two-reloads")
        await ada.page.reload()
        await expect(ada.at_rest).to_be_visible()
        assert await ada.conversation() == whole
        events = await house.ada.events(address.removeprefix(house.server.address))
        calls = [event for event in events if event["type"] == "tool_call"]
        await expect(ada.of("tool-card")).to_have_count(len(calls))
        await expect(ada.of("message")).to_have_count(1)


async def test_two_tabs_show_the_same_and_stay_signed_in(house: House) -> None:
    address = await house.session("Twins")
    async with house.person(TALL) as ada:
        other = await sit_down(ada.page.context)
        await ada.page.goto(address)
        await other.page.goto(address)
        await ada.say(WISH)
        await expect(ada.approval).to_be_visible()
        await expect(other.approval).to_be_visible()
        call = await other.approval.get_attribute("data-call")

        await ada.allow()

        await expect(
            other.page.locator(f'[data-testid=approval][data-call="{call}"]')
        ).to_be_hidden()
        await asyncio.gather(ada.page.reload(), other.page.reload())  # both refresh their login
        await other.allow_everything()
        await expect(ada.at_rest).to_be_visible()
        assert await ada.conversation() == await other.conversation()
        assert other.complaints == []


async def test_signing_out_closes_every_tab_and_a_wrong_password_is_told(house: House) -> None:
    address = await house.session("Leaving")
    async with house.person() as ada:
        other = await sit_down(ada.page.context)
        await ada.page.goto(address)
        await other.page.goto(address)
        await expect(other.of("session")).to_be_visible()

        menu = await ada.account_menu()
        await menu.get_by_role("menuitem", name="Sign out").click()

        for person in (ada, other):
            await expect(person.page).to_have_url(re.compile(r"/sign-in"))
        await ada.page.goto(address)
        await expect(ada.page).to_have_url(re.compile(r"/sign-in\?next="))
        await ada.sign_in("not the password")
        await expect(ada.of("problem")).to_be_visible()
        await ada.picture("70-wrong-password")
        await ada.sign_in(PASSWORD)
        await expect(ada.of("session")).to_be_visible()
