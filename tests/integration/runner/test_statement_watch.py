"""No statement holds the deciding thread for ever."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import nullcontext
from threading import Event, Thread
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import OperationalError, connection

from rqcron_events.core.events import EventType
from rqcron_events.models import CronEvent
from rqcron_events.runner import statement_watch
from rqcron_events.runner.following.beside import NobodyFollows
from rqcron_events.runner.loop import Loop
from rqcron_events.runner.runner import Runner
from rqcron_events.runner.statement_watch import StatementWatch
from tests.pgbouncer import PgBouncer, thaw_after

LONG = {
    "postgresql": "SELECT pg_sleep(8)",
    "sqlite": (
        "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number LIMIT 30000000) "
        "SELECT COUNT(*) FROM number"
    ),
}
"""Some seconds, so that the test fails soon when nothing ends it."""
HELD_SECONDS = 30


@pytest.fixture
def postgresql() -> None:
    """The test is about PostgreSQL: SQLite has no locks on tables."""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement_watch, "SECONDS_MAX", 0.2)
    monkeypatch.setattr(statement_watch, "LOOK_SECONDS", 0.05)


@pytest.fixture
def frozen_between(transactional_db, monkeypatch: pytest.MonkeyPatch) -> Iterator[PgBouncer]:
    """Something between this process and PostgreSQL that a test may freeze."""
    between = PgBouncer(connection.settings_dict, "session", 3)
    connection.close()
    try:
        between.start()
        with monkeypatch.context() as behind:
            where = urlsplit(between.url)
            for name, value in (("HOST", where.hostname), ("PORT", where.port), ("NAME", "shop")):
                behind.setitem(connection.settings_dict, name, value)
            yield between
            connection.close()
    finally:
        between.close()


def ends_a_long_statement(watch: StatementWatch) -> None:
    watch.start()
    try:
        with pytest.raises(OperationalError), watch.watching(), connection.cursor() as cursor:
            cursor.execute(LONG[connection.vendor])
    finally:
        watch.stop()
        watch.join(10)


def test_a_statement_that_takes_too_long_is_ended_and_told(transactional_db, short, caplog):
    ends_a_long_statement(StatementWatch())
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
    postgresql, transactional_db, redis_connection, crons, short, caplog
):
    """Somebody locks the log; the server would end that session only after some seconds."""
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


def test_a_session_that_is_frozen_is_cut_off_and_the_runner_goes_on_in_another(
    postgresql, transactional_db, redis_connection, crons, short
):
    """The server takes the request to cancel, and nothing comes of it."""
    loop = Loop(Runner())
    loop._followers = NobodyFollows()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    try:
        loop._turn()
        os.kill(pid, signal.SIGSTOP)
        thaw_after(pid, HELD_SECONDS)
        began = time.monotonic()
        loop._turn()
        assert time.monotonic() - began < HELD_SECONDS - 5
        loop._turn()
        assert loop.runner.leading
    finally:
        os.kill(pid, signal.SIGCONT)
        loop.finish()


def test_a_frozen_server_silences_no_other_thread_while_its_statement_is_ended(
    postgresql, frozen_between: PgBouncer, short
):
    """libpq's old way to cancel waits for the server's answer and keeps the interpreter; before version 17 it
    has no other one."""
    ends = psycopg.capabilities.has_cancel_safe()
    held = HELD_SECONDS if ends else 2
    watch, over = StatementWatch(), Event()
    gaps = [0.0]

    def beat() -> None:
        last = time.monotonic()
        while not over.wait(0.05):
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    beats = Thread(target=beat)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    frozen_between.freeze()
    frozen_between.thaw_after(held)
    watch.start()
    beats.start()
    began = time.monotonic()
    try:
        expected = pytest.raises(OperationalError) if ends else nullcontext()
        with expected, watch.watching(), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if ends:
            assert time.monotonic() - began < held - 5
            assert max(gaps) < held / 2
    finally:
        over.set()
        frozen_between.thaw()
        watch.stop()
        watch.join(10)
        beats.join()


def test_who_is_asked_to_stop_has_a_shorter_bound(transactional_db, monkeypatch):
    """In whatever it does: a supervisor waits only for so long."""
    monkeypatch.setattr(statement_watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(statement_watch, "STOP_SECONDS_MAX", 0.2)
    watch = StatementWatch()
    watch.hurry()
    ends_a_long_statement(watch)
