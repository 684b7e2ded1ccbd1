"""A real Chromium, Debian's, and a site for it to look at."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.admin.utils import quote as part
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.browser.serve import PASSWORD
from tests.processes import Process
from tests.system_packages import require

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}
SITE_SECONDS_MAX = 90
ACTION_MS_MAX = 10_000

Visit = Callable[..., Page]


@dataclass(frozen=True, slots=True)
class Site:
    """Where it is, and what happened there when (ISO 8601, UTC)."""

    url: str
    skipped: str
    """A slot of ``archive_checks``, by overlap; the others are of other crons."""
    paused: str
    missed: str
    failed: str
    failed_run: str

    def path(self, page: str = "") -> str:
        return f"{self.url}/admin/rqcron_projections/cronjob/{page}"

    def cron(self, name: str) -> str:
        return self.path(f"cron/{quote(part(name))}/")

    def slot(self, name: str, instant: str) -> str:
        return f"{self.cron(name)}slot/{quote(instant)}/"

    def action(self, what: str, **about: str) -> str:
        return self.path(f"do/{what}/?{urlencode(about)}")

    def pages(self) -> dict[str, str]:
        """The address of each page, by what it shows."""
        return {
            "overview": self.path(),
            "cron": self.cron("archive_checks"),
            "cron_with_any_name": self.cron("mail/owners#monday"),
            "cron_that_was_edited": self.cron("rank_sites"),
            "slot_skipped": self.slot("archive_checks", self.skipped),
            "slot_paused": self.slot("sync_contacts", self.paused),
            "slot_missed": self.slot("sync_contacts", self.missed),
            "slot_failed": self.slot("rank_sites", self.failed),
            "run_failed": self.path(f"run/{self.failed_run}/"),
            "log": self.path("log/"),
            "log_of_a_cron": self.path("log/?cron=rank_sites&event=failures"),
            "event": self.path("log/1/"),
            "report": self.path("report/"),
            "report_of_instants": self.path("report/?since=yesterday+9am&by=hour"),
            "report_with_a_mistake": self.path("report/?since=soon&cron=rank_site"),
            "load": self.path("load/"),
            "load_of_an_hour": self.path(f"load/?hour={self.skipped[:13]}:00:00Z"),
            "load_to_come": self.path("load/?hour=2036-01-01T03:00:00Z"),
            "pause": self.action("pause", cron="archive_checks"),
            "resume": self.action("resume", cron="archive_checks"),
            "trigger": self.action("trigger", cron="mail/owners#monday"),
            "rerun": self.action("rerun", run=self.failed_run),
            "backfill": self.action("backfill", cron="rank_sites", **{"from": "yesterday"}),
        }


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    require("chromium", is_installed=CHROMIUM is not None, untested="the pages in a browser")
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "tests.browser.serve", str(directory)]
    process = Process(command, {**os.environ, "PYTHONUNBUFFERED": "1"}, directory / "site.log")
    ready = directory / "site.json"
    try:
        deadline = time.monotonic() + SITE_SECONDS_MAX
        while not ready.exists():
            assert process.poll() is None and time.monotonic() < deadline, process.output
            time.sleep(0.05)
        yield Site(**json.loads(ready.read_text()))
    finally:
        process.kill_session()


# Not of the session: Playwright's loop in this thread would make Django refuse other tests' queries.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    require("chromium", is_installed=CHROMIUM is not None, untested="the pages in a browser")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def logins(site: Site, browser: Browser) -> dict[str, Any]:
    """The cookies of each user, by name; somebody who is signed out has none."""
    found: dict[str, Any] = {"": None}
    for name in ("demo", "viewer"):
        context = browser.new_context()
        page = context.new_page()
        page.goto(site.path())
        page.get_by_label("Username:").fill(name)
        page.get_by_label("Password:").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", level=1).first.wait_for()
        found[name] = context.storage_state()
        context.close()
    return found


@dataclass
class Watched:
    """What a page did that none should: it is asked when the test ends."""

    faults: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.faults.append(f"JavaScript: {error}"))
        page.on("console", self._console)
        page.on(
            "response",
            lambda response: (
                self.faults.append(f"{response.status} {response.url}")
                if response.status >= 500
                else None
            ),
        )

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(f"console, {message.location['url']}: {message.text}")


@pytest.fixture(scope="package")
def contexts(browser: Browser) -> Iterator[dict[str, BrowserContext]]:
    """By their options: in a new one, each page loads the admin's styles and scripts anew."""
    found: dict[str, BrowserContext] = {}
    yield found
    for context in found.values():
        context.close()


@pytest.fixture
def visit(
    browser: Browser, logins: dict[str, Any], contexts: dict[str, BrowserContext]
) -> Iterator[Visit]:
    """``visit(address, user="demo", viewport=WIDE, **more)`` opens a page. The test fails when it broke
    the Content-Security-Policy, or when its scripts or the server failed."""
    watched = Watched()
    pages: list[Page] = []

    def open_page(address: str, user: str = "demo", **more: Any) -> Page:
        options = {"viewport": WIDE, "locale": "en-GB", "timezone_id": "UTC", **more}
        key = f"{user} {sorted(options.items())}"
        if key not in contexts:
            contexts[key] = browser.new_context(storage_state=logins[user], **options)
            contexts[key].set_default_timeout(ACTION_MS_MAX)
        page = contexts[key].new_page()
        pages.append(page)
        watched.watch(page)
        page.goto(address)
        return page

    yield open_page
    for page in pages:
        page.close()
    for context in contexts.values():
        context.clear_cookies(name="rqcron_tz")
    assert not watched.faults, "\n".join(watched.faults)


ASK_AXE = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations.flatMap(
    rule => rule.nodes.map(
        node => `${rule.id} (${rule.impact}): ${rule.help}: ${node.html.slice(0, 200)}`)))"""
"""Only what is wrong comes back: to carry what is right takes longer than to find it."""


@pytest.fixture(scope="session")
def violations() -> Callable[[Page], list[str]]:
    """What axe-core says against a page: a line for each rule and element."""
    script = Axe().axe_script

    def ask(page: Page) -> list[str]:
        page.evaluate(script)
        found: list[str] = page.evaluate(ASK_AXE)
        return found

    return ask
