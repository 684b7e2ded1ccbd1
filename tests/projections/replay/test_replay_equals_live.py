"""I7: a rebuild gives the rows that the live projections have, whatever happened and however
the log was read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rqcron_projections import projector
from rqcron_projections.models import (
    Checkpoint,
    CronDay,
    CronDayState,
    CronJob,
    CronRun,
    CronStatusChange,
    CronTotal,
    RunnerSession,
)
from rqcron_projections.past.crons import state_at
from rqcron_projections.replay import fold, rebuild, shadow
from rqcron_projections.replay_hints import ReplayHints
from rqcron_projections.tables import row_values

from rqcron_events.core.events import EventType, run_stream
from rqcron_events.models import CronEvent, QuarantinedEvent
from tests.examples import examples
from tests.projections.histories import History, append, history

pytestmark = pytest.mark.django_db

MODELS = (CronJob, CronRun, CronStatusChange, CronDay, CronDayState, CronTotal, RunnerSession)

ENQUEUED, STARTED = EventType.RUN_ENQUEUED, EventType.RUN_STARTED
SUCCEEDED = EventType.RUN_SUCCEEDED
NOTE = {"data": {"queue": "high"}}
FIRST = {"attempt": 1, "actor": "worker/1"}
DONE = {"attempt": 1, "data": {"duration_seconds": 0.5}}


@contextmanager
def undone() -> Iterator[None]:
    """Events cannot be deleted, so every example is rolled back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def live_rows() -> dict[str, list[dict]]:
    return {
        model.__name__: [row_values(row) for row in model.objects.order_by("pk")]
        for model in MODELS
    }


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 2**32), steps=st.integers(1, 150), pages=st.randoms(use_true_random=False)
)
def test_any_history_read_in_any_pages_gives_the_rows_of_a_replay(
    seed: int, steps: int, pages: Random
) -> None:
    with undone():
        events = history(seed, steps)
        while events:
            size = pages.randint(1, len(events))
            append(events[:size])
            del events[:size]
            if pages.random() < 0.7:
                projector.catch_up(pages.randint(1, 40))
        projector.catch_up()
        assert not QuarantinedEvent.objects.exists()  # what is set aside, a replay leaves out, too
        live = live_rows()

        assert rebuild.check() == []
        rebuild.rebuild()
        assert live_rows() == live
        for model in MODELS:
            model.objects.all().delete()
        rebuild.rebuild()
        assert live_rows() == live
        projector.catch_up()
        assert live_rows() == live


@pytest.mark.parametrize(
    ("seed", "page_events"),
    [(0, 7), (1, 7), (2, 7), (3, 1), (4, 2), (5, 3), (6, 20), (7, 20), (8, 60), (9, 60)],
)
def test_a_replay_that_may_keep_few_rows_in_memory_gives_the_same(
    seed: int, page_events: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are written before their last event, and read again; runs go on over several pages."""
    append(history(seed, 400))
    projector.catch_up()
    live = live_rows()
    monkeypatch.setattr(fold, "ROWS_MAX", 3)
    monkeypatch.setattr(fold, "GATHERED_ROWS_MAX", 3)
    monkeypatch.setattr(shadow, "PAGE_EVENTS_MAX", page_events)
    monkeypatch.setattr(shadow, "AHEAD_EVENTS_MAX", page_events // 3)
    assert rebuild.check() == []
    for model in MODELS:
        model.objects.all().delete()
    rebuild.rebuild()
    assert live_rows() == live


@pytest.mark.parametrize("page_events", [7, 10_000])
def test_a_projection_without_hints_is_replayed_to_the_same_rows(
    page_events: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So who writes one may leave them for later."""
    plain = [replace(each, replay=ReplayHints()) for each in projector.PROJECTIONS]
    append(history(13, 400))
    projector.catch_up()
    live = live_rows()
    monkeypatch.setattr(projector, "PROJECTIONS", plain)
    monkeypatch.setattr(shadow, "PAGE_EVENTS_MAX", page_events)
    assert rebuild.check() == []
    for model in MODELS:
        model.objects.all().delete()
    rebuild.rebuild()
    assert live_rows() == live


def test_the_past_is_what_the_rows_were_then() -> None:
    events = history(7, 200)
    middle = len(events) // 2
    append(events[:middle])
    projector.catch_up()
    then = [row_values(row) for row in CronJob.objects.order_by("name")]
    append(events[middle:])
    projector.catch_up()

    at = events[middle - 1].occurred_at
    past = state_at(at)
    for row in past:  # a pause that ran out has no event of its own
        if row.paused_at is None:
            continue
        assert row.paused_until is None or row.paused_until >= at
    over = [row["name"] for row in then if row["paused_until"] and row["paused_until"] < at]
    assert [row_values(row) for row in past if row.name not in over] == [
        row for row in then if row["name"] not in over
    ]
    assert state_at(events[0].occurred_at - timedelta(seconds=1)) == []


def test_a_check_finds_every_kind_of_difference_and_changes_nothing() -> None:
    append(history(8, 200))
    projector.catch_up()
    first, second = CronRun.objects.order_by("pk")[:2]
    CronRun.objects.filter(pk=first.pk).update(status="lost", worker="nobody")
    CronRun.objects.filter(pk=second.pk).delete()
    CronStatusChange.objects.create(
        event_id=10**9, cron="x", at=first.requested_at, from_status="new", to_status="failing"
    )
    before, events = live_rows(), CronEvent.objects.count()

    found = {(item.table, item.key): item for item in rebuild.check()}

    assert {place: item.problem for place, item in found.items()} == {
        ("rqcron_run", str(first.pk)): "different",
        ("rqcron_run", str(second.pk)): "missing",
        ("rqcron_status_change", str(10**9)): "unexpected",
    }
    assert found["rqcron_run", str(first.pk)].columns["status"] == ["lost", first.status]
    assert (live_rows(), CronEvent.objects.count()) == (before, events)

    rebuild.rebuild(actor="ada")
    assert rebuild.check() == []
    recorded = CronEvent.objects.of_type("projection_rebuilt")
    assert {(event.actor, event.data["projection"]) for event in recorded} == {
        ("ada", "crons"),
        ("ada", "runs"),
        ("ada", "days"),
        ("ada", "runners"),
    }


def test_a_check_of_a_projection_that_lags_compares_what_it_has() -> None:
    append(history(9, 200))
    projector.catch_up(50)
    assert rebuild.check() == []
    assert Checkpoint.objects.get(name="runs").position < CronEvent.objects.order_by("id").last().id


def test_a_rebuild_that_dies_leaves_the_live_rows_and_no_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    append(history(10, 200))
    projector.catch_up()
    CronRun.objects.first().delete()
    before = live_rows()

    def die(self: shadow.Shadow, _: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(shadow.Shadow, "replace_live", die)
    with pytest.raises(KeyboardInterrupt):
        rebuild.rebuild()

    assert live_rows() == before
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_temp_master")
        else:
            cursor.execute("SELECT relname FROM pg_class WHERE relpersistence = 't'")
        assert [name for (name,) in cursor.fetchall() if "rqcron" in name] == []


def test_events_that_come_during_a_rebuild_are_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    events = history(11, 200)
    append(events[:100])
    projector.catch_up()
    analyze = shadow.Shadow.analyze

    def meanwhile(self: shadow.Shadow) -> None:
        analyze(self)
        if events[100:]:
            append(events[100:])
            del events[100:]
            projector.catch_up()

    monkeypatch.setattr(shadow.Shadow, "analyze", meanwhile)
    rebuild.rebuild()
    assert rebuild.check() == []
    last = CronEvent.objects.exclude(type="projection_rebuilt").order_by("id").last()
    assert min(Checkpoint.objects.values_list("position", flat=True)) >= last.id


def test_a_rebuild_writes_only_rows_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    append(history(12, 100))
    projector.catch_up()
    CronRun.objects.filter(pk=CronRun.objects.first().pk).update(worker="nobody")
    deleted = []

    def spy(self: shadow.Shadow, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            if statement.startswith("DELETE"):
                deleted.append(cursor.rowcount)

    monkeypatch.setattr(shadow.Shadow, "_run", spy)
    rebuild.rebuild()
    assert deleted.count(0) == len(deleted) - 1
    assert sum(deleted) == 1


def test_an_unknown_projection_is_named_with_those_that_exist() -> None:
    with pytest.raises(LookupError, match=r"named .run.\. Use crons or runs or days or runners\."):
        rebuild.rebuild(["run"])


@pytest.mark.parametrize(
    "steps",
    [
        [(ENQUEUED, NOTE), (STARTED, FIRST), (SUCCEEDED, DONE)],
        [(STARTED, FIRST), (ENQUEUED, NOTE), (SUCCEEDED, DONE)],
        [(ENQUEUED, NOTE), (STARTED, FIRST | {"attempt": 2}), (SUCCEEDED, DONE)],
        [(ENQUEUED, NOTE), (STARTED, FIRST | {"attempt": None}), (SUCCEEDED, DONE)],
        [(ENQUEUED, NOTE), (STARTED, FIRST), (SUCCEEDED, DONE | {"attempt": 2})],
        [(ENQUEUED, NOTE), (STARTED, FIRST), (SUCCEEDED, DONE | {"reason": "by hand"})],
        [(ENQUEUED, NOTE), (STARTED, FIRST), (SUCCEEDED, {"attempt": 1})],
        [(EventType.ENQUEUE_FAILED, {}), (STARTED, FIRST), (SUCCEEDED, DONE)],
        [(STARTED, FIRST), (EventType.START_REFUSED, {}), (SUCCEEDED, DONE)],
        [(ENQUEUED, NOTE), (STARTED, FIRST), (EventType.START_REFUSED, {}), (SUCCEEDED, DONE)],
        [(ENQUEUED, {}), (STARTED, FIRST), (SUCCEEDED, DONE | {"attempt": None})],
        [
            (ENQUEUED, NOTE),
            (STARTED, FIRST),
            (SUCCEEDED, {"data": {"duration_seconds": 2, "error": {"type": "E", "message": "m"}}}),
        ],
    ],
)
@pytest.mark.parametrize("between", ["", "fire", "pause", "retire", "define", "fail"])
def test_every_way_in_which_a_run_is_nearly_plain(steps: list, between: str) -> None:
    """Something else happens to the cron while the run is open."""
    told = History(seed=1, crons=1)
    name = told.names[0]
    told.define(name)
    for number in range(3):
        told.fire(name)
        run = told.open.pop()
        for kind, values in steps:
            told.write(run_stream(run.run_id), kind, cron=name, run_id=run.run_id, **values)
            if kind is not STARTED or number == 0:
                continue
            if between == "fail":
                told.fire(name)
                other = told.open.pop().run_id
                told.write(run_stream(other), EventType.RUN_LOST, cron=name, run_id=other)
            elif between:
                getattr(told, between)(name)
        if name not in told.definitions:
            told.define(name)
    append(told.events)
    projector.catch_up()
    live = live_rows()
    for model in MODELS:
        model.objects.all().delete()
    rebuild.rebuild()
    assert live_rows() == live


@pytest.mark.parametrize("odd", [{"reason": "x"}, {"data": {"trigger": "manual"}}, {"data": {}}])
def test_decisions_that_are_not_like_others(odd: dict) -> None:
    told = History(seed=1, crons=1)
    name = told.names[0]
    told.define(name)
    told.fire(name)
    run = told.open.pop()
    told.events[-1] = replace(told.events[-1], **odd)
    for kind, values in [(ENQUEUED, NOTE), (STARTED, FIRST), (SUCCEEDED, DONE)]:
        told.write(run_stream(run.run_id), kind, cron=name, run_id=run.run_id, **values)
    append(told.events)
    projector.catch_up()
    assert rebuild.check() == []
