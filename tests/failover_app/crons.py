"""Crons whose executions are counted outside of the database."""

from __future__ import annotations

import os
import time
from datetime import timedelta

from redis import Redis

from rqcron_events import current_run, register_cron
from tests.failover_app import EXECUTED


@register_cron(every=timedelta(seconds=1), overlap="skip")
def steady():
    _note()


@register_cron(every=timedelta(seconds=1), queue="low", overlap="skip")
def slow():
    _note()
    time.sleep(1.5)


@register_cron(every=timedelta(seconds=1), result_ttl=0)
def traceless():
    """RQ forgets its jobs at once."""
    _note()


def _note() -> None:
    run = current_run()
    assert run is not None
    with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        redis.rpush(EXECUTED, f"{run.cron} {run.run_id}")
