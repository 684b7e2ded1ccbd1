"""Removing jobs that wait, without touching one that a worker has taken."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from redis import Redis
from rq.job import Job
from rq.queue import Queue
from rq.registry import ScheduledJobRegistry
from rq.results import Result

from ..run_request import job_id

__all__ = ["take_out"]

JOBS_PER_ROUND_TRIP = 500

_TAKE_OUT = """
local origin = redis.call('HGET', KEYS[1], 'origin')
if not origin then return 0 end
local waited = redis.call('LREM', ARGV[2] .. origin, 0, ARGV[1])
waited = waited + redis.call('ZREM', ARGV[3] .. origin, ARGV[1])
if waited == 0 then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
"""
"""In one step, so that a worker has the job, or nobody. One that a worker has popped is left: RQ still
writes to it."""


def take_out(connection: Redis, run_ids: Sequence[UUID]) -> int:
    """Remove the runs' jobs from their queues and from those that wait for a time; returns how many
    were there. Raises redis-py's errors."""
    count = 0
    prefixes = (Queue.redis_queue_namespace_prefix, ScheduledJobRegistry.key_template.format(""))
    for start in range(0, len(run_ids), JOBS_PER_ROUND_TRIP):
        pipeline = connection.pipeline(transaction=False)
        for run_id in run_ids[start : start + JOBS_PER_ROUND_TRIP]:
            name = job_id(run_id)
            keys = (Job.key_for(name), Result.get_key(name))  # type: ignore[no-untyped-call]
            pipeline.eval(_TAKE_OUT, len(keys), *keys, name, *prefixes)
        count += sum(answer == 1 for answer in pipeline.execute(raise_on_error=False))
    return count
