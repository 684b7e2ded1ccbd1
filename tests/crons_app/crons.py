"""Crons that the tests run for real."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from datetime import timedelta

from rq import Retry

from rqcron_events import DeclineRun, current_run, register_cron

SECOND = timedelta(seconds=1)


@register_cron(every=SECOND, store_result=True)
def quick():
    run = current_run()
    assert run is not None
    return {"slot": run.slot.isoformat() if run.slot else None, "attempt": run.attempt}


@register_cron(every=SECOND * 2)
def raises():
    raise ValueError("on purpose")


@register_cron(schedule="@yearly")
def leaks():
    raise ConnectionError("cannot reach postgres://shop:hunter2@db/orders for Ann Miller")


@register_cron(every=SECOND * 5, retry=2)
def raises_and_retries():
    raise RuntimeError("again and again")


@register_cron(every=SECOND * 2, overlap="skip", queue="low")
def slow():
    threading.Event().wait(5)  # libfaketime breaks time.sleep()


@register_cron(every=SECOND * 5)
def declines():
    raise DeclineRun("nothing new")


@register_cron(every=SECOND * 5, store_result=True)
async def asynchronous():
    await asyncio.sleep(0)
    return "done"


@register_cron(every=SECOND * 7)
def killed():
    os.kill(os.getpid(), signal.SIGKILL)


@register_cron(every=SECOND * 5)
def returns_retry():
    run = current_run()
    assert run is not None
    return Retry(max=1) if run.attempt == 1 else None


@register_cron(schedule="0 9 * * 1-5", timezone="America/New_York", queue="high")
def digest():
    """Send the morning digest."""


@register_cron(schedule="@yearly")
def unpicklable():
    return lambda: None


@register_cron(schedule="@yearly", timeout=1)
def too_slow():
    time.sleep(20)


@register_cron(schedule="@yearly", retry=1)
def killed_once():
    run = current_run()
    assert run is not None
    if run.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


@register_cron(schedule="0 3 * * *", store_result=True)
def archive():
    """Archive the day before."""
    run = current_run()
    assert run is not None
    time.sleep(float(os.environ.get("TEST_ARCHIVE_SECONDS", "0")))
    if os.environ.get("TEST_ARCHIVE_FAILS") == f"{run.slot:%d}":
        raise OSError("the disk is full")
    return f"{run.slot:%Y-%m-%d}"
