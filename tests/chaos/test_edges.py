"""Faults at instants that chance finds rarely, brought about on purpose."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from rqcron_events import clock
from rqcron_events.core.cron_state import OpenRun
from rqcron_events.core.definition import Definition
from rqcron_events.core.events import Event, EventType
from rqcron_events.core.repair import JobFacts, Repair
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.ledger import store
from rqcron_events.ledger.cron_states import States
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from rqcron_events.runner.found import Finding
from rqcron_events.runner.reconciler import Reconciler
from tests.chaos.app import outside
from tests.chaos.stage import RedisServer
from tests.processes import Project

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]

START_SECONDS_MAX = 60
RECOVERY_SECONDS_MAX = 150


@pytest.fixture
def stage(project: Project, tmp_path: Path) -> Project:
    path = str(tmp_path / "outside.sqlite3")
    outside.create(path)
    project.environment |= {outside.VARIABLE: path, "TEST_APPS": "tests.chaos.steps"}
    assert project.run("cron_run", "--once").returncode == 0
    return project


@pytest.fixture
def own_redis(tmp_path: Path):
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.mark.parametrize("cron", ["long", "long_and_retried"])
def test_a_function_that_ends_while_redis_is_away_has_succeeded(
    cron: str, stage: Project, own_redis: RedisServer
):
    """RQ loses such a job and gives it up, or tries it again; the log knows better."""
    stage.environment["REDIS_URL"] = own_redis.url
    run_id = UUID(stage.run("cron_trigger", cron).stdout.split()[-1].strip("."))
    stage.start("rqworker", "default", "high")
    stage.wait_until(lambda: _executions(stage, run_id), START_SECONDS_MAX)
    own_redis.stop()
    stage.wait_until(lambda: _executions(stage, run_id)[0].ended, START_SECONDS_MAX)
    succeeded = CronEvent.objects.filter(stream=f"run/{run_id}").of_type("run_succeeded")
    stage.wait_until(succeeded.exists, START_SECONDS_MAX)
    own_redis.start()
    _expire_heartbeats(own_redis)
    stage.start("cron_worker", "default", "high")
    connection = own_redis.connect()
    ended = (b"finished", b"failed")
    key = Job.key_for(job_id(run_id))
    stage.wait_until(lambda: connection.hget(key, "status") in ended, RECOVERY_SECONDS_MAX)
    assert len(_executions(stage, run_id)) == 1
    assert CronEvent.objects.filter(stream=f"run/{run_id}").outcomes().get().type == "run_succeeded"


@pytest.mark.parametrize("queues", [("default", "high"), ("default",)], ids=["two", "one"])
def test_a_job_that_a_dead_worker_had_taken_but_not_begun_runs(
    queues: tuple[str, ...], stage: Project, redis_connection: Redis
):
    """It is in no list of RQ's, or in one that RQ looks at every ten minutes, to fail the job."""
    run_id = controls.trigger("once")
    queue = Queue("default", connection=redis_connection)
    Queue.dequeue_any(
        [Queue(name, connection=redis_connection) for name in queues], None, redis_connection
    )
    assert queue.get_job_ids() == []
    stage.start("cron_worker", "default", "high")
    outcomes = CronEvent.objects.filter(stream=f"run/{run_id}").outcomes()
    stage.wait_until(outcomes.exists, RECOVERY_SECONDS_MAX)
    assert outcomes.get().type == "run_succeeded"
    assert len(_executions(stage, run_id)) == 1
    assert queue.intermediate_queue.get_job_ids() == []


def test_a_job_made_anew_below_a_running_function_is_refused(
    stage: Project, redis_connection: Redis
):
    """Redis emptied between the taking of a job and its start; the leader enqueues it again."""
    run_id = controls.trigger("long")
    stage.start("rqworker", "default")
    stage.wait_until(lambda: _executions(stage, run_id), START_SECONDS_MAX)
    redis_connection.flushdb()
    definition = Definition(name="long", function="", options={"timeout": 10})
    list(Enqueuer().enqueue([RunRequest(run_id=run_id, definition=definition, slot=None)]))
    assert stage.run("rqworker", "default", "--burst").returncode == 0
    events = CronEvent.objects.filter(stream=f"run/{run_id}")
    stage.wait_until(events.outcomes().exists, START_SECONDS_MAX)
    assert events.of_type("start_refused").get().reason == "already_running"
    assert len(_executions(stage, run_id)) == 1
    assert events.outcomes().get().type == "run_succeeded"


@pytest.mark.parametrize("recorded", [False, True], ids=["at once", "after its end"])
def test_a_job_that_is_in_its_queue_twice_runs_once(
    recorded: bool, stage: Project, redis_connection: Redis
):
    """Redis went away between a transaction and its answer, and redis-py sent it again."""
    run_id = controls.trigger("once")
    Queue("default", connection=redis_connection).push_job_id(job_id(run_id))
    first = stage.run("rqworker", "default", "--max-jobs", "1", RQCRON_FAILPOINT="before_outcome")
    assert "signal 9" in first.stdout + first.stderr
    outcomes = CronEvent.objects.filter(stream=f"run/{run_id}").outcomes()
    if recorded:
        runner = stage.start("cron_run")
        stage.wait_until(outcomes.exists, RECOVERY_SECONDS_MAX)
        runner.stop()
    assert stage.run("rqworker", "default", "--burst").returncode == 0
    refused = CronEvent.objects.of_type("start_refused").get()
    assert refused.reason == ("already_ended" if recorded else "already_running")
    stage.start("cron_run")
    stage.wait_until(outcomes.exists, RECOVERY_SECONDS_MAX)
    assert outcomes.get().type == ("run_failed" if recorded else "run_lost")
    assert len(outside.read(stage.environment[outside.VARIABLE])) == 1


def test_a_runner_that_was_frozen_does_not_end_a_later_attempt(stage: Project):
    """It looked at RQ during the first attempt and writes during the second."""
    run_id = controls.trigger("retried")
    stream = {"stream": f"run/{run_id}", "version": 0, "cron": "retried", "run_id": run_id}
    began = clock.now()
    for event_type, attempt in (("run_started", 1), ("attempt_failed", 1), ("run_started", 2)):
        event = Event(**stream, type=EventType(event_type), attempt=attempt, occurred_at=began)
        store.append_next([event])
    seen = OpenRun(run_id=run_id, slot=None, requested_at=began, started_at=began, attempt=1)
    states = States.load()
    definition = states.crons["retried"].last_definition
    reconciler = Reconciler(Enqueuer(), "runner/frozen")
    for job, repair in (
        (JobFacts(status="queued"), Repair.RECORD_DEAD_ATTEMPT),
        (JobFacts(), Repair.LOSE),
    ):
        reconciler._append_ends([Finding(seen, definition, job, repair)], states)
    events = CronEvent.objects.filter(stream=f"run/{run_id}").order_by("version")
    assert [event.type for event in events][-1] == "run_started"


def _executions(stage: Project, run_id: UUID) -> list[outside.Row]:
    rows = outside.read(stage.environment[outside.VARIABLE])
    return [row for row in rows if row.run_id == str(run_id)]


def _expire_heartbeats(server: RedisServer) -> None:
    """As if the ninety seconds had passed that RQ waits for a worker's next heartbeat."""
    connection = server.connect()
    for member in connection.zrange("rq:wip:default", 0, -1):
        connection.zadd("rq:wip:default", {member: 1})
    connection.close()
