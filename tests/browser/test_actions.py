"""What people do on the pages: by mouse, by keyboard alone, and not without permission."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site

MARKUP = "<img src=x onerror=alert(1)> & <b>bold</b>"
TABS_MAX = 80
ACTIONS = ["Pause", "Resume", "Run now", "Rerun", "Backfill", "Run this slot"]


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has this name has the focus."""
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()"
        )
        if focused == name:
            return
    pytest.fail(f"Tab does not reach {name!r} on {page.url}")


def enter(page: Page) -> None:
    """Follow the link, or send the form, that has the focus."""
    with page.expect_navigation():
        page.keyboard.press("Enter")


def test_pause_and_resume_by_keyboard_alone(site: Site, visit):
    page = visit(site.cron("forget_old_checks"))
    page.on("dialog", lambda dialog: pytest.fail(f"markup was run: {dialog.message}"))
    tab_to(page, "Pause")
    enter(page)
    expect(page.get_by_role("heading", name="What will happen")).to_be_visible()
    tab_to(page, "Reason")
    page.keyboard.type(MARKUP)
    enter(page)
    expect(page.locator("#content")).to_contain_text("in the log now")
    expect(page.locator("#content")).to_contain_text(MARKUP)
    expect(page.locator("#content")).to_contain_text("user:demo")
    page.goto(site.cron("forget_old_checks"))
    expect(page.locator("#content")).to_contain_text(MARKUP)
    tab_to(page, "Resume")
    enter(page)
    tab_to(page, "Resume")
    enter(page)
    expect(page.locator("#content")).to_contain_text("in the log now")
    expect(page.locator("#content")).to_contain_text("resumed")


def test_a_pause_needs_a_reason_and_asks_what_a_time_in_words_means(site: Site, visit):
    page = visit(site.action("pause", cron="weekly_summary"))
    page.get_by_label("Until (optional)").fill("2h")
    page.get_by_role("button", name="Pause").click()
    assert page.get_by_label("Reason").evaluate("field => field.matches(':invalid')")
    page.get_by_label("Reason").fill("the archive moves")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Yes, pause").click()
    expect(page.locator("#content")).to_contain_text("in the log now")


def test_run_now(site: Site, visit):
    page = visit(site.cron("nightly_backup"))
    page.get_by_role("link", name="Run now").click()
    page.get_by_role("button", name="Run now").click()
    expect(page.locator("#content")).to_contain_text("in the log now")
    expect(page.locator("#content")).to_contain_text("user:demo")


def test_rerun_a_run_that_failed(site: Site, visit):
    page = visit(site.pages()["run_failed"])
    expect(page.locator("#content")).to_contain_text("KeyError")
    page.get_by_role("link", name="Rerun", exact=True).click()
    page.get_by_role("button", name="Rerun").click()
    expect(page.locator("#content")).to_contain_text("in the log now")


def test_backfill_shows_first_what_it_would_do_and_then_how_far_it_is(site: Site, visit):
    page = visit(site.action("backfill", cron="renew_certificates"))
    page.get_by_label("From").fill("2 days ago")
    page.get_by_label("To").fill("now")
    page.get_by_label("Rerun label (optional)").fill("browser")
    page.get_by_role("button", name="Show what would run").click()
    expect(page.get_by_role("heading", name="What will happen")).to_be_visible()
    page.get_by_role("button", name="Run 2 slots").click()
    expect(page.get_by_role("heading", name="Progress")).to_be_visible()
    expect(page.get_by_text("0 of 2 have ended")).to_be_visible()


def test_several_crons_are_paused_at_once(site: Site, visit):
    page = visit(site.path("?q=renew"))
    page.get_by_role("row").get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Reason").fill("new certificates")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#content")).to_contain_text("in the log now")


@pytest.mark.parametrize("name", ["overview", "cron", "slot_failed", "run_failed"])
def test_without_permission_there_is_no_button(name, site: Site, visit):
    page = visit(site.pages()[name], user="viewer")
    expect(page.get_by_role("navigation", name="Cron pages")).to_be_visible()
    for action in ACTIONS:
        assert page.get_by_role("button", name=action, exact=True).count() == 0, action
        assert page.get_by_role("link", name=action, exact=True).count() == 0, action


@pytest.mark.parametrize("name", ["pause", "resume", "trigger", "rerun", "backfill"])
def test_without_permission_an_action_is_refused(name, site: Site, visit):
    page = visit(site.pages()[name], user="viewer")
    assert "403" in page.title() or "Forbidden" in page.content()


def test_whoever_is_signed_out_is_asked_for_the_login(site: Site, visit):
    page = visit(site.path("log/"), user="")
    expect(page.get_by_label("Password:")).to_be_visible()
