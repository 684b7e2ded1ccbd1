"""As many crons as BENCH_CRONS says, all doing nothing, on the schedules that BENCH_SCHEDULES names."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from rqcron_events import register_cron

PERIOD_SECONDS = int(os.environ.get("BENCH_PERIOD_SECONDS", "50"))
"""Of the crons of ``spread``, of which as many are due in each second."""

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
    "every_second": ({"every": timedelta(seconds=1)},),
    "spread": ({"every": timedelta(seconds=PERIOD_SECONDS)},),
    "yearly": ({"every": timedelta(days=365)},),
    "mixed": (
        {"every": timedelta(seconds=1)},
        {"schedule": "* * * * *"},
        {"schedule": "* * * * *", "timezone": "Europe/Berlin"},
        {"every": timedelta(minutes=1)},
        {"schedule": "*/2 8-18 * * 1-5", "timezone": "America/New_York"},
        {"schedule": "0 * * * *"},
        {"schedule": "H * * * *", "timezone": "Australia/Lord_Howe"},
        {"every": timedelta(hours=1), "jitter": timedelta(minutes=1)},
        {"schedule": "30 2 * * *", "timezone": "Europe/Berlin"},
        {"schedule": "0 6 * * *", "max_lateness": timedelta(hours=2)},
    ),
}
POLICIES = [
    {"catch_up": catch_up, "overlap": overlap}
    for catch_up in ("latest", "all", "none")
    for overlap in ("allow", "skip", "queue")
]


def noop(*_: object) -> None:
    pass


def options_of(index: int) -> dict[str, Any]:
    """The schedule of the cron with this number."""
    schedules = SCHEDULES[os.environ.get("BENCH_SCHEDULES", "midnight")]
    options = schedules[index % len(schedules)]
    if schedules is SCHEDULES["spread"]:
        return {**options, "offset": timedelta(seconds=index % PERIOD_SECONDS)}
    if schedules is SCHEDULES["mixed"]:
        options = options | POLICIES[index // len(schedules) % len(POLICIES)]
    return options


def name_of(index: int) -> str:
    return f"bench_{index:05}"


def count() -> int:
    return int(os.environ.get("BENCH_CRONS", "0"))


for number in range(count()):
    register_cron(name=name_of(number), **options_of(number))(noop)
for number in range(int(os.environ.get("BENCH_ON_TIME", "0"))):
    register_cron(name=f"on_time_{number}", every=timedelta(seconds=1))(noop)
