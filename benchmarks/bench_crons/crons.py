"""As many crons as BENCH_CRONS says, all doing nothing, on the schedules that BENCH_SCHEDULES names."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from rqcron_events import register_cron

# All of the first are due at midnight in UTC.
SCHEDULES: dict[str, tuple[dict[str, Any], ...]] = {
    "midnight": (
        {"schedule": "0 0 * * *"},
        {"schedule": "0 * * * *"},
        {"schedule": "*/15 * * * *"},
        {"schedule": "0 0 * * 1-5", "timezone": "Africa/Abidjan"},
        {"every": timedelta(hours=1)},
    ),
    "every_minute": ({"schedule": "* * * * *"},),
    "every_five_seconds": ({"every": timedelta(seconds=5)},),
    "yearly": ({"every": timedelta(days=365)},),
}


def noop(*_: object) -> None:
    pass


def options_of(index: int) -> dict[str, Any]:
    """The schedule of the cron with this number."""
    schedules = SCHEDULES[os.environ.get("BENCH_SCHEDULES", "midnight")]
    return schedules[index % len(schedules)]


def name_of(index: int) -> str:
    return f"bench_{index:05}"


def count() -> int:
    return int(os.environ.get("BENCH_CRONS", "0"))


for number in range(count()):
    register_cron(name=name_of(number), **options_of(number))(noop)
