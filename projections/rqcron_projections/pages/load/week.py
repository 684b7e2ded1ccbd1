"""Seven days, hour by hour, as a table: how much each hour has."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from statistics import median

from rqcron_events.core.schedule import EPOCH, local_time

from .amounts import Amounts
from .due import QUARTER

__all__ = ["DAYS", "LEVELS", "Cell", "Day", "midnight", "week"]

DAYS = 7
DAY = timedelta(days=1)
LEVELS = (0.5, 1.25, 1.9)
"""Where the next shade begins, in parts of the usual hour of the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One hour of a day, in the zone of the table."""

    begin: datetime
    """Its first instant."""
    runs: int
    seconds: float
    """That workers are busy."""
    level: int
    """The shade: 0 for nothing, 1 to 4."""
    is_now: bool
    url: str

    @property
    def workers(self) -> str:
        """How many workers that keeps busy; enough digits to see the first."""
        busy = self.seconds / 3600
        return f"{busy:.1f}" if busy >= 0.05 else ("<0.1" if busy else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    day: date
    cells: tuple[Cell | None, ...]
    """24; None is an hour that this day has not, or that lies outside of the seven days."""


def week(
    amounts: Amounts,
    begin: datetime,
    end: datetime,
    zone: tzinfo,
    now: datetime,
    show: str,
    url: Callable[[datetime], str],
) -> list[Day]:
    """From ``begin`` to before ``end``. ``show``: by what the shades are, ``runs`` or ``work``. An hour
    that clocks show twice is one cell."""
    hours: dict[tuple[date, int], list[int]] = {}
    at = begin
    while at < end:
        local = local_time(at, zone)
        hours.setdefault((local.date(), local.hour), []).append((at - EPOCH) // QUARTER)
        at += QUARTER
    by_quarter: Mapping[int, float] = amounts.seconds if show == "work" else amounts.runs
    shown = {
        place: sum(by_quarter.get(n, 0) for n in quarters) for place, quarters in hours.items()
    }
    usual = median(found) if (found := [amount for amount in shown.values() if amount]) else 1.0
    days = sorted({day for day, _hour in hours})
    return [
        Day(
            day=day,
            cells=tuple(
                _cell(amounts, hours[day, hour], now, shown[day, hour] / usual, url)
                if (day, hour) in hours
                else None
                for hour in range(24)
            ),
        )
        for day in days
    ]


def _cell(
    amounts: Amounts,
    quarters: Sequence[int],
    now: datetime,
    of_usual: float,
    url: Callable[[datetime], str],
) -> Cell:
    begin = EPOCH + quarters[0] * QUARTER
    return Cell(
        begin=begin,
        runs=sum(amounts.runs.get(number, 0) for number in quarters),
        seconds=sum(amounts.seconds.get(number, 0.0) for number in quarters),
        level=1 + bisect_right(LEVELS, of_usual) if of_usual else 0,
        is_now=begin <= now < EPOCH + (quarters[-1] + 1) * QUARTER,
        url=url(begin),
    )


def midnight(day: date, zone: tzinfo) -> datetime:
    """Its beginning, as an instant."""
    return datetime.combine(day, time(), zone).astimezone(UTC)
