"""The versions of what slots are found with, for the log: others may find other slots."""

from __future__ import annotations

import zoneinfo
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from ..conf import conf
from ..core.events import EventType
from ..core.events.keys import CRONITER, SCHEDULE_READING, TZDATA
from ..core.expected_slots import Promise
from ..core.schedule import READING, CronSchedule, has_one_reading, is_hashed_expression
from ..models import CronEvent

__all__ = ["croniter_version", "other_rules", "tz_data_version"]

RUNNER_STARTS_MAX = 10_000
"""The newest ones, in search of the rules by which slots were found."""


@cache
def tz_data_version() -> str:
    """Of the time zone data that zoneinfo reads, such as ``2026a``; empty when it does not say.

    The system's comes first, as in zoneinfo.
    """
    for place in zoneinfo.TZPATH:
        if not Path(place, "UTC").is_file():
            continue
        try:
            with Path(place, "tzdata.zi").open(encoding="ascii") as text:
                return text.readline(100).removeprefix("# version ").strip()[:20]
        except (OSError, ValueError):
            return ""
    return _package("tzdata")


@cache
def croniter_version() -> str:
    return _package("croniter")


def _package(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


class _Matters(NamedTuple):
    """Which of the versions can change the slots of a cron."""

    zone: bool
    hash: bool
    reading: bool

    @classmethod
    def to(cls, schedules: Sequence[CronSchedule]) -> _Matters:
        return cls(
            zone=any(item.zone.key != "UTC" for item in schedules),
            hash=any(is_hashed_expression(item.expression) for item in schedules),
            reading=not all(has_one_reading(item.expression) for item in schedules),
        )

    def rules(self, tzdata: str, croniter: str, reading: int) -> str:
        """In words. croniter read whole expressions once."""
        by_croniter = self.hash or (self.reading and reading == 1)
        parts = {
            f"tzdata {tzdata or 'unknown'}": self.zone,
            f"croniter {croniter}": by_croniter,
            f"reading {reading} of expressions": self.reading,
        }
        return ", ".join(text for text, matters in parts.items() if matters)


def other_rules(stretches: Sequence[Promise]) -> Callable[[datetime], str] | None:
    """By which versions of time zone data, croniter and reading the runner found slots that was the
    newest at an instant; empty for those of this process, or where they cannot matter."""
    schedules = [item.schedule for item in stretches if isinstance(item.schedule, CronSchedule)]
    matters = _Matters.to(schedules)
    if not any(matters):
        return None
    today = matters.rules(tz_data_version(), croniter_version(), READING)
    events = CronEvent.objects.using(conf().database).of_type(EventType.RUNNER_STARTED)
    starts = events.order_by("-occurred_at")
    rules = [
        (
            at,
            matters.rules(data.get(TZDATA, ""), data[CRONITER], data.get(SCHEDULE_READING, 1)),
        )
        for at, data in starts.values_list("occurred_at", "data")[:RUNNER_STARTS_MAX]
        if data.get(CRONITER)
    ][::-1]
    begins = [at for at, _ in rules]
    if all(text == today for _, text in rules):
        return None

    def at(instant: datetime) -> str:
        index = bisect_right(begins, instant) - 1
        text = rules[index][1] if index >= 0 else today
        return "" if text == today else f"{text}; today {today}"

    return at
