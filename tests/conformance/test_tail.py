"""I8: a reader that tails the log never misses an event, although commits overtake each other."""

from __future__ import annotations

import time

import pytest
from django.db import connection, transaction

from rqcron_events.errors import LedgerUnavailable
from rqcron_events.ledger import store
from rqcron_events.ledger.postgresql import log
from rqcron_events.models import CronEvent

from .writing import MANY, WRITE_PATHS, OpenTransaction, Writer, event, events

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 8
ROUNDS = 12


@pytest.fixture
def position() -> int:
    """Where the log ends now: ids go on over a flush."""
    if connection.vendor == "sqlite":
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(pg_sequence_last_value("
            "pg_get_serial_sequence('rqcron_event', 'id')::regclass), 0)"
        )
        return cursor.fetchone()[0]


def ids(found: list) -> list[int]:
    return [item.id for item in found]


def stored_ids() -> list[int]:
    return list(CronEvent.objects.order_by("id").values_list("id", flat=True))


def test_an_empty_log_has_nothing_to_read(position):
    assert store.tail(position)[:2] == ([], position)


def test_events_come_once_and_in_order(write, position):
    write(events(count=MANY))
    first = store.tail(position)
    assert ids(first.events) == stored_ids()
    assert store.tail(first.position).events == []
    write(events("cron/beta", 2))
    assert [item.stream for item in store.tail(first.position).events] == ["cron/beta"] * 2


def test_pages_follow_each_other_without_a_hole(position):
    store.append_batches([events(f"cron/{number}", 7) for number in range(10)])
    found = []
    while page := store.tail(position, limit=9):
        if not page.events:
            break
        assert len(page.events) <= 9
        found += ids(page.events)
        position = page.position
    assert found == stored_ids()
    assert len(found) == 70


def test_a_page_that_is_cut_by_its_limit_ends_at_its_last_event(position, postgresql):
    with OpenTransaction(lambda: store.append(events("cron/lost", 2))) as writer:
        writer.roll_back()
    store.append(events(count=5))
    page = store.tail(position, limit=3)
    assert len(page.events) == 3
    assert page.position == page.events[-1].id
    assert len(store.tail(page.position, limit=3).events) == 2


def test_the_reader_goes_on_past_the_gap_of_a_transaction_that_was_rolled_back(write, position):
    with OpenTransaction(lambda: write(events("cron/lost"))) as writer:
        writer.roll_back()
    store.append([event("cron/kept")])
    page = store.tail(position)
    assert [item.stream for item in page.events] == ["cron/kept"]
    assert store.tail(page.position)[:2] == ([], page.position)


def test_a_reader_waits_for_a_writer_that_has_a_lower_id(write, position, postgresql, settings):
    settings.RQCRON_TAIL_WAIT_SECONDS = 60
    with OpenTransaction(lambda: write(events("cron/slow"))) as writer:
        store.append([event("cron/quick")])
        found = []
        reader = Writer(lambda: found.extend(store.tail(position).events))
        reader.start()
        reader.join(0.3)
        assert reader.is_alive()
        writer.commit()
        reader.finish()
    assert [item.stream for item in found] == ["cron/slow"] * MANY + ["cron/quick"]


def test_a_reader_that_may_not_wait_returns_what_is_safe(write, position, postgresql, settings):
    settings.RQCRON_TAIL_WAIT_SECONDS = 0.05
    store.append(events("cron/early", 2))
    with OpenTransaction(lambda: write(events("cron/slow"))):
        store.append([event("cron/quick")])
        page = store.tail(position)
        assert [item.stream for item in page.events] == ["cron/early"] * 2
        assert page.position == page.events[-1].id
        again = store.tail(page.position)
        assert again[:2] == ([], page.position)
    page = store.tail(page.position)
    assert [item.stream for item in page.events] == ["cron/slow"] * MANY + ["cron/quick"]


def test_without_the_fence_the_reader_misses_events(write, position, postgresql, monkeypatch):
    """Why the fence exists: the same scene as above, with a reader that trusts the sequence."""
    monkeypatch.setattr(log, "_writers", lambda cursor: set())
    with OpenTransaction(lambda: write(events("cron/slow"))):
        store.append([event("cron/quick")])
        page = store.tail(position)
        assert [item.stream for item in page.events] == ["cron/quick"]
    assert CronEvent.objects.count() == MANY + 1
    assert store.tail(page.position).events == []


def test_without_the_fence_trigger_the_reader_misses_events(position, postgresql):
    """And why it has to be in the database: a writer that takes no lock is not waited for."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE rqcron_event DISABLE TRIGGER rqcron_event_fence")
    try:
        with OpenTransaction(lambda: store.append(events("cron/slow"))):
            store.append([event("cron/quick")])
            page = store.tail(position)
            assert [item.stream for item in page.events] == ["cron/quick"]
        assert store.tail(page.position).events == []
    finally:
        log.install_triggers(connection)


def test_an_open_writer_does_not_stop_other_writers(write, position, postgresql):
    with OpenTransaction(lambda: write(events("cron/slow"))):
        for name, path in WRITE_PATHS.items():
            path(events(f"cron/{name}"))
        assert CronEvent.objects.count() == MANY * len(WRITE_PATHS)


def test_a_waiting_reader_does_not_stop_writers(position, postgresql, settings):
    """A reader that asked for the lock itself would queue all writers behind the slow one."""
    settings.RQCRON_TAIL_WAIT_SECONDS = 60
    with OpenTransaction(lambda: store.append([event("cron/slow")])) as slow:
        store.append([event("cron/quick")])
        reader = Writer(lambda: store.tail(position))
        reader.start()
        for number in range(20):
            store.append([event(f"cron/{number}")])
        assert reader.is_alive()
        slow.commit()
        reader.finish()


def test_writers_that_come_after_the_mark_are_not_waited_for(position, postgresql, monkeypatch):
    """Otherwise a busy log would keep its readers waiting for ever."""
    later: list[OpenTransaction] = []
    original = log._writers

    def writers(cursor):
        found = original(cursor)
        if not later:  # the mark is taken: a new writer comes, and the one waited for goes
            later.append(OpenTransaction(lambda: store.append([event("cron/later")])).__enter__())
            slow.commit()
        return found

    with OpenTransaction(lambda: store.append([event("cron/slow")])) as slow:
        store.append([event("cron/quick")])
        monkeypatch.setattr(log, "_writers", writers)
        page = store.tail(position)
        later[0].commit()
    assert [item.stream for item in page.events] == ["cron/slow", "cron/quick"]
    assert [item.stream for item in store.tail(page.position).events] == ["cron/later"]


def test_a_reader_inside_its_own_writing_transaction_sees_its_events(position):
    with transaction.atomic():
        store.append(events(count=3))
        page = store.tail(position)
        assert len(page.events) == 3


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_that_could_hide_events_is_refused(level, position, postgresql):
    with OpenTransaction(lambda: store.append([event("cron/lost")])) as writer:
        writer.roll_back()
    store.append([event()])
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        with pytest.raises(LedgerUnavailable, match=f"{level.lower()} transaction.*Read outside"):
            store.tail(position)


def test_eight_writers_on_all_paths_and_a_tailing_reader_that_misses_none(position, settings):
    settings.RQCRON_TAIL_WAIT_SECONDS = 0.02

    def write_rounds(number: int) -> None:
        paths = list(WRITE_PATHS.values())
        for turn in range(ROUNDS):
            path = paths[(number + turn) % len(paths)]
            count = MANY if turn % 3 else 2
            if turn % 5 == 4:  # leaves a gap
                with transaction.atomic():
                    store.append(events(f"cron/{number}-{turn}-lost", count))
                    transaction.set_rollback(True)
            path(events(f"cron/{number}-{turn}", count))

    found: list[int] = []

    def read() -> None:
        nonlocal position
        page = store.tail(position, limit=100)
        found.extend(ids(page.events))
        assert page.position >= position
        position = page.position

    # One writer keeps its transaction open while the others go on; SQLite has them wait for it.
    with OpenTransaction(lambda: store.append(events("cron/holder"))) as holder:
        writers = [Writer(lambda number=number: write_rounds(number)) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        for _ in range(20):
            read()
        holder.commit()
        while any(writer.is_alive() for writer in writers):
            read()
    for writer in writers:
        writer.finish()
    while found[-1:] != stored_ids()[-1:]:
        read()
    assert found == stored_ids()
    per_round = [MANY if turn % 3 else 2 for turn in range(ROUNDS)]
    assert len(found) == MANY + WRITERS * sum(per_round)


def test_the_wait_is_bounded_by_the_setting(position, postgresql, settings):
    settings.RQCRON_TAIL_WAIT_SECONDS = 0.2
    with OpenTransaction(lambda: store.append([event("cron/slow")])):
        store.append([event("cron/quick")])
        begin = time.monotonic()
        assert store.tail(position).events == []
        assert 0.2 <= time.monotonic() - begin < 10
