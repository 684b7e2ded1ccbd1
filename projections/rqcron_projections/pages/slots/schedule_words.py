"""A schedule in words: ``at 09:00, Monday to Friday``. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rqcron_events.core.definition import Definition
from rqcron_events.core.schedule import CronSchedule

__all__ = ["schedule_in_words"]

TIMES_MAX = 6
"""Times of day that are listed one by one."""
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_NTH = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last"}
_UNITS = (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def schedule_in_words(definition: Definition) -> str:
    """Without its zone. Empty where the definition cannot be read.

    >>> schedule_in_words(Definition(name="digest", function="", expression="0 9 * * 1-5"))
    'at 09:00, Monday to Friday'
    """
    if definition.every_seconds is not None:
        offset = definition.offset_seconds
        after = f", {_period(offset, 'plus ')} after the full period" if offset else ""
        return f"{_period(definition.every_seconds, 'every ')}{after}"
    try:
        schedule = definition.schedule
    except ValueError:
        return ""
    if not isinstance(schedule, CronSchedule):
        return ""
    times, days, months = _times(schedule), _days(schedule), _months(schedule)
    if times.startswith("at ") and times[3].isdigit() and not days:
        times = f"every day {times}"
    return ", ".join(filter(None, [times, days, months]))


def _period(seconds: int, prefix: str) -> str:
    for unit, size in _UNITS:
        if seconds % size == 0:
            count = seconds // size
            if prefix == "every " and count == 1:
                return f"every {unit}"
            return f"{prefix if prefix == 'every ' else ''}{count} {unit}{'s' * (count != 1)}"
    return ""


def _times(schedule: CronSchedule) -> str:
    seconds = _seconds(schedule)
    minutes, hours = schedule.minutes, schedule.hours
    if len(hours) == 24:
        found = _every(minutes, 60, "minute")
        if found is None:
            of = ", ".join(f"{minute:02}" for minute in minutes)
            found = f"every hour at minute{'s' * (len(minutes) > 1)} {of}"
        return _joined(seconds, found)
    if len(minutes) * len(hours) <= TIMES_MAX:
        second, seconds = _only_second(schedule, seconds)
        times = [f"{hour:02}:{minute:02}{second}" for hour in hours for minute in minutes]
        return _joined(seconds, f"at {_listed(times)}")
    every = _every(minutes, 60, "minute")
    if every is not None:
        return _joined(
            seconds, f"{every} of the hours {_spans([f'{hour:02}' for hour in hours], hours)}"
        )
    stepped = _every(hours, 24, "hour")
    at = ", ".join(f"{minute:02}" for minute in minutes)
    which = stepped or f"in the hours {_spans([f'{hour:02}' for hour in hours], hours)}"
    return _joined(seconds, f"{which} at minute{'s' * (len(minutes) > 1)} {at}")


def _seconds(schedule: CronSchedule) -> str:
    if tuple(schedule.seconds) == (0,):
        return ""
    every = _every(schedule.seconds, 60, "second")
    return every or f"at second{'s' * (len(schedule.seconds) > 1)} " + ", ".join(
        map(str, schedule.seconds)
    )


def _only_second(schedule: CronSchedule, seconds: str) -> tuple[str, str]:
    """The one second as a part of a time of day, and what is left to say of seconds."""
    if len(schedule.seconds) == 1 and seconds:
        return f":{schedule.seconds[0]:02}", ""
    return "", seconds


def _joined(seconds: str, rest: str) -> str:
    if not seconds:
        return rest
    if rest == "every minute" and seconds.startswith("every"):
        return seconds
    return f"{seconds} of {rest.removeprefix('at ')}"


def _every(values: Sequence[int], size: int, unit: str) -> str | None:
    """Where the values are evenly spread over the whole, from zero."""
    if len(values) < 2 or values[0] != 0:
        return None
    step = values[1] - values[0]
    if size % step or tuple(values) != tuple(range(0, size, step)):
        return None
    return f"every {unit}" if step == 1 else f"every {step} {unit}s"


def _days(schedule: CronSchedule) -> str:
    of_month, of_week = _days_of_month(schedule), _days_of_week(schedule)
    if of_month and of_week:
        both = " if it is also " if schedule.days_and_weekdays else " or "
        return f"{of_month}{both}{of_week.removeprefix('on ')}"
    return of_month or of_week


def _days_of_month(schedule: CronSchedule) -> str:
    found: list[str] = []
    if schedule.days and len(schedule.days) < 31:
        days = sorted(schedule.days)
        found.append(f"on day{'s' * (len(days) > 1)} {_spans(list(map(str, days)), days)}")
    if schedule.last_day:
        found.append("on the last day")
    found += [f"on the weekday nearest to day {day}" for day in sorted(schedule.nearest_weekdays)]
    return f"{' and '.join(found)} of the month" if found else ""


def _days_of_week(schedule: CronSchedule) -> str:
    found: list[str] = []
    if schedule.weekdays and len(schedule.weekdays) < 7:
        # Monday first, as weeks are read.
        days = sorted((day - 1) % 7 for day in schedule.weekdays)
        found.append(_spans([_DAYS[day] for day in days], days))
    found += [
        f"the {_NTH.get(nth, str(nth))} {_DAYS[(day - 1) % 7]} of the month"
        for day, nth in sorted(schedule.nth_weekdays)
    ]
    return " and ".join(found)


def _months(schedule: CronSchedule) -> str:
    if len(schedule.months) == 12:
        return ""
    months = sorted(schedule.months)
    return f"in {_spans([_MONTHS[month - 1] for month in months], months)}"


def _spans(words: Sequence[str], values: Sequence[int]) -> str:
    """Three or more in a row as ``from to to``."""
    found: list[str] = []
    start = 0
    for place in range(1, len(values) + 1):
        if place < len(values) and values[place] == values[place - 1] + 1:
            continue
        if place - start > 2:
            found.append(f"{words[start]} to {words[place - 1]}")
        else:
            found += words[start:place]
        start = place
    return _listed(found)


def _listed(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
