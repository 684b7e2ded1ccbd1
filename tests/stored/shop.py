"""The crons whose log is kept in ``log.jsonl``; ``make.py`` registers them, deploy by deploy."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import timedelta
from typing import Any

from rq import Retry

from rqcron_events import DeclineRun, current_run

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class CardRefused(Exception):
    """What ``cards`` raises."""


def orders():
    """Count the orders."""
    run = current_run()
    return {"slot": run.slot.isoformat() if run.slot else None, "attempt": run.attempt}


def stock():
    time.sleep(float(os.environ.get("SHOP_STOCK_SECONDS", "0")))


def invoices():
    """Send the invoices."""


def prices():
    """Fetch the prices."""


def digest():
    """Mail every subscriber what is new."""
    if current_run().attempt == 1:
        raise ConnectionError("the mail server is away")


async def night():
    await asyncio.sleep(0)
    return "every shelf counted"


def cards():
    raise CardRefused("card 7 was refused: größer als das Limit")


def feed():
    time.sleep(20)


def crash():
    os.kill(os.getpid(), signal.SIGKILL)


def crash_once():
    if current_run().attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def again():
    return Retry(max=1) if current_run().attempt == 1 else None


def again_always():
    return Retry(max=1)


def mail():
    raise DeclineRun("no new orders")


def export():
    """Export the orders of the hour."""


def archive():
    time.sleep(float(os.environ.get("SHOP_ARCHIVE_SECONDS", "0")))


def close_books():
    time.sleep(float(os.environ.get("SHOP_ARCHIVE_SECONDS", "0")))


def short_lived():
    """A job that RQ drops after a second."""


FIRST: dict[str, tuple[Any, dict[str, Any]]] = {
    "orders": (orders, {"every": 10 * MINUTE, "store_result": True}),
    "stock": (
        stock,
        {"every": 10 * MINUTE, "overlap": "skip", "queue": "low", "timeout": HOUR},
    ),
    "invoices": (invoices, {"every": 10 * MINUTE, "offset": 5 * MINUTE, "overlap": "queue"}),
    "prices": (prices, {"schedule": "*/10 * * * *", "jitter": MINUTE, "catch_up": "none"}),
    "digest": (
        digest,
        {
            "schedule": "0 9 * * 1-5",
            "timezone": "America/New_York",
            "queue": "high",
            "max_lateness": 2 * HOUR,
            "timeout": 600,
            "retry": 2,
        },
    ),
    "night": (
        night,
        {
            "schedule": "30 2 * * *",
            "timezone": "America/New_York",
            "catch_up": "all",
            "store_result": True,
        },
    ),
    "cards": (cards, {"schedule": "0 9 * * 1-5", "description": "Charge the cards"}),
    "feed": (feed, {"schedule": "0 9,12 * * *", "max_lateness": MINUTE, "timeout": 1}),
    "crash": (crash, {"schedule": "@yearly"}),
    "crash_once": (crash_once, {"schedule": "@yearly", "tries": 2}),
    "again": (again, {"schedule": "@yearly"}),
    "again_always": (again_always, {"schedule": "@yearly"}),
    "mail": (mail, {"cadence": "daily"}),
    "export": (export, {"schedule": "H * * * *"}),
    "archive": (
        archive,
        {
            "schedule": "@yearly",
            "idempotent": True,
            "timeout": 1,
            "result_ttl": 60,
            "failure_ttl": HOUR,
            "at_front": True,
            "meta": {"team": "data"},
        },
    ),
    "close_books": (
        close_books,
        {
            "schedule": "30 0 0 1 1 *",
            "timeout": 1,
            "retry": Retry(max=2, interval=[10, 60]),
        },
    ),
    "short_lived": (short_lived, {"schedule": "@yearly", "ttl": 1}),
}

SECOND = {
    **FIRST,
    "orders": (
        orders,
        {"every": 30 * MINUTE, "store_result": True, "description": "Count all orders"},
    ),
    "stock": (
        stock,
        {"every": 6 * HOUR, "overlap": "skip", "queue": "low", "timeout": HOUR},
    ),
    "invoices": (invoices, {"every": 6 * HOUR, "offset": 5 * MINUTE, "overlap": "queue"}),
}
del SECOND["export"]

THIRD = {**SECOND, "export": FIRST["export"]}
