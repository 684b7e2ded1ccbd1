"""Keeping up with the log: failures stay alone, and two processes do not disturb each other."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, DataError, connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from rqcron_projections import projector, tables
from rqcron_projections.checks import check_versions
from rqcron_projections.folds import crons, runs
from rqcron_projections.models import Checkpoint, CronDayState, CronJob, CronRun
from rqcron_projections.replay import rebuild
from rqcron_projections.stored_rows import StoredRows

from rqcron_events import clock
from rqcron_events.core.events import Event
from rqcron_events.followers import followers
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, QuarantinedEvent

from .histories import append, history


def refuse(row: object, event: object) -> list:
    raise RuntimeError("broken on purpose")


@pytest.fixture(autouse=True)
def _nothing_logged_yet() -> None:
    projector._broken.clear()


@pytest.mark.django_db
def test_a_broken_projection_stops_no_other_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = replace(crons.PROJECTION, apply=refuse)
    monkeypatch.setattr(projector, "PROJECTIONS", (broken, runs.PROJECTION))
    append(history(1, 100))

    with caplog.at_level(logging.ERROR):
        assert projector.catch_up() == CronEvent.objects.count()
        projector.catch_up()

    logged = [record for record in caplog.records if record.action == "projection_failed"]
    assert [(record.projection, record.position) for record in logged] == [("crons", 0)]
    assert CronRun.objects.exists()
    assert not CronJob.objects.exists()
    positions = dict(Checkpoint.objects.values_list("name", "position"))
    assert positions["crons"] == 0
    assert positions["runs"] >= CronEvent.objects.order_by("id").last().id

    monkeypatch.setattr(projector, "PROJECTIONS", (crons.PROJECTION, runs.PROJECTION))
    projector.catch_up()
    assert rebuild.check() == []


@pytest.mark.django_db
def test_rows_that_cannot_be_saved_keep_the_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    append(history(2, 50))

    def fail(self: object, rows: object) -> None:
        raise OSError("disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(tables.Tables, "save", fail)
        assert projector.catch_up() == 0
    assert set(Checkpoint.objects.values_list("position", flat=True)) == {0}
    assert projector.catch_up() == CronEvent.objects.count()


@pytest.mark.django_db
def test_a_limit_bounds_what_one_call_applies() -> None:
    append(history(3, 100))
    total = CronEvent.objects.count()
    applied = []
    while count := projector.catch_up(30):
        applied.append(count)
    assert max(applied) <= 30
    assert sum(applied) == total


@pytest.mark.django_db
def test_whoever_comes_second_drops_its_work_and_starts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    append(history(4, 100))
    fold, entered = tables.Tables.fold, []

    def overtaken(self: tables.Tables, events: list) -> list:
        rows = fold(self, events)
        if not entered:
            entered.append(True)
            projector.catch_up()  # as another process would, between our reading and saving
        return rows

    monkeypatch.setattr(tables.Tables, "fold", overtaken)
    projector.catch_up()
    assert rebuild.check() == []
    assert sum(CronJob.objects.values_list("fired_count", flat=True)) == (
        CronEvent.objects.of_type("slot_fired").count()
    )


@pytest.mark.django_db
def test_rows_read_before_a_rebuild_are_never_saved_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = history(5, 100)
    append(events[:60])
    projector.catch_up()
    CronJob.objects.update(fired_count=1000)
    append(events[60:])
    fold, entered = tables.Tables.fold, []
    positions = Checkpoint.objects.values_list("position", flat=True)

    def overtaken(self: tables.Tables, page: list) -> list:
        rows = fold(self, page)
        if not entered:
            entered.append(set(positions))
            rebuild.rebuild(["crons"])
            Checkpoint.objects.update(position=entered[0].pop())  # the worst case: as before
        return rows

    monkeypatch.setattr(tables.Tables, "fold", overtaken)
    projector.catch_up(1)
    assert max(CronJob.objects.values_list("fired_count", flat=True)) < 1000


@pytest.mark.django_db(transaction=True)
def test_two_processes_at_once_are_harmless() -> None:
    errors: list[BaseException] = []

    def follow() -> None:
        try:
            while not done.is_set():
                projector.catch_up(40)
            projector.catch_up()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    done = threading.Event()
    threads = [threading.Thread(target=follow) for _ in range(2)]
    for thread in threads:
        thread.start()
    events = history(6, 300)
    for start in range(0, len(events), 25):
        append(events[start : start + 25])
    done.set()
    for thread in threads:
        thread.join(60)

    assert errors == []
    projector.catch_up()
    assert rebuild.check() == []


@pytest.mark.django_db
def test_a_new_version_asks_for_a_rebuild_of_that_projection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    projector.catch_up()
    newer = replace(runs.PROJECTION, version=runs.VERSION + 1)
    monkeypatch.setattr(projector, "PROJECTIONS", (crons.PROJECTION, newer))
    assert check_versions(databases=None) == []

    (found,) = check_versions(databases=["default"])
    assert found.id == "rqcron_projections.W001"
    assert found.hint == "Run: manage.py cron_replay --projection runs"

    rebuild.rebuild(["runs"])
    assert check_versions(databases=["default"]) == []


@pytest.mark.django_db
def test_the_leading_runner_is_asked_to_keep_them_current() -> None:
    append(history(1, 20))
    assert followers["projections"].catch_up() > 0
    assert followers["projections"].position() == projector.position() > 0


@pytest.fixture
def poisoned() -> int:
    """A log with one event that no fold of crons can take: its id."""
    append(history(4, 60))
    known = CronEvent.objects.of_type("cron_registered").order_by("id").last()
    newest = CronEvent.objects.filter(stream=known.stream).order_by("-version").first()
    row = CronEvent(
        stream=known.stream,
        version=newest.version + 1,
        cron=known.cron,
        type="cron_changed",
        data={"definition": []},
        occurred_at=newest.occurred_at,
    )
    row.save()
    return row.id


@pytest.mark.django_db
def test_an_event_that_cannot_be_folded_is_left_out_by_that_projection_and_by_its_replay(
    poisoned: int,
) -> None:
    append(history(5, 60))
    last = CronEvent.objects.order_by("id").last()
    projector.catch_up()
    assert {point.position for point in projector.checkpoints(projector.PROJECTIONS)} == {last.id}
    rows = QuarantinedEvent.objects.values_list("reader", "event_id")
    assert ("projection:crons", poisoned) in set(rows)
    assert {event_id for _, event_id in rows} == {poisoned}
    assert rebuild.check() == []
    rebuild.rebuild()
    assert rebuild.check() == []


@pytest.mark.django_db
def test_a_replay_goes_on_without_what_nobody_set_aside_yet(poisoned: int) -> None:
    rebuild.rebuild()
    assert set(QuarantinedEvent.objects.values_list("event_id", flat=True)) == {poisoned}
    assert rebuild.check() == []


@pytest.mark.django_db
def test_what_the_rows_lack_is_said_beside_them(
    poisoned: int, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("cron_list")
    assert f"Event {poisoned} of cron/" in capsys.readouterr().err
    with pytest.raises(CommandError, match=f"Event {poisoned} of cron/"):
        call_command("cron_replay", "--check")


@pytest.mark.django_db
def test_a_value_that_the_table_does_not_take_is_one_events_trouble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    append(history(6, 60))
    victim = CronEvent.objects.of_type("cron_registered").order_by("id").last()

    def apply(row: CronJob | None, event: Event) -> list:
        if event.id == victim.id:
            raise_at_save.append(event.id)
        return crons.apply(row, event)

    raise_at_save: list[int] = []
    original = tables.Tables.save

    def save(self: tables.Tables, rows: list) -> None:
        if raise_at_save:
            raise_at_save.clear()
            raise DataError("value too long")
        original(self, rows)

    monkeypatch.setattr(projector, "PROJECTIONS", (replace(crons.PROJECTION, apply=apply),))
    monkeypatch.setattr(tables.Tables, "save", save)
    projector.catch_up()
    assert list(QuarantinedEvent.objects.values_list("event_id", flat=True)) == [victim.id]


@pytest.mark.django_db
def test_a_page_is_one_transaction_of_few_statements_for_all_projections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Statements that take rows in bulk; a page without an event for a projection asks nothing of it."""
    events = history(8, 200)
    append(events[:100])
    projector.catch_up()
    append(events[100:])
    with CaptureQueriesContext(connection) as asked:
        assert projector.catch_up() == CronEvent.objects.count() - 100
    statements = [query["sql"].split()[0] for query in asked.captured_queries]
    assert statements.count("SAVEPOINT") == 1, asked.captured_queries
    assert len(statements) <= 40


@pytest.mark.django_db
def test_where_one_fails_the_others_of_its_page_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    append(history(9, 60))
    broken = replace(runs.PROJECTION, complete=lambda row: refuse(row, None))
    monkeypatch.setattr(projector, "PROJECTIONS", (crons.PROJECTION, broken))
    projector.catch_up()
    positions = dict(Checkpoint.objects.values_list("name", "position"))
    assert (positions["runs"], CronRun.objects.exists()) == (0, False)
    assert positions["crons"] == CronEvent.objects.order_by("id").last().id
    assert rebuild.check(["crons"]) == []


@pytest.mark.django_db
def test_a_row_that_was_read_and_is_there_no_more_is_not_lost_in_silence() -> None:
    append(history(10, 60))
    projector.catch_up()
    stored = StoredRows(CronJob, CronJob)
    names = list(CronJob.objects.values_list("name", flat=True))
    rows = list(stored.load(names).values())
    CronJob.objects.filter(name=names[0]).delete()
    with pytest.raises(DatabaseError, match=r"'rqcron_job' lost 1 rows .* cron_replay"):
        stored.save(rows)


@pytest.mark.django_db
def test_what_did_not_change_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    events = history(11, 200)
    append(events[:150])
    projector.catch_up()
    append(events[150:])
    written: dict[type[Model], set[str]] = {}
    of_database = backend_of(connection).tables

    def update(db: Any, table: type[Model], columns: Any) -> int:
        assert next(iter(columns)) == table._meta.pk.attname
        written.setdefault(table, set()).update(columns)
        return original(db, table, columns)

    original = of_database.update
    monkeypatch.setattr(of_database, "update", update)
    projector.catch_up()
    assert "last_slot" in written[CronJob]
    assert not written[CronJob] & {"function", "registered_at"}
    assert "open_runs" in written[CronDayState], "which is changed in place"
    assert rebuild.check(["crons", "days", "runs"]) == []


@pytest.mark.django_db
def test_an_idle_log_costs_one_query_and_is_looked_at_closely_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = history(12, 120)
    append(events[:100])
    while projector.catch_up_some():
        pass
    with CaptureQueriesContext(connection) as asked:
        assert projector.catch_up_some() == 0
    assert len(asked) == 1
    append(events[100:])
    assert projector.catch_up_some() == CronEvent.objects.count() - 100
    assert projector.catch_up_some() == 0
    Checkpoint.objects.filter(name="runs").update(position=0)
    CronRun.objects.all().delete()
    assert projector.catch_up_some() == 0, "nobody does that, and it is seen only a little later"
    later = clock.monotonic_seconds() + projector.LOOK_SECONDS
    monkeypatch.setattr(clock, "monotonic_seconds", lambda: later)
    assert projector.catch_up_some() > 0
    while projector.catch_up_some():
        pass
    assert rebuild.check(["runs"]) == []


@pytest.mark.parametrize(
    ("took", "expected"),
    [
        ([(2_000, 0.2)], 4_000),
        ([(2_000, 0.6)], 2_000),  # neither quick nor slow
        ([(400, 0.02)], 2_000),  # not behind
        ([(2_000, 1.2)], 1_000),
        ([(99_000, 0.2)] * 9, projector.PAGE_EVENTS_MAX),
        ([(2_000, 18.0)] * 9, projector.PAGE_EVENTS_MIN),
    ],
)
def test_pages_grow_while_they_are_full_and_quick(
    took: list[tuple[int, float]], expected: int
) -> None:
    many = backend_of(store.connection()).MANY_WRITERS
    bound = projector.PAGE_SECONDS_MAX if many else projector.ALONE_SECONDS_MAX
    pace = projector._Pace()
    for events, part in took:
        pace.took(events, part * bound)
    assert pace.events == expected
