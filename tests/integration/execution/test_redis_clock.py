"""What lives is what Redis' own clock says, whatever workers noted by theirs."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.registry import StartedJobRegistry

from rqcron_events.core.definition import Definition
from rqcron_events.execution import redis_clock
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.execution.redis_clock import (
    executions_alive,
    redis_seconds,
    set_expiry_by_redis,
)
from rqcron_events.execution.rq_jobs import clean_up_abandoned, look_up

CRON = Definition(name="report", function="nowhere:report", expression="* * * * *")
DAY = 86_400


@pytest.fixture
def request_(redis_connection) -> RunRequest:
    request = RunRequest(run_id=uuid4(), definition=CRON, slot=None)
    (results,) = Enqueuer().enqueue([request])
    assert not results[0].error
    return request


@pytest.fixture
def job(request_, redis_connection) -> Job:
    return Job.fetch(job_id(request_.run_id), connection=redis_connection)


def begin(job: Job, monkeypatch, *, worker_ahead: float) -> Execution:
    """As a worker does, whose clock is that far ahead."""
    connection = job.connection
    at = redis_seconds(connection) + worker_ahead
    monkeypatch.setattr("rq.executions.current_timestamp", lambda: int(at))
    monkeypatch.setattr("rq.registry.current_timestamp", lambda: int(at))
    with connection.pipeline() as pipeline:
        execution = Execution.create(job, 90, pipeline)
        job.set_status(JobStatus.STARTED, pipeline=pipeline)
        pipeline.execute()
    monkeypatch.undo()
    return execution


def registry_of(job: Job) -> StartedJobRegistry:
    return StartedJobRegistry(queue=Enqueuer().queue("default"))


@pytest.mark.parametrize("worker_ahead", [-DAY, -120, 0, 120, DAY])
def test_a_living_job_is_not_given_up(job, request_, monkeypatch, worker_ahead):
    begin(job, monkeypatch, worker_ahead=worker_ahead)
    clean_up_abandoned([Enqueuer().queue("default")])
    assert job.get_status() == "started"
    assert executions_alive(job) == 1
    assert look_up(Enqueuer(), [request_])[request_.run_id].executions == 1


@pytest.mark.parametrize("worker_ahead", [-DAY, 0, DAY])
def test_a_dead_workers_job_is_given_up(job, monkeypatch, worker_ahead):
    execution = begin(job, monkeypatch, worker_ahead=worker_ahead)
    job.connection.delete(execution.key)  # as it expires, 90 s after the last heartbeat
    registry = registry_of(job)
    if worker_ahead == 0:  # RQ's own time has to pass
        job.connection.zadd(registry.key, {execution.composite_key: 1}, xx=True)
    clean_up_abandoned([Enqueuer().queue("default")])
    assert job.get_status() == "failed"
    assert executions_alive(job) == 0


def test_the_jobs_of_others_are_not_given_up_early(job, monkeypatch):
    other = Job.create("builtins.print", id="other", connection=job.connection, origin="default")
    other.save()
    execution = begin(other, monkeypatch, worker_ahead=0)
    other.connection.delete(execution.key)
    set_expiry_by_redis(registry_of(other))
    assert other.connection.zscore(registry_of(other).key, execution.composite_key) > redis_seconds(
        other.connection
    )


def test_a_key_of_another_type_is_left_to_rq(job):
    registry = registry_of(job)
    job.connection.set(registry.key, "x")
    assert abs(set_expiry_by_redis(registry) - redis_seconds(job.connection)) < 5


def test_how_long_ago_a_result_came_is_told_by_redis(job, request_):
    from rq.results import Result

    job.connection.hset(job.key, "ended_at", "2090-01-01T00:00:00.000000Z")
    job.connection.xadd(Result.get_key(job.id), {"type": 1})
    facts = look_up(Enqueuer(), [request_])[request_.run_id]
    assert facts.ended_at is None, "a worker that is far ahead"
    assert facts.ended_for is not None
    assert 0 <= facts.ended_for.total_seconds() < 60


def test_redis_tells_the_time(redis_connection):
    now = datetime.now(UTC).timestamp()
    assert redis_seconds(redis_connection) == pytest.approx(now, abs=5)
    assert redis_clock.MEMBERS_MAX > 0
