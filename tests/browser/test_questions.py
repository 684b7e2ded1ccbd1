"""What a stranger asks: each question is answered within three clicks or keys from the overview."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from playwright.sync_api import expect

from tests.browser.conftest import Site


def row(page, cron):
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=cron, exact=True))


def test_why_was_this_slot_skipped(site: Site, visit):
    page = visit(site.path())
    row(page, "archive_checks").get_by_role("link", name="skipped").last.click()
    expect(page.locator("#content")).to_contain_text("archive_checks was skipped at")
    expect(page.locator("#content")).to_contain_text("had been running since")


def test_who_changed_this_schedule_and_what_did_it_do_to_the_next_week(site: Site, visit):
    page = visit(site.path())
    page.get_by_role("link", name="archive_checks", exact=True).first.click()
    change = page.get_by_role("row").filter(has_text="336 in place of 168")
    expect(change).to_contain_text("runner/web-1")
    expect(change).to_contain_text("*/30 * * * *")


def test_what_ran_at_three_last_sunday(site: Site, visit):
    today = date.fromisoformat(site.skipped[:10])
    sunday = today - timedelta(days=(today.weekday() + 1) % 7 or 7)
    page = visit(site.path())
    page.get_by_role("link", name="Load", exact=True).click()
    past = page.get_by_role("table", name="Runs of the past")
    past.get_by_role("link", name=f"runs, {sunday:%a} 03 o'clock").click()
    expect(page.get_by_role("row").filter(has_text="weekly_summary")).to_contain_text("succeeded")
    expect(page.get_by_role("row").filter(has_text="nightly_backup")).to_be_visible()


def test_which_cron_is_getting_slower(site: Site, visit):
    page = visit(site.path())
    expect(row(page, "archive_checks").first).to_contain_text("slower")
    page.get_by_role("link", name="Report", exact=True).click()
    slower = page.get_by_role("table", name="Mean duration")
    expect(slower.get_by_role("row").nth(1)).to_contain_text("archive_checks")


def test_what_did_the_outage_cost(site: Site, visit):
    page = visit(site.path())
    page.get_by_role("link", name="Report", exact=True).click()
    cost = page.get_by_role("table", name="What it cost").get_by_role("row").nth(1)
    began = datetime.fromisoformat(site.missed).date()
    expect(cost).to_contain_text(f"{began} 01:10")
    expect(cost).to_contain_text("3 h 17 min")
