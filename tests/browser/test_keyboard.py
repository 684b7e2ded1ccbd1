"""Keys and scripts: what pages gain with JavaScript."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import Site


def test_from_the_overview_a_key_leads_to_the_newest_slot_and_enter_says_why(site: Site, visit):
    page = visit(site.path("?q=archive_checks"))
    page.keyboard.press("m")
    assert page.evaluate("document.activeElement.hasAttribute('data-rqcron-mark')")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/slot/\d{4}-"))
    expect(page.locator("#content")).to_contain_text("archive_checks")


def test_arrow_keys_go_from_mark_to_mark(site: Site, visit):
    page = visit(site.path())
    page.keyboard.press("m")
    newest = page.evaluate("document.activeElement.href")
    page.keyboard.press("ArrowLeft")
    before = page.evaluate("document.activeElement.href")
    assert before != newest
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.href") == newest
    page.keyboard.press("ArrowDown")
    below = page.evaluate("document.activeElement.href")
    assert below.partition("/slot/")[0] != newest.partition("/slot/")[0]


def test_arrow_keys_go_through_the_hours_of_the_load(site: Site, visit):
    page = visit(site.path("load/"))
    whole_day = page.locator("tbody tr").nth(1)  # of today there may be one hour left
    whole_day.locator("[data-rqcron-mark]").first.focus()
    first = page.evaluate("document.activeElement.href")
    page.keyboard.press("ArrowRight")
    second = page.evaluate("document.activeElement.href")
    assert second > first
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.href") > second


def test_the_keys_are_told_by_a_key(site: Site, visit):
    page = visit(site.path())
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"


def test_brackets_go_through_time(site: Site, visit):
    page = visit(site.cron("rank_sites"))
    page.keyboard.press("[")
    page.wait_for_url(re.compile(r"\?.+"))
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


def test_times_are_those_of_the_browser_when_that_is_asked_for(site: Site, visit):
    page = visit(site.path("log/?tz=browser"), timezone_id="Asia/Kathmandu")
    first = page.locator("time").first
    expect(first).to_contain_text("GMT+5:45")


def test_without_javascript_the_zone_of_the_browser_is_that_of_the_project(site: Site, visit):
    page = visit(site.path("log/?tz=browser"), java_script_enabled=False)
    expect(page.locator("time").first).to_contain_text("UTC")
    assert "Without JavaScript" in page.content()


def test_the_log_shows_what_happens_meanwhile(site: Site, visit):
    page = visit(site.path("log/?cron=mail/owners%23monday"))
    page.get_by_role("link", name="Follow live").click()
    expect(page.locator("#content")).to_contain_text("Live.")
    rows = page.get_by_role("row")
    before = rows.count()
    asking = visit(site.action("trigger", cron="mail/owners#monday"))
    asking.get_by_role("button", name="Run now").click()
    expect(rows).not_to_have_count(before)
    expect(page.locator("#content")).to_contain_text("user:demo")
