"""The overview: every cron in a row, what hurts first, and what keeps all of them from running."""

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
from rqcron_projections.models import Checkpoint, CronJob

from rqcron_events.core.events import EventType
from rqcron_events.models import CronEvent, CronLease, QuarantinedEvent
from rqcron_events.testing import FakeClock
from tests.projections.pages.past import HOUR, MINUTE, START, Past

VIEW = "rqcron_projections.view_cronjob"
NOW = START + 30 * HOUR + MINUTE
MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def page(login: Callable[..., Client]) -> Callable[..., str]:
    """``page(sort="name")``: the overview as HTML, at NOW."""
    client = login()

    def get(answer: int = 200, **parameters: str) -> str:
        with FakeClock(NOW):
            response = client.get(reverse("admin:rqcron_overview"), parameters)
        assert response.status_code == answer
        return response.content.decode()

    return get


def names(html: str) -> list[str]:
    return re.findall(r'class="rqcron-name" href="[^"]*">([^<]*)<', html)


def text(html: str) -> str:
    """As a reader sees it."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def write_some(past: Past) -> None:
    past.define("quiet", queue="low", description="Sweeps the yard")
    past.fire_between("quiet", START, NOW, took=1)
    past.define("late_one", every_seconds=7200)
    past.fire_between("late_one", START, NOW - 5 * HOUR)
    past.define("broken")
    past.fire_between("broken", START, NOW, ends=EventType.RUN_FAILED, error=MARKUP)
    past.define("stopped")
    past.fire_between("stopped", START, START + 20 * HOUR)
    past.pause("stopped", START + 20 * HOUR, reason=f"moving {MARKUP}", until=NOW + HOUR)
    past.define("gone")
    past.own("gone", EventType.CRON_RETIRED, NOW, data={"effective_from": NOW.isoformat()})
    past.write()


def test_what_hurts_is_first_and_retired_crons_are_not_there(past, page):
    write_some(past)
    assert names(page()) == ["broken", "late_one", "stopped", "quiet"]


def test_a_row_says_why(past, page):
    write_some(past)
    said = text(page())
    assert "failed in 1.0 s: ValueError: <script>alert(1)</script>" in said
    assert "Paused by ada since 2026-03-02 20:00:00 UTC until 2026-03-03 07:01:00 UTC" in said
    assert "Tue 03 Mar 02:00 UTC : due, and not decided" in said
    assert "every hour at minute 00, 0 * * * * UTC" in said


def test_markup_of_others_is_shown_and_not_run(past, page):
    past.define("<b>bold</b>", description=MARKUP, queue=f"q{MARKUP}")
    past.fire("<b>bold</b>", NOW - HOUR, ends=EventType.RUN_FAILED, error=MARKUP)
    past.write()
    html = page(q=MARKUP) + page(group="queue")
    assert "<script>alert" not in html
    assert "<b>bold" not in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html


CHOICES = [
    ({"q": "YARD"}, ["quiet"]),
    ({"q": "late one"}, ["late_one"]),
    ({"q": "nothing like it"}, []),
    ({"status": "failing"}, ["broken"]),
    ({"status": "retired"}, ["gone"]),
    ({"queue": "low"}, ["quiet"]),
    ({"sort": "name"}, ["broken", "late_one", "quiet", "stopped"]),
    ({"sort": "next"}, ["late_one", "broken", "quiet", "stopped"]),
    ({"sort": "failures"}, ["broken", "late_one", "quiet", "stopped"]),
    ({"sort": "last"}, ["broken", "quiet", "late_one", "stopped"]),
    ({"group": "queue", "sort": "name"}, ["broken", "late_one", "stopped", "quiet"]),
    ({"group": "status", "sort": "name"}, ["broken", "stopped", "late_one", "quiet"]),
    (
        {"sort": "no such", "group": "no such", "status": "no such", "page": "x"},
        ["broken", "late_one", "stopped", "quiet"],
    ),
]
"""Parameters, and the crons that they give."""


def test_crons_are_searched_filtered_sorted_and_grouped(past, page):
    write_some(past)
    for parameters, found in CHOICES:
        assert names(page(**parameters)) == found, parameters


def test_what_ran_at_a_time_is_asked_in_words(past, page, login):
    client = login("rqcron_projections.view_cronjob", username="reader")
    address = reverse("admin:rqcron_overview")
    with FakeClock(NOW):
        answer = client.get(address, {"ran_at": "last sunday 3:20"})
    assert answer["Location"].endswith("/load/?hour=2026-03-01T03%3A00%3A00Z")
    said = text(page(ran_at="last moonday"))
    assert "The time 'last moonday'" in said


def test_everything_can_be_paused_or_resumed(past, page):
    past.define("digest")
    past.write()
    assert "/do/pause/?all=1" in page()
    past.pause_all(START + HOUR)
    past.write()
    assert "/do/resume/?all=1" in page()


def test_a_nul_is_no_error(past, page):
    write_some(past)
    assert names(page(q="qui\0et")) == ["quiet"]
    assert names(page(queue="\0")) == names(page())


def test_the_ones_that_get_slower_can_come_first(past, page):
    for name, seconds in (("same", 5), ("slower", 50), ("faster", 1)):
        past.define(name, START - timedelta(days=20))
        past.fire_between(name, START - timedelta(days=10), START - timedelta(days=9), took=5)
        past.fire_between(name, START, NOW, took=seconds)
    past.write()
    html = page(sort="slower")
    assert names(html) == ["slower", "same", "faster"]
    assert "slower: 10.0\u00d7" in text(html)
    assert "faster: 0.2\u00d7" in text(html)


def test_many_crons_are_paged(past, page):
    for number in range(120):
        past.define(f"cron_{number:03}")
    past.write()
    html = page(sort="name", page="3")
    assert names(html) == [f"cron_{number:03}" for number in range(100, 120)]
    assert 'href="?sort=name&amp;page=2" rel="prev"' in html
    assert 'rel="next"' not in html
    assert names(page(sort="name", page="99")) == names(html)


def test_times_are_in_the_zone_that_was_chosen(past, page):
    past.define("digest", timezone="Asia/Kathmandu", expression="0 9 * * *")
    past.write()
    assert "09:00 +0545" in page(tz="cron")
    assert "03:15 UTC" in page(tz="utc")
    browser = page(tz="browser")
    assert 'class="rqcron-time"' in browser
    assert "Without JavaScript, times are in the project's zone." in browser


def test_without_a_cron_it_says_what_to_do(page):
    assert "A runner registers them" in page()


def test_the_legend_says_that_a_pending_slot_may_have_been_decided(past, page):
    past.define("queued")
    past.fire("queued", START + HOUR, ends=None, started=False)
    past.write()
    assert "its run waits in its queue" in text(page())
    assert "pending : not decided yet, or its run has not started" in text(page())


def test_a_share_is_written_as_in_the_report(past, page):
    write_some(past)
    said = text(page())
    assert re.search(r"100% of \d+", said)
    assert re.search(r" 0% of \d+", said)


def test_bulk_actions_are_there_for_those_who_may(past, page, login):
    write_some(past)
    assert 'formaction="/admin/rqcron_projections/cronjob/do/pause/"' in page()
    assert re.findall(r'formaction="[^"]*">([^<]*)<', page()) == ["Pause", "Resume", "Run now"]
    viewer = login(VIEW, username="viewer").get(reverse("admin:rqcron_overview"))
    html = viewer.content.decode()
    assert "formaction" not in html
    assert 'type="checkbox"' not in html
    pauser = login(VIEW, "rqcron_projections.pause_cron", username="pauser")
    html = pauser.get(reverse("admin:rqcron_overview")).content.decode()
    assert re.findall(r'formaction="[^"]*/do/(\w+)/"', html) == ["pause"]


# The banner


def test_it_says_that_no_runner_leads_and_since_when(past, page):
    past.runner("web-1", START, START + HOUR)
    past.write()
    assert "No runner leads since 2026-03-02 01:00:00 UTC. Start cron_worker" in text(page())


def test_it_says_nothing_of_a_runner_that_leads(past, page):
    from django.db.models.functions import Now

    CronLease.objects.update_or_create(
        name="leader", defaults={"holder": "web-1", "renewed_at": Now()}
    )
    assert "No runner leads" not in text(page())


def test_it_says_who_paused_everything_and_each_row_is_paused(past, page):
    past.define("digest")
    past.pause_all(START + HOUR, reason=f"freeze {MARKUP}")
    past.write()
    said = text(page())
    assert "All crons are paused by ada since 2026-03-02 01:00:00 UTC (freeze <script>" in said
    assert "paused Paused by ada since" in said


def test_it_says_that_redis_is_away(past, page, settings):
    settings.RQ_QUEUES = {"default": {"URL": "redis://127.0.0.1:1/0"}}
    past.define("digest")
    past.write()
    assert "Redis does not answer (127.0.0.1:1/0)" in text(page())


def test_it_says_that_no_worker_serves_a_queue(past, page, redis_connection):
    past.define("digest")
    past.write()
    assert "No worker serves queue 'default'" in text(page())


def test_it_says_that_events_wait_in_the_spool(past, page, monkeypatch):
    from rqcron_events.queries import at_a_glance

    monkeypatch.setattr(at_a_glance, "spool_length", lambda connections: 2)
    assert "Events of 2 runs wait in Redis" in text(page())


def test_it_says_which_events_no_page_shows(page):
    QuarantinedEvent.objects.create(
        reader="runner", event_id=1, stream="cron/x", error="no", noticed_at=NOW
    )
    assert "1 event of the log cannot be read" in text(page())


def test_a_projection_of_another_release_is_told(past, page):
    past.define("digest")
    past.write()
    Checkpoint.objects.filter(name="days").update(version=99)
    assert "Projection 'days' was built by another release" in text(page())


def test_a_projection_that_is_behind_is_told_and_what_there_is_is_shown(past, page, monkeypatch):
    from rqcron_projections.pages.frame import banner

    past.define("digest")
    past.write()
    monkeypatch.setattr(banner, "EVENTS_MAX", 0)
    past.define("new_one")
    last = past.events[-1]
    CronEvent(
        stream=last.stream, version=1, type=last.type, cron=last.cron, data=last.data,
        occurred_at=last.occurred_at,
    ).save()  # fmt: skip
    html = page()
    assert "The projections lack the newest event of the log" in text(html)
    assert names(html) == ["digest"]


def test_a_definition_that_no_longer_parses_harms_no_other_row(past, page):
    past.define("digest")
    past.define("odd")
    past.fire("odd", START + HOUR)
    past.write()
    odd = CronJob.objects.get(name="odd")
    CronJob.objects.filter(name="odd").update(definition={**odd.definition, "timezone": "Mars/One"})
    html = page()
    assert set(names(html)) == {"digest", "odd"}
    assert "Its definition cannot be read, so no slot is decided: " in text(html)
    CronJob.objects.filter(name="odd").update(definition={"overlap": 3})
    assert set(names(page())) == {"digest", "odd"}


def test_without_its_tables_it_says_what_to_run(page):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE rqcron_job RENAME TO rqcron_job_away")
    assert "migrate" in text(page(answer=503))


def test_it_says_how_large_the_log_is_and_until_when_there_is_room(past, page, settings):
    write_some(past)
    settings.RQCRON_LOG_BYTES_MAX = 10**10
    told = text(page())
    assert re.search(r"The log takes [\d.]+ [kM]B, about [\d.]+ kB more a day; RQCRON", told)
    assert "RQCRON_LOG_BYTES_MAX (10 GB) is reached about " in told


# What it costs


def test_the_queries_are_as_many_for_few_crons_as_for_many(past, page):
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            page(sort="name")
        return len(queries)

    past.define("first")
    past.fire("first", NOW - HOUR)
    past.write()
    page()
    few = count()
    for number in range(25):
        past.define(f"cron_{number}")
        past.fire_between(f"cron_{number}", NOW - 4 * HOUR, NOW, ends=EventType.RUN_FAILED)
    past.write()
    page()
    assert count() == few
