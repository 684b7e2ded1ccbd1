"""The page of the log: filters on every column, one event with all of its data, the live tail."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape
from rqcron_projections.pages.frame.links import page_url
from rqcron_projections.pages.log import search

from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls

from .conftest import checked, slot

LOG = page_url("admin", "log")
TAIL = page_url("admin", "log_tail")


def html(client, address=LOG, values=None, status=200) -> str:
    return checked(client.get(address, values or {}), status)


def ids(text: str) -> list[int]:
    return [int(part.partition('"')[0]) for part in text.split('data-event="')[1:]]


@pytest.fixture
def two_crons(add, live):
    add("digest", schedule="* * * * *")
    add("sync <b>", schedule="* * * * *")
    live(2)
    controls.pause("digest", reason="the <mail> moves", by="user:ann")


FILTERS = [
    ({"cron": "sync <b>"}, {"cron": "sync <b>"}),
    ({"event": "run_succeeded"}, {"type": "run_succeeded"}),
    ({"event": "definitions"}, {"type__in": ["cron_registered", "cron_changed", "cron_retired"]}),
    ({"event": "people", "actor": "user:ann"}, {"type": "cron_paused"}),
    ({"reason": "MAIL"}, {"type": "cron_paused"}),
    ({"attempt": "1"}, {"attempt": 1}),
    ({"stream": "cron/digest"}, {"stream": "cron/digest"}),
    ({"since": "2026-03-02 09:02", "until": "2026-03-02T09:03:00Z"},
     {"occurred_at__gte": slot("09:02"), "occurred_at__lt": slot("09:03")}),
    ({"cron": "digest", "slot": "2026-03-02 09:01"},
     {"cron": "digest", "scheduled_for": slot("09:01"), "type": "slot_fired"}),
    ({"run": str(run_id_for_slot("digest", slot("09:01")))[:8]},
     {"run_id": run_id_for_slot("digest", slot("09:01"))}),
]  # fmt: skip


def test_every_column_is_a_filter_and_the_newest_event_is_first(two_crons, login):
    client = login()
    for asked, expected in FILTERS:
        rows = CronEvent.objects.filter(**expected).order_by("-occurred_at", "-id")
        assert rows, asked
        assert ids(html(client, LOG, asked)) == [row.id for row in rows], asked


def test_events_are_in_words_and_raw_and_nothing_of_others_is_run(two_crons, login):
    text = html(login(), LOG, {"event": "people"})
    assert "paused: the &lt;mail&gt; moves" in text
    assert "&quot;effective_from&quot;: " in text
    assert page_url("admin", "cron", "digest") in text
    assert "<mail>" not in text
    assert page_url("admin", "cron", "sync <b>") in html(login(username="bob"))


def test_pages_follow_one_another_without_a_count(two_crons, login, monkeypatch):
    monkeypatch.setattr(search, "PAGE_EVENTS", 5)
    client, found, address = login(), [], LOG
    while address:
        with CaptureQueriesContext(connection) as queries:
            text = html(client, address)
        log_queries = [query["sql"] for query in queries if '"rqcron_event"' in query["sql"]]
        assert not [sql for sql in log_queries if "COUNT(" in sql.upper()]
        found += ids(text)
        _, found_link, rest = text.partition('<a rel="next" data-rqcron-key="[" href="')
        address = LOG + rest.partition('"')[0].replace("&amp;", "&") if found_link else ""
    rows = CronEvent.objects.order_by("-occurred_at", "-id")
    assert found == list(rows.values_list("id", flat=True))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"cron": "digset"}, "No event is about a cron 'digset'. Did you mean 'digest'"),
        ({"event": "explosion"}, "Event 'explosion' is unknown."),
        ({"run": "<x>"}, "Run '<x>' is not an id."),
        ({"slot": "2026-03-02 09:00"}, "A slot is looked for within one cron"),
        ({"attempt": "-1"}, "Attempt '-1' is not a number."),
        ({"since": "soon"}, "Since 'soon' is not an instant"),
        ({"since": "2026-03-02", "until": "2026-03-01"}, "The range is empty: Since 2026-03-02"),
    ],
)  # fmt: skip
def test_a_filter_that_makes_no_sense_is_named_and_can_be_corrected(two_crons, login, asked, told):
    text = html(login(), LOG, asked, 400)
    assert escape(told) in text
    for value in asked.values():
        assert f'value="{escape(value)}"' in text or asked.keys() == {"event"}


def test_queries_do_not_grow_with_events_and_crons(two_crons, login):
    client = login()

    def queries(**asked: str) -> int:
        html(client, LOG, asked)
        with CaptureQueriesContext(connection) as found:
            html(client, LOG, asked)
        return len(found)

    asked = ({}, {"event": "people"}, {"actor": "user:ann"})
    few = [queries(**one) for one in asked]
    CronEvent.objects.bulk_create(
        CronEvent(stream=f"cron/other_{n}", version=1, type="cron_paused", cron=f"other_{n}",
                  actor="user:ann", occurred_at=slot("09:05"), data={"until": None})
        for n in range(200)
    )  # fmt: skip
    many = [queries(**one) for one in asked]
    assert all(now <= before for now, before in zip(many, few, strict=True)), (few, many)


def test_a_place_that_no_page_gave_shows_the_newest_events(two_crons, login):
    client = login()
    newest = ids(html(client))
    for place in ("x", "2026-03-02~5", "2026-03-02T09:00:00+00:00~-1", "~", "9999~" + "9" * 30):
        assert ids(html(client, LOG, {"before": place})) == newest, place


def test_one_event_has_a_page_with_all_that_is_stored(two_crons, login):
    event = CronEvent.objects.get(type="cron_paused")
    text = html(login(), page_url("admin", "event", event.id))
    assert "user:ann" in text
    assert "the &lt;mail&gt; moves" in text
    assert "&quot;until&quot;: null" in text
    assert html(login(username="bob"), page_url("admin", "event", 10**9), status=404)


def test_the_log_has_a_permission_of_its_own(two_crons, login):
    client = login("rqcron_projections.view_cronjob")
    for address in (LOG, TAIL, page_url("admin", "event", 1)):
        html(client, address, status=403)
    client = login("rqcron_projections.view_cronjob", "rqcron_events.view_cronevent", username="b")
    assert ids(html(client))


@pytest.mark.usefixtures("transactional_db")  # a reader waits for writers that have not committed
def test_the_tail_brings_what_is_new_and_matches_as_rows(two_crons, live, login):
    client = login()
    text = html(client, LOG, {"live": "1", "cron": "digest"})
    position = int(text.partition('data-rqcron-position="')[2].partition('"')[0])
    assert position == CronEvent.objects.last().id
    assert '<noscript><meta http-equiv="refresh"' in text
    live()
    answer = client.get(TAIL, {"after": position, "cron": "digest"}).json()
    rows = CronEvent.objects.filter(cron="digest", id__gt=position).order_by("-id")
    assert ids(answer["rows"]) == [row.id for row in rows]
    assert "skipped: paused" in answer["rows"]
    assert answer["position"] == CronEvent.objects.last().id
    assert client.get(TAIL, {"after": "x"}).status_code == 400
    assert client.get(TAIL, {"after": 10**9}).status_code == 409, "the log went back"
