"""How many slots there are, in all or on each calendar day: by arithmetic, not by walking over them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TypeGuard

from .cron import CronSchedule
from .every import EverySchedule
from .schedule import EPOCH, Schedule, slots_between

__all__ = ["count_slots", "newest_slots", "slots_by_day"]

DAY = timedelta(days=1)
HALF_DAY = DAY / 2
"""No zone changes its offset there and back within it."""
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)
MARGIN = timedelta(hours=3)
"""A change of the zone this near to a day may move its slots or its midnight."""
DAYS_MAX = 40_000
"""A century; no range of slots that one decision covers is longer."""


def count_slots(schedule: Schedule, after: datetime, until: datetime) -> int:
    """The number of slots with ``after < slot <= until``: a step or two for each day at most."""
    if isinstance(schedule, EverySchedule):
        begin = EPOCH + schedule.offset
        return max((until - begin) // schedule.period - (after - begin) // schedule.period, 0)
    if isinstance(schedule, CronSchedule) and not schedule.times_of_day:
        return _count_real_time(schedule, after, until)
    zone = schedule.zone if isinstance(schedule, CronSchedule) else UTC
    return sum(slots_by_day(schedule, zone, after + MICROSECOND, until).values())


def newest_slots(
    schedule: Schedule, after: datetime, until: datetime, count: int
) -> list[datetime]:
    """The last ``count`` slots with ``after < slot <= until``, or all if there are fewer; oldest
    first."""
    newest = schedule.prev_until(until)
    if count == 1 or newest is None or newest <= after:
        return [newest] if newest is not None and newest > after else []
    enough, too_late = after, newest  # behind the first lie enough slots, behind the other too few
    window = MINUTE
    while newest - window > after:
        if count_slots(schedule, newest - window, newest) >= count:
            enough = newest - window
            break
        too_late = newest - window
        window *= 2
    slots = count_slots(schedule, enough, newest)
    while slots > 2 * count and too_late - enough > SECOND:
        middle = enough + (too_late - enough) / 2
        found = count_slots(schedule, middle, newest)
        if found >= count:
            enough, slots = middle, found
        else:
            too_late = middle
    return list(slots_between(schedule, enough, newest, slots))[-count:]


def _count_real_time(schedule: CronSchedule, after: datetime, until: datetime) -> int:
    """Each instant whose wall time matches is a slot, so where the zone's offset stays the same the
    wall times are counted."""
    counted = 0
    low, end = (at.astimezone(UTC).replace(microsecond=0) for at in (after, until))
    while low < end:  # the slots up to ``low`` are counted
        offset = schedule.offset_at(low + SECOND)
        high = low
        while high < end:
            following = min(high + HALF_DAY, end)
            if schedule.offset_at(following) != offset:
                high = schedule.change_between(max(high, low + SECOND), following, offset) - SECOND
                break
            high = following
        counted += _walls(schedule, _wall(low, offset), _wall(high, offset))
        low = high
    return counted


def _wall(instant: datetime, offset: timedelta) -> datetime:
    return instant.replace(tzinfo=None) + offset


def _walls(schedule: CronSchedule, after: datetime, until: datetime) -> int:
    """How many matching wall times are later than the first and not later than the second."""
    first, last = after.date(), until.date()
    whole = len(schedule.hours) * len(schedule.minutes) * len(schedule.seconds)
    counted, day = 0, first
    while day < last:
        counted += whole * schedule.matches_day(day)
        day += DAY
    if schedule.matches_day(last):
        counted += _times_until(schedule, until.time())
    if schedule.matches_day(first):
        counted -= _times_until(schedule, after.time())
    return counted


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
