"""On PostgreSQL, a rebuild works in two sessions: one in which the database builds the runs nearly
alone, and the caller's, in which Python folds the rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event as Signal
from threading import Thread, Timer, current_thread, main_thread
from typing import Any

import pytest
from django.db import connection
from rqcron_projections import projector
from rqcron_projections.folds import days
from rqcron_projections.models import CronDay, CronRun
from rqcron_projections.replay import rebuild, shadow

from rqcron_events.ledger import store
from rqcron_events.models import CronEvent
from tests.projections.histories import append, history
from tests.projections.replay.test_replay_equals_live import MODELS, live_rows

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("postgresql")]


@pytest.fixture
def postgresql() -> None:
    """Not on SQLite: it has one writer, and one session does everything."""


def query(statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [row[0] for row in cursor.fetchall()]


def told(seed: int) -> dict[str, list[dict]]:
    append(history(seed, 400))
    projector.catch_up()
    return live_rows()


def empty() -> None:
    for model in MODELS:
        model.objects.all().delete()


def sessions() -> int:
    return query("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()")[0]


def test_both_sessions_together_give_the_live_rows_and_close() -> None:
    live, before = told(41), sessions()
    assert rebuild.check() == []
    empty()
    done = rebuild.rebuild(actor="ada")

    assert live_rows() == live
    assert [item.projection for item in done] == ["crons", "runs", "days", "runners"]
    recorded = CronEvent.objects.of_type("projection_rebuilt").events()
    assert {event.data["projection"]: event.data["rows"] for event in recorded} == {
        item.projection: item.rows for item in done
    }
    deadline = time.monotonic() + 10
    while sessions() > before:  # a server process ends a moment after its client
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_runs_are_built_beside_the_others_only_when_there_are_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told(42)
    threads: dict[str, bool] = {}
    analyze = shadow.Shadow.analyze

    def spy(self: shadow.Shadow) -> None:
        threads[self.projection.name] = current_thread() is main_thread()
        analyze(self)

    monkeypatch.setattr(shadow.Shadow, "analyze", spy)
    rebuild.rebuild()
    assert threads == {"crons": True, "runs": False, "days": True, "runners": True}
    rebuild.rebuild(["runs"])
    assert threads["runs"] is True


def test_a_projection_that_raises_does_not_stop_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    live = told(43)
    CronRun.objects.all().delete()
    CronDay.objects.all().delete()

    def broken(*_: Any) -> None:
        raise ValueError("a day has 25 hours")

    monkeypatch.setattr(days, "_phase", broken)
    with pytest.raises(ValueError, match="25 hours"):
        rebuild.rebuild()
    assert live_rows()["CronRun"] == live["CronRun"]
    assert not CronDay.objects.exists()
    recorded = CronEvent.objects.of_type("projection_rebuilt").events()
    assert [event.data["projection"] for event in recorded] == ["runs"]


def test_an_interrupt_does_not_wait_for_what_the_database_is_doing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told(44)
    before = live_rows()
    sleeping = Signal()

    def slow(self: shadow.Shadow) -> None:
        sleeping.set()
        self._run("SELECT pg_sleep(120)")

    def interrupted(*_: Any) -> None:
        assert sleeping.wait(20)
        time.sleep(0.2)
        raise KeyboardInterrupt

    monkeypatch.setattr(shadow.Shadow, "analyze", slow)
    monkeypatch.setattr(rebuild, "replay_together", interrupted)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        rebuild.rebuild()
    assert time.monotonic() - started < 60
    assert live_rows() == before


def test_an_interrupt_between_two_statements_changes_nothing_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told(48)
    CronRun.objects.all().delete()
    thinking, interrupted = Signal(), Signal()
    analyze = shadow.Shadow.analyze

    def think(self: shadow.Shadow) -> None:
        thinking.set()
        assert interrupted.wait(20)
        analyze(self)

    def interrupt(*_: Any) -> None:
        assert thinking.wait(20)
        Timer(0.3, interrupted.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(shadow.Shadow, "analyze", think)
    monkeypatch.setattr(rebuild, "replay_together", interrupt)
    with pytest.raises(KeyboardInterrupt):
        rebuild.rebuild()
    assert not CronRun.objects.exists()
    assert not CronEvent.objects.of_type("projection_rebuilt").exists()


def test_what_fails_in_both_sessions_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told(49)

    def broken(self: shadow.Shadow) -> None:
        raise ValueError(f"{self.projection.name} is broken")

    monkeypatch.setattr(shadow.Shadow, "analyze", broken)
    with pytest.raises(ValueError, match="crons is broken") as found:
        rebuild.rebuild()
    assert found.value.__notes__ == ["Another projection failed too: ValueError: runs is broken"]


def indexes() -> set[str]:
    return set(query("SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'rqcron_%'"))


def test_an_empty_table_is_filled_without_its_indexes_and_has_them_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live, before = told(45), indexes()
    during: list[set[str]] = []
    run = shadow.Shadow._run

    def spy(self: shadow.Shadow, statement: str) -> None:
        if statement.startswith('INSERT INTO "rqcron_run"'):
            found = self._query("SELECT indexdef FROM pg_indexes WHERE tablename = 'rqcron_run'")
            during.append(set(found))
        run(self, statement)

    monkeypatch.setattr(shadow.Shadow, "_run", spy)
    rebuild.rebuild()
    assert during[0] <= before
    assert len(during[0]) == 5
    empty()
    rebuild.rebuild()
    (only,) = during[1]
    assert "run_id" in only
    assert indexes() == before
    assert live_rows() == live


def test_readers_of_a_full_table_are_never_locked_out() -> None:
    """Even when every row is replaced, as after a change of the projection."""
    live = told(50)
    CronRun.objects.update(worker="another")
    statements: list[str] = []

    def spy(execute: Callable[..., Any], statement: str, *given: Any) -> Any:
        statements.append(statement)
        return execute(statement, *given)

    with connection.execute_wrapper(spy):
        rebuild.rebuild(["runs"])  # alone, it is built in this session
    assert [text for text in statements if text.startswith('INSERT INTO "rqcron_run"')]
    assert not [text for text in statements if text.startswith(("DROP INDEX", "LOCK"))]
    assert live_rows()["CronRun"] == live["CronRun"]


def test_nobody_is_waited_for_to_take_the_indexes_off() -> None:
    """A backup in progress holds every table; readers must not queue behind a rebuild that waits."""
    live, before = told(46), indexes()
    empty()
    reading, done = Signal(), Signal()

    def read() -> None:
        with store.connection().cursor() as cursor:
            cursor.execute("BEGIN; SELECT * FROM rqcron_run")
            reading.set()
            done.wait(60)
            cursor.execute("ROLLBACK")
        store.connection().close()

    reader = Thread(target=read)
    reader.start()
    try:
        assert reading.wait(20)
        rebuild.rebuild()
        assert not done.is_set()
    finally:
        done.set()
        reader.join()
    assert live_rows() == live
    assert indexes() == before


def test_a_role_that_may_only_write_rows_can_rebuild() -> None:
    """Tables often belong to the role that migrates."""
    live, before = told(47), indexes()
    empty()
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE rqcron_writer")
        try:
            cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO rqcron_writer")
            cursor.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO rqcron_writer")
            cursor.execute("SET ROLE rqcron_writer")
            rebuild.rebuild(["runs"])  # alone, it is built in this session
        finally:
            cursor.execute("RESET ROLE")
            cursor.execute("DROP OWNED BY rqcron_writer; DROP ROLE rqcron_writer")
    assert live_rows()["CronRun"] == live["CronRun"]
    assert indexes() == before
