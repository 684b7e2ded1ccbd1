"""What the last days say of a cron: how long it works, how often it fails, whether it gets slower."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Q, Sum

from rqcron_events.ledger import store

from ...histogram import counts_of, packed_number, percentile_us
from ...models import CronDay

__all__ = ["DAYS", "DAYS_BEFORE", "DayFigures", "figures_of", "slowest_first"]

DAYS = 7
"""That the figures are of."""
DAYS_BEFORE = 28
"""That they are compared with, up to then."""
SLOWER = 1.25
"""From this ratio on a cron has become slower, or quicker the other way round."""
RUNS_MIN = 3
"""Fewer runs compare with nothing."""
_OUTCOMES = ("succeeded", "failed", "lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    runs: int = 0
    """That succeeded, failed or were lost."""
    succeeded: int = 0
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    mean_seconds: float | None = None
    before_seconds: float | None = None
    """The mean of the days before."""

    @property
    def success_percent(self) -> float | None:
        return 100 * self.succeeded / self.runs if self.runs else None

    @property
    def ratio(self) -> float | None:
        """Of the mean durations: 2.0 is twice as long as before."""
        if self.mean_seconds is None or not self.before_seconds:
            return None
        return self.mean_seconds / self.before_seconds

    @property
    def trend(self) -> str:
        """``slower``, ``faster`` or empty."""
        ratio = self.ratio
        if ratio is None or 1 / SLOWER < ratio < SLOWER:
            return ""
        return "slower" if ratio > 1 else "faster"


def figures_of(names: Collection[str], today: date) -> dict[str, DayFigures]:
    """Two queries for all of them. A day is that of the cron's zone, so ``today`` may be one off."""
    since = today - timedelta(days=DAYS)
    rows = CronDay.objects.using(store.connection().alias).filter(cron__in=names)
    recent: dict[str, list[tuple[int, ...]]] = {}
    packed: dict[str, int] = {}
    columns = (*_OUTCOMES, "duration_count", "duration_sum_us", "duration_min_us")
    for name, histogram, *numbers in rows.filter(day__gt=since).values_list(
        "cron", "duration_buckets", *columns, "duration_max_us"
    ):
        recent.setdefault(name, []).append(tuple(numbers))
        packed[name] = packed.get(name, 0) + packed_number(histogram)
    before = _means_before(names, today)
    return {
        name: _figures(recent.get(name, []), packed.get(name, 0), before.get(name))
        for name in names
    }


def slowest_first(names: Collection[str], today: date) -> list[str]:
    """The crons by how much longer they work than before; such that nothing tells of come last.
    One query, which adds up the days of all crons in the database."""
    since, first = today - timedelta(days=DAYS), today - timedelta(days=DAYS_BEFORE)
    is_recent = Q(day__gt=since)
    rows = CronDay.objects.using(store.connection().alias).filter(day__gt=first)
    ratios: dict[str, float] = {}
    for name, count, total_us, count_before, total_before_us in (
        rows.order_by()
        .values_list("cron")
        .annotate(
            count=Sum("duration_count", filter=is_recent),
            total_us=Sum("duration_sum_us", filter=is_recent),
            count_before=Sum("duration_count", filter=~is_recent),
            total_before_us=Sum("duration_sum_us", filter=~is_recent),
        )
    ):
        if min(count or 0, count_before or 0) >= RUNS_MIN and total_before_us:
            ratios[name] = (total_us / count) / (total_before_us / count_before)
    return sorted(names, key=lambda name: (-ratios.get(name, 0.0), name.lower(), name))


def _means_before(names: Collection[str], today: date) -> dict[str, float]:
    """In seconds."""
    since, first = today - timedelta(days=DAYS), today - timedelta(days=DAYS_BEFORE)
    rows = CronDay.objects.using(store.connection().alias).filter(
        cron__in=names, day__gt=first, day__lte=since
    )
    sums = (
        rows.order_by().values_list("cron").annotate(Sum("duration_count"), Sum("duration_sum_us"))
    )
    return {
        name: total_us / count / 1_000_000 for name, count, total_us in sums if count >= RUNS_MIN
    }


def _figures(days: list[tuple[int, ...]], packed: int, before_seconds: float | None) -> DayFigures:
    succeeded, failed, lost, count, total_us = (
        sum(day[place] for day in days) for place in range(5)
    )
    measured = [(day[5], day[6]) for day in days if day[3]]
    p50 = p95 = mean = None
    if measured:
        low, high = min(low for low, _ in measured), max(high for _, high in measured)
        counts = counts_of(packed)
        p50, p95 = (percentile_us(counts, part, low, high) / 1_000_000 for part in (0.5, 0.95))
        mean = total_us / count / 1_000_000
    return DayFigures(
        runs=succeeded + failed + lost,
        succeeded=succeeded,
        p50_seconds=p50,
        p95_seconds=p95,
        mean_seconds=mean if count >= RUNS_MIN else None,
        before_seconds=before_seconds,
    )
