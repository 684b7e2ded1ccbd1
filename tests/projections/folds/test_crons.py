"""What the row of a cron says, case by case."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from rqcron_projections.folds import crons
from rqcron_projections.folds.cron_status import as_of
from rqcron_projections.models import CronJob, CronStatusChange

from rqcron_events.core.definition import Definition
from rqcron_events.core.events import Event, EventType, cron_stream
from tests.projections.histories import START

HOUR = timedelta(hours=1)
EVERY_HOUR = Definition(name="digest", function="shop.crons:digest", every_seconds=3600)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


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
