"""Schedules that are right, and often not what was meant. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .cron import CronSchedule
from .fields import FIELDS, SECOND, Field

__all__ = ["HERD_CRONS_MIN", "Doubt", "DoubtKind", "Herd", "doubts", "herds"]

HERD_CRONS_MIN = 20
"""So many crons at one minute are worth a word."""
_STEPPED = re.compile(r"(\*|\d+-\d+)/(\d+)", re.ASCII)
_PERIODS: Final = {"second": "seconds", "minute": "minutes", "hour": "hours"}
"""The fields that go round without a gap, and the argument of timedelta for each."""


class DoubtKind(StrEnum):
    EITHER_DAY = "either_day"
    STEP = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What an expression does, and what to write for what may have been meant."""

    kind: DoubtKind
    text: str
    """A clause: no capital letter, no full stop."""
    remedy: str
    """Whole sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Herd:
    """Crons that are due at the same minute of each day."""

    clock: str
    zone: str
    names: list[str]


def doubts(schedule: CronSchedule) -> Iterator[Doubt]:
    """What may surprise whoever wrote this expression.

    >>> from .parse import cron_schedule
    >>> [doubt.text for doubt in doubts(cron_schedule("*/45 * * * *", "UTC", "digest"))]
    ["minute '*/45' starts over each hour: it is due at 0, 45"]
    """
    texts = schedule.expression.split()
    if len(texts) == 1:  # @daily and the like
        return
    fields = (SECOND, *FIELDS) if len(texts) == 6 else FIELDS
    day, _, weekday = texts[-3:]
    if not schedule.days_and_weekdays:
        yield Doubt(
            kind=DoubtKind.EITHER_DAY,
            text=f"it is due on each day that matches day of month {day!r}, and on each that matches "
            f"day of week {weekday!r}: either is enough, as in crontab(5)",
            remedy="For the first Friday of a month write * in the day of month and FRI#1 in the "
            "day of week; for other days that have to match both, give one field and raise "
            "DeclineRun in the function.",
        )
    for place, (field, text) in enumerate(zip(fields, texts, strict=True)):
        yield from _steps(field, text, texts[place + 1 :])


def _steps(field: Field, text: str, larger: list[str]) -> Iterator[Doubt]:
    """Steps that reach beyond the field, or do not go on evenly where it starts over."""
    match = _STEPPED.fullmatch(text)
    if match is None:
        return
    step = int(match[2])
    size = field.high - field.low + 1 - (field.name == "day of week")  # 7 is Sunday again
    low, high = field.low, field.low + size - 1
    if match[1] != "*":
        low, high = map(int, match[1].split("-"))
    due = list(range(low, high + 1, step))
    goes_round = field.name in _PERIODS and high - low + 1 == size and set(larger) == {"*"}
    if step > size:
        said = f"{field.name} {text!r} has a step beyond the field: it is due at {due[0]} only"
    elif goes_round and size % step:
        whole = {"second": "minute", "minute": "hour", "hour": "day"}[field.name]
        told = ", ".join(map(str, due[:2] if len(due) < 4 else [*due[:2], "...", due[-1]]))
        said = f"{field.name} {text!r} starts over each {whole}: it is due at {told}"
    else:
        return
    every = f"every=timedelta({_PERIODS.get(field.name, 'days')}={step})"
    remedy = f"For a steady period write {every}."
    if field.name not in _PERIODS:
        remedy = f"Write {due[0]} if that is meant."
    yield Doubt(kind=DoubtKind.STEP, text=said, remedy=remedy)


def herds(schedules: Mapping[str, CronSchedule]) -> Iterator[Herd]:
    """Times of day at which many daily crons are due, the largest herd first."""
    by_time: dict[tuple[str, str], list[str]] = {}
    for name, schedule in schedules.items():
        if _is_daily(schedule):
            clock = f"{schedule.hours[0]:02d}:{schedule.minutes[0]:02d}"
            by_time.setdefault((clock, schedule.zone.key), []).append(name)
    found: Iterable[Herd] = (
        Herd(clock=clock, zone=zone, names=sorted(names))
        for (clock, zone), names in by_time.items()
        if len(names) >= HERD_CRONS_MIN
    )
    yield from sorted(found, key=lambda herd: (-len(herd.names), herd.zone, herd.clock))


def _is_daily(schedule: CronSchedule) -> bool:
    return (
        len(schedule.minutes) == len(schedule.hours) == len(schedule.seconds) == 1
        and len(schedule.months) == 12
        and schedule.days_and_weekdays
        and (len(schedule.days), len(schedule.weekdays)) == (31, 7)
    )
