"""Versions arbitrate: a batch goes in whole, or another writer was first and nothing does."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from django.db import IntegrityError, connection, transaction

from rqcron_events.errors import EventRefused, VersionConflict
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent
from rqcron_events.signals import event_appended

from .writing import MANY, WRITE_PATHS, Writer, append_next, event, events, save

pytestmark = pytest.mark.django_db


def versions(stream: str = "cron/alpha") -> list[int]:
    return [item.version for item in store.read_stream(stream)]


def test_every_path_writes_the_events_in_order(write):
    write(events())
    assert versions() == list(range(1, MANY + 1))
    ids = [item.id for item in store.read_stream("cron/alpha")]
    assert ids == sorted(ids)


@pytest.mark.parametrize("path", [name for name in WRITE_PATHS if name != "append_next"])
@pytest.mark.parametrize("taken", [1, 2, MANY], ids=["first", "second", "last"])
@pytest.mark.parametrize("count", [2, MANY], ids=["two events", "many events"])
def test_a_batch_that_meets_a_taken_version_leaves_no_event_behind(path, taken, count):
    taken = min(taken, count)
    save([event(version=taken, reason="first")])
    try:
        WRITE_PATHS[path](events(count=count))
    except (IntegrityError, VersionConflict):
        assert path != "append_batches"
    assert versions() == [taken]
    assert store.read_stream("cron/alpha")[0].reason == "first"


def test_append_names_the_stream_and_the_version_of_a_conflict():
    store.append([event()])
    with pytest.raises(
        VersionConflict, match=r"Stream 'cron/alpha' already has version 1: .*again"
    ):
        store.append([event()])


def test_append_of_nothing_does_nothing():
    store.append([])
    assert store.append_batches([[], []]).accepted == []
    store.append_next([])
    assert not CronEvent.objects.exists()


def test_append_keeps_an_outer_transaction_usable_after_a_conflict():
    store.append([event()])
    with transaction.atomic():
        with pytest.raises(VersionConflict):
            store.append([event()])
        store.append([event(version=2)])
    assert versions() == [1, 2]


def test_append_of_several_streams_is_all_or_nothing():
    store.append([event("cron/beta")])
    with pytest.raises(VersionConflict):
        store.append([event("cron/alpha"), event("cron/beta"), event("cron/gamma")])
    assert versions("cron/alpha") == versions("cron/gamma") == []


def test_batches_without_a_conflict_are_all_accepted():
    batches = [events(f"cron/{number}", 2) for number in range(20)]
    result = store.append_batches(batches)
    assert sorted(batch[0].stream for batch in result.accepted) == sorted(
        batch[0].stream for batch in batches
    )
    assert result.refused == []
    assert CronEvent.objects.count() == 40


def test_one_conflict_among_many_streams_refuses_only_that_stream():
    store.append([event("cron/7", reason="first")])
    result = store.append_batches([[event(f"cron/{number}")] for number in range(20)])
    assert [batch[0].stream for batch in result.refused] == ["cron/7"]
    assert len(result.accepted) == 19
    assert CronEvent.objects.count() == 20
    assert store.read_stream("cron/7")[0].reason == "first"


def test_a_stale_batch_of_two_events_never_goes_in_by_half():
    # The first event's version is taken, the second's is free: row by row it would be let in.
    store.append([event("cron/stale")])
    fresh = [[event(f"cron/{number}")] for number in range(10)]
    result = store.append_batches([*fresh, events("cron/stale", 2), events("cron/long", 3)])
    assert [batch[0].stream for batch in result.refused] == ["cron/stale"]
    assert versions("cron/stale") == [1]
    assert versions("cron/long") == [1, 2, 3]


def test_a_conflict_with_the_first_of_thousands_loses_none_of_them():
    names = sorted(f"cron/{number}" for number in range(3_000))
    store.append([event(names[0], reason="first")])
    result = store.append_batches([[event(name)] for name in names])
    assert [batch[0].stream for batch in result.refused] == [names[0]]
    assert [batch[0].stream for batch in result.accepted] == names[1:]
    assert CronEvent.objects.count() == 3_000


def test_accepted_and_refused_together_are_what_was_given():
    for number in range(0, 12, 3):
        store.append([event(f"cron/{number}")])
    batches = [events(f"cron/{number}", 1 + number % 2) for number in range(12)]
    result = store.append_batches(batches)
    refused = {batch[0].stream for batch in result.refused}
    assert refused == {f"cron/{number}" for number in range(0, 12, 3)}
    assert len(result.accepted) + len(result.refused) == len(batches)


@pytest.mark.django_db(transaction=True)
def test_batches_are_refused_inside_a_transaction_because_they_would_not_be_durable():
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        store.append_batches([events()])
    assert not CronEvent.objects.exists()


def test_append_next_finds_the_next_version_of_each_stream():
    store.append(events("cron/one", 2))
    store.append_next([event("cron/one", 0), event("cron/two", 0), event("cron/one", 0)])
    assert versions("cron/one") == [1, 2, 3, 4]
    assert versions("cron/two") == [1]


def test_append_next_goes_behind_a_version_that_was_taken_meanwhile():
    store.append(events("cron/one", 3))
    store.append_next([event("cron/one", 2, reason="late")])
    assert versions("cron/one") == [1, 2, 3, 4]
    assert store.read_stream("cron/one")[3].reason == "late"


def test_append_next_gives_up_after_twenty_tries(monkeypatch):
    store.append([event("cron/one")])
    monkeypatch.setattr(store, "_with_next_versions", lambda waiting: waiting)
    with pytest.raises(VersionConflict):
        store.append_next([event("cron/one", 1)])


@pytest.mark.django_db(transaction=True)
def test_of_eight_writers_with_one_version_exactly_one_is_accepted():
    start = threading.Barrier(8)
    accepted = []

    def decide(number: int) -> None:
        start.wait(30)
        batches = [[event(f"cron/{stream}", actor=str(number))] for stream in range(50)]
        accepted.append(store.append_batches(batches).accepted)

    writers = [Writer(lambda number=number: decide(number)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.finish()
    won = sorted(batch[0].stream for batches in accepted for batch in batches)
    assert won == sorted(f"cron/{stream}" for stream in range(50))
    assert CronEvent.objects.count() == 50
    told = {batch[0].stream: batch[0].actor for batches in accepted for batch in batches}
    assert {item.stream: item.actor for item in CronEvent.objects.all()} == told


@pytest.mark.django_db(transaction=True)
def test_eight_writers_that_append_to_one_stream_all_get_in_without_gaps():
    def add() -> None:
        for _ in range(5):
            append_next([event("cron/one", 0)])

    writers = [Writer(add) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.finish()
    assert versions("cron/one") == list(range(1, 41))


def test_another_database_error_is_not_taken_for_a_conflict():
    with pytest.raises(EventRefused, match="not JSON serializable"):
        store.append([event(data={"no json": object()})])
    if connection.vendor == "postgresql":  # SQLite has no length limit
        with pytest.raises(EventRefused, match="too long"):
            store.append([event(stream="cron/" + "x" * 301)])


def test_what_was_accepted_is_announced_and_what_was_refused_is_not(caplog):
    store.append([event("cron/1")])
    heard = []

    def hear(event, **_):
        heard.append(event.stream)

    def break_down(event, **_):
        raise RuntimeError("a receiver is broken")

    event_appended.connect(hear)
    event_appended.connect(break_down)
    try:
        store.append_batches([[event("cron/1")], [event("cron/2")]])
    finally:
        event_appended.disconnect(hear)
        event_appended.disconnect(break_down)
    assert heard == ["cron/2"]
    assert "a receiver is broken" in caplog.text


def test_append_and_read_do_not_change_the_callers_events():
    given = events(count=3)
    before = [replace(item) for item in given]
    store.append(given)
    assert given == before
