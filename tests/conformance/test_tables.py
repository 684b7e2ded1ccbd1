"""What a database does with tables of rows: the shape is ``rqcron_events.ledger.table_backend``."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from django.apps.registry import Apps
from django.db import DatabaseError, IntegrityError, connection, connections, models, transaction
from django.db.models import JSONField, Model
from rqcron_projections.models import CronDay, CronDayState, CronRun

from rqcron_events.core.clean_run.columns import Elapsed, OfRun, row_maker
from rqcron_events.core.codec import json_text
from rqcron_events.core.events import EventType, cron_stream, run_stream
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.ledger.run_pages import stores_runs

from .writing import NOON, event

pytestmark = pytest.mark.django_db

MANY = 2_000
"""More keys than SQLite took as parameters of one query for most of its life."""
SECOND = timedelta(seconds=1)


class Shadow(models.Model):
    """A table like that of CronDayState; not in Django's own list of models."""

    cron = models.CharField(max_length=200, primary_key=True)
    phases = models.JSONField()
    open_runs = models.JSONField()
    failures = models.IntegerField()
    failing_since = models.DateTimeField(null=True)

    class Meta:
        apps = Apps()
        app_label = "rqcron_projections"
        db_table = "rqcron_day_state_shadow"

    def __str__(self) -> str:
        return self.cron


@pytest.fixture(autouse=True)
def no_shadow() -> Iterator[None]:
    """The connection, and with it a temporary table, outlives a test."""
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {Shadow._meta.db_table}")


def tables():
    return backend_of(connection).tables


def state(number: int) -> tuple:
    since = NOON + timedelta(microseconds=number) if number % 2 else None
    return (f"cron {number}", [[number, "UTC", '"\\%s']], {"é": None}, number, since)


def with_text(table: type[Model], rows: Iterable[Sequence]) -> list[tuple]:
    """As a backend takes rows, and gives them."""
    fields = table._meta.concrete_fields
    is_json = [isinstance(field, JSONField) for field in fields]
    return [
        tuple(json_text(v) if j else v for v, j in zip(row, is_json, strict=True)) for row in rows
    ]


def parsed(table: type[Model], rows: Iterable[Sequence]) -> list[tuple]:
    is_json = [isinstance(field, JSONField) for field in table._meta.concrete_fields]
    return [
        tuple(json.loads(v) if j else v for v, j in zip(row, is_json, strict=True)) for row in rows
    ]


def insert(table: type[Model], rows: Iterable[Sequence]) -> None:
    tables().insert(connection, table, iter(with_text(table, rows)))


def update(table: type[Model], rows: Iterable[Sequence]) -> int:
    names = [field.attname for field in table._meta.concrete_fields]
    columns = zip(*with_text(table, rows), strict=True)
    return tables().update(connection, table, dict(zip(names, columns, strict=True)))


def stored(table: type[Model]) -> list[tuple]:
    return list(table.objects.order_by("pk").values_list())


@pytest.mark.parametrize("table", [CronDayState, Shadow])
def test_rows_come_back_as_they_went_in(table: type[Model]) -> None:
    if table is Shadow:
        tables().create_shadow(connection, CronDayState, Shadow)
    rows = [state(number) for number in range(MANY)]
    insert(table, rows)
    assert sorted(stored(table)) == sorted(rows)
    keys = {row[0] for row in rows[5:]}
    assert sorted(parsed(table, tables().load(connection, table, keys | {"nobody"}))) == sorted(
        rows[5:]
    )
    assert len(stored(table)) == MANY


def test_every_type_of_a_column_survives() -> None:
    run = CronRun(
        run_id=UUID(int=1), cron="%s", trigger="slot", status="failed", requested_at=NOON,
        lateness_seconds=0.1, attempts=2, reason="\t\\N\n'",
    )  # fmt: skip
    day = CronDay(
        key="2026-03-02/a", cron="a", day=date(2026, 3, 2), skipped_by_reason={"overlap": 1},
        lateness_sum_us=2**62,
    )  # fmt: skip
    for row in (run, day):
        values = tuple(getattr(row, field.attname) for field in row._meta.concrete_fields)
        insert(type(row), [values])
        assert parsed(type(row), tables().load(connection, type(row), [row.pk])) == [values]
        assert stored(type(row)) == [values]


def test_rows_are_overwritten_by_their_keys_and_the_others_stay() -> None:
    rows = [state(number) for number in range(MANY)]
    insert(CronDayState, rows)
    new = [(row[0], [], {"%s": [None, row[3]]}, row[3] + 1, None) for row in rows[5:]]
    nobody = ("nobody", [], {}, 0, None)
    assert update(CronDayState, [*new, nobody]) == len(new)
    assert sorted(stored(CronDayState)) == sorted([*rows[:5], *new])


def test_every_type_of_a_column_can_be_overwritten() -> None:
    runs = [
        CronRun(run_id=UUID(int=number), cron="a", trigger="slot", status="lost", requested_at=NOON)
        for number in range(3)
    ]
    day = CronDay(key="2026-03-02/a", cron="a", day=date(2026, 3, 2))
    for table, made in ((CronRun, runs), (CronDay, [day])):
        insert(table, [_values(row) for row in made])
    runs[0].lateness_seconds, runs[0].attempts, runs[0].reason = 0.1, 2**31 - 1, "\t\\N\n'{,}"
    runs[1].lateness_seconds, runs[1].finished_at = 1, NOON + SECOND  # beside a float and a None
    day.lateness_sum_us, day.errors, day.lateness_min_us = 2**62, {"é\n": [1, "NULL"]}, 5
    for table, made in ((CronRun, runs), (CronDay, [day])):
        assert update(table, map(_values, made)) == len(made)
        assert stored(table) == list(map(_values, made))


def _values(row: Model) -> tuple:
    return tuple(getattr(row, field.attname) for field in row._meta.concrete_fields)


def test_rows_that_are_taken_are_in_the_table_no_more() -> None:
    rows = [state(number) for number in range(MANY)]
    insert(CronDayState, rows)
    keys = {row[0] for row in rows[3:]} | {"nobody"}
    assert sorted(parsed(CronDayState, tables().take(connection, CronDayState, keys))) == sorted(
        rows[3:]
    )
    assert stored(CronDayState) == rows[:3]
    assert tables().take(connection, CronDayState, keys) == []


def test_nothing_is_asked_for_and_nothing_is_there() -> None:
    insert(CronDayState, [])
    assert tables().load(connection, CronDayState, []) == []
    assert tables().take(connection, CronDayState, []) == []


@pytest.mark.django_db(transaction=True)
def test_of_rows_that_go_in_together_none_stays_when_one_is_there_already() -> None:
    insert(CronDayState, [state(1)])
    with pytest.raises(IntegrityError):
        insert(CronDayState, [state(0), state(1)])
    assert stored(CronDayState) == [state(1)]


def test_a_shadow_is_empty_and_apart_and_has_one_row_for_each_key() -> None:
    insert(CronDayState, [state(1)])
    tables().create_shadow(connection, CronDayState, Shadow)
    assert stored(Shadow) == []
    insert(Shadow, [state(2)])
    tables().analyze(connection, Shadow)
    assert (stored(CronDayState), stored(Shadow)) == ([state(1)], [state(2)])
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(Shadow, [state(2)])


def test_nobody_else_sees_a_shadow(transactional_db: None) -> None:
    tables().create_shadow(connection, CronDayState, Shadow)
    found: list[type] = []

    def look() -> None:
        try:
            stored(Shadow)
        except DatabaseError as error:
            found.append(type(error))
        finally:
            connections.close_all()

    other = threading.Thread(target=look)
    other.start()
    other.join()
    assert len(found) == 1


def indexes() -> set[str]:
    with connection.cursor() as cursor:
        described = connection.introspection.get_constraints(cursor, CronRun._meta.db_table)
    return {name for name, what in described.items() if what["index"] and not what["primary_key"]}


@pytest.mark.parametrize("rows", [0, 1])
def test_a_table_that_was_filled_has_its_indexes(rows: int) -> None:
    """And one that has rows never loses them: its readers would wait."""
    before = indexes()
    assert before >= {index.name for index in CronRun._meta.indexes}
    new = CronRun(run_id=UUID(int=0), cron="a", trigger="slot", status="lost", requested_at=NOON)
    CronRun.objects.bulk_create([new] * rows)
    with transaction.atomic(), tables().indexes_off(connection, CronRun) as off:
        assert not (off and rows)
        assert (indexes() & {index.name for index in CronRun._meta.indexes} == set()) == off
        CronRun.objects.create(
            run_id=UUID(int=1), cron="a", trigger="slot", status="lost", requested_at=NOON
        )
    assert indexes() == before
    assert CronRun.objects.count() == rows + 1


def clean_run(number: int) -> None:
    run_id, name = UUID(int=number), f"cron {number}"
    at = datetime(2026, 3, 2, 9, number, tzinfo=UTC)
    common = {"cron": name, "run_id": run_id}
    store.append(
        [
            event(
                cron_stream(name), scheduled_for=at, occurred_at=at + SECOND, actor="host:1",
                data={"lateness_seconds": 0.1 + number}, **common,
            ),
            event(
                run_stream(run_id), 1, type=EventType.RUN_STARTED, attempt=1, actor="worker",
                occurred_at=at + SECOND * 2, **common,
            ),
            event(
                run_stream(run_id), 2, type=EventType.RUN_ENQUEUED, data={"queue": "high"},
                occurred_at=at + timedelta(seconds=number, microseconds=333_333), **common,
            ),
            event(
                run_stream(run_id), 3, type=EventType.RUN_SUCCEEDED, occurred_at=at + SECOND * 9,
                data={"duration_seconds": 1 / (number + 1)}, **common,
            ),
        ]
    )  # fmt: skip


COLUMNS = {
    "run_id": OfRun("run_id"),
    "cron": OfRun("cron"),
    "slot": OfRun("slot"),
    "trigger": "100 % 'plain' \\ %s",
    "status": OfRun("queue"),
    "requested_at": OfRun("decided_at"),
    "actor": OfRun("runner"),
    "reason": "",
    "lateness_seconds": OfRun("lateness_seconds"),
    "queue": OfRun("queue"),
    "enqueued_at": OfRun("enqueued_at"),
    "started_at": OfRun("started_at"),
    "finished_at": OfRun("finished_at"),
    "queue_wait_seconds": Elapsed("enqueued_at", "started_at"),
    "duration_seconds": OfRun("duration_seconds"),
    "attempts": 7,
    "refused_starts": 0,
    "worker": OfRun("worker"),
    "outcome_reason": "",
    "error_type": "",
    "error_shape": "",
    "error_event": None,
}


def test_runs_that_the_database_stores_are_as_python_makes_them() -> None:
    """Where it cannot, a replay takes the second way, and nobody asks for the first."""
    for number in range(4):  # of two, the note that they were enqueued is later than the start
        clean_run(number)
    backend, bounds = backend_of(connection), (0, store.fence() or 0, store.fence() or 0)
    runs = backend.read_clean_runs(connection, *bounds)
    rows = list(map(row_maker(list(COLUMNS.values())), runs))
    assert len({row[13] for row in rows}) == 3
    assert stores_runs() == (backend.tables.store_clean_runs is not None)
    if backend.tables.store_clean_runs is None:
        backend.tables.insert(connection, CronRun, rows)
    else:
        found = backend.tables.store_clean_runs(
            connection, CronRun, list(COLUMNS.values()), *bounds
        )
        assert found == {run.run_id: run.last_id for run in runs}
    assert [field.attname for field in CronRun._meta.concrete_fields] == list(COLUMNS)
    assert stored(CronRun) == sorted(rows)


@pytest.mark.parametrize("percent", [0, 40])
def test_a_table_with_room_keeps_its_rows(percent: int) -> None:
    rows = [state(number) for number in range(5)]
    insert(CronDayState, rows)
    tables().leave_room(connection, CronDayState, percent)
    assert update(CronDayState, rows[:2]) == 2
    assert stored(CronDayState) == rows


def test_json_is_read_as_the_text_that_tells_whether_it_changed() -> None:
    """A fold changes lists and dicts in place: so the text is compared, not the value."""
    insert(CronDayState, [("a", [[1, "é"], {"b": None}], {}, 0, None)])
    [row] = tables().load(connection, CronDayState, ["a"])
    assert (row[1], row[2]) == ('[[1, "é"], {"b": null}]', "{}")
