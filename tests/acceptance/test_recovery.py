"""What a crash left open is closed by the reconciler, from RQ's own record."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from redis import Redis

from rqcron_events.execution.enqueuer import job_id
from rqcron_events.execution.spool import INDEX_KEY, run_key
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from tests.processes import Project

JOBS = int(os.environ.get("RQCRON_EMPTIED_JOBS", "20"))
"""RQCRON_EMPTIED_JOBS=500 for the long run."""


@pytest.fixture
def registered(project: Project) -> Project:
    assert project.run("cron_run", "--once").returncode == 0
    return project


@pytest.fixture
def outcome(registered: Project) -> Callable[[UUID], CronEvent]:
    """The outcome of a run, once a runner that begins now has found it."""

    def found(run_id: UUID) -> CronEvent:
        registered.start("cron_run")
        return registered.wait_until(CronEvent.objects.filter(run_id=run_id).outcomes().first)

    return found


def test_a_killed_work_horse_is_a_failed_run(registered: Project, outcome):
    run_id = controls.trigger("killed")
    assert registered.run("rqworker", "default", "--burst").returncode == 0
    failed = outcome(run_id)
    assert (failed.type, failed.reason) == ("run_failed", "worker_killed")
    assert failed.data["found"] == "RQ says failed"
    assert failed.attempt == 1
    assert "signal 9" in failed.to_event().data["error"]["traceback"]


def test_a_work_horse_that_is_killed_and_retried_leaves_two_attempts(registered: Project):
    run_id = controls.trigger("killed_once")
    assert registered.run("rqworker", "default", "--burst").returncode == 0
    events = CronEvent.objects.filter(stream=f"run/{run_id}").order_by("version")
    assert [(event.type, event.reason) for event in events] == [
        ("run_enqueued", ""),
        ("run_started", ""),
        ("attempt_failed", "worker_killed"),
        ("run_started", ""),
        ("run_succeeded", ""),
    ]


def test_redis_emptied_with_jobs_queued_runs_each_once(
    registered: Project, redis_connection: Redis
):
    run_ids = [controls.trigger("quick") for _ in range(JOBS)]
    redis_connection.flushdb()
    registered.start("cron_run")
    again = CronEvent.objects.of_type("run_enqueued").filter(data__has_key="found")
    registered.wait_until(lambda: again.filter(run_id__in=run_ids).count() == JOBS, 60)
    # Not until the queue is empty: the runner goes on to fill it.
    registered.start("rqworker", "default")
    ended = CronEvent.objects.filter(run_id__in=run_ids).outcomes()
    registered.wait_until(lambda: ended.count() == JOBS, 120)
    for run_id in run_ids:
        types = [event.type for event in CronEvent.objects.filter(stream=f"run/{run_id}")]
        assert types == ["run_enqueued", "run_enqueued", "run_started", "run_succeeded"]


def test_a_cancelled_job_is_a_cancelled_run(registered: Project, outcome, redis_connection: Redis):
    from rq.job import Job

    run_id = controls.trigger("digest")
    Job.fetch(job_id(run_id), connection=redis_connection).cancel()
    assert outcome(run_id).type == "run_cancelled"


def test_an_outcome_that_could_not_be_written_is_taken_from_rq(
    registered: Project, outcome, redis_connection: Redis
):
    run_id = controls.trigger("quick")
    nowhere = "postgresql://nobody@127.0.0.1:1/nowhere"
    registered.run("rqworker", "default", "--burst", DATABASE_URL=nowhere)
    redis_connection.delete(INDEX_KEY, run_key(run_id))  # and the spool is lost, too
    succeeded = outcome(run_id)
    assert (succeeded.type, succeeded.data["found"]) == ("run_succeeded", "RQ says finished")


def test_a_dead_workers_job_is_closed_once_rq_gives_it_up(registered: Project, outcome):
    """The whole worker is killed; nobody is left to notice, but the reconciler."""
    run_id = controls.trigger("slow")
    worker = registered.start("rqworker", "low")
    stream = CronEvent.objects.filter(stream=f"run/{run_id}")
    registered.wait_until(stream.of_type("run_started").exists)
    worker.kill_session()
    _expire_heartbeats()
    failed = outcome(run_id)
    assert (failed.type, failed.reason) == ("run_failed", "worker_killed")


def _expire_heartbeats() -> None:
    """As if the ninety seconds had passed that RQ waits for a worker's next heartbeat."""
    connection = Redis.from_url(os.environ["REDIS_URL"])
    for key in ("rq:wip:low",):
        for member, _ in connection.zrange(key, 0, -1, withscores=True):
            connection.delete(f"rq:execution:{member.decode()}")  # which expires with them
            connection.zadd(key, {member: 1})
    connection.close()


def test_a_lost_runner_and_the_downtime_are_on_record(registered: Project):
    """The only runner is killed; the next one says so, and explain names the window."""
    registered.environment["RQCRON_TEST_LEASE_SECONDS"] = "2"
    first = registered.start("cron_run")
    fired = CronEvent.objects.of_type("slot_fired").for_cron("quick")
    registered.wait_until(fired.exists)
    first.kill()
    first.wait()
    # The first slot that nobody can have decided: none but this one lies in the window for certain,
    # because a runner on a busy machine may leave out slots before its end and after its start.
    slot = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    registered.wait_until(lambda: datetime.now(UTC) > slot + timedelta(seconds=1))
    registered.start("cron_run")
    lost = CronEvent.objects.of_type("runner_lost")
    registered.wait_until(lost.exists)
    heartbeat = datetime.fromisoformat(lost.get().data["last_heartbeat"])
    decided = CronEvent.objects.for_cron("quick").filter(scheduled_for__gte=slot)
    registered.wait_until(decided.exists)
    answer = json.loads(
        registered.run("cron_explain", "quick", "--at", slot.isoformat(), "--format", "json").stdout
    )
    assert answer["verdict"] == "missed"
    assert "no runner was alive from" in answer["summary"]
    assert datetime.fromisoformat(answer["downtime"]["since"]) == heartbeat
