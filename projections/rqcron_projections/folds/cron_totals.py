"""The row of a cron's totals: the facts of all its days, without the days.

Prometheus wants numbers that only grow, and a sum over the rows of all days would take longer each
year.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from typing import Any

from ..cron_total import BOUNDS_SECONDS, MEASURES, CronTotal
from ..rows import row_maker

__all__ = ["complete", "cron_of", "gather"]

_BOUNDS_US = [round(bound * 1_000_000) for bound in BOUNDS_SECONDS]
_COLUMNS = {measure: (f"{measure}_sum_us", f"{measure}_buckets") for measure in MEASURES}
_COUNTS = "_counts"
"""Attribute of a row that is gathered in: column to values in each bucket, no text yet."""
_new_total = row_maker(CronTotal)


def cron_of(key: Hashable) -> str:
    """From a day's key to its cron."""
    return str(key).partition("/")[2]


def gather(row: CronTotal | None, key: Hashable, facts: Sequence[tuple[Any, ...]]) -> CronTotal:
    """Add the facts about the days of a cron."""
    if row is None:
        row = _new_total(cron=str(key), slots={}, outcomes={})
    counts = row.__dict__.setdefault(_COUNTS, {})
    for fact in facts:
        match fact:
            case ("clean", _, late_us, waits_us, took_us):
                _add(row.slots, "fired", len(late_us))
                _add(row.outcomes, "succeeded", len(late_us))
                _measure(row, "lateness", late_us, counts)
                _measure(row, "queue_wait", waits_us, counts)
                _measure(row, "duration", took_us, counts)
            case ("measured", measure, value_us):
                _measure(row, measure, [value_us], counts)
            case ("ended", outcome, at_us):
                _add(row.outcomes, outcome, 1)
                if outcome == "declined":
                    row.last_declined_us = max(at_us, row.last_declined_us or at_us)
            case ("fired", _, late_us):
                _add(row.slots, "fired", 1)
                _measure(row, "lateness", [late_us], counts)
            case ("requested", _):
                row.requested += 1
            case ("skipped" | "missed" as what, _, reason, count):
                _add(row.slots, f"{what}/{reason}", count)
            case ("retried",):
                row.attempts_failed += 1
            case ("failed", *_) | ("recovered", _):
                pass  # about streaks, which no total has
            case _:
                raise ValueError(f"a total has no fact {fact!r}")
    return row


def complete(row: CronTotal) -> None:
    """Counts as text, and one order of the keys of JSON: SQLite keeps it as text, and equal rows must be equal
    there."""
    for column, counts in row.__dict__.pop(_COUNTS, {}).items():
        row.__dict__[column] = ",".join(map(str, counts))
    row.slots = dict(sorted(row.slots.items()))
    row.outcomes = dict(sorted(row.outcomes.items()))


def _add(counts: dict[str, int], key: str, count: int) -> None:
    counts[key] = counts.get(key, 0) + count


def _measure(
    row: CronTotal, measure: str, values_us: Sequence[int], counts: dict[str, list[int]]
) -> None:
    """Count durations; those below zero, which clocks make, as zero."""
    total, column = _COLUMNS[measure]
    values = row.__dict__
    buckets = counts.get(column)
    if buckets is None:
        buckets = counts[column] = list(map(int, values[column].split(",")))
    for value_us in values_us:
        buckets[bisect_left(_BOUNDS_US, value_us)] += 1
        if value_us > 0:
            values[total] += value_us
