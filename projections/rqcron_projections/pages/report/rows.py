"""The rows of the report, from single figures or, where there are very many crons, from sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import F, FloatField, Max, Sum
from django.db.models.functions import Cast, NullIf

from rqcron_events.core.wording import duration

from ...report.figures import Figures
from ...report.from_days import days_between

__all__ = [
    "COLUMNS",
    "Row",
    "crons_of_sums",
    "days_of_sums",
    "in_order",
    "row_of_figures",
    "total_of",
]

_COUNTS = (
    "fired", "skipped", "missed", "requested", "succeeded", "failed", "lost", "stopped",
    "cancelled", "declined", "attempts_failed", "duration_count", "duration_sum_us",
)  # fmt: skip
_HIGHEST = ("duration_max_us", "lateness_max_us", "queue_wait_max_us")
_SUMS = {name: Sum(name) for name in _COUNTS} | {name: Max(name) for name in _HIGHEST}


COLUMNS = (
    ("slots", "Slots"),
    ("fired", "Fired"),
    ("missed", "Missed"),
    ("skipped", "Skipped"),
    ("succeeded", "Succeeded"),
    ("failed", "Failed"),
    ("other", "Other ends"),
    ("success_percent", "Success"),
    ("mean", "Mean run"),
    ("p95", "p95"),
    ("max", "Longest run"),
    ("late_max", "Latest decision"),
    ("wait_max", "Longest wait"),
)
"""Attributes of a row, and the heads of their columns."""
NOTHING = "\u2013"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. Durations in seconds; None where nothing was measured, or where too many
    crons are added up to say it."""

    group: str | date | datetime
    """What a cron is called now, a day, an hour, a queue; empty for the totals."""
    fired: int
    skipped: int
    missed: int
    requested: int
    succeeded: int
    failed: int
    """Lost runs included."""
    other: int
    """Stopped, cancelled or declined."""
    attempts_failed: int
    measured: int
    """Runs whose duration is known."""
    busy: float
    """The sum of their durations."""
    p95: float | None
    max: float | None
    late_max: float | None
    wait_max: float | None

    @property
    def mean(self) -> float | None:
        return self.busy / self.measured if self.measured else None

    @property
    def slots(self) -> int:
        return self.fired + self.skipped + self.missed

    @property
    def success_rate(self) -> float | None:
        judged = self.succeeded + self.failed
        return self.succeeded / judged if judged else None

    @property
    def success_percent(self) -> str:
        """99.97 % must not look like no failure at all."""
        rate = self.success_rate
        if rate is None:
            return ""
        return "100%" if rate == 1 else f"{min(rate * 100, 99.9):.1f}%"

    @property
    def cells(self) -> list[str]:
        """As text, in the order of ``COLUMNS``."""
        return [_text(getattr(self, name)) for name, _head in COLUMNS]


def _text(value: int | float | str | None) -> str:
    if isinstance(value, float):
        return duration(value)
    return f"{value:,}" if isinstance(value, int) and value else str(value or NOTHING)


def row_of_figures(figures: Figures) -> Row:
    outcomes = figures.outcomes
    return Row(
        group=figures.group,
        fired=figures.fired,
        skipped=sum(figures.skipped.values()),
        missed=sum(figures.missed.values()),
        requested=figures.requested,
        succeeded=outcomes["succeeded"],
        failed=outcomes["failed"] + outcomes["lost"],
        other=outcomes["stopped"] + outcomes["cancelled"] + outcomes["declined"],
        attempts_failed=figures.attempts_failed,
        measured=figures.duration.count,
        busy=(figures.duration.mean_seconds or 0.0) * figures.duration.count,
        p95=figures.duration.p95_seconds,
        max=figures.duration.max_seconds,
        late_max=figures.lateness.max_seconds,
        wait_max=figures.queue_wait.max_seconds,
    )


def crons_of_sums(
    since: date, until: date | None, sort: str, part: slice, names: Mapping[str, str]
) -> list[Row]:
    """Some crons, in the order of one of ``SORTS``: added up and sorted by the database, whatever their
    number. ``names``: what those that were renamed are called now."""
    sums = days_between(since, until, None).order_by().values("cron").annotate(**_SUMS)
    found = sums.annotate(
        failed_all=F("failed") + F("lost"),
        slots=F("fired") + F("missed") + F("skipped"),
        mean=Cast(F("duration_sum_us"), FloatField()) / NullIf(F("duration_count"), 0),
    )
    order = [F(name).desc(nulls_last=True) for name in _ORDERS.get(sort, (sort,)) if name]
    return [
        _row_of_sums(names.get(row["cron"], row["cron"]), row)
        for row in found.order_by(*order, "cron")[part]
    ]


_ORDERS = {
    "worst": ("failed_all", "missed", "skipped"),
    "failed": ("failed_all",),
    "max": ("duration_max_us",),
    "name": (),
}


def days_of_sums(since: date, until: date | None) -> list[Row]:
    """All crons together, day by day."""
    sums = days_between(since, until, None).order_by("day").values("day").annotate(**_SUMS)
    return [_row_of_sums(row["day"], row) for row in sums]


def total_of(rows: Sequence[Row]) -> Row:
    """Of rows that were added up; they have no percentiles."""

    def highest(values: Iterable[float | None]) -> float | None:
        return max((value for value in values if value is not None), default=None)

    return Row(
        group="",
        **{name: sum(getattr(row, name) for row in rows) for name in _ADDED},
        p95=None,
        max=highest(row.max for row in rows),
        late_max=highest(row.late_max for row in rows),
        wait_max=highest(row.wait_max for row in rows),
    )


_ADDED = (
    "fired", "skipped", "missed", "requested", "succeeded", "failed", "other", "attempts_failed",
    "measured", "busy",
)  # fmt: skip


def _row_of_sums(group: str | date, sums: Mapping[str, Any]) -> Row:
    count = {name: sums[name] or 0 for name in _COUNTS}
    return Row(
        group=group,
        fired=count["fired"],
        skipped=count["skipped"],
        missed=count["missed"],
        requested=count["requested"],
        succeeded=count["succeeded"],
        failed=count["failed"] + count["lost"],
        other=count["stopped"] + count["cancelled"] + count["declined"],
        attempts_failed=count["attempts_failed"],
        measured=count["duration_count"],
        busy=count["duration_sum_us"] / 1_000_000,
        p95=None,
        max=_seconds(sums["duration_max_us"]),
        late_max=_seconds(sums["lateness_max_us"]),
        wait_max=_seconds(sums["queue_wait_max_us"]),
    )


def in_order(rows: Iterable[Row], sort: str) -> list[Row]:
    """By one of ``SORTS``, the worst or the most first; groups in their own order."""
    ordered = sorted(rows, key=lambda row: row.group)
    if sort == "worst":
        ordered.sort(key=lambda row: (row.failed, row.missed, row.skipped), reverse=True)
    elif sort != "name":
        ordered.sort(key=lambda row: getattr(row, sort) or 0, reverse=True)
    return ordered


def _seconds(value_us: float | None) -> float | None:
    return None if value_us is None else value_us / 1_000_000
