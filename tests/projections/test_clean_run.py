"""Runs without incident are found, and stand for exactly their events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from threading import current_thread, main_thread
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from rqcron_projections.models import CronRun
from rqcron_projections.replay import rebuild, shadow
from rqcron_projections.replay.clean_run import CleanEnd, CleanRun, Item, Page, pages_of_runs

from rqcron_events.core.codec import SCHEMA_VERSIONS, UPCASTERS, NewerEvent
from rqcron_events.core.events import Event, EventType, run_stream
from rqcron_events.core.events.make import LOG_FORMAT
from rqcron_events.ledger import run_pages as run_pages_module
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.ledger.run_pages import run_pages
from rqcron_events.models import CronEvent, QuarantinedEvent

from .histories import History, append, history


def appended(seed: int, steps: int) -> list[Event]:
    append(history(seed, steps))
    return store.read(0, 2**62, 10_000).events


def pages_of(events: list[Event], page_events: int, ahead: int) -> list[Page]:
    return list(pages_of_runs(run_pages(0, events[-1].id or 0, page_events, ahead)))


def told(event: Event) -> tuple[Any, ...]:
    """What has to be known of an event, as far as a clean run knows it."""
    kind = event.type
    clean = (EventType.SLOT_FIRED, EventType.RUN_STARTED, EventType.RUN_SUCCEEDED)
    return (
        event.stream,
        kind,
        event.occurred_at,
        event.cron,
        event.run_id,
        event.scheduled_for if kind is EventType.SLOT_FIRED else None,
        event.actor if kind in clean[:2] else "",
        event.attempt if kind is EventType.RUN_STARTED else None,
        event.reason if kind in (clean[0], clean[2]) else "",
        event.data.get("queue"),
        event.data.get("lateness_seconds"),
        event.data.get("duration_seconds"),
        event.id if kind in (clean[0], clean[2]) else None,
    )


def without_traceback(event: Event) -> Event:
    """As a replay reads it."""
    if not event.data.get("error"):
        return event
    error = {key: value for key, value in event.data["error"].items() if key != "traceback"}
    return replace(event, data={**event.data, "error": error})


def events_of(item: Item) -> Iterator[Event]:
    if isinstance(item, list):
        for run in item:
            yield run.decided()
            yield from run.rest()
    elif isinstance(item, CleanEnd):
        yield from item.run.rest()
    elif isinstance(item, CleanRun):
        yield item.decided()
    else:
        yield item


def ids_of(item: Item) -> list[int]:
    """The place of an item, of a stretch the first and the last one of each run."""
    if isinstance(item, list):
        return [place for run in item for place in (run.first_id, run.last_id)]
    if isinstance(item, CleanEnd):
        return [item.run.last_id]
    return [item.first_id if isinstance(item, CleanRun) else item.id or 0]


@pytest.mark.django_db
@pytest.mark.parametrize("ahead", [0, 7, 5_000])
@pytest.mark.parametrize("page_events", [1, 3, 10, 100, 5_000])
def test_items_stand_for_all_events_each_once(page_events: int, ahead: int) -> None:
    events = appended(3, 600)
    pages = pages_of(events, page_events, ahead)

    assert sum(page.events for page in pages) == len(events)
    ends = [event.id for event in events[page_events - 1 :: page_events]]
    assert [page.position for page in pages][: len(ends)] == ends
    items: dict[str, list[Item]] = {}
    for page in pages:
        for cron, some in page.by_cron.items():
            items.setdefault(cron, []).extend(some)
    for cron in {event.cron for event in events} - {""}:
        expected = sorted(map(str, (told(event) for event in events if event.cron == cron)))
        found = [told(event) for item in items[cron] for event in events_of(item)]
        assert sorted(map(str, found)) == expected
        places = [place for item in items[cron] for place in ids_of(item)]
        assert places == sorted(places)
    others = [event for page in pages for event in page.others]
    assert [event.id for event in others] == sorted(event.id for event in others)
    assert {event.id: event for event in others}.items() <= {
        event.id: without_traceback(event) for event in events
    }.items()
    assert len(others) + 4 * sum(len(page.clean) for page in pages) == len(events)
    assert ahead + page_events < 100 or any(page.clean for page in pages)


@pytest.mark.django_db
def test_what_happens_to_a_cron_while_a_run_is_open_parts_the_run_in_two() -> None:
    events = appended(3, 600)
    (page,) = pages_of(events, 5_000, 0)
    kinds = {type(item) for items in page.by_cron.values() for item in items}
    assert kinds == {Event, CleanRun, CleanEnd, list}
    for items in page.by_cron.values():
        for item in items:
            for run in item if isinstance(item, list) else ():
                own = [event for event in events if event.run_id == run.run_id]
                between = [
                    event
                    for event in events
                    if event.cron == run.cron and run.first_id <= (event.id or 0) <= run.last_id
                ]
                assert between == own


@pytest.mark.django_db
def test_a_run_is_plain_only_when_nothing_else_happened_to_it() -> None:
    events = appended(4, 900)
    (page,) = pages_of(events, 5_000, 0)
    found = {run.run_id for run in page.clean}

    kinds: dict[Any, list[Event]] = {}
    for event in events:
        kinds.setdefault(event.run_id, []).append(event)
    usual = {
        EventType.SLOT_FIRED, EventType.RUN_ENQUEUED, EventType.RUN_STARTED,
        EventType.RUN_SUCCEEDED,
    }  # fmt: skip
    expected = {
        run
        for run, its in kinds.items()
        if run is not None
        and len(its) == 4
        and {event.type for event in its} == usual
        and its[-1].type is EventType.RUN_SUCCEEDED
    }
    assert found == expected
    assert len(found) > 5


@pytest.mark.django_db
def test_a_run_that_goes_on_beyond_the_window_is_read_event_by_event() -> None:
    events = appended(4, 900)
    (whole,) = pages_of(events, 5_000, 0)
    places = {event.id: number for number, event in enumerate(events)}
    for page_events, ahead in [(50, 0), (50, 10)]:
        pages = pages_of(events, page_events, ahead)
        found = {run.run_id for page in pages for run in page.clean}
        within = {
            run.run_id
            for run in whole.clean
            if places[run.last_id] < (places[run.first_id] // page_events + 1) * page_events + ahead
        }
        assert found == within
        assert len(found) < len(whole.clean)


def one_run(**last: Any) -> None:
    """A run without incident but for its last event."""
    told = History(seed=1, crons=1)
    (name,) = told.names
    told.define(name)
    told.fire(name)
    run = told.open.pop()
    common = {"cron": name, "run_id": run.run_id}
    told.write(run_stream(run.run_id), EventType.RUN_ENQUEUED, **common)
    told.write(run_stream(run.run_id), EventType.RUN_STARTED, attempt=1, **common)
    append(told.events)
    stored = {"stream": run_stream(run.run_id), "version": 3, "type": "run_succeeded", **common}
    CronEvent(**{**stored, "occurred_at": told.now, **last}).save(force_insert=True)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("last", "clean"), [({}, 1), ({"cron": "another"}, 0), ({"data": {"error": {}}}, 0)]
)
def test_a_run_that_is_odd_in_itself_is_not_plain(last: dict[str, Any], clean: int) -> None:
    one_run(**last)
    (page,) = run_pages(0, store.fence() or 0, 100, 0)
    assert len(page.clean) == clean


@pytest.mark.django_db
def test_what_follows_a_clean_run_that_reached_into_the_page_is_not_left_out() -> None:
    one_run()
    ended = CronEvent.objects.get(type="run_succeeded")
    refused = {"type": "start_refused", "stream": ended.stream, "version": 4, "cron": ended.cron}
    CronEvent(**refused, run_id=ended.run_id, occurred_at=ended.occurred_at).save()
    pages = list(run_pages(0, store.fence() or 0, 3, 2))
    assert [len(page.clean) for page in pages] == [1, 0]
    assert [[row[3] for row in page.others] for page in pages] == [
        ["cron_registered"],
        ["start_refused"],
    ]


@pytest.mark.django_db
def test_an_event_of_a_newer_release_is_refused_and_not_guessed_at() -> None:
    one_run(schema_version=2)
    CronEvent(
        stream="runner/newer",
        version=1,
        type="runner_started",
        data={"format": LOG_FORMAT + 1},
        occurred_at=datetime(2026, 3, 2, tzinfo=UTC),
    ).save()
    with pytest.raises(NewerEvent, match="schema version 2"):
        rebuild.rebuild()


@pytest.mark.django_db
def test_old_shapes_of_data_are_upcast_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    one_run(data={"took": 2.5})
    monkeypatch.setitem(SCHEMA_VERSIONS, EventType.RUN_SUCCEEDED, 2)
    monkeypatch.setitem(
        UPCASTERS,
        (EventType.RUN_SUCCEEDED, 1),
        lambda data: {"duration_seconds": data["took"]},
    )
    rebuild.rebuild()
    assert CronRun.objects.get().duration_seconds == 2.5


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("smooth", "sizes"), [(True, [10, 20, 40, 60]), (False, [10, 10, 10, 10])], ids=["", "failing"]
)
def test_pages_are_larger_where_less_is_read_one_by_one(
    smooth: bool, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_pages_module, "FIRST_PAGE_EVENTS_MAX", 10)
    monkeypatch.setattr(run_pages_module, "OTHERS_WANTED", 10)
    told = History(seed=1, crons=1)
    (name,) = told.names
    told.define(name)
    for _ in range(40):
        told.fire(name)
        run = told.open.pop().run_id
        common = {"cron": name, "run_id": run}
        told.write(run_stream(run), EventType.RUN_ENQUEUED, **common)
        told.write(run_stream(run), EventType.RUN_STARTED, attempt=1, **common)
        kind = EventType.RUN_SUCCEEDED if smooth else EventType.RUN_FAILED
        told.write(run_stream(run), kind, **common)
    append(told.events)
    positions = [0, *(page.position for page in run_pages(0, store.fence() or 0, 60, 8))]
    found = [
        CronEvent.objects.filter(id__gt=after, id__lte=end).count()
        for after, end in pairwise(positions)
    ]
    assert found[:4] == sizes
    assert sum(found) == len(told.events)


@pytest.mark.django_db
def test_a_wide_gap_in_the_ids_is_stepped_over() -> None:
    events = appended(5, 100)
    assert 120 < len(events) < 180
    last = CronEvent(
        stream="runner/last", version=1, type="runner_stopped", occurred_at=events[-1].occurred_at
    )
    _save_with_id(last, 10**12)
    pages = list(run_pages(0, last.id, 60, 10))
    assert [page.position for page in pages] == [events[59].id, events[119].id, last.id]
    assert pages[-1].others[-1][0] == last.id
    assert [page.position for page in run_pages(last.id, 10**15, 60, 10)] == [10**15]


def _save_with_id(event: CronEvent, number: int) -> None:
    """As if ids were lost before it. PostgreSQL takes none that a statement brings, and does not
    roll its sequence back."""
    if connection.vendor == "sqlite":
        event.id = number
        event.save(force_insert=True)
        return
    next_is = "SELECT setval(pg_get_serial_sequence('rqcron_event', 'id'), %s, false)"
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('rqcron_event', 'id'))")
        (before,) = cursor.fetchone()
        cursor.execute(next_is, [number])
        try:
            event.save(force_insert=True)
        finally:
            cursor.execute(next_is, [before])
    assert event.id == number


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("refused", [False, True], ids=["", "no second connection"])
def test_pages_are_read_ahead_where_it_can_be(
    refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a second connection on PostgreSQL; in place elsewhere, and when there is none."""
    events = appended(5, 300)
    threads = set()
    backend = backend_of(store.connection())
    read = backend.read_others

    def spy(*given: Any) -> Any:
        threads.add(current_thread() is main_thread())
        return read(*given)

    def refuse(self: BaseDatabaseWrapper) -> None:
        raise DatabaseError("too many clients already")

    monkeypatch.setattr(backend, "read_others", spy)
    if refused:
        monkeypatch.setattr(type(store.connection()), "connect", refuse)
    monkeypatch.setattr(shadow, "PAGE_EVENTS_MAX", 50)
    pages = list(run_pages(0, events[-1].id or 0, 50, 0))

    assert sum(len(page.others) + 4 * len(page.clean) for page in pages) == len(events)
    ahead = backend.COMMITS_OUT_OF_ORDER and not refused
    assert threads == {not ahead}
    rebuild.rebuild()
    assert CronRun.objects.count() == len({event.run_id for event in events} - {None})


POISONS = {
    "a lateness that is text": ("slot_fired", {"data": {"lateness_seconds": "soon"}}),
    "a lateness beyond all numbers": ("slot_fired", {"data": {"lateness_seconds": "1e999"}}),
    "a duration that is a list": ("run_succeeded", {"data": {"duration_seconds": [1]}}),
    "a slot without end": ("slot_fired", {"scheduled_for": "infinity"}),
    "an end before all time": ("run_succeeded", {"occurred_at": "-infinity"}),
}


@pytest.fixture
def poisoned_run(db: None, request: pytest.FixtureRequest) -> int:
    """A log of runs without incident, one of which holds what nobody can read: the event's id."""
    kind, values = POISONS[request.param]
    append(history(3, 300))
    clean = [run for page in pages_of_runs(run_pages(0, 2**62, 5_000, 5_000)) for run in page.clean]
    middle = clean[len(clean) // 2]
    event_id = middle.first_id if kind == "slot_fired" else middle.last_id
    ((column, value),) = values.items()
    backend = backend_of(connection)
    backend.remove_checks(connection)  # as before there were any
    backend.set_append_only(connection, False)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE rqcron_event SET {column} = %s WHERE id = %s",
            [value if isinstance(value, str) else json.dumps(value), event_id],
        )
    backend.set_append_only(connection, True)
    return event_id


@pytest.mark.django_db
@pytest.mark.parametrize("poisoned_run", POISONS, indirect=True)
def test_one_run_that_cannot_be_read_is_left_out_of_a_replay_and_the_others_are_in(
    poisoned_run: int,
) -> None:
    rebuild.rebuild()
    assert CronRun.objects.count() > 50
    rows = QuarantinedEvent.objects.all()
    assert {row.event_id for row in rows} == {poisoned_run}
    assert "projection:runs" in {row.reader for row in rows}
    assert rebuild.check() == []
