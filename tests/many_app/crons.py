"""Ten crons that are due every second."""

from __future__ import annotations

from datetime import timedelta

from rqcron_events import register_cron


def nothing():
    return None


for number in range(10):
    register_cron(every=timedelta(seconds=1), name=f"every-second-{number}")(nothing)
