"""The projection ``runs``: one row per run.

Events of a run come in any order after its request: a worker may start, and even finish, a job
before the runner has noted that it enqueued it, and a worker that could not reach the database
writes its notes later. So each event fills in what it knows and none takes a status back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from operator import attrgetter
from typing import Any

from rqcron_events.core.clean_run.columns import Elapsed, OfRun
from rqcron_events.core.events import OUTCOMES, Event, EventType
from rqcron_events.core.events.keys import (
    DURATION_SECONDS,
    ERROR,
    ERROR_MESSAGE,
    ERROR_SHAPE,
    ERROR_TYPE,
    LATENESS_SECONDS,
    QUEUE,
    TRIGGER,
)
from rqcron_events.core.run_state import attempt_number

from ..models import CronRun
from ..projection import Projection
from ..replay_hints import CleanRow, ReplayHints
from ..retention.rule import Retention
from ..rows import row_maker
from .run_status import ENDED, ENQUEUED, OUTCOME_STATUS, REQUESTED, RETRYING, RUNNING, SUCCEEDED

__all__ = ["NAME", "PROJECTION", "VERSION", "apply"]

NAME = "runs"
VERSION = 2

ERROR_CHARACTERS_MAX = 1_000
SHAPE_CHARACTERS_MAX = 40


def apply(row: CronRun | None, event: Event) -> Sequence[CronRun]:
    """Fold one event into the row of its run."""
    if event.run_id is None:
        return ()
    if row is None:
        row = _new_row(
            run_id=event.run_id,
            cron=event.cron,
            status=REQUESTED,
            requested_at=event.occurred_at,
        )
    fill_in = _FILL_IN.get(event.type)
    if fill_in is not None:
        fill_in(row, event)
    return (row,)


def _begins(event: Event) -> bool:
    """A run's other events follow the decision or the request, which is committed before them."""
    return event.type in _REQUESTS


def _settled(row: CronRun) -> bool:
    return row.status in ENDED


def _requested(row: CronRun, event: Event) -> None:
    row.trigger = event.data.get(TRIGGER, "slot")
    row.slot = event.scheduled_for
    row.requested_at = event.occurred_at
    row.actor = event.actor
    row.reason = event.reason
    row.lateness_seconds = _seconds(event.data.get(LATENESS_SECONDS))


def _enqueue_failed(row: CronRun, event: Event) -> None:
    if row.status == REQUESTED:
        _note_error(row, event)


def _attempt_failed(row: CronRun, event: Event) -> None:
    if row.status in ENDED:
        return
    row.status = RETRYING
    row.outcome_reason = event.reason
    row.duration_seconds = _seconds(event.data.get(DURATION_SECONDS))
    _note_error(row, event)


def _start_refused(row: CronRun, event: Event) -> None:
    row.refused_starts += 1


def _enqueued(row: CronRun, event: Event) -> None:
    # A run may be enqueued again when Redis lost it; the one that counts is the last before the
    # start, or the first that is noted after it.
    if row.started_at is None or row.enqueued_at is None:
        row.enqueued_at = event.occurred_at
        row.queue = event.data.get(QUEUE, "")
        _measure_wait(row)
    if row.status == REQUESTED:
        row.status = ENQUEUED
        _forget_error(row)


def _started(row: CronRun, event: Event) -> None:
    if row.started_at is None or event.occurred_at < row.started_at:
        row.started_at = event.occurred_at
        _measure_wait(row)
    attempt = attempt_number(event, row.attempts)
    if attempt >= row.attempts:
        row.attempts = attempt
        row.worker = event.actor
    if row.status not in ENDED:
        row.status = RUNNING


def _ended(row: CronRun, event: Event) -> None:
    if row.status in ENDED:
        return  # the first word stands
    row.status = OUTCOME_STATUS[event.type]
    row.finished_at = event.occurred_at
    row.outcome_reason = event.reason
    row.duration_seconds = _seconds(event.data.get(DURATION_SECONDS))
    row.attempts = max(row.attempts, event.attempt or 0)
    _note_error(row, event)


def _measure_wait(row: CronRun) -> None:
    if row.started_at is not None and row.enqueued_at is not None:
        wait = (row.started_at - row.enqueued_at).total_seconds()
        row.queue_wait_seconds = max(wait, 0.0)


def _note_error(row: CronRun, event: Event) -> None:
    error: dict[str, Any] | None = event.data.get(ERROR)
    if not error:
        _forget_error(row)
        return
    row.error_type = str(error.get(ERROR_TYPE, ""))[:ERROR_CHARACTERS_MAX]
    row.error_shape = str(error.get(ERROR_SHAPE, ""))[:SHAPE_CHARACTERS_MAX]
    has_message = row.error_shape or error.get(ERROR_MESSAGE)  # apart from the event, or in it
    row.error_event = event.id if has_message else None


def _forget_error(row: CronRun) -> None:
    row.error_type = row.error_shape = ""
    row.error_event = None


_CLEAN_ROW = CleanRow(
    {
        "run_id": OfRun("run_id"),
        "cron": OfRun("cron"),
        "slot": OfRun("slot"),
        "trigger": "slot",
        "status": SUCCEEDED,
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
        "attempts": 1,
        "refused_starts": 0,
        "worker": OfRun("worker"),
        "outcome_reason": "",
        "error_type": "",
        "error_shape": "",
        "error_event": None,
    }
)
"""What ``apply`` makes of the events of a clean run."""

_new_row = row_maker(CronRun)
_REQUESTS = frozenset({EventType.SLOT_FIRED, EventType.RUN_REQUESTED})
_FILL_IN: dict[EventType, Callable[[CronRun, Event], None]] = {
    EventType.SLOT_FIRED: _requested,
    EventType.RUN_REQUESTED: _requested,
    EventType.RUN_ENQUEUED: _enqueued,
    EventType.ENQUEUE_FAILED: _enqueue_failed,
    EventType.RUN_STARTED: _started,
    EventType.ATTEMPT_FAILED: _attempt_failed,
    EventType.START_REFUSED: _start_refused,
    **dict.fromkeys(OUTCOMES, _ended),
}

PROJECTION = Projection(
    name=NAME,
    version=VERSION,
    row_model=CronRun,
    key=attrgetter("run_id"),
    apply=apply,
    retention=Retention(at="requested_at", status="status", ended=ENDED, begins=_begins),
    replay=ReplayHints(begins=_begins, settled=_settled, clean=_CLEAN_ROW),
)


def _seconds(value: float | None) -> float | None:
    """Raises ValueError for what the column does not take, so that it is this event's trouble."""
    if value is not None and not (isinstance(value, int | float) and isfinite(value)):
        raise ValueError(f"{value!r:.100} is not a number of seconds")
    return value
