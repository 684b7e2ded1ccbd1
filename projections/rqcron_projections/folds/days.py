"""The projection ``days``: what each cron did on each calendar day.

Two rows are behind a day, because the events of a run name neither its day nor the time at which
it was enqueued: the cron's ``CronDayState`` remembers both while the run is open. What an event
says about a day is a fact; ``day_totals`` adds the facts of a page to the rows of their days, and
``cron_totals`` to the rows of their crons, for all days.

Everything that is counted can be added up in any portions (integers, no means, no floats).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import groupby
from typing import Any

from django.db.models import Model

from rqcron_events.core.clean_run.run import CleanRun
from rqcron_events.core.events import OUTCOMES, Event, EventType
from rqcron_events.core.events.keys import (
    COUNT,
    DEFINITION,
    DURATION_SECONDS,
    EFFECTIVE_FROM,
    ERROR,
    ERROR_SHAPE,
    ERROR_TYPE,
    FIRST,
    LATENESS_SECONDS,
    RECOVERED,
    RECOVERED_OUTCOME,
)
from rqcron_events.core.schedule import (
    EPOCH,
    Schedule,
    cron_schedule,
    every_schedule,
    local_time,
    zone_or_utc,
)
from rqcron_events.core.schedule.slot_count import slots_by_day
from rqcron_events.core.words.error_shape import message_shape

from ..cron_total import CronTotal
from ..gathering import Fact, Gathering
from ..models import CronDay, CronDayState
from ..projection import Projection
from ..replay_hints import CleanFold, ReplayHints
from . import cron_totals, day_totals

__all__ = ["NAME", "PROJECTION", "VERSION", "apply", "error_kind"]

NAME = "days"
VERSION = 3

ENDED_RUNS_KEPT_MAX = 100
"""Per cron: runs that ended before both of their notes (enqueued, started) were written."""

_MICROSECOND = timedelta(microseconds=1)
_DEFINITIONS = frozenset({EventType.CRON_REGISTERED, EventType.CRON_CHANGED})
_FAILURES = frozenset({EventType.RUN_FAILED, EventType.RUN_LOST})
_TYPES = (
    _DEFINITIONS
    | OUTCOMES
    | {
        EventType.SLOT_FIRED,
        EventType.SLOT_SKIPPED,
        EventType.SLOT_MISSED,
        EventType.RUN_REQUESTED,
        EventType.RUN_ENQUEUED,
        EventType.RUN_STARTED,
        EventType.ATTEMPT_FAILED,
    }
)
_OUTCOME_FIELD = {outcome: outcome.value.removeprefix("run_") for outcome in OUTCOMES}
# Indexes of an open run.
_DAY, _ENQUEUED, _STARTED, _ENDED = range(4)


def _key(event: Event) -> str | None:
    return event.cron or None if event.type in _TYPES else None


def apply(row: CronDayState | None, event: Event) -> Sequence[Model | Fact]:
    """Fold one event into what is known of its cron; say what it means for which day."""
    if row is None:
        row = CronDayState(cron=event.cron)
    if event.type in _DEFINITIONS:
        _define(row, event)
        return (row,)
    match event.type:
        case EventType.SLOT_FIRED:
            facts = _fired(row, event)
        case EventType.SLOT_SKIPPED | EventType.SLOT_MISSED:
            facts = _passed_over(row, event)
        case EventType.RUN_REQUESTED:
            facts = _requested(row, event)
        case _:
            facts = _progressed(row, event)
    return (row, *facts)


def _define(row: CronDayState, event: Event) -> None:
    start = event.parsed_time(EFFECTIVE_FROM) or event.occurred_at
    data = event.data[DEFINITION]
    schedule = [
        data.get("timezone", "UTC"),
        data.get("expression"),
        data.get("every_seconds"),
        data.get("offset_seconds", 0),
    ]
    if not row.phases or row.phases[-1][1:] != schedule:
        row.phases.append([_us(start), *schedule])


def _begin_clean(row: CronDayState | None, run: CleanRun) -> Sequence[Model | Fact]:
    return apply(row, run.decided())


def _end_clean(row: CronDayState | None, run: CleanRun) -> Sequence[Model | Fact]:
    return [saved for event in run.rest() for saved in apply(row, event)]


def _stretch(row: CronDayState | None, runs: Sequence[CleanRun]) -> Sequence[Model | Fact]:
    """Nothing has to be remembered of runs that are over before anything else happens."""
    if row is None:
        row = CronDayState(cron=runs[0].cron)
    facts: list[Fact] = []
    end = 0
    for (zone, day), same in groupby(_days_of(row, runs)):
        start, end = end, end + len(list(same))
        part = runs[start:end]
        counted = (
            "clean",
            zone,
            [_lateness_us(run.lateness_seconds) for run in part],
            [(run.started_at - run.enqueued_at) // _MICROSECOND for run in part],
            [
                round(run.duration_seconds * 1_000_000)
                for run in part
                if run.duration_seconds is not None
            ],
        )
        facts.append(Fact(f"{day.isoformat()}/{row.cron}", counted))
    facts += _succeeded(row, runs[0].finished_at, str(facts[0].key))
    return (row, *facts)


def _days_of(row: CronDayState, runs: Sequence[CleanRun]) -> list[tuple[str, date]]:
    """Zone and day of each run's slot."""
    if len(row.phases) <= 1:
        phase = row.phases[0] if row.phases else None
        name, zone = _name_of(phase), _zone_of(phase)
        return [(name, local_time(run.slot, zone).date()) for run in runs]
    found = []
    for run in runs:
        phase = _phase(row, run.slot)
        _forget_phases(row, run.slot)
        found.append((_name_of(phase), local_time(run.slot, _zone_of(phase)).date()))
    return found


def _lateness_us(seconds: float | None) -> int:
    return round(float(seconds or 0) * 1_000_000)


def _fired(row: CronDayState, event: Event) -> list[Fact]:
    slot = event.scheduled_for or event.occurred_at
    phase = _phase(row, slot)
    _forget_phases(row, slot)
    day = local_time(slot, _zone_of(phase)).date().isoformat()
    ended = _begin(row, event, day)
    lateness = _lateness_us(event.data.get(LATENESS_SECONDS))
    return [Fact(f"{day}/{row.cron}", ("fired", _name_of(phase), lateness)), *ended]


def _passed_over(row: CronDayState, event: Event) -> list[Fact]:
    """A decision about many slots, split by day."""
    last = event.scheduled_for or event.occurred_at
    first = event.parsed_time(FIRST) or last
    count = int(event.data.get(COUNT, 1))
    phase = _phase(row, first)
    _forget_phases(row, last)
    zone = _zone_of(phase)
    end = local_time(last, zone).date()
    what = "skipped" if event.type is EventType.SLOT_SKIPPED else "missed"
    days = {end: count}
    if local_time(first, zone).date() != end:
        schedule = _schedule_of(row.cron, phase)
        split = slots_by_day(schedule, zone, first, last) if schedule else {}
        # A release that finds other slots than the one that decided them must still count all.
        if sum(split.values()) == count:
            days = split
    name = _name_of(phase)
    return [
        Fact(f"{day.isoformat()}/{row.cron}", (what, name, event.reason, number))
        for day, number in days.items()
    ]


def _requested(row: CronDayState, event: Event) -> list[Fact]:
    phase = _phase(row, event.occurred_at)
    day = local_time(event.occurred_at, _zone_of(phase)).date().isoformat()
    ended = _begin(row, event, day)
    return [Fact(f"{day}/{row.cron}", ("requested", _name_of(phase))), *ended]


def _begin(row: CronDayState, event: Event, day: str) -> list[Fact]:
    outcome = event.data.get(RECOVERED, {}).get(RECOVERED_OUTCOME)
    if outcome:  # it was written before its decision, which was lost and found again
        ended = ("ended", _OUTCOME_FIELD[EventType(outcome)], _us(event.occurred_at))
        return [Fact(f"{day}/{row.cron}", ended)]
    if event.run_id is not None:
        row.open_runs[event.run_id.hex] = [day, None, None, None]
    return []


def _progressed(row: CronDayState, event: Event) -> list[Fact]:
    run = row.open_runs.get(event.run_id.hex) if event.run_id else None
    if run is None or event.run_id is None:
        return []  # ended and measured; what comes after it changes nothing
    key = f"{run[_DAY]}/{row.cron}"
    if event.type in OUTCOMES:
        return _ended(row, event, run, key) if run[_ENDED] is None else []
    if event.type is EventType.ATTEMPT_FAILED:
        return [Fact(key, ("retried",))] if run[_ENDED] is None else []
    now = _us(event.occurred_at)
    if event.type is EventType.RUN_STARTED:
        if run[_STARTED] is not None:
            return []
        run[_STARTED] = now
    elif run[_STARTED] is not None and run[_ENQUEUED] is not None:
        return []
    else:
        # Enqueued again, because Redis lost it: the last one before the start counts.
        run[_ENQUEUED] = now
    if run[_ENQUEUED] is None or run[_STARTED] is None:
        return []
    if run[_ENDED] is not None:
        del row.open_runs[event.run_id.hex]
    return [Fact(key, ("measured", "queue_wait", run[_STARTED] - run[_ENQUEUED]))]


def _ended(row: CronDayState, event: Event, run: list[Any], key: str) -> list[Fact]:
    assert event.run_id is not None
    run[_ENDED] = _us(event.occurred_at)
    if run[_ENQUEUED] is not None and run[_STARTED] is not None:
        del row.open_runs[event.run_id.hex]
    else:
        _forget_ended_runs(row)
    facts = [Fact(key, ("ended", _OUTCOME_FIELD[event.type], run[_ENDED]))]
    duration = event.data.get(DURATION_SECONDS)
    if duration is not None:
        facts.append(Fact(key, ("measured", "duration", round(duration * 1_000_000))))
    if event.type in _FAILURES:
        row.failures += 1
        row.failing_since = row.failing_since or event.occurred_at
        facts.append(Fact(key, ("failed", row.failures, _error(event), event.run_id.hex)))
    elif event.type is EventType.RUN_SUCCEEDED:
        facts += _succeeded(row, event.occurred_at, key)
    return facts


def _succeeded(row: CronDayState, at: datetime, key: str) -> list[Fact]:
    since, row.failing_since, row.failures = row.failing_since, None, 0
    if since is None:
        return []
    return [Fact(key, ("recovered", max(_us(at) - _us(since), 0)))]


def _error(event: Event) -> str:
    error = event.data.get(ERROR) or {}
    return error_kind(str(error.get(ERROR_TYPE, "")), str(error.get(ERROR_SHAPE, "")), event.reason)


SHAPE_CHARACTERS_MAX = 40


def error_kind(error_type: str, shape: str, reason: str) -> str:
    """Type and shape (see ``error.shape``) in one string; a run that ended without an error is named by its
    reason."""
    return f"{error_type[:200] or message_shape(reason)}\n{shape[:SHAPE_CHARACTERS_MAX]}"


def _forget_ended_runs(row: CronDayState) -> None:
    ended = [(run[_ENDED], name) for name, run in row.open_runs.items() if run[_ENDED] is not None]
    if len(ended) > ENDED_RUNS_KEPT_MAX:
        del row.open_runs[min(ended)[1]]


def _phase(row: CronDayState, instant: datetime) -> list[Any] | None:
    """The schedule whose slots include this instant."""
    if len(row.phases) > 1:
        at = _us(instant)
        for phase in reversed(row.phases):
            if phase[0] < at:
                found: list[Any] = phase
                return found
    return row.phases[0] if row.phases else None


def _forget_phases(row: CronDayState, decided: datetime) -> None:
    """Slots are decided in order: earlier schedules cover none that is to come."""
    while len(row.phases) > 1 and row.phases[1][0] <= _us(decided):
        del row.phases[0]


def _name_of(phase: list[Any] | None) -> str:
    return str(phase[1]) if phase else "UTC"


def _zone_of(phase: list[Any] | None) -> tzinfo:
    return zone_or_utc(phase[1]) if phase else UTC


def _schedule_of(cron: str, phase: list[Any] | None) -> Schedule | None:
    if phase is None:
        return None
    _, timezone, expression, every, offset = phase
    try:
        if every is not None:
            return every_schedule(every, offset)
        return cron_schedule(expression or "", timezone, cron)
    except ValueError:
        return None


def _us(instant: datetime) -> int:
    return (instant - EPOCH) // _MICROSECOND


PROJECTION = Projection(
    name=NAME,
    version=VERSION,
    row_model=CronDayState,
    key=_key,
    apply=apply,
    gathering=(
        Gathering(row_model=CronDay, gather=day_totals.gather, complete=day_totals.complete),
        Gathering(
            row_model=CronTotal,
            gather=cron_totals.gather,
            key_of=cron_totals.cron_of,
            complete=cron_totals.complete,
        ),
    ),
    replay=ReplayHints(clean=CleanFold(begin=_begin_clean, end=_end_clean, stretch=_stretch)),
)
