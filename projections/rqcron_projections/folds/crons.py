"""The projection ``crons``: the state of each cron, and each change of its status.

One projection writes both tables, because a status change is nothing but the difference between
the states before and after an event; two checkpoints could disagree about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from django.db.models import Model

from rqcron_events.core.clean_run.run import CleanRun
from rqcron_events.core.definition import Definition
from rqcron_events.core.events import OUTCOMES, Event, EventType
from rqcron_events.core.events.keys import (
    COUNT,
    DEFINITION,
    DEFINITION_VERSION,
    EFFECTIVE_FROM,
    KEPT,
    RECOVERED,
    RECOVERED_OUTCOME,
    UNTIL,
)

from ..models import CronJob, CronJobPast, CronPastPosition, CronStatusChange
from ..projection import PastModels, Projection
from ..replay_hints import CleanFold, ReplayHints
from ..rows import row_maker
from .cron_status import FAILING, IDLE, NEW, RETIRED, SUCCEEDING, clear_pause, next_slot, status_of
from .run_status import ENDED, ENQUEUED, OUTCOME_STATUS, REQUESTED, RETRYING, RUNNING, SUCCEEDED

__all__ = ["NAME", "PROJECTION", "VERSION", "apply", "complete"]

NAME = "crons"
VERSION = 2

_FAILURES = frozenset({EventType.RUN_FAILED, EventType.RUN_LOST})
_DEFINITIONS = frozenset({EventType.CRON_REGISTERED, EventType.CRON_CHANGED})


def apply(row: CronJob | None, event: Event) -> Sequence[Model]:
    """Fold one event into the cron's row; with a change of status, that row too."""
    if row is None:
        if event.type not in _DEFINITIONS:
            return ()
        row = CronJob(name=event.cron, status=NEW, registered_at=event.occurred_at)
    row.updated_at = event.occurred_at
    before = row.status
    _FOLD.get(event.type, _ignored)(row, event)
    if event.type in _PROGRESS:
        return (row,)
    retired = event.type is EventType.CRON_RETIRED or (
        before == RETIRED and event.type not in _DEFINITIONS
    )
    row.status = status_of(row, retired=retired)
    if row.status == before:
        return (row,)
    return (row, _change(row, before, event))


def _begin_clean(row: CronJob | None, run: CleanRun) -> Sequence[Model]:
    if row is None or row.status not in _FOLLOWS_RUNS:
        return apply(row, run.decided())
    row.updated_at = run.decided_at
    row.last_decision = "fired"
    row.fired_count += 1
    row.last_slot = run.slot
    row.last_decision_reason = ""
    row.last_run_id = run.run_id
    row.last_run_status = REQUESTED
    row.last_run_started_at = row.last_run_finished_at = None
    return (row,)


def _end_clean(row: CronJob | None, run: CleanRun) -> Sequence[Model]:
    if row is None or row.status != SUCCEEDING:
        return _each(row, run.rest())
    row.updated_at = row.last_success_at = run.finished_at
    row.succeeded_count += 1
    row.consecutive_successes += 1
    if row.last_run_id == run.run_id:
        row.last_run_status = SUCCEEDED
        row.last_run_started_at = run.started_at
        row.last_run_finished_at = run.finished_at
    return (row,)


def _stretch(row: CronJob | None, runs: Sequence[CleanRun]) -> Sequence[Model]:
    if row is None or row.status != SUCCEEDING:
        saved: list[Model] = []
        for run in runs:
            saved += _begin_clean(row, run)
            saved += _end_clean(row, run)
        return saved
    last = runs[-1]
    row.updated_at = row.last_success_at = last.finished_at
    row.fired_count += len(runs)
    row.succeeded_count += len(runs)
    row.consecutive_successes += len(runs)
    row.last_decision = "fired"
    row.last_decision_reason = ""
    row.last_slot = last.slot
    row.last_run_id = last.run_id
    row.last_run_status = SUCCEEDED
    row.last_run_started_at = last.started_at
    row.last_run_finished_at = last.finished_at
    return (row,)


def _each(row: CronJob | None, events: Sequence[Event]) -> Sequence[Model]:
    saved: list[Model] = []
    for event in events:
        saved += apply(row, event)
    return saved


def complete(row: CronJob) -> None:
    """What rests on the last event only, so a fold asks for it once and not per event."""
    row.next_slot = next_slot(row)


def _change(row: CronJob, before: str, event: Event) -> CronStatusChange:
    assert event.id is not None, "only events that were read from the log are folded"
    return _new_change(
        event_id=event.id,
        cron=row.name,
        at=event.occurred_at,
        from_status=before,
        to_status=row.status,
        run_id=event.run_id,
        reason=event.reason,
    )


def _fired(row: CronJob, event: Event) -> None:
    row.last_decision = "fired"
    row.fired_count += 1
    _decided(row, event)
    _began(row, event)


def _skipped(row: CronJob, event: Event) -> None:
    row.last_decision = "skipped"
    row.skipped_count += int(event.data.get(COUNT, 1))
    _decided(row, event)


def _missed(row: CronJob, event: Event) -> None:
    row.last_decision = "missed"
    row.missed_count += int(event.data.get(COUNT, 1))
    _decided(row, event)


def _decided(row: CronJob, event: Event) -> None:
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
    elif event.type is EventType.RUN_DECLINED:
        row.declined_count += 1
    if event.run_id == row.last_run_id:
        row.last_run_status = OUTCOME_STATUS[event.type]
        row.last_run_finished_at = event.occurred_at


def _began(row: CronJob, event: Event) -> None:
    row.last_run_id = event.run_id
    row.last_run_status = REQUESTED
    row.last_run_started_at = None
    row.last_run_finished_at = None
    outcome = event.data.get(RECOVERED, {}).get(RECOVERED_OUTCOME)
    if outcome:  # it was written before its decision, which was lost and found again
        row.last_run_status = OUTCOME_STATUS[EventType(outcome)]


def _progressed(row: CronJob, event: Event) -> None:
    if event.run_id != row.last_run_id:
        return
    if event.type is EventType.RUN_STARTED and row.last_run_started_at is None:
        row.last_run_started_at = event.occurred_at
    if row.last_run_status in ENDED:
        return  # a worker's note that was written late
    if event.type is EventType.RUN_STARTED:
        row.last_run_status = RUNNING
    elif event.type is EventType.RUN_ENQUEUED:
        if row.last_run_status == REQUESTED:
            row.last_run_status = ENQUEUED
    elif event.type is EventType.ATTEMPT_FAILED:
        row.last_run_status = RETRYING


def _defined(row: CronJob, event: Event) -> None:
    if row.status == RETIRED:
        clear_pause(row)  # as in the ledger's own fold: a cron that returns starts afresh
    _define(row, event, event.data[DEFINITION])


def _paused(row: CronJob, event: Event) -> None:
    row.paused_at = event.parsed_time(EFFECTIVE_FROM) or event.occurred_at
    row.paused_until = event.parsed_time(UNTIL)
    row.paused_by = event.actor
    row.pause_reason = event.reason


def _resumed(row: CronJob, event: Event) -> None:
    clear_pause(row)


def _rewound(row: CronJob, event: Event) -> None:
    """What was decided about the future no longer counts."""
    row.effective_from = event.parsed_time(EFFECTIVE_FROM) or event.occurred_at
    row.last_slot = None
    row.kept = event.data[KEPT]


def _ignored(row: CronJob, event: Event) -> None:
    pass


def _define(row: CronJob, event: Event, data: dict[str, Any]) -> None:
    definition = Definition.from_data(data)
    row.schedule = definition.schedule_text
    row.timezone = definition.timezone
    row.queue = definition.queue
    row.description = definition.description
    row.function = definition.function
    row.definition = data
    row.definition_version = int(event.data.get(DEFINITION_VERSION, 0))
    row.effective_from = event.parsed_time(EFFECTIVE_FROM) or event.occurred_at


_FOLLOWS_RUNS = frozenset({NEW, IDLE, SUCCEEDING, FAILING})
"""Statuses that a decision does not change."""
_PROGRESS = frozenset({EventType.RUN_ENQUEUED, EventType.RUN_STARTED, EventType.ATTEMPT_FAILED})
"""They change no cron's status."""
_FOLD: dict[EventType, Callable[[CronJob, Event], None]] = {
    EventType.CRON_REGISTERED: _defined,
    EventType.CRON_CHANGED: _defined,
    EventType.CRON_PAUSED: _paused,
    EventType.CRON_RESUMED: _resumed,
    EventType.CRON_REWOUND: _rewound,
    EventType.SLOT_FIRED: _fired,
    EventType.SLOT_SKIPPED: _skipped,
    EventType.SLOT_MISSED: _missed,
    EventType.RUN_REQUESTED: _began,
    **dict.fromkeys(_PROGRESS, _progressed),
    **dict.fromkeys(OUTCOMES, _ended),
}

_new_change = row_maker(CronStatusChange)

PROJECTION = Projection(
    name=NAME,
    version=VERSION,
    row_model=CronJob,
    key=attrgetter("cron"),
    apply=apply,
    complete=complete,
    written_models=(CronStatusChange,),
    past=PastModels(CronJobPast, CronPastPosition),
    replay=ReplayHints(clean=CleanFold(begin=_begin_clean, end=_end_clean, stretch=_stretch)),
)
