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
from rq.registry import StartedJobRegistry
from rq.results import Result
from rq.utils import str_to_date

from . import clock
from .core.reconcile import JobFacts
from .enqueue import Enqueuer, RunRequest, job_id

__all__ = ["JOBS_PER_ROUND_TRIP", "clean_up_abandoned", "look_up"]

JOBS_PER_ROUND_TRIP = 500
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
