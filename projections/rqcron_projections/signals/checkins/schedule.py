"""A cron's definition in Sentry's words, and which crons Sentry cannot watch. Pure.

Sentry knows crontabs of five fields and intervals of whole minutes
(https://develop.sentry.dev/sdk/telemetry/check-ins/).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from rqcron_events.core.definition import Definition
from rqcron_events.core.schedule import CronSchedule

from ...models import CronJob

__all__ = ["definition_of", "leaves_out", "monitor_config"]

MINUTES_MAX = 40_320
"""Of a margin, and of how long a run may take: 28 days."""
MARGIN_SECONDS = 60.0
"""How late a check-in may be when the cron has no ``max_lateness``."""
THRESHOLD_MAX = 720
TIMEOUT_SECONDS = 180
"""RQ's own, for a cron without ``timeout``."""
_UNITS = (("week", 10_080), ("day", 1_440), ("hour", 60), ("minute", 1))
_FIELDS = (
    ("minutes", 0, 59),
    ("hours", 0, 23),
    ("days", 1, 31),
    ("months", 1, 12),
    ("weekdays", 0, 6),
)


def leaves_out(kind: str, job: CronJob | None) -> bool:
    """Whether a monitor of this kind cannot watch the cron, because it runs more often than once a
    minute. One whose definition is not known, or cannot be read, is not left out."""
    definition = definition_of(job) if kind == "sentry" else None
    return definition is not None and _is_sub_minute(definition)


def definition_of(job: CronJob | None) -> Definition | None:
    """None where there is none that can be read: then the monitor hears of the runs all the same."""
    try:
        definition = Definition.from_data(job.definition) if job else None
        if definition is not None:
            _ = definition.schedule
        return definition
    except (ValueError, TypeError, KeyError):
        return None


def monitor_config(definition: Definition) -> dict[str, Any] | None:
    """What Sentry makes or changes the monitor by; None: its schedule has no words for this one."""
    schedule = _schedule(definition)
    if schedule is None:
        return None
    found: dict[str, Any] = {
        "schedule": schedule,
        "checkin_margin": _minutes(
            definition.jitter_seconds
            + (
                MARGIN_SECONDS
                if definition.max_lateness_seconds is None
                else definition.max_lateness_seconds
            )
        ),
        "max_runtime": _minutes(_runtime_seconds(definition)),
        "failure_issue_threshold": min((definition.max_failures or 0) + 1, THRESHOLD_MAX),
        "recovery_threshold": 1,
    }
    if schedule["type"] == "crontab":
        found["timezone"] = definition.timezone
    return found


def _is_sub_minute(definition: Definition) -> bool:
    schedule = definition.schedule
    if isinstance(schedule, CronSchedule):
        return len(schedule.seconds) > 1
    return (definition.every_seconds or 0) < 60


def _schedule(definition: Definition) -> dict[str, Any] | None:
    schedule = definition.schedule
    if isinstance(schedule, CronSchedule):
        text = _crontab(schedule)
        return {"type": "crontab", "value": text} if text else None
    seconds = definition.every_seconds or 0
    if seconds % 60 or not seconds:
        return None
    unit, size = next(item for item in _UNITS if seconds // 60 % item[1] == 0)
    return {"type": "interval", "value": seconds // 60 // size, "unit": unit}


def _crontab(schedule: CronSchedule) -> str | None:
    """Five fields, in numbers: Sentry reads neither seconds, nor ``H``, nor a range past the end. What begins
    with a star stays a star, because then both day fields have to match."""
    if schedule.nearest_weekdays:
        return None
    texts = schedule.expression.split()[-5:]
    if len(texts) < 5:  # an alias
        texts = [""] * 5
    found = [
        _field(text, getattr(schedule, name), low, high)
        for text, (name, low, high) in zip(texts, _FIELDS, strict=True)
    ]
    if schedule.last_day:
        found[2] = _joined(found[2], schedule.days, ["L"])
    if schedule.nth_weekdays:
        nths = [
            f"{day}#{nth}" if nth > 0 else f"L{day}" for day, nth in sorted(schedule.nth_weekdays)
        ]
        found[4] = _joined(found[4], schedule.weekdays, nths)
    return " ".join(found)


def _field(text: str, numbers: Collection[int], low: int, high: int) -> str:
    whole = len(numbers) == high - low + 1
    if re.fullmatch(r"\*/\d+", text):
        return text
    if whole and text[:1] in ("*", "?", ""):
        return "*"
    return ",".join(map(str, sorted(numbers)))


def _joined(text: str, numbers: Collection[int], more: list[str]) -> str:
    return ",".join([text, *more] if numbers else more)


def _runtime_seconds(definition: Definition) -> float:
    """From the first start to the end of the last try."""
    timeout = definition.options.get("timeout") or TIMEOUT_SECONDS
    if not isinstance(timeout, int | float) or timeout < 0:
        return timedelta(minutes=MINUTES_MAX).total_seconds()
    retries = definition.retries
    if retries is None:
        return float(timeout)
    steps = retries.intervals or (0,)
    waits = sum(steps[min(number, len(steps) - 1)] for number in range(retries.max))
    return timeout * (retries.max + 1) + waits


def _minutes(seconds: float) -> int:
    return max(1, min(math.ceil(seconds / 60), MINUTES_MAX))
