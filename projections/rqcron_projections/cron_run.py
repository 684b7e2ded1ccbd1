"""The projection ``runs``: one row per run.

Events of a run come in any order after its request: a worker may start, and even finish, a job
before the runner has noted that it enqueued it, and a worker that could not reach the database
writes its notes later. So each event fills in what it knows and none takes a status back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from rqcron_events.core.events import OUTCOMES, Event, EventType

from .cron_job import ENDED, OUTCOME_STATUS
from .models import CronRun, RunStatus
from .projection import Projection

__all__ = ["NAME", "PROJECTION", "VERSION", "apply"]

NAME = "runs"
VERSION = 1

ERROR_CHARACTERS_MAX = 1_000
"""The whole message is in the log."""


def _key(event: Event) -> UUID | None:
    return event.run_id


def apply(row: CronRun | None, event: Event) -> Sequence[CronRun]:
    """Fold one event into the row of its run."""
    if event.run_id is None:
        return ()
    if row is None:
        row = CronRun(
            run_id=event.run_id,
            cron=event.cron,
            status=RunStatus.REQUESTED,
            requested_at=event.occurred_at,
        )
    if event.type in OUTCOMES:
        _ended(row, event)
        return (row,)
    match event.type:
        case EventType.SLOT_FIRED | EventType.RUN_REQUESTED:
            _requested(row, event)
        case EventType.RUN_ENQUEUED:
            _enqueued(row, event)
        case EventType.ENQUEUE_FAILED if row.status == RunStatus.REQUESTED:
            _note_error(row, event)
        case EventType.RUN_STARTED:
            _started(row, event)
        case EventType.ATTEMPT_FAILED if row.status not in ENDED:
            row.status = RunStatus.RETRYING
            row.outcome_reason = event.reason
            row.duration_seconds = event.data.get("duration_seconds")
            _note_error(row, event)
        case EventType.START_REFUSED:
            row.refused_starts += 1
        case _:
            pass
    return (row,)


def _requested(row: CronRun, event: Event) -> None:
    row.trigger = event.data.get("trigger", "slot")
    row.slot = event.scheduled_for
    row.requested_at = event.occurred_at
    row.actor = event.actor
    row.reason = event.reason
    row.lateness_seconds = event.data.get("lateness_seconds")


def _enqueued(row: CronRun, event: Event) -> None:
    # A run may be enqueued again when Redis lost it; the one that counts is the last before the
    # start, or the first that is noted after it.
    if row.started_at is None or row.enqueued_at is None:
        row.enqueued_at = event.occurred_at
        row.queue = event.data.get("queue", "")
        _measure_wait(row)
    if row.status == RunStatus.REQUESTED:
        row.status = RunStatus.ENQUEUED
        row.error_type = ""
        row.error_message = ""


def _started(row: CronRun, event: Event) -> None:
    if row.started_at is None or event.occurred_at < row.started_at:
        row.started_at = event.occurred_at
        _measure_wait(row)
    attempt = event.attempt or row.attempts + 1
    if attempt >= row.attempts:
        row.attempts = attempt
        row.worker = event.actor
    if row.status not in ENDED:
        row.status = RunStatus.RUNNING


def _ended(row: CronRun, event: Event) -> None:
    if row.status in ENDED:
        return  # the first word stands
    row.status = OUTCOME_STATUS[event.type]
    row.finished_at = event.occurred_at
    row.outcome_reason = event.reason
    row.duration_seconds = event.data.get("duration_seconds")
    row.attempts = max(row.attempts, event.attempt or 0)
    _note_error(row, event)


def _measure_wait(row: CronRun) -> None:
    if row.started_at is not None and row.enqueued_at is not None:
        wait = (row.started_at - row.enqueued_at).total_seconds()
        row.queue_wait_seconds = max(wait, 0.0)


def _note_error(row: CronRun, event: Event) -> None:
    error: dict[str, Any] = event.data.get("error") or {}
    row.error_type = str(error.get("type", ""))[:ERROR_CHARACTERS_MAX]
    row.error_message = str(error.get("message", ""))[:ERROR_CHARACTERS_MAX]


PROJECTION = Projection(name=NAME, version=VERSION, row_model=CronRun, key=_key, apply=apply)
