"""The figures of a report: what is added up, and what is said of it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from math import ceil
from typing import Any

from ..histogram import counts_of, percentile_us

__all__ = ["MEASURES", "OUTCOMES", "Durations", "ErrorTally", "Figures", "Spread", "Tally"]

MEASURES = ("lateness", "queue_wait", "duration")
OUTCOMES = ("succeeded", "failed", "stopped", "cancelled", "declined", "lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long something took, in seconds; None where nothing was measured."""

    count: int
    mean_seconds: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    max_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One row of a report, or its totals."""

    group: str | date | datetime
    """The cron, day, hour (UTC) or queue; empty for the totals."""
    expected: int
    """Slots that decisions cover. ``cron_audit`` proves that none is missing."""
    fired: int
    skipped: Mapping[str, int]
    """By reason, as is missed."""
    missed: Mapping[str, int]
    requested: int
    """Runs that somebody asked for: manual, rerun, backfill, requeue."""
    outcomes: Mapping[str, int]
    """Runs by how they ended: each of ``OUTCOMES``."""
    attempts_failed: int
    """Failed tries that another try followed."""
    success_rate: float | None
    """Succeeded, of those that succeeded, failed or were lost; None when there are none."""
    lateness: Durations
    """From when the slot was due to its decision."""
    queue_wait: Durations
    """From enqueued to started."""
    duration: Durations
    """Of the last attempt."""
    longest_failure_streak: int
    """Failed and lost runs of one cron in a row; only a success ends it."""
    turned_failing: int
    recoveries: int
    recovery_mean_seconds: float | None
    """From the first failure to the success that ended the streak."""
    recovery_max_seconds: float | None

    def to_data(self) -> dict[str, Any]:
        """One flat row, JSON-ready, units in its names; without the group."""
        data: dict[str, Any] = {
            "expected": self.expected,
            "fired": self.fired,
            "skipped": dict(self.skipped),
            "missed": dict(self.missed),
            "requested": self.requested,
            **self.outcomes,
            "attempts_failed": self.attempts_failed,
            "success_rate": self.success_rate,
        }
        for measure in MEASURES:
            durations: Durations = getattr(self, measure)
            for name in Durations.__dataclass_fields__:
                data[f"{measure}_{name}"] = getattr(durations, name)
        for name in ("longest_failure_streak", "turned_failing", "recoveries"):
            data[name] = getattr(self, name)
        data["recovery_mean_seconds"] = self.recovery_mean_seconds
        data["recovery_max_seconds"] = self.recovery_max_seconds
        return data


@dataclass(slots=True)
class Spread:
    """Many durations: in buckets when they come from days, otherwise each by itself."""

    exact: bool
    values: array[int] = field(default_factory=lambda: array("q"))
    """Exact ones, in microseconds; the rest is about those of days."""
    sum_us: int = 0
    low_us: int | None = None
    high_us: int | None = None
    packed: int = 0
    """See ``histogram.packed_number``."""

    def add_day(self, sum_us: int, low_us: int, high_us: int, packed: int) -> None:
        """``packed``: see ``histogram.packed_number``."""
        self.sum_us += sum_us
        self.packed += packed
        if self.low_us is None or low_us < self.low_us:
            self.low_us = low_us
        if self.high_us is None or high_us > self.high_us:
            self.high_us = high_us

    def merge(self, other: Spread) -> None:
        self.values.extend(other.values)
        if other.low_us is not None and other.high_us is not None:
            self.add_day(other.sum_us, other.low_us, other.high_us, other.packed)

    def durations(self) -> Durations:
        if self.exact:
            ordered = sorted(self.values)
            if not ordered:
                return _NOTHING_MEASURED
            if ordered[0] < 0:  # by a clock that was set back meanwhile
                ordered = [max(value_us, 0) for value_us in ordered]
            found = partial(_nearest_rank, ordered)
            return _durations(len(ordered), sum(ordered), ordered[-1], found)
        if self.low_us is None or self.high_us is None:
            return _NOTHING_MEASURED
        counts = counts_of(self.packed)
        found = partial(percentile_us, counts, low_us=self.low_us, high_us=self.high_us)
        return _durations(sum(counts.values()), self.sum_us, self.high_us, found)


_NOTHING_MEASURED = Durations(
    count=0,
    mean_seconds=None,
    p50_seconds=None,
    p95_seconds=None,
    p99_seconds=None,
    max_seconds=None,
)


def _durations(
    count: int, sum_us: int, high_us: int, percentile: Callable[[float], float]
) -> Durations:
    return Durations(
        count=count,
        mean_seconds=_seconds(sum_us / count),
        p50_seconds=_seconds(percentile(0.5)),
        p95_seconds=_seconds(percentile(0.95)),
        p99_seconds=_seconds(percentile(0.99)),
        max_seconds=_seconds(high_us),
    )


def _nearest_rank(ordered: Sequence[int], fraction: float) -> float:
    return ordered[max(ceil(fraction * len(ordered)), 1) - 1]


@dataclass(slots=True)
class ErrorTally:
    """Errors of one type and shape."""

    count: int = 0
    crons: Counter[str] = field(default_factory=Counter)
    run: str = ""
    """The last one, to look at."""


class Tally:
    """What is added up for one group."""

    def __init__(self, *, exact: bool) -> None:
        self.exact = exact
        self.fired = self.requested = self.attempts_failed = 0
        self.skipped: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.spreads = {measure: Spread(exact) for measure in MEASURES}
        self.longest_failure_streak = self.turned_failing = 0
        self.changes = 0
        """Of one cron: how often a failure followed a success, or a success a failure."""
        self.recoveries = self.recovery_sum_us = self.recovery_max_us = 0

    def merge(self, other: Tally) -> None:
        self.fired += other.fired
        self.requested += other.requested
        self.attempts_failed += other.attempts_failed
        self.skipped.update(other.skipped)
        self.missed.update(other.missed)
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] += count
        for measure, spread in other.spreads.items():
            self.spreads[measure].merge(spread)
        self.turned_failing += other.turned_failing
        self.changes += other.changes
        self.note_streak(other.longest_failure_streak)
        self.note_recoveries(other.recoveries, other.recovery_sum_us, other.recovery_max_us)

    def note_streak(self, failures: int) -> None:
        self.longest_failure_streak = max(self.longest_failure_streak, failures)

    def note_recoveries(self, count: int, sum_us: int, high_us: int) -> None:
        self.recoveries += count
        self.recovery_sum_us += sum_us
        self.recovery_max_us = max(self.recovery_max_us, high_us)

    @property
    def success_rate(self) -> float | None:
        judged = sum(self.outcomes[name] for name in ("succeeded", "failed", "lost"))
        return round(self.outcomes["succeeded"] / judged, 6) if judged else None

    def figures(self, group: str | date | datetime) -> Figures:
        return Figures(
            group=group,
            expected=self.fired + self.skipped.total() + self.missed.total(),
            fired=self.fired,
            skipped=dict(sorted(self.skipped.items())),
            missed=dict(sorted(self.missed.items())),
            requested=self.requested,
            outcomes=dict(self.outcomes),
            attempts_failed=self.attempts_failed,
            success_rate=self.success_rate,
            lateness=self.spreads["lateness"].durations(),
            queue_wait=self.spreads["queue_wait"].durations(),
            duration=self.spreads["duration"].durations(),
            longest_failure_streak=self.longest_failure_streak,
            turned_failing=self.turned_failing,
            recoveries=self.recoveries,
            recovery_mean_seconds=_seconds(self.recovery_sum_us / self.recoveries)
            if self.recoveries
            else None,
            recovery_max_seconds=_seconds(self.recovery_max_us) if self.recoveries else None,
        )


def _seconds(value_us: float) -> float:
    return round(value_us / 1_000_000, 6)
