"""The page of figures of a range of time: what ``cron_report`` says, in bounded time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rqcron_projections.pages.report import found as found_module
from rqcron_projections.pages.report.asked import SORTS

from rqcron_events.core.events import EventType
from rqcron_events.testing import FakeClock
from tests.projections.pages.past import HOUR, MINUTE, START, Past

NOW = START + timedelta(days=3) + MINUTE
MARKUP = "<script>alert(1)</script>"
RANGE = {"since": "2026-03-02", "until": "2026-03-05"}


def text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.fixture
def ask(login: Callable[..., Client]) -> Callable[..., str]:
    """``ask(since="...")``: the page as HTML, or what it gives for download, at NOW."""
    client = login()

    def get(**parameters: str) -> str:
        with FakeClock(NOW):
            response = client.get(reverse("admin:rqcron_report"), parameters)
        assert response.status_code == 200
        return response.content.decode()

    return get


def write_some(past: Past) -> None:
    past.define("slow")
    past.fire_between("slow", START, START + 36 * HOUR, took=10)
    past.fire_between("slow", START + 36 * HOUR, NOW - HOUR, took=45)
    past.define(MARKUP, expression="0 */6 * * *")
    past.fire_between(MARKUP, START, NOW, ends=EventType.RUN_FAILED, error=MARKUP)
    past.define("idle", expression="0 12 * * *")
    first = START + 12 * HOUR
    past.pass_over("idle", EventType.SLOT_SKIPPED, "paused", first)
    past.write()


def rows(html: str) -> list[list[str]]:
    """Cells of the table by group, as text."""
    table = html[html.index("<caption>Slots, runs and durations") :]
    lines = re.findall(r"<tr>(.*?)</tr>", table[: table.index("</table>")], re.DOTALL)
    return [[text(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", line)] for line in lines][1:]


def test_the_worst_crons_are_first_and_all_is_summed_up(past, ask):
    write_some(past)
    found = rows(ask(**RANGE))
    assert [row[0] for row in found] == [MARKUP, "idle", "slow", "All"]
    assert found[0][1:8] == ["11", "11", "\u2013", "\u2013", "\u2013", "11", "\u2013"]
    assert found[-1][1:8] == ["83", "82", "\u2013", "1", "71", "11", "\u2013"]


def test_markup_in_names_and_errors_is_shown_and_not_run(past, ask):
    write_some(past)
    html = ask(**RANGE)
    assert MARKUP not in html
    assert "ValueError: <script>alert(<number>)</script>" in unescape(html)


def test_a_cron_that_takes_longer_than_before_is_named(past, ask):
    write_some(past)
    said = text(ask(**RANGE))
    assert re.search(r"slow 10\.0 s 3\d\.\d s 3\.\d ", said), said


@pytest.mark.parametrize("by", ["cron", "day"])
@pytest.mark.parametrize("sort", SORTS)
def test_very_many_crons_are_added_up_by_the_database_to_the_same(sort, by, past, ask, monkeypatch):
    write_some(past)
    small = rows(ask(**RANGE, by=by, sort=sort))
    monkeypatch.setattr(found_module, "CRON_DAYS_MAX", 1)
    html = ask(**RANGE, by=by, sort=sort)
    assert "There are too many crons here" in html
    p95 = 10
    assert [row[:p95] + row[p95 + 1 :] for row in rows(html)] == [
        row[:p95] + row[p95 + 1 :] for row in small
    ]


def test_what_an_outage_cost(past, ask, login):
    down, up = START + 10 * HOUR, START + 13 * HOUR + MINUTE
    past.define("hourly")
    past.runner("a", START, down, lost=True)
    past.runner("b", up)
    past.pass_over(
        "hourly", EventType.SLOT_MISSED, "superseded", down + HOUR, down + 2 * HOUR, 2, at=up
    )
    past.fire("hourly", down + 3 * HOUR, late=60)
    past.write()
    html = ask(**RANGE)
    assert "2026-03-02 10:00 UTC 2026-03-02 13:01 UTC 3 h 1 min 2 1 1 min" in text(html)
    [decisions] = re.findall(r'href="([^"]*/log/\?event=slot_missed[^"]*)"', html)
    found = text(login(username="grace").get(unescape(decisions)).content.decode())
    assert "hourly" in found
    assert "superseded" in found


def test_downloads_are_those_of_the_command(past, ask):
    write_some(past)
    for kind in ("csv", "json"):
        printed = StringIO()
        with FakeClock(NOW):
            call_command(
                "cron_report", since=RANGE["since"], until=RANGE["until"], by="day", format=kind,
                stdout=printed,
            )  # fmt: skip
        given = ask(**RANGE, by="day", format=kind)
        assert given.split() == printed.getvalue().split()
    assert len(json.loads(ask(**RANGE, by="day", format="json"))["rows"]) == 3


def test_a_range_within_a_day_is_exact(past, ask):
    write_some(past)
    html = ask(since="2026-03-02T01:30:00Z", until="2026-03-02T04:30:00Z", by="hour")
    assert "From single runs: exact." in html
    assert len(rows(html)) == 3 + 1


def test_too_many_single_runs_are_refused_with_a_remedy(past, ask, monkeypatch):
    write_some(past)
    monkeypatch.setattr(found_module, "RUNS_MAX", 5)
    assert "Give dates without times" in text(ask(**RANGE, by="hour"))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"since": "2026-02-30"}, "From '2026-02-30' is not a date"),
        ({"since": "soonish"}, "From 'soonish'"),
        ({"since": "2026-03-04", "until": "2026-03-02"}, "The range is empty"),
        ({"cron": "slwo"}, "Did you mean 'slow'"),
        ({"since": "2025-01-01", "by": "hour"}, "at most 31 days"),
        ({"page": "0"}, ""),
        ({"page": "99"}, "Nothing was decided"),
        ({"by": "moon", "sort": "size", "format": "xml"}, ""),
    ],
)
def test_what_cannot_be_shown_is_told(parameters, said, past, ask):
    write_some(past)
    assert said in text(ask(**parameters))


def test_the_number_of_queries_does_not_grow_with_crons_days_or_runs(past, ask, monkeypatch):
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            ask(**RANGE)
        return len(seen)

    def add(number: int) -> None:
        past.define(f"cron_{number}", expression=f"{number} * * * *")
        past.fire_between(f"cron_{number}", START, START + 6 * HOUR)

    add(1)
    past.write()
    few = queries()
    for number in range(2, 20):
        add(number)
    past.write()
    assert queries() == few
    monkeypatch.setattr(found_module, "CRON_DAYS_MAX", 1)
    assert queries() <= few
