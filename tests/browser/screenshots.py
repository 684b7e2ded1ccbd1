"""Pictures of the pages for the documentation, taken of the demo while it runs.

``python -m tests.browser.screenshots DIRECTORY``
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, NARROW, WIDE
from tests.processes import ROOT, Process

DEMO_SECONDS = 300
START_SECONDS_MAX = 120
LIVE_SECONDS = 40
"""Of the demo, before the first picture: so that its own crons have run."""
ACTION_MS_MAX = 20_000
HEIGHT_MAX = 1_300
"""Of a picture: what is below says no more."""
LOGIN = re.compile(r"^pages +(\S+) +user (\S+), password (\S+)$", re.MULTILINE)


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or sys.exit(
        "Chromium is not installed. On Debian, as root: apt-get install chromium"
    )
    with tempfile.TemporaryDirectory() as logs:
        command = [sys.executable, str(ROOT / "example/demo.py"), "--seconds", str(DEMO_SECONDS)]
        demo = Process(command, {**os.environ, "PYTHONUNBUFFERED": "1"}, Path(logs) / "demo.log")
        try:
            url, user, password = wait_for_login(demo)
            time.sleep(LIVE_SECONDS)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
                page = browser.new_page(viewport=WIDE, locale="en-GB", timezone_id="UTC")
                page.set_default_timeout(ACTION_MS_MAX)
                page.goto(url)
                page.get_by_label("Username:").fill(user)
                page.get_by_label("Password:").fill(password)
                page.get_by_role("button", name="Log in").click()
                page.get_by_role("heading", level=1).first.wait_for()
                take_all(page, url, directory)
                browser.close()
        finally:
            demo.kill_session()


def wait_for_login(demo: Process) -> tuple[str, str, str]:
    deadline = time.monotonic() + START_SECONDS_MAX
    while (found := LOGIN.search(demo.output)) is None:
        if demo.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"The demo did not start.\n{demo.output}")
        time.sleep(0.2)
    return found[1], found[2], found[3]


def take_all(page: Page, top: str, directory: Path) -> None:
    def take(name: str, path: str = "", then: Callable[[], object] | None = None) -> None:
        page.goto(top + path)
        if then is not None:
            then()
        page.wait_for_load_state()
        height = min(page.evaluate("document.documentElement.scrollHeight"), HEIGHT_MAX)
        width = page.viewport_size["width"] if page.viewport_size else WIDE["width"]
        clip = {"x": 0, "y": 0, "width": width, "height": height}
        page.screenshot(path=directory / f"{name}.png", full_page=True, clip=clip)
        print(directory / f"{name}.png")

    archive = "cron/archive_5Fchecks/"
    take("overview")
    take("cron", archive)
    take(
        "slot-skipped",
        then=page.get_by_role("row")
        .filter(has_text="archive_checks")
        .get_by_role("link", name="skipped")
        .last.click,
    )
    failure = page.get_by_role("table", name="Of failed").get_by_role("row")
    take(
        "run-failed",
        "report/?cron=rank_sites",
        failure.get_by_role("link", name="run").last.click,
    )
    take("log", "log/")
    take("report", "report/")
    take("load", "load/")
    take("load-hour", f"load/?hour={last_sunday():%Y-%m-%dT03:00:00Z}")
    take("pause", "do/pause/?cron=sync_contacts")
    page.emulate_media(color_scheme="dark")
    take("overview-dark")
    page.set_viewport_size(NARROW)
    take("cron-narrow-dark", archive)


def last_sunday() -> datetime:
    today = datetime.now(UTC)
    return today - timedelta(days=(today.weekday() + 1) % 7 or 7)


if __name__ == "__main__":
    main()
