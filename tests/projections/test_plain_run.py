"""Runs without incident are found, and stand for exactly their events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from threading import current_thread, main_thread
from typing import Any

import pytest
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from rqcron_projections import rebuild, shadow
from rqcron_projections.models import CronRun
from rqcron_projections.plain_run import Item, PlainEnd, PlainRun, with_plain_runs

from rqcron_events import ledger, ledger_postgresql
from rqcron_events.core.events import Event, EventType

from .histories import history


def appended(seed: int, steps: int) -> list[Event]:
    ledger.append(history(seed, steps))
    return ledger.read(0, None, 10_000)


def expanded(items: list[Item]) -> Iterator[Event]:
    for item in items:
        if isinstance(item, Event):
            yield item
        elif isinstance(item, PlainEnd):
            yield from item.run.rest()
        else:
            yield item.decided()


@pytest.mark.django_db
@pytest.mark.parametrize("page_events", [1, 3, 10, 100, 5_000])
def test_items_stand_for_all_events_each_once(page_events: int) -> None:
    events = appended(3, 600)
    pages = list(with_plain_runs(ledger.pages(0, events[-1].id or 0, page_events)))

    assert sum(page.events for page in pages) == len(events)
    assert [page.position for page in pages[:-1]] == [
        event.id for event in events[page_events - 1 : -1 : page_events]
    ][: len(pages) - 1]
    items = [item for page in pages for item in page.items]
    told = list(expanded(items))
    assert Counter(event.id for event in told) == Counter(event.id for event in events)
    assert {event.id: event for event in told} == {event.id: event for event in events}
    places = [
        item.run.rows[3][0] if isinstance(item, PlainEnd)
        else item.rows[0][0] if isinstance(item, PlainRun)
        else item.id
        for item in items
    ]  # fmt: skip
    assert places == sorted(places)
    assert page_events < 3 or any(isinstance(item, PlainRun) for item in items)


@pytest.mark.django_db
def test_a_run_is_plain_only_when_nothing_else_happened_to_it() -> None:
    events = appended(4, 900)
    pages = with_plain_runs(ledger.pages(0, events[-1].id or 0, 5_000))
    found = {item.run_id for page in pages for item in page.items if isinstance(item, PlainRun)}

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


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("refused", [False, True], ids=["", "no second connection"])
def test_pages_are_read_ahead_where_it_can_be(
    refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a second connection on PostgreSQL; in place elsewhere, and when there is none."""
    events = appended(5, 300)
    threads = set()
    vendor = ledger.vendor(ledger.connection())
    read = vendor.read

    def spy(*given: Any) -> Any:
        threads.add(current_thread() is main_thread())
        return read(*given)

    def refuse(self: BaseDatabaseWrapper) -> None:
        raise DatabaseError("too many clients already")

    monkeypatch.setattr(vendor, "read", spy)
    if refused:
        monkeypatch.setattr(type(ledger.connection()), "connect", refuse)
    monkeypatch.setattr(shadow, "PAGE_EVENTS_MAX", 50)
    pages = list(ledger.pages(0, events[-1].id or 0, 50))

    assert [row[0] for page in pages for row in page] == [event.id for event in events]
    ahead = vendor is ledger_postgresql and not refused
    assert threads == {not ahead}
    rebuild.rebuild()
    assert CronRun.objects.count() == len({event.run_id for event in events} - {None})
