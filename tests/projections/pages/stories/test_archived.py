"""What pages and reports say of slots whose decisions are archived: never that there is none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse
from rqcron_projections.models import RunnerSession, SessionEnd
from rqcron_projections.pages.frame.links import page_url
from rqcron_projections.projector import catch_up
from rqcron_projections.report import report

from rqcron_events.models import CronEvent, CronSegment
from rqcron_events.operations import controls
from tests.archiving import archive, forget_files, use_storage

from .conftest import MINUTE, checked, slot

HOUR = {"zoom": "hour", "from": "2026-03-02T09:00:00Z"}
LEFT = 12
"""Events that stay behind the end of the archive."""


@pytest.fixture
def passed(add: Any, live: Any, settings: Any, tmp_path: Path) -> Callable[[], CronSegment]:
    """Four slots fired, three were skipped, six fired; what is called archives all but the newest events."""
    use_storage(settings, tmp_path)
    forget_files()
    add("digest", schedule="* * * * *")
    live(4)
    controls.pause("digest", reason="x", by="ada")
    live(3)
    controls.resume("digest", by="ada")
    live(6)

    def archive_most() -> CronSegment:
        segment = archive(CronEvent.objects.count() - LEFT)
        catch_up()
        return segment

    return archive_most


def labels(html: str) -> list[str]:
    """Of everything that is drawn as a link, in its order: what became of the slot."""
    found = re.findall(r'(?:aria-label|title)="([^"]*)" data-rqcron-mark', html)
    return [unescape(label) for label in found]


def said(html: str) -> str:
    """As a reader sees it, without the legend."""
    body = html.partition('<aside class="rqcron-legend"')[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_the_page_of_a_cron_says_that_slots_are_archived(passed, login):
    client = login()
    address = page_url("admin", "cron", "digest")
    assert "archived" not in said(checked(client.get(address, HOUR)))
    until = passed().occurred_to
    html = checked(client.get(address, HOUR))
    assert "unaccounted" not in said(html)
    assert "2026-03-02 09:06:00 UTC: archived" in labels(html)
    assert "archived: its decision is in the archive" in said(html), "in the table"
    assert 'href="#rqcron-shape-archived"' in html
    assert 'id="rqcron-shape-archived"' in html
    assert "A</text>" in html
    note = f"Events up to {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC are archived"
    assert note in said(html)
    assert "cron_explain, cron_audit and cron_events read it" in said(html)
    later = checked(client.get(address, {"zoom": "hour", "from": "2026-03-02T09:59:00Z"}))
    assert "are archived" not in said(later)


def test_the_page_of_an_archived_slot_reads_the_archive(passed, login):
    passed()
    html = checked(login().get(page_url("admin", "slot", "digest", slot("09:06"))))
    assert "<strong>skipped (paused)</strong>" in html


def test_a_report_of_instants_says_what_it_lacks(passed, login, capsys):
    since, end = datetime(2026, 3, 2, 9, 0, 1, tzinfo=UTC), slot("10:00")
    whole = report(since, end, by="hour")
    assert (whole.totals.expected, dict(whole.totals.skipped)) == (13, {"paused": 3})
    assert (whole.exact, whole.decisions_archived_until) == (True, None)
    until = passed().occurred_to
    found = report(since, end, by="hour")
    assert (found.totals.fired, dict(found.totals.skipped)) == (10, {})
    assert (found.exact, found.decisions_archived_until) == (False, until)
    assert found.to_data()["decisions_archived_until"] == until.isoformat()
    later = report(until + MINUTE / 60, end, by="hour")
    assert (later.exact, later.decisions_archived_until) == (True, None)
    days = report(since.date())
    assert (days.totals.expected, dict(days.totals.skipped)) == (13, {"paused": 3})
    assert days.decisions_archived_until is None


def test_the_command_and_the_page_of_the_report_say_so_too(passed, login, capsys):
    until = passed().occurred_to
    call_command("cron_report", by="hour", since="2026-03-02T09:00:01Z")
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].endswith("from single runs")
    lacks = f"up to {until:%Y-%m-%d %H:%M:%S} UTC are archived"
    assert lacks in printed
    assert "skipped or missed" in printed
    client, asked = login(), {"by": "hour", "since": "2026-03-02T09:00:01Z"}
    html = checked(client.get(reverse("admin:rqcron_report"), asked))
    assert lacks in said(html)
    assert "exact" not in said(html)
    data = json.loads(
        client.get(reverse("admin:rqcron_report"), asked | {"format": "json"}).content
    )
    assert data["decisions_archived_until"] == until.isoformat()
    days = checked(client.get(reverse("admin:rqcron_report"), {"since": "2026-03-02"}))
    assert "archived" not in said(days)


def test_what_an_outage_cost_is_not_told_from_what_is_archived(passed, login):
    RunnerSession.objects.all().delete()
    for name, start, end in (("a", "08:00", "09:01"), ("b", "09:05", None)):
        RunnerSession.objects.create(
            session=name, runner=name, number=1, started_at=slot(start),
            ended_at=slot(end) if end else None, ended=SessionEnd.STOPPED if end else "",
        )  # fmt: skip
    client, asked = login(), {"since": "2026-03-02"}
    html = checked(client.get(reverse("admin:rqcron_report"), asked))
    assert '<td class="rqcron-number">0</td>' in html
    assert "archived" not in said(html)
    passed()
    html = checked(client.get(reverse("admin:rqcron_report"), asked))
    assert '<td class="rqcron-number">archived</td>' in html


def test_the_log_says_that_it_goes_on_in_the_archive(passed, login):
    client = login()
    address = reverse("admin:rqcron_log")
    assert "are archived" not in said(checked(client.get(address, {"event": "slot_skipped"})))
    passed()
    assert "are archived" in said(checked(client.get(address, {"event": "slot_skipped"})))
    later = {"event": "slot_skipped", "since": "2026-03-02T09:59:00Z"}
    assert "are archived" not in said(checked(client.get(address, later)))
