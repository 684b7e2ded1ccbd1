"""Reading RQ's jobs in bulk, without deserialising what users put into them."""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rq.executions import ExecutionRegistry
from rq.job import Job
from rq.queue import Queue
from rq.registry import ScheduledJobRegistry, StartedJobRegistry
from rq.results import Result
from rq.scheduler import RQScheduler
from rq.utils import str_to_date, utcformat

from .. import clock
from ..core.repair import JobFacts
from .enqueuer import Enqueuer, RunRequest, job_id
from .run_request import JOB_ID_PREFIX

__all__ = [
    "JOBS_PER_ROUND_TRIP",
    "bring_back_due",
    "clean_up_abandoned",
    "look_up",
    "put_back",
    "stranded",
]

JOBS_PER_ROUND_TRIP = 500
WAITING_JOBS_MAX = 200_000
"""A queue's ids are read whole, about 10 MB at most. In a longer queue nothing is looked for."""
_FIELDS = ("status", "worker_name", "retries_left", "started_at", "ended_at")


def look_up(enqueuer: Enqueuer, requests: Sequence[RunRequest]) -> dict[UUID, JobFacts]:
    """What RQ knows of each run's job. Raises redis-py's errors."""
    found: dict[UUID, JobFacts] = {}
    for connection, chunk in enqueuer.by_connection(requests, JOBS_PER_ROUND_TRIP):
        pipeline = connection.pipeline(transaction=False)
        now = clock.now().timestamp()
        for request in chunk:
            name = job_id(request.run_id)
            pipeline.hmget(Job.key_for(name), *_FIELDS)
            pipeline.zcount(ExecutionRegistry(name, connection=connection).key, now, "+inf")
            results = Result.get_key(name)  # type: ignore[no-untyped-call]
            pipeline.xrevrange(results, "+", "-", count=1)
        answers = pipeline.execute()
        for index, request in enumerate(chunk):
            found[request.run_id] = _facts(*answers[index * 3 : index * 3 + 3])
    return found


def clean_up_abandoned(queues: Iterable[Queue]) -> None:
    """Let RQ give up the jobs of workers that stopped sending heartbeats.

    RQ's workers do this every ten minutes; the reconciler asks for it more often. RQ retries or
    fails such a job and calls its failure callback, here, with AbandonedJobError.
    """
    for queue in queues:
        StartedJobRegistry(queue=queue).cleanup()


def stranded(enqueuer: Enqueuer, requests: Sequence[RunRequest]) -> list[RunRequest]:
    """Those whose job is queued by its status, and in no queue and in nobody's hands by all else.

    RQ pops the id from the list, and only then notes who has it. A worker that dies in between
    leaves such a job; with a single queue its id is in the intermediate list, which RQ's workers
    look at every ten minutes, to fail the job. Raises redis-py's errors.
    """
    by_queue: dict[str, list[RunRequest]] = {}
    for request in requests:
        by_queue.setdefault(request.definition.queue, []).append(request)
    found: list[RunRequest] = []
    for name, group in by_queue.items():
        queue = enqueuer.queue(name)
        if queue.count > WAITING_JOBS_MAX:
            continue
        waiting = set(queue.get_job_ids())
        missing = [request for request in group if job_id(request.run_id) not in waiting]
        for start in range(0, len(missing), JOBS_PER_ROUND_TRIP):
            chunk = missing[start : start + JOBS_PER_ROUND_TRIP]
            found += _confirmed(queue, chunk)
    return found


def _confirmed(queue: Queue, requests: list[RunRequest]) -> list[RunRequest]:
    """The same question again, answered for all at one instant."""
    pipeline = queue.connection.pipeline()
    now = clock.now().timestamp()
    for request in requests:
        name = job_id(request.run_id)
        pipeline.hmget(Job.key_for(name), "status", "origin")
        pipeline.zcount(ExecutionRegistry(name, connection=queue.connection).key, now, "+inf")
        pipeline.lpos(queue.key, name)
    answers = pipeline.execute()
    found = []
    for index, request in enumerate(requests):
        fields, executions, position = answers[index * 3 : index * 3 + 3]
        if fields == [b"queued", queue.name.encode()] and not executions and position is None:
            found.append(request)
    return found


def put_back(enqueuer: Enqueuer, requests: Sequence[RunRequest]) -> None:
    """Push the ids of jobs that exist; the jobs keep their retries. Raises redis-py's errors."""
    for connection, chunk in enqueuer.by_connection(requests, JOBS_PER_ROUND_TRIP):
        pipeline = connection.pipeline()
        for request in chunk:
            queue = enqueuer.queue(request.definition.queue)
            pipeline.lrem(queue.intermediate_queue_key, 1, job_id(request.run_id))
            queue.push_job_id(job_id(request.run_id), pipeline=pipeline)
        pipeline.execute()


def bring_back_due(queues: Iterable[Queue]) -> int:
    """Jobs of crons that were to wait until now go back into their queues, where RQ's scheduler, which
    would do that, does not run; returns how many. Raises redis-py's errors.

    What workers gave back waits like that, and so does a retry after an interval. A part of it: the
    next pass goes on.
    """
    count = 0
    for queue in queues:
        if queue.connection.exists(RQScheduler.get_locking_key(queue.name)):
            continue  # it expires a minute after the scheduler's last sign of life
        key = ScheduledJobRegistry(queue=queue).key  # type: ignore[no-untyped-call]
        now = clock.now()
        due: list[Any] = queue.connection.zrangebyscore(
            key, "-inf", now.timestamp(), start=0, num=JOBS_PER_ROUND_TRIP
        )
        names = [_name(member) for member in due]
        ours = [name for name in names if name.startswith(JOB_ID_PREFIX)]
        pipeline = queue.connection.pipeline(transaction=False)
        for name in ours:
            keys = (key, Job.key_for(name), queue.key)
            pipeline.eval(_BRING_BACK, len(keys), *keys, name, utcformat(now))
        count += sum(answer == 1 for answer in pipeline.execute(raise_on_error=False))
    return count


_BRING_BACK = """
if redis.call("ZREM", KEYS[1], ARGV[1]) == 0 then return 0 end
if redis.call("EXISTS", KEYS[2]) == 0 then return 0 end
redis.call("HSET", KEYS[2], "status", "queued", "enqueued_at", ARGV[2])
redis.call("RPUSH", KEYS[3], ARGV[1])
return 1
"""
"""In one step, so that of two who find the same job one brings it back."""


def _name(member: Any) -> str:
    return member.decode(errors="replace") if isinstance(member, bytes) else str(member)


def _facts(fields: list[bytes | None], executions: int, results: list[Any]) -> JobFacts:
    status, worker, retries, started, ended = fields
    result_type, error = "", ""
    if results:
        payload = results[0][1]
        result_type = Result.Type(int(payload[b"type"])).name
        if payload.get(b"exc_string"):
            error = zlib.decompress(b64decode(payload[b"exc_string"])).decode(errors="replace")
    return JobFacts(
        status=status.decode() if status else "",
        worker=worker.decode() if worker else "",
        retries_left=int(retries or 0),
        executions=executions,
        started_at=_date(started),
        ended_at=_date(ended),
        result_type=result_type,
        error=error,
    )


def _date(value: bytes | None) -> datetime | None:
    return str_to_date(value) if value else None
