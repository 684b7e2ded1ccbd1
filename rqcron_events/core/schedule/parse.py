"""Cron expressions as people write them. croniter reads names, aliases, ``H``, ``L``, ``#``, ``W``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

from .cron import YEARS_SEARCHED_MAX, CronSchedule
from .schedule import EPOCH, SCHEDULES_KEPT_MAX
from .zone import zone_named

__all__ = ["cron_schedule"]

_EQUAL_RANGE = re.compile(r"(?<![\w-])(\w+)-\1(?![\w-])")
_WEEKDAY_STEP = re.compile(r"([0-7])(?:-([0-7]))?/([1-9]\d*)")
_FIELD_NAMES = ("minute", "hour", "day of month", "month", "day of week", "second")
_ALIASES = frozenset(
    {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}
)


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
