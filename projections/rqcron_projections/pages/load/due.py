"""How many slots schedules have in each quarter of an hour, by arithmetic: a week of a cron that is due
each second is no slower than one of a cron that is due once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from rqcron_events.core.schedule import EPOCH, CronSchedule, EverySchedule, local_time
from rqcron_events.core.schedule.slot_count import count_slots

__all__ = ["QUARTER", "Quarters", "due_quarters", "quarter_of"]

QUARTER = timedelta(minutes=15)
"""Every zone of today differs from UTC by some of them."""
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
KEPT_MAX = 10_000
MARGIN = timedelta(hours=3)
"""A change of the offset this near to a day may move its slots."""

Quarters = Mapping[int, int]
"""The number of a quarter (from 1970, in UTC) to how many."""


def quarter_of(instant: datetime) -> int:
    return (instant - EPOCH) // QUARTER


@lru_cache(maxsize=KEPT_MAX)
def due_quarters(
    schedule: CronSchedule | EverySchedule, begin: datetime, end: datetime
) -> Quarters:
    """Of slots with ``begin <= slot < end``; both are the beginnings of quarters, in UTC."""
    if isinstance(schedule, CronSchedule):
        return _of_cron(schedule, begin, end)
    if schedule.period >= QUARTER:
        first = schedule.next_after(begin - SECOND)
        if first is None:
            return {}
        slots = -(-(end - first) // schedule.period)
        return Counter(quarter_of(first + number * schedule.period) for number in range(slots))
    return _counted(schedule, begin, end)


def _of_cron(schedule: CronSchedule, begin: datetime, end: datetime) -> Quarters:
    """Day by day; on one on which the zone's offset changes, or the next does, quarter by quarter."""
    found: Counter[int] = Counter()
    in_quarter = Counter(minute // 15 for minute in schedule.minutes)
    day = local_time(begin, schedule.zone).date()
    while (midnight := _midnight(schedule, day)) < end:
        following = _midnight(schedule, day + DAY)
        around = (midnight - MARGIN, midnight, following, following + MARGIN)
        if len({schedule.offset_at(instant) for instant in around}) > 1:
            found.update(_counted(schedule, max(midnight, begin), min(following, end)))
        elif schedule.matches_day(day):
            for hour in schedule.hours:
                for quarter, minutes in in_quarter.items():
                    at = midnight + timedelta(hours=hour) + quarter * QUARTER
                    if begin <= at < end:
                        found[quarter_of(at)] += minutes * len(schedule.seconds)
        day += DAY
    return found


def _midnight(schedule: CronSchedule, day: date) -> datetime:
    return datetime.combine(day, time(), schedule.zone).astimezone(UTC)


def _counted(schedule: CronSchedule | EverySchedule, begin: datetime, end: datetime) -> Quarters:
    found: Counter[int] = Counter()
    at = begin
    while at < end:
        # A slot at the beginning of a quarter belongs to it, so both ends are a second earlier.
        if count := count_slots(schedule, at - SECOND, min(at + QUARTER, end) - SECOND):
            found[quarter_of(at)] = count
        at += QUARTER
    return found
