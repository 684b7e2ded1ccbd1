"""A change every few seconds. What is lost is closed soon: the timeouts are short."""

from __future__ import annotations

import time
from datetime import timedelta

from rqcron_events import current_run, register_cron

SECOND = timedelta(seconds=1)
TIMEOUT_SECONDS = 10


class OnPurpose(Exception):
    """Raised by a cron that is meant to fail."""


@register_cron(every=SECOND, timeout=TIMEOUT_SECONDS)
def flips():
    run = current_run()
    if run.slot.second % 4 < 2:
        raise OnPurpose(str(run.slot))


@register_cron(every=3 * SECOND, retry=1, timeout=TIMEOUT_SECONDS)
def tries_twice():
    run = current_run()
    if run.attempt == 1 or run.slot.second % 2:
        raise OnPurpose(f"attempt {run.attempt}")


@register_cron(every=2 * SECOND, overlap="skip", timeout=TIMEOUT_SECONDS)
def is_killed_at_times():
    time.sleep(1)
