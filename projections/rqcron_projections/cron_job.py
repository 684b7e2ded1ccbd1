"""The projection ``crons``: the state of each cron, and each change of its status.

One projection writes both tables, because a status change is nothing but the difference between
the states before and after an event; two checkpoints could disagree about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Model

from rqcron_events.core.definition import Definition
from rqcron_events.core.events import DECISIONS, OUTCOMES, Event, EventType

from .cron_status import clear_pause, next_slot, status_of
from .models import CronJob, CronStatus, CronStatusChange, RunStatus
from .projection import Projection

__all__ = ["NAME", "OUTCOME_STATUS", "PROJECTION", "VERSION", "apply"]

NAME = "crons"
VERSION = 1

OUTCOME_STATUS = {
    EventType.RUN_SUCCEEDED: RunStatus.SUCCEEDED,
    EventType.RUN_FAILED: RunStatus.FAILED,
    EventType.RUN_STOPPED: RunStatus.STOPPED,
    EventType.RUN_CANCELLED: RunStatus.CANCELLED,
    EventType.RUN_DECLINED: RunStatus.DECLINED,
    EventType.RUN_LOST: RunStatus.LOST,
}
ENDED = frozenset(OUTCOME_STATUS.values())
_FAILURES = frozenset({EventType.RUN_FAILED, EventType.RUN_LOST})
_DEFINITIONS = frozenset({EventType.CRON_REGISTERED, EventType.CRON_CHANGED})


def _key(event: Event) -> str | None:
    return event.cron or None


def apply(row: CronJob | None, event: Event) -> Sequence[Model]:
    """Fold one event into the cron's row; with a change of status, that row too."""
    if row is None:
        if event.type not in _DEFINITIONS:
            return ()
        row = CronJob(name=event.cron, status=CronStatus.NEW, registered_at=event.occurred_at)
    before = CronStatus(row.status)
    row.updated_at = event.occurred_at
    if event.type in DECISIONS:
        _decided(row, event)
    elif event.type in OUTCOMES:
        _ended(row, event)
    elif event.run_id is not None:
        _progressed(row, event)
    else:
        _managed(row, event)
    if event.type is EventType.SLOT_FIRED or event.type is EventType.RUN_REQUESTED:
        _began(row, event)
    retired = event.type is EventType.CRON_RETIRED or (
        before == CronStatus.RETIRED and event.type not in _DEFINITIONS
    )
    row.status = status_of(row, retired=retired)
    if event.type in DECISIONS or event.run_id is None:
        row.next_slot = next_slot(row)
    if row.status == before:
        return (row,)
    return (row, _change(row, before, event))


def _change(row: CronJob, before: CronStatus, event: Event) -> CronStatusChange:
    assert event.id is not None, "only events that were read from the log are folded"
    return CronStatusChange(
        event_id=event.id,
        cron=row.name,
        at=event.occurred_at,
        from_status=before,
        to_status=row.status,
        run_id=event.run_id,
        reason=event.reason,
    )


def _decided(row: CronJob, event: Event) -> None:
    count = int(event.data.get("count", 1))
    match event.type:
        case EventType.SLOT_FIRED:
            row.last_decision = "fired"
            row.fired_count += count
        case EventType.SLOT_SKIPPED:
            row.last_decision = "skipped"
            row.skipped_count += count
        case _:
            row.last_decision = "missed"
            row.missed_count += count
    row.last_slot = event.scheduled_for
    row.last_decision_reason = event.reason
    # No event says that a pause ran out: a decision about a slot behind its end does.
    until = row.paused_until
    if until is not None and event.scheduled_for is not None and event.scheduled_for > until:
        clear_pause(row)


def _ended(row: CronJob, event: Event) -> None:
    if event.type is EventType.RUN_SUCCEEDED:
        row.succeeded_count += 1
        row.consecutive_successes += 1
        row.consecutive_failures = 0
        row.last_success_at = event.occurred_at
    elif event.type in _FAILURES:
        row.failed_count += 1
        row.consecutive_failures += 1
        row.consecutive_successes = 0
        row.last_failure_at = event.occurred_at
    if event.run_id == row.last_run_id:
        row.last_run_status = OUTCOME_STATUS[event.type]
        row.last_run_finished_at = event.occurred_at


def _began(row: CronJob, event: Event) -> None:
    row.last_run_id = event.run_id
    row.last_run_status = RunStatus.REQUESTED
    row.last_run_started_at = None
    row.last_run_finished_at = None


def _progressed(row: CronJob, event: Event) -> None:
    if event.run_id != row.last_run_id:
        return
    if event.type is EventType.RUN_STARTED and row.last_run_started_at is None:
        row.last_run_started_at = event.occurred_at
    if row.last_run_status in ENDED:
        return  # a worker's note that was written late
    match event.type:
        case EventType.RUN_ENQUEUED if row.last_run_status == RunStatus.REQUESTED:
            row.last_run_status = RunStatus.ENQUEUED
        case EventType.RUN_STARTED:
            row.last_run_status = RunStatus.RUNNING
        case EventType.ATTEMPT_FAILED:
            row.last_run_status = RunStatus.RETRYING
        case _:
            pass


def _managed(row: CronJob, event: Event) -> None:
    match event.type:
        case EventType.CRON_REGISTERED | EventType.CRON_CHANGED:
            if row.status == CronStatus.RETIRED:
                clear_pause(row)  # as in the ledger's own fold: a cron that returns starts afresh
            _define(row, event, event.data["definition"])
        case EventType.CRON_PAUSED:
            row.paused_at = event.parsed_time("effective_from") or event.occurred_at
            row.paused_until = event.parsed_time("until")
            row.paused_by = event.actor
            row.pause_reason = event.reason
        case EventType.CRON_RESUMED:
            clear_pause(row)
        case _:
            pass


def _define(row: CronJob, event: Event, data: dict[str, Any]) -> None:
    definition = Definition.from_data(data)
    row.schedule = definition.schedule_text
    row.timezone = definition.timezone
    row.queue = definition.queue
    row.description = definition.description
    row.function = definition.function
    row.definition = data
    row.definition_version = int(event.data.get("definition_version", 0))
    row.effective_from = event.parsed_time("effective_from") or event.occurred_at


PROJECTION = Projection(
    name=NAME,
    version=VERSION,
    row_model=CronJob,
    key=_key,
    apply=apply,
    written_models=(CronStatusChange,),
)
