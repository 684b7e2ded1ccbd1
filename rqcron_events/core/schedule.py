"""When a cron is due: cron expressions and fixed periods, as pure functions of an instant.

croniter parses (names, aliases, ``H``, ``L``, ``#``, ``W``); the walk over time is ours, because
croniter 7 fires a fixed time twice when clocks go back and reads ``19-19`` as "every hour".
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterError, croniter

__all__ = [
    "CronSchedule",
    "EverySchedule",
    "Schedule",
    "cron_schedule",
    "every_schedule",
    "slots_between",
    "zone_named",
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
YEARS_SEARCHED_MAX = 50
"""A schedule with no slot in this many years is treated as having none (29 February on a Monday
comes every 28 years, 40 around a skipped leap year)."""
MINUTES_SKIPPED_MAX = 2 * 24 * 60
"""The longest jump of a clock that is followed: zones that crossed the date line lost 24 hours."""
SCHEDULES_KEPT_MAX = 20_000
"""Parsing takes a hundred times longer than asking for the next slot; one kept takes about 2 kB."""
SLOTS_KEPT_MAX = 20_000
"""Results of ``next_after``, about 300 bytes each."""

_EQUAL_RANGE = re.compile(r"(?<![\w-])(\w+)-\1(?![\w-])")
_WEEKDAY_STEP = re.compile(r"([0-7])(?:-([0-7]))?/([1-9]\d*)")
_FIELD_NAMES = ("minute", "hour", "day of month", "month", "day of week", "second")
_ALIASES = frozenset(
    {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}
)


class Schedule(Protocol):
    """What the rest of the code asks of any schedule. All instants are aware; results are UTC."""

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot later than ``instant``, or None when there is none."""

    def prev_until(self, instant: datetime) -> datetime | None:
        """The last slot at or before ``instant``, or None when there is none."""


@dataclass(frozen=True, slots=True)
class EverySchedule:
    """A fixed period aligned to the Unix epoch, so that no restart ever shifts it.

    >>> EverySchedule(timedelta(minutes=15)).next_after(datetime(2026, 3, 1, 9, 7, tzinfo=UTC))
    datetime.datetime(2026, 3, 1, 9, 15, tzinfo=datetime.timezone.utc)
    """

    period: timedelta
    """Time between two slots, a whole number of seconds, at least one."""
    offset: timedelta = timedelta(0)
    """Shift from the epoch, shorter than the period."""

    def __post_init__(self) -> None:
        seconds = self.period.total_seconds()
        if seconds < 1 or seconds != int(seconds):
            raise ValueError(
                f"every={self.period} is invalid: it must be a whole number of seconds, at least one"
            )
        if not timedelta(0) <= self.offset < self.period or self.offset.microseconds:
            raise ValueError(
                f"offset={self.offset} is invalid: it must be whole seconds, from zero to less than "
                f"every={self.period}"
            )

    def next_after(self, instant: datetime) -> datetime | None:
        periods = (instant - EPOCH - self.offset) // self.period
        try:
            return EPOCH + self.offset + self.period * (periods + 1)
        except OverflowError:
            return None

    def prev_until(self, instant: datetime) -> datetime | None:
        return EPOCH + self.offset + self.period * ((instant - EPOCH - self.offset) // self.period)


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
            found = self._first_pass(wall)
            if found > instant:
                return found
            start = wall + SECOND

    def _first_pass(self, wall: datetime) -> datetime:
        """The first instant that shows this wall time, or else the first full minute after it."""
        for _ in range(MINUTES_SKIPPED_MAX):
            found = wall.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
            if found.astimezone(self.zone).replace(tzinfo=None, fold=0) == wall:
                return found
            wall += MINUTE
        raise OverflowError(f"no wall time near {wall} exists in {self.zone.key}")

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


def slots_between(
    schedule: Schedule, after: datetime, until: datetime, limit: int
) -> Iterator[datetime]:
    """At most ``limit`` slots with ``after < slot <= until``, oldest first."""
    cursor: datetime | None = after
    for _ in range(limit):
        assert cursor is not None
        cursor = schedule.next_after(cursor)
        if cursor is None or cursor > until:
            return
        yield cursor


@lru_cache(maxsize=SCHEDULES_KEPT_MAX)
def every_schedule(period_seconds: int, offset_seconds: int = 0) -> EverySchedule:
    """The fixed period; raises ValueError as EverySchedule does."""
    return EverySchedule(timedelta(seconds=period_seconds), timedelta(seconds=offset_seconds))


def cron_schedule(expression: str, zone_name: str, hash_id: str = "") -> CronSchedule:
    """Parse a cron expression.

    ``expression`` has five fields, six with seconds first, or is an alias such as ``@daily``.
    ``zone_name`` is an IANA name. ``hash_id`` feeds ``H`` (the cron's name). Raises ValueError
    with the problem, the value and the remedy.
    """
    # Without H the crons of one expression share one schedule, however many there are.
    return _parsed_schedule(expression, zone_name, hash_id if _is_hashed(expression) else "")


@lru_cache(maxsize=SCHEDULES_KEPT_MAX)
def _is_hashed(expression: str) -> bool:
    return any(re.match(r"H(\(|/|$)", field, re.IGNORECASE) for field in expression.split())


@lru_cache(maxsize=SCHEDULES_KEPT_MAX)
def _parsed_schedule(expression: str, zone_name: str, hash_id: str) -> CronSchedule:
    zone = zone_named(zone_name)
    text = " ".join(expression.split())
    fields = text.split()
    if text.startswith("@"):
        if text.lower() not in _ALIASES:
            raise ValueError(
                f"schedule {expression!r} is invalid: unknown alias; use one of "
                f"{', '.join(sorted(_ALIASES))} or five fields"
            )
    elif len(fields) not in (5, 6):
        raise ValueError(
            f"schedule {expression!r} is invalid: it has {len(fields)} "
            f"field{'s' * (len(fields) != 1)}; give five (minute hour day month weekday) "
            "or six with seconds first"
        )
    if any(re.match(r"R(\(|/|$)", field, re.IGNORECASE) for field in fields):
        raise ValueError(
            f"schedule {expression!r} is invalid: R picks at random at every start; use H, which "
            "is hashed from the cron's name"
        )
    # croniter reads an equal range such as 19-19 as the whole field; crontab(5) reads it as 19.
    # Nor does it let a weekday range run up to 7: 4/3 is Thursday and Sunday.
    *others, weekday = _EQUAL_RANGE.sub(r"\1", text).split(" ")
    parsed_text = " ".join([*others, ",".join(map(_weekday_term, weekday.split(",")))])
    try:
        parsed = croniter(
            parsed_text,
            EPOCH,
            hash_id=hash_id.encode() if _is_hashed(expression) else None,
            second_at_beginning=len(fields) == 6,
        )
    except (CroniterError, ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError(
            f"schedule {expression!r} is invalid: {_why_invalid(fields, error)}"
        ) from error
    schedule = _from_parsed(expression, zone, parsed, fields)
    if schedule.next_after(EPOCH) is None:
        raise ValueError(
            f"schedule {expression!r} is invalid: no date matches it in {YEARS_SEARCHED_MAX} "
            "years; check the day of month against the month"
        )
    return schedule


def _from_parsed(
    expression: str, zone: ZoneInfo, parsed: croniter, fields: list[str]
) -> CronSchedule:
    minute, hour, day, month, weekday, *rest = parsed.expanded
    texts = parsed.expressions
    nth = frozenset(
        (int(number) % 7, -1 if str(which) == "l" else int(which))
        for number, wanted in parsed.nth_weekday_of_month.items()
        for which in wanted
    )
    plain_weekdays = frozenset(int(value) % 7 for value in weekday if value not in ("*", "l"))
    nearest = frozenset(int(value) for value in getattr(parsed, "nearest_weekday", None) or ())
    wildcard_time = str(texts[0]).startswith("*") or str(texts[1]).startswith("*")
    wildcard_day = str(texts[2]).startswith(("*", "?")) or str(texts[4]).startswith(("*", "?"))
    return CronSchedule(
        expression=expression,
        zone=zone,
        seconds=_numbers(rest[0], 0, 59) if rest else (0,),
        minutes=_numbers(minute, 0, 59),
        hours=_numbers(hour, 0, 23),
        days=frozenset(_numbers([v for v in day if v != "l"], 1, 31)) - nearest,
        months=frozenset(_numbers(month, 1, 12)),
        weekdays=frozenset(range(7))
        if weekday == ["*"]
        else plain_weekdays - {number for number, _ in nth},
        last_day="l" in day,
        nearest_weekdays=nearest,
        nth_weekdays=nth,
        days_and_weekdays=wildcard_day,
        times_of_day=not wildcard_time and len(fields) != 6,
    )


def _weekday_term(term: str) -> str:
    stepped = _WEEKDAY_STEP.fullmatch(term)
    if not stepped:
        return term
    low, high, step = int(stepped[1]), int(stepped[2] or 7), int(stepped[3])
    return ",".join(str(day) for day in range(low, high + 1, step)) or term


def _numbers(values: Sequence[int | str], low: int, high: int) -> tuple[int, ...]:
    if values == ["*"]:
        return tuple(range(low, high + 1))
    return tuple(sorted(int(value) for value in values))


def zone_named(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"timezone {name!r} is invalid: it is not an IANA zone such as 'Europe/Berlin'"
        ) from error


def _why_invalid(fields: list[str], error: Exception) -> str:
    """croniter's messages name field numbers; say which field, its range and the value."""
    offset = 1 if len(fields) == 6 else 0
    ranges = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7), (0, 59))
    for index, field in enumerate(fields):
        which = 5 if offset and index == 0 else index - offset
        low, high = ranges[which] if which < len(ranges) else (0, 0)
        for number in re.findall(r"(?<![\w#/(])\d+(?![\w#)])", field):
            if not low <= int(number) <= high:
                return f"{_FIELD_NAMES[which]} must be {low}-{high}, got {number}"
        if not _is_understood(field, which):
            names = {3: " or names such as JAN", 4: " or names such as MON"}.get(which, "")
            return (
                f"{_FIELD_NAMES[which]} {field!r} is not understood; give {low}-{high}{names}, "
                "lists (1,15), ranges (1-5) or steps (*/10)"
            )
    return str(error).replace("\n", " ") or type(error).__name__


def _is_understood(field: str, which: int) -> bool:
    """croniter accepts the field when all others are ``*``."""
    texts = ["*"] * 6
    texts[which] = field
    try:
        croniter(" ".join(texts[:5] if which < 5 else texts), EPOCH, hash_id=b"")
    except (CroniterError, ValueError, TypeError, KeyError, IndexError):
        return False
    return True
