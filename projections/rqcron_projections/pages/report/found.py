"""What the page shows: the report of a range, in bounded time however many crons there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from django.utils import timezone

from rqcron_events.core.wording import duration
from rqcron_events.ledger import store

from ...models import CronRun
from ...report.from_days import days_between
from ...report.names import present_names
from ...report.report import ErrorGroup, FlakyCron, Report, report
from ..drawing.bars import Bars, bars
from .asked import ROWS_PER_PAGE, Asked
from .downtime import Outage, outages
from .rows import Row, crons_of_sums, days_of_sums, in_order, row_of_figures, total_of
from .slower import Slower, slower_crons

__all__ = ["Found", "TooMuch", "find", "first_instant", "whole_report"]

CRON_DAYS_MAX = 5_000
"""From so many on, days are added up by the database, which cannot tell percentiles."""
RUNS_MAX = 100_000
"""Of a range that begins or ends within a day: each run is looked at."""
DAYS_DRAWN_MAX = 400


class TooMuch(ValueError):
    """More than a page can show in time; the message says what to ask for instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    totals: Row
    rows: Sequence[Row]
    """Of the page that was asked for."""
    more: bool
    """There is another page behind it."""
    days: Sequence[Row] = ()
    plots: Sequence[Bars] = ()
    exact: bool = False
    from_runs: bool = False
    decisions_archived_until: datetime | None = None
    """See ``Report``."""
    summed: bool = False
    """Without percentiles, flakiest and errors."""
    slower: Sequence[Slower] = ()
    flakiest: Sequence[FlakyCron] = ()
    errors: Sequence[ErrorGroup] = ()
    outages: Sequence[Outage] = ()


def find(asked: Asked, now: datetime, *, messages: bool) -> Found:
    """Raises TooMuch, and ValueError as ``report`` does. ``messages``: see ``whole_report``."""
    days = asked.whole_days
    since, until = first_instant(asked.since), first_instant(asked.until) if asked.until else now
    lost, names = outages(since, until), present_names()
    if days is None or asked.by not in ("cron", "day"):
        _check_runs(since, until)
        found = whole_report(asked, messages=messages)
        return _of_report(found, asked, by_day=None, slower=(), lost=lost)
    first, last = days[0], days[1] or timezone.localdate(now) + timedelta(days=1)
    slower = [
        replace(item, cron=names.get(item.cron, item.cron))
        for item in slower_crons(first, last, asked.cron)
    ]
    if not asked.cron and _is_much(first, days[1]):
        by_day = days_of_sums(first, days[1])
        if asked.by == "cron":
            rows = crons_of_sums(first, days[1], asked.sort, asked.part, names)
        else:
            rows = in_order(by_day, asked.sort)[asked.part]
        return Found(
            totals=total_of(by_day),
            rows=rows[:ROWS_PER_PAGE],
            more=len(rows) > ROWS_PER_PAGE,
            days=by_day,
            plots=_plots(by_day),
            summed=True,
            slower=slower,
            outages=lost,
        )
    found = whole_report(asked, messages=messages)
    by_day_report = found if asked.by == "day" else report(*days, by="day", cron=asked.cron or None)
    return _of_report(found, asked, by_day=by_day_report, slower=slower, lost=lost)


def whole_report(asked: Asked, *, messages: bool) -> Report:
    """As ``cron_report`` gives it; with what errors said only where the viewer may read that."""
    found = report(asked.since, asked.until, by=asked.by, cron=asked.cron or None)
    if messages:
        return found
    return replace(found, errors=tuple(replace(error, message_shape="") for error in found.errors))


def _of_report(
    found: Report,
    asked: Asked,
    *,
    by_day: Report | None,
    slower: Sequence[Slower],
    lost: Sequence[Outage],
) -> Found:
    days = [row_of_figures(row) for row in by_day.rows] if by_day is not None else []
    rows = in_order([row_of_figures(row) for row in found.rows], asked.sort)[asked.part]
    return Found(
        totals=row_of_figures(found.totals),
        rows=rows[:ROWS_PER_PAGE],
        more=len(rows) > ROWS_PER_PAGE,
        days=days,
        plots=_plots(days),
        exact=found.exact,
        from_runs=found.from_runs,
        decisions_archived_until=found.decisions_archived_until,
        slower=slower,
        flakiest=found.flakiest,
        errors=found.errors,
        outages=lost,
    )


def _plots(days: Sequence[Row]) -> list[Bars]:
    """Figures that matter, day by day; each has a scale of its own."""
    if len(days) < 2 or len(days) > DAYS_DRAWN_MAX:
        return []
    labels = [str(row.group) for row in days]
    slow = [row.p95 if row.p95 is not None else row.mean for row in days]
    which = "p95" if any(row.p95 is not None for row in days) else "mean"
    drawn = [
        bars("Runs that succeeded", "on_time", labels, [row.succeeded for row in days]),
        bars("Runs that failed or were lost", "failed", labels, [row.failed for row in days]),
        bars("Slots missed", "missed", labels, [row.missed for row in days]),
        bars("Slots skipped", "skipped", labels, [row.skipped for row in days]),
        bars(f"Duration of runs, {which}", "running", labels, slow, duration),
        bars("Latest decision", "late", labels, [row.late_max for row in days], duration),
    ]
    return [plot for plot in drawn if plot is not None]


def _is_much(since: date, until: date | None) -> bool:
    some = days_between(since, until, None).order_by().values("key")[: CRON_DAYS_MAX + 1]
    return some.count() > CRON_DAYS_MAX


def _check_runs(since: datetime, until: datetime) -> None:
    runs = CronRun.objects.using(store.connection().alias)
    some = runs.filter(requested_at__gte=since, requested_at__lt=until).order_by()
    if some.values("run_id")[: RUNS_MAX + 1].count() > RUNS_MAX:
        raise TooMuch(
            f"There are more than {RUNS_MAX:,} runs in this range, and only whole days can be added "
            "up so far. Give dates without times, a shorter range, or group by cron or by day. "
            "The command cron_report has no such bound."
        )


def first_instant(value: date | datetime) -> datetime:
    if isinstance(value, datetime):
        return value
    return datetime.combine(value, time(), timezone.get_default_timezone())
