"""Searching the log page by page: complete, in order, and never by reading all of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rqcron_projections.pages.log import search as module
from rqcron_projections.pages.log.search import Line, Wanted, newer_than, search

from rqcron_events.core.codec import Unreadable
from rqcron_events.core.events import DECISIONS, OUTCOMES, Event
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent
from tests.archive_pass import archive_all, use_archive
from tests.projections.histories import append, history
from tests.sealing import history as sealed_history

LEDGER = "ledger"
PAGES_MAX = 400


@pytest.fixture
def events(db: None) -> list[Event]:
    append(history(seed=7, steps=500))
    return [row.to_event() for row in CronEvent.objects.order_by("id")]


@pytest.fixture(params=[10_000, 40], ids=["all-in-one-window", "narrow-windows"])
def window(request, monkeypatch) -> int:
    monkeypatch.setattr(module, "LOOKED_AT_MAX", request.param)
    monkeypatch.setattr(module, "PAGE_EVENTS", 17)
    return request.param


def pages(wanted: Wanted) -> list[Line]:
    """Every page, one after the other."""
    lines: list[Line] = []
    place = None
    for _ in range(PAGES_MAX):
        found = search(wanted, place)
        lines += found.lines
        assert found.older is None or found.older != place, "the next page has to go on"
        place = found.older
        if place is None:
            return lines
    raise AssertionError("the pages come to no end")


def middle(events: list[Event]) -> datetime:
    return events[len(events) // 2].occurred_at


QUESTIONS = {
    "anything": lambda events: Wanted(),
    "one cron": lambda events: Wanted(cron="cron_7_1"),
    "a cron's outcomes": lambda events: Wanted(cron="cron_7_1", types=frozenset(OUTCOMES)),
    "a rare type": lambda events: Wanted(types=frozenset({"cron_paused"})),
    "many rare types": lambda events: Wanted(types=frozenset(OUTCOMES)),
    "types of every run": lambda events: Wanted(types=frozenset(DECISIONS)),
    "definitions of a cron": lambda events: Wanted(
        cron="cron_7_0", types=frozenset({"cron_registered", "cron_changed"})
    ),
    "a person": lambda events: Wanted(actor="ada"),
    "a person's pauses": lambda events: Wanted(
        actor="ad", types=frozenset({"cron_paused", "all_paused"})
    ),
    "a part of a reason, in any case": lambda events: Wanted(reason="Te"),
    "an attempt": lambda events: Wanted(attempt=2),
    "the ledger's stream": lambda events: Wanted(stream=LEDGER),
    "a cron's stream": lambda events: Wanted(stream="cron/cron_7_2"),
    "one run": lambda events: Wanted(run_id=next(e.run_id for e in events if e.run_id)),
    "one slot": lambda events: Wanted(
        cron="cron_7_0",
        slot=next(e.scheduled_for for e in events if e.cron == "cron_7_0" and e.scheduled_for),
    ),
    "a time": lambda events: Wanted(since=middle(events), reason="a"),
    "until a time": lambda events: Wanted(until=middle(events)),
}


def test_the_pages_together_are_all_that_matches_newest_first(events, window):
    by_time = {event.id: (event.occurred_at, event.id) for event in events}
    for question, ask in QUESTIONS.items():
        wanted = ask(events)
        expected = [event.id for event in events if wanted.matches(event)]
        assert expected, f"{question}: it has to be about something"
        found = [line.id for line in pages(wanted)]
        assert found == sorted(expected, key=by_time.__getitem__, reverse=True), question


def test_events_of_one_instant_are_neither_lost_nor_shown_twice(db, window):
    """As when many crons are due at once: more of them than a page or a window has."""
    instant = datetime(2026, 3, 2, 9, tzinfo=UTC)
    rows = [
        CronEvent(stream="cron/a", version=n, type="slot_skipped", cron="a", reason="paused",
                  actor="x" if n % 3 else "y", occurred_at=instant, scheduled_for=instant)
        for n in range(1, 101)
    ]  # fmt: skip
    CronEvent.objects.bulk_create(rows)
    assert [line.version for line in pages(Wanted())] == list(range(100, 0, -1))
    assert [line.version for line in pages(Wanted(actor="y"))] == list(range(99, 0, -3))


def test_a_page_says_how_far_back_it_looked(events, monkeypatch):
    monkeypatch.setattr(module, "LOOKED_AT_MAX", 40)
    newest_first = sorted(events, key=lambda event: event.occurred_at, reverse=True)
    found = search(Wanted(actor="nobody of that name"))
    assert (found.lines, found.looked_back_to) == ([], newest_first[40].occurred_at)
    assert search(Wanted(cron="cron_7_1")).looked_back_to is None, "an index leads along the cron"


def test_nothing_is_counted_and_a_page_takes_at_most_two_queries_for_each_type(events):
    for question, ask in QUESTIONS.items():
        wanted = ask(events)
        with CaptureQueriesContext(connection) as queries:
            search(wanted)
        assert len(queries) <= 2 * max(len(wanted.types), 1), question
        assert not [query["sql"] for query in queries if "COUNT(" in query["sql"].upper()]


def test_an_event_that_cannot_be_read_is_a_line_with_the_reason(events):
    backend_of(connection).remove_checks(connection)
    later = events[-1].occurred_at + timedelta(minutes=1)
    CronEvent.objects.bulk_create(
        [CronEvent(stream="cron/new", version=1, type="cron_sang", cron="new", occurred_at=later)]
    )
    line = search(Wanted(cron="new")).lines[0]
    assert isinstance(line, Unreadable)
    assert "'cron_sang' is unknown to this release" in line.error
    assert Wanted(cron="new").matches(line)


@pytest.mark.usefixtures("transactional_db")  # a reader waits for writers that have not committed
def test_the_tail_has_what_came_after_a_position_and_matches(events):
    position = events[-20].id
    wanted = Wanted(cron="cron_7_1")
    lines, last = newer_than(position, wanted)
    assert [line.id for line in lines] == [e.id for e in events[-19:] if e.cron == "cron_7_1"]
    assert last == events[-1].id
    assert newer_than(last, wanted) == ([], last)


def test_the_tail_behind_what_is_archived_names_the_segment(admin_client, settings, tmp_path):
    """A page that was open while the log was archived."""
    use_archive(settings, tmp_path / "segments")
    sealed_history("alpha", runs=4)
    archive_all()
    answer = admin_client.get(reverse("admin:rqcron_log_tail"), {"after": "1"})
    assert answer.status_code == 409
    assert "segments/" in answer.json()["problem"]
