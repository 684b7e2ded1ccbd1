"""Jobs that wait for a time go back into their queue once, with RQ's scheduler or without."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from rq.registry import ScheduledJobRegistry
from rq.scheduler import RQScheduler

from rqcron_events.core.definition import Definition
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.execution.rq_jobs import bring_back_due


@pytest.fixture
def waiting(redis_connection):
    """``waiting(seconds)`` schedules a cron's job; returns its queue and id."""

    def schedule(seconds: float):
        enqueuer = Enqueuer()
        queue = enqueuer.queue("default")
        definition = Definition(name="report", function="", expression="@daily")
        request = RunRequest(run_id=uuid4(), definition=definition, slot=None)
        list(enqueuer.enqueue([request]))
        job = queue.fetch_job(job_id(request.run_id))
        redis_connection.delete(queue.key)
        queue.schedule_job(job, job.created_at + timedelta(seconds=seconds))
        return queue, job

    return schedule


def test_a_job_that_is_due_goes_back_once_with_its_status(waiting):
    queue, job = waiting(-5)
    assert [bring_back_due([queue]), bring_back_due([queue])] == [1, 0]
    assert queue.get_job_ids() == [job.id]
    assert job.get_status() == "queued"
    assert ScheduledJobRegistry(queue=queue).get_job_ids() == []


def test_what_is_not_due_or_not_a_crons_is_left_alone(waiting, redis_connection):
    queue, _ = waiting(60)
    redis_connection.zadd(ScheduledJobRegistry(queue=queue).key, {"somebody-elses": 1})
    assert bring_back_due([queue]) == 0
    assert len(ScheduledJobRegistry(queue=queue).get_job_ids()) == 2


def test_a_job_that_is_gone_is_forgotten_and_stays_gone(waiting, redis_connection):
    queue, job = waiting(-5)
    redis_connection.delete(job.key)
    assert bring_back_due([queue]) == 0
    assert queue.count == 0
    assert not redis_connection.exists(job.key)


def test_where_rqs_scheduler_runs_it_is_left_to_it(waiting, redis_connection):
    queue, _ = waiting(-5)
    redis_connection.set(RQScheduler.get_locking_key(queue.name), "1", ex=60)
    assert bring_back_due([queue]) == 0
