"""The walk over the instants at which a cron expression is due.

Ours, because croniter 7 fires a fixed time twice when clocks go back and reads ``19-19`` as "every
hour"; ``parse`` has croniter read the text.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from .zone import first_instant

__all__ = ["YEARS_SEARCHED_MAX", "CronSchedule"]

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
YEARS_SEARCHED_MAX = 50
"""A schedule with no slot in this many years is treated as having none (29 February on a Monday
comes every 28 years, 40 around a skipped leap year)."""
SLOTS_KEPT_MAX = 20_000
"""Results of ``next_after``, about 300 bytes each."""


@dataclass(frozen=True, slots=True, eq=False)  # hashed by identity, which is cheap
class CronSchedule:
    """A cron expression in one time zone; build it with :func:`cron_schedule`.

    Debian's rule for clock changes: when neither the minute nor the hour begins with ``*`` the
    expression names times of day, so each runs once in a repeated hour (the first pass) and once
    right after a skipped one; all other expressions follow real time. Six-field expressions
    always follow real time, as in CronSim: Debian has no seconds field to copy.
    """

    expression: str
    zone: ZoneInfo
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday, as in crontab(5)."""
    last_day: bool
    """``L`` in the day of month."""
    nearest_weekdays: frozenset[int]
    """``15W``: the weekday nearest to the 15th."""
    nth_weekdays: frozenset[tuple[int, int]]
    """``MON#2`` is (1, 2); the last one of a month is (1, -1)."""
    days_and_weekdays: bool
    """Both day fields must match (one begins with ``*``); otherwise either is enough."""
    times_of_day: bool
    """Neither minute nor hour begins with ``*``: Debian's rule applies."""

    def next_after(self, instant: datetime) -> datetime | None:
        try:
            # In UTC, because both passes of a repeated hour are equal in their own zone.
            return _next_slot(self, instant.astimezone(UTC))
        except OverflowError:  # past the year 9999
            return None

    def search_after(self, instant: datetime) -> datetime | None:
        """What ``next_after`` returns, without its memory."""
        try:
            if self.times_of_day:
                return self._next_time_of_day(instant)
            return self._next_real_time(instant)
        except OverflowError:  # past the year 9999
            return None

    def walk(self, instant: datetime) -> Iterator[datetime]:
        """Every slot later than ``instant``, oldest first: a search for each local hour, not for
        each slot.
        """
        found = self.search_after(instant)
        while found is not None:
            yield found
            rest = self._rest_of_hour(found)
            yield from rest
            found = self.search_after(rest[-1] if rest else found)

    def _rest_of_hour(self, slot: datetime) -> list[datetime]:
        """The slots after this one in its local hour; none where clocks change in that hour, and
        for times of day, whose changes reach further.
        """
        if self.times_of_day:
            return []
        local = slot.astimezone(self.zone)
        start = slot - timedelta(minutes=local.minute, seconds=local.second)
        if not self.offset_at(start) == local.utcoffset() == self.offset_at(start + HOUR - SECOND):
            return []
        times = _times_in_hour(self.minutes, self.seconds)
        after = bisect_right(times, slot - start)
        return [start + at for at in times[after:]]

    def prev_until(self, instant: datetime) -> datetime | None:
        # Only search_after knows the rules. Look back over windows that double, then halve the one
        # that holds a slot: about sixty calls at worst, for any expression.
        span = MINUTE
        while True:
            try:
                start = instant - span
            except OverflowError:
                return None
            found = self.search_after(start)
            if found is not None and found <= instant:
                break
            if span > DAY * 366 * YEARS_SEARCHED_MAX:
                return None
            span *= 2
        low, high = found, instant  # the answer is in [low, high]
        while high - low >= SECOND:
            middle = low + (high - low) / 2
            following = self.search_after(middle)
            if following is not None and following <= instant:
                low = following
            else:
                high = middle
        return low

    def _next_real_time(self, instant: datetime) -> datetime | None:
        cursor = instant.astimezone(UTC).replace(microsecond=0) + SECOND
        while True:
            local = cursor.astimezone(self.zone)
            offset = local.utcoffset() or timedelta(0)
            wall = self.next_wall(local.replace(tzinfo=None, fold=0))
            if wall is None:
                return None
            found = (wall - offset).replace(tzinfo=UTC)
            if self.offset_at(found) == offset:
                return found
            # The zone's offset changes on the way there: search again from the first instant
            # after the change. No wall time that matches is shown before it.
            cursor = self.change_between(cursor, found, offset)

    def _next_time_of_day(self, instant: datetime) -> datetime | None:
        instant = instant.astimezone(UTC)
        # One minute early, because a skipped time is moved up to a minute past the change.
        local = (instant - MINUTE).astimezone(self.zone)
        start = local.replace(tzinfo=None, microsecond=0, fold=0) + SECOND
        while True:
            wall = self.next_wall(start)
            if wall is None:
                return None
            found = first_instant(wall, self.zone)
            if found > instant:
                return found
            start = wall + SECOND

    def offset_at(self, instant: datetime) -> timedelta:
        return instant.astimezone(self.zone).utcoffset() or timedelta(0)

    def change_between(self, low: datetime, high: datetime, offset: timedelta) -> datetime:
        """The first whole second in (low, high] where the offset is no longer ``offset``."""
        while high - low > SECOND:
            middle = (low + (high - low) / 2).replace(microsecond=0)
            if self.offset_at(middle) == offset:
                low = middle
            else:
                high = middle
        return high

    def next_wall(self, wall: datetime) -> datetime | None:
        """The first matching wall time at or after ``wall`` (both naive, whole seconds)."""
        day = wall.date()
        if self.matches_day(day):
            found = self._next_time(wall.time())
            if found is not None:
                return datetime.combine(day, found)
        following = self._next_day(day + DAY)
        if following is None:
            return None
        return datetime.combine(following, time(self.hours[0], self.minutes[0], self.seconds[0]))

    def _next_time(self, at: time) -> time | None:
        hours, minutes, seconds = self.hours, self.minutes, self.seconds
        hour = bisect_left(hours, at.hour)
        if hour == len(hours):
            return None
        if hours[hour] == at.hour:
            minute = bisect_left(minutes, at.minute)
            if minute < len(minutes) and minutes[minute] == at.minute:
                second = bisect_left(seconds, at.second)
                if second < len(seconds):
                    return time(at.hour, at.minute, seconds[second])
                minute += 1
            if minute < len(minutes):
                return time(at.hour, minutes[minute], seconds[0])
            hour += 1
            if hour == len(hours):
                return None
        return time(hours[hour], minutes[0], seconds[0])

    def _next_day(self, day: date) -> date | None:
        last_year = day.year + YEARS_SEARCHED_MAX
        while day.year <= last_year:
            if day.month not in self.months:
                day = (day.replace(day=1) + DAY * 32).replace(day=1)
            elif self.matches_day(day):
                return day
            else:
                day += DAY
        return None

    def matches_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        if self.days_and_weekdays:
            return self.matches_day_of_month(day) and self.matches_weekday(day)
        return self.matches_day_of_month(day) or self.matches_weekday(day)

    def matches_day_of_month(self, day: date) -> bool:
        if day.day in self.days:
            return True
        if self.last_day and (day + DAY).day == 1:
            return True
        return any(day == _nearest_weekday(day, wanted) for wanted in self.nearest_weekdays)

    def matches_weekday(self, day: date) -> bool:
        weekday = day.isoweekday() % 7
        if weekday in self.weekdays:
            return True
        if not self.nth_weekdays:
            return False
        is_last = (day + DAY * 7).month != day.month
        return (weekday, (day.day + 6) // 7) in self.nth_weekdays or (
            is_last and (weekday, -1) in self.nth_weekdays
        )


def _nearest_weekday(month: date, wanted: int) -> date | None:
    """The weekday nearest to that day, inside the month (Quartz's ``W``)."""
    try:
        day = month.replace(day=wanted)
    except ValueError:
        return None
    shift = {5: -1, 6: 1}.get(day.weekday(), 0)
    moved = day + DAY * shift
    return moved if moved.month == month.month else day - DAY * shift * 2


@lru_cache(maxsize=100)
def _times_in_hour(minutes: tuple[int, ...], seconds: tuple[int, ...]) -> list[timedelta]:
    return [timedelta(minutes=minute, seconds=second) for minute in minutes for second in seconds]


@lru_cache(maxsize=SLOTS_KEPT_MAX)
def _next_slot(schedule: CronSchedule, instant: datetime) -> datetime | None:
    """Deciding asks for each slot three times; crons of one schedule ask for the same ones."""
    return schedule.search_after(instant)
