"""The row of a day: facts that the projection ``days`` found are counted in it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import date
from typing import Any

from ..histogram import bucket_of, counts_of, pack, packed_number
from ..models import CronDay
from ..rows import row_maker

__all__ = ["complete", "gather"]

ERRORS_PER_DAY_MAX = 20
"""Kinds of errors that one day tells apart; the others are counted together."""

_HISTOGRAMS = "_histograms"
"""Attribute of a row that is gathered in: measure to counts per bucket, not packed yet."""
_MEASURES = {
    measure: tuple(
        f"{measure}_{what}" for what in ("count", "sum_us", "min_us", "max_us", "buckets")
    )
    for measure in ("lateness", "queue_wait", "duration")
}
"""The columns of each."""
_new_day = row_maker(CronDay)


def gather(row: CronDay | None, key: Hashable, facts: Sequence[tuple[Any, ...]]) -> CronDay:
    """Add the facts to the row of their day."""
    if row is None:
        day, _, cron = str(key).partition("/")
        row = _new_day(
            key=str(key),
            cron=cron,
            day=date.fromisoformat(day),
            skipped_by_reason={},
            missed_by_reason={},
            errors={},
        )
    histograms = row.__dict__.setdefault(_HISTOGRAMS, {})
    for fact in facts:
        match fact:
            case ("clean", timezone, late_us, waits_us, took_us):
                row.fired += len(late_us)
                row.succeeded += len(late_us)
                row.timezone = timezone
                _measure(row, "lateness", late_us, histograms)
                _measure(row, "queue_wait", waits_us, histograms)
                _measure(row, "duration", took_us, histograms)
            case ("measured", measure, value_us):
                _measure(row, measure, [value_us], histograms)
            case ("ended", outcome, _):
                setattr(row, outcome, getattr(row, outcome) + 1)
            case ("fired", timezone, late_us):
                row.fired += 1
                row.timezone = timezone
                _measure(row, "lateness", [late_us], histograms)
            case ("requested", timezone):
                row.requested += 1
                row.timezone = timezone
            case ("skipped", timezone, reason, count):
                row.skipped += count
                row.skipped_by_reason[reason] = row.skipped_by_reason.get(reason, 0) + count
                row.timezone = timezone
            case ("missed", timezone, reason, count):
                row.missed += count
                row.missed_by_reason[reason] = row.missed_by_reason.get(reason, 0) + count
                row.timezone = timezone
            case ("retried",):
                row.attempts_failed += 1
            case ("failed", streak, error, run):
                row.turned_failing += streak == 1
                row.longest_failure_streak = max(row.longest_failure_streak, streak)
                _count_error(row.errors, error, run)
            case ("recovered", took_us):
                row.recoveries += 1
                row.recovery_sum_us += took_us
                row.recovery_max_us = max(row.recovery_max_us, took_us)
            case _:
                raise ValueError(f"a day has no fact {fact!r}")
    return row


def complete(row: CronDay) -> None:
    """Pack the histograms that ``gather`` counted in, and put the keys of JSON in one order:
    SQLite keeps it as text, and equal rows must be equal there.
    """
    for measure, histogram in row.__dict__.pop(_HISTOGRAMS, {}).items():
        row.__dict__[f"{measure}_buckets"] = pack(histogram)
    for name in ("skipped_by_reason", "missed_by_reason", "errors"):
        if len(counted := row.__dict__[name]) > 1:
            row.__dict__[name] = dict(sorted(counted.items()))


def _measure(
    row: CronDay, measure: str, values_us: Sequence[int], histograms: dict[str, dict[int, int]]
) -> None:
    """Count durations; those below zero, which clocks make, as zero."""
    if not values_us:
        return
    if min(values_us) < 0:
        values_us = [max(value_us, 0) for value_us in values_us]
    count, total, low, high, packed = _MEASURES[measure]
    values = row.__dict__  # getattr by a made-up name costs twice as much, and this is the hot path
    if values[low] is None:
        values[low], values[high] = min(values_us), max(values_us)
    else:
        values[low] = min(values[low], *values_us)
        values[high] = max(values[high], *values_us)
    values[count] += len(values_us)
    values[total] += sum(values_us)
    histogram = histograms.get(measure)
    if histogram is None:
        histogram = histograms[measure] = counts_of(packed_number(values[packed]))
    for bucket in map(bucket_of, values_us):
        histogram[bucket] = histogram.get(bucket, 0) + 1


def _count_error(errors: dict[str, list[Any]], kind: str, run: str) -> None:
    if kind not in errors and len(errors.keys() - {""}) >= ERRORS_PER_DAY_MAX:
        kind = ""
    errors[kind] = [errors.get(kind, [0])[0] + 1, run]
