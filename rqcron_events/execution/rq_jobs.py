"""Reading RQ's jobs in bulk, without deserialising what users put into them."""

from __future__ import annotations

import logging
import zlib
from base64 import b64decode
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from django.db import DatabaseError
from redis import Redis
from redis.client import NEVER_DECODE
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq.exceptions import NoSuchJobError
from rq.executions import ExecutionRegistry
from rq.job import Job
from rq.queue import Queue
from rq.registry import ScheduledJobRegistry, StartedJobRegistry
from rq.results import Result
from rq.scheduler import RQScheduler
from rq.timeouts import BaseTimeoutException, TimerDeathPenalty
from rq.utils import str_to_date, utcformat

from .. import clock
from ..core.bounded import bounded
from ..core.repair import JobFacts
from .enqueuer import Enqueuer, RunRequest, job_id
from .redis_clock import redis_seconds, set_expiry_by_redis
from .run_request import JOB_ID_PREFIX
from .unreadable_jobs import text_of

__all__ = [
    "JOBS_PER_ROUND_TRIP",
    "ask",
    "bring_back_due",
    "clean_up_abandoned",
    "decoded",
    "look_up",
    "look_up_at",
    "say_not_cleaned",
]

log = logging.getLogger(__name__)

JOBS_PER_ROUND_TRIP = 500
_FIELDS = ("status", "worker_name", "retries_left", "started_at", "ended_at")


_LOOK_UP = """
local answers = {}
local field_bytes, error_bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for i = 1, #KEYS, 3 do
  local job = redis.pcall('HMGET', KEYS[i], unpack(ARGV, 3))
  local executions = redis.pcall('ZCARD', KEYS[i + 1])
  local results = redis.pcall('XREVRANGE', KEYS[i + 2], '+', '-', 'COUNT', 1)
  local answer
  if job.err then answer = {job.err}
  elseif type(executions) == 'table' then answer = {executions.err}
  elseif results.err then answer = {results.err}
  else
    local kind, text, ended = false, false, false
    if results[1] then
      ended = now - tonumber(string.match(results[1][1], '^%d+'))
      for j = 1, #results[1][2], 2 do
        if results[1][2][j] == 'type' then kind = string.sub(results[1][2][j + 1], 1, field_bytes) end
        if results[1][2][j] == 'exc_string' then text = results[1][2][j + 1] end
      end
    end
    if text and #text > error_bytes then answer = {'an error of ' .. #text .. ' bytes'} end
    for j = 1, #job do
      if job[j] and #job[j] > field_bytes then answer = {'a field of ' .. #job[j] .. ' bytes'} end
    end
    local alive = 0
    for _, member in ipairs(redis.call('ZRANGE', KEYS[i + 1], 0, 9)) do
      local name = string.match(KEYS[i], '[^:]*$')
      alive = alive + redis.call('EXISTS', 'rq:execution:' .. name .. ':' .. member)
    end
    answer = answer or {false, job, executions, kind, text, ended, alive}
  end
  answers[#answers + 1] = answer
end
return answers
"""
"""What is needed of each job, and no more: a result of 100 MB, which RQ keeps, stays in Redis. What
is wrong with one job is the answer for that job.

Of time it asks only what Redis' own clock tells: the key of a job's executions lives a minute longer
than its last heartbeat is good for, and the id of a result is when it came."""
_FIELD_BYTES_MAX = 1_000
_NAME_BYTES_MAX = 200
_RETRIES_MAX = 1_000_000
_AHEAD_MAX = timedelta(days=1)
_YEAR_MAX = 2100
_PACKED_BYTES_MAX = 1_000_000
"""Of RQ's compressed traceback."""
_ERROR_BYTES_MAX = 1_000_000
"""Of the traceback itself. A megabyte that was packed can be a gigabyte."""


def look_up(enqueuer: Enqueuer, requests: Sequence[RunRequest]) -> dict[UUID, JobFacts]:
    """What RQ knows of each run's job. Raises redis-py's errors."""
    found: dict[UUID, JobFacts] = {}
    for connection, chunk in enqueuer.by_connection(requests, JOBS_PER_ROUND_TRIP):
        found |= look_up_at(connection, chunk)
    return found


def look_up_at(connection: Redis, requests: Sequence[RunRequest]) -> dict[UUID, JobFacts]:
    """What this Redis knows of them, JOBS_PER_ROUND_TRIP at most. Raises redis-py's errors."""
    answers = ask(connection, [job_id(request.run_id) for request in requests], _FIELDS)
    return {
        request.run_id: _facts_or_why_not(request, answer)
        for request, answer in zip(requests, answers, strict=True)
    }


def ask(connection: Redis, names: Sequence[str], fields: Sequence[str]) -> list[list[Any]]:
    """Of each job: why nothing can be told, or None; these fields; the number of its executions; type
    and packed error of its last result, and how many milliseconds old that is; how many of its
    executions are alive. Raises redis-py's errors."""
    keys: list[str] = []
    for name in names:
        keys += [
            decoded(Job.key_for(name)),
            ExecutionRegistry(name, connection=connection).key,
            Result.get_key(name),  # type: ignore[no-untyped-call]
        ]
    limits = (_FIELD_BYTES_MAX, _PACKED_BYTES_MAX)
    answers: list[list[Any]] = connection.execute_command(  # type: ignore[no-untyped-call]
        "EVAL", _LOOK_UP, len(keys), *keys, *limits, *fields, **{NEVER_DECODE: True}
    )
    return answers


def clean_up_abandoned(queues: Iterable[Queue]) -> None:
    """Let RQ give up our jobs of workers that stopped sending heartbeats. Raises redis-py's errors.

    RQ's workers do this every ten minutes; the reconciler asks for it more often. RQ retries or
    fails such a job and calls its failure callback, here, with AbandonedJobError. A job that it
    cannot read would stop it for the whole queue, so that job is taken off its list.
    """
    for queue in queues:
        # The callbacks have a time limit, and RQ's usual one works in the main thread only.
        registry = StartedJobRegistry(queue=queue, death_penalty_class=TimerDeathPenalty)
        try:
            registry.cleanup(set_expiry_by_redis(registry))
        except _NOT_OF_ONE_JOB:
            raise
        except Exception as error:
            say_not_cleaned(queue.name, f"{type(error).__name__}: {bounded(str(error), 200)}")
            _take_off_unreadable(registry)


_NOT_OF_ONE_JOB = (RedisConnectionError, RedisTimeoutError, DatabaseError, BaseTimeoutException)


def _take_off_unreadable(registry: StartedJobRegistry) -> None:
    """The next clean-up gets past them. Their jobs stay in Redis as they are."""
    connection = registry.connection
    try:
        expired = connection.zrangebyscore(
            registry.key, 0, redis_seconds(connection), start=0, num=JOBS_PER_ROUND_TRIP
        )
    except ResponseError:  # the key itself is of another type
        return
    for member in cast(list[bytes], expired):
        name = decoded(member)
        if not name.startswith(JOB_ID_PREFIX):
            continue
        try:
            Job.fetch(name.partition(":")[0], connection=connection, serializer=registry.serializer)
        except NoSuchJobError:
            continue
        except _NOT_OF_ONE_JOB:
            raise
        except Exception as error:
            if isinstance(error, RedisError) and "WRONGTYPE" not in str(error):
                raise
            connection.zrem(registry.key, member)


@lru_cache(maxsize=1_000)
def say_not_cleaned(queue: str, why: str) -> None:
    log.error(
        "RQ cannot clean up the started jobs of queue %s: %s. Jobs that cannot be read are taken off "
        "its list.",
        queue,
        why,
        extra={"action": "clean_up_failed", "queue": queue},
    )


def decoded(value: Any) -> str:
    """A connection of the project's own may decode responses."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


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
        now = redis_seconds(queue.connection)
        due: list[Any] = queue.connection.zrangebyscore(
            key, "-inf", now, start=0, num=JOBS_PER_ROUND_TRIP
        )
        names = [_name(member) for member in due]
        ours = [name for name in names if name.startswith(JOB_ID_PREFIX)]
        pipeline = queue.connection.pipeline(transaction=False)
        for name in ours:
            keys = (key, Job.key_for(name), queue.key)
            pipeline.eval(
                _BRING_BACK, len(keys), *keys, name, utcformat(datetime.fromtimestamp(now, UTC))
            )
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


def _facts_or_why_not(request: RunRequest, answer: list[Any]) -> JobFacts:
    """One job that cannot be read tells nothing, and the others do."""
    why = answer[0]
    if why is None:
        try:
            return _facts(*answer[1:])
        except (ValueError, TypeError, OverflowError, zlib.error) as error:
            why = f"{type(error).__name__}: {bounded(str(error), 200)}".encode()
    unreadable: str = why.decode(errors="replace")
    _say_unreadable(request.cron, request.run_id, unreadable)
    return JobFacts(unreadable=unreadable)


@lru_cache(maxsize=1_000)
def _say_unreadable(cron: str, run_id: UUID, why: str) -> None:
    """Once for each."""
    log.error(
        "%s",
        text_of(cron, run_id, why),
        extra={"action": "job_unreadable", "cron": cron, "run_id": str(run_id)},
    )


def _facts(
    fields: list[bytes | None],
    executions: int,
    result: bytes | None,
    packed: bytes | None,
    ended_ms: int | None,
    alive: int,
) -> JobFacts:
    status, worker, retries, started, ended = fields
    retries_left = int(retries or 0)
    if not 0 <= retries_left <= _RETRIES_MAX:
        raise ValueError(f"retries_left is {retries_left}")
    return JobFacts(
        status=status.decode() if status else "",
        worker=bounded(worker.decode(), _NAME_BYTES_MAX) if worker else "",
        retries_left=retries_left,
        executions=executions,
        alive=alive,
        started_at=_date(started),
        ended_at=_date(ended),
        ended_for=None if ended_ms is None else timedelta(milliseconds=ended_ms),
        result_type=Result.Type(int(result)).name if result else "",
        error=_unpacked(packed) if packed else "",
    )


def _unpacked(packed: bytes) -> str:
    """RQ's traceback, of which no more is unpacked than is kept."""
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(b64decode(packed, validate=True), _ERROR_BYTES_MAX)
    if unpacker.unconsumed_tail:
        raise ValueError(f"an error of more than {_ERROR_BYTES_MAX:,} bytes")
    return text.decode(errors="replace")


def _date(value: bytes | None) -> datetime | None:
    """It becomes the time of an event; None for one of a worker whose clock is far ahead."""
    if not value:
        return None
    found = str_to_date(value)
    if found.tzinfo is None or not 1970 <= found.year < _YEAR_MAX:
        raise ValueError(f"{value!r} is not a time that a worker can have noted")
    return found if found <= clock.now() + _AHEAD_MAX else None
