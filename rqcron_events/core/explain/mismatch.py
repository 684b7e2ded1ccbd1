"""Which part of a schedule an instant does not match."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from ..definition import Definition
from ..schedule import EPOCH, CronSchedule, EverySchedule

__all__ = ["Mismatch", "mismatches"]


class Mismatch(NamedTuple):
    """One field that does not match."""

    field: str
    """minute, hour, day of month, month, day of week, second; or ``every``."""
    value: str
    """What the instant has there, in the cron's zone."""
    expected: str
    """What the expression wants there, as it is written."""

    def __str__(self) -> str:
        if self.field == "every":
            return f"it is {self.value}"
        return f"{self.field} {self.value} is not in {self.expected!r}"


def mismatches(definition: Definition, instant: datetime) -> list[Mismatch]:
    """The fields that do not match, the largest unit first; empty when all do, and where the zone's
    clocks show a year that no calendar has.

    >>> work = Definition(name="work", function="m:f", expression="0 9 * * 1-5")
    >>> [str(found) for found in mismatches(work, datetime(2026, 3, 7, 9, 30, tzinfo=EPOCH.tzinfo))]
    ["day of week Sat is not in '1-5'", "minute 30 is not in '0'"]
    """
    schedule = definition.schedule
    if isinstance(schedule, EverySchedule):
        rest = (instant - EPOCH - schedule.offset) % schedule.period
        if not rest:
            return []
        seconds = f"{rest.total_seconds():g} s"
        return [Mismatch("every", f"{seconds} after a slot", definition.schedule_text)]
    assert isinstance(schedule, CronSchedule)
    try:
        return list(_fields(schedule, instant))
    except OverflowError:
        return []


def _fields(schedule: CronSchedule, instant: datetime) -> Iterator[Mismatch]:
    texts = schedule.expression.split()
    aliased = len(texts) == 1
    if aliased:
        texts = [schedule.expression] * 5
    second, minute, hour, day_text, month, weekday = ["0", *texts] if len(texts) == 5 else texts
    local = instant.astimezone(schedule.zone)
    day = local.date()
    if local.month not in schedule.months:
        yield Mismatch("month", f"{local:%b}", month)
    elif not schedule.matches_day(day):
        by_day = Mismatch("day of month", str(day.day), day_text)
        by_weekday = Mismatch("day of week", f"{local:%a}", weekday)
        # When either is enough, both have failed.
        if not (schedule.days_and_weekdays and schedule.matches_day_of_month(day)):
            yield by_day
        if not (schedule.days_and_weekdays and schedule.matches_weekday(day)):
            yield by_weekday
    if local.hour not in schedule.hours:
        yield Mismatch("hour", str(local.hour), _resolved(hour, schedule.hours))
    if local.minute not in schedule.minutes:
        yield Mismatch("minute", str(local.minute), _resolved(minute, schedule.minutes))
    if local.second not in schedule.seconds or local.microsecond:
        value = f"{local.second + local.microsecond / 1_000_000:g}"
        yield Mismatch("second", value, _resolved(second, schedule.seconds))


def _resolved(text: str, numbers: tuple[int, ...]) -> str:
    """An ``H`` says nothing: show what it was hashed to."""
    if not text.upper().startswith("H"):
        return text
    return f"{text} = {','.join(map(str, numbers))}"
