"""Crons of each kind. Their timeouts are short, so that what is lost is closed soon."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import timedelta

from rqcron_events import register_cron

from .outside import attempt

SECOND = timedelta(seconds=1)
TIMEOUT_SECONDS = 10
SLOW_SECONDS = float(os.environ.get("CHAOS_SLOW_SECONDS", "1.5"))


class OnPurpose(Exception):
    """Raised by a cron that is meant to fail."""


@register_cron(every=SECOND, timeout=TIMEOUT_SECONDS)
def fast():
    with attempt():
        pass


@register_cron(every=SECOND, overlap="skip", queue="high", timeout=TIMEOUT_SECONDS)
def slow():
    with attempt():
        time.sleep(SLOW_SECONDS)


@register_cron(every=SECOND, overlap="queue", timeout=TIMEOUT_SECONDS)
def queueing():
    with attempt():
        time.sleep(0.3)


@register_cron(every=2 * SECOND, retry=2, queue="high", timeout=TIMEOUT_SECONDS)
def flaky():
    """A quarter of the runs fails for good, a quarter needs a second attempt."""
    with attempt() as run:
        digit = hashlib.sha256(run.run_id.bytes).digest()[0] % 4
        if digit == 0 or (digit == 1 and run.attempt == 1):
            raise OnPurpose(f"attempt {run.attempt} of {run.run_id}")


@register_cron(every=2 * SECOND, idempotent=True, queue="high", timeout=TIMEOUT_SECONDS)
def repeatable():
    with attempt():
        time.sleep(0.2)
