"""What the rows say, case by case."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest
from rqcron_projections.folds import crons, runs
from rqcron_projections.folds.cron_status import as_of
from rqcron_projections.models import CronJob, CronRun, CronStatusChange
from rqcron_projections.tables import row_values

from rqcron_events.core.definition import Definition
from rqcron_events.core.events import Event, EventType, cron_stream, run_stream
from tests.projections.histories import START

RUN = UUID(int=1)
HOUR = timedelta(hours=1)
EVERY_HOUR = Definition(name="digest", function="shop.crons:digest", every_seconds=3600)


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


class Cron:
    """Folds events into the cron's row; keeps its status changes."""

    def __init__(self) -> None:
        self.row: CronJob | None = None
        self.changes: list[tuple[str, str]] = []
        self.id = 0
        self(
            "cron_registered",
            0,
            data={"definition": EVERY_HOUR.to_data(), "definition_version": 1},
        )

    def __call__(self, kind: str, seconds: float, run: int | None = None, **values) -> CronJob:
        self.id += 1
        event = Event(
            id=self.id,
            stream=cron_stream("digest"),
            version=self.id,
            type=EventType(kind),
            cron="digest",
            run_id=UUID(int=run) if run else None,
            occurred_at=at(seconds),
            **values,
        )
        for row in crons.apply(self.row, event):
            if isinstance(row, CronStatusChange):
                self.changes.append((row.from_status, row.to_status))
            else:
                self.row = row
        crons.complete(self.row)
        return self.row


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
    error = {"type": "ValueError", "message": "m" * 5000, "traceback": ""}
    events = [
        run_event("run_requested", 0, actor="ada", reason="why not", data={"trigger": "manual"}),
        run_event("run_enqueued", 1, data={"queue": "high"}),
        run_event("run_started", 2, attempt=1, actor="worker/a"),
        run_event("attempt_failed", 3, attempt=1, reason="exception", data={"error": error}),
    ]
    row = fold_run(events)
    assert (row.status, row.error_type, len(row.error_message)) == ("retrying", "ValueError", 1000)
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


def test_a_cron_turns_failing_and_recovers() -> None:
    cron = Cron()
    for run, outcome in enumerate(
        [
            "run_succeeded",
            "run_succeeded",
            "run_failed",
            "run_declined",
            "run_lost",
            "run_succeeded",
        ],
        start=1,
    ):
        cron("slot_fired", run * 3600, run, scheduled_for=START + run * HOUR)
        row = cron(outcome, run * 3600 + 5, run)
    assert cron.changes == [
        ("new", "succeeding"),
        ("succeeding", "failing"),
        ("failing", "succeeding"),
    ]
    assert (row.succeeded_count, row.failed_count, row.fired_count) == (3, 2, 6)
    assert (row.consecutive_successes, row.consecutive_failures) == (1, 0)
    assert (row.last_run_id, row.last_run_status) == (UUID(int=6), "succeeded")


def test_a_pause_hides_the_status_and_a_return_ends_it() -> None:
    cron = Cron()
    cron("run_failed", 1, 1)
    row = cron("cron_paused", 2, reason="maintenance", actor="ada", data={"until": None})
    assert (row.status, row.next_slot, row.paused_by) == ("paused", None, "ada")
    cron("run_succeeded", 3, 2)
    row = cron("cron_resumed", 4)
    assert (row.status, row.next_slot) == ("succeeding", START + HOUR)
    cron("cron_paused", 5, data={"until": None})
    row = cron("cron_retired", 6)
    assert (row.status, row.next_slot) == ("retired", None)
    row = cron(
        "cron_registered", 7, data={"definition": EVERY_HOUR.to_data(), "definition_version": 2}
    )
    assert (row.status, row.paused_at, row.definition_version) == ("succeeding", None, 2)
    assert row.registered_at == START
    assert cron.changes == [
        ("new", "failing"),
        ("failing", "paused"),
        ("paused", "succeeding"),
        ("succeeding", "paused"),
        ("paused", "retired"),
        ("retired", "succeeding"),
    ]


def test_a_pause_with_an_end_is_over_with_the_first_slot_behind_it() -> None:
    cron = Cron()
    until = START + 2 * HOUR
    row = cron("cron_paused", 1, data={"until": until.isoformat()})
    assert row.next_slot == START + 3 * HOUR
    skipped = {"first": at(3600).isoformat(), "last": until.isoformat(), "count": 2}
    row = cron("slot_skipped", 7300, scheduled_for=until, reason="paused", data=skipped)
    assert (row.status, row.skipped_count, row.last_decision_reason) == ("paused", 2, "paused")
    row = cron("slot_fired", 10800, 1, scheduled_for=START + 3 * HOUR)
    assert (row.status, row.paused_until) == ("new", None)


@pytest.mark.parametrize(("minutes", "status"), [(59, "paused"), (60, "paused"), (61, "new")])
def test_who_knows_the_time_sees_that_a_pause_ran_out(minutes: int, status: str) -> None:
    row = Cron()("cron_paused", 1, data={"until": (START + HOUR).isoformat()})
    assert as_of(row, START + timedelta(minutes=minutes)).status == status


def test_a_zone_that_this_machine_lacks_costs_only_the_next_slot() -> None:
    definition = {**EVERY_HOUR.to_data(), "every_seconds": None, "expression": "0 9 * * *"}
    definition["timezone"] = "Mars/Olympus"
    row = Cron()("cron_changed", 1, data={"definition": definition, "definition_version": 2})
    assert (row.timezone, row.next_slot) == ("Mars/Olympus", None)
