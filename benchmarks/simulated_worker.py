"""Works off what the runner enqueues, many runs at once: ``python simulated_worker.py``, until it is killed.

Real workers fork for each job, so two cores would be busy with that alone. What a worker appends is appended:
a start and an outcome for each run, of which one in fifty is a failure.
"""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import Any
from uuid import UUID

import django
from redis import Redis

JOBS_MAX = 200
PAUSE_SECONDS = 0.1
ONE_FAILS_OF = 50


def main() -> None:
    from rqcron_events.ledger import store

    redis = Redis.from_url(os.environ["REDIS_URL"])
    while True:
        names = redis.lpop("rq:queue:default", JOBS_MAX)
        if not names:
            time.sleep(PAUSE_SECONDS)
            continue
        keys = [f"rq:job:{name.decode()}" for name in names]
        pipeline = redis.pipeline()
        for key in keys:
            pipeline.hget(key, "description")
        told = [text.decode() for text in pipeline.execute()]
        redis.delete(*keys)
        events = [
            event
            for name, text in zip(names, told, strict=True)
            for event in _events(UUID(name.decode().removeprefix("cron-")), text)
        ]
        store.append_next(events)


def _events(run_id: UUID, description: str) -> list[Any]:
    from rqcron_events import clock
    from rqcron_events.core.events import make

    cron, _, slot = description.partition(" for ")
    now = clock.now()
    place: dict[str, Any] = {
        "cron": cron,
        "run_id": run_id,
        "version": 0,
        "slot": datetime.fromisoformat(slot),
        "actor": "worker/simulated",
        "at": now,
    }
    started = make.run_started(
        attempt=1,
        retries_left=0,
        job_created_at=now.isoformat(),
        job_enqueued_at=now.isoformat(),
        **place,
    )
    if run_id.int % ONE_FAILS_OF:
        return [
            started,
            make.run_succeeded(attempt=1, duration_seconds=0.001, result=None, **place),
        ]
    error = {"type": "ValueError", "message": "on purpose", "traceback": "ValueError: on purpose"}
    failed = make.run_failed(
        attempt=1, duration_seconds=0.001, reason="exception", error=error, retries_left=0, **place
    )
    return [started, failed]


if __name__ == "__main__":
    django.setup()
    main()
