"""How many slots fall on each calendar day: by arithmetic, not by walking over every slot."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TypeGuard

from .cron import CronSchedule
from .every import EverySchedule
from .schedule import EPOCH, Schedule

__all__ = ["count_slots", "slots_by_day"]

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
MARGIN = timedelta(hours=3)
"""A change of the zone this near to a day may move its slots or its midnight."""
DAYS_MAX = 40_000
"""A century; no range of slots that one decision covers is longer."""


def count_slots(schedule: Schedule, after: datetime, until: datetime) -> int:
    """The number of slots with ``after < slot <= until``: a step for each day at most."""
    if isinstance(schedule, EverySchedule):
        begin = EPOCH + schedule.offset
        return max((until - begin) // schedule.period - (after - begin) // schedule.period, 0)
    zone = schedule.zone if isinstance(schedule, CronSchedule) else UTC
    return sum(slots_by_day(schedule, zone, after + MICROSECOND, until).values())


def slots_by_day(
    schedule: Schedule, zone: tzinfo, first: datetime, last: datetime
) -> dict[date, int]:
    """The number of slots with ``first <= slot <= last`` on each day of ``zone``, in order.

    Days without a slot are left out. A day costs one step, whatever its slots; each slot is looked
    at only around a change of the zone's offset, or when the schedule is in another zone.
    """
    counts: dict[date, int] = {}
    cursor = schedule.next_after(first - MICROSECOND)
    for _ in range(DAYS_MAX):
        if cursor is None or cursor > last:
            break
        day = cursor.astimezone(zone).date()
        midnight, following = _midnight(day, zone), _midnight(day + DAY, zone)
        if _is_counted(schedule, zone) and _is_plain(midnight, following, zone):
            end = min(last, following - MICROSECOND)
            counts[day] = counts.get(day, 0) + _count(schedule, cursor, end)
            cursor = schedule.next_after(end)
            continue
        end = min(last, following + MARGIN)
        while cursor is not None and cursor <= end:
            day = cursor.astimezone(zone).date()
            counts[day] = counts.get(day, 0) + 1
            cursor = schedule.next_after(cursor)
    return counts


def _is_counted(schedule: Schedule, zone: tzinfo) -> TypeGuard[CronSchedule | EverySchedule]:
    """Times of day can be counted only on days of their own zone."""
    if isinstance(schedule, CronSchedule):
        return schedule.zone is zone
    return isinstance(schedule, EverySchedule)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _is_plain(midnight: datetime, following: datetime, zone: tzinfo) -> bool:
    """Whether nothing happens to the zone's offset during this day, nor near its ends."""
    offset = midnight.astimezone(zone).utcoffset()
    return all(
        instant.astimezone(zone).utcoffset() == offset
        for instant in (midnight - MARGIN, midnight + DAY / 2, following + MARGIN)
    )


def _count(schedule: CronSchedule | EverySchedule, first: datetime, last: datetime) -> int:
    """Slots from ``first``, which is one, to ``last``, on one plain day."""
    if isinstance(schedule, EverySchedule):
        begin = EPOCH + schedule.offset
        return (last - begin) // schedule.period - (first - MICROSECOND - begin) // schedule.period
    start, end = first.astimezone(schedule.zone), last.astimezone(schedule.zone)
    return _times_until(schedule, end.time()) - _times_until(schedule, start.time()) + 1


def _times_until(schedule: CronSchedule, at: time) -> int:
    """How many of the expression's times of day are not later than ``at``."""
    minutes, seconds = len(schedule.minutes), len(schedule.seconds)
    hour = bisect_left(schedule.hours, at.hour)
    count = hour * minutes * seconds
    if hour == len(schedule.hours) or schedule.hours[hour] != at.hour:
        return count
    minute = bisect_left(schedule.minutes, at.minute)
    count += minute * seconds
    if minute == len(schedule.minutes) or schedule.minutes[minute] != at.minute:
        return count
    return count + bisect_right(schedule.seconds, at.second)
