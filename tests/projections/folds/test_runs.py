"""What the row of a run says, case by case."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations
from uuid import UUID

from rqcron_projections.folds import runs
from rqcron_projections.models import CronRun
from rqcron_projections.tables import row_values

from rqcron_events.core.events import Event, EventType, run_stream
from tests.projections.histories import START

RUN = UUID(int=1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def run_event(kind: str, seconds: float, **values) -> Event:
    return Event(
        stream=run_stream(RUN),
        version=1,
        type=EventType(kind),
        cron="digest",
        run_id=RUN,
        occurred_at=at(seconds),
        **values,
    )


def fold_run(events: list[Event]) -> CronRun:
    row = None
    for event in events:
        (row,) = runs.apply(row, event)
    return row


def test_the_note_of_enqueuing_may_come_at_any_place() -> None:
    fired = run_event("slot_fired", 0, scheduled_for=START, data={"lateness_seconds": 0.5})
    enqueued = run_event("run_enqueued", 2, data={"queue": "high"})
    rest = [
        run_event("run_started", 1.5, attempt=1, actor="worker/a"),
        run_event("run_succeeded", 9, attempt=1, data={"duration_seconds": 7.5}),
    ]
    rows = [
        row_values(fold_run([fired, *rest[:place], enqueued, *rest[place:]])) for place in range(3)
    ]
    assert rows[0] == rows[1] == rows[2]
    assert rows[0]["status"] == "succeeded"
    assert rows[0]["queue"] == "high"
    assert rows[0]["queue_wait_seconds"] == 0.0
    assert rows[0]["duration_seconds"] == 7.5


def test_notes_written_after_the_outcome_take_nothing_back() -> None:
    fired = run_event("slot_fired", 0, scheduled_for=START)
    notes = [
        run_event("run_enqueued", 1, data={"queue": "high"}),
        run_event("run_started", 2, attempt=1, actor="worker/a"),
        run_event("run_lost", 3, reason="gone"),
    ]
    rows = [row_values(fold_run([fired, *order])) for order in permutations(notes)]
    assert all(row == rows[0] for row in rows)
    assert rows[0]["status"] == "lost"
    assert rows[0]["queue_wait_seconds"] == 1.0


def test_a_retried_run_counts_attempts_and_forgets_the_error_when_it_succeeds() -> None:
    error = {"type": "ValueError", "shape": "0a1b"}
    events = [
        run_event("run_requested", 0, actor="ada", reason="why not", data={"trigger": "manual"}),
        run_event("run_enqueued", 1, data={"queue": "high"}),
        run_event("run_started", 2, attempt=1, actor="worker/a"),
        run_event("attempt_failed", 3, attempt=1, reason="exception", data={"error": error}),
    ]
    row = fold_run(events)
    assert (row.status, row.error_type, row.error_shape) == ("retrying", "ValueError", "0a1b")
    row = fold_run(
        [
            *events,
            run_event("run_started", 5, attempt=2, actor="worker/b"),
            run_event("start_refused", 6, reason="already_running"),
            run_event("run_succeeded", 8, attempt=2, data={"duration_seconds": 3}),
        ]
    )
    assert (row.status, row.attempts, row.worker, row.error_type) == (
        "succeeded",
        2,
        "worker/b",
        "",
    )
    assert (row.trigger, row.actor, row.reason) == ("manual", "ada", "why not")
    assert (row.started_at, row.finished_at, row.refused_starts) == (at(2), at(8), 1)
