"""No statement holds the deciding thread for ever."""

from __future__ import annotations

import time

import pytest
from django.db import OperationalError, connection

from rqcron_events.runner import statement_watch
from rqcron_events.runner.statement_watch import StatementWatch

FOREVER = {
    "postgresql": "SELECT pg_sleep(600)",
    "sqlite": (
        "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) "
        "SELECT COUNT(*) FROM number"
    ),
}


def test_a_statement_that_takes_too_long_is_ended_and_told(transactional_db, monkeypatch, caplog):
    monkeypatch.setattr(statement_watch, "SECONDS_MAX", 0.2)
    monkeypatch.setattr(statement_watch, "LOOK_SECONDS", 0.05)
    watch = StatementWatch()
    watch.start()
    try:
        with pytest.raises(OperationalError), watch.watching(), connection.cursor() as cursor:
            cursor.execute(FOREVER[connection.vendor])
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
