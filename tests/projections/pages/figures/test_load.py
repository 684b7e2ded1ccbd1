"""The page of when the herds are, and of one hour across crons."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rqcron_projections.models import CronJob
from rqcron_projections.pages.load import amounts

from rqcron_events.core.events import EventType
from rqcron_events.testing import FakeClock
from tests.projections.pages.past import HOUR, MINUTE, START

NOW = START + 30 * HOUR + MINUTE
MARKUP = "<b>me</b>"


def text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.fixture
def page(login: Callable[..., Client]) -> Callable[..., str]:
    """``page(hour="...")``: the page as HTML, at NOW."""
    client = login()

    def get(**parameters: str) -> str:
        with FakeClock(NOW):
            response = client.get(reverse("admin:rqcron_load"), parameters)
        assert response.status_code == 200
        return response.content.decode()

    return get


def test_the_past_is_counted_by_day_and_hour_and_each_hour_has_a_link(past, page):
    past.define("four", every_seconds=900)
    past.fire_between("four", START, NOW - HOUR, took=90)
    past.write()
    html = page()
    table = html[html.index("Runs of the past") :]
    assert "4 runs, 6 min of work" in table
    assert "?hour=2026-03-02T03%3A00%3A00Z" in table
    assert ">0.1<" in page(show="work")[html.index("Runs of the past") :]


def test_slots_to_come_are_those_of_crons_that_will_fire(past, page):
    past.define("a", expression="0 3 * * *")
    past.define("b", expression="0 3 * * *")
    past.define(MARKUP, expression="5 3 * * *")
    past.define("all_the_time", every_seconds=10)
    past.define("stopped", expression="0 3 * * *")
    past.pause("stopped", START + HOUR, reason="moving", until=None)
    past.define("gone", expression="0 3 * * *")
    past.own("gone", EventType.CRON_RETIRED, NOW, data={"effective_from": NOW.isoformat()})
    past.define("unreadable", expression="0 3 * * *")
    past.write()
    broken = CronJob.objects.get(name="unreadable")
    broken.definition["expression"] = "no such thing"
    broken.save()
    said = text(page())
    assert "Slots of 4 crons" in said
    assert re.search(r"2026-03-04 03:00 UTC 3 6 of 7 days (\S+ , ){2}", said), said


def test_an_hour_says_what_ran_and_what_overlapped(past, page):
    past.define("long", every_seconds=600)
    for minute in (0, 10):
        past.fire("long", START + 3 * HOUR + minute * MINUTE, took=900)
    past.define("quick")
    past.fire("quick", START + 3 * HOUR, ends=EventType.RUN_FAILED)
    past.fire("quick", START + 9 * HOUR)
    past.write()
    said = text(page(hour="2026-03-02T03:00:00Z"))
    assert "3 runs" in said
    assert "long overlaps itself" in said
    assert "for 1.0 s, failed" in said
    assert "quick overlaps" not in said
    assert "To come" not in said
    assert "No run was asked for" in text(page(hour="2026-03-02T05:00:00Z"))


def test_a_run_that_is_at_work_for_a_day_is_in_each_hour_of_it(past, page):
    past.define("endless", expression="0 1 * * *")
    past.fire("endless", START + HOUR, ends=None)
    past.write()
    assert "endless" in text(page(hour="2026-03-02T20:00:00Z"))


def test_an_hour_to_come_says_what_will_be_due(past, page):
    past.define("often", every_seconds=600)
    past.fire("often", START + HOUR, took=20)
    past.define("once", expression="0 9 * * *")
    past.write()
    said = text(page(hour="2026-03-03T08:00:00Z"))
    assert "often 6 2026-03-03 08:00 UTC 2 min" in said
    assert "once" not in said
    assert "At work" not in said


@pytest.mark.parametrize("hour", ["soon", "2026-03-02T03:00:00", "9999-12-31T23:59:59Z"])
def test_what_is_no_hour_is_told(hour, page):
    assert "is not an instant such as" in text(page(hour=hour))


def test_where_there_are_too_many_runs_the_table_begins_later_and_says_so(past, page, monkeypatch):
    past.define("four", every_seconds=900)
    past.fire_between("four", START, NOW - HOUR)
    past.write()
    monkeypatch.setattr(amounts, "RUNS_MAX", 10)
    said = text(page())
    assert "the table begins at 2026-03-03 02:45 UTC" in said


def test_the_number_of_queries_does_not_grow_with_crons_or_runs(past, page):
    def queries(**parameters: str) -> int:
        with CaptureQueriesContext(connection) as seen:
            page(**parameters)
        return len(seen)

    past.define("first", every_seconds=900)
    past.fire_between("first", START, START + 4 * HOUR)
    past.write()
    few = queries(), queries(hour="2026-03-02T03:00:00Z")
    for number in range(20):
        past.define(f"more_{number}", expression=f"{number} * * * *")
        past.fire_between(f"more_{number}", START, START + timedelta(hours=4))
    past.write()
    assert (queries(), queries(hour="2026-03-02T03:00:00Z")) == few
