"""How crons did over a range of time, as typed objects.

>>> from datetime import date
>>> from rqcron_projections.report import report
>>> for row in report(date(2026, 3, 1), date(2026, 4, 1), by="cron").rows:
...     print(row.group, row.success_rate, row.duration.p95_seconds)  # doctest: +SKIP
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, get_args
from uuid import UUID

from django.utils import timezone

from rqcron_events import clock
from rqcron_events.core.schedule import local_time, zone_or_utc
from rqcron_events.core.wording import empty_range_text
from rqcron_events.core.words.error_shape import message_shape
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.ledger.lookup import archived_until, stored_name

from ..retention.kept import runs_kept_from
from .figures import Durations, ErrorTally, Figures, Tally
from .from_days import days_between, tally_days
from .from_runs import tally_runs
from .names import present_names
from .tallies import By, Tallies
from .words import messages_of_runs

__all__ = ["By", "ErrorGroup", "FlakyCron", "Report", "SlowCron", "report"]

DAYS_BY_DEFAULT = 7
HOURLY_RANGE_MAX = timedelta(days=31)
"""Of a report by hour: 744 rows."""
CRONS_LISTED_MAX = 5
"""Slowest and flakiest ones; also the crons that an error names."""
ERRORS_LISTED_MAX = 10
DAY = timedelta(days=1)
_FIRST_DAY, _LAST_DAY = date.min + DAY, date.max - 2 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowCron:
    """A cron whose runs take long."""

    cron: str
    runs: int
    duration_p50_seconds: float | None
    duration_p95_seconds: float | None
    duration_max_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlakyCron:
    """A cron that goes back and forth between success and failure, or needs retries to succeed."""

    cron: str
    changes: int
    """How often it turned failing after a success, or recovered. A failure without a success before
    it in the range is no change; from whole days it counts as one if the cron succeeded at all.
    """
    attempts_failed: int
    failed: int
    """Lost runs included."""
    success_rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """Failed and lost runs whose errors are of one type and shape."""

    type: str
    """The exception's class, or the reason of a run that ended without one."""
    message_shape: str
    """The message with ``<number>``, ``<text>``, ``<hex>`` and ``<uuid>`` in place of values."""
    count: int
    crons: Mapping[str, int]
    """Those with most of them."""
    run_id: UUID
    """The last one: ``cron_explain --run`` shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How crons did. ``to_data`` is the JSON of ``cron_report --format json``."""

    since: date | datetime
    """A date: the days are each cron's own, in its zone."""
    until: date | datetime
    """Not included."""
    by: By
    exact: bool
    """From single runs and decisions, and none is missing. From whole days, counts, sums and extremes are
    exact too, and percentiles are within ``histogram.RELATIVE_ERROR``, 1.6 %."""
    rows: tuple[Figures, ...]
    """In the order of their groups."""
    totals: Figures
    slowest: tuple[SlowCron, ...]
    """By the 95th percentile of the duration."""
    flakiest: tuple[FlakyCron, ...]
    errors: tuple[ErrorGroup, ...]
    """The most frequent first."""
    runs_kept_from: datetime | None = None
    """From single runs: ended ones that were asked for before are not counted, their rows are removed."""
    decisions_archived_until: datetime | None = None
    """From single runs: slots up to then that were skipped or missed are not counted, their decisions are
    archived."""

    @property
    def from_runs(self) -> bool:
        """Otherwise from whole days."""
        lacks = (self.runs_kept_from, self.decisions_archived_until)
        return self.exact or any(at is not None for at in lacks)

    def to_data(self) -> dict[str, Any]:
        return {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "by": self.by,
            "exact": self.exact,
            "rows": [{self.by: _plain(row.group), **row.to_data()} for row in self.rows],
            "totals": self.totals.to_data(),
            "slowest": [asdict(item) for item in self.slowest],
            "flakiest": [asdict(item) for item in self.flakiest],
            "errors": [{**asdict(item), "run_id": str(item.run_id)} for item in self.errors],
            "runs_kept_from": _iso(self.runs_kept_from),
            "decisions_archived_until": _iso(self.decisions_archived_until),
        }


def report(
    since: date | datetime | None = None,
    until: date | datetime | None = None,
    *,
    by: By = "cron",
    cron: str | None = None,
) -> Report:
    """What happened from ``since`` (default: seven days before today) to before ``until`` (now).

    Dates mean whole days, each cron's in its own zone; aware datetimes are instants. Whole days
    are read from ``CronDay``, everything else, and ``by="hour"`` or ``"queue"``, from single runs.
    ``cron`` names the only one to report. Call ``projector.catch_up()`` first when no runner is
    alive to keep the projections current. Raises ValueError for a range that is empty, naive, or
    by hour and longer than 31 days.
    """
    if by not in get_args(By):
        raise ValueError(f"by={by!r} is unknown. Use one of {', '.join(get_args(By))}.")
    now = clock.now()
    cron = stored_name(cron) if cron is not None else None
    if since is None:
        since = timezone.localdate(now) - DAYS_BY_DEFAULT * DAY
    _check(since, until)
    shown_until = until if until is not None else now
    if isinstance(until, datetime) and until >= now:
        until = None
    days = None if by in ("hour", "queue") else _whole_days(since, until, cron)
    _check_range(_instant(since), _instant(shown_until), by)
    db = store.connection()
    with backend_of(db).in_one_session(db):  # there are cursors in it, for all the rows
        if days is not None:
            tallies = tally_days(days[0], days[1], by, cron)
        else:
            end = _instant(until) if until is not None else None
            tallies = tally_runs(_instant(since), end, by, cron)
    _name(tallies)
    kept_from, archived = (runs_kept_from(), archived_until()) if tallies.exact else (None, None)
    if kept_from is not None and kept_from <= _instant(since):
        kept_from = None  # it lacks none
    if archived is not None and archived < _instant(since):
        archived = None
    return replace(
        _report(tallies, since, shown_until),
        exact=tallies.exact and kept_from is None and archived is None,
        runs_kept_from=kept_from,
        decisions_archived_until=archived,
    )


def _name(tallies: Tallies) -> None:
    """By what crons are called now; rows have the stored names."""
    names = present_names()
    # Into new ones: what one cron is called now may be what another one is stored under.
    tallies.crons = {names.get(cron, cron): tally for cron, tally in tallies.crons.items()}
    for error in tallies.errors.values():
        crons = {names.get(cron, cron): count for cron, count in error.crons.items()}
        error.crons = Counter(crons)


def _check(since: date | datetime, until: date | datetime | None) -> None:
    for name, value in (("since", since), ("until", until)):
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError(
                f"{name}={value.isoformat()} has no time zone. Give an aware datetime."
            )


def _check_range(since: datetime, until: datetime, by: By) -> None:
    if since >= until:
        raise ValueError(empty_range_text(since, until))
    if by == "hour" and until - since > HOURLY_RANGE_MAX:
        raise ValueError(
            f"By hour, a report covers at most {HOURLY_RANGE_MAX.days} days, and this range has "
            f"{(until - since).days}. Give a later since, or use by day."
        )


def _instant(value: date | datetime) -> datetime:
    """A date begins at midnight in Django's current time zone."""
    if isinstance(value, datetime):
        return value
    return datetime.combine(value, time(), timezone.get_current_timezone())


def _whole_days(
    since: date | datetime, until: date | datetime | None, cron: str | None
) -> tuple[date, date | None] | None:
    """The same range in days, or None when it begins or ends within some cron's day."""
    first = _as_day(since, cron)
    last = _as_day(until, cron) if until is not None else None
    if first is None or (until is not None and last is None):
        return None
    return first, last


def _as_day(value: date | datetime, cron: str | None) -> date | None:
    if not isinstance(value, datetime):
        return value
    day = min(max(value.date(), _FIRST_DAY), _LAST_DAY)
    near = days_between(day - DAY, day + 2 * DAY, cron)
    zones = set(near.order_by().values_list("timezone", flat=True).distinct())
    if not zones:
        zones = {timezone.get_current_timezone_name()}
    wall = {local_time(value, zone_or_utc(name)).replace(tzinfo=None) for name in zones}
    if len(wall) == 1 and (only := wall.pop()).time() == time():
        return only.date()
    return None


def _report(tallies: Tallies, since: date | datetime, until: date | datetime) -> Report:
    totals = Tally(exact=tallies.exact)
    for tally in tallies.crons.values():
        totals.merge(tally)
    groups: Mapping[Any, Tally] = tallies.crons if tallies.by == "cron" else tallies.groups
    rows = tuple(groups[group].figures(group) for group in sorted(groups))
    durations = (
        {str(row.group): row.duration for row in rows}
        if tallies.by == "cron"
        else {name: t.spreads["duration"].durations() for name, t in tallies.crons.items()}
    )
    return Report(
        since=since,
        until=until,
        by=tallies.by,
        exact=tallies.exact,
        rows=rows,
        totals=totals.figures(""),
        slowest=_slowest(durations),
        flakiest=_flakiest(tallies.crons),
        errors=_errors(tallies.errors),
    )


def _slowest(crons: Mapping[str, Durations]) -> tuple[SlowCron, ...]:
    found = []
    for name, durations in crons.items():
        if durations.count:
            found.append(
                SlowCron(
                    cron=name,
                    runs=durations.count,
                    duration_p50_seconds=durations.p50_seconds,
                    duration_p95_seconds=durations.p95_seconds,
                    duration_max_seconds=durations.max_seconds,
                )
            )
    found.sort(key=lambda item: (-(item.duration_p95_seconds or 0), item.cron))
    return tuple(found[:CRONS_LISTED_MAX])


def _flakiest(crons: Mapping[str, Tally]) -> tuple[FlakyCron, ...]:
    found = [
        FlakyCron(
            cron=name,
            changes=tally.changes,
            attempts_failed=tally.attempts_failed,
            failed=tally.outcomes["failed"] + tally.outcomes["lost"],
            success_rate=tally.success_rate,
        )
        for name, tally in crons.items()
        if tally.changes or (tally.attempts_failed and tally.outcomes["succeeded"])
    ]
    found.sort(key=lambda item: (-item.changes, -item.attempts_failed, -item.failed, item.cron))
    return tuple(found[:CRONS_LISTED_MAX])


def _errors(errors: Mapping[str, ErrorTally]) -> tuple[ErrorGroup, ...]:
    """The most frequent ones; what their messages have in common is told by the last message of each."""
    listed = sorted(errors.items(), key=lambda item: (-item[1].count, item[0]))[:ERRORS_LISTED_MAX]
    messages = messages_of_runs([UUID(tally.run) for _, tally in listed])
    found = []
    for kind, tally in listed:
        error_type, _, shape = kind.partition("\n")
        run_id = UUID(tally.run)
        found.append(
            ErrorGroup(
                type=error_type if kind else "(other)",
                message_shape=message_shape(messages.get(run_id, "")) if shape else "",
                count=tally.count,
                crons=dict(tally.crons.most_common(CRONS_LISTED_MAX)),
                run_id=run_id,
            )
        )
    return tuple(found)


def _plain(group: str | date | datetime) -> str:
    return group if isinstance(group, str) else group.isoformat()


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
