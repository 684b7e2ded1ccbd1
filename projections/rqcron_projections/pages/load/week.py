"""Seven days, hour by hour, as a table: how much each hour has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from rqcron_events.core.schedule import EPOCH

from .amounts import Amounts
from .due import QUARTER

__all__ = ["DAYS", "LEVELS", "Cell", "Day", "highest", "week"]

DAYS = 7
DAY = timedelta(days=1)
LEVELS = 4
"""Shades, besides none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One hour of a day, in the zone of the table."""

    begin: datetime
    """Its first instant."""
    runs: int
    seconds: float
    """That workers are busy."""
    level: int
    """0 to ``LEVELS``: the shade."""
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
    most: float,
    url: Callable[[datetime], str],
) -> list[Day]:
    """From ``begin`` to before ``end``. ``show``: by what the shades are, ``runs`` or ``work``;
    ``most``: what the darkest one stands for. An hour that clocks show twice is one cell."""
    hours: dict[tuple[date, int], list[int]] = {}
    at = begin
    while at < end:
        local = at.astimezone(zone)
        hours.setdefault((local.date(), local.hour), []).append((at - EPOCH) // QUARTER)
        at += QUARTER
    days = sorted({day for day, _hour in hours})
    return [
        Day(
            day=day,
            cells=tuple(
                _cell(amounts, hours[day, hour], now, show, most, url)
                if (day, hour) in hours
                else None
                for hour in range(24)
            ),
        )
        for day in days
    ]


def highest(weeks: Sequence[Amounts], show: str) -> float:
    """The most that any hour of UTC has."""
    sums: list[float] = [0.0]
    for amounts in weeks:
        by_quarter: Mapping[int, float] = amounts.seconds if show == "work" else amounts.runs
        by_hour: dict[int, float] = {}
        for number, amount in by_quarter.items():
            by_hour[number // 4] = by_hour.get(number // 4, 0) + amount
        sums += by_hour.values()
    return max(sums)


def _cell(
    amounts: Amounts,
    quarters: Sequence[int],
    now: datetime,
    show: str,
    most: float,
    url: Callable[[datetime], str],
) -> Cell:
    runs = sum(amounts.runs.get(number, 0) for number in quarters)
    seconds = sum(amounts.seconds.get(number, 0.0) for number in quarters)
    shown = seconds if show == "work" else runs
    begin = EPOCH + quarters[0] * QUARTER
    return Cell(
        begin=begin,
        runs=runs,
        seconds=seconds,
        level=min(LEVELS, 1 + int(shown / most * LEVELS)) if shown and most else 0,
        is_now=begin <= now < EPOCH + (quarters[-1] + 1) * QUARTER,
        url=url(begin),
    )


def midnight(day: date, zone: tzinfo) -> datetime:
    """Its beginning, as an instant."""
    return datetime.combine(day, time(), zone).astimezone(UTC)
