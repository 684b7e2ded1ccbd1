"""Before Redis is touched the log is asked: what a runner or a worker remembers may be old."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from rq.job import Job

from rqcron_events.core.events import EventType, make
from rqcron_events.core.events.make import InRun
from rqcron_events.execution import spool
from rqcron_events.execution.attempt import begin
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.ledger import store
from rqcron_events.ledger.run_streams import read_run
from rqcron_events.models import CronEvent

MINUTE = timedelta(minutes=1)


@pytest.fixture
def old(deploy, add, clock, redis_connection):
    """A runner that was frozen after its decision; what it would hand over; its memory of then."""
    add("report", schedule="* * * * *")
    runner = deploy()
    held = []
    hand_over, runner.enqueue = runner.enqueue, held.extend
    clock.advance(MINUTE)
    runner.tick()
    runner.enqueue = hand_over
    (request,) = held
    return runner, request, runner.states.with_open_runs()


@pytest.fixture(params=["succeeded", "running"])
def elsewhere(request, clock) -> Callable[[RunRequest], None]:
    """Half a minute later another runner hands the run over; it begins, and ends or not."""

    def run(asked: RunRequest) -> None:
        clock.advance(MINUTE / 2)

        def place(version: int) -> InRun:
            return InRun(
                cron="report", run_id=asked.run_id, slot=asked.slot, actor="worker/1",
                version=version, at=clock.now,
            )  # fmt: skip

        times = {"job_created_at": "then", "job_enqueued_at": "then"}
        events = [
            make.run_enqueued(queue="default", job_id=job_id(asked.run_id), found="", **place(1)),
            make.run_started(attempt=1, retries_left=0, **times, **place(2)),
        ]
        if request.param == "succeeded":
            events.append(make.run_succeeded(attempt=1, duration_seconds=0.1, **place(3)))
        store.append_next(events)

    return run


def jobs(redis_connection) -> list[bytes]:
    return list(redis_connection.scan_iter("rq:job:*")) + redis_connection.lrange(
        "rq:queue:default", 0, -1
    )


def test_what_a_frozen_runner_had_still_to_hand_over_is_compared_with_the_log(
    old, elsewhere, redis_connection
):
    runner, request, _ = old
    elsewhere(request)
    count = CronEvent.objects.count()
    runner.rq.enqueue([request])
    assert jobs(redis_connection) == []
    assert CronEvent.objects.count() == count


def test_a_pass_with_an_old_memory_enqueues_nothing_that_began(old, elsewhere, redis_connection):
    runner, request, memory = old
    elsewhere(request)
    runner.rq.reconcile(memory)
    assert jobs(redis_connection) == []


def test_a_pass_with_an_old_memory_puts_no_job_back_that_began(old, elsewhere, redis_connection):
    """Redis is as it was before the job ran, as from its snapshot of then."""
    runner, request, memory = old
    runner.rq.enqueue([request])
    runner.states.follow()
    memory = runner.states.with_open_runs()
    redis_connection.delete("rq:queue:default")
    elsewhere(request)
    for _ in range(2):  # seen twice, a clean-up apart
        runner.rq.reconciler.clean_up(memory)
    assert redis_connection.llen("rq:queue:default") == 0


def test_a_worker_that_reads_that_a_run_ran_refuses_it_although_nothing_can_be_written(
    old, elsewhere, redis_connection
):
    """The job is in Redis once more, from whoever had an old memory, and the database is read-only."""
    _, request, _ = old
    elsewhere(request)
    list(Enqueuer().enqueue([request]))
    job = Job.fetch(job_id(request.run_id), connection=redis_connection)
    on_postgresql = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute(
            "SET transaction_read_only = on" if on_postgresql else "PRAGMA query_only = 1"
        )
        try:
            attempt = begin(job, "report", request.run_id)
        finally:
            if not on_postgresql:
                cursor.execute("PRAGMA query_only = 0")
    assert attempt.closed
    assert spool.spooled_types(redis_connection, request.run_id) == [EventType.START_REFUSED]
    assert not read_run(request.run_id).spooled
