"""Which runs Redis still knows, while workers go on."""

from __future__ import annotations

from uuid import uuid4

import pytest
from redis import Redis
from rq.registry import StartedJobRegistry

from rqcron_events.core.definition import Definition
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.execution.traces.jobs import job_traces

CRON = Definition(name="report", function="nowhere:report", expression="* * * * *")


@pytest.fixture
def enqueuer(redis_connection: Redis) -> Enqueuer:
    return Enqueuer()


@pytest.fixture
def name(enqueuer: Enqueuer) -> str:
    """Of a job that is in its queue."""
    request = RunRequest(run_id=uuid4(), definition=CRON, slot=None)
    (results,) = enqueuer.enqueue([request])
    assert not results[0].error
    return job_id(request.run_id)


def told(enqueuer: Enqueuer) -> list[str]:
    found, complete = job_traces(enqueuer, lambda run_ids: set(), ["report"], 100)
    assert complete
    return [job_id(run_id) for run_id in found]


def test_a_job_that_a_worker_takes_from_its_queue_is_told(enqueuer: Enqueuer, name: str) -> None:
    queue = enqueuer.queue("default")
    queue.connection.lmove(queue.key, queue.intermediate_queue_key)
    assert told(enqueuer) == [name]


def test_a_job_that_goes_back_for_a_retry_meanwhile_is_told(
    enqueuer: Enqueuer, redis_connection: Redis, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the registry of started jobs into the queue, as soon as the first list is read."""
    queue = enqueuer.queue("default")
    started = StartedJobRegistry(queue=queue).key
    redis = redis_connection
    redis.lrem(queue.key, 0, name)
    redis.zadd(started, {f"{name}:execution": 1})
    lrange = Redis.lrange

    def read(self: Redis, *of: object) -> object:
        found = lrange(self, *of)  # type: ignore[arg-type]
        redis.zrem(started, f"{name}:execution")
        redis.rpush(queue.key, name)
        return found

    monkeypatch.setattr(Redis, "lrange", read)
    assert told(enqueuer) == [name]
