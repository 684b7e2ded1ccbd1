"""No statement holds the deciding thread for ever."""

from __future__ import annotations

import time

import pytest
from django.db import OperationalError, connection

from rqcron_events.core.events import EventType
from rqcron_events.models import CronEvent
from rqcron_events.runner import statement_watch
from rqcron_events.runner.following.beside import NobodyFollows
from rqcron_events.runner.loop import Loop
from rqcron_events.runner.runner import Runner
from rqcron_events.runner.statement_watch import StatementWatch

LONG = {
    "postgresql": "SELECT pg_sleep(8)",
    "sqlite": (
        "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number LIMIT 30000000) "
        "SELECT COUNT(*) FROM number"
    ),
}
"""Some seconds, so that the test fails soon when nothing ends it."""
HELD_SECONDS = 8


@pytest.fixture
def postgresql() -> None:
    """The test is about PostgreSQL: SQLite has no locks on tables."""


def test_a_statement_that_takes_too_long_is_ended_and_told(transactional_db, monkeypatch, caplog):
    monkeypatch.setattr(statement_watch, "SECONDS_MAX", 0.2)
    monkeypatch.setattr(statement_watch, "LOOK_SECONDS", 0.05)
    watch = StatementWatch()
    watch.start()
    try:
        with pytest.raises(OperationalError), watch.watching(), connection.cursor() as cursor:
            cursor.execute(LONG[connection.vendor])
    finally:
        watch.stop()
        watch.join(10)
    assert "statement_ended" in [record.action for record in caplog.records]
    with connection.cursor() as cursor:  # the session goes on
        cursor.execute("SELECT 1")


def test_steps_that_make_progress_are_let_be(transactional_db, monkeypatch, caplog):
    monkeypatch.setattr(statement_watch, "SECONDS_MAX", 0.5)
    watch = StatementWatch()
    with watch.watching():
        for _ in range(4):
            time.sleep(0.2)
            watch.progress()
            watch.look()
    watch.look()
    assert not caplog.records


def test_the_runner_is_watched_and_goes_on_after_a_statement_that_hung(
    postgresql, transactional_db, redis_connection, crons, monkeypatch, caplog
):
    """Somebody locks the log; the server would end that session only after some seconds."""
    monkeypatch.setattr(statement_watch, "SECONDS_MAX", 0.2)
    monkeypatch.setattr(statement_watch, "LOOK_SECONDS", 0.05)
    loop = Loop(Runner())
    loop._followers = NobodyFollows()
    other = connection.copy()
    try:
        loop._turn()
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = '{HELD_SECONDS}s'")
            cursor.execute("LOCK TABLE rqcron_event IN ACCESS EXCLUSIVE MODE")
        loop._turn()
        assert "statement_ended" in [record.action for record in caplog.records]
        with other.cursor() as cursor:
            cursor.execute("SELECT 1")  # it still holds the lock
        other.rollback()
        loop._turn()
        assert loop.runner.leading
    finally:
        other.close()
        loop.finish()
    assert CronEvent.objects.of_type(EventType.RUNNER_STOPPED).exists()
