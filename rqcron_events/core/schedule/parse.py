"""Cron expressions as people write them, from the text to a schedule; ``fields`` reads each field."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NoReturn

from .cron import YEARS_SEARCHED_MAX, CronSchedule
from .fields import FIELDS, SECOND, Field, expand, is_hashed, was_always_so
from .remedies import expression_remedy
from .schedule import EPOCH, SCHEDULES_KEPT_MAX
from .zone import zone_named

__all__ = ["cron_schedule", "has_one_reading", "is_hashed_expression"]

TEXT_SHOWN_MAX = 200
"""Characters of an expression in a message."""

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_NO_YEAR = "; six fields begin with seconds, and no field is a year"
_RANDOM = re.compile(r"R(\(|/|$)", re.IGNORECASE)


def cron_schedule(expression: str, zone_name: str, hash_id: str = "") -> CronSchedule:
    """Parse a cron expression.

    ``expression`` has five fields, six with seconds first, or is an alias such as ``@daily``.
    ``zone_name`` is an IANA name. ``hash_id`` feeds ``H`` (the cron's name). Raises ValueError
    with the problem, the value and the remedy.
    """
    # Without H the crons of one expression share one schedule, however many there are.
    return _parsed_schedule(
        expression, zone_name, hash_id if is_hashed_expression(expression) else ""
    )


@lru_cache(maxsize=SCHEDULES_KEPT_MAX)
def is_hashed_expression(expression: str) -> bool:
    """Whether ``H`` stands in a field."""
    return any(map(is_hashed, expression.split()))


def has_one_reading(expression: str) -> bool:
    """Whether every release of this package has read the expression alike.

    Where it is False, nobody knows: most others were read alike, too.
    """
    fields = expression.split()
    if len(fields) == 1:
        return fields[0].lower() in _ALIASES
    return all(map(was_always_so, _kinds(fields), fields))


@lru_cache(maxsize=SCHEDULES_KEPT_MAX)
def _parsed_schedule(expression: str, zone_name: str, hash_id: str) -> CronSchedule:
    zone = zone_named(zone_name)
    fields = _fields(expression)
    try:
        *second, minute, hour, day, month, weekday = (
            expand(field, text, hash_id) for field, text in zip(_kinds(fields), fields, strict=True)
        )
    except ValueError as error:
        year = len(fields) == 6 and _YEAR.search(fields[-1])
        _refuse(expression, f"{error}{_NO_YEAR}" if year else str(error))
    *_, minute_text, hour_text, day_text, _, weekday_text = fields
    schedule = CronSchedule(
        expression=expression,
        zone=zone,
        seconds=tuple(sorted(second[0].numbers)) if second else (0,),
        minutes=tuple(sorted(minute.numbers)),
        hours=tuple(sorted(hour.numbers)),
        days=day.numbers,
        months=month.numbers,
        weekdays=weekday.numbers,
        last_day=day.last_day,
        nearest_weekdays=day.nearest_weekdays,
        nth_weekdays=weekday.nth_weekdays,
        days_and_weekdays=day_text.startswith(("*", "?")) or weekday_text.startswith(("*", "?")),
        times_of_day=not (minute_text.startswith("*") or hour_text.startswith("*") or second),
    )
    if schedule.next_after(EPOCH) is None:
        _refuse(
            expression,
            f"no date matches it in {YEARS_SEARCHED_MAX} years; check the day of month against the "
            "month",
        )
    return schedule


def _kinds(fields: list[str]) -> tuple[Field, ...]:
    return (SECOND, *FIELDS) if len(fields) == 6 else FIELDS


def _fields(expression: str) -> list[str]:
    """Five or six texts."""
    fields = expression.split()
    remedy = expression_remedy(" ".join(fields))
    if remedy:
        _refuse(expression, remedy)
    if fields and fields[0].startswith("@"):
        alias = _ALIASES.get(" ".join(fields).lower())
        if alias is None:
            known = ", ".join(sorted(_ALIASES))
            _refuse(expression, f"unknown alias; use one of {known} or five fields")
        return alias.split()
    if len(fields) not in (5, 6):
        _refuse(
            expression,
            f"it has {len(fields)} field{'s' * (len(fields) != 1)}; give five (minute hour day month "
            "weekday) or six with seconds first"
            f"{_NO_YEAR if len(fields) == 7 else ''}",
        )
    if any(map(_RANDOM.match, fields)):
        _refuse(
            expression,
            "R picks at random at every start; use H, which is hashed from the cron's name",
        )
    return fields


def _refuse(expression: str, why: str) -> NoReturn:
    long = len(expression) > TEXT_SHOWN_MAX
    shown = repr(f"{expression[:TEXT_SHOWN_MAX]}..." if long else expression)
    raise ValueError(f"schedule {shown} is invalid: {why}")
