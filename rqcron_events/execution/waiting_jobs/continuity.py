"""Whether Redis has lost nothing since an earlier look: only then was a job that is gone deleted."""

from __future__ import annotations

from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError, ResponseError

__all__ = ["MARK_KEY", "eviction_policy", "identity_of"]

MARK_KEY = "rqcron:mark"
"""Goes with everything else when somebody flushes the database."""


def identity_of(connection: Redis, *, mark: bool = False) -> str:
    """Two equal answers say that between them this Redis was not started again, nor replaced by a
    replica (its ``run_id``), nor flushed (the mark), and that it evicted nothing.

    ``mark``: leave the mark where there is none. Empty when there is no telling: INFO is not allowed,
    or there is no mark. Raises redis-py's errors for a Redis that does not answer.
    """
    try:
        if mark:
            connection.set(MARK_KEY, uuid4().hex, nx=True)
        marked = connection.get(MARK_KEY)
        told = {**connection.info("server"), **connection.info("stats")}
    except ResponseError:  # not allowed, or it takes no writes
        return ""
    if not marked or "run_id" not in told or "evicted_keys" not in told:
        return ""
    return f"{told['run_id']} {told['evicted_keys']} {marked!r}"


def eviction_policy(connection: Redis) -> str:
    """The policy of a Redis that may delete keys to make room; empty for one that does not, or that
    does not tell."""
    try:
        told = connection.info("memory")
    except RedisError:
        return ""
    policy = str(told.get("maxmemory_policy") or "noeviction")
    return "" if policy == "noeviction" else policy
