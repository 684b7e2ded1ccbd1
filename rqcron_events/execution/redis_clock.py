"""What Redis says of time. RQ's heartbeats, and all that expires, are judged by its clock: workers
note them by the clocks of their machines, which may be wrong, as this one's may."""

from __future__ import annotations

from typing import cast

from redis import Redis
from redis.exceptions import ResponseError
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job
from rq.registry import StartedJobRegistry

from .run_request import JOB_ID_PREFIX

__all__ = ["executions_alive", "redis_seconds", "set_expiry_by_redis"]

MEMBERS_MAX = 1_000
"""Started jobs of a queue that are looked at in one step: as many as it has workers, mostly."""
EXPIRED_MAX = 10_000
"""Of the dead ones."""


def redis_seconds(connection: Redis) -> float:
    """Redis' clock at this moment, as seconds since the Unix epoch. Raises redis-py's errors."""
    seconds, microseconds = connection.time()
    return seconds + microseconds / 1_000_000


def executions_alive(job: Job) -> int:
    """How many executions of a job have a worker that sends heartbeats, this one included.

    Each heartbeat renews the time to live of the execution's key, which Redis counts by itself.
    RQ's own list goes by the clock of who asks, and forgets for good what that calls expired.
    Raises redis-py's errors.
    """
    connection = job.connection
    registry = ExecutionRegistry(job.id, connection=connection)
    members = cast("list[bytes]", connection.zrange(registry.key, 0, MEMBERS_MAX))
    keys = [_execution_key(job.id, member, connection) for member in members]
    return connection.exists(*keys) if keys else 0


def _execution_key(job_id: str, member: bytes | str, connection: Redis) -> str:
    name = member.decode(errors="replace") if isinstance(member, bytes) else member
    return Execution(id=name, job_id=job_id, connection=connection).key


def set_expiry_by_redis(registry: StartedJobRegistry) -> float:
    """Give each started job the expiry that Redis counts, instead of the one that its worker noted
    by another clock; returns Redis' time, by which RQ can now clean up.

    What lives is not given up, and what is dead is not kept, however wrong a worker's clock is. Dead jobs
    that are none of ours expire a second later: RQ's own clean-up takes them, and this one, which would
    call their failure callbacks in the runner, does not. Raises redis-py's errors.
    """
    connection = registry.connection
    prefix = Execution(id="", job_id="", connection=connection).key.removesuffix("::")
    try:
        told = connection.eval(
            _SET_EXPIRY, 1, registry.key, prefix, JOB_ID_PREFIX, MEMBERS_MAX, EXPIRED_MAX
        )
    except ResponseError:  # the key is of another type, which RQ's own clean-up says
        return redis_seconds(connection)
    return float(cast("bytes | str", told))


_SET_EXPIRY = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local found = redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[3]), 'WITHSCORES')
for i = 1, #found, 2 do
  local member, score = found[i], tonumber(found[i + 1])
  local left = redis.call('PTTL', ARGV[1] .. ':' .. member)
  if left > 0 and score <= now then
    redis.call('ZADD', KEYS[1], 'XX', now + left / 1000, member)
  elseif left == -2 and score > now and string.sub(member, 1, #ARGV[2]) == ARGV[2] and
      string.find(member, ':', 1, true) then
    redis.call('ZADD', KEYS[1], 'XX', now - 1, member)
  end
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[4])) do
  if string.sub(member, 1, #ARGV[2]) ~= ARGV[2] then
    redis.call('ZADD', KEYS[1], 'XX', now + 1, member)
  end
end
return string.format('%.6f', now)
"""
"""A member is ``job:execution``. Of jobs of others the lives are saved, and the dead are put off."""
