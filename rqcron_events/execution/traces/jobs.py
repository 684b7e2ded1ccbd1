"""Which runs Redis still knows: for a log that went back and does not know them any more.

Nothing is deserialised. A job's description names cron and slot; for the run of a slot they give its id,
so they cannot be mistaken.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from redis import Redis
from redis.exceptions import RedisError
from rq.queue import Queue
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.utils import str_to_date

from ...core.events import keys
from ...core.recovery import Trace
from ..enqueuer import Enqueuer
from ..rq_jobs import JOBS_PER_ROUND_TRIP, ask
from ..run_request import JOB_ID_PREFIX

__all__ = ["job_traces"]

log = logging.getLogger(__name__)

_REGISTRIES = (
    StartedJobRegistry,
    FinishedJobRegistry,
    FailedJobRegistry,
    ScheduledJobRegistry,
    DeferredJobRegistry,
    CanceledJobRegistry,
)
_FIELDS = ("description", "status", "worker_name", "created_at", "started_at", "ended_at")


def job_traces(
    enqueuer: Enqueuer,
    known: Callable[[Collection[UUID]], set[UUID]],
    crons: Collection[str],
    jobs_max: int,
) -> tuple[dict[UUID, Trace], bool]:
    """The runs of these crons that have a job, but for those that ``known`` returns; and whether
    every Redis answered. ``jobs_max`` of each list of a queue are looked at, the newest.

    Never raises for Redis: what one server does not tell is missing.
    """
    found: dict[UUID, Trace] = {}
    complete = True
    for connection, queues in _queues(enqueuer):
        try:
            run_ids = list({run_id for queue in queues for run_id in _run_ids(queue, jobs_max)})
            for start in range(0, len(run_ids), JOBS_PER_ROUND_TRIP):
                chunk = run_ids[start : start + JOBS_PER_ROUND_TRIP]
                found |= _traces(connection, sorted(set(chunk) - known(chunk)), crons)
        except RedisError as error:
            complete = False
            log.warning(
                "Redis does not tell which jobs it has: %s",
                error,
                extra={"action": "traces_not_read"},
            )
    return found, complete


def _queues(enqueuer: Enqueuer) -> Iterator[tuple[Redis, list[Queue]]]:
    """The queues that can be used, by their Redis."""
    by_redis: dict[str, list[Queue]] = {}
    for name in enqueuer.queue_names():
        by_redis.setdefault(enqueuer.redis_of(name), []).append(enqueuer.queue(name))
    for queues in by_redis.values():
        yield queues[0].connection, queues


def _run_ids(queue: Queue, jobs_max: int) -> Iterator[UUID]:
    # All at one moment: a job that goes back for a retry is in the queue before and in no list behind it.
    pipeline = queue.connection.pipeline(transaction=True)
    for key in (queue.key, queue.intermediate_queue_key):
        pipeline.lrange(key, -jobs_max, -1)
    for registry in _REGISTRIES:
        pipeline.zrevrange(registry(queue=queue).key, 0, jobs_max - 1)
    names: list[Any] = [name for members in pipeline.execute() for name in members]
    for member in names:
        # In the registry of started jobs the execution follows the job.
        text = member.decode(errors="replace") if isinstance(member, bytes) else str(member)
        name = text.partition(":")[0]
        if name.startswith(JOB_ID_PREFIX):
            try:
                yield UUID(name.removeprefix(JOB_ID_PREFIX))
            except ValueError:
                continue


def _traces(connection: Redis, run_ids: list[UUID], crons: Collection[str]) -> dict[UUID, Trace]:
    names = [f"{JOB_ID_PREFIX}{run_id}" for run_id in run_ids]
    found: dict[UUID, Trace] = {}
    for run_id, answer in zip(
        run_ids, ask(connection, names, _FIELDS) if names else (), strict=True
    ):
        try:
            trace = _trace(run_id, answer)
        except (ValueError, TypeError, OverflowError):  # somebody else's, or damaged
            continue
        if trace.cron in crons:
            found[run_id] = trace
    return found


def _trace(run_id: UUID, answer: list[Any]) -> Trace:
    if answer[0] is not None:
        raise ValueError(answer[0])
    description, *others = (field.decode() if field else "" for field in answer[1])
    status, worker, created, started, ended = others
    cron, found, what = description.rpartition(" for ")
    if not found or not created:
        raise ValueError(description)
    job = {
        keys.RECOVERED_STATUS: status,
        keys.RECOVERED_WORKER: worker,
        keys.RECOVERED_CREATED_AT: _time(created),
        keys.RECOVERED_STARTED_AT: _time(started),
        keys.RECOVERED_ENDED_AT: _time(ended),
    }
    return Trace(
        run_id=run_id,
        cron=cron,
        slot=datetime.fromisoformat(what) if what[:1].isdigit() else None,
        told_by=("redis",),
        decided_at=str_to_date(created.encode()),
        has_job=True,
        job={key: value for key, value in job.items() if value},
    )


def _time(stored: str) -> str:
    return str_to_date(stored.encode()).isoformat() if stored else ""
