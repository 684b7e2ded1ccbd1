"""The helpers for projects' own tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.backends.base.operations import BaseDatabaseOperations

from rqcron_events import clock
from rqcron_events.core.events import EventType
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent
from rqcron_events.testing import FakeClock, allow_flush, assert_fired, assert_not_fired

from .writing import NOON, event

HOUR = timedelta(hours=1)


@pytest.mark.django_db(transaction=True)
def test_flush_empties_the_log_and_leaves_it_append_only():
    store.append([event()])
    call_command("flush", interactive=False, verbosity=0)
    assert not CronEvent.objects.exists()
    assert backend_of(connection).missing_triggers(connection) == []
    store.append([event()])
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        CronEvent._base_manager.all().delete()


@pytest.mark.django_db(transaction=True)
def test_a_flush_that_fails_leaves_the_log_as_it_was():
    store.append([event()])
    with pytest.raises(DatabaseError):
        connection.ops.execute_sql_flush(
            ['DELETE FROM "rqcron_event"', 'DELETE FROM "no_such_table"']
        )
    assert CronEvent.objects.count() == 1
    assert backend_of(connection).missing_triggers(connection) == []


@pytest.mark.django_db(transaction=True)
def test_a_flush_of_other_tables_does_not_touch_the_triggers(monkeypatch):
    monkeypatch.setattr(backend_of(connection), "set_append_only", None)
    connection.ops.execute_sql_flush(['DELETE FROM "rqcron_lease"'])


@pytest.mark.django_db(transaction=True)
def test_without_allow_flush_the_flush_is_refused(project):
    store.append([event()])
    done = project.run("flush", "--no-input", "--traceback")
    assert done.returncode != 0
    assert "append-only" in done.stderr
    assert "rqcron_events.testing.allow_flush()" in done.stderr
    assert CronEvent.objects.count() == 1


def test_allow_flush_can_be_called_twice():
    before = BaseDatabaseOperations.execute_sql_flush
    allow_flush()
    assert BaseDatabaseOperations.execute_sql_flush is before


def test_a_fake_clock_sets_the_time_until_it_is_left():
    with FakeClock(NOON) as fake:
        assert clock.now() == fake.now == NOON
        assert fake.advance(HOUR) == clock.now() == NOON + HOUR
        assert fake.advance(-HOUR) == clock.now() == NOON
        assert fake.set(datetime(2030, 1, 1, tzinfo=UTC)) == clock.now()
    assert clock.now() < datetime(2030, 1, 1, tzinfo=UTC) or clock.now().year >= 2030
    assert clock.now() is not fake.now


def test_a_fake_clock_starts_now_and_can_be_entered_again():
    before = clock.now()
    fake = FakeClock()
    for _ in range(2):
        with fake:
            assert before <= clock.now() == fake.now


def test_a_fake_clock_refuses_a_time_without_a_zone():
    with pytest.raises(ValueError, match=r"2026-03-02T12:00:00 has no time zone; add tzinfo"):
        FakeClock(datetime(2026, 3, 2, 12, 0))


def decision(
    event_type: EventType, first: datetime, last: datetime, version: int, reason: str = ""
):
    data = {} if first == last else {"first": first.isoformat(), "last": last.isoformat()}
    return event(version=version, type=event_type, scheduled_for=last, reason=reason, data=data)


@pytest.fixture
def decided(db):
    """Fired at noon, skipped from 13:00 to 15:00, missed at 16:00."""
    store.append(
        [
            decision(EventType.SLOT_FIRED, NOON, NOON, 1),
            decision(EventType.SLOT_SKIPPED, NOON + HOUR, NOON + 3 * HOUR, 2, "paused"),
            decision(EventType.SLOT_MISSED, NOON + 4 * HOUR, NOON + 4 * HOUR, 3, "too_late"),
        ]
    )


def test_assert_fired_returns_the_decision(decided):
    assert assert_fired("alpha", NOON).version == 1


@pytest.mark.parametrize("hours", [1, 2, 3])
def test_assert_not_fired_finds_the_stretch_that_covers_a_slot(decided, hours):
    assert assert_not_fired("alpha", NOON + hours * HOUR, reason="paused").version == 2


def test_assert_not_fired_accepts_a_slot_without_a_decision(decided):
    assert assert_not_fired("alpha", NOON + 5 * HOUR) is None
    assert assert_not_fired("unknown", NOON) is None


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (
            lambda: assert_fired("alpha", NOON + HOUR),
            r"Cron 'alpha' did not fire at 2026-03-02T13:00:00\+00:00: event \d+ says slot_skipped, paused",
        ),
        (
            lambda: assert_fired("alpha", NOON + 9 * HOUR),
            r"no decision covers this slot; the cron's last event is slot_missed",
        ),
        (lambda: assert_fired("beta", NOON), r"the log has no event of this cron"),
        (lambda: assert_not_fired("alpha", NOON), r"Cron 'alpha' fired at .*says slot_fired"),
        (
            lambda: assert_not_fired("alpha", NOON + HOUR, reason="overlap"),
            r"should not have fired at .* because of 'overlap': event \d+ says slot_skipped, paused",
        ),
        (
            lambda: assert_not_fired("alpha", NOON + 9 * HOUR, reason="overlap"),
            r"because of 'overlap': no decision covers this slot",
        ),
    ],
)
def test_a_failed_assertion_says_what_was_recorded(decided, check, message):
    with pytest.raises(AssertionError, match=message):
        check()
