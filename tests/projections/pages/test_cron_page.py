"""The page of one cron: its timeline, its definitions, and what is due."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rqcron_projections.models import CronJob
from rqcron_projections.pages.frame.links import name_part
from rqcron_projections.pages.slots import between

from rqcron_events.core.events import EventType
from rqcron_events.models import CronEvent
from rqcron_events.testing import FakeClock
from tests.projections.pages.past import HOUR, MINUTE, START

NOW = START + 30 * HOUR + MINUTE
DAY = timedelta(days=1)
ODD = "mail/owners#<b>monday</b> \u00e9?"


@pytest.fixture
def page(login: Callable[..., Client]) -> Callable[..., str]:
    """``page("digest", zoom="day")``: as HTML."""
    client = login()

    def get(name: str = "digest", answer: int = 200, now: datetime = NOW, **given: str) -> str:
        with FakeClock(now):
            address = reverse("admin:rqcron_cron", args=[name_part(name)])
            response = client.get(address, given)
        assert response.status_code == answer
        return response.content.decode()

    return get


def text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def labels(html: str) -> list[str]:
    """Of everything that is drawn as a link."""
    return [unescape(found) for found in re.findall(r'aria-label="([^"]*)" data-rqcron-mark', html)]


def part(html: str, name: str) -> str:
    """The section below a heading, as text."""
    found = re.search(rf'aria-labelledby="{name}-title">(.*?)</section>', html, re.DOTALL)
    return text(found[1]) if found else ""


def test_each_slot_is_a_mark_that_leads_to_its_page(past, page):
    past.define("digest", NOW - MINUTE - 2.5 * HOUR)
    past.fire("digest", NOW - MINUTE - 2 * HOUR, late=30)
    past.pass_over("digest", EventType.SLOT_SKIPPED, "overlap", NOW - MINUTE - HOUR)
    past.fire("digest", NOW - MINUTE, ends=EventType.RUN_FAILED)
    past.write()
    html = page(zoom="day")
    assert [label for label in labels(html) if "schedule" not in label][:4] == [
        "2026-03-03 04:00:00 UTC: fired 30.0 s late, succeeded in 1.0 s",
        "2026-03-03 05:00:00 UTC: skipped: overlap",
        "2026-03-03 06:00:00 UTC: fired on time, failed in 1.0 s: ValueError: order was refused",
        "2026-03-03 07:00:00 UTC: to come",
    ]
    assert "/cron/digest/slot/2026-03-03T05:00:00Z/" in html
    assert ">S</text>" in html
    assert "skipped: overlap" in part(html, "timeline")


def test_where_marks_would_overlap_slots_are_counted_by_fate(past, page):
    past.define("digest", every_seconds=300)
    past.fire_between("digest", NOW - 20 * HOUR, NOW)
    past.write()
    html = page(zoom="day")
    assert re.search(r"on time, 24\d", html)
    (one, *_) = [label for label in labels(html) if "on time from" in label]
    assert re.fullmatch(r"\d on time from 2026-03-02 \d\d:\d\d:\d\d UTC", one)
    assert "?zoom=hour&amp;from=" in html


def test_places_in_a_drawing_are_numbers_in_every_language(past, page, settings):
    settings.LANGUAGE_CODE = "de"
    settings.USE_THOUSAND_SEPARATOR = True
    past.define("digest", every_seconds=300)
    past.fire_between("digest", NOW - 20 * HOUR, NOW)
    past.write()
    drawings = re.findall(r'<svg class="rqcron-plot".*?</svg>', page(zoom="day"), re.DOTALL)
    places = r' (?:x|y|x1|y1|cx|cy|width|height)="([^"]*)"'
    numbers = [number for drawing in drawings for number in re.findall(places, drawing)]
    assert len(numbers) > 500
    assert [number for number in numbers if not re.fullmatch(r"[\d.]+", number)] == []


def test_a_range_is_an_address_and_leads_back_and_forth(past, page):
    past.define("digest")
    past.write()
    html = page(zoom="day", **{"from": "2026-03-02T00:00:00Z"})
    for link in ("2026-03-01T00:00:00Z", "2026-03-03T00:00:00Z"):
        assert f"?zoom=day&amp;from={link}#" in html
    assert "?zoom=week&amp;from=2026-02-27T00:00:00Z#" in html
    for odd in ({"from": "soon"}, {"zoom": "year"}, {"from": "9999-01-01T00:00:00Z"}):
        page(**odd)


def test_the_first_view_has_a_dozen_slots(past, page):
    for name, seconds in (("often", 60), ("hourly", 3600), ("daily", 86_400)):
        past.define(name, every_seconds=seconds)
    past.write()
    for name, zoom in (("often", "Hour"), ("hourly", "Day"), ("daily", "Month")):
        assert f'aria-current="true">{zoom}<' in page(name)


def test_too_many_slots_are_counted_by_day(past, page, monkeypatch):
    monkeypatch.setattr(between, "SLOTS_MAX", 20)
    past.define("digest")
    past.fire_between("digest", START, NOW)
    past.write()
    html = page(zoom="month")
    assert "counted by day" in text(html)
    assert "2026-03-02 23 0 0" in text(html)


def test_what_happened_meanwhile_is_on_the_same_axis(past, page):
    past.define("digest")
    past.runner("web-1", START - HOUR, START + 2 * HOUR, lost=True, code="a")
    past.runner("web-2", START + 5 * HOUR, START + 9 * HOUR, code="a")
    past.runner("web-3", START + 9 * HOUR, code="b")
    past.pause("digest", START + 10 * HOUR, reason="move")
    past.resume("digest", START + 12 * HOUR)
    past.define("digest", START + 13 * HOUR, expression="0 */2 * * *", actor="runner/web-3")
    past.pause_all(START + 14 * HOUR, reason="freeze", by="eve")
    past.write()
    html = page(zoom="week")
    told = [label for label in labels(html) if not label.endswith(("to come", "decided yet"))]
    drawn = " | ".join(label.partition(": ")[2] for label in told if " UTC: " in label)
    for words in (
        "no runner: for 3 h: web-1 fell silent",
        "deploy: web-3 started with other code (b)",
        "paused: paused by ada since 2026-03-02 10:00:00 UTC until 2026-03-02 12:00:00 UTC (move)",
        "paused: all crons paused by eve since 2026-03-02 14:00:00 UTC (freeze)",
        "schedule: version 2: changed by runner/web-3: expression 0 * * * * \u2192 0 */2 * * *",
    ):
        assert words in drawn
        assert words in text(html)
    assert "web-2" not in drawn


def test_calls_of_a_runner_that_comes_and_goes_are_no_downtime(past, page):
    past.define("digest")
    for call in range(30):
        start = START + call * 5 * MINUTE
        past.runner(f"once-{call}", start, start + timedelta(seconds=2))
    past.runner("once-x", START + 9 * HOUR, START + 9 * HOUR + timedelta(seconds=2))
    past.write()
    html = page(zoom="day", **{"from": "2026-03-02T00:00:00Z"})
    gaps = [label for label in labels(html) if "no runner" in label]
    assert len(gaps) == 2
    assert gaps[0].startswith("2026-03-02 02:25:02 UTC: no runner: for 6 h 34 min 58 s: once-29")


def test_definitions_tell_who_changed_what_and_what_it_does_to_a_week(past, page):
    past.define("digest", expression="0 */6 * * *")
    past.define("digest", START + HOUR, expression="0 * * * *", queue="low", actor="runner/web-2")
    past.define("digest", START + 2 * HOUR, expression="0 * * * *", queue="high", actor="runner/3")
    past.write()
    said = part(page(), "definitions")
    assert "3 2026-03-02 02:00 UTC runner/3 queue low \u2192 high 2" in said
    assert (
        "2 2026-03-02 01:00 UTC runner/web-2 expression 0 */6 * * * \u2192 0 * * * * "
        "queue default \u2192 low 168 in place of 28" in said
    )
    assert "1 2026-03-02 00:00 UTC runner/web-1 registered" in said


def test_what_is_due_says_what_clocks_jitter_and_pauses_do(past, page):
    now = datetime(2026, 3, 27, 12, tzinfo=UTC)
    past.define("digest", expression="30 2 * * *", timezone="Europe/Berlin", jitter_seconds=60)
    past.pause("digest", now - HOUR, reason="move", until=now + DAY)
    past.write()
    said = part(page(now=now), "due")
    assert "2026-03-28 02:30 CET in 13 h 30 min due " in said
    assert "will be skipped: paused by ada" in said
    assert "clocks go from CET to CEST before it; 02:30 did not exist on 2026-03-29" in said
    assert said.count("will be skipped") == 1
    assert said.count("by jitter") == 20


def test_runs_that_people_asked_for_are_where_they_belong(past, page):
    past.define("digest")
    run_id = past.fire("digest", NOW - MINUTE - 3 * HOUR, ends=EventType.RUN_FAILED)
    past.own(
        "digest", EventType.RUN_REQUESTED, NOW - HOUR, run_id=run_id.__class__(int=7), actor="ada",
        scheduled_for=NOW - MINUTE - 3 * HOUR, reason="the API is back", data={"trigger": "rerun"},
    )  # fmt: skip
    past.write()
    html = page(zoom="day")
    assert "rerun Tue 03 Mar 03:00 UTC ada: the API is back requested" in part(html, "asked")
    assert "2026-03-03 03:00:00 UTC: asked for: rerun by ada, requested" in labels(html)


@pytest.mark.parametrize("name", [ODD, "..", "x" * 200])
def test_whatever_it_is_called(past, page, name):
    past.define(name, description="<script>alert(1)</script>")
    past.fire(name, NOW - MINUTE)
    past.write()
    html = page(name)
    assert "<script>alert" not in html
    assert "<b>monday" not in html
    assert name in unescape(re.search(r"<h1>(.*?)</h1>", html, re.DOTALL)[1])


def test_a_cron_that_is_unknown_is_not_found(past, page):
    past.define("digest")
    past.write()
    assert "Did you mean 'digest'?" in text(page("digset", answer=404))


def test_a_nul_in_a_name_is_not_found(page):
    page("di\0gest", answer=404)


def test_a_former_name_leads_to_the_cron(past, page):
    past.define("digest", names=("digest", "send_digest"))
    past.write()
    assert "send_digest" in page("send_digest")


def test_an_event_that_cannot_be_read_is_told_and_hides_nothing(past, page, rows_of_before):
    past.define("digest")
    past.fire("digest", NOW - MINUTE)
    past.write()
    CronEvent(
        stream="cron/digest", version=3, type="cron_changed", schema_version=99, cron="digest",
        occurred_at=NOW, data={},
    ).save()  # fmt: skip
    html = page(zoom="day")
    assert "Cannot be read: event" in text(html)
    assert "2026-03-03 06:00:00 UTC: fired on time, succeeded in 1.0 s" in labels(html)


@pytest.mark.parametrize("definition", [{"overlap": 3}, {"timezone": "Mars/One"}, {"queue": None}])
def test_a_definition_that_no_longer_parses_is_told(past, page, definition):
    past.define("digest")
    past.fire("digest", NOW - MINUTE)
    past.write()
    row = CronJob.objects.get()
    CronJob.objects.update(definition={**row.definition, **definition})
    html = page(zoom="day")
    assert "Its definition cannot be read, so no slot is decided: " in text(html)
    assert "2026-03-03 06:00:00 UTC: fired on time, succeeded in 1.0 s" in labels(html)


def test_a_retired_cron_keeps_its_past(past, page):
    past.define("digest")
    past.fire("digest", NOW - HOUR - MINUTE)
    at = NOW - HOUR
    past.own("digest", EventType.CRON_RETIRED, at, data={"effective_from": at.isoformat()})
    past.write()
    html = page(zoom="day")
    assert "Nothing: the cron was removed from the code." in part(html, "due")
    assert "2026-03-03 05:00:00 UTC: fired on time, succeeded in 1.0 s" in labels(html)
    assert "retired" in part(html, "definitions")
    assert not [label for label in labels(html) if label.endswith("to come")]


def test_actions_are_there_for_those_who_may(past, login):
    past.define("digest")
    past.write()
    address = reverse("admin:rqcron_cron", args=["digest"])
    html = login().get(address).content.decode()
    found = re.findall(r'/do/(\w+)/\?cron=digest"', html)
    assert found == ["trigger", "pause", "backfill"]
    viewer = login("rqcron_projections.view_cronjob", username="viewer")
    assert "/do/" not in viewer.get(address).content.decode()


def test_the_queries_are_as_many_for_few_slots_as_for_many(past, page):
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            page(zoom="week")
        return len(queries)

    past.define("digest", every_seconds=600)
    past.fire("digest", START + HOUR, ends=EventType.RUN_FAILED)
    past.write()
    page()
    few = count()
    past.fire_between("digest", START + HOUR, START + 20 * HOUR, ends=EventType.RUN_FAILED)
    for number in range(5):
        past.define("digest", START + (20 + number) * HOUR, every_seconds=700 + number)
        past.runner(f"web-{number}", START + number * HOUR, code=f"{number}")
    past.write()
    page()
    assert count() == few


def test_a_queue_leads_to_its_page_of_django_rq_where_that_is_served(past, page, settings):
    past.define("digest", NOW - HOUR)
    past.write()
    [found] = re.findall(r"<dt>Queue</dt><dd>(.*?)</dd>", page())
    place = list(settings.RQ_QUEUES).index("default")
    assert re.fullmatch(rf'<a href="/admin/[\w/-]*queues/{place}/">default</a>', found)
    settings.RQ_QUEUES = {
        key: value for key, value in settings.RQ_QUEUES.items() if key != "default"
    }
    assert "<dt>Queue</dt><dd>default</dd>" in page()
