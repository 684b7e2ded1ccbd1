from __future__ import annotations

from datetime import timedelta

from rqcron_events import register_cron

CLEAN = 100


def nothing() -> None:
    return None


for number in range(CLEAN):
    register_cron(every=timedelta(seconds=1), name=f"clean-{number:03}")(nothing)
