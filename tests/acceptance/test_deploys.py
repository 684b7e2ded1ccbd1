"""Rolling deploys: workers and runners of two versions of the code, beside each other."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import uuid4

from redis import Redis
from rq.job import Job

from rqcron_events.core.definition import Definition
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from tests.processes import Project

OLD_CODE = {"TEST_APPS": "tests.many_app", "RQCRON_TEST_GIVE_BACK_SECONDS": "60"}
"""An app that has none of the crons of ``tests.crons_app``."""


def enqueue(name: str, **values) -> Job:
    """A run that is in no log, as far as a worker can tell; returns its job."""
    definition = Definition(**{"name": name, "function": "", "expression": "@yearly", **values})
    request = RunRequest(run_id=uuid4(), definition=definition, slot=None)
    enqueuer = Enqueuer()
    (((result,)),) = enqueuer.enqueue([request])
    assert not result.error
    connection = enqueuer.queue(definition.queue).connection
    return Job.fetch(job_id(request.run_id), connection=connection)


def test_a_job_that_old_code_does_not_know_runs_on_new_code_in_one_attempt(
    project: Project, redis_connection: Redis
):
    """Nobody runs RQ's scheduler: the leading runner brings the job back into its queue."""
    project.start("cron_run")
    project.wait_until(
        CronEvent.objects.filter(type="cron_registered", cron="returns_retry").exists
    )
    controls.pause_all(reason="no other job stands before this one", by="a test")
    run_id = controls.trigger("returns_retry")
    old = project.start("rqworker", "default", **OLD_CODE)
    job = Job.fetch(job_id(run_id), connection=redis_connection)
    project.wait_until(lambda: job.get_meta().get("rqcron", {}).get("given_back", 0) >= 2)
    old.stop()
    project.start("rqworker", "default")
    events = CronEvent.objects.filter(stream=f"run/{run_id}").order_by("version")
    project.wait_until(events.outcomes().exists)
    assert [(event.type, event.attempt) for event in events] == [
        ("run_enqueued", None),
        ("run_started", 1),
        ("attempt_failed", 1),
        ("run_started", 2),
        ("run_succeeded", 2),
    ]


def test_crons_that_a_worker_does_not_know_do_not_starve_its_other_queues(project: Project):
    """The first queue is full of them; a cron on the second one starts within seconds."""
    assert project.run("cron_run", "--once").returncode == 0
    for _ in range(15):
        controls.trigger("raises")
    known = enqueue("plain", queue="high")
    old_code = {**OLD_CODE, "TEST_APPS": "tests.apps.plain"}
    project.start("cron_run", **old_code)
    worker = project.start("rqworker", "default", "high", **old_code)
    stream = CronEvent.objects.filter(stream=f"run/{known.args[1]}")
    project.wait_until(stream.of_type("run_started").exists, seconds=40)
    assert "goes back to the queue" in worker.output


def test_it_fails_when_nobody_knew_it_for_as_long_as_the_setting_says(project: Project):
    """The time that has passed counts, however few workers looked at it."""
    project.start("cron_run")
    project.wait_until(CronEvent.objects.of_type("cron_registered").exists)
    job = enqueue("stranger")
    stream = CronEvent.objects.filter(stream=f"run/{job.args[1]}").order_by("version")
    controls.trigger("digest")  # an open run in a queue: the reconciler looks at these
    project.start(
        "rqworker",
        "default",
        "--with-scheduler",
        **{**OLD_CODE, "RQCRON_TEST_GIVE_BACK_SECONDS": "5"},
    )
    project.wait_until(stream.outcomes().exists)
    started, failed = stream
    assert (failed.type, failed.reason) == ("run_failed", "not_registered")
    assert started.occurred_at - job.created_at >= timedelta(seconds=5)
    assert 1 <= job.get_meta()["rqcron"]["given_back"] <= 4


def test_a_cron_whose_module_is_broken_on_this_worker_fails_at_once_with_the_import_error(
    project: Project,
):
    module = "tests.apps.partly_broken.crons.a_broken"
    job = enqueue("after_the_fault_of_its_module", function=f"{module}:gone")
    broken = {**OLD_CODE, "TEST_APPS": "tests.apps.partly_broken"}
    done = project.run("rqworker", "default", "--burst", "--skip-checks", **broken)
    stream = CronEvent.objects.filter(stream=f"run/{job.args[1]}").order_by("version")
    assert stream.count() == 2, done.stderr
    failed = stream[1]
    assert (failed.type, failed.reason) == ("run_failed", "not_registered")
    assert (
        "RuntimeError: this module is broken on purpose"
        in failed.to_event().data["error"]["message"]
    )
    assert f"is in {module}, which does not import" in failed.to_event().data["error"]["message"]


def test_a_queue_that_the_leader_does_not_have_concerns_the_crons_in_it_only(project: Project):
    """A deploy moved crons to new queues, and the old runner still leads."""
    assert project.run("cron_run", "--once").returncode == 0
    old = project.start("cron_run", TEST_QUEUES="default")
    events = CronEvent.objects.order_by("id")
    refused = events.filter(type="enqueue_failed", cron="slow")
    project.wait_until(refused.exists)
    before = events.filter(type="run_enqueued", cron="quick").count()
    project.wait_until(
        lambda: events.filter(type="run_enqueued", cron="quick").count() > before + 2
    )
    (event,) = refused  # overlap="skip": its one run, once
    assert (event.reason, event.data["error"]["type"]) == ("refused", "QueueUnusable")

    told = project.run(
        "cron_explain", "slow", "--run", str(event.run_id)[:8], TEST_QUEUES="default"
    )
    assert "Queue 'low' is not in RQ_QUEUES" in told.stdout, told.stdout + told.stderr
    health = project.run("cron_health", "--format", "json", TEST_QUEUES="default")
    problems = json.loads(health.stdout)["problems"]
    assert any("Queue 'low' is not in RQ_QUEUES" in problem for problem in problems), problems
    reconciled = project.run("cron_reconcile", TEST_QUEUES="default")
    assert reconciled.returncode == 1
    assert "RQ refuses jobs of cron 'slow'" in reconciled.stderr

    old.stop()
    project.start("cron_run")
    project.wait_until(events.filter(type="run_enqueued", run_id=event.run_id).exists)
    assert refused.count() == 1
