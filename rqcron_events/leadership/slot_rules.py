"""The versions of what slots are found with, for the log: others may find other slots."""

from __future__ import annotations

import zoneinfo
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from ..conf import conf
from ..core.events import EventType
from ..core.events.keys import CRONITER, TZDATA
from ..core.expected_slots import Promise
from ..core.schedule import CronSchedule
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


def other_rules(stretches: Sequence[Promise]) -> Callable[[datetime], str] | None:
    """By which versions of time zone data and parser the runner found slots that was the newest at
    an instant; empty for those of this process, or where they cannot matter."""
    if not any(isinstance(item.schedule, CronSchedule) for item in stretches):
        return None
    zoned = any(
        isinstance(item.schedule, CronSchedule) and item.schedule.zone.key != "UTC"
        for item in stretches
    )
    today = _rules(tz_data_version() if zoned else "", croniter_version())
    events = CronEvent.objects.using(conf().database).of_type(EventType.RUNNER_STARTED)
    starts = events.order_by("-occurred_at")
    rules = [
        (at, _rules(data.get(TZDATA, "") if zoned else "", data.get(CRONITER, "")))
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


def _rules(tzdata: str, croniter: str) -> str:
    return f"tzdata {tzdata}, croniter {croniter}" if tzdata else f"croniter {croniter}"
