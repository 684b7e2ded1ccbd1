"""Which crons take longer than they did: the second half of the range against the first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import F, FloatField, Q, Sum
from django.db.models.functions import Cast, NullIf

from ...report.from_days import days_between

__all__ = ["Slower", "slower_crons"]

LISTED_MAX = 5
RUNS_MIN = 3
"""In each half: fewer say nothing."""
RATIO_MIN = 1.2
DIFFERENCE_US_MIN = 1_000_000
"""A job of milliseconds that takes twice as many is no news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slower:
    """Mean durations in seconds, of the first and of the second half."""

    cron: str
    before: float
    after: float

    @property
    def times(self) -> str:
        return f"{self.after / self.before:.1f}"


def slower_crons(since: date, until: date, cron: str) -> tuple[Slower, ...]:
    """The worst first; nothing for a range of one day. The middle day goes to the second half."""
    half = since + timedelta(days=(until - since).days // 2)
    if half <= since:
        return ()
    early, late = Q(day__lt=half), Q(day__gte=half)
    sums = days_between(since, until, cron or None).order_by().values("cron").annotate(
        early_us=Cast(Sum("duration_sum_us", filter=early), FloatField()),
        late_us=Cast(Sum("duration_sum_us", filter=late), FloatField()),
        early_runs=Sum("duration_count", filter=early),
        late_runs=Sum("duration_count", filter=late),
    )  # fmt: skip
    found = (
        sums.filter(early_runs__gte=RUNS_MIN, late_runs__gte=RUNS_MIN)
        .annotate(
            before=F("early_us") / NullIf(F("early_runs"), 0),
            after=F("late_us") / NullIf(F("late_runs"), 0),
        )
        .filter(after__gt=F("before") * RATIO_MIN)
        .filter(after__gt=F("before") + DIFFERENCE_US_MIN)
        .annotate(times=F("after") / F("before"))
        .order_by("-times", "cron")
    )
    return tuple(
        Slower(cron=name, before=before / 1e6, after=after / 1e6)
        for name, before, after in found.values_list("cron", "before", "after")[:LISTED_MAX]
    )
