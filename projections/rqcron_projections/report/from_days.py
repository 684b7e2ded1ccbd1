"""A report's tallies from the rows of whole days: fast over years."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from rqcron_events.ledger import store

from ..histogram import packed_number
from ..models import CronDay
from .figures import MEASURES, OUTCOMES
from .tallies import By, Tallies

__all__ = ["days_between", "tally_days"]

_PARTS = ("sum_us", "min_us", "max_us", "buckets")
_JSON = ("skipped_by_reason", "missed_by_reason", "errors")
"""Empty on nearly every day, so they are read as text and rarely parsed."""
_COLUMNS = (
    "cron",
    "day",
    "fired",
    "requested",
    "attempts_failed",
    "longest_failure_streak",
    "turned_failing",
    "recoveries",
    "recovery_sum_us",
    "recovery_max_us",
    *OUTCOMES,
    *(f"{measure}_{part}" for measure in MEASURES for part in _PARTS),
    *(f"{name}_text" for name in _JSON),
)
_MEASURED = [
    (measure, len(OUTCOMES) + place * len(_PARTS)) for place, measure in enumerate(MEASURES)
]
"""Where the parts of each begin, counted from the outcomes."""


def days_between(since: date, until: date | None, cron: str | None) -> QuerySet[CronDay]:
    rows = CronDay.objects.using(store.connection().alias).filter(day__gte=since)
    if until is not None:
        rows = rows.filter(day__lt=until)
    return rows.filter(cron=cron) if cron is not None else rows


def tally_days(since: date, until: date | None, by: By, cron: str | None) -> Tallies:
    """Add up the days with ``since <= day < until``."""
    found = Tallies(by=by, exact=False)
    texts = {f"{name}_text": Cast(name, TextField()) for name in _JSON}
    rows = days_between(since, until, cron).order_by("day", "cron").annotate(**texts)
    for (
        name,
        day,
        fired,
        requested,
        attempts_failed,
        streak,
        turned_failing,
        recoveries,
        recovery_sum_us,
        recovery_max_us,
        *numbers,
    ) in rows.values_list(*_COLUMNS).iterator(chunk_size=2_000):
        skipped, missed, errors = map(_parsed, numbers[-len(_JSON) :])
        measured = [
            (measure, numbers[start], low_us, numbers[start + 2], packed_number(numbers[start + 3]))
            for measure, start in _MEASURED
            if (low_us := numbers[start + 1]) is not None
        ]
        for tally in found.of(name, day):
            tally.fired += fired
            tally.requested += requested
            tally.attempts_failed += attempts_failed
            if skipped:
                tally.skipped.update(skipped)
            if missed:
                tally.missed.update(missed)
            for place, outcome in enumerate(OUTCOMES):
                tally.outcomes[outcome] += numbers[place]
            for measure, sum_us, low_us, high_us, packed in measured:
                tally.spreads[measure].add_day(sum_us, low_us, high_us, packed)
            tally.turned_failing += turned_failing
            tally.note_streak(streak)
            tally.note_recoveries(recoveries, recovery_sum_us, recovery_max_us)
        for kind, (count, run) in errors.items():
            found.add_error(kind, name, run, count)
    for tally in found.crons.values():
        # Whether a first failure came before or after the successes, days do not tell.
        if tally.outcomes["succeeded"]:
            tally.changes = tally.turned_failing + tally.recoveries
    return found


def _parsed(text: str) -> dict[str, Any]:
    return json.loads(text) if text != "{}" else {}
